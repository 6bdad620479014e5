"""What is put around any instance or model: a tether to a reference, and replicas that attract each other."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from physlearn.inputs import choice, integer, keep, member, number, reject
from physlearn.models.base import Instance, Model, checked_vector
from physlearn.models.channels import Channel
from physlearn.models.priors import Binary

# The largest external field of a weight, far beyond that at which it is certain.
_STRONGEST = 1e6


class Tethered(Instance):
    r"""An instance whose measure is drawn towards a reference: P(w) becomes ~ P(w) exp(field sum_i w'_i w_i).

    The energy stays the number of violated patterns: the tether is no part of it.

    Solvers report of their means m the overlap S = w'.m/N, ``tether_overlap``, and of a reference of -1 and +1 the
    ``distance`` (1 - S)/2.

    Parameters
    ----------
    instance : Instance
    reference : array_like, shape (N,)
        The configuration w', such as the teacher or a solution.
    field : float
        Strength and sign; zero gives back the instance's own measure. The field on no weight may exceed 1e6.

    Attributes
    ----------
    external : ndarray, shape (N,)
        field * reference, added to that of an instance that is tethered already.
    """

    def __init__(self, instance: Instance, reference: Any, field: float) -> None:
        member("instance", instance, Instance, "an Instance")
        super().__init__(instance.patterns, instance.labels, instance.teacher, instance.model)
        self.reference = checked_vector("reference", reference, self.N)
        self.field = number("field", field)
        with np.errstate(over="ignore"):
            external = self.field * self.reference.astype(np.float64)
        self.external = external if instance.external is None else instance.external + external
        largest = float(np.abs(self.external).max())
        if largest > _STRONGEST:
            raise reject(
                "field",
                f"{self.field:g}, a field of {largest:g} on a weight",
                f"fields of at most {_STRONGEST:g}",
            )

    def observables(self, mean: np.ndarray) -> dict[str, float]:
        """Overlap of means with the reference, and, where that is of -1 and +1, the mean Hamming distance over N."""
        overlap = float(self.reference.astype(np.float64) @ mean) / self.N
        observables = {"tether_overlap": overlap}
        if (np.abs(self.reference) == 1).all():
            observables["distance"] = (1 - overlap) / 2
        return observables


@dataclass(frozen=True)
class Replicated(Model):
    r"""Replicas of a model on the same instance, attracted to each other or to a centre.

    .. math::
        P(w^1, \dots, w^y) \sim \prod_a P(w^a) \, \exp\Big(\gamma \sum_{a<b} w^a \cdot w^b\Big)
        \quad \text{or} \quad \prod_a P(w^a) \sum_{c \in \{-1, 1\}^N} \exp\Big(\gamma \sum_a c \cdot w^a\Big)

    N counts the weights of one replica, so that `sample` draws the same disorder as the model itself. An energy is that
    of one replica, given w of shape (N,), or of all, given shape (n_replicas, N).

    Parameters
    ----------
    model : Model
        With binary weights.
    n_replicas : int
        y >= 2.
    coupling : float
        gamma >= 0.
    attraction : {"pairs", "centre"}

    References
    ----------
    theory/single-flips/derivation.md (R.1), (R.3); Baldassi, Borgs, Chayes, Ingrosso, Lucibello, Saglietti & Zecchina
    2016.
    """

    alpha: float = field(init=False)
    model: Model = None  # type: ignore[assignment]
    n_replicas: int = 3
    coupling: float = 0.0
    attraction: str = "pairs"

    is_single = False

    def __post_init__(self) -> None:
        member("model", self.model, Model, "a Model such as Perceptron(alpha=0.5)")
        if isinstance(self.model, Replicated):
            raise reject("model", "Replicated", "a model without replicas")
        if not isinstance(self.model.prior, Binary):
            raise reject("model", f"one with the prior {self.model.prior!r}", "models of binary weights")
        keep(
            self,
            alpha=self.model.alpha,
            n_replicas=integer("n_replicas", self.n_replicas, at_least=2),
            coupling=number("coupling", self.coupling, at_least=0),
            attraction=choice("attraction", self.attraction, ("pairs", "centre")),
        )
        super().__post_init__()

    @property
    def prior(self):
        return self.model.prior

    @property
    def rule(self):
        return self.model.rule

    @property
    def patterns(self):
        return self.model.patterns

    @property
    def channel(self) -> Channel:
        return self.model.channel

    @property
    def teacher_channel(self) -> Channel | None:
        return self.model.teacher_channel

    @property
    def n_hidden(self) -> int:
        return self.model.n_hidden

    @property
    def energy_refusal(self) -> str | None:
        return self.model.energy_refusal

    @property
    def replication(self) -> tuple:
        return (self.n_replicas, self.coupling, self.attraction)

    def n_inputs(self, N: int) -> int:
        return self.model.n_inputs(N)

    def n_weights(self, n_inputs: int) -> int:
        return self.model.n_weights(n_inputs)

    def fields(self, patterns: np.ndarray, w: np.ndarray) -> np.ndarray:
        return self.model.fields(patterns, w)

    def stabilities(self, instance: Instance, w: Any) -> np.ndarray:
        return self.model.stabilities(instance, w)

    def energy(self, instance: Instance, w: Any) -> int:
        w = np.asarray(w)
        if w.ndim == 2:
            if len(w) != self.n_replicas:
                raise reject("w", f"shape {w.shape}", f"one replica, or {self.n_replicas} of them")
            return sum(self.model.energy(instance, replica) for replica in w)
        return self.model.energy(instance, w)

    def teacher_observables(self, instance: Instance, w: np.ndarray) -> dict[str, float]:
        return self.model.teacher_observables(instance, w)

    def with_alpha(self, alpha: float) -> "Replicated":
        return self.with_fields(alpha=alpha)

    def with_fields(self, **values: Any) -> "Replicated":
        """The same with other values of its fields or of the model's."""
        own = {name: values.pop(name) for name in ("n_replicas", "coupling", "attraction") if name in values}
        kept: dict[str, Any] = {
            name: getattr(self, name) for name in ("n_replicas", "coupling", "attraction")
        }
        return Replicated(self.model.with_fields(**values), **(kept | own))

    @property
    def _has_ties(self) -> bool:
        return self.model._has_ties
