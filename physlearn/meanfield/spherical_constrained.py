r"""Weights on the sphere at an imposed overlap with a reference: the Gaussian half of the Franz-Parisi equations.

.. math::
    G_S = \mathrm{extr}_A \Big\{ \frac A2 + \frac{E B^2}{2 A} - \frac{\ln A}2 - \frac12 \Big\}, \qquad
    E B^2 = \hat q + 2 \hat t (\hat S - \hat t) (1 - \tilde q) + (\hat S - \hat t)^2

so that V = 1/A solves (q_hat - delta_hat^2) V^2 + V = 1 - S^2 with delta_hat = (1 - q-tilde) t_hat, which stays finite
for a single reference, q-tilde = 1. Source: theory/local-entropy/derivation.md (SF.1)-(SF.4).
"""

import math

import numpy as np


def _variance(q_hat: float, delta_hat: float, S: float) -> float:
    """V = 1 - q at the imposed overlap."""
    rest = (1 - S) * (1 + S)
    return 2 * rest / (1 + math.sqrt(1 + 4 * max(q_hat - delta_hat**2, 0.0) * rest))


def conjugate_of_reference(q_hat: float, t_hat: float, S: float, reference_overlap: float) -> float:
    """S_hat at which the overlap with the reference is S; around a single one S_hat - t_hat + delta_hat stands for it.

    Parameters
    ----------
    q_hat, t_hat : float
        Around a single reference delta_hat stands in the place of t_hat.
    S, reference_overlap : float
        The second is q-tilde.
    """
    single = reference_overlap == 1
    delta_hat = t_hat if single else (1 - reference_overlap) * t_hat
    # (S - t)/(1 - q-tilde) = S - delta, with delta = delta_hat V.
    tilt = S / _variance(q_hat, delta_hat, S) - delta_hat
    return tilt + t_hat


def gaussian_moments(q_hat: float, t_hat: float, S_hat: float, reference_overlap: float) -> np.ndarray:
    """Entropic part and its moments, as `physlearn.kernels.franz_parisi.entropic` returns them.

    Around a single reference t_hat is delta_hat, S_hat is S_hat - t_hat + delta_hat and the third moment is delta; then
    the sum -S_hat S + t_hat t + G_S is what its infinite terms leave.
    """
    q = reference_overlap
    single = q == 1
    delta_hat = t_hat if single else (1 - q) * t_hat
    tilt = S_hat - t_hat
    squared = q_hat + 2 * delta_hat * tilt + tilt**2
    A = (1 + math.sqrt(1 + 4 * squared)) / 2
    entropy = A / 2 + squared / (2 * A) - math.log(A) / 2 - 0.5
    reached = (delta_hat + tilt) / A
    t = delta_hat / A if single else (delta_hat + tilt * q) / A
    return np.array([entropy, 1 / A, t, reached, 0.0, 1 / A**2])
