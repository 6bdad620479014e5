"""The configurations around which one looks: the teacher, typical solutions, those of largest margin, those found."""

from typing import Any

import numpy as np

from physlearn.inputs import InputError, member, number, reject
from physlearn.models import Instance
from physlearn.random import generator
from physlearn.results import Status
from physlearn.solvers import Enumeration, EnumerationResult, Solver, solve

KINDS = ("teacher", "typical", "maximal margin")


def reference(instance: Instance, kind: Any, rng: Any, *, margin: float | None = None) -> np.ndarray | None:
    """A configuration of a kind, to measure around.

    Parameters
    ----------
    instance : Instance
    kind : {"teacher", "typical", "maximal margin"} or Solver
        The instance's teacher; a solution drawn uniformly or the one whose smallest stability is largest, both from
        enumeration, N <= 26; or what a solver finds.
    rng : numpy.random.Generator or int
    margin : float, optional
        That the reference is to have, in place of the model's: of typical solutions and of those that a solver finds.

    Returns
    -------
    ndarray of int8, shape (N,), or None
        None where the instance has no such solution, or the solver has found none.
    """
    member("instance", instance, Instance, "an Instance, from model.sample(N, rng)")
    rng = generator(rng)
    allowed = "one of " + ", ".join(map(repr, KINDS)) + ", or a Solver"
    if not isinstance(kind, Solver) and kind not in KINDS:
        raise reject("kind", kind, allowed)
    if isinstance(kind, str) and kind == "teacher":
        if instance.teacher is None:
            raise InputError("kind: got 'teacher'; allowed: another one, since this instance has no teacher.")
        return np.asarray(instance.teacher, dtype=np.int8)
    if margin is not None:
        model = instance.model.with_fields(margin=number("margin", margin))
        instance = Instance(instance.patterns, instance.labels, instance.teacher, model)
    if isinstance(kind, Solver):
        found = solve(instance, kind, rng)
        if found.weights is None or not found.observables.get("solved"):
            return None
        return found.weights.astype(np.int8)
    result = solve(instance, Enumeration(), rng)
    assert isinstance(result, EnumerationResult)
    if result.status is Status.UNSATISFIABLE:
        return None
    return result.weights if kind == "typical" else _most_stable(instance, result)


def _most_stable(instance: Instance, result: EnumerationResult) -> np.ndarray:
    """The solution whose smallest stability is largest, the first of them."""
    best, largest = None, -np.inf
    for start in range(0, len(result.solutions), 1 << 14):
        weights = result.configurations(result.solutions[start : start + (1 << 14)])
        smallest = (instance.gauged.astype(np.float64) @ weights.T).min(axis=0)
        k = int(smallest.argmax())
        if smallest[k] > largest:
            best, largest = weights[k].copy(), float(smallest[k])
    assert best is not None
    return best
