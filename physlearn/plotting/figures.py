"""Panels and figures: what `physlearn.plotting` offers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from physlearn.inputs import reject
from physlearn.plotting.crossings import (
    axis_of_limits,
    draw_crossings,
    draw_limits,
    extrapolations,
    same_range,
)
from physlearn.plotting.legends import add_legend
from physlearn.plotting.lines import draw_theory, draw_thresholds
from physlearn.plotting.points import draw_points
from physlearn.plotting.selection import (
    MOST_PANELS,
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
from physlearn.plotting.style import STYLE, extent, label, rate_label, wrapped
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


def phase_diagram(
    dataset: "xarray.Dataset | None" = None,
    theory: "xarray.Dataset | None" = None,
    extrapolation: "xarray.Dataset | None" = None,
    *,
    panels: Sequence[Mapping[str, Any]] | None = None,
    columns: int = 2,
) -> "Figure":
    """A figure of `curves`, one panel for each entry of `panels`, and of `finite_size` where that is given.

    Where the extrapolation has an axis beside the solvers, each of its values has a panel (unless there are more than
    twelve), and a last one shows the limits against it.

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
    limits = extrapolations(extrapolation)
    limits = limits if len(limits) <= MOST_PANELS else []
    over = axis_of_limits(extrapolation)
    n_panels = len(panels) + len(limits) + (over is not None)
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
            sizes = dict.fromkeys(
                [*(values_on(dataset, "N") if dataset is not None and "N" in dataset.dims else []),
                 *(extrapolation["N"].values.tolist() if extrapolation is not None and limits else [])]
            )  # fmt: skip
            free = list(axes.flat[len(panels) : n_panels])
            for ax, (title, part) in zip(free, limits, strict=False):
                draw_crossings(part, theory, ax, list(sizes), title)
            same_range(free[: len(limits)])
            if extrapolation is not None and over is not None:
                draw_limits(extrapolation, over, free[-1])
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
