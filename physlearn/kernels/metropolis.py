"""Single-flip Metropolis dynamics of binary weights, e^{-beta E} with E the number of violated patterns.

A sweep is N | 1 proposals (N made odd: an even number of flips would keep the parity of the configuration, and at
beta = 0 all are accepted), each of a weight chosen at random. One random number serves a proposal: its integer
part chooses the weight, its fractional part, independent of it to 53 - log2(N) bits, decides acceptance.

Both kernels end in the same arguments, changed in place:

weights, best : int8 arrays (N,)
    The configuration, and the one of lowest energy so far.
counts : int64 array (4,)
    See ENERGY, LOWEST, FLIPS, SWEEPS.
betas : float64 array (n,)
    Inverse temperature of each of the n sweeps to do.
stop : bool
    Whether to stop at zero energy.
record : int64 array (n, 3)
    Energy after each sweep, flips accepted in it, proposals made in it.
rng : numpy.random.Generator

and return the number of sweeps begun.
"""

import math

import numpy as np
from numba import njit

from physlearn.kernels.bits import common_bits, increment, straddling

ENERGY, LOWEST, FLIPS, SWEEPS = range(4)
"""Meaning of the entries of `counts`: running energy, lowest energy yet, flips done, sweeps done."""

N_CHANCES = 64
"""Energy changes whose acceptance probability is tabulated; beyond, it is computed."""

REFRESH = 64
"""Sweeps after which real stabilities are computed afresh, so that rounding errors never build up."""

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
NONE = np.uint64(0)


@njit(cache=True, nogil=True)
def sweep_signs(columns, planes, valid, edges, signs, masks, weights, best, counts, betas, stop, record, rng):
    """Metropolis sweeps with +-1 patterns, in place.

    Pattern mu holds the counter c_mu of sites where its gauged entries agree with the weights, so that its
    stability is (2 c_mu - N)/sqrt(N). A flip of site i lowers c_mu by one where the two agree there (the
    pattern moves down) and raises it by one elsewhere. Of the edge between the values v - 1 and v only the
    patterns at these two can cross it, so that with M the mask of both,

        dE = sum over edges of sign * ( popcount(M & down_i) - number at v - 1 )

    where sign = +1 if the patterns below the edge are the violated ones, -1 if those above. The planes hold
    c_mu + flips modulo 2**n_planes: a flip then adds two to the patterns that move up and nothing to the
    others.

    Parameters
    ----------
    columns : uint64 array (N, n_words)
        Gauged patterns, from `bits.columns_as_bits`.
    planes : uint64 array (n_blocks, n_planes, 8)
        The counters, from `bits.counters_as_planes`.
    valid : uint64 array (1, n_words)
        Bits of the P patterns.
    edges, signs : int64 arrays (n_edges,)
        The values v, each in 1 ... N, and the signs.
    masks : uint64 array (n_edges, n_words)
        Work space.
    """
    N = weights.size
    n_edges = edges.size
    sizes = np.zeros((n_edges, 2), np.int64)  # of each mask: patterns below the edge, all patterns
    for e in range(n_edges):
        straddling(planes, valid, edges[e] + counts[FLIPS], masks, sizes, e)
    chances = np.zeros(N_CHANCES)
    for t in range(betas.size):
        accepted, proposals = 0, N | 1
        for change in range(N_CHANCES):
            chances[change] = math.exp(-betas[t] * change) if change else 1.0
        for step in range(N | 1):
            draw = rng.random() * N
            i = int(draw)
            w = np.int64(weights[i])
            change = 0
            for e in range(n_edges):
                # popcount(M & ~column) = popcount(M) - popcount(M & column), without a branch on w
                down = ((sizes[e, 1] * (1 - w)) >> 1) + w * common_bits(columns, i, masks, e)
                change += signs[e] * (down - sizes[e, 0])
            if change > 0:
                chance = chances[change] if change < N_CHANCES else math.exp(-betas[t] * change)
                if draw - i >= chance:
                    continue
            increment(planes, 1, columns, i, ALL if w > 0 else NONE)
            weights[i] = -w
            counts[FLIPS] += 1
            counts[ENERGY] += change
            accepted += 1
            for e in range(n_edges):
                straddling(planes, valid, edges[e] + counts[FLIPS], masks, sizes, e)
            if counts[ENERGY] < counts[LOWEST]:
                counts[LOWEST] = counts[ENERGY]
                for j in range(N):
                    best[j] = weights[j]
                if stop and counts[ENERGY] == 0:
                    proposals = step + 1
                    break
        counts[SWEEPS] += 1
        record[t, 0], record[t, 1], record[t, 2] = counts[ENERGY], accepted, proposals
        if stop and counts[ENERGY] == 0:
            return t + 1
    return betas.size


@njit(cache=True, nogil=True)
def sweep_reals(columns, sums, bounds, weights, best, counts, betas, stop, record, rng):
    """Metropolis sweeps with real patterns.

    Parameters
    ----------
    columns : float64 array (N, P)
        Gauged patterns.
    sums : float64 array (P,)
        The stabilities times sqrt(N).
    bounds : float64 array (2,)
        Smallest and largest sum that satisfies a pattern.
    """
    N, P = columns.shape
    lower, upper = bounds[0], bounds[1]
    for t in range(betas.size):
        if counts[SWEEPS] % REFRESH == 0:
            sums[:] = 0.0
            for i in range(N):
                for mu in range(P):
                    sums[mu] += weights[i] * columns[i, mu]
            counts[ENERGY] = 0
            for mu in range(P):
                counts[ENERGY] += (sums[mu] < lower) | (sums[mu] > upper)
        accepted, proposals = 0, N | 1
        for step in range(N | 1):
            draw = rng.random() * N
            i = int(draw)
            push = -2.0 * weights[i]
            energy = 0
            for mu in range(P):
                moved = sums[mu] + push * columns[i, mu]
                energy += (moved < lower) | (moved > upper)
            change = energy - counts[ENERGY]
            if change > 0 and draw - i >= math.exp(-betas[t] * change):
                continue
            for mu in range(P):
                sums[mu] += push * columns[i, mu]
            weights[i] = -weights[i]
            counts[FLIPS] += 1
            counts[ENERGY] = energy
            accepted += 1
            if energy < counts[LOWEST]:
                counts[LOWEST] = energy
                for j in range(N):
                    best[j] = weights[j]
                if stop and energy == 0:
                    proposals = step + 1
                    break
        counts[SWEEPS] += 1
        record[t, 0], record[t, 1], record[t, 2] = counts[ENERGY], accepted, proposals
        if stop and counts[ENERGY] == 0:
            return t + 1
    return betas.size
