"""One quantity measured in several ways against theory, on one axis: each solver at one size, or in the limit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from physlearn.inputs import reject
from physlearn.plotting.legends import add_legend
from physlearn.plotting.lines import draw_theory
from physlearn.plotting.points import mean_and_error, points
from physlearn.plotting.selection import at, select_in
from physlearn.plotting.style import STYLE, extent, label, look, wrapped

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KEYS = ("solver", "N", "theory")


def several_ways(
    dataset: "xarray.Dataset | None" = None,
    theory: "xarray.Dataset | None" = None,
    extrapolation: "xarray.Dataset | None" = None,
    *,
    panels: Sequence[Mapping[str, Any]],
    ways: Sequence[Mapping[str, Any]],
    columns: int = 3,
) -> "Figure":
    """A figure whose panels show the same quantity by several solvers, each with the theory that it compares with.

    Parameters
    ----------
    dataset, theory, extrapolation : xarray.Dataset
        Of a study; the last one as its ``[finite_size]`` gives a variable's limit.
    panels : sequence of mappings
        ``variable``, ``x``, ``select``, ``title``, ``limits``, as in `curves`; with ``solver`` only this one is shown,
        else all whose theory is that of the first.
    ways : sequence of mappings
        ``solver``, ``N`` (a size, or "limit" for the extrapolation), ``theory`` (which curve stands beside it).
    columns : int
    """
    if dataset is None:
        raise reject("dataset", None, "the dataset of a scan")
    for k, way in enumerate(ways):
        if set(way) != set(_KEYS):
            raise reject(f"ways[{k}]", sorted(way), "tables with " + ", ".join(_KEYS))
    columns = max(1, min(columns, len(panels)))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.9 * columns, 3.4 * rows + 0.2), layout="constrained", squeeze=False
        )
        try:
            for ax, panel in zip(axes.flat, panels, strict=False):
                _draw(ax, dataset, theory, extrapolation, panel, ways)
        except ValueError:
            plt.close(figure)
            raise
        for ax in axes.flat[len(panels) :]:
            ax.set_axis_off()
        add_legend(figure, axes.flat[: len(panels)])
    return figure


def _draw(
    ax: "Axes",
    dataset: "xarray.Dataset",
    theory: "xarray.Dataset | None",
    extrapolation: "xarray.Dataset | None",
    panel: Mapping[str, Any],
    ways: Sequence[Mapping[str, Any]],
) -> None:
    variable, x = panel["variable"], panel["x"]
    alone = panel.get("solver")
    shown = [
        way
        for way in ways
        if way["solver"] == alone or (alone is None and way["theory"] == ways[0]["theory"])
    ]
    sources = select_in((dataset, theory, extrapolation), panel.get("select", {}))
    for curve in dict.fromkeys(way["theory"] for way in shown):
        if sources[1] is not None and variable in sources[1]:
            part = at(sources[1], "theory", curve, "theory")[[variable]]
            part = part.isel({x: np.isfinite(part[variable].values)})
            draw_theory(ax, part.expand_dims(theory=[curve]), variable, x, None, [None], True)
    for way in shown:
        style = look(list(map(str, ways)).index(str(way)), max(len(ways), 2))
        if way["N"] == "limit":
            if sources[2] is not None and variable in sources[2]:
                data = at(sources[2], "solver", way["solver"], "ways")
                points(
                    ax, data[x].values, data[variable].values, data[f"{variable}_error"].values, style,
                    rf"{way['solver']}, N $\rightarrow\infty$",
                )  # fmt: skip
            continue
        assert sources[0] is not None
        data = at(at(sources[0], "solver", way["solver"], "ways"), "N", way["N"], "ways")
        if np.isfinite(data[variable].values).any():
            _points(ax, data, variable, x, style, f"{way['solver']}, N = {way['N']}")
    assert sources[0] is not None
    ax.set_xlabel(label(sources[0][x]) if not alone else "fraction of weights that differ")
    width, height = extent(ax)
    ax.set_ylabel(wrapped(label(sources[0][variable]), 1.1 * height, 10))
    ax.set_xlabel(wrapped(ax.get_xlabel(), 1.15 * width, 10))
    ax.set_title(wrapped(panel.get("title", ""), 1.1 * width, 10.5))
    if "limits" in panel:
        ax.set_ylim(*panel["limits"])


def _points(
    ax: "Axes", data: "xarray.Dataset", variable: str, x: str, style: tuple[str, str], text: str
) -> None:
    """Means over the instances with their errors."""
    samples = data[variable].transpose(x, "instance").values
    mean, errors = mean_and_error(samples, False)
    points(ax, data[x].values, mean, errors, style, text)
