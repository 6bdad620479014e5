"""Which part of the data a panel shows: its variable, its axis, and the axis whose values have a colour each."""

import itertools
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import member, reject
from physlearn.plotting.style import named
from physlearn.scan.variables import is_rate, main_axis, measured, numeric_axes

if TYPE_CHECKING:
    import xarray

MOST_PANELS = 12  # that are drawn where none are asked for
_KNOWN = ("instance", "solver", "theory", "threshold")


def values_on(data: Any, axis: str) -> list[Any]:
    """The coordinates along a dimension, or its indices where it has none."""
    return data[axis].values.tolist() if axis in data.coords else list(range(data.sizes[axis]))


def at(data: "xarray.Dataset", axis: str, value: Any, field: str) -> "xarray.Dataset":
    """`data` at one value of an axis, if that is one of its dimensions."""
    if axis not in data.dims:
        return data
    places = [k for k, known in enumerate(values_on(data, axis)) if _same(known, value)]
    if not places:
        raise reject(f"{field}.{axis}", value, _one_of(values_on(data, axis)))
    return data.isel({axis: places[0]})


def select_in(
    sources: "tuple[xarray.Dataset | None, ...]", select: Any
) -> "tuple[xarray.Dataset | None, ...]":
    """Each of `sources` at the values that `select` gives for axes, of which one source at least must have each."""
    for axis, value in member("select", select, Mapping, "axes with a value each").items():
        axes = dict.fromkeys(
            str(name) for data in sources if data is not None for name in data.dims if name != "threshold"
        )
        if axis not in axes:
            raise reject(f"select.{axis}", value, "axes " + ", ".join(axes))
        sources = tuple(data if data is None else at(data, axis, value, "select") for data in sources)
    return sources


def default_variable(dataset: "xarray.Dataset | None", theory: "xarray.Dataset | None") -> str:
    """The first variable that both hold, else the first of the data, else of the theory."""
    simulated = measured(dataset) if dataset is not None else []
    calculated = measured(theory) if theory is not None else []
    shared = [
        name for name in simulated if name in calculated and dataset is not None and is_of(dataset, name)
    ]
    for names in (shared, simulated, calculated):
        if names:
            return names[0]
    raise reject("variable", None, "a variable, of which the data hold none")


def is_of(dataset: "xarray.Dataset", name: str) -> bool:
    """Whether the theory's `name` is what was measured: for message passing, whose weights are no sample of the
    measure, the error of its weights is the theory's ``generalization_error_amp``.
    """
    marks = [dataset.get(f"generalization_error_{kind}") for kind in ("amp", "bayes")]
    return name != "generalization_error" or not any(
        mark is not None and np.isfinite(mark.values).any() for mark in marks
    )


def axis_for(x: str | None, points: "xarray.DataArray | None", lines: "xarray.DataArray | None") -> str:
    """The horizontal axis: `x` if it is one of the data, by default the one that `main_axis` finds."""
    sources = [data for data in (points, lines) if data is not None]
    x = main_axis(*sources) if x is None else x
    axes = numeric_axes(sources[0])
    if x not in axes:
        raise reject("x", x, "one of " + (", ".join(axes) or "the numeric axes, of which the data have none"))
    return x


def roles(
    x: str, points: "xarray.DataArray | None", lines: "xarray.DataArray | None"
) -> tuple[str | None, dict[str, list[Any]]]:
    """The axis whose values have a colour each, and the axes left, of which a single value can be shown."""
    sources = [data for data in (points, lines) if data is not None]
    first, *others = [
        [str(name) for name in data.dims if name != x and name not in _KNOWN] for data in sources
    ]
    long = [name for name in first if sources[0].sizes[name] > 1]
    # The size has the colours; where it is not varied, the one other axis takes its role.
    ranked = sorted(long or first, key=lambda name: name != "N")
    series = ranked[0] if ranked else None
    left = {name: values_on(sources[0], name) for name in long if name != series}
    for data, names in zip(sources[1:], others, strict=True):
        left |= {
            name: values_on(data, name)
            for name in names
            if data.sizes[name] > 1 and name != series and name not in left
        }
    return series, left


def beside(
    theory: "xarray.Dataset", dataset: "xarray.Dataset | None", variable: str, x: str
) -> "xarray.Dataset":
    """The theory at the parameters that the simulation holds fixed."""
    if dataset is None:
        return theory
    for axis in map(str, theory[variable].dims):
        if axis not in (x, *_KNOWN) and axis in dataset.coords and dataset[axis].ndim == 0:
            theory = at(theory, axis, dataset[axis].item(), "theory")
    return theory


def one_value_needed(left: Mapping[str, list[Any]]) -> None:
    """Raise an `InputError` if there are axes of which a value must be selected."""
    for axis, values in left.items():
        raise reject(f"select.{axis}", None, _one_of(values))


def squeezed(data: "xarray.Dataset", keep: tuple[str | None, ...]) -> "xarray.Dataset":
    """`data` without those dimensions of length one that play no role."""
    return data.isel({name: 0 for name, size in data.sizes.items() if size == 1 and name not in keep})


def default_panels(dataset: "xarray.Dataset | None", theory: "xarray.Dataset | None") -> list[dict[str, Any]]:
    """A panel for each variable and solver: rates first, then what the theory gives too, then the others."""
    calculated = measured(theory) if theory is not None else []
    if dataset is None or not measured(dataset):
        return [{"variable": name} for name in calculated[:MOST_PANELS]] or [{}]
    ranked = sorted(measured(dataset), key=lambda name: (not is_rate(dataset[name]), name not in calculated))
    panels: list[dict[str, Any]] = []
    for name in ranked:
        solvers = values_on(dataset, "solver") if "solver" in dataset[name].dims else [None]
        lines = theory[name] if theory is not None and name in calculated else None
        x = main_axis(*(data for data in (dataset[name], lines) if data is not None))
        left: dict[str, list[Any]] = {}
        if x is not None:
            if theory is not None and lines is not None:
                lines = beside(theory, dataset, name, x)[name]
            _, left = roles(x, dataset[name], lines)
        if np.prod([len(values) for values in left.values()]) > MOST_PANELS:
            left = {}
        for solver, *values in itertools.product(solvers, *left.values()):
            select = dict(zip(left, values, strict=True))
            shown = dataset if solver is None else dataset.sel(solver=solver)
            for axis, value in select.items():
                shown = at(shown, axis, value, "select")
            if not np.isfinite(shown[name].values).any() or not is_of(shown, name):
                continue
            title = ", ".join([*([str(solver)] if solver is not None else []), *map(named, left, values)])
            panels.append({"variable": name, "solver": solver, "select": select, "title": title})
    if len(panels) > MOST_PANELS:
        left_out = dict.fromkeys(panel["variable"] for panel in panels[MOST_PANELS:])
        warnings.warn(
            f"{MOST_PANELS} of {len(panels)} panels are drawn, without some of {', '.join(left_out)}: ask for panels.",
            stacklevel=3,
        )
    return panels[:MOST_PANELS] or [{"solver": None}]


def _same(known: Any, value: Any) -> bool:
    if isinstance(known, str) or isinstance(value, str):
        return bool(known == value)
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return bool(np.isclose(known, value, rtol=1e-9, atol=1e-12))
    return False


def _one_of(values: list[Any]) -> str:
    shown = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values]
    if len(shown) > 12:
        shown = [*shown[:6], "...", shown[-1]]
    return "one of " + ", ".join(shown)
