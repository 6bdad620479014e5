"""Single-flip Metropolis dynamics of binary weights, of any system whose energy changes `kernels.flips` knows.

A sweep is N | 1 proposals (N made odd: an even number of flips would keep the parity of the configuration, and at
beta = 0 all are accepted), each of a weight chosen at random. One random number serves a proposal: its integer
part chooses the weight, its fractional part, independent of it to 53 - log2(N) bits, decides acceptance.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import overload

from physlearn.kernels import scans, votes  # noqa: F401 - they register their systems
from physlearn.kernels.flips import change, flip, helper, inlined, refresh, replica

LOWEST, FLIPS, SWEEPS = range(3)
"""Meaning of the entries of `counts`: fewest errors yet, flips done, sweeps begun."""

ENERGY, ERRORS, ACCEPTED, PROPOSALS, OVERLAP, ALIGNMENT = range(6)
"""Meaning of the columns of `record`: after each sweep, in all replicas together; the mean overlap of two; ln of what
the fields weigh the configuration with."""

N_CHANCES = 64
"""Energy changes whose acceptance probability is tabulated; beyond, it is computed."""

REFRESH = 64
"""Sweeps after which all that is added up is computed afresh, so that rounding errors never build up."""

_LARGEST = 345.0  # of an exponent: the product of two such exponentials is still a finite number


class Fields(NamedTuple):
    """Fields on the weights, in the n sweeps to come, by the other replicas and by a tether.

    Attributes
    ----------
    pulls : float64 array (n, 2 n_replicas - 1)
        e^{2 h(S)} for the field h on a weight of one replica, where those of the others add up to
        S = 1 - n_replicas ... n_replicas - 1.
    tether : float64 array (N,)
        e^{2 external} of each weight.
    terms : float64 array (n, 2 n_replicas + 1)
        ln of what the attraction weighs a weight with whose sum over all replicas is -n_replicas ... n_replicas.
    external : float64 array (N,)
    """

    pulls: Any
    tether: Any
    terms: Any
    external: Any


def work_space(N: int, fields: Fields | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `sweep` works in: it allocates nothing."""
    N = 0 if fields is None else N
    return np.empty(2 * N_CHANCES), np.empty(N, dtype=np.int64), np.empty((2, N))


def chance(change, beta, chances):
    """e^{-beta change}; for integers from the table `chances`, of -N_CHANCES ... N_CHANCES - 1."""
    if isinstance(change, (int, np.integer)):
        return _tabulated(change, beta, chances)
    return _computed(change, beta, chances)


def _tabulated(change, beta, chances):
    if abs(change) < N_CHANCES:
        return chances[change + N_CHANCES]
    return math.exp(max(min(-beta * change, _LARGEST), -_LARGEST))


def _computed(change, beta, chances):
    return math.exp(max(min(-beta * change, _LARGEST), -_LARGEST))


@overload(chance, jit_options={"_nrt": False, "forceinline": True})
def _(change, beta, chances):
    return _tabulated if isinstance(change, types.Integer) else _computed


@inlined
def _walk(system, weights, ratios, beta, chances, best, counts, stop, energies, errors, a, rng):
    """A sweep of one replica; returns flips accepted, and proposals."""
    N = weights.size
    accepted = 0
    for step in range(N | 1):
        draw = rng.random() * N
        i = int(draw)
        w = np.int64(weights[i])
        cost = change(system, i, w)
        if ratios is None:
            if cost > 0 and draw - i >= chance(cost, beta, chances):
                continue
        elif draw - i >= chance(cost, beta, chances) * ratios[(w + 1) >> 1, i]:
            continue
        weights[i] = -w
        errors[a] += flip(system, i, w, cost)
        energies[a] += cost
        accepted += 1
        if errors[a] < counts[LOWEST]:
            counts[LOWEST] = errors[a]
            for j in range(N):
                best[j] = weights[j]
            if stop and errors[a] == 0:
                return accepted, step + 1
    return accepted, N | 1


@helper
def _attraction(weights, total, a, fields, t, ratios):
    """Odds of a flip from -1 and from +1 by the field on each weight of replica a: of the others and of the tether."""
    n_replicas, N = weights.shape
    for i in range(N):
        odds = fields.pulls[t, total[i] - weights[a, i] + n_replicas - 1]
        ratios[0, i] = odds * fields.tether[i]
        ratios[1, i] = 1.0 / ratios[0, i]


@helper
def _add(total, weights, times):
    for i in range(total.size):
        total[i] += times * weights[i]


@helper
def renew(system, weights, energies, errors, a):
    """Compute afresh what replica a has added up."""
    energy, n_errors = refresh(replica(system, a), weights[a])
    if n_errors >= 0:
        energies[a], errors[a] = energy, n_errors


@inlined
def mean_overlap(squares, N, n_replicas):
    """Mean overlap of the pairs of replicas, from the sum over the weights of (sum over the replicas)^2."""
    if n_replicas == 1:
        return 1.0
    return (squares - n_replicas * N) / (N * n_replicas * (n_replicas - 1))


@helper
def _alignment(total, n_replicas, fields, t):
    """ln of what the fields weigh the configuration with."""
    terms, aligned = fields.terms[t], 0.0
    for i in range(total.size):
        aligned += terms[total[i] + n_replicas] + fields.external[i] * total[i]
    return aligned


@helper
def _note(weights, energies, errors, total, fields, t, record):
    """Write down where the sweep has ended."""
    n_replicas, N = weights.shape
    record[ENERGY], record[ERRORS], squares = 0.0, 0, 0
    for a in range(n_replicas):
        record[ENERGY] += energies[a]
        record[ERRORS] += errors[a]
    for i in range(total.size):
        squares += total[i] * total[i]
    record[OVERLAP] = mean_overlap(squares, N, n_replicas)
    if record.size > ALIGNMENT:
        record[ALIGNMENT] = 0.0 if fields is None else _alignment(total, n_replicas, fields, t)


@njit(cache=True, nogil=True, _nrt=False)
def sweep(system, weights, best, counts, energies, errors, betas, fields, stop, work, record, rng):
    """Metropolis sweeps, in place; returns the number of sweeps begun.

    Parameters
    ----------
    system : NamedTuple
        Of a kind that `kernels.flips` treats.
    weights : int8 array (n_replicas, N)
    best : int8 array (N,)
        The configuration of fewest errors, of any replica.
    counts : int64 array (3,)
        See LOWEST, FLIPS, SWEEPS.
    energies, errors : float64 and int64 arrays (n_replicas,)
        Running energy and number of errors.
    betas : float64 array (n,)
        Inverse temperature of each of the n sweeps to do.
    fields : Fields, or None without replicas and tether
    stop : bool
        Whether to stop where a replica has no errors.
    work : tuple of arrays
        Work space, from `work_space`.
    record : float64 array (n, 5) or (n, 6)
        See ENERGY ... ALIGNMENT; the last one only where there is a column for it.
    rng : numpy.random.Generator
    """
    n_replicas = weights.shape[0]
    chances, total, ratios = work
    total[:] = 0
    for a in range(n_replicas):
        _add(total, weights[a], 1)
    for t in range(betas.size):
        for k in range(2 * N_CHANCES):
            chances[k] = math.exp(max(min(-betas[t] * (k - N_CHANCES), _LARGEST), -_LARGEST))
        for a in range(n_replicas):
            w, one = weights[a], replica(system, a)
            if counts[SWEEPS] % REFRESH == 0:
                renew(system, weights, energies, errors, a)
            if fields is None:
                accepted, tried = _walk(
                    one, w, None, betas[t], chances, best, counts, stop, energies, errors, a, rng
                )
            else:
                _attraction(weights, total, a, fields, t, ratios)
                _add(total, w, -1)
                accepted, tried = _walk(
                    one, w, ratios, betas[t], chances, best, counts, stop, energies, errors, a, rng
                )
                _add(total, w, 1)
            record[t, ACCEPTED] += accepted
            record[t, PROPOSALS] += tried
            counts[FLIPS] += accepted
            if stop and counts[LOWEST] == 0:
                break
        counts[SWEEPS] += 1
        _note(weights, energies, errors, total, fields, t, record[t])
        if stop and counts[LOWEST] == 0:
            return t + 1
    return betas.size
