"""Why no weights at all can satisfy an instance, where that is plain to see."""

import math

import numpy as np

from physlearn.models.base import Instance
from physlearn.models.channels import Majority, interval
from physlearn.models.priors import Binary

# What rounding may add to a largest stability, relative to it: nothing within it is called unreachable.
_ROUNDING = 1e-9


def contradiction(instance: Instance) -> str | None:
    """The sentence why no weights satisfy the instance, or None where neither of two proofs is found.

    A pattern may be out of reach: stabilities of weights with w.w = N are at most sum_i |xi_i|/sqrt N for binary ones,
    |xi| for others. Or two gauged patterns are opposite to each other, where bounds do not let a stability and its
    negative both be. None says nothing: most instances beyond the capacity have no such patterns.
    """
    model = instance.model
    bounds = interval(model.channel)
    if bounds is None or model.prior.norm == "free" or instance.P == 0:
        return None
    beyond = np.flatnonzero(_out_of_reach(instance, bounds))
    if beyond.size:
        return f"No weights satisfy pattern {beyond[0]}."
    if max(bounds[0], -bounds[1]) >= min(bounds[1], -bounds[0]):
        pair = _opposites(instance.gauged)
        if pair:
            return f"No weights satisfy patterns {pair[0]} and {pair[1]}, which are opposite to each other."
    return None


def _out_of_reach(instance: Instance, bounds: tuple[float, float]) -> np.ndarray:
    """Of which patterns no stability is between the bounds, shape (P,)."""
    if isinstance(instance.model.channel, Majority):  # a unit agrees with some input unless that is zero
        K, D = instance.model.n_hidden, instance.N // instance.model.n_hidden
        units = instance.patterns.reshape(instance.P, -1, D)
        silent = ~units.any(axis=2).repeat(K // units.shape[1], axis=1)
        return silent.sum(axis=1) > K // 2
    lower, upper = bounds
    is_binary = isinstance(instance.model.prior, Binary)
    if is_binary and instance.patterns.dtype == np.int8:
        stabilities = np.arange(-instance.N, instance.N + 1, 2) / math.sqrt(instance.N)
        return np.full(instance.P, not ((stabilities > lower) & (stabilities < upper)).any())
    sizes = np.abs(instance.patterns.astype(np.float64))
    unit = sizes.max(axis=1, keepdims=True)
    scaled = sizes / np.where(unit > 0, unit, 1.0)  # lest squares leave the range of doubles
    reach = (
        scaled.sum(axis=1) / math.sqrt(instance.N) if is_binary else np.sqrt(np.square(scaled).sum(axis=1))
    )
    reach = reach * unit[:, 0] * (1 + _ROUNDING)
    return (reach <= lower) | (-reach >= upper)


def _opposites(gauged: np.ndarray) -> tuple[int, int] | None:
    """Two rows of which one is the other's negative."""
    seen: dict[int, int] = {}  # keyed by hashes: the rows themselves would be a copy of all patterns
    for mu, row in enumerate(gauged):
        first = seen.get(hash((-row + 0).tobytes()))  # + 0 makes all zeros positive
        if first is not None and np.array_equal(gauged[first], -row):
            return first, mu
        seen.setdefault(hash((row + 0).tobytes()), mu)
    return None
