"""What a measurement of the local entropy is: a method, a reference, and an answer at every distance."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from physlearn.inputs import InputError, member, number, reject
from physlearn.models import Binary, Instance, Model
from physlearn.models.base import checked_vector
from physlearn.random import generator
from physlearn.results import Status

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class LocalEntropy:
    """Entropies of the solutions of one instance at distances from one reference.

    Attributes
    ----------
    distances : ndarray, shape (n,)
        d, Hamming distance over N; of the replicated measure, between two replicas.
    entropies : ndarray, shape (n,)
        s(d) in nats per weight; NaN where the status says why.
    errors : ndarray, shape (n,)
        Standard errors by the method itself; zero where it has no statistical one.
    fields : ndarray, shape (n,)
        The tether's field gamma at each distance: half the slope ds/dd; NaN where none was used.
    statuses : tuple of Status
        One for every point.
    observables : dict of str to float
        What else the method tells of the whole curve.
    """

    distances: np.ndarray
    entropies: np.ndarray
    errors: np.ndarray
    fields: np.ndarray
    statuses: tuple[Status, ...]
    observables: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.distances)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"s({d:.4g}) = {s:.5f} +- {e:.1g}" if np.isfinite(s) else f"s({d:.4g}): {status.name}"
            for d, s, e, status in zip(
                self.distances, self.entropies, self.errors, self.statuses, strict=True
            )
        )
        return f"Local entropy: {shown}."

    def to_dataset(self) -> "xarray.Dataset":
        """The curve along ``distance``."""
        import xarray

        codes = np.array([status.code for status in self.statuses], dtype=np.int8)
        return xarray.Dataset(
            {
                "local_entropy": ("distance", self.entropies),
                "local_entropy_error": ("distance", self.errors),
                "field": ("distance", self.fields),
                "status": ("distance", codes, Status.attributes()),
                **self.observables,
            },
            coords={"distance": self.distances},
        )


class LocalEntropyMethod(ABC):
    """A frozen recipe that measures local entropies; `local_entropy` calls it with checked arguments.

    Attributes
    ----------
    needs_reference : bool
        Whether it measures around a given configuration; if not, it chooses one itself.
    n_draws : int
        Instances that `local_entropy_task` averages over at each of its own.
    """

    needs_reference: ClassVar[bool] = True
    n_draws: int = 1

    @abstractmethod
    def supports(self, model: Model) -> str | None:
        """None, or the sentence why this method cannot treat the model."""

    @abstractmethod
    def at_distances(
        self, instance: Instance, reference: Any, distances: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        """The entropies at these distances."""

    def at_fields(
        self, instance: Instance, reference: Any, fields: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        """The entropies, and the mean distances, of the solutions weighed with exp(field w'.w)."""
        raise InputError(f"fields: {type(self).__name__} measures at distances; give these instead.")


def local_entropy(
    instance: Instance,
    reference: Any,
    distances: Any = None,
    *,
    fields: Any = None,
    method: LocalEntropyMethod,
    rng: Any,
    allow_violations: bool = False,
) -> LocalEntropy:
    r"""Entropy of the solutions at a distance from a configuration, measured on one instance.

    .. math:: s(d) = \frac1N \ln \#\{w : E(w) = 0,\ w \cdot w' = N (1 - 2 d)\}

    Parameters
    ----------
    instance : Instance
        With binary weights.
    reference : array_like of -1 and +1, shape (N,)
        w', such as the teacher or a solution; None for the replicated measure, which chooses its own.
    distances : array_like, shape (n,), optional
        Where to measure, each in (0, 1/2]; in any order.
    fields : array_like, shape (n,), optional
        In their place: the fields gamma of the measure ~ exp(gamma w'.w) on the solutions. The answer is then at the
        mean distances, and its entropies are (1/N) ln Z - gamma (1 - 2 d).
    method : LocalEntropyMethod
        `Bethe`, `TetheredSampling`, `Counting` or `Focused`.
    rng : numpy.random.Generator or int
        Generator or seed; there is no default.
    allow_violations : bool
        Take a reference that violates constraints. It is then no solution, and nothing is known about its
        neighbourhood beforehand.

    Returns
    -------
    LocalEntropy

    Raises
    ------
    InputError
        If the method does not support the model, the reference is none of -1 and +1 or violates constraints, or a
        distance lies outside of (0, 1/2].

    References
    ----------
    theory/local-entropy/derivation.md (ME.1)-(ME.9).
    """
    member("instance", instance, Instance, "an Instance, from model.sample(N, rng)")
    member("method", method, LocalEntropyMethod, "a method such as Bethe() or TetheredSampling()")
    rng = generator(rng)
    refusal = method.supports(instance.model)
    if refusal:
        raise InputError(f"method: {refusal}")
    if instance.external is not None:
        raise reject("instance", "a tethered one", "instances without a tether, which the method adds")
    if method.needs_reference:
        reference = checked_reference(instance, reference, allow_violations)
    elif reference is not None:
        raise reject("reference", "a configuration", f"None, since {type(method).__name__} chooses its own")
    if (distances is None) == (fields is None):
        raise reject("distances", distances, "distances or fields, one of them")
    if fields is not None:
        return method.at_fields(instance, reference, _numbers("fields", fields), rng)
    return method.at_distances(instance, reference, checked_distances(distances), rng)


def checked_distances(distances: Any) -> np.ndarray:
    """Distances as an array, if each of them lies in (0, 1/2]."""
    return _numbers("distances", distances, above=0, at_most=0.5)


def _numbers(name: str, values: Any, **limits: float) -> np.ndarray:
    array = np.asarray(values, dtype=object)
    if array.ndim != 1 or not array.size:
        raise reject(name, values, "a list of numbers, at least one")
    return np.array([number(name, value, **limits) for value in array])


def checked_reference(instance: Instance, reference: Any, allow_violations: bool = False) -> np.ndarray:
    """The reference as int8, if it is made of -1 and +1 and is a solution, or need not be."""
    if reference is None:
        raise reject("reference", None, f"{instance.N} weights of -1 and +1, such as the teacher's")
    array = checked_vector("reference", reference, instance.N)
    if not (np.abs(array) == 1).all():
        raise reject("reference", f"entries such as {array[np.abs(array) != 1][0]}", "-1 and +1")
    energy = instance.model.energy(instance, array)
    if energy and not allow_violations:
        raise InputError(
            f"reference: it violates {energy} of {instance.P} constraints and is no solution; to measure around it all "
            "the same, say allow_violations=True."
        )
    return array.astype(np.int8)


def binary_refusal(name: str, model: Model) -> str | None:
    """None, or why a method that flips weights cannot treat the model."""
    if not isinstance(model.prior, Binary):
        return f"{name} needs binary weights; {type(model).__name__} has the prior {model.prior!r}."
    if not model.is_single:
        return f"{name} treats single perceptrons, which {type(model).__name__} is not."
    return model.energy_refusal and f"{name} counts zeros of the energy: {model.energy_refusal}"
