r"""Replica symmetry of committees that store random labels.

.. math::
    \phi = -\frac{\hat q (1 - q)}{2} + \int Dz \ln Z_{in}(\sqrt{\hat q} z)
      + \alpha \int \prod_k Dz_k \ln P\Big(\text{most of } \sqrt q z_k + \sqrt{1 - q} u_k > 0\Big)

for a tree of K units. For K to infinity votes are a normal field, and the last term is that of a perceptron at an
effective overlap Q(q), of a tree or of units that share their inputs. Source: theory/committee-storage/derivation.md.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

from physlearn.inputs import InputError, member, reject
from physlearn.meanfield.capacities import zero_entropy
from physlearn.meanfield.equations import Equations, Order
from physlearn.models import Binary, Committee, GeneralizedLinear, Spherical, Threshold

# Of up to three units, equidistant points of each field: most of them by K, how far they reach, and their step in units
# of the distance over which the logarithm of a vote changes. Of more, nodes of Gauss and Hermite's rule.
_MOST_POINTS = {1: 2000, 3: 150}
_REACH, _STEP = 7.0, 0.5
_HERMITE = {5: 18, 7: 13}
# Below this width of the fields, in units of their means', so few nodes are not enough.
_SHARP = 0.8
_DIFFERENCE = 1e-4
_COLLAPSED = 0.02


class EffectiveOverlap(NamedTuple):
    """Overlap Q of two votes of many units, one minus it, and its first two derivatives in q."""

    value: float
    variance: float
    slope: float
    bend: float


def effective_overlap(q: float, V: float, tree: bool) -> EffectiveOverlap:
    """Q of votes whose units overlap by q = 1 - V (CS.5), (CS.10)."""
    rest, scale = (0.0, math.pi / 2) if tree else (1.0, math.pi / 2 - 1)
    spread = V * (2 - V)  # 1 - q^2
    angle = 2 * math.asin(math.sqrt(V / 2))
    value = q**3 / 6 * (1 + 0.45 * q**2) if not tree and abs(q) < 1e-2 else math.asin(q) - rest * q
    slope = q**2 / (math.sqrt(spread) * (1 + math.sqrt(spread))) if rest else 1 / math.sqrt(spread)
    return EffectiveOverlap(value / scale, (angle - rest * V) / scale, slope / scale, q / spread**1.5 / scale)


def check_committee(model: Committee) -> None:
    """Raise unless this is a committee of which the theory of storage speaks."""
    member("model", model, Committee, "a Committee")
    if model.teacher_channel is not None:
        raise reject("model", model, "committees with random labels, Storage()")
    if not isinstance(model.prior, (Binary, Spherical)):
        raise reject("model", model, "committees of binary or spherical weights")
    if math.isfinite(model.n_hidden) and not (model.tree and model.n_hidden in (*_MOST_POINTS, *_HERMITE)):
        raise reject("model", model, "trees of at most 7 units, or n_hidden = math.inf (tree or not)")


@dataclass(frozen=True)
class CommitteeEquations(Equations):
    """The two halves of the saddle-point equations of a committee."""

    model: Committee

    def __post_init__(self) -> None:
        check_committee(self.model)
        if isinstance(self.model.prior, Spherical) and not self._many:
            raise reject("model", self.model, "binary weights, or n_hidden = math.inf: finite spherical trees only "
                         "have a capacity here")  # fmt: skip

    @property
    def collapsed(self) -> float:
        """For few units their overlap is one where their votes are no longer resolved."""
        return super().collapsed if self._many else _COLLAPSED

    @cached_property
    def _perceptron(self) -> Equations:
        """That with whose fields many votes agree."""
        return Equations(GeneralizedLinear(self.model.alpha, Threshold(0.0), self.model.prior))

    @property
    def _many(self) -> bool:
        return math.isinf(self.model.n_hidden)

    def effective(self, order: Order) -> tuple[Order, EffectiveOverlap]:
        """The order parameters of that perceptron."""
        found = effective_overlap(order.overlap, order.variance, self.model.tree)
        return Order(found.value, found.variance), found

    def forces(self, order: Order) -> tuple[float, float, float]:
        if self._many:
            effective, votes = self.effective(order)
            squared = votes.slope * self._perceptron.forces(effective)[0] if votes.slope else 0.0
            return squared, 0.0, squared
        mean, weight = self._fields(order)
        gradient = self.model.channel.gradient(1.0, mean, order.variance)
        squared = float(weight @ np.sum(gradient**2, axis=-1))
        return squared, 0.0, squared

    def mean_log_partition(self, order: Order) -> float:
        if self._many:
            return self._perceptron.mean_log_partition(self.effective(order)[0])
        mean, weight = self._fields(order)
        return float(weight @ self.model.channel.log_partition(1.0, mean, order.variance))

    def mean_squared_curvature(self, order: Order) -> float:
        if self._many:
            effective, votes = self.effective(order)
            bend = votes.bend * self._perceptron.forces(effective)[0]
            return votes.slope**2 * self._perceptron.mean_squared_curvature(effective) + bend
        mean, weight = self._fields(order)
        V, channel = order.variance, self.model.channel
        total = np.zeros(len(mean))
        for k in range(self.model.n_hidden):
            step = _DIFFERENCE * math.sqrt(V) * (np.arange(self.model.n_hidden) == k)
            change = channel.gradient(1.0, mean + step, V) - channel.gradient(1.0, mean - step, V)
            total += np.sum((change / (2 * step[k])) ** 2, axis=-1)
        return float(weight @ total)

    def log_likelihood(self, order: Order) -> float:
        return 0.0

    def _fields(self, order: Order) -> tuple[np.ndarray, np.ndarray]:
        """Means of the units' fields at all nodes, shape (n, K), and their probabilities."""
        width = math.sqrt(order.variance / max(order.overlap, 1e-12))
        K = int(self.model.n_hidden)
        z, weight = _nodes(K, _HERMITE[K] if K in _HERMITE else min(_wanted(width), _MOST_POINTS[K]))
        return math.sqrt(order.overlap) * z, weight

    def is_resolved(self, order: Order) -> bool:
        """Whether the steps between nodes are short enough for the fields' variance."""
        width = math.sqrt(order.variance / max(order.overlap, 1e-12))
        if self._many:
            return True
        K = int(self.model.n_hidden)
        return width > _SHARP if K in _HERMITE else _wanted(width) <= _MOST_POINTS[K]


def _wanted(width: float) -> int:
    # Few different numbers, so that nodes are reused.
    return 16 * math.ceil(2 * _REACH / (_STEP * min(1.0, width)) / 16)


@lru_cache(maxsize=16)
def _nodes(K: int, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of K normal fields up to their order, shape (n, K), and their probabilities."""
    if K in _HERMITE:
        x, share = np.polynomial.hermite_e.hermegauss(n_points)
        log_weight = np.log(share / share.sum())
    else:
        x, step = np.linspace(-_REACH, _REACH, n_points, retstep=True)
        log_weight = -(x**2) / 2 + math.log(step / math.sqrt(2 * math.pi))
    index = np.array(list(combinations_with_replacement(range(n_points), K)), dtype=np.int16)
    # How often each set comes up in a different order: K! over the factorials of the lengths of its runs.
    run, orders = np.ones(len(index)), np.zeros(len(index))
    for k in range(1, K):
        run = np.where(index[:, k] == index[:, k - 1], run + 1, 1.0)
        orders += math.log(k + 1) - np.log(run)
    weight = np.exp(log_weight[index].sum(axis=1) + orders)
    kept = weight > 1e-20
    return x[index[kept]], weight[kept]


def committee_capacity(model: Committee) -> float:
    r"""Largest load at which a committee stores random labels, in replica symmetry.

    Of binary weights the load at which their entropy vanishes, of spherical ones that at which their overlap reaches
    one, 1/E of the least squared change of the fields that makes a vote right (an upper bound: replica symmetry is
    unstable before).

    Parameters
    ----------
    model : Committee
        A tree of up to 7 units, or, of binary weights, infinitely many units in a tree or with shared inputs. Its load
        is ignored.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the model is another one, or has no capacity, as replica symmetry finds with infinitely many spherical units.

    References
    ----------
    theory/committee-storage/derivation.md (CS.4), (CS.7), (CS.11); Barkai, Hansel & Sompolinsky 1992; Engel,
    Kohler, Tschepke, Vollmayr & Zippelius 1992; Urbanczik 1997.
    """
    check_committee(model)
    many = math.isinf(model.n_hidden)
    if isinstance(model.prior, Spherical):
        if many:
            raise InputError(
                "n_hidden: got inf; allowed for spherical weights: finite numbers, since the replica-symmetric "
                "capacity grows with them beyond all bounds."
            )
        return 1 / _cost(int(model.n_hidden))
    if not model.tree:
        # No pattern makes two solutions alike (q = 0), and each halves the number of those that are left.
        return 1.0
    return zero_entropy(CommitteeEquations(model))


def _cost(K: int) -> float:
    """Mean of the least sum of squares by which K normal fields must change for most to be positive."""
    total = 0.0
    for wrong in range(K // 2 + 1, K + 1):
        changed = wrong - K // 2
        squares = sum(_ordered_square(rank, wrong) for rank in range(1, changed + 1))
        total += math.comb(K, wrong) / 2**K * squares
    return total


def _ordered_square(rank: int, n: int) -> float:
    """Mean square of the rank-th smallest of n absolute values of normal numbers."""
    from scipy.integrate import quad

    def density(x):
        below = math.erf(x / math.sqrt(2))
        shape = below ** (rank - 1) * math.erfc(x / math.sqrt(2)) ** (n - rank)
        return x**2 * shape * 2 * math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)

    return rank * math.comb(n, rank) * quad(density, 0, 12, epsabs=1e-13, epsrel=1e-12)[0]
