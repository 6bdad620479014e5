"""Every configuration of N binary weights: a Gray-code walk, and what is read off the set of solutions.

A configuration is an integer whose bit i is 1 where weight i is +1; a set of configurations is a bitmap of
2^N bits, bit c % 8 of byte c // 8 standing for configuration c.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def enumerate_signs(gauged, lowest, width, n_low, bitmap, first, last):
    """Mark the solutions among the blocks `first` to `last` of 2^n_low configurations, with +-1 patterns.

    Parameters
    ----------
    gauged : ndarray of int8, shape (N, P)
        Column i: what weight i = +1 adds to the sums s of the patterns.
    lowest, width : int
        A pattern is satisfied where lowest <= s <= lowest + width.
    bitmap : ndarray of uint8
        Gets the solutions; zero before.

    What is kept is s - lowest modulo 256, so that one comparison tests both ends (right for N < 128).
    """
    N, P = gauged.shape
    sums = np.empty(P, dtype=np.uint8)
    steps = np.empty((2, N, P), dtype=np.uint8)
    for i in range(N):
        for mu in range(P):
            steps[0, i, mu] = np.uint8((-2 * np.int64(gauged[i, mu])) & 255)
            steps[1, i, mu] = np.uint8((2 * np.int64(gauged[i, mu])) & 255)
    for block in range(first, last):
        configuration = block << n_low
        for mu in range(P):
            total = -lowest
            for i in range(N):
                total += (2 * ((configuration >> i) & 1) - 1) * np.int64(gauged[i, mu])
            sums[mu] = np.uint8(total & 255)
        for count in range(1, (1 << n_low) + 1):
            highest = np.uint8(0)
            for mu in range(P):
                highest = max(highest, sums[mu])
            if highest <= width:
                bitmap[configuration >> 3] |= np.uint8(1 << (configuration & 7))
            flip = 0
            while (count >> flip) & 1 == 0:
                flip += 1
            if flip == n_low:
                break
            configuration ^= 1 << flip
            step = steps[(configuration >> flip) & 1, flip]
            for mu in range(P):
                sums[mu] = (np.int64(sums[mu]) + np.int64(step[mu])) & 255


@njit(cache=True, nogil=True)
def enumerate_reals(gauged, lower, upper, doubt, n_low, bitmap, doubtful, first, last):
    """As `enumerate_signs` for real patterns: `gauged` (N, P), float64; solved where lower < s < upper.

    Configurations with a sum within `doubt` of a bound are marked in `doubtful` if the others are
    satisfied: there the rounding of the running sums could decide.
    """
    N, P = gauged.shape
    # Whole vectors of eight: the sums beyond P are NaN, which is outside of nothing.
    padded = 8 * ((P + 7) // 8)
    steps = np.zeros((2, N, padded))
    for i in range(N):
        for mu in range(P):
            steps[0, i, mu] = -2 * gauged[i, mu]
            steps[1, i, mu] = 2 * gauged[i, mu]
    sums = np.empty(padded)
    lowest, highest = lower - doubt, upper + doubt
    for block in range(first, last):
        configuration = block << n_low
        sums[:P] = 0.0
        sums[P:] = np.nan
        for i in range(N):
            for mu in range(P):
                sums[mu] += (2 * ((configuration >> i) & 1) - 1) * gauged[i, mu]
        outside = 0
        for mu in range(P):
            outside += int((sums[mu] <= lowest) | (sums[mu] >= highest))
        for count in range(1, (1 << n_low) + 1):
            if outside == 0:
                near = False
                for mu in range(P):
                    near |= (sums[mu] < lower + doubt) | (sums[mu] > upper - doubt)
                mark = np.uint8(1 << (configuration & 7))
                if near:
                    doubtful[configuration >> 3] |= mark
                else:
                    bitmap[configuration >> 3] |= mark
            flip = 0
            while (count >> flip) & 1 == 0:
                flip += 1
            if flip == n_low:
                break
            configuration ^= 1 << flip
            step = steps[(configuration >> flip) & 1, flip]
            outside = 0
            for mu in range(padded):
                moved = sums[mu] + step[mu]
                sums[mu] = moved
                outside += int((moved <= lowest) | (moved >= highest))


@njit(cache=True, nogil=True)
def enumerate_votes(gauged, K, doubt, n_low, bitmap, doubtful, first, last):
    """As `enumerate_reals` for committees of K units, most of which must have a sum above zero.

    Parameters
    ----------
    gauged : ndarray of float64, shape (N, P)
        Of weight i for its own unit, i // (N/K).
    doubt : float
        Configurations are marked in `doubtful` if units whose sums are as near to zero decide. Zero for exact sums.
    """
    N, P = gauged.shape
    size = N // K
    sums = np.empty((K, P))
    surely, perhaps = np.empty(P, dtype=np.int64), np.empty(P, dtype=np.int64)
    for block in range(first, last):
        configuration = block << n_low
        sums[:] = 0.0
        surely[:] = 0
        perhaps[:] = 0
        for i in range(N):
            for mu in range(P):
                sums[i // size, mu] += (2 * ((configuration >> i) & 1) - 1) * gauged[i, mu]
        for k in range(K):
            for mu in range(P):
                surely[mu] += sums[k, mu] > doubt
                perhaps[mu] += sums[k, mu] > -doubt
        for count in range(1, (1 << n_low) + 1):
            fewest, most = K, K
            for mu in range(P):
                fewest = min(fewest, surely[mu])
                most = min(most, perhaps[mu])
            if 2 * fewest > K:
                bitmap[configuration >> 3] |= np.uint8(1 << (configuration & 7))
            elif 2 * most > K:
                doubtful[configuration >> 3] |= np.uint8(1 << (configuration & 7))
            flip = 0
            while (count >> flip) & 1 == 0:
                flip += 1
            if flip == n_low:
                break
            configuration ^= 1 << flip
            push = 4.0 * ((configuration >> flip) & 1) - 2.0
            unit = flip // size
            for mu in range(P):
                before = sums[unit, mu]
                after = before + push * gauged[flip, mu]
                sums[unit, mu] = after
                surely[mu] += np.int64(after > doubt) - np.int64(before > doubt)
                perhaps[mu] += np.int64(after > -doubt) - np.int64(before > -doubt)


@njit(cache=True, nogil=True)
def walsh_hadamard(values):
    """Replace `values`, shape (2^N,), by their Walsh-Hadamard transform: F(u) = sum_c (-1)^(u.c) values[c].

    Steps up to 2^13 stay inside a block that fits the cache; each longer one passes all of the memory once.
    """
    size = values.size
    block = min(size, 1 << 14)
    for start in range(0, size, block):
        half = 1
        while half < block:
            for low in range(start, start + block, 2 * half):
                for k in range(low, low + half):
                    a, b = values[k], values[k + half]
                    values[k], values[k + half] = a + b, a - b
            half *= 2
    half = block
    while half < size:
        for low in range(0, size, 2 * half):
            for k in range(low, low + half):
                a, b = values[k], values[k + half]
                values[k], values[k + half] = a + b, a - b
        half *= 2


@njit(cache=True, nogil=True)
def power_by_weight(values, power):
    """Add to ``power[j]`` the squares of ``values[u]`` over all u with j bits set."""
    for u in range(values.size):
        bits, j = u, 0
        while bits:
            bits &= bits - 1
            j += 1
        power[j] += np.int64(values[u]) * np.int64(values[u])


@njit(cache=True, nogil=True)
def cluster_sizes(bitmap, solutions, N, stack, sizes):
    """Sizes of the clusters of solutions connected by single flips, in order of their smallest member.

    Parameters
    ----------
    bitmap : ndarray of uint8
        The solutions; cleared on return.
    solutions : ndarray of uint32, shape (n,)
        The same, as ascending integers.
    stack, sizes : ndarray of uint32, shape (n,)
        Room to work, and the answer.

    Returns
    -------
    int
        The number of clusters.
    """
    n_clusters = 0
    for start in solutions:
        if not bitmap[start >> 3] & (1 << (start & 7)):
            continue
        bitmap[start >> 3] ^= np.uint8(1 << (start & 7))
        stack[0] = start
        depth, size = 1, 0
        while depth:
            depth -= 1
            size += 1
            configuration = np.int64(stack[depth])
            for i in range(N):
                neighbour = configuration ^ (1 << i)
                mark = np.uint8(1 << (neighbour & 7))
                if bitmap[neighbour >> 3] & mark:
                    bitmap[neighbour >> 3] ^= mark
                    stack[depth] = neighbour
                    depth += 1
        sizes[n_clusters] = size
        n_clusters += 1
    return n_clusters
