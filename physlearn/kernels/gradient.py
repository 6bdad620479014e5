"""Stochastic gradient descent of coupled replicas: real hidden states, whose signs are the weights of a committee.

Each replica in turn takes a step down the energy of a batch of patterns, the fewest flips that would satisfy them, and
is then drawn towards the centre of all. See theory/on-line-learning/derivation.md.
"""

import numpy as np
from numba import njit

from physlearn.kernels.hidden import overlap, take_signs
from physlearn.kernels.online import nearest, shuffle, violations

CENTRE, LOWEST, SWEEPS, FROM_CENTRE = range(4)
"""Meaning of the entries of `counts`: energy of the centre now, lowest yet, sweeps done, whether the centre had it."""


@njit(cache=True, nogil=True)
def slope(patterns, rows, stride, weights, n, edge, chosen, sums, edges, steepest):
    """Set ``steepest[k]`` to the sum, over the chosen patterns that are violated, of those that unit k is to follow."""
    steepest[:] = 0
    K = weights.shape[0]
    for mu in chosen:
        missing = K // 2 + 1
        for k in range(K):
            sums[k] = overlap(patterns, mu * stride + k if stride > 1 else mu, weights, k, n)
            missing -= sums[k] > edge
        for _ in range(missing):
            k = nearest(sums, edges)
            sums[k] = np.inf
            at = mu * stride + k if stride > 1 else mu
            for i in range(n):
                steepest[k, i] += rows[at, i]


@njit(cache=True, nogil=True)
def follow(hidden, total, steepest, rate, attraction, pull, correction):
    """Move one replica, in place: by `rate` times `steepest`, then towards the centre; `total` goes with its signs.

    ``pull[s + n_replicas]`` is the force of a centre where the signs of all replicas sum to s.
    """
    K, n = hidden.shape
    middle = pull.size // 2
    for k in range(K):
        for i in range(n):
            old, h = hidden[k, i], hidden[k, i] + rate * steepest[k, i]
            s = total[k, i] + (h > 0) - (old > 0) + (h > 0) - (old > 0)
            moved = h + attraction * (pull[s + middle] - (correction if h > 0 else -correction))
            hidden[k, i] = moved
            total[k, i] = s + (moved > 0) - (h > 0) + (moved > 0) - (h > 0)


@njit(cache=True, nogil=True)
def keep(weights, energy, is_centre, best, counts):
    """Copy `weights` to `best` if no energy was as low yet."""
    if energy < counts[LOWEST]:
        counts[LOWEST], counts[FROM_CENTRE] = energy, is_centre
        best[:] = weights


@njit(cache=True, nogil=True)
def descend(patterns, rows, stride, hidden, weights, total, best, orders, batch, edge, rate, attraction, pulls,
            corrections, energies, counts, record, rng):  # fmt: skip
    """Sweeps in which each replica sees all patterns once, in place, until a solution is found.

    Parameters
    ----------
    patterns, weights : ndarray
        In one of the layouts of `hidden`; weights and, below, hidden have a first axis of replicas. Unit k of pattern
        mu has the row mu stride + k, or mu where stride = 1.
    rows : int8 or float64 array (n_rows, n)
        The gauged patterns, unpacked.
    stride : int
    hidden : float64 array (n_replicas, K, n)
    total : int64 array (K, n)
        Sum over the replicas of their weights.
    best : ndarray
        As ``weights[0]``: those of lowest energy yet, the centre's before a replica's.
    orders : int64 array (n_replicas, P)
        Work space.
    batch : int
        Patterns in a step.
    edge : float
        A unit agrees with a pattern if its sum is > edge.
    rate, attraction : float
        Steps down the energy and towards the centre.
    pulls, corrections : float64 arrays (n_sweeps, 2 n_replicas + 1) and (n_sweeps,)
        See `follow`.
    energies : int64 array (n_replicas,)
        Of the replicas, after the last sweep.
    counts : int64 array (4,)
        See CENTRE, LOWEST, SWEEPS, FROM_CENTRE.
    record : int64 array (n_sweeps, n_replicas + 1)
        Energies of the replicas and of the centre after each sweep.
    rng : numpy.random.Generator

    Returns
    -------
    int
        Sweeps done.
    """
    n_replicas, K, n = hidden.shape
    P = orders.shape[1]
    sums, edges = np.zeros(K), np.full(K, edge)
    steepest = np.zeros((K, n))
    turn = np.zeros(n_replicas, np.int64)
    centre = best.copy()
    for t in range(record.shape[0]):
        for r in range(n_replicas):
            shuffle(orders[r], rng)
        for first in range(0, P, batch):
            shuffle(turn, rng)
            for r in turn:
                chosen = orders[r, first : first + batch]
                slope(patterns, rows, stride, weights[r], n, edge, chosen, sums, edges, steepest)
                follow(hidden[r], total, steepest, rate, attraction, pulls[t], corrections[t])
                for k in range(K):
                    take_signs(hidden[r], weights[r], k, n)
        counts[SWEEPS] += 1
        for k in range(K):
            take_signs(total, centre, k, n)
        counts[CENTRE] = record[t, n_replicas] = violations(patterns, stride, centre, P, n, edge)
        keep(centre, counts[CENTRE], 1, best, counts)
        for r in range(n_replicas):
            energies[r] = record[t, r] = violations(patterns, stride, weights[r], P, n, edge)
            keep(weights[r], energies[r], 0, best, counts)
        if counts[LOWEST] == 0:
            return t + 1
    return record.shape[0]
