"""What a scan runs at each of its points."""

import dataclasses
from collections.abc import Generator, Mapping
from typing import Any

from physlearn.inputs import InputError, integer, member, reject
from physlearn.models import Instance, Model
from physlearn.random import Streams
from physlearn.results import Result
from physlearn.solvers.base import Solver, sweeps

_NAMES = ("model", "solver", "N")


def solve_task(
    point: Mapping[str, Any], streams: Streams, checkpoint: Any = None
) -> Generator[tuple[Any, Any], None, dict[str, Any]]:
    """Draw an instance, solve it, and tell what was measured.

    Parameters
    ----------
    point : mapping
        ``model`` (a Model), ``solver`` (a Solver), ``N``, and values of fields of the model or of the solver, such
        as ``alpha``.
    streams : Streams
        The instance is drawn from ``streams.disorder``, the solver runs on ``streams.dynamics``.
    checkpoint : optional
        What an earlier run of the same task has yielded last: it goes on from there.

    Yields
    ------
    tuple
        The solver's state after a sweep, and its generator.

    Returns
    -------
    dict
        The result's observables and ``training_error`` (energy/P), the realised ``load`` P/N, and ``status``.
    """
    model, solver = configured(point)
    instance = model.sample(point["N"], streams.disorder)
    state, rng = (None, streams.dynamics) if checkpoint is None else checkpoint
    result = yield from sweeps(instance, solver, rng, state=state)
    return measured(instance, result)


def measured(instance: Instance, result: Result) -> dict[str, Any]:
    """The observables of `result`, the realised load, and the status."""
    observables = dict(result.observables)
    if "energy" in observables and instance.P > 0:
        observables["training_error"] = observables["energy"] / instance.P
    return {**observables, "load": instance.alpha, "status": result.status}


def configured(point: Mapping[str, Any]) -> tuple[Model, Solver]:
    """The model and the solver of a point, with the fields that the point gives; checked, with its N."""
    model = member("model", point.get("model"), Model, "a Model such as Perceptron(alpha=1)")
    solver = member("solver", point.get("solver"), Solver, "a Solver such as AMP()")
    integer("N", point.get("N"), at_least=1)
    # An axis may be a field of another solver of the same scan.
    inner = getattr(model, "model", model)  # that of replicas, whose fields are as good as their own
    known = {field.name for item in (model, inner, solver, *_solvers()) for field in dataclasses.fields(item)}
    for name in point:
        if name not in known and name not in _NAMES:
            raise reject("point", name, f"{', '.join(_NAMES)}, and fields of the model or of a solver")
    model = model.with_fields(**_of(model, point) | _of(inner, point))
    solver = dataclasses.replace(solver, **_of(solver, point))
    refusal = solver.supports(model)
    if refusal:
        raise InputError(f"solver: {refusal}")
    return model, solver


def _of(item: Any, point: Mapping[str, Any]) -> dict[str, Any]:
    """What a point says of the fields of a model or solver."""
    names = {field.name for field in dataclasses.fields(item) if field.name != "model"}
    return {name: value for name, value in point.items() if name in names}


def _solvers(kind: type[Solver] = Solver) -> list[type[Solver]]:
    """All kinds of solvers that there are."""
    below = [item for each in kind.__subclasses__() for item in _solvers(each)]
    return [*below, kind] if dataclasses.is_dataclass(kind) else below
