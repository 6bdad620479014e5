"""What theory draws: branches, solid or dashed, and thresholds."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.plotting.selection import at, values_on
from physlearn.plotting.style import LINES, extent, look, named, text_width
from physlearn.results import Status

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

_ROW = 9.5  # points between two rows of thresholds' labels
_LABEL = 8


def draw_theory(
    ax: "Axes",
    theory: "xarray.Dataset",
    variable: str,
    x: str,
    series: str | None,
    values: Sequence[Any],
    with_points: bool,
) -> None:
    """A line for each branch, and for each of `values` along the axis `series` where the theory has it."""
    names = [name for name in (variable, "free_entropy", "status", "stability") if name in theory]
    theory = theory[names]
    prefix = "theory" if with_points else ""
    shown = theory[variable].values[np.isfinite(theory[variable].values)]
    visible = 0.01 * np.ptp(shown) if shown.size else 0.0
    if series is None or series not in theory.dims:
        _draw_branches(ax, theory, variable, x, prefix, visible)
        return
    known = values_on(theory, series)
    drawn = False
    for k, value in enumerate(values):
        if not any(
            np.isclose(value, other) if not isinstance(value, str) else value == other for other in known
        ):
            continue
        part = at(theory, series, value, "theory")
        own = None if with_points else named(series, value)
        _draw_branches(ax, part, variable, x, own, visible, look(k, len(values))[0])
        drawn = True
    # The colours are those of the values; what the strokes mean is told in black.
    branches = [name for name, _ in _branches(theory)]
    if drawn and (with_points or len(branches) > 1):
        for k, name in enumerate(branches):
            text = ", ".join(part for part in (prefix, name) if part)
            ax.plot([], [], color=LINES[0], lw=_width(k), label=text)


def _width(k: int) -> float:
    """Of the k-th branch, where the colour is taken by something else."""
    return (1.6, 3.2, 0.8)[k % 3]


def _draw_branches(
    ax: "Axes",
    theory: "xarray.Dataset",
    variable: str,
    x: str,
    prefix: str | None,
    visible: float,
    colour: str | None = None,
) -> None:
    """Draw the branches, in `colour` if they are of one value of another axis; without a label if `prefix` is None."""
    branches = list(_branches(theory))
    best = None
    # Local entropies around different references do not compete.
    if "free_entropy" in theory and len(branches) > 1 and variable != "local_entropy":
        best = np.nanmax([np.where(np.isfinite(data["free_entropy"]), data["free_entropy"], -np.inf)
                          for _, data in branches], axis=0)  # fmt: skip
    for k, (name, data) in enumerate(branches):
        stroke, width = (colour, _width(k)) if colour else (LINES[k % len(LINES)], 1.6)
        text = _text(prefix, "" if colour else name, not colour or k == 0)
        if x not in data[variable].dims:
            # Nothing of it depends on x.
            ax.axhline(float(data[variable]), label=text, zorder=1.6, lw=width, color=stroke)
            continue
        loads, values = data[x].values.astype(float), data[variable].values.astype(float)
        sound = np.isfinite(values)
        if "status" in data:
            sound &= np.isin(data["status"].values, (Status.CONVERGED.code, Status.DONE.code))
        if "stability" in data:
            sound &= ~(data["stability"].values <= 0)
        if best is not None:
            sound &= ~(data["free_entropy"].values < best - 1e-9)
        # A dashed piece reaches to the ends of its solid neighbours.
        near = ~sound | np.append(~sound[1:], False) | np.insert(~sound[:-1], 0, False)
        jumps = _jumps(loads, values, visible)
        loads, dashed, solid = (
            np.insert(line, jumps, np.nan)
            for line in (loads, np.where(near, values, np.nan), np.where(sound, values, np.nan))
        )
        ax.plot(loads, dashed, ls=(0, (4, 2)), lw=0.75 * width, color=stroke, zorder=1.5)
        ax.plot(loads, solid, ls="-", lw=width, color=stroke, label=text, zorder=1.6)


def _text(prefix: str | None, name: str, has_label: bool) -> str:
    """A label of the legend; a leading underscore keeps a line out of it."""
    if prefix is None or not has_label:
        return "_"
    return ", ".join(part for part in (prefix, name) if part)


def _jumps(x: np.ndarray, y: np.ndarray, visible: float) -> np.ndarray:
    """Indices of the points that a jump separates from the point before.

    A jump changes by more than `visible`, and by more than a continuous line may that is as singular as a square
    root: next to a step of width h that changes by c, a step of width w changes by c/(sqrt(1 + h/w) - 1) at the
    most. The first and the last step have a neighbour on one side only, which can't tell, and are never jumps.
    """
    width = np.abs(np.diff(x.astype(float)))
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.abs(np.diff(y))
        left = change[:-2] / (np.sqrt(1 + width[:-2] / width[1:-1]) - 1)
        right = change[2:] / (np.sqrt(1 + width[2:] / width[1:-1]) - 1)
        jump = change[1:-1] > np.maximum(visible, 1.25 * np.fmax(left, right))
    return np.flatnonzero(jump) + 2


def _branches(theory: "xarray.Dataset") -> "Iterator[tuple[str, xarray.Dataset]]":
    if "theory" not in theory.dims:
        yield str(theory["theory"].item()) if "theory" in theory.coords else "", theory
        return
    for k, name in enumerate(values_on(theory, "theory")):
        yield str(name), theory.isel(theory=k)


def draw_thresholds(ax: "Axes", theory: "xarray.Dataset") -> int:
    """Dotted lines at the thresholds, with labels above the frame where no point can be; how many rows these take."""
    if "threshold_load" not in theory or theory["threshold_load"].dims != ("threshold",):
        return 0
    names = values_on(theory, "threshold")
    pairs = sorted(
        (float(value), str(name))
        for name, value in zip(names, theory["threshold_load"].values, strict=True)
        if np.isfinite(value)
    )
    for value, _ in pairs:
        ax.axvline(value, color="#000000", lw=1, ls=":", zorder=1)
    width, _ = extent(ax)
    low, high = ax.get_xlim()
    texts = [f"{name} {value:.4g}" for value, name in pairs]
    places = _label_rows(
        [width * (value - low) / (high - low) for value, _ in pairs],
        [1.06 * text_width(text, _LABEL) + 6 for text in texts],
        width,
    )
    for (value, _), text, (to_right, row) in zip(pairs, texts, places, strict=True):
        ax.annotate(
            text,
            (value, 1),
            (2 if to_right else -2, 2 + _ROW * row),
            ("data", "axes fraction"),
            textcoords="offset points",
            ha="left" if to_right else "right",
            fontsize=_LABEL,
        )
        if row:
            # The line goes on to its label.
            ax.annotate("", (value, 1), (0, 2 + _ROW * (row + 0.8)), ("data", "axes fraction"), "offset points",
                        arrowprops={"arrowstyle": "-", "ls": ":", "lw": 1, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
    return 1 + max((row for _, row in places), default=-1)


def _label_rows(places: Sequence[float], widths: Sequence[float], width: float) -> list[tuple[bool, int]]:
    """For labels at increasing places: whether each stands to the right of its line, and in which row from below.

    Sides are chosen such that labels stay within the frame, then that rows are few, then that only the last goes to
    the right.
    """
    n = len(places)
    usual = tuple(k == n - 1 for k in range(n))
    options = []
    for sides in itertools.product((False, True), repeat=n) if n <= 8 else [usual]:
        spans = [
            (place, place + length) if to_right else (place - length, place)
            for place, length, to_right in zip(places, widths, sides, strict=True)
        ]
        rows = _rows(places, spans)
        if rows is not None:
            outside = sum(max(0, -low) + max(0, high - width) for low, high in spans)
            unusual = sum(side != other for side, other in zip(sides, usual, strict=True))
            badness = (round(outside / (0.05 * width)), max(rows, default=0), unusual)
            options.append((badness, list(zip(sides, rows, strict=True))))
    return min(options)[1]


def _rows(places: Sequence[float], spans: Sequence[tuple[float, float]]) -> list[int] | None:
    """Rows in which no label covers another one, or a line that leads further up; None if there are none."""
    n = len(places)
    under = [{i for i in range(n) if i != j and spans[j][0] < places[i] < spans[j][1]} for j in range(n)]
    rows: dict[int, int] = {}
    while len(rows) < n:
        j = next((j for j in range(n) if j not in rows and under[j] <= rows.keys()), None)
        if j is None:
            return None
        row = 1 + max((rows[i] for i in under[j]), default=-1)
        while any(rows[i] == row and spans[i][0] < spans[j][1] and spans[j][0] < spans[i][1] for i in rows):
            row += 1
        rows[j] = row
    return [rows[j] for j in range(n)]
