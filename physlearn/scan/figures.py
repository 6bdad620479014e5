"""What a study says of its figure, checked against the function that draws it, before anything is run."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from physlearn.inputs import choice, integer, member, number, reject
from physlearn.scan.names import resolve

# What a study's data and axes give; the rest of a panel's keys are plotting's.
_DATA = ("dataset", "theory", "extrapolation", "ax")


def draws_studies(function: Callable[..., Any]) -> bool:
    """Whether `function` takes a study's result, theory and extrapolation, and panels."""
    parameters = list(inspect.signature(function).parameters)
    return parameters[:3] == ["dataset", "theory", "extrapolation"] and "panels" in parameters


def check_figure(
    figure: Mapping[str, Any],
    variables: Sequence[str],
    solvers: Sequence[str],
    axes: Sequence[str] | Mapping[str, Sequence[Any]],
) -> None:
    """Raise an `InputError` unless the table ``[figure]`` is one that can be drawn.

    Parameters
    ----------
    figure : mapping
        ``call`` and ``arguments``.
    variables, solvers : sequences of str
        What the study measures, and the names of its solvers.
    axes : sequence of str, or mapping of str to sequence
        What its panels may be drawn against, and what they may select: if it is a mapping, one of the axis' values.
    """
    draw = resolve("figure.call", figure["call"], ("plotting",), draws_studies)
    arguments = figure.get("arguments", {})
    _check_names("figure.arguments", arguments, draw)
    if "columns" in arguments:
        integer("figure.arguments.columns", arguments["columns"], at_least=1, at_most=20)
    if "panels" not in arguments:
        return
    panels = arguments["panels"]
    if not isinstance(panels, list) or not panels:
        raise reject("figure.arguments.panels", panels, 'a list of tables such as {variable = "energy"}')
    draw_panel = resolve("figure", "plotting.curves", ("plotting",))
    along = tuple(name for name in axes if name != "N")  # sizes have colours, or one of them a panel
    for k, panel in enumerate(panels):
        field = f"figure.arguments.panels[{k}]"
        member(field, panel, dict, 'tables such as {variable = "energy"}')
        _check_names(field, panel, draw_panel)
        for key, options in (("variable", variables), ("solver", solvers), ("x", along)):
            if key in panel:
                choice(f"{field}.{key}", panel[key], options)
        for key in ("title", "theory_variable"):
            if key in panel:
                member(f"{field}.{key}", panel[key], str, "a string")
        if "limits" in panel:
            _check_limits(f"{field}.limits", panel["limits"])
        if "select" in panel:
            _check_select(f"{field}.select", panel["select"], axes)


def _check_select(field: str, select: Any, axes: Sequence[str] | Mapping[str, Sequence[Any]]) -> None:
    for name, value in member(field, select, dict, "a table such as {margin = 0.5}").items():
        if name not in axes:
            raise reject(f"{field}.{name}", value, "axes " + ", ".join(axes))
        if isinstance(axes, Mapping) and value not in axes[name]:
            raise reject(f"{field}.{name}", value, "one of " + ", ".join(map(repr, axes[name])))
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise reject(f"{field}.{name}", value, "a number or a string")


def _check_names(field: str, arguments: Any, function: Callable[..., Any]) -> None:
    parameters = {
        name: item for name, item in inspect.signature(function).parameters.items() if name not in _DATA
    }
    for name, value in member(field, arguments, dict, "a table").items():
        if name not in parameters:
            raise reject(f"{field}.{name}", value, "keys " + ", ".join(parameters))
    for name, item in parameters.items():
        if item.default is item.empty and name not in arguments:
            raise reject(f"{field}.{name}", None, f"a value, since {function.__name__} needs it")


def _check_limits(field: str, limits: Any) -> None:
    allowed = "two increasing numbers"
    if not isinstance(limits, list) or len(limits) != 2:
        raise reject(field, limits, allowed)
    low, high = (number(field, value) for value in limits)
    if low >= high:
        raise reject(field, limits, allowed)
