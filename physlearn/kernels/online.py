"""Rules that learn on line: one pattern at a time, each sweep (epoch) in a new random order.

A committee of K units, or a perceptron, K = 1, satisfies a pattern where most units agree with its label. Of a pattern
that is not satisfied, the units that come nearest to agreeing are pushed towards it, as many as are missing. Of one
that is satisfied with no unit to spare, a unit that agrees barely may be pushed where it agrees already: its weights
stay, but are harder to change. See theory/on-line-learning/derivation.md.
"""

import math

import numpy as np
from numba import njit

from physlearn.kernels.hidden import hidden_overlap, overlap, push

ENERGY, LOWEST, SWEEPS, WRONG = range(4)
"""Meaning of the entries of `counts`: energy now, lowest yet, sweeps done, patterns found wrong in the last one."""

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
NONE = np.uint64(0)


@njit(cache=True, nogil=True)
def shuffle(order, rng):
    """Set `order` to a random permutation of 0 ... P - 1."""
    for j in range(order.size):
        order[j] = j
    for j in range(order.size - 1, 0, -1):
        k = int(rng.random() * (j + 1))
        order[j], order[k] = order[k], order[j]


@njit(cache=True, nogil=True)
def nearest(sums, edges):
    """The unit of largest sum among those not beyond their edge; -1 where there is none."""
    found = -1
    for k in range(sums.size):
        if sums[k] <= edges[k] and (found < 0 or sums[k] > sums[found]):
            found = k
    return found


@njit(cache=True, nogil=True)
def violations(patterns, stride, weights, P, n, edge):
    """Number of patterns with which no majority of units agrees."""
    K, energy = weights.shape[0], 0
    for mu in range(P):
        agreeing = 0
        for k in range(K):
            at = mu * stride + k if stride > 1 else mu
            agreeing += overlap(patterns, at, weights, k, n) > edge
        energy += agreeing <= K // 2
    return energy


@njit(cache=True, nogil=True)
def length(hidden, unit, n):
    """Euclidean norm of the hidden states of a unit."""
    total = 0.0
    for i in range(n):
        total += float(hidden[unit, i]) * float(hidden[unit, i])
    return math.sqrt(total)


@njit(cache=True, nogil=True)
def learn(patterns, stride, hidden, weights, best, order, n, top, edge, barely, chance, by_hidden, margin,
          counts, record, rng):  # fmt: skip
    """Sweeps of presentations, in place, until a solution is found or no pattern asks for a change.

    Parameters
    ----------
    patterns, hidden, weights : ndarray
        In one of the layouts of `hidden`; unit k of pattern mu has the row mu stride + k, or mu where stride = 1.
    stride : int
        1, or the number of units K where each has inputs of its own.
    best : ndarray
        As `weights`: those of lowest energy at the end of a sweep.
    order : int64 array (P,)
        Work space.
    n : int
        Weights of a unit.
    top : int16 or float64
        Largest hidden state.
    edge, barely : float
        A unit agrees if its sum is > edge, and barely if it is also <= barely.
    chance : float
        Probability with which a unit that agrees barely is pushed.
    by_hidden : bool
        Whether units are judged, in learning, by hidden states h instead of weights, with the edge margin |h|.
    margin : float
    counts : int64 array (4,)
        See ENERGY, LOWEST, SWEEPS, WRONG.
    record : int64 array (n_sweeps, 3)
        Energy after each sweep; patterns found wrong, and units pushed for agreeing barely, in it.
    rng : numpy.random.Generator

    Returns
    -------
    int
        Sweeps done.
    """
    K, P = hidden.shape[0], order.size
    sums, edges = np.zeros(K), np.full(K, edge)
    if by_hidden:
        for k in range(K):
            edges[k] = margin * length(hidden, k, n)
    for t in range(record.shape[0]):
        shuffle(order, rng)
        wrong, reinforced = 0, 0
        for step in range(P):
            row = order[step] * stride
            missing = K // 2 + 1
            for k in range(K):
                at = row + k if stride > 1 else row
                if by_hidden:
                    sums[k] = hidden_overlap(patterns, at, hidden, k, n)
                else:
                    sums[k] = overlap(patterns, at, weights, k, n)
                missing -= sums[k] > edges[k]
            if missing > 0:
                wrong += 1
                for _ in range(missing):
                    k = nearest(sums, edges)
                    push(patterns, row + k if stride > 1 else row, hidden, weights, k, top, NONE)
                    sums[k] = np.inf
                    if by_hidden:
                        edges[k] = margin * length(hidden, k, n)
            elif missing == 0 and chance > 0:
                for k in range(K):
                    if edges[k] < sums[k] <= barely and (chance >= 1 or rng.random() < chance):
                        reinforced += 1
                        push(patterns, row + k if stride > 1 else row, hidden, weights, k, top, ALL)
        energy = violations(patterns, stride, weights, P, n, edge)
        counts[ENERGY], counts[WRONG] = energy, wrong
        counts[SWEEPS] += 1
        record[t, 0], record[t, 1], record[t, 2] = energy, wrong, reinforced
        if energy < counts[LOWEST]:
            counts[LOWEST] = energy
            best[:] = weights
        if energy == 0 or wrong == 0:
            return t + 1
    return record.shape[0]
