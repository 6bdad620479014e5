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
def flips_to_agree(total, lowest, highest, n_up, own_up, up_sums, n_down, own_down, down_sums, own_size):
    """Half the cost of the cheapest flips that bring a sum, now `total`, between its bounds; infinite if none do."""
    if total < lowest:
        n = (lowest - total + 1) // 2
        return math.inf if total + 2 * n > highest else cheapest(n, n_up, own_up, own_size, up_sums)
    if total > highest:
        n = (total - highest + 1) // 2
        return math.inf if total - 2 * n < lowest else cheapest(n, n_down, own_down, own_size, down_sums)
    return 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def others_costs(costs, caps, offsets):
    """What a unit may cost at most to matter, and what the others of a majority cost beside it: (BP.20).

    Parameters
    ----------
    costs : float64 array (K,)
        Of each unit's agreement.
    caps, offsets : float64 arrays (K,)
        Set to min(1, the (K + 1)/2 cheapest others) and to the (K - 1)/2 cheapest others.
    """
    K = costs.size
    half = (K - 1) // 2
    order = np.argsort(costs)
    for k in range(K):
        taken, total = 0, 0.0
        offsets[k], caps[k] = 0.0, 1.0
        for j in order:
            if j == k or taken > half:
                continue
            total += costs[j]
            taken += 1
            if taken == half:
                offsets[k] = total
            if taken == half + 1:
                caps[k] = min(1.0, total)


@njit(cache=True, nogil=True, error_model="numpy")
def gains(fields, n_hidden, lowest, highest, new):
    """What a pattern gains from each agreeing weight, half of M(+1) - M(-1) of the theory's (BP.18), (BP.20).

    Parameters
    ----------
    fields : float64 array (N,)
        Gauged fields of the weights in the absence of the pattern.
    n_hidden : int
        Units; that of one must agree, or most of them, or the energy is 1 more.
    lowest, highest : int
        A unit agrees where the sum of its gauged weights lies between them.
    new : float64 array (N,)
        Set to the messages, gauged.
    """
    N = fields.size
    D = N // n_hidden
    sizes = np.abs(fields)
    up, down = np.empty(N, np.int64), np.empty(N, np.int64)
    up_sums, down_sums = np.zeros((n_hidden, D + 1)), np.zeros((n_hidden, D + 1))
    n_up, n_down = np.empty(n_hidden, np.int64), np.empty(n_hidden, np.int64)
    costs, caps, offsets = np.empty(n_hidden), np.ones(n_hidden), np.zeros(n_hidden)
    for k in range(n_hidden):
        a, b = k * D, (k + 1) * D
        order = np.argsort(sizes[a:b])
        n_up[k] = rank(sizes[a:b], fields[a:b] < 0.0, order, up[a:b], up_sums[k])
        n_down[k] = rank(sizes[a:b], fields[a:b] >= 0.0, order, down[a:b], down_sums[k])
        total = n_down[k] - n_up[k]
        costs[k] = 2.0 * flips_to_agree(
            total, lowest, highest, n_up[k], -1, up_sums[k], n_down[k], -1, down_sums[k], 0.0
        )
    if n_hidden > 1:
        others_costs(costs, caps, offsets)
    value = np.zeros(2)
    for i in range(N):
        k = i // D
        others = n_down[k] - n_up[k] - (1 if fields[i] >= 0.0 else -1)
        for side in range(2):
            cost = flips_to_agree(
                others + (1 if side == 0 else -1), lowest, highest, n_up[k], up[i], up_sums[k],
                n_down[k], down[i], down_sums[k], sizes[i],
            )  # fmt: skip
            value[side] = -min(caps[k], offsets[k] + 2.0 * cost)
        new[i] = 0.5 * (value[0] - value[1])


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_max_sum(patterns, n_hidden, messages, field, lowest, highest, kept, totals, changes, first, last):
    """New messages of the patterns in blocks `first` to `last`, in place: as `belief_propagation.sweep_gaussian`.

    Parameters
    ----------
    patterns : int8 array (P, n_inputs)
        Gauged; n_inputs = N, or N/K where units share their inputs.
    n_hidden, lowest, highest : int
        See `gains`.
    """
    P, N = messages.shape
    n_inputs = patterns.shape[1]
    new, change, gauged = np.empty(N), np.empty(N), np.empty(N)
    for block in range(first, last):
        total = totals[block]
        total[:] = 0.0
        change[:] = 0.0
        for mu in range(block * ROWS, min(P, (block + 1) * ROWS)):
            for i in range(N):
                gauged[i] = patterns[mu, i % n_inputs] * (field[i] - messages[mu, i])
            gains(gauged, n_hidden, lowest, highest, new)
            for i in range(N):
                new[i] *= patterns[mu, i % n_inputs]
            accept(new, kept, messages[mu], total, change)
        changes[block] = change.max()
