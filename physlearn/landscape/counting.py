"""Exact enumeration: how many solutions there are at each number of flips from a reference."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from physlearn.inputs import choice, integer, keep
from physlearn.landscape.base import LocalEntropy, LocalEntropyMethod
from physlearn.models import Instance, Model
from physlearn.results import Status
from physlearn.solvers import Enumeration, EnumerationResult, solve

_STRONGEST = 20.0  # field, at which a single configuration of N <= 26 outweighs all others
_HALVINGS = 50


@dataclass(frozen=True)
class Counting(LocalEntropyMethod):
    r"""All 2^N configurations, N <= 26: the number of solutions k flips away from the reference, exactly.

    At N = 21 the logarithm of the binomial coefficient alone is 12 to 15 % below its limit. What is reported compares
    with all configurations at that distance,

    .. math:: s(k/N) = \frac1N \ln \frac{n_k}{\binom Nk} + h(k/N), \quad h(d) = -d \ln d - (1 - d) \ln(1 - d)

    and between two numbers of flips the first term is interpolated linearly. With +-1 patterns it goes up and down with
    the parity of k. The tethered ensemble sums over both, and is what `Bethe` and `TetheredSampling` measure,

    .. math:: s(d) = \min_\gamma [\phi(\gamma) - \gamma (1 - 2 d)], \quad
              \phi = \frac1N \ln \sum_k n_k e^{\gamma (N - 2 k)}

    At given fields the sums are those of the tethered measure in either case.

    Parameters
    ----------
    ensemble : {"distance", "tethered"}
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

    ensemble: str = "distance"
    n_draws: int = 1

    def __post_init__(self) -> None:
        keep(self, ensemble=choice("ensemble", self.ensemble, ("distance", "tethered")))
        keep(self, n_draws=integer("n_draws", self.n_draws, at_least=1))

    def supports(self, model: Model) -> str | None:
        refusal = Enumeration().supports(model)
        return refusal and refusal.replace("Enumeration", "Counting")

    def at_distances(
        self, instance: Instance, reference: Any, distances: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        counts = _enumerated(instance, rng).distances(reference)
        if self.ensemble == "tethered":
            return _curve(distances, *legendre(counts, distances))
        return _curve(distances, binary_entropy(distances) + log_fractions(counts, distances))

    def at_fields(
        self, instance: Instance, reference: Any, fields: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        counts = _enumerated(instance, rng).distances(reference)
        if not counts.any():
            return _curve(np.full(len(fields), math.nan), np.full(len(fields), math.nan), fields)
        phi, d = _tethered(counts, fields)
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


def _tethered(counts: np.ndarray, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """phi and the mean distance at each field, from counts of shape (N + 1,)."""
    N, k = len(counts) - 1, np.flatnonzero(counts)
    exponents = np.log(counts[k]) + np.asarray(fields)[:, None] * (N - 2 * k)
    phi = np.logaddexp.reduce(exponents, axis=1) / N
    return phi, (np.exp(exponents - N * phi[:, None]) @ k) / N


def legendre(counts: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entropies of the tethered ensemble and fields at distances inside those that are counted; NaN elsewhere."""
    found = np.full((2, len(distances)), math.nan)
    there = np.flatnonzero(counts) / (len(counts) - 1)
    inside = np.flatnonzero((distances > there.min(initial=1)) & (distances < there.max(initial=0)))
    low, high = np.full(len(inside), -_STRONGEST), np.full(len(inside), _STRONGEST)
    for _ in range(_HALVINGS if inside.size else 0):
        middle = (low + high) / 2
        near = _tethered(counts, middle)[1] < distances[inside]
        low, high = np.where(near, low, middle), np.where(near, middle, high)
    if inside.size:
        phi = _tethered(counts, high)[0]
        found[:, inside] = phi - high * (1 - 2 * distances[inside]), high
    return found[0], found[1]


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
