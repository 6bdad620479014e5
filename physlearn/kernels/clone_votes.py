"""Averages over clones whose three units vote: sums over nodes of the fields that groups and clones have."""

import numpy as np
from numba import njit

from physlearn.kernels.special import exp, log

_NEGLIGIBLE = 40.0


@njit(cache=True, nogil=True, error_model="numpy")
def _vote(agree, at, weights, n_replicas, vote, power):
    """Logarithms of the votes at all triples of nodes, and of their weights; returns the largest of these."""
    m = len(weights)
    peak, count = -np.inf, 0
    for i in range(m):
        for j in range(m):
            p, q = agree[i, at[0]], agree[j, at[1]]
            split, pair = p * (1 - q) + q * (1 - p), p * q
            for h in range(m):
                vote[count] = log(pair + split * agree[h, at[2]])
                power[count] = n_replicas * vote[count] + weights[i] + weights[j] + weights[h]
                peak = max(peak, power[count])
                count += 1
    return peak


@njit(cache=True, nogil=True, error_model="numpy")
def _derivatives(a, d, x, variance, value, g, second):
    """First and second derivatives of ln of a vote by the three means, with 1/`value` the vote itself."""
    for u in range(3):
        v, w = (u + 1) % 3, (u + 2) % 3
        g[u] = d[u] * (a[v] + a[w] - 2 * a[v] * a[w]) * value
    for u in range(3):
        v, w = (u + 1) % 3, (u + 2) % 3
        second[u, u] = -g[u] * (x[u] / variance + g[u])
        second[u, v] = d[u] * d[v] * (1 - 2 * a[w]) * value - g[u] * g[v]
        second[v, u] = second[u, v]


@njit(cache=True, nogil=True, error_model="numpy")
def _triple(agree, density, means, at, vote, power, peak, variance, n_replicas, row):
    """Sets `row` to the averages of `votes_of_clones` at one triple of a group's fields."""
    m = len(agree)
    g, mean_g = np.empty(3), np.zeros(3)
    second, products, bends = np.empty((3, 3)), np.zeros((3, 3)), np.zeros((3, 3))
    a, d, x, node = np.empty(3), np.empty(3), np.empty(3), np.empty(3, np.int64)
    total, logs, squares = 0.0, 0.0, 0.0
    for c in range(len(vote)):
        if power[c] < peak - _NEGLIGIBLE:
            continue
        weight = exp(power[c] - peak)
        node[0], node[1], node[2] = c // (m * m), (c // m) % m, c % m
        for u in range(3):
            a[u], d[u], x[u] = agree[node[u], at[u]], density[node[u], at[u]], means[node[u], at[u]]
        _derivatives(a, d, x, variance, exp(-vote[c]), g, second)
        total += weight
        logs += weight * vote[c]
        for u in range(3):
            mean_g[u] += weight * g[u]
            for v in range(3):
                products[u, v] += weight * g[u] * g[v]
                bends[u, v] += weight * second[u, v]
                squares += weight * second[u, v] ** 2
    row[0] = (peak + log(total)) / n_replicas
    row[1], row[5] = logs / total, squares / total
    row[2:5], row[6] = 0.0, 0.0
    for u in range(3):
        row[2] += (mean_g[u] / total) ** 2
        row[6] += bends[u, u] / total
        for v in range(3):
            spread = n_replicas * (products[u, v] - mean_g[u] * mean_g[v] / total) / total
            row[4] += (bends[u, v] / total + spread) ** 2
            if u == v:
                row[3] += spread


@njit(cache=True, nogil=True, error_model="numpy")
def votes_of_clones(agree, density, means, weights, variance, n_replicas, out):
    r"""What the clones of a group do with a pattern, at the mean fields x <= y <= z that its three units have.

    Parameters
    ----------
    agree, density : ndarray of float64, shape (m, k)
        P(field > 0) and the field's density at zero, at node j of what a clone has of its own and i of its group.
    means : ndarray of float64, shape (m, k)
    weights : ndarray of float64, shape (m,)
        Logarithms of the probabilities of the m nodes.
    variance : float64
        V.
    n_replicas : float64
        Finite.
    out : ndarray of float64, shape (k (k + 1)(k + 2)/6, 7)
        Set for each triple to (1/n) ln of the partition function, the mean logarithm of a vote, the sum over units of
        squared mean forces, the sum of n times their variances, the sum over pairs of units of squared responses (mean
        second derivatives and n times the covariances of the forces), the mean sum of squared second derivatives, and
        the mean sum of the second derivatives by one unit.
    """
    m, k = agree.shape
    vote, power = np.empty(m * m * m), np.empty(m * m * m)
    at = np.empty(3, np.int64)
    row = 0
    for first in range(k):
        for middle in range(first, k):
            for last in range(middle, k):
                at[0], at[1], at[2] = first, middle, last
                peak = _vote(agree, at, weights, n_replicas, vote, power)
                _triple(agree, density, means, at, vote, power, peak, variance, n_replicas, out[row])
                row += 1
