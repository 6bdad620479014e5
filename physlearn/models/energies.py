"""Energies: what a sampler weighs configurations with, beside the number of errors."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import keep, member, number, reject
from physlearn.models.base import Instance, checked_vector
from physlearn.models.channels import Majority


class Energy(ABC):
    r"""A sum over the patterns, :math:`E(w) = \sum_\mu e_\mu`, that falls as the stabilities Delta improve.

    The bounds of the model are called kappa and K here: a pattern is satisfied where kappa < Delta < K.
    """

    @abstractmethod
    def of_patterns(self, instance: Instance, w: np.ndarray) -> np.ndarray:
        """The terms e_mu, shape (P,), for weights w of shape (N,)."""

    def total(self, instance: Instance, w: Any) -> float:
        """E(w); for weights of shape (n_replicas, N) the sum over the replicas."""
        member("instance", instance, Instance, "an Instance")
        return float(sum(self.of_patterns(instance, each).sum() for each in np.atleast_2d(w)))


def sampled(energy: Any) -> Energy:
    """The energy, if it is one whose changes the samplers know, or an `InputError`."""
    if type(energy) not in (Errors, Linear, CrossEntropy):
        raise reject("energy", energy, "one of Errors(), Linear() and CrossEntropy(rate)")
    return energy


@dataclass(frozen=True)
class Errors(Energy):
    r"""The number of violated patterns, :math:`e_\mu = 1 - \Theta(\Delta_\mu - \kappa) \Theta(K - \Delta_\mu)`.

    What `Model.energy` gives.
    """

    def of_patterns(self, instance: Instance, w: np.ndarray) -> np.ndarray:
        lower, upper = instance.model.channel.bounds
        stabilities = instance.model.stabilities(instance, w)
        return (~((stabilities > lower) & (stabilities < upper))).astype(float)


@dataclass(frozen=True)
class Linear(Energy):
    r"""The distance to being satisfied, in units of the stability: the energy of the perceptron rule.

    .. math:: e_\mu = (\kappa - \Delta_\mu)_+ + (\Delta_\mu - K)_+, \quad (x)_+ = \max(x, 0)

    For a committee: the least total change of its units' fields that wins the vote, which turns as many of the wrong
    units as are missing, those nearest to their threshold. With :math:`\Delta_{(1)} \ge \Delta_{(2)} \ge \dots` the
    values :math:`y_\mu h_{\mu k}` of its K units in order,

    .. math:: e_\mu = \sum_{r=1}^{(K+1)/2} (-\Delta_{(r)})_+

    References
    ----------
    theory/single-flips/derivation.md (L.1), (L.5).
    """

    def of_patterns(self, instance: Instance, w: np.ndarray) -> np.ndarray:
        model = instance.model
        if isinstance(model.channel, Majority):
            w = checked_vector("w", w, instance.N)
            fields = instance.labels[:, None] * model.fields(instance.patterns, w)
            best = -np.sort(-fields, axis=1)[:, : (model.n_hidden + 1) // 2]
            return np.maximum(-best, 0).sum(axis=1)
        lower, upper = model.channel.bounds
        stabilities = model.stabilities(instance, w)
        return np.maximum(lower - stabilities, 0) + np.maximum(stabilities - upper, 0)


@dataclass(frozen=True)
class CrossEntropy(Energy):
    r"""A smooth energy, which also rewards patterns that are satisfied amply.

    .. math:: e_\mu = \frac1{2\lambda} \Big[ \ln\big(1 + e^{-2\lambda(\Delta_\mu - \kappa)}\big)
                      + \ln\big(1 + e^{-2\lambda(K - \Delta_\mu)}\big) \Big]

    with no term for a bound at infinity. Divided by 2 lambda: for a steep rate it becomes the linear energy, and the
    temperature is in the same units; 2 lambda times it is the cross-entropy of a label that is y with probability
    1/(1 + exp(-2 lambda Delta)). For a committee, Delta is that of its vote, (2a - K)/sqrt(K) for a units of K that
    agree.

    Parameters
    ----------
    rate : float
        lambda > 0.

    References
    ----------
    theory/single-flips/derivation.md (X.1).
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        keep(self, rate=number("rate", self.rate, above=0))

    def of_stabilities(self, stabilities: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
        """The terms, given the stabilities."""
        steep = 2 * self.rate
        ends = [
            sign * (end - stabilities)
            for end, sign in zip(bounds, (1, -1), strict=True)
            if math.isfinite(end)
        ]
        return sum((np.logaddexp(0, steep * x) for x in ends), start=np.zeros_like(stabilities)) / steep

    def of_patterns(self, instance: Instance, w: np.ndarray) -> np.ndarray:
        model = instance.model
        return self.of_stabilities(model.stabilities(instance, w), model.channel.bounds)
