"""Clones of a tree of units that vote, of three or of infinitely many: the patterns' side of their equations.

For K to infinity votes are normal fields, whose overlaps inside and between groups are those of the units through
Q = (2/pi) arcsin q. Source: theory/committee-storage/derivation.md (CS.17), (CS.18).
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np

from physlearn.inputs import reject
from physlearn.meanfield.clone_equations import CloneEquations, Groups, Overlaps
from physlearn.meanfield.committee_constrained import check_tree
from physlearn.meanfield.votes import EffectiveOverlap, effective_overlap
from physlearn.models import Committee
from physlearn.quadrature import G, H

# Nodes of Gauss and Hermite's rule for what a group has of a field, and for what a clone has: the more, the wider that
# is in units of what the votes resolve.
_GROUP = 18
_FEWEST, _MOST, _PER_WIDTH = 12, 48, 8
# A vote below this probability weighs nothing.
_SMALLEST = 1e-100


def clones_of(model: Committee, n_replicas: float, overlap: float) -> CloneEquations:
    """The equations of a committee's clones."""
    check_tree(model)
    if math.isinf(model.n_hidden):
        return ManyVotesOfClones(model, n_replicas, overlap)
    if math.isinf(n_replicas):
        raise reject("n_replicas", n_replicas, "finite numbers for three units, any for n_hidden = math.inf")
    return ThreeVotesOfClones(model, n_replicas, overlap)


@dataclass(frozen=True)
class ManyVotesOfClones(CloneEquations):
    """The equations of clones of a tree of infinitely many units."""

    def votes(self, order: Overlaps) -> tuple[Groups, EffectiveOverlap, EffectiveOverlap]:
        """Order parameters of the votes, and their overlaps inside and between groups."""
        n, q0 = self.n_replicas, order.between(self.n_replicas)
        inside, between = (effective_overlap(q, 1 - q, True) for q in (order.overlap, q0))
        spread = inside.slope * order.spread if math.isinf(n) else n * (inside.value - between.value)
        return Groups(inside.value, spread), inside, between

    def conjugates(self, order: Overlaps) -> tuple[float, float]:
        votes, _, between = self.votes(order)
        q_hat, r_hat = super().conjugates(votes)
        return between.slope * q_hat, r_hat

    def mean_log_partition(self, order: Overlaps) -> float:
        return super().mean_log_partition(self.votes(order)[0])

    def outer(self, order: Overlaps) -> np.ndarray:
        votes, inside, between = self.votes(order)
        phi, excess, apart, within, variance, response, squared = super().outer(votes)
        n, D = self.n_replicas, order.spread
        if math.isinf(n):
            change = inside.bend * D
            excess += inside.bend * D**2 / 2 * squared  # the spread of votes has an order 1/n of its own
        else:
            change = n * (inside.slope - between.slope)
        return np.array(
            [
                phi,
                excess,
                between.slope**2 * apart + between.bend * squared,
                inside.slope**2 * within + inside.bend * (squared + variance / n),
                inside.slope * variance + change * squared,
                inside.slope * response,
                between.slope * squared,
            ]
        )


@dataclass(frozen=True)
class ThreeVotesOfClones(CloneEquations):
    """The equations of a finite number of clones of a tree of three units."""

    def conjugates(self, order: Overlaps) -> tuple[float, float]:
        values, weight = self._votes(order)
        return self.model.alpha * float(weight @ values[:, 2]), 0.0

    def mean_log_partition(self, order: Overlaps) -> float:
        values, weight = self._votes(order)
        return float(weight @ values[:, 0])

    def outer(self, order: Overlaps) -> np.ndarray:
        values, weight = self._votes(order)
        phi, logarithm, squared, variance, apart, within, laplacian = weight @ values
        return np.array([phi, phi - logarithm, apart, within, variance, laplacian + variance, squared])

    def _wanted(self, order: Overlaps) -> int:
        """Number of nodes of what a clone has of a field, even."""
        ratio = math.sqrt(max(order.overlap - order.between(self.n_replicas), 0.0) / (1 - order.overlap))
        return 2 * math.ceil((_FEWEST + _PER_WIDTH * ratio * (1 + math.log(self.n_replicas) / 2)) / 2)

    def is_resolved(self, order: Overlaps) -> bool:
        return self._wanted(order) <= _MOST

    def _votes(self, order: Overlaps) -> tuple[np.ndarray, np.ndarray]:
        """`votes_of_clones` at all triples of a group's mean fields, and the probabilities of these."""
        from physlearn.kernels.clone_votes import votes_of_clones

        n, q1, q0 = self.n_replicas, order.overlap, order.between(self.n_replicas)
        own, width = math.sqrt(max(q1 - q0, 0.0)), math.sqrt(1 - q1)
        (x, share_x), (z, share_z) = _rule(_GROUP), _rule(min(self._wanted(order), _MOST))
        means = math.sqrt(q0) * x + own * z[:, None]
        agree = np.clip(H(-means / width), _SMALLEST, 1.0)
        triples = np.array(list(combinations_with_replacement(range(len(x)), 3)))
        out = np.empty((len(triples), 7))
        density = G(means / width) / width
        votes_of_clones(agree, density, means, np.log(share_z), width**2, float(n), out)
        different = np.array([len(set(triple)) for triple in triples])
        return out, share_x[triples].prod(axis=1) * np.array([0, 1, 3, 6])[different]


@cache
def _rule(count: int) -> tuple[np.ndarray, np.ndarray]:
    x, weight = np.polynomial.hermite_e.hermegauss(count)
    return x, weight / weight.sum()
