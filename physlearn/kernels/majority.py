"""The probability that most of several units with correlated normal fields agree, and its derivatives."""

import math

import numpy as np
from numba import njit

_SQRT_HALF = 0.7071067811865476
_ONE_OVER_SQRT_2PI = 0.3989422804014327


@njit(cache=True, nogil=True, error_model="numpy")
def counts_without(agree, first, second, count):
    """Set the distribution of how many units agree, ``count[n]``, with two of them (or -1 for none) left out."""
    count[:] = 0.0
    count[0] = 1.0
    seen = 0
    for k in range(agree.size):
        if k in (first, second):
            continue
        for n in range(seen, -1, -1):
            count[n + 1] += count[n] * agree[k]
            count[n] *= 1.0 - agree[k]
        seen += 1


@njit(cache=True, nogil=True, error_model="numpy")
def majority(means, widths, shifts, weights, mass, slope, bend, first, last):
    """Set the mass Z of the patterns `first` to `last`, and its first and second derivatives by the units' means.

    Given a common shift the units are independent; Z is the weighted sum over the shifts.

    Parameters
    ----------
    means : float64 array (P, K)
        Of the units' fields, those that agree with the label being positive.
    widths : float64 array (K,)
        Standard deviations of the units' own parts.
    shifts, weights : float64 arrays (n, K) and (n,)
        Points of the part that the units have in common.
    mass, slope, bend : float64 arrays (P,), (P, K) and (P, K, K)
        Set.
    """
    K = widths.size
    half = (K - 1) // 2
    agree, density, tilt, count = np.empty(K), np.empty(K), np.empty(K), np.empty(K + 2)
    for mu in range(first, last):
        mass[mu] = 0.0
        slope[mu] = 0.0
        bend[mu] = 0.0
        for j in range(weights.size):
            weight = weights[j]
            for k in range(K):
                x = (means[mu, k] + shifts[j, k]) / widths[k]
                agree[k] = 0.5 * math.erfc(-x * _SQRT_HALF)
                density[k] = math.exp(-0.5 * x * x) * _ONE_OVER_SQRT_2PI / widths[k]
                tilt[k] = -x / widths[k]
            for k in range(K):
                counts_without(agree, k, -1, count)
                pivotal = weight * density[k] * count[half]
                slope[mu, k] += pivotal
                bend[mu, k, k] += pivotal * tilt[k]
                for other in range(k):
                    counts_without(agree, k, other, count)
                    change = (count[half - 1] if half > 0 else 0.0) - count[half]
                    mixed = weight * density[k] * density[other] * change
                    bend[mu, k, other] += mixed
                    bend[mu, other, k] += mixed
            counts_without(agree, -1, -1, count)
            for n in range(half + 1, K + 1):
                mass[mu] += weight * count[n]
