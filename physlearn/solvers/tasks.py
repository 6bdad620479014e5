"""What a scan runs at each of its points."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from physlearn.inputs import InputError, integer, member, reject
from physlearn.models import Instance, Model
from physlearn.random import Streams
from physlearn.results import Result, as_variables
from physlearn.solvers.base import Solver, solve

_NAMES = ("model", "solver", "solvers", "N", "measure")


def solve_task(point: Mapping[str, Any], streams: Streams) -> dict[str, Any]:
    """Draw an instance, solve it, and tell what was measured.

    Parameters
    ----------
    point : mapping
        ``model`` (a Model), ``solver`` (a Solver, or a name among ``solvers``, a mapping of names to
        Solvers), ``N``, optionally ``measure`` (names of observables: all without it), and values of fields
        of the model or of the solver, such as ``alpha``.
    streams : Streams
        The instance is drawn from ``streams.disorder``, the solver runs on ``streams.dynamics``.

    Returns
    -------
    dict
        Those of the result's observables and ``training_error`` (energy/P) that are in ``measure`` (an
        estimate as value and ``<name>_error``), the realised ``load`` P/N, and ``status``.
    """
    model, solver = configured(point)
    instance = model.sample(point["N"], streams.disorder)
    return measured(instance, solve(instance, solver, streams.dynamics), point.get("measure"))


def measured(instance: Instance, result: Result, measure: Any = None) -> dict[str, Any]:
    """The observables of `result` named in `measure`, the realised load, and the status."""
    observables = dict(result.observables)
    if "energy" in observables and instance.P > 0:
        observables["training_error"] = observables["energy"] / instance.P
    names = observables if measure is None else [name for name in measure if name in observables]
    chosen = {name: observables[name] for name in names}
    return {**as_variables(chosen), "load": instance.alpha, "status": result.status}


def configured(point: Mapping[str, Any]) -> tuple[Model, Solver]:
    """The model and the solver of a point, with the fields that the point gives; checked, with its N."""
    model = member("model", point.get("model"), Model, "a Model such as Perceptron(alpha=1)")
    solver = point.get("solver")
    solvers = point.get("solvers") or {}
    if isinstance(solver, str):
        if solver not in solvers:
            raise reject("solver", solver, "one of " + ", ".join(map(repr, solvers)))
        solver = solvers[solver]
    member("solver", solver, Solver, "a Solver such as AMP(), or the name of one of the point's solvers")
    integer("N", point.get("N"), at_least=1)
    known = {field.name for item in (model, solver, *solvers.values()) for field in dataclasses.fields(item)}
    for name in point:
        if name not in known and name not in _NAMES:
            raise reject("point", name, f"{', '.join(_NAMES)}, and fields of the model or the solver")
    model, solver = _replaced(model, point), _replaced(solver, point)
    refusal = solver.supports(model)
    if refusal:
        raise InputError(f"solver: {refusal}")
    return model, solver


def _replaced(item: Any, point: Mapping[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(item)}
    return dataclasses.replace(item, **{name: value for name, value in point.items() if name in names})
