"""Flips whose energy change is a scan of all patterns: real patterns, and the cross-entropy of +-1 ones."""

import math
from typing import Any, NamedTuple

import numpy as np

from physlearn.kernels.flips import helper, inlined, register

_LANES = 64  # sums that run side by side, so that their order is fixed and the loops vectorise


class SignTable(NamedTuple):
    """Any function of the stability, for a perceptron with +-1 patterns: a table over the counters of `SignErrors`.

    Energies are integers in a unit that is a power of two, so that sums are exact. With d = e(c - 1) - e(c) and
    u = e(c + 1) - e(c), and x the gauged entry, a flip changes 2 E by the sum over the patterns of d + u + w x (d - u).

    Attributes
    ----------
    columns : int8 array (N, P)
        Gauged patterns.
    terms, both, slope : int64 arrays (N + 1,)
        e(c), d + u and d - u in the unit.
    wrong : int64 array (N + 1,)
        Whether a pattern with the counter c is violated.
    unit : float64 array (1,)
    counters, slopes : int64 arrays (n_replicas, P)
        c and slope[c] of each pattern.
    base : int64 array (n_replicas, 1)
        Sum of both[c].
    errors : int64 array (n_replicas, 1)
    """

    columns: Any
    terms: Any
    both: Any
    slope: Any
    wrong: Any
    unit: Any
    counters: Any
    slopes: Any
    base: Any
    errors: Any


def _table_replica(system, a):
    return SignTable(
        system.columns,
        system.terms,
        system.both,
        system.slope,
        system.wrong,
        system.unit,
        system.counters[a],
        system.slopes[a],
        system.base[a],
        system.errors[a],
    )


def _table_change(system, i, w):
    column, slopes = system.columns[i], system.slopes
    total = 0
    for mu in range(slopes.size):
        total += np.int64(column[mu]) * slopes[mu]
    return 0.5 * system.unit[0] * (system.base[0] + w * total)


def _table_flip(system, i, w, change):
    column = system.columns[i]
    base, errors = 0, 0
    for mu in range(system.counters.size):
        after = system.counters[mu] - w * np.int64(column[mu])
        system.counters[mu] = after
        system.slopes[mu] = system.slope[after]
        base += system.both[after]
        errors += system.wrong[after]
    before = system.errors[0]
    system.base[0], system.errors[0] = base, errors
    return errors - before


def _table_refresh(system, weights):
    energy, errors = 0, 0
    system.base[0] = 0
    for mu in range(system.counters.size):
        c = system.counters[mu]
        system.slopes[mu] = system.slope[c]
        system.base[0] += system.both[c]
        energy += system.terms[c]
        errors += system.wrong[c]
    system.errors[0] = errors
    return system.unit[0] * energy, errors


register(SignTable, replica=_table_replica, change=_table_change, flip=_table_flip, refresh=_table_refresh)


class RealErrors(NamedTuple):
    """Number of errors of a perceptron with real patterns.

    Attributes
    ----------
    columns : float64 array (N, P)
        Gauged patterns.
    bounds : float64 array (2,)
        Smallest and largest sum that satisfies a pattern.
    sums : float64 array (n_replicas, 1, P)
        The stabilities times sqrt(N).
    errors : int64 array (n_replicas, 1)
    """

    columns: Any
    bounds: Any
    sums: Any
    errors: Any


def _real_replica(system, a):
    return RealErrors(system.columns, system.bounds, system.sums[a], system.errors[a])


@helper
def _add_up(system, weights):
    """The sums of each unit anew."""
    K, P = system.sums.shape
    size = weights.size // K
    shared = system.columns.shape[0] == size
    system.sums[:] = 0.0
    for k in range(K):
        for i in range(size):
            row = i if shared else k * size + i
            for mu in range(P):
                system.sums[k, mu] += weights[k * size + i] * system.columns[row, mu]


def _real_change(system, i, w):
    lower, upper = system.bounds[0], system.bounds[1]
    column, sums, push = system.columns[i], system.sums[0], -2.0 * w
    errors = 0
    for mu in range(sums.size):
        moved = sums[mu] + push * column[mu]
        errors += (moved < lower) | (moved > upper)
    return errors - system.errors[0]


def _real_flip(system, i, w, change):
    column, sums, push = system.columns[i], system.sums[0], -2.0 * w
    for mu in range(sums.size):
        sums[mu] += push * column[mu]
    system.errors[0] += change
    return change


@helper
def _count_outside(sums, bounds):
    errors = 0
    for mu in range(sums.size):
        errors += (sums[mu] < bounds[0]) | (sums[mu] > bounds[1])
    return errors


def _real_refresh(system, weights):
    _add_up(system, weights)
    system.errors[0] = _count_outside(system.sums[0], system.bounds)
    return float(system.errors[0]), system.errors[0]


register(RealErrors, replica=_real_replica, change=_real_change, flip=_real_flip, refresh=_real_refresh)


class RealLinear(NamedTuple):
    """Linear energy with real patterns, of a perceptron or a committee.

    Of unit k with the sum s, a pattern's energy is (lower - max(s, b_k))_+ + (s - upper)_+ and what does not depend on
    s, in units of sqrt(K/N), with b_k the (K + 1)/2-th largest sum of the other units: those ahead of it decide whether
    s counts. theory/single-flips/derivation.md (L.7).

    Attributes
    ----------
    columns : float64 array (N or N/K, P)
        Gauged patterns; with fewer rows than weights, all units have the same.
    size : int64 array (1,)
        N/K.
    ends, bounds : float64 arrays (2,)
        The model's bounds times sqrt(N/K), and the smallest and largest sum that satisfies a pattern.
    unit : float64 array (1,)
    lanes : float64 array (64,)
        Work space.
    order : float64 array (K,)
        Work space.
    sums, rivals : float64 arrays (n_replicas, K, P)
        s and b_k; minus infinity for a perceptron.
    errors : int64 array (n_replicas, 1)
    """

    columns: Any
    size: Any
    ends: Any
    bounds: Any
    unit: Any
    lanes: Any
    order: Any
    sums: Any
    rivals: Any
    errors: Any


def _distance_replica(system, a):
    return RealLinear(
        system.columns,
        system.size,
        system.ends,
        system.bounds,
        system.unit,
        system.lanes,
        system.order,
        system.sums[a],
        system.rivals[a],
        system.errors[a],
    )


@inlined
def _unit_and_row(system, i):
    """The unit of weight i of a system with real patterns, and the row of its patterns."""
    size = system.size[0]
    k = i // size
    return k, (i - k * size if system.columns.shape[0] == size else i)


@inlined
def _total(lanes):
    half = lanes.size // 2
    while half:
        for lane in range(half):
            lanes[lane] += lanes[lane + half]
        half //= 2
    return lanes[0]


def _distance_change(system, i, w):
    k, row = _unit_and_row(system, i)
    lower, upper, push = system.ends[0], system.ends[1], -2.0 * w
    column, sums, rivals, lanes = system.columns[row], system.sums[k], system.rivals[k], system.lanes
    lanes[:] = 0.0
    for start in range(0, sums.size, _LANES):
        x, s, b = column[start : start + _LANES], sums[start : start + _LANES], rivals[start : start + _LANES]
        for lane in range(s.size):
            moved = s[lane] + push * x[lane]
            below = max(lower - max(moved, b[lane]), 0.0) - max(lower - max(s[lane], b[lane]), 0.0)
            lanes[lane] += below + (max(moved - upper, 0.0) - max(s[lane] - upper, 0.0))
    return system.unit[0] * _total(lanes)


@helper
def _rank_units(system, mu):
    """The (K + 1)/2-th largest of the other units' sums, for each unit, of one pattern; and whether it is violated."""
    K = system.sums.shape[0]
    half, order = K // 2, system.order
    for k in range(K):
        at, value = k, system.sums[k, mu]
        while at > 0 and order[at - 1] < value:
            order[at] = order[at - 1]
            at -= 1
        order[at] = value
    for k in range(K):
        # Without a unit that is among the first half + 1, the next one takes its place.
        system.rivals[k, mu] = order[half + 1] if system.sums[k, mu] >= order[half] else order[half]
    return order[half] < system.bounds[0]


@helper
def _rivals(system):
    """Rivals and errors, where sums have changed."""
    errors = 0
    if system.sums.shape[0] == 1:
        errors += _count_outside(system.sums[0], system.bounds)
    else:
        for mu in range(system.sums.shape[1]):
            errors += _rank_units(system, mu)
    system.errors[0] = errors


def _distance_flip(system, i, w, change):
    k, row = _unit_and_row(system, i)
    before, push = system.errors[0], -2.0 * w
    for mu in range(system.sums.shape[1]):
        system.sums[k, mu] += push * system.columns[row, mu]
    _rivals(system)
    return system.errors[0] - before


def _distance_refresh(system, weights):
    _add_up(system, weights)
    _rivals(system)
    K, P = system.sums.shape
    lower, upper = system.ends[0], system.ends[1]
    energy = 0.0
    for mu in range(P):
        if K == 1:
            s = system.sums[0, mu]
            energy += max(lower - s, 0.0) + max(s - upper, 0.0)
        else:
            _rank_units(system, mu)
            for k in range(K // 2 + 1):
                energy += max(lower - system.order[k], 0.0)
    return system.unit[0] * energy, system.errors[0]


register(
    RealLinear,
    replica=_distance_replica,
    change=_distance_change,
    flip=_distance_flip,
    refresh=_distance_refresh,
)


class RealVotes(NamedTuple):
    """Any function of the number of units that agree, with real patterns: number of errors, or cross-entropy.

    Attributes
    ----------
    columns : float64 array (N or N/K, P)
    size : int64 array (1,)
    terms : int64 array (K + 1,)
        Energy of a pattern with a votes, in the unit.
    unit : float64 array (1,)
        A power of two, so that sums are exact.
    sums : float64 array (n_replicas, K, P)
    gaps : int64 array (n_replicas, K, P)
        Energy of a pattern where unit k does not agree, less that where it does, given the other units.
    """

    columns: Any
    size: Any
    terms: Any
    unit: Any
    sums: Any
    gaps: Any


def _ballot_replica(system, a):
    return RealVotes(system.columns, system.size, system.terms, system.unit, system.sums[a], system.gaps[a])


def _ballot_change(system, i, w):
    k, row = _unit_and_row(system, i)
    column, sums, gaps, push = system.columns[row], system.sums[k], system.gaps[k], -2.0 * w
    total = 0
    for mu in range(sums.size):
        moved = sums[mu] + push * column[mu]
        total += gaps[mu] * (np.int64(moved <= 0) - np.int64(sums[mu] <= 0))
    return system.unit[0] * total


@inlined
def _ballot(system, mu):
    """Votes of a pattern, and its gaps."""
    K, votes = system.sums.shape[0], 0
    for k in range(K):
        votes += system.sums[k, mu] > 0
    for k in range(K):
        others = votes - (system.sums[k, mu] > 0)
        system.gaps[k, mu] = system.terms[others] - system.terms[others + 1]
    return votes


def _ballot_flip(system, i, w, change):
    k, row = _unit_and_row(system, i)
    column, sums, push, half = system.columns[row], system.sums[k], -2.0 * w, system.sums.shape[0] // 2
    errors = 0
    for mu in range(sums.size):
        before = sums[mu]
        sums[mu] = before + push * column[mu]
        if (before > 0) != (sums[mu] > 0):
            votes = _ballot(system, mu)
            if before > 0:
                errors += votes == half
            else:
                errors -= votes == half + 1
    return errors


def _ballot_refresh(system, weights):
    _add_up(system, weights)
    energy, errors = 0, 0
    for mu in range(system.sums.shape[1]):
        votes = _ballot(system, mu)
        energy += system.terms[votes]
        errors += votes <= system.sums.shape[0] // 2
    return system.unit[0] * energy, errors


register(
    RealVotes, replica=_ballot_replica, change=_ballot_change, flip=_ballot_flip, refresh=_ballot_refresh
)


class RealCrossEntropy(NamedTuple):
    """Cross-entropy of a perceptron with real patterns.

    Attributes
    ----------
    columns : float64 array (N, P)
    bounds, ends : float64 arrays (2,)
        The smallest and largest sum that satisfies a pattern, and the model's bounds times sqrt(N).
    steep : float64 array (1,)
        2 lambda/sqrt(N), by which sums are multiplied in the exponent.
    unit : float64 array (1,)
        1/(2 lambda).
    sums, terms : float64 arrays (n_replicas, 1, P)
        Of each pattern, the energy in the unit.
    errors : int64 array (n_replicas, 1)
    """

    columns: Any
    bounds: Any
    ends: Any
    steep: Any
    unit: Any
    sums: Any
    terms: Any
    errors: Any


def _smooth_replica(system, a):
    return RealCrossEntropy(
        system.columns,
        system.bounds,
        system.ends,
        system.steep,
        system.unit,
        system.sums[a],
        system.terms[a],
        system.errors[a],
    )


@inlined
def _cross_entropy(s, ends, steep):
    """ln(1 + e^x) at x = steep (lower - s), and at steep (s - upper) if that bound is finite."""
    total = 0.0
    for end in range(2):
        if math.isfinite(ends[end]):
            x = steep * (ends[end] - s if end == 0 else s - ends[end])
            total += max(x, 0.0) + math.log1p(math.exp(-abs(x)))
    return total


def _smooth_change(system, i, w):
    column, sums, terms, push = system.columns[i], system.sums[0], system.terms[0], -2.0 * w
    total = 0.0
    for mu in range(sums.size):
        total += _cross_entropy(sums[mu] + push * column[mu], system.ends, system.steep[0]) - terms[mu]
    return system.unit[0] * total


@helper
def _terms(system):
    energy = 0.0
    for mu in range(system.terms.shape[1]):
        system.terms[0, mu] = _cross_entropy(system.sums[0, mu], system.ends, system.steep[0])
        energy += system.terms[0, mu]
    system.errors[0] = _count_outside(system.sums[0], system.bounds)
    return system.unit[0] * energy


def _smooth_flip(system, i, w, change):
    before, push = system.errors[0], -2.0 * w
    for mu in range(system.sums.shape[1]):
        system.sums[0, mu] += push * system.columns[i, mu]
    _terms(system)
    return system.errors[0] - before


def _smooth_refresh(system, weights):
    _add_up(system, weights)
    energy = _terms(system)
    return energy, system.errors[0]


register(
    RealCrossEntropy,
    replica=_smooth_replica,
    change=_smooth_change,
    flip=_smooth_flip,
    refresh=_smooth_refresh,
)
