"""A theory line and simulation points on one axis, in one style; the only importer of matplotlib.

Lines are theory: solid where the branch is the equilibrium one, dashed where it is metastable, unstable or
unphysical. Open markers are simulations, with one standard error over the instances of the disorder.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.folders import private_folder
from physlearn.inputs import reject
from physlearn.results import Status
from physlearn.scan import read, resolve

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _has_folders() -> bool:
    """Whether matplotlib finds writable folders for its settings and fonts; without them it complains at length."""
    if os.environ.get("MPLCONFIGDIR") or not sys.platform.startswith("linux"):
        return True
    try:
        for variable, default in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache")):
            folder = Path(os.environ.get(variable) or Path.home() / default, "matplotlib")
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                return False
    except (OSError, RuntimeError):  # the latter where there is no home at all
        return False
    return True


# Matplotlib looks for its folders as soon as it is imported.
if not _has_folders():
    os.environ["MPLCONFIGDIR"] = private_folder("matplotlib")

import matplotlib  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402

__all__ = ["curves", "finite_size", "phase_diagram", "plot_study"]

# Okabe and Ito's colours, which the colour-blind tell apart; every colour comes with a marker of its own.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("#000000", "#7F7F7F", "#0072B2", "#D55E00")
SYMBOLS = {"alpha": r"$\alpha = P/N$", "N": "$N$"}
STYLE = {
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "errorbar.capsize": 0,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.dpi": 150,
    "svg.hashsalt": "physlearn",
}


def curves(
    dataset: "xarray.Dataset | None" = None,
    theory: "xarray.Dataset | None" = None,
    *,
    variable: str,
    x: str = "alpha",
    solver: str | None = None,
    theory_variable: str | None = None,
    title: str | None = None,
    limits: Sequence[float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw `variable` against `x`: lines from `theory`, open markers with error bars from `dataset`.

    Parameters
    ----------
    dataset : xarray.Dataset, optional
        Of a scan: dimensions `x`, ``instance``, perhaps ``N`` (a colour and marker each) and ``solver``. The
        standard error of a fraction of 0s and 1s is Wilson's interval.
    theory : xarray.Dataset, optional
        Dimensions `x` and perhaps ``theory`` (a line each); with ``threshold_load``, vertical lines.
    variable : str
        What is drawn; in the theory, `theory_variable` where that has another name.
    solver : str, optional
        Which of the solvers of `dataset`.
    limits : pair of float, optional
        Of the vertical axis.
    """
    if dataset is None and theory is None:
        raise reject("dataset", None, "a dataset, or a theory, or both")
    with matplotlib.rc_context(STYLE):
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        source = None
        if theory is not None and (theory_variable or variable) in theory:
            source = theory[theory_variable or variable]
            prefix = "theory" if dataset is not None else ""
            _draw_theory(ax, theory, theory_variable or variable, x, prefix)
        if dataset is not None:
            source = _draw_simulation(ax, dataset, variable, x, solver)
        if source is None:
            raise reject("variable", variable, f"one of {', '.join(map(str, theory or ()))}")
        if theory is not None and x == "alpha":
            _draw_thresholds(ax, theory)
        ax.set_xlabel(_label(source[x]))
        ax.set_ylabel("fraction of instances" if _is_rate(source.values) else _label(source))
        if _is_rate(source.values):
            ax.set_ylim(-0.04, 1.04)
        if limits is not None:
            ax.set_ylim(*limits)
        ax.set_title(title or "", pad=16)
    return ax


def finite_size(
    data: "xarray.Dataset", theory: "xarray.Dataset | None" = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Draw crossings against N^-exponent, the fit, its limit, and the nearest threshold of the theory.

    Parameters
    ----------
    data : xarray.Dataset
        As `physlearn.estimates.FiniteSizeThreshold.to_dataset` returns it.
    """
    with matplotlib.rc_context(STYLE):
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        exponent = float(data["exponent"])
        sizes = data["N"].values.astype(float) ** -exponent
        line = np.array([0, sizes.max() * 1.05])
        limit, error = float(data["threshold"]), float(data["threshold_error"])
        ax.plot(line, limit + float(data["amplitude"]) * line, "-", color="#7F7F7F", lw=1.2, label="fit")
        for k, N in enumerate(data["N"].values):
            row = data.sel(N=N)
            _points(ax, [sizes[k]], row["crossing"], row["crossing_error"], k, label=f"N = {N}")
        ax.errorbar(
            [0], [limit], [error], fmt="*", color="#000000", ms=10, clip_on=False, zorder=4, label="limit"
        )
        if theory is not None and "threshold_load" in theory:
            values = theory["threshold_load"].values
            nearest = int(np.argmin(np.abs(values - limit)))
            below = bool(limit >= values[nearest])
            ax.axhline(values[nearest], color="#000000", lw=1, ls=":")
            ax.annotate(
                f"theory, {theory['threshold'].values[nearest]} {values[nearest]:.4g}",
                (1, values[nearest]),
                (-2, -4 if below else 4),
                ("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va="top" if below else "bottom",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            )
            ax.margins(y=0.2)
        ax.set_xlim(0, line[1])
        ax.set_xlabel(rf"$N^{{-{Fraction(exponent).limit_denominator(12)}}}$")
        ax.set_ylabel("load at which the rate is 1/2")
        solver = data.attrs.get("solver")
        ax.set_title(
            rf"{f'{solver}, ' if solver else ''}$N \to \infty$: {limit:.3f} $\pm$ {error:.3f}", pad=16
        )
    return ax


def phase_diagram(
    dataset: "xarray.Dataset | None" = None,
    theory: "xarray.Dataset | None" = None,
    extrapolation: "xarray.Dataset | None" = None,
    *,
    panels: Sequence[Mapping[str, Any]],
    columns: int = 2,
) -> "Figure":
    """A figure of `curves`, one panel for each entry of `panels`, and of `finite_size` where that is given.

    Parameters
    ----------
    dataset, theory, extrapolation : xarray.Dataset
        What `curves` and `finite_size` take.
    panels : sequence of mappings
        Keyword arguments of `curves`: ``variable``, ``solver``, ``title``, ...; a panel with a ``theory`` of its own
        has a legend of its own.
    columns : int
    """
    has_limit = extrapolation is not None and "crossing" in extrapolation
    n_panels = len(panels) + has_limit
    rows = -(-n_panels // columns)
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(4.6 * columns, 3.4 * rows + 0.6), layout="constrained", squeeze=False
        )
        for ax, panel in zip(axes.flat, panels, strict=False):
            curves(**{"dataset": dataset, "theory": theory, **panel}, ax=ax)
            if "theory" in panel and ax.get_legend_handles_labels()[1]:
                ax.legend(fontsize=8.5)
        if extrapolation is not None and has_limit:
            finite_size(extrapolation, theory, ax=axes.flat[len(panels)])
        for ax in axes.flat[n_panels:]:
            ax.set_axis_off()
        _legend(figure, axes.flat[: len(panels)])
    return figure


def plot_study(directory: str | Path, path: str | Path | None = None) -> Path:
    """Draw the figure of a study from the data in `directory`, by default into its ``figure.png``."""
    directory = Path(directory)
    path = directory / "figure.png" if path is None else Path(path)
    if not (directory / "study.json").is_file():
        raise reject("directory", str(directory), "a directory that `physlearn scan` has written")
    study = json.loads((directory / "study.json").read_text(encoding="utf-8"))
    wanted = study["configuration"].get("figure") or {}
    draw = resolve("figure.call", wanted.get("call"), ("plotting",))
    data = [directory / f"{name}.nc" for name in ("result", "theory", "finite_size")]
    figure = draw(*(read(file) if file.exists() else None for file in data), **wanted.get("arguments", {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)
    return path


def _draw_theory(ax: "Axes", theory: "xarray.Dataset", variable: str, x: str, prefix: str) -> None:
    branches = list(_branches(theory))
    best = None
    if "free_entropy" in theory and len(branches) > 1:
        best = np.nanmax([np.where(np.isfinite(data["free_entropy"]), data["free_entropy"], -np.inf)
                          for _, data in branches], axis=0)  # fmt: skip
    shown = theory[variable].values[np.isfinite(theory[variable].values)]
    visible = 0.01 * np.ptp(shown) if shown.size else 0.0
    for k, (name, data) in enumerate(branches):
        loads, values = data[x].values, data[variable].values
        sound = np.isfinite(values)
        if "status" in data:
            sound &= np.isin(data["status"].values, (Status.CONVERGED.code, Status.DONE.code))
        if "stability" in data:
            sound &= ~(data["stability"].values <= 0)
        if best is not None:
            sound &= ~(data["free_entropy"].values < best - 1e-9)
        # A dashed piece reaches to the ends of its solid neighbours.
        near = ~sound | np.append(~sound[1:], False) | np.insert(~sound[:-1], 0, False)
        label = ", ".join(part for part in (prefix, name) if part)
        colour = LINES[k % len(LINES)]
        jumps = _jumps(loads, values, visible)
        loads, dashed, solid = (
            np.insert(np.asarray(line, dtype=float), jumps, np.nan)
            for line in (loads, np.where(near, values, np.nan), np.where(sound, values, np.nan))
        )
        ax.plot(loads, dashed, ls=(0, (4, 2)), lw=1.2, color=colour, zorder=1.5)
        ax.plot(loads, solid, ls="-", color=colour, label=label, zorder=1.6)


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
        yield "", theory
        return
    for name in theory["theory"].values:
        yield str(name), theory.sel(theory=name)


def _draw_simulation(
    ax: "Axes", dataset: "xarray.Dataset", variable: str, x: str, solver: str | None
) -> "xarray.DataArray":
    if variable not in dataset:
        raise reject("variable", variable, "one of " + ", ".join(map(str, dataset.data_vars)))
    if "solver" in dataset.dims:
        if solver not in dataset["solver"].values:
            raise reject("solver", solver, "one of " + ", ".join(map(str, dataset["solver"].values)))
        dataset = dataset.sel(solver=solver)
    sizes = dataset["N"].values if "N" in dataset.dims else [None]
    for k, N in enumerate(sizes):
        data = dataset if N is None else dataset.sel(N=N)
        samples = data[variable].transpose(x, "instance").values
        # At small N the realised load is not the one asked for.
        places = data["load"].mean("instance").values if x == "alpha" and "load" in data else data[x].values
        mean, errors = _mean_and_error(samples)
        _points(ax, places, mean, errors, k, label=None if N is None else f"N = {N}")
    return dataset[variable]


def _mean_and_error(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the last axis, and how far one standard error reaches below and above it, shape (2, n)."""
    present = np.isfinite(samples)
    n = np.maximum(present.sum(axis=-1), 1)
    filled = np.where(present, samples, 0)
    mean = np.where(present.any(axis=-1), filled.sum(axis=-1) / n, np.nan)
    if _is_rate(samples):
        centre, half = (
            (mean + 0.5 / n) / (1 + 1 / n),
            np.sqrt(mean * (1 - mean) / n + 0.25 / n**2) / (1 + 1 / n),
        )
        return mean, np.abs(np.stack([mean - (centre - half), centre + half - mean]))
    spread = np.where(present, (samples - mean[..., None]) ** 2, 0).sum(axis=-1) / np.maximum(n - 1, 1)
    return mean, np.stack([np.sqrt(spread / n)] * 2)


def _is_rate(samples: np.ndarray) -> bool:
    """Whether these are outcomes, 0 or 1, so that their mean is a success rate."""
    present = samples[np.isfinite(samples)]
    return present.size > 0 and bool(np.isin(present, (0, 1)).all())


def _points(ax: "Axes", x: Any, y: Any, error: Any, k: int, label: str | None) -> None:
    colour = COLOURS[k % len(COLOURS)]
    error = np.asarray(error, dtype=float)
    ax.errorbar(
        x, np.atleast_1d(y), error if error.ndim == 2 else np.atleast_1d(error),
        fmt=MARKERS[k % len(MARKERS)], color=colour, mfc="white", mew=1.2, elinewidth=1, label=label, zorder=3,
    )  # fmt: skip


def _draw_thresholds(ax: "Axes", theory: "xarray.Dataset") -> None:
    if "threshold_load" not in theory:
        return
    order = np.argsort(theory["threshold_load"].values)
    for rank, k in enumerate(order):
        name, value = str(theory["threshold"].values[k]), float(theory["threshold_load"].values[k])
        ax.axvline(value, color="#000000", lw=1, ls=":", zorder=1)
        # Above the frame, where no point can be: the last one to the right of its line, the others to the left.
        last = rank == len(order) - 1
        ax.annotate(
            f"{name} {value:.4g}",
            (value, 1),
            (-2 if last else 2, 2 + 9 * max(0, len(order) - 2 - rank)),
            ("data", "axes fraction"),
            textcoords="offset points",
            ha="left" if last else "right",
            fontsize=8,
        )


def _legend(figure: "Figure", axes: "Iterable[Axes]") -> None:
    """One legend for the panels without one of their own; it says what a dashed line means, if there is one."""
    entries: dict[str, Any] = {}
    dashed = False
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        if ax.get_legend() is None:
            entries |= {
                label: handle for label, handle in zip(labels, handles, strict=True) if label not in entries
            }
        dashed |= any(
            line.get_linestyle() == "--" and np.isfinite(line.get_ydata()).any() for line in ax.get_lines()
        )
    if dashed:
        entries["dashed: metastable, unstable or unphysical"] = plt.Line2D(
            [], [], color="#000000", lw=1.2, ls=(0, (4, 2))
        )
    lines = [label for label in entries if not label.startswith("N = ")]
    sizes = [label for label in entries if label.startswith("N = ")]
    if sizes and len(lines) % 2:
        # Two rows, filled column by column: the sizes begin a column of their own.
        lines.append("")
        entries[""] = plt.Line2D([], [], ls="none")
    labels = lines + sizes
    if labels:
        handles = [entries[label] for label in labels]
        figure.legend(
            handles, labels, loc="outside lower center", ncols=-(-len(labels) // 2) if sizes else len(labels)
        )


def _label(data: "xarray.DataArray") -> str:
    name = data.attrs.get("long_name", str(data.name))
    units = data.attrs.get("units", "1")
    symbol = SYMBOLS.get(str(data.name))
    if symbol:
        name = f"{name.removesuffix(' P/N')} {symbol}"
    return name if units == "1" else f"{name} [{units}]"
