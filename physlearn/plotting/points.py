"""What simulations draw: means over the instances of the disorder, with their errors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.plotting.selection import at
from physlearn.plotting.style import MARKERS, look, named
from physlearn.scan.variables import is_rate

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


def draw_points(
    ax: "Axes",
    dataset: "xarray.Dataset",
    variable: str,
    x: str,
    series: str | None,
    values: Sequence[Any],
) -> None:
    """Markers for each of `values` along the axis `series`, and for each solver if there is more than one."""
    rate = is_rate(dataset[variable])
    solvers = dataset["solver"].values.tolist() if "solver" in dataset[variable].dims else [None]
    series = series if series in dataset[variable].dims else None
    # Each solver has markers of its own, as long as there are enough of them.
    step = max(1, min(len(values), len(MARKERS) // len(solvers)))
    for j, solver in enumerate(solvers):
        of_solver = dataset if solver is None else dataset.isel(solver=j)
        for k, value in enumerate(values if series is not None else [None]):
            data = of_solver if series is None else at(of_solver, series, value, "select")
            if not np.isfinite(data[variable].values).any():
                continue
            parts = [str(solver)] if solver is not None else []
            parts += [named(series, value)] if series is not None else []
            # Where all have one value, colours tell solvers apart.
            style = look(j, len(solvers)) if len(values) == 1 else look(k, len(values), j * step)
            places, mean, errors = _placed(data, variable, x, rate)
            points(ax, places, mean, errors, style, ", ".join(parts))
            if len(values) == 1 and len(solvers) > 1:
                # A faint line for the eye, where markers of several solvers cover one another.
                there = np.isfinite(mean)
                ax.plot(places[there], mean[there], "-", color=style[0], lw=0.8, alpha=0.5, zorder=2)


def points(ax: "Axes", x: Any, y: Any, error: Any, style: tuple[str, str], label: str | None) -> None:
    """Open markers of a colour and a shape, with error bars."""
    colour, marker = style
    ax.errorbar(
        x, np.atleast_1d(y), np.atleast_1d(error) if np.isfinite(error).any() else None, fmt=marker,
        color=colour, mfc="white", mew=1.2, elinewidth=1, label=label or None, zorder=3,
    )  # fmt: skip


def _placed(
    data: "xarray.Dataset", variable: str, x: str, rate: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the points are along `x`, their values, and the errors below and above."""
    samples = _samples(data, variable, x)
    mean, errors = mean_and_error(samples, rate)
    if f"{variable}_error" in data:
        # A single instance says nothing of its error, but its own measurement may.
        alone = np.isfinite(samples).sum(axis=-1) == 1
        own = _samples(data, f"{variable}_error", x)
        own = np.where(np.isfinite(own) & np.isfinite(samples), own, 0).sum(axis=-1)
        errors = np.where(alone & (own > 0), own, errors)
    places = data[x].values.astype(float)
    if x == "alpha" and "load" in data:
        # At small N the realised load is not the one asked for.
        loads, _ = mean_and_error(_samples(data, "load", x), False)
        places = np.where(np.isfinite(loads), loads, places)
    return places, mean, errors


def _samples(data: "xarray.Dataset", variable: str, x: str) -> np.ndarray:
    """Values of shape (points, instances), whatever the dimensions' order."""
    values = data[variable]
    if "instance" not in values.dims:
        values = values.expand_dims("instance")
    if x not in values.dims:
        values = values.expand_dims({x: data[x].values})
    return values.transpose(x, "instance").values.astype(float)


def mean_and_error(samples: np.ndarray, rate: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the last axis, and how far one standard error reaches below and above it, shape (2, n).

    The error of a rate is Wilson's; that of a mean over less than two samples is NaN.
    """
    present = np.isfinite(samples)
    count = present.sum(axis=-1)
    n = np.maximum(count, 1)
    filled = np.where(present, samples, 0)
    mean = np.where(count > 0, filled.sum(axis=-1) / n, np.nan)
    if rate:
        centre = (mean + 0.5 / n) / (1 + 1 / n)
        half = np.sqrt(mean * (1 - mean) / n + 0.25 / n**2) / (1 + 1 / n)
        return mean, np.abs(np.stack([mean - (centre - half), centre + half - mean]))
    spread = np.where(present, (samples - mean[..., None]) ** 2, 0).sum(axis=-1) / np.maximum(n - 1, 1)
    error = np.where(count > 1, np.sqrt(spread / n), np.nan)
    return mean, np.stack([error] * 2)
