"""Priors: the measure of a single weight, as the cavity sees it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np


class Prior(ABC):
    r"""Measure of one weight, seen through a Gaussian field.

    .. math:: Z_{in}(B, A) = \int dP_0(w)\, e^{-A w^2/2 + B w}

    All methods take arrays: `field` B and `precision` A, broadcast against each other.

    The measure need not sum to one, and entropies are relative to it: where each weight of a discrete prior has mass
    one ("the prior counts") an entropy is the logarithm of the number of configurations, and zero that of a single
    one; divided by the number of weights K, all entropies are lower by ln K. For unequal masses p the entropy of the
    teacher alone is E ln p; for a density there is no single configuration.

    Attributes
    ----------
    norm : {"fixed", "constrained", "free"}
        How w.w = N holds: by the support itself ("fixed": the precision then only adds a constant), by a Lagrange
        multiplier added to the precision ("constrained"), or not at all ("free": E w^2 is what the prior makes it).
    edges : tuple of float
        Values of the field around which the functions bend sharply; quadrature refines there.
    """

    norm: ClassVar[Literal["fixed", "constrained", "free"]] = "free"
    edges: ClassVar[tuple[float, ...]] = (0.0,)

    @abstractmethod
    def log_partition(self, field, precision):
        """Log Z_in."""

    @abstractmethod
    def mean(self, field, precision):
        """First cumulant of the weight: the derivative of log Z_in with respect to the field."""

    @abstractmethod
    def variance(self, field, precision):
        """Second cumulant of the weight: the derivative of the mean with respect to the field."""

    @abstractmethod
    def sample(self, N: int, rng: np.random.Generator) -> np.ndarray:
        """Draw N weights."""

    def estimate(self, mean: np.ndarray) -> np.ndarray:
        """The weights to deploy, given posterior means."""
        return mean


@dataclass(frozen=True)
class Binary(Prior):
    r"""Weights w = -1 or +1, each counted once: log Z_in = ln 2cosh(B) - A/2, so that free entropies count."""

    norm = "fixed"

    def log_partition(self, field, precision):
        size = np.abs(field)
        return size + np.log1p(np.exp(-2 * size)) - precision / 2

    def mean(self, field, precision):
        return np.tanh(field)

    def variance(self, field, precision):
        decay = np.exp(-2 * np.abs(field))
        return 4 * decay / (1 + decay) ** 2

    def sample(self, N, rng):
        return random_signs(1, N, rng)[0]

    def estimate(self, mean):
        return np.where(mean >= 0, 1, -1).astype(np.int8)


@dataclass(frozen=True)
class Spherical(Prior):
    r"""Weights on the sphere w.w = N, uniformly: the unit of volume is the whole sphere.

    Log Z_in = B^2/(2A) - ln(A)/2 - 1/2, with the multiplier that holds the norm included in the precision A > 0.
    """

    norm = "constrained"
    edges = ()

    def log_partition(self, field, precision):
        return field**2 / (2 * precision) - np.log(precision) / 2 - 0.5

    def mean(self, field, precision):
        return field / precision

    def variance(self, field, precision):
        return np.ones_like(field) / precision

    def sample(self, N, rng):
        weights = rng.standard_normal(N)
        return weights * np.sqrt(N / (weights @ weights))

    def estimate(self, mean):
        length = np.sqrt(np.mean(np.square(mean)))
        return mean / length if length > 0 else mean


def random_signs(P: int, N: int, rng: np.random.Generator) -> np.ndarray:
    """An int8 array (P, N) of independent signs, drawn row by row: more rows leave the first ones as they were."""
    words = rng.integers(0, np.iinfo(np.uint64).max, size=(P, -(-N // 64)), dtype=np.uint64, endpoint=True)
    bits = np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), axis=1, count=N, bitorder="little")
    signs = bits.view(np.int8)
    signs <<= 1
    signs -= 1
    return signs
