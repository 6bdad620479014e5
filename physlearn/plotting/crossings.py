"""Where rates cross a level, against the size, and the limits against what else was varied."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from physlearn.plotting.legends import add_legend
from physlearn.plotting.points import points
from physlearn.plotting.selection import one_value_needed, values_on
from physlearn.plotting.style import STYLE, SYMBOLS, extent, label, look, named, wrapped

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

_MOST_TICKS = 7  # that stand at the very values of an axis


def finite_size(
    data: "xarray.Dataset", theory: "xarray.Dataset | None" = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Draw crossings against N^-exponent, the fit, its limit, and the nearest threshold of the theory.

    Parameters
    ----------
    data : xarray.Dataset
        As `physlearn.estimates.FiniteSizeThreshold.to_dataset` returns it.
    theory : xarray.Dataset, optional
        With ``threshold_load``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it there is a new figure, with a legend below.
    """
    one_value_needed({name: values_on(data, name) for name in further_axes(data)})
    return draw_crossings(data, theory, ax, data["N"].values.tolist())


def further_axes(data: "xarray.Dataset") -> list[str]:
    """Axes whose values have a threshold each, beside the solvers."""
    return [str(name) for name in data.dims if name not in ("N", "solver")]


def extrapolations(data: "xarray.Dataset | None") -> "list[tuple[str, xarray.Dataset]]":
    """The panels that show it all, with their titles: one for each value of the further axes that has a threshold."""
    if data is None or "crossing" not in data:
        return []
    axes = further_axes(data)
    panels = []
    for place in itertools.product(*(range(data.sizes[name]) for name in axes)):
        one = data.isel(dict(zip(axes, place, strict=True)))
        if np.isfinite(one["threshold"].values).any():
            panels.append((", ".join(named(SYMBOLS.get(name, name), one[name].item()) for name in axes), one))
    return panels


def axis_of_limits(data: "xarray.Dataset | None") -> str | None:
    """The axis against which limits are shown: the only further one, if it has numbers for its values."""
    axes = further_axes(data) if data is not None and extrapolations(data) else []
    return axes[0] if data is not None and len(axes) == 1 and data[axes[0]].dtype.kind in "fiu" else None


def draw_crossings(
    data: "xarray.Dataset",
    theory: "xarray.Dataset | None",
    ax: "Axes | None",
    sizes: Sequence[int],
    title: str = "",
) -> "Axes":
    """As `finite_size`, with the colours that `sizes` have elsewhere in the figure."""
    if "solver" in data.dims:
        return _of_solvers(data, theory, ax, title)
    with matplotlib.rc_context(STYLE):
        own = None
        if ax is None:
            own, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        exponent = float(data["exponent"])
        places = data["N"].values.astype(float) ** -exponent
        line = np.array([0, places.max() * 1.05])
        limit, error = float(data["threshold"]), float(data["threshold_error"])
        ax.plot(line, limit + float(data["amplitude"]) * line, "-", color="#7F7F7F", lw=1.2, label="fit")
        for k, N in enumerate(data["N"].values.tolist()):
            row = data.isel(N=k)
            style = look(sizes.index(N), len(sizes))
            points(ax, [places[k]], row["crossing"], row["crossing_error"], style, f"N = {N}")
        ax.errorbar(
            [0], [limit], [error], fmt="*", color="#000000", ms=10, clip_on=False, zorder=4, label="limit"
        )
        if theory is not None and "threshold_load" in theory:
            values = theory["threshold_load"].values
            nearest = int(np.argmin(np.abs(values - limit)))
            below = bool(limit >= values[nearest])
            ax.axhline(values[nearest], color="#000000", lw=1, ls=":")
            # Where it meets no point: in the middle of the widest gap between two sizes.
            ends = np.sort([*places, *line])
            gap = int(np.argmax(np.diff(ends)))
            ax.annotate(
                f"theory, {theory['threshold'].values[nearest]} {values[nearest]:.4g}",
                (ends[gap : gap + 2].mean(), values[nearest]),
                (0, -4 if below else 4),
                textcoords="offset points",
                ha="center",
                va="top" if below else "bottom",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
                zorder=2.5,
            )
            ax.margins(y=0.2)
        ax.set_xlim(0, line[1])
        ax.set_xlabel(rf"$N^{{-{Fraction(exponent).limit_denominator(12)}}}$")
        _, height = extent(ax)
        ax.set_ylabel(wrapped(f"load at which the rate is {_level(data)}", 1.1 * height, 10))
        where = "".join(f"{part}, " for part in (title, data.attrs.get("solver")) if part)
        ax.set_title(rf"{where}$N \to \infty$: {limit:.3f} $\pm$ {error:.3f}", pad=16)
        if own is not None:
            add_legend(own, [ax])
    return ax


def _of_solvers(
    data: "xarray.Dataset", theory: "xarray.Dataset | None", ax: "Axes | None", title: str
) -> "Axes":
    """The same of several solvers, each with a look of its own."""
    with matplotlib.rc_context(STYLE):
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        names = data["solver"].values.tolist()
        exponent = float(np.nanmax(data["exponent"].values))
        line = np.array([0, (data["N"].values.astype(float) ** -exponent).max() * 1.05])
        for k, name in enumerate(names):
            one = data.sel(solver=name)
            if not np.isfinite(one["threshold"]):
                continue
            style = look(k, len(names))
            colour, _ = style
            limit, error = float(one["threshold"]), float(one["threshold_error"])
            places = one["N"].values.astype(float) ** -exponent
            text = rf"{name}: {limit:.3f} $\pm$ {error:.3f}"
            ax.plot(line, limit + float(one["amplitude"]) * line, "-", color=colour, lw=1.0)
            points(ax, places, one["crossing"], one["crossing_error"], style, text)
            ax.errorbar([0], [limit], [error], fmt="*", color=colour, ms=9, clip_on=False, zorder=4)
        if theory is not None and "threshold_load" in theory:
            for name, value in zip(theory["threshold"].values, theory["threshold_load"].values, strict=True):
                ax.axhline(value, color="#000000", lw=1, ls=":", label=f"theory, {name} {value:.4g}")
        ax.set_xlim(0, line[1])
        ax.set_xlabel(rf"$N^{{-{Fraction(exponent).limit_denominator(12)}}}$")
        _, height = extent(ax)
        ax.set_ylabel(wrapped(f"load at which the rate is {_level(data)}", 1.1 * height, 10))
        ax.set_title(rf"{f'{title}, ' if title else ''}$N \to \infty$ (stars)", pad=16)
        bottom, top = _range(data, ["crossing", "threshold"], theory)
        rows = len(ax.get_legend_handles_labels()[1])
        ax.set_ylim(bottom - (0.08 * rows + 0.1) * (top - bottom), top + 0.05 * (top - bottom))
        ax.legend(fontsize=7.5, loc="lower right")  # in the room made below
    return ax


def _range(
    data: "xarray.Dataset", names: Sequence[str], theory: "xarray.Dataset | None" = None
) -> tuple[float, float]:
    """From the lowest to the highest value of `names`, with errors that are not so long as to hide the others."""
    ends = [theory["threshold_load"].values] if theory is not None and "threshold_load" in theory else []
    values = np.concatenate([data[name].values.ravel() for name in names])
    errors = np.concatenate([data[f"{name}_error"].values.ravel() for name in names])
    errors = np.minimum(errors, 0.5 * np.ptp(values[np.isfinite(values)]))
    shown = np.concatenate([*ends, values - errors, values + errors])
    return float(np.nanmin(shown)), float(np.nanmax(shown))


def same_range(panels: "Sequence[Axes]") -> None:
    """Give panels that are to be compared one vertical range, the smallest that shows all."""
    ranges = np.array([ax.get_ylim() for ax in panels])
    for ax in panels if len(panels) > 1 else ():
        ax.set_ylim(ranges[:, 0].min(), ranges[:, 1].max())


def draw_limits(data: "xarray.Dataset", axis: str, ax: "Axes") -> "Axes":
    """Draw the limits against a further axis, of each solver in the colour that it has beside its crossings."""
    solvers = data["solver"].values.tolist() if "solver" in data.dims else [data.attrs.get("solver", "")]
    with matplotlib.rc_context(STYLE):
        for k, name in enumerate(solvers):
            one = data.isel(solver=k) if "solver" in data.dims else data
            one = one.isel({axis: np.flatnonzero(np.isfinite(one["threshold"].values))})
            style = look(k, len(solvers))
            ax.plot(one[axis], one["threshold"], "-", color=style[0], lw=0.8, alpha=0.5)
            points(ax, one[axis], one["threshold"], one["threshold_error"], style, name)
        bottom, top = _range(data, ["threshold"])
        ax.set_ylim(bottom - 0.05 * (top - bottom), top + 0.05 * (top - bottom))
        places = data[axis].values
        if len(places) <= _MOST_TICKS:
            ax.set_xticks(places)
        ax.margins(x=0.12)
        ax.set_xlabel(label(data[axis]))
        _, height = extent(ax)
        ax.set_ylabel(wrapped(f"load at which the rate is {_level(data)}", 1.1 * height, 10))
        ax.set_title(r"limits, $N \to \infty$", pad=16)
    return ax


def _level(data: "xarray.Dataset") -> str:
    """The rate that a crossing is at: a simple fraction, or a decimal."""
    level = float(np.nanmax(data["level"].values)) if "level" in data else 0.5
    fraction = Fraction(level).limit_denominator(6)
    return str(fraction) if abs(fraction - level) < 1e-12 else f"{level:.4g}"
