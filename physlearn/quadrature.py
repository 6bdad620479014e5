"""Gaussian measures and the functions of the normal tail, stable from one end of the line to the other."""

import numpy as np

_SQRT2 = np.sqrt(2.0)
_CROSSOVER = 8.0
_DEPTH = 60


def G(x):
    r"""Standard normal density, exp(-x^2/2)/sqrt(2 pi)."""
    return np.exp(-np.square(x) / 2) / np.sqrt(2 * np.pi)


def H(x):
    r"""Gaussian tail probability, H(x) = \int_x^\infty Dz = erfc(x/sqrt 2)/2."""
    from scipy.special import ndtr

    return ndtr(-np.asarray(x))


def log_H(x):
    """Natural logarithm of `H`, without underflow for large x."""
    from scipy.special import log_ndtr

    return log_ndtr(-np.asarray(x))


def G_over_H(x):
    r"""G(x)/H(x) = sqrt(2/pi)/erfcx(x/sqrt 2): zero far left, x + 1/x - ... far right."""
    from scipy.special import erfcx

    return np.sqrt(2 / np.pi) / erfcx(np.asarray(x) / _SQRT2)


def G_over_H_excess(x):
    """G(x)/H(x) - x > 0, without the cancellation at large x (Laplace's continued fraction there)."""
    x = np.asarray(x, dtype=float)
    right = np.maximum(x, _CROSSOVER)
    tail = right
    for k in range(_DEPTH, 1, -1):
        tail = right + k / tail
    return np.where(x > _CROSSOVER, 1 / tail, G_over_H(np.minimum(x, _CROSSOVER)) - np.minimum(x, _CROSSOVER))


def misclassification(channel, overlap):
    """Placeholder."""
    return np.arccos(np.clip(overlap, -1, 1)) / np.pi
