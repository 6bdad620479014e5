"""Integrals, counts and free entropies written from the derivations, sharing nothing with the package under test."""

from functools import cache

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def H(x):
    return ndtr(-x)


def log_H(x):
    return log_ndtr(-x)


def G(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def GH(x):
    return np.sqrt(2 / np.pi) / erfcx(x / np.sqrt(2))


def GH_slope(x):
    """GH' = GH (GH - x), by its expansion 1 - 1/x^2 + 6/x^4 where the difference cancels."""
    far = np.maximum(x, 30.0)
    near = np.minimum(x, 30.0)
    return np.where(x > 30.0, 1 - far**-2.0 + 6 * far**-4.0, GH(near) * (GH(near) - near))


def gaussian(edge=0.0, width=1.0):
    """Nodes and weights of the Gaussian measure on (-14, 14), in panels that grow away from an edge."""
    steps = width * (1.7 ** np.arange(40) - 1)
    ends = np.concatenate([edge - steps, edge + steps, np.linspace(-14, 14, 9)])
    ends = np.unique(ends[np.abs(ends) <= 14])
    middle, half = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
    z = (middle[:, None] + half[:, None] * _NODES).ravel()
    return z, (half[:, None] * _WEIGHTS).ravel() * G(z)


def log_2cosh(b):
    return np.abs(b) + np.log1p(np.exp(-2 * np.abs(b)))


def sech(b):
    return 2 * np.exp(-np.abs(b)) / (1 + np.exp(-2 * np.abs(b)))


def storage_fields(V, margin):
    """E GH^2, E log H and E GH'^2 at q = 1 - V."""
    q = 1 - V
    z, weight = gaussian(margin / np.sqrt(q), np.sqrt(V / q))
    x = (margin - np.sqrt(q) * z) / np.sqrt(V)
    return weight @ GH(x) ** 2, weight @ log_H(x), weight @ GH_slope(x) ** 2


def planted_fields(V):
    """2 E H GH^2, 2 E H log H and 2 E H GH'^2 at q = 1 - V, noise-free and matched."""
    z, weight = gaussian(0.0, np.sqrt(V / (1 - V)))
    x = -np.sqrt((1 - V) / V) * z
    return tuple(2 * weight @ (H(x) * f) for f in (GH(x) ** 2, log_H(x), GH_slope(x) ** 2))


def binary_weights(q_hat, m_hat=0.0):
    """E sech^2, E log 2cosh, E sech^4 and E tanh at B = m_hat + sqrt(q_hat) z."""
    z, weight = gaussian(-m_hat / np.sqrt(q_hat), 1 / np.sqrt(q_hat))
    B = m_hat + np.sqrt(q_hat) * z
    return tuple(weight @ f for f in (sech(B) ** 2, log_2cosh(B), sech(B) ** 4, np.tanh(B)))


def entropy(r):
    """Logarithm of the number of +-1 vectors at overlap r, per weight."""
    p = np.array([(1 + r) / 2, (1 - r) / 2])
    return -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=0)


@cache
def signs(n):
    """All +-1 vectors of length n, shape (2^n, n), in single precision: products with them are fast."""
    return (2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1) - 1).astype(np.float32)


def satisfied(patterns, accepted):
    """Number of +-1 vectors whose fields all pass `accepted`."""
    N = patterns.shape[1]
    fields = signs(N) @ (patterns.T / np.sqrt(N)).astype(np.float32)
    return int(np.count_nonzero(accepted(fields).all(axis=1)))


def extrapolated_entropy(draw, accepted, load, sizes, n_instances, rng):
    """Mean of ln(number of solutions)/N for two sizes, extrapolated linearly in 1/N, and its standard error."""
    means, errors = [], []
    for N, n in zip(sizes, n_instances, strict=True):
        counts = np.array([satisfied(draw(rng, round(load * N), N), accepted) for _ in range(n)])
        values = np.log(counts) / N
        means.append(values.mean())
        errors.append(values.std(ddof=1) / np.sqrt(n))
    small, large = sizes
    weights = np.array([-small, large]) / (large - small)
    return weights @ means, np.sqrt(np.sum((weights * errors) ** 2))
