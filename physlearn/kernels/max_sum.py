"""Messages of max-sum, the zero-temperature limit of belief propagation, from patterns of -1 and +1."""

import math

import numpy as np
from numba import njit

from physlearn.kernels.belief_propagation import ROWS, accept


@njit(cache=True, nogil=True, error_model="numpy")
def rank(sizes, chosen, order, ranks, sums):
    """Order the `chosen` entries by size: their ranks, and sums of the n smallest, ``sums[n]``; returns how many."""
    count = 0
    for i in order:
        ranks[i] = -1
        if chosen[i]:
            ranks[i] = count
            sums[count + 1] = sums[count] + sizes[i]
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def cheapest(n, count, own_rank, own_size, sums):
    """Sum of the n smallest entries of those ranked, without the one of `own_rank` if it is among them."""
    available = count - (own_rank >= 0)
    if n > available:
        return math.inf
    if 0 <= own_rank < n:
        return sums[n + 1] - own_size
    return sums[n]


@njit(cache=True, nogil=True, error_model="numpy")
def gains(fields, lowest, highest, new):
    """What a pattern gains from each agreeing weight, half of M(+1) - M(-1) of the theory's (BP.18).

    Parameters
    ----------
    fields : float64 array (N,)
        Gauged fields of the weights in the absence of the pattern.
    lowest, highest : int
        The sum of the gauged weights must lie between them, or the energy is 1 more.
    new : float64 array (N,)
        Set to the messages, gauged.
    """
    N = fields.size
    sizes = np.abs(fields)
    order = np.argsort(sizes)
    up, down = np.empty(N, np.int64), np.empty(N, np.int64)
    up_sums, down_sums = np.zeros(N + 1), np.zeros(N + 1)
    n_up = rank(sizes, fields < 0.0, order, up, up_sums)
    n_down = rank(sizes, fields >= 0.0, order, down, down_sums)
    for i in range(N):
        others = n_down - n_up - (1 if fields[i] >= 0.0 else -1)
        value = np.zeros(2)
        for k in range(2):
            total = others + (1 if k == 0 else -1)
            cost = 0.0
            if total < lowest:
                n = (lowest - total + 1) // 2
                cost = math.inf if total + 2 * n > highest else cheapest(n, n_up, up[i], sizes[i], up_sums)
            elif total > highest:
                n = (total - highest + 1) // 2
                cost = (
                    math.inf if total - 2 * n < lowest else cheapest(n, n_down, down[i], sizes[i], down_sums)
                )
            value[k] = -min(1.0, 2.0 * cost)
        new[i] = 0.5 * (value[0] - value[1])


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_max_sum(patterns, messages, field, lowest, highest, kept, totals, changes, first, last):
    """New messages of the patterns in blocks `first` to `last`, in place: as `belief_propagation.sweep_gaussian`.

    Parameters
    ----------
    patterns : int8 array (P, N)
        Gauged.
    lowest, highest : int
        See `gains`.
    """
    P, N = messages.shape
    new, change, gauged = np.empty(N), np.empty(N), np.empty(N)
    for block in range(first, last):
        total = totals[block]
        total[:] = 0.0
        change[:] = 0.0
        for mu in range(block * ROWS, min(P, (block + 1) * ROWS)):
            for i in range(N):
                gauged[i] = patterns[mu, i] * (field[i] - messages[mu, i])
            gains(gauged, lowest, highest, new)
            for i in range(N):
                new[i] *= patterns[mu, i]
            accept(new, kept, messages[mu], total, change)
        changes[block] = change.max()
