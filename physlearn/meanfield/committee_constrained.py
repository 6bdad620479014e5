r"""The Franz-Parisi entropy of a tree of units that vote, of three or of infinitely many.

Weights are as those of a perceptron; on the side of the fields a pattern's constraint is a vote. For K to infinity
votes are normal fields, whose overlaps are those of the units through Q = (2/pi) arcsin q. Source:
theory/committee-storage/derivation.md (CS.13)-(CS.16).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from physlearn.inputs import choice, member, number, reject
from physlearn.meanfield.base import OutsideDomain
from physlearn.meanfield.constrained import Constrained, FranzParisiEquations, at_distance
from physlearn.meanfield.references import Reference
from physlearn.meanfield.replica import replica_symmetric
from physlearn.meanfield.vote_tensors import are_enough, averages, chebyshev, contract, votes_of_three
from physlearn.meanfield.votes import committee_capacity, effective_overlap
from physlearn.models import Binary, Committee, Storage
from physlearn.quadrature import G, H
from physlearn.results import SaddlePoint, Status

# Fields that all references share: how far they reach, and their steps.
_REACH, _STEP = 6.5, 0.45
# Means of fields farther out than this, in standard deviations, are rarer than what is left out elsewhere.
_FARTHEST = 7.5
# Nodes for what a reference has of its own beyond its margin, and for what a group of replicas has.
_OWN, _OWN_REACH, _GROUP = 60, 9.0, 16
_LEGENDRE, _LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(_OWN)
_HERMITE, _HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(_GROUP)
_HERMITE_WEIGHTS = _HERMITE_WEIGHTS / _HERMITE_WEIGHTS.sum()


def check_tree(model: Committee) -> None:
    """Raise unless clones and constrained replicas of this committee are known here."""
    member("model", model, Committee, "a Committee")
    allowed = model.n_hidden in (3, math.inf)
    if not (model.tree and allowed and isinstance(model.prior, Binary) and isinstance(model.rule, Storage)):
        raise reject(
            "model",
            model,
            "trees of 3 or infinitely many units with binary weights and random labels",
        )


def around_votes(
    model: Committee, distance: float, reference_margin: object, reference: str, start: object
) -> SaddlePoint:
    """`franz_parisi` of a committee: its votes have no margin, and its labels no teacher."""
    check_tree(model)
    distance = number("distance", distance, above=0, at_most=0.5)
    choice("reference", reference, ("typical",))
    if reference_margin is not None:
        raise reject("reference_margin", reference_margin, "none: votes have no margin")
    point = typical_votes(model)
    if point.status is not Status.CONVERGED:
        raise OutsideDomain(
            f"alpha: got {model.alpha:g}; allowed: loads up to the capacity, {committee_capacity(model):.6g}."
        )
    source = Reference(0.0, point.overlap, 0.0, point.overlap_conjugate, 0.0, point.entropy, point.stability)
    return at_distance(model, source, distance, reference, start)


@lru_cache(maxsize=256)
def typical_votes(model: Committee) -> SaddlePoint:
    """The replica-symmetric point of a committee's solutions."""
    return replica_symmetric(model)


@dataclass
class ManyVotesAround(FranzParisiEquations):
    """The equations of a tree of infinitely many units."""

    def energy(self, order: Constrained) -> np.ndarray:
        from physlearn.kernels.franz_parisi import energetic

        def votes(q):
            return effective_overlap(q, 1 - q, True)

        S, t = votes(self.reference_overlap), votes(order.typical_overlap)
        own, source = (
            effective_overlap(1 - order.variance, order.variance, True),
            votes(self.reference.overlap),
        )
        c0, c1 = t.value / math.sqrt(source.value), (S.value - t.value) / math.sqrt(source.variance)
        e = math.sqrt(max(own.value - c0**2 - c1**2, 0.0))
        found = energetic(0.0, 0.0, source.value, own.variance, c0, c1, e, 0.0, 0.0, False, self.fineness)
        squared = found[2]
        found[2] *= own.slope
        found[3] *= t.slope
        found[5] = own.slope**2 * found[5] + own.bend * squared
        found[6] *= S.slope
        return np.asarray(found)


@dataclass
class ThreeVotesAround(FranzParisiEquations):
    """The equations of a tree of three units."""

    def is_resolved(self, order: Constrained) -> bool:
        return are_enough(_FARTHEST * math.sqrt(1 - order.variance), order.variance)

    def energy(self, order: Constrained) -> np.ndarray:
        q, V = self.reference.overlap, order.variance
        c0, c1, e, *_ = self.projections(order)
        x, weight = _shared(self.fineness)
        margin = -math.sqrt(q / (1 - q)) * x
        nodes = chebyshev(_FARTHEST * math.sqrt(1 - V), V, self.fineness)
        votes = votes_of_three(nodes.points, V)
        everywhere, beyond, at_margin = _measures(nodes, c0 * x, c1, e, margin)
        found = H(margin)
        reference = found[:, None, None] * (found[:, None] + found - 2 * found[:, None] * found)
        reference += found[:, None] * found
        outer = weight[:, None, None] * weight[:, None] * weight / reference
        density = G(margin) / math.sqrt(1 - q)
        share = density[:, None, None] * (found[:, None] + found - 2 * found[:, None] * found) / reference

        def decided(first, tensor):
            """The average of a function where the first unit decides, its own measure being `first`."""
            mixed = contract(tensor, first, beyond, everywhere)
            return mixed + mixed.transpose(0, 2, 1) - 2 * contract(tensor, first, beyond, beyond)

        def averaged(tensor):
            """Its average where most units of the reference are beyond their margin."""
            return decided(beyond, tensor) + contract(tensor, everywhere, beyond, beyond)

        def total(values):
            return float(np.sum(outer * values))

        gradient = averaged(votes.gradient)
        return np.array(
            [
                1.0,
                total(averaged(votes.logarithm)),
                total(averaged(votes.squared)),
                3 * total(gradient * share),
                0.0,
                total(averaged(votes.bend)),
                3 * total(density[:, None, None] * decided(at_margin, votes.gradient)),
            ]
        )


def _shared(fineness: float) -> tuple[np.ndarray, np.ndarray]:
    """Equidistant points of a normal field, and their probabilities."""
    count = 2 * math.ceil(_REACH / (_STEP * fineness)) + 1
    x, step = np.linspace(-_REACH, _REACH, count, retstep=True)
    return x, step * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _measures(nodes, mean, c1, e, margin) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights at the nodes of mean + c1 z + e v: for all z, for z beyond the margin, and for z on it; shapes (m, n)."""
    pieces = []
    for low, high in ((-_OWN_REACH, margin), (margin, margin + _OWN_REACH)):
        low, high = np.minimum(np.broadcast_to(low, margin.shape), margin), np.maximum(high, margin)
        half = (high - low)[:, None] / 2
        z = low[:, None] + half * (1 + _LEGENDRE)
        weight = half * _LEGENDRE_WEIGHTS * G(z)
        fields = (mean[:, None] + c1 * z)[..., None] + e * _HERMITE
        weight = weight[..., None] * _HERMITE_WEIGHTS
        pieces.append(averages(nodes, fields.reshape(len(mean), -1), weight.reshape(len(mean), -1)))
    edge = (mean + c1 * margin)[:, None] + e * _HERMITE
    on_margin = averages(nodes, edge, np.broadcast_to(_HERMITE_WEIGHTS, edge.shape))
    return pieces[0] + pieces[1], pieces[1], on_margin
