"""Exact enumeration: how many solutions there are at each number of flips from a reference."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from physlearn.inputs import integer, keep
from physlearn.landscape.base import LocalEntropy, LocalEntropyMethod
from physlearn.models import Instance, Model
from physlearn.results import Status
from physlearn.solvers import Enumeration, EnumerationResult, solve


@dataclass(frozen=True)
class Counting(LocalEntropyMethod):
    r"""All 2^N configurations, N <= 26: the number of solutions k flips away from the reference, exactly.

    At N = 21 the logarithm of the binomial coefficient alone is 12 to 15 % below its limit. What is reported compares
    with all configurations at that distance,

    .. math:: s(k/N) = \frac1N \ln \frac{n_k}{\binom Nk} + h(k/N), \quad h(d) = -d \ln d - (1 - d) \ln(1 - d)

    and between two numbers of flips the first term is interpolated linearly. At given fields the sums are those of the
    tethered measure, without any such correction.

    Parameters
    ----------
    n_draws : int
        Instances of the disorder that `local_entropy_task` averages over at each of its own.

    Notes
    -----
    UNSATISFIABLE, with NaN, at distances where there is no solution, or none at one of the two neighbouring numbers of
    flips. The errors are zero.

    References
    ----------
    theory/local-entropy/derivation.md (ME.8), (ME.9).
    """

    n_draws: int = 1

    def __post_init__(self) -> None:
        keep(self, n_draws=integer("n_draws", self.n_draws, at_least=1))

    def supports(self, model: Model) -> str | None:
        refusal = Enumeration().supports(model)
        return refusal and refusal.replace("Enumeration", "Counting")

    def at_distances(
        self, instance: Instance, reference: Any, distances: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        counts = _enumerated(instance, rng).distances(reference)
        return _curve(distances, binary_entropy(distances) + log_fractions(counts, distances))

    def at_fields(
        self, instance: Instance, reference: Any, fields: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        counts = _enumerated(instance, rng).distances(reference)
        N, k = instance.N, np.flatnonzero(counts)
        if not k.size:
            return _curve(np.full(len(fields), math.nan), np.full(len(fields), math.nan), fields)
        exponents = np.log(counts[k]) + fields[:, None] * (N - 2 * k)
        phi = np.logaddexp.reduce(exponents, axis=1) / N
        d = (np.exp(exponents - N * phi[:, None]) @ k) / N
        return _curve(d, phi - fields * (1 - 2 * d), fields)


def _enumerated(instance: Instance, rng: np.random.Generator) -> EnumerationResult:
    result = solve(instance, Enumeration(), rng)
    assert isinstance(result, EnumerationResult)
    return result


def _curve(distances: np.ndarray, entropies: np.ndarray, fields: np.ndarray | None = None) -> LocalEntropy:
    there = np.isfinite(entropies)
    entropies = np.where(there, entropies, math.nan)
    statuses = tuple(Status.CONVERGED if found else Status.UNSATISFIABLE for found in there)
    fields = np.full(len(distances), math.nan) if fields is None else fields
    return LocalEntropy(distances, entropies, np.where(there, 0.0, math.nan), fields, statuses)


def log_fractions(counts: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(1/N) ln of the fraction of configurations at each distance that are solutions, from counts of shape (N + 1,)."""
    N = len(counts) - 1
    k = np.arange(N + 1)
    with np.errstate(divide="ignore"):
        logs = (np.log(counts) - gammaln(N + 1) + gammaln(k + 1) + gammaln(N - k + 1)) / N
    places = np.asarray(distances) * N
    low = np.minimum(np.floor(places + 1e-9).astype(int), N - 1)
    share = np.where(np.abs(places - low) < 1e-9, 0.0, places - low)
    # Zero times minus infinity, where the distance is a whole number of flips, would be no number.
    upper = np.where(share > 0, logs[low + 1], 0.0)
    return (1 - share) * logs[low] + share * upper


def binary_entropy(d: np.ndarray) -> np.ndarray:
    """h(d), in nats."""
    return -d * np.log(d) - (1 - d) * np.log1p(-d)
