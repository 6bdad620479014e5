"""Averages over clones whose three units vote: sums over nodes of the fields that groups and clones have."""

import numpy as np
from numba import njit

from physlearn.kernels.special import exp, log


@njit(cache=True, nogil=True, error_model="numpy")
def votes_of_clones(agree, density, means, weights, variance, n_replicas, in_full, out):
    r"""What the clones of a group do with a pattern, at the three mean fields x <= y <= z of their units.

    Parameters
    ----------
    agree, density : ndarray of float64, shape (m, k)
        H(-mean/sqrt V) and the density at zero of a field, at node j of what a clone has of its own and i of its group.
    means : ndarray of float64, shape (m, k)
    weights : ndarray of float64, shape (m,)
        Logarithms of the probabilities of the m nodes.
    variance : float64
        V.
    n_replicas : float64
        Finite.
    in_full : bool
        Whether columns 1 and 3 to 6 are wanted.
    out : ndarray of float64, shape (k (k + 1)(k + 2)/6, 7)
        Set for each triple to (1/n) ln of the partition function, the mean logarithm of a vote, the sum over units of
        squared mean forces, the sum of n times their variances, the sum over pairs of units of squared responses (mean
        second derivatives and n times the covariances of the forces), the mean sum of squared second derivatives, and
        the mean sum of the second derivatives by one unit.
    """
    m, k = agree.shape
    vote, power = np.empty(m * m * m), np.empty(m * m * m)
    g, mean_g = np.empty(3), np.empty(3)
    second, products, bends = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    a, d, x, at = np.empty(3), np.empty(3), np.empty(3), np.empty(3, np.int64)
    row = 0
    for first in range(k):
        for middle in range(first, k):
            for last in range(middle, k):
                peak = -np.inf
                count = 0
                for i in range(m):
                    for j in range(m):
                        p, q = agree[i, first], agree[j, middle]
                        split, pair = p * (1 - q) + q * (1 - p), p * q
                        for h in range(m):
                            vote[count] = log(pair + split * agree[h, last])
                            power[count] = n_replicas * vote[count] + weights[i] + weights[j] + weights[h]
                            peak = max(peak, power[count])
                            count += 1
                total, logs, squares = 0.0, 0.0, 0.0
                mean_g[:], products[:], bends[:] = 0.0, 0.0, 0.0
                at[0], at[1], at[2] = first, middle, last
                for c in range(count):
                    if power[c] < peak - 40.0:
                        continue
                    weight = exp(power[c] - peak)
                    value = exp(-vote[c])
                    for u in range(3):
                        node = c // (m * m) if u == 0 else ((c // m) % m if u == 1 else c % m)
                        a[u], d[u], x[u] = agree[node, at[u]], density[node, at[u]], means[node, at[u]]
                    for u in range(3):
                        v, w = (u + 1) % 3, (u + 2) % 3
                        g[u] = d[u] * (a[v] + a[w] - 2 * a[v] * a[w]) * value
                    total += weight
                    for u in range(3):
                        mean_g[u] += weight * g[u]
                    if not in_full:
                        continue
                    for u in range(3):
                        v, w = (u + 1) % 3, (u + 2) % 3
                        second[u, u] = -g[u] * (x[u] / variance + g[u])
                        second[u, v] = d[u] * d[v] * (1 - 2 * a[w]) * value - g[u] * g[v]
                        second[v, u] = second[u, v]
                    logs += weight * vote[c]
                    for u in range(3):
                        for v in range(3):
                            products[u, v] += weight * g[u] * g[v]
                            bends[u, v] += weight * second[u, v]
                            squares += weight * second[u, v] ** 2
                out[row, 0] = (peak + log(total)) / n_replicas
                out[row, 1] = logs / total
                out[row, 2:5] = 0.0
                out[row, 5] = squares / total
                out[row, 6] = (bends[0, 0] + bends[1, 1] + bends[2, 2]) / total
                for u in range(3):
                    out[row, 2] += (mean_g[u] / total) ** 2
                    for v in range(3):
                        spread = n_replicas * (products[u, v] - mean_g[u] * mean_g[v] / total) / total
                        out[row, 4] += (bends[u, v] / total + spread) ** 2
                        if u == v:
                            out[row, 3] += spread
                row += 1
