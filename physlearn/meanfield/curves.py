"""Curves: a function of the mean-field road evaluated over a grid of parameters."""

import inspect
import itertools
import numbers
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, member, reject
from physlearn.meanfield.base import OutsideDomain
from physlearn.models import Model
from physlearn.results import SaddlePoint, Status, Trajectory

if TYPE_CHECKING:
    import xarray


def curve(
    function: Callable[..., Any], model: Model | None, over: Mapping[str, Any], **fixed: Any
) -> "xarray.Dataset":
    """Evaluate `function`(model, ...) over the grid spanned by `over`; without a model, `function`(...).

    Where the function takes a `start`, each point along the last axis starts from the one before (continuation). A
    point where it has no answer (a reference beyond its largest margin) is NaN with `Status.NO_SOLUTION`, unless they
    all are.

    Parameters
    ----------
    function : callable
        Of the mean-field road: takes the model first, or none (such as `capacity`); returns a SaddlePoint, a
        Trajectory or a float.
    model : Model or None
        Its fields are the parameters that no axis varies. None for a function that takes no model.
    over : mapping of str to sequence
        Axes: fields of the model, or arguments of the function, with their values.
    **fixed
        Other arguments of the function.

    Returns
    -------
    xarray.Dataset
        Dimensions are the axes (and ``time``); the variables are the function's answers under their own names, a
        float's under the function's name; ``status`` is always there.

    Raises
    ------
    InputError
        If an axis or an argument is unknown, empty or missing, or the function makes no curve.
    """
    import xarray

    if not callable(function):
        raise reject("function", function, "a function of a model, such as replica_symmetric")
    if model is not None or _takes_a_model(function):
        member("model", model, Model, "a Model such as Perceptron(alpha)")
    member("over", over, Mapping, "a mapping of axes to their values, such as {'alpha': [0.5, 1.0]}")
    axes = {name: _axis(name, values) for name, values in over.items()}
    if not axes:
        raise reject("over", over, "at least one axis, such as {'alpha': [0.5, 1.0]}")
    arguments = _check_names(function, model, axes, fixed)
    continued = "start" in arguments and "start" not in fixed and "start" not in axes

    columns: list[dict[str, tuple]] = []
    lengths = [range(len(values)) for values in axes.values()]
    previous: Any = None
    refused: OutsideDomain | None = None
    for index in itertools.product(*lengths):
        here = {name: values[i] for (name, values), i in zip(axes.items(), index, strict=True)}
        changed = {name: value for name, value in here.items() if name not in arguments}
        there = () if model is None else (replace(model, **changed) if changed else model,)
        given = fixed | {name: value for name, value in here.items() if name in arguments}
        if continued and previous is not None and index[-1] > 0:
            given["start"] = previous
        try:
            previous = function(*there, **given)
        except OutsideDomain as refusal:
            previous, refused = None, refused or refusal
            columns.append({"status": ((), np.int8(Status.NO_SOLUTION.code))})
            continue
        columns.append(_columns(function.__name__, previous))
    if refused and all(set(column) == {"status"} for column in columns):
        raise refused
    # An axis keeps its name: a branch asked for is not overwritten by the branch found.
    data = xarray.Dataset(
        _stacked(columns, axes), coords={name: _coordinate(name, v) for name, v in axes.items()}
    )
    data.attrs = {
        "function": function.__name__,
        **({} if model is None else {"model": repr(model)}),
        **{k: repr(v) for k, v in fixed.items()},
    }
    return data


def _axis(name: str, values: Any) -> list[Any]:
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise reject(f"over[{name!r}]", values, "a sequence of values")
    entries = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not entries:
        raise reject(f"over[{name!r}]", entries, "at least one value")
    return entries


def _takes_a_model(function: Callable[..., Any]) -> bool:
    return next(iter(inspect.signature(function).parameters), None) == "model"


def _check_names(
    function: Callable[..., Any], model: Model | None, axes: Mapping, fixed: Mapping
) -> set[str]:
    """The function's arguments beyond the model; raises if a name is unknown, or one without a default is missing."""
    signature = list(inspect.signature(function).parameters.values())[0 if model is None else 1 :]
    arguments = {entry.name for entry in signature}
    parameters = set() if model is None else {entry.name for entry in fields(model)}
    of_model = "" if model is None else "fields of the model or "
    for name in axes:
        if name in fixed:
            raise InputError(
                f"over: got {name!r}, which is also given as a fixed argument; allowed: one of the two."
            )
        if name not in arguments | parameters:
            known = ", ".join(sorted(arguments | parameters))
            raise reject("over", name, f"{of_model}arguments of {function.__name__}: {known}")
    for name in fixed:
        if name not in arguments:
            raise reject("curve", name, f"arguments of {function.__name__}: {', '.join(sorted(arguments))}")
    for entry in signature:
        needed = entry.default is entry.empty and entry.kind not in (entry.VAR_POSITIONAL, entry.VAR_KEYWORD)
        if needed and entry.name not in axes and entry.name not in fixed:
            raise reject(entry.name, None, f"a value or an axis, since {function.__name__} needs it")
    return arguments


def _columns(name: str, answer: Any) -> dict[str, tuple]:
    """The answer's variables, each as its own dimensions and values."""
    if isinstance(answer, (SaddlePoint, Trajectory)):
        data = answer.to_dataset()
        columns: dict[str, tuple] = {
            str(key): (variable.dims, variable.values) for key, variable in data.variables.items()
        }
        if isinstance(answer, SaddlePoint):
            columns["branch"] = ((), np.asarray(answer.branch))
        return columns
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real):
        raise reject(
            f"function {name}", answer, "functions that return a SaddlePoint, a Trajectory or a number"
        )
    return {name: ((), np.asarray(float(answer))), "status": ((), np.int8(Status.CONVERGED.code))}


def _stacked(columns: list[dict[str, tuple]], axes: Mapping[str, list]) -> dict[str, tuple]:
    """One variable for each name met: NaN where a point has none."""
    shape = tuple(len(values) for values in axes.values())
    names = dict.fromkeys(name for column in columns for name in column)
    variables: dict[str, tuple] = {}
    for name in names:
        if name in axes:
            continue
        dims, example = next(column[name] for column in columns if name in column)
        lengths = {np.shape(column[name][1]) for column in columns if name in column}
        if len(lengths) > 1:
            raise InputError(
                f"over: got axes {', '.join(map(repr, axes))} along which {name} has shapes {sorted(lengths)}; "
                "allowed: axes that leave the lengths of trajectories alone."
            )
        if dims == (name,):
            variables[name] = (dims, example)
            continue
        absent = (dims, np.full(np.shape(example), "" if np.asarray(example).dtype.kind == "U" else np.nan))
        stack = np.stack([np.asarray(column.get(name, absent)[1]) for column in columns])
        attributes = Status.attributes() if name == "status" else {}
        variables[name] = ((*axes, *dims), stack.reshape(*shape, *stack.shape[1:]), attributes)
    return variables


def _coordinate(name: str, values: list[Any]) -> tuple:
    simple = all(isinstance(value, (int, float, str)) for value in values)
    return name, values if simple else [repr(value) for value in values]
