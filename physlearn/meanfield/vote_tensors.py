r"""Averages over the fields of three units that vote, as contractions.

A function L of three mean fields, such as the logarithm of a vote, is known at Chebyshev's nodes m_j. For a measure
that is a product over the units, :math:`E\,L = \sum_{ijk} \omega_i \omega_j \omega_k L_{ijk}`, where
:math:`\omega_j = E\,\ell_j(m)` are averages of Lagrange's polynomials. Functions of the fields have to be smooth, the
measure may have steps. Source: theory/committee-storage/derivation.md (CS.15).
"""

import math
from typing import NamedTuple

import numpy as np

from physlearn.quadrature import G, H

# Digits of the interpolation, half of the distance to the nearest singularity in units of sqrt V, and bounds of the
# number of nodes.
_DIGITS, _STRIP, _FEWEST, _MOST = 16.0, 2.2, 24, 160


class Nodes(NamedTuple):
    """Chebyshev's nodes on (-reach, reach), and the barycentric weights of interpolation between them."""

    reach: float
    points: np.ndarray
    barycentric: np.ndarray


def _wanted(reach: float, variance: float) -> float:
    return _DIGITS / math.asinh(_STRIP * math.sqrt(variance) / reach)


def are_enough(reach: float, variance: float) -> bool:
    """Whether nodes that `chebyshev` returns give half of the digits."""
    return _wanted(reach, variance) <= 2 * _MOST


def chebyshev(reach: float, variance: float, fineness: float = 1.0) -> Nodes:
    """Nodes that resolve votes of fields of this variance around their means."""
    n = min(max(math.ceil(_wanted(reach, variance) / fineness), _FEWEST), _MOST)
    angle = (np.arange(n) + 0.5) * math.pi / n
    return Nodes(reach, reach * np.cos(angle), (-1.0) ** np.arange(n) * np.sin(angle))


def averages(nodes: Nodes, fields: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums over the last axis of weights times Lagrange's polynomials at `fields`: shape (..., n)."""
    found = np.empty((*fields.shape[:-1], len(nodes.points)))
    for index in np.ndindex(fields.shape[:-1]):
        inside = np.clip(fields[index], -nodes.reach, nodes.reach)  # polynomials would explode beyond
        gap = inside[:, None] - nodes.points
        gap[gap == 0] = 1e-300
        terms = nodes.barycentric / gap
        found[index] = (weights[index] / terms.sum(axis=1)) @ terms
    return found


class Votes(NamedTuple):
    """The vote of three fields at all triples of nodes, shape (n, n, n), and its derivatives.

    Attributes
    ----------
    logarithm : ndarray
        ln P(most of the fields are positive).
    gradient : ndarray
        Its derivative by the first mean.
    squared, bend : ndarray
        Sums over units of the squared first derivatives, and over pairs of the squared second ones.
    laplacian : ndarray
        Sum over units of the second derivatives.
    """

    logarithm: np.ndarray
    gradient: np.ndarray
    squared: np.ndarray
    bend: np.ndarray
    laplacian: np.ndarray


def votes_of_three(means: np.ndarray, variance: float) -> Votes:
    """`Votes` at these means, of fields of this variance around them."""
    width = math.sqrt(variance)
    agree, differ, density = H(-means / width), H(means / width), G(means / width) / width
    a, b, c = agree[:, None, None], agree[:, None], agree
    # The third unit decides where two differ: no difference of numbers that are nearly equal.
    pair = b * c
    split = b * differ + differ[:, None] * c
    vote = np.maximum(a * split + pair, 1e-300)
    gradient = density[:, None, None] * split / vote
    decided = density[:, None, None] * density[:, None] * (differ - c) / vote
    second, third = gradient.transpose(1, 0, 2), gradient.transpose(1, 2, 0)
    own = -gradient * (means[:, None, None] / variance + gradient)
    mixed = decided - gradient * second
    squared = gradient**2 + second**2 + third**2
    laplacian = own + own.transpose(1, 0, 2) + own.transpose(1, 2, 0)
    bend = own**2 + 2 * mixed**2
    bend = bend + (own**2).transpose(1, 0, 2) + 2 * (mixed**2).transpose(0, 2, 1)
    bend = bend + (own**2).transpose(1, 2, 0) + 2 * (mixed**2).transpose(2, 0, 1)
    return Votes(np.log(vote), gradient, squared, bend, laplacian)


def contract(tensor: np.ndarray, first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Sum over nodes of a tensor (n, n, n) times weights of shape (m, n) each: shape (m, m, m)."""
    n, m = len(tensor), len(first)
    last = tensor.reshape(n * n, n) @ third.T
    middle = second @ last.reshape(n, n, m).transpose(1, 0, 2).reshape(n, n * m)
    return np.einsum("ai,bim->abm", first, middle.reshape(m, n, m), optimize=True)
