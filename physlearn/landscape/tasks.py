"""What a scan runs at each of its points: the local entropy of an instance."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from physlearn.inputs import InputError, integer, member, reject
from physlearn.landscape.base import LocalEntropy, LocalEntropyMethod, local_entropy
from physlearn.landscape.counting import Counting
from physlearn.landscape.references import reference
from physlearn.models import Instance, Model
from physlearn.random import Streams
from physlearn.results import Status

_NAMES = ("model", "solver", "N", "distance", "reference", "margin_of_reference")


def local_entropy_task(point: Mapping[str, Any], streams: Streams) -> dict[str, Any]:
    """Draw an instance, choose a reference, and measure the local entropy at all distances.

    Parameters
    ----------
    point : mapping
        ``model`` (a Model), ``solver`` (a LocalEntropyMethod), ``N``, ``distance`` (a sequence of them), ``reference``
        (a kind that `reference` knows, by default the teacher), perhaps ``margin_of_reference``, and values of fields
        of the model or the method.
    streams : Streams
        The instance is drawn from ``streams.disorder``, the rest from ``streams.dynamics``.

    Returns
    -------
    dict
        ``local_entropy``, ``local_entropy_error``, ``field`` and ``counted`` (1 where there is an entropy, 0 where its
        status says why there is none) at each distance; the method's own observables; ``load`` and ``status``, that of
        the worst distance; but of `Counting`, ``reference_found`` (1 or 0) and its smallest stability,
        ``smallest_stability``.

    Notes
    -----
    `Counting` averages the logarithm over its `n_draws` instances (a quenched average), leaving out those without a
    solution at that distance: ``counted`` is then the fraction left. Where alpha N is no whole number the entropies at
    the two neighbouring numbers of patterns are interpolated: a pattern is 5 % of the load at N = 20.
    """
    model, method = _configured(point)
    kind, margin = point.get("reference", "teacher"), point.get("margin_of_reference")
    distances = np.asarray(point.get("distance"), dtype=float)
    references: list[np.ndarray] = []

    def measure(instance: Instance) -> LocalEntropy | None:
        around = None
        if method.needs_reference:
            around = reference(instance, kind, streams.dynamics, margin=margin)
            if around is None:
                return None
            references.append(around)
        return local_entropy(instance, around, distances, method=method, rng=streams.dynamics)

    if isinstance(method, Counting):
        return _averaged(model, method, point["N"], distances, streams, measure)
    instance = model.sample(point["N"], streams.disorder)
    curve = measure(instance)
    found = {}
    if method.needs_reference:
        found = {"reference_found": float(bool(references)), "smallest_stability": math.nan}
    if references and instance.P:
        found["smallest_stability"] = float(model.stabilities(instance, references[0]).min())
    if curve is None:
        nothing = np.full(len(distances), math.nan)
        none = np.zeros(len(distances))
        return _answers(nothing, nothing, nothing, none, instance.alpha, Status.COMPLETED) | found
    counted = np.isfinite(curve.entropies)
    worst = max(curve.statuses, key=lambda status: (status is not Status.CONVERGED, status.code))
    answers = _answers(
        curve.entropies, curve.errors, curve.fields, counted.astype(float), instance.alpha, worst
    )
    return {**answers, **curve.observables, **found}


def _averaged(
    model: Model, method: Counting, N: int, distances: np.ndarray, streams: Streams, measure: Any
) -> dict[str, Any]:
    """Means over the draws, at the load alpha itself."""
    values = np.full((method.n_draws, len(distances)), math.nan)
    low = math.floor(model.alpha * N + 1e-9)
    share = model.alpha * N - low
    for k, stream in enumerate(streams.disorder.spawn(method.n_draws)):
        full = model.with_alpha((low + (share > 1e-9)) / N).sample(N, stream)
        parts = [(1.0, full)]
        if share > 1e-9:
            fewer = Instance(full.patterns[:low], full.labels[:low], full.teacher, full.model)
            parts = [(share, full), (1 - share, fewer)]
        curves = [(weight, measure(instance)) for weight, instance in parts]
        if all(curve is not None for _, curve in curves):
            values[k] = sum(weight * curve.entropies for weight, curve in curves)
    there = np.isfinite(values)
    n = there.sum(axis=0)
    mean = np.where(n > 0, np.where(there, values, 0).sum(axis=0) / np.maximum(n, 1), math.nan)
    spread = np.where(there, (values - mean) ** 2, 0).sum(axis=0) / np.maximum(n - 1, 1)
    error = np.where(n > 1, np.sqrt(spread / np.maximum(n, 1)), math.nan)
    status = Status.CONVERGED if (n > 0).all() else Status.UNSATISFIABLE
    nothing = np.full(len(distances), math.nan)
    return _answers(mean, error, nothing, n / method.n_draws, model.alpha, status)


def _answers(
    entropies: np.ndarray,
    errors: np.ndarray,
    fields: np.ndarray,
    counted: np.ndarray,
    load: float,
    status: Status,
) -> dict[str, Any]:
    return {
        "local_entropy": entropies,
        "local_entropy_error": errors,
        "field": fields,
        "counted": counted,
        "load": load,
        "status": status,
    }


def _configured(point: Mapping[str, Any]) -> tuple[Model, LocalEntropyMethod]:
    """The model and the method of a point, with the fields that the point gives."""
    model = member("model", point.get("model"), Model, "a Model such as Perceptron(alpha=0.5)")
    method = member("solver", point.get("solver"), LocalEntropyMethod, "a method such as Bethe()")
    integer("N", point.get("N"), at_least=1)
    if point.get("distance") is None:
        raise reject("distance", None, "a list of distances in (0, 1/2]")
    own = {item.name for item in dataclasses.fields(model)}
    of_method = {item.name for item in dataclasses.fields(method)}
    known = own.union(*({item.name for item in dataclasses.fields(kind)} for kind in _methods()))
    for name in point:
        if name not in known and name not in _NAMES:
            raise reject("point", name, f"{', '.join(_NAMES)}, and fields of the model or of a method")
    model = model.with_fields(**{name: value for name, value in point.items() if name in own})
    chosen = {name: value for name, value in point.items() if name in of_method}
    method = dataclasses.replace(method, **chosen)
    refusal = method.supports(model)
    if refusal:
        raise InputError(f"solver: {refusal}")
    return model, method


def _methods() -> list[Any]:
    return [kind for kind in LocalEntropyMethod.__subclasses__() if dataclasses.is_dataclass(kind)]
