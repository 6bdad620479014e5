"""Panels and figures: what `physlearn.plotting` offers."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from physlearn.inputs import reject
from physlearn.plotting.legends import add_legend
from physlearn.plotting.lines import draw_theory, draw_thresholds
from physlearn.plotting.points import draw_points, points
from physlearn.plotting.selection import (
    at,
    axis_for,
    beside,
    default_panels,
    default_variable,
    one_value_needed,
    roles,
    select_in,
    squeezed,
    values_on,
)
from physlearn.plotting.style import STYLE, extent, label, look, rate_label, wrapped
from physlearn.scan import read, resolve, stated
from physlearn.scan.variables import is_rate
from physlearn.scan.variables import measured as answers

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(
    dataset: "xarray.Dataset | None" = None,
    theory: "xarray.Dataset | None" = None,
    *,
    variable: str | None = None,
    x: str | None = None,
    solver: str | None = None,
    theory_variable: str | None = None,
    select: Mapping[str, Any] | None = None,
    title: str | None = None,
    limits: Sequence[float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw `variable` against `x`: lines from `theory`, open markers with error bars from `dataset`.

    Parameters
    ----------
    dataset : xarray.Dataset, optional
        Of a scan: dimensions `x`, perhaps ``instance``, ``solver``, and ``N`` (a colour and marker each) or another
        axis in its place. The standard error of a fraction of 0s and 1s is Wilson's interval; that of a single
        instance is its variable ``<variable>_error``, if there is one. Points that are missing leave gaps.
    theory : xarray.Dataset, optional
        Dimensions `x`, perhaps ``theory`` (a line each) and the axis that has the colours; with ``threshold_load``,
        vertical lines.
    variable : str, optional
        What is drawn, by default the first variable that both have; in the theory, `theory_variable` where that has
        another name.
    x : str, optional
        The horizontal axis: by default ``alpha``, else the longest numeric one.
    solver : str, optional
        Which of the solvers of `dataset`; by default all, with markers of their own.
    select : mapping, optional
        Values of further axes, such as ``{"margin": 0.5}``.
    limits : pair of float, optional
        Of the vertical axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it there is a new figure, with a legend below.
    """
    if dataset is None and theory is None:
        raise reject("dataset", None, "a dataset, or a theory, or both")
    dataset, theory = select_in((dataset, theory), select or {})
    with matplotlib.rc_context(STYLE):
        own = None
        if ax is None:
            own, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        try:
            _draw(ax, dataset, theory, variable, x, solver, theory_variable, title)
        except ValueError:
            if own is not None:
                plt.close(own)
            raise
        if limits is not None:
            ax.set_ylim(*limits)
        if own is not None:
            add_legend(own, [ax])
    return ax


def _draw(
    ax: "Axes",
    dataset: "xarray.Dataset | None",
    theory: "xarray.Dataset | None",
    variable: str | None,
    x: str | None,
    solver: str | None,
    theory_variable: str | None,
    title: str | None,
) -> None:
    """Choose what is drawn, and draw it with its labels."""
    if dataset is not None and theory is not None and not answers(dataset):
        dataset = None  # nothing was run yet
    variable = default_variable(dataset, theory) if variable is None else variable
    calculated = theory_variable or variable
    if dataset is not None:
        dataset = _of_solver(dataset, variable, solver)
    has_theory = theory is not None and calculated in theory
    if dataset is None and not has_theory:
        raise reject("variable", variable, f"one of {', '.join(map(str, theory or ()))}")
    measured = dataset[variable] if dataset is not None else None
    x = axis_for(x, measured, theory[calculated] if theory is not None and has_theory else None)
    lines = beside(theory, dataset, calculated, x) if theory is not None and has_theory else None
    series, left = roles(x, measured, lines[calculated] if lines is not None else None)
    one_value_needed(left)
    keep = (x, series, "theory", "threshold")
    source = dataset if dataset is not None else lines
    assert source is not None
    values = values_on(source, series) if series is not None else [None]
    if lines is not None:
        lines = squeezed(lines, keep)
        draw_theory(ax, lines, calculated, x, series, values, dataset is not None)
    if dataset is not None:
        draw_points(ax, squeezed(dataset, (*keep, "instance", "solver")), variable, x, series, values)
    rows = draw_thresholds(ax, theory) if theory is not None and x == "alpha" else 0
    shown = source[variable if dataset is not None else calculated]
    width, height = extent(ax)
    rate = is_rate(shown)
    ax.set_xlabel(wrapped(label(source[x]), 1.15 * width, 10))
    ax.set_ylabel(wrapped(rate_label(shown) if rate else label(shown), 1.1 * height, 10))
    if rate:
        ax.set_ylim(-0.04, 1.04)
    ax.set_title(wrapped(title or "", 1.1 * width, 10.5), pad=6 + 9.5 * rows)


def _of_solver(dataset: "xarray.Dataset", variable: str, solver: str | None) -> "xarray.Dataset":
    if variable not in dataset:
        raise reject("variable", variable, "one of " + ", ".join(map(str, dataset.data_vars)))
    if solver is None or "solver" not in dataset.coords:
        return dataset
    known = np.atleast_1d(dataset["solver"].values).tolist()
    if solver not in known:
        raise reject("solver", solver, "one of " + ", ".join(map(str, known)))
    return at(dataset, "solver", solver, "select")


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
    return _finite_size(data, theory, ax, data["N"].values.tolist())


def _finite_size(
    data: "xarray.Dataset", theory: "xarray.Dataset | None", ax: "Axes | None", sizes: Sequence[int]
) -> "Axes":
    """As `finite_size`, with the colours that `sizes` have elsewhere in the figure."""
    if "solver" in data.dims:
        return _finite_sizes(data, theory, ax)
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
            ends = np.sort([*places, 0, line[1]])
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
        solver = data.attrs.get("solver")
        ax.set_title(
            rf"{f'{solver}, ' if solver else ''}$N \to \infty$: {limit:.3f} $\pm$ {error:.3f}", pad=16
        )
        if own is not None:
            add_legend(own, [ax])
    return ax


def _finite_sizes(data: "xarray.Dataset", theory: "xarray.Dataset | None", ax: "Axes | None") -> "Axes":
    """The same of several solvers, each with a look of its own."""
    with matplotlib.rc_context(STYLE):
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        names = data["solver"].values.tolist()
        exponent = float(np.nanmax(data["exponent"].values))
        line = np.array([0, (data["N"].values.astype(float) ** -exponent).max() * 1.05])
        for k, name in enumerate(names):
            one = data.sel(solver=name).dropna("N", subset=["crossing"])
            if not one.sizes["N"]:
                continue
            style = look(k, len(names))
            colour, _ = style
            limit, error = float(one["threshold"]), float(one["threshold_error"])
            places = one["N"].values.astype(float) ** -exponent
            label = rf"{name}: {limit:.3f} $\pm$ {error:.3f}"
            ax.plot(line, limit + float(one["amplitude"]) * line, "-", color=colour, lw=1.0)
            points(ax, places, one["crossing"], one["crossing_error"], style, label)
            ax.errorbar([0], [limit], [error], fmt="*", color=colour, ms=9, clip_on=False, zorder=4)
        if theory is not None and "threshold_load" in theory:
            for name, value in zip(theory["threshold"].values, theory["threshold_load"].values, strict=True):
                ax.axhline(value, color="#000000", lw=1, ls=":")
                place, text = (line[1] / 2, value), f"theory, {name} {value:.4g}"
                ax.annotate(text, place, (0, 3), textcoords="offset points", ha="center", fontsize=8)
        ax.set_xlim(0, line[1])
        ax.set_xlabel(rf"$N^{{-{Fraction(exponent).limit_denominator(12)}}}$")
        _, height = extent(ax)
        ax.set_ylabel(wrapped(f"load at which the rate is {_level(data)}", 1.1 * height, 10))
        ax.set_title(r"$N \to \infty$ (stars)", pad=16)
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom - (0.08 * len(names) + 0.05) * (top - bottom), top + 0.05 * (top - bottom))
        ax.legend(fontsize=7.5, loc="lower right")  # in the room made below
    return ax


def _level(data: "xarray.Dataset") -> str:
    """The rate that a crossing is at: a simple fraction, or a decimal."""
    level = float(np.nanmax(data["level"].values)) if "level" in data else 0.5
    fraction = Fraction(level).limit_denominator(6)
    return str(fraction) if abs(fraction - level) < 1e-12 else f"{level:.4g}"


def phase_diagram(
    dataset: "xarray.Dataset | None" = None,
    theory: "xarray.Dataset | None" = None,
    extrapolation: "xarray.Dataset | None" = None,
    *,
    panels: Sequence[Mapping[str, Any]] | None = None,
    columns: int = 2,
) -> "Figure":
    """A figure of `curves`, one panel for each entry of `panels`, and of `finite_size` where that is given.

    Parameters
    ----------
    dataset, theory, extrapolation : xarray.Dataset
        What `curves` and `finite_size` take.
    panels : sequence of mappings, optional
        Keyword arguments of `curves`: ``variable``, ``solver``, ``select``, ``title``, ...; a panel with a ``theory``
        of its own has a legend of its own. By default a panel for each variable and solver, eight at the most:
        success rates first, then what the theory gives too, then the others.
    columns : int
    """
    if dataset is None and theory is None and not panels:
        raise reject("dataset", None, "a dataset, or a theory, or both")
    panels = default_panels(dataset, theory) if panels is None else panels
    has_limit = extrapolation is not None and "crossing" in extrapolation
    n_panels = len(panels) + has_limit
    columns = max(1, min(columns, n_panels))
    rows = -(-n_panels // columns)
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(4.6 * columns, 3.4 * rows + 0.2), layout="constrained", squeeze=False
        )
        try:
            for ax, panel in zip(axes.flat, panels, strict=False):
                curves(**{"dataset": dataset, "theory": theory, **panel}, ax=ax)
                if "theory" in panel and ax.get_legend_handles_labels()[1]:
                    ax.legend(fontsize=8.5)
            if extrapolation is not None and has_limit:
                sizes = dict.fromkeys(
                    [*(values_on(dataset, "N") if dataset is not None and "N" in dataset.dims else []),
                     *extrapolation["N"].values.tolist()]
                )  # fmt: skip
                _finite_size(extrapolation, theory, axes.flat[len(panels)], list(sizes))
        except ValueError:
            plt.close(figure)
            raise
        for ax in axes.flat[n_panels:]:
            ax.set_axis_off()
        add_legend(figure, axes.flat[: len(panels)])
    return figure


def plot_study(directory: str | Path, path: str | Path | None = None) -> Path:
    """Draw the figure of a study from the data in `directory`, by default into its ``figure.png``."""
    directory = Path(directory)
    path = directory / "figure.png" if path is None else Path(path)
    if not (directory / "study.json").is_file():
        raise reject("directory", str(directory), "a directory that `physlearn scan` has written")
    study = json.loads((directory / "study.json").read_text(encoding="utf-8"))
    wanted = study["configuration"].get("figure") or {}
    draw = resolve("figure.call", wanted.get("call", "plotting.phase_diagram"), ("plotting",))
    data = [directory / f"{name}.nc" for name in ("result", "theory", "finite_size")]
    result, *others = (read(file) if file.exists() else None for file in data)
    # The file may hold more than the study asks for: what other profiles have left.
    result = stated(result) if result is not None and "configuration" in result.attrs else result
    figure = draw(result, *others, **wanted.get("arguments", {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)
    return path
