r"""Clones at an imposed mutual overlap: the large-deviation local entropy.

With n clones at overlap q1 the two halves of the saddle-point equations average over an inner and an outer Gaussian
field. In the variables D = n (q1 - q0) and D_hat = n (q1_hat - q0_hat), with V = 1 - q1, they have a limit for n to
infinity and read, for every n,

.. math::
    \phi = -\frac{\hat q_1 V}{2} - \frac{q_1 \hat D + \hat q_1 D - D \hat D/n}{2} - \hat r r
      + \int Dz\, f_{in}(\sqrt{\hat q_0} z + \hat r)
      + \alpha \int Dz\, 2 H\Big(\frac{-r z}{\sqrt{q_0 - r^2}}\Big) f_{out}(\sqrt{q_0} z)

    f_{in}(x) = \frac1n \ln \int Dy\, \Big[2 \cosh\Big(x + \sqrt{\hat D/n}\, y\Big)\Big]^n, \qquad
    f_{out}(x) = \frac1n \ln \int Dy\, Z_{out}\Big(x + \sqrt{D/n}\, y, V\Big)^n

In storage problems r = r_hat = 0 and the factor 2H is one; the symmetric perceptron has q0 = q0_hat = 0.
Source: theory/replicated-entropy/derivation.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from physlearn.kernels.clones import binary_weights, binary_weights_summed, constrained_fields
from physlearn.models import Committee, Perceptron, SymmetricPerceptron
from physlearn.quadrature import G_over_H, H, expectation

# The smallest spread that is looked for, and the largest: of a conjugate that tells all weights.
_SPREADS = (1e-14, 1e8)
_TOLERANCE = 1e-12
# The longest step of ln D_hat: far beyond the root the weights' variance is too small to be integrated quickly.
_STEP = 0.7
# Whole numbers of clones up to this are summed over, not integrated.
_FEW = 64

Rows = Callable[[np.ndarray, np.ndarray], Any]


@cache
def _log_binomials(n: int) -> np.ndarray:
    return np.array([math.log(math.comb(n, k)) for k in range(n + 1)])


class Groups(NamedTuple):
    """Order parameters, or their conjugates, of groups of clones.

    Attributes
    ----------
    overlap : float
        q1 inside a group, or its conjugate.
    spread : float
        D = n (q1 - q0), or D_hat.
    teacher_overlap : float
        r, or r_hat.
    """

    overlap: float
    spread: float
    teacher_overlap: float = 0.0

    @property
    def variance(self) -> float:
        """V = 1 - q1."""
        return 1 - self.overlap

    def between(self, n_replicas: float) -> float:
        """q0 or its conjugate, between groups."""
        return self.overlap - self.spread / n_replicas


class Overlaps(Protocol):
    """What the equations ask of order parameters and of conjugates: `Groups` have it."""

    @property
    def overlap(self) -> float:
        """q1."""

    @property
    def spread(self) -> float:
        """D."""

    @property
    def variance(self) -> float:
        """V = 1 - q1."""

    @property
    def teacher_overlap(self) -> float:
        """r."""

    def between(self, n_replicas: float) -> float:
        """q0."""


class Answers(NamedTuple):
    """What is told of a saddle point.

    Attributes
    ----------
    free_entropy, slope, complexity : float
        phi, its derivative with respect to the imposed overlap, and -n^2 times that with respect to n.
    between, within : float
        Replicon eigenvalues between groups, and inside them.
    """

    free_entropy: float
    slope: float
    complexity: float
    between: float
    within: float


@dataclass(frozen=True)
class CloneEquations:
    """The two halves of the equations of `n_replicas` clones at `overlap`.

    Parameters
    ----------
    model : Perceptron, SymmetricPerceptron or Committee
        Of binary weights.
    n_replicas : float
        n >= 1, or infinite.
    overlap : float
        q1 < 1.
    """

    model: Perceptron | SymmetricPerceptron | Committee
    n_replicas: float
    overlap: float

    @property
    def has_teacher(self) -> bool:
        return self.model.teacher_channel is not None

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether a sign change maps solutions on solutions, so that groups are orthogonal to each other."""
        return isinstance(self.model, SymmetricPerceptron)

    # Weights

    def weights(self, conjugates: Overlaps, rows: Rows, in_full: bool = False) -> np.ndarray:
        """Expectation over the outer field of each of `rows`(values, z), values being `binary_weights`'s.

        Its rows 1 and 5 are there if `in_full`, and slower then.
        """
        n = self.n_replicas
        between = conjugates.between(n)
        binary = self._binary if in_full else self._binary_summed
        if self.is_symmetric:
            return np.asarray(rows(binary(np.zeros(1), conjugates.spread), np.zeros(1)))[:, 0]
        size = math.sqrt(between)
        centre, width = -conjugates.teacher_overlap / size, 1 / size
        # Where the sign of the field decides for all of the clones.
        features = [(centre, width), (centre, width / n)] if conjugates.spread > 0 else [(centre, width)]

        def function(z):
            values = binary(size * z + conjugates.teacher_overlap, conjugates.spread)
            return np.array(rows(values, z))

        return expectation(function, features, tolerance=_TOLERANCE)

    def _binary(self, fields, spread):
        out = np.empty((6, len(fields)))
        binary_weights(fields, float(spread), float(self.n_replicas), out)
        return out

    def _binary_summed(self, fields, spread):
        n = self.n_replicas
        if not (2 <= n <= _FEW and n == int(n)):
            return self._binary(fields, spread)
        out = np.empty((6, len(fields)))
        binary_weights_summed(fields, float(spread), _log_binomials(int(n)), out)
        return out

    def conjugate_spread(self, between: float, teacher_conjugate: float, guess: float = 1.0) -> float | None:
        """D_hat at which the clones' overlap is the imposed one; None where any is too large.

        The mean of sech^2 falls with D_hat (the free entropy is convex in the conjugate of an overlap), so that a
        bracket holds exactly one root.
        """
        from scipy.optimize import brentq

        target = math.log1p(-self.overlap)

        def excess(u):
            spread = math.exp(u)
            conjugates = Groups(between + spread / self.n_replicas, spread, teacher_conjugate)
            (variance,) = self.weights(conjugates, lambda values, z: values[4:5])
            return math.log(max(variance, 1e-300)) - target

        low, high = (math.log(limit) for limit in _SPREADS)
        u = min(max(math.log(guess), low), high)
        value = excess(u)
        step = min(max(4 * abs(value), 1e-13), _STEP)
        while value != 0:
            other = u + math.copysign(step, value)
            if not low < other < high:
                return None
            following = excess(other)
            if following * value <= 0:
                return math.exp(brentq(excess, *sorted((u, other)), xtol=1e-14, rtol=1e-14))
            u, value, step = other, following, min(4 * step, _STEP)
        return math.exp(u)

    def order(self, conjugates: Groups) -> Groups:
        """Order parameters from conjugates."""
        n = self.n_replicas
        if self.is_symmetric:
            return Groups(self.overlap, n * self.overlap if math.isfinite(n) else math.inf)
        if math.isfinite(n):
            spread, r = self.weights(conjugates, lambda values, z: [values[3], values[2]])
        else:
            # By parts: the magnetisation may jump.
            size = math.sqrt(conjugates.overlap)
            response, r = self.weights(conjugates, lambda values, z: [values[2] * z / size, values[2]])
            spread = response - (1 - self.overlap)
        return Groups(self.overlap, float(spread), float(r) if self.has_teacher else 0.0)

    # Fields

    def fields(self, order: Overlaps, rows: Rows) -> np.ndarray:
        """Expectation over the outer field of each of `rows`(values, z), values being `constrained_fields`'s."""
        V = order.variance
        if self.is_symmetric:
            return np.asarray(rows(self._constrained(np.zeros(1), order.spread, V), np.zeros(1)))[:, 0]
        q0 = order.between(self.n_replicas)
        size = math.sqrt(q0)
        features = [
            (self._edge / size, math.sqrt(V) / size),
            (self._edge / size, math.sqrt(V + order.spread) / size),
        ]
        rest = q0 - order.teacher_overlap**2
        if self.has_teacher:
            slope = order.teacher_overlap / math.sqrt(rest)
            features.append((0.0, 1 / max(abs(slope), 1e-3)))

        def function(z):
            values = np.array(rows(self._constrained(size * z, order.spread, V), z))
            return values * 2 * H(-slope * z) if self.has_teacher else values

        return expectation(function, features, tolerance=_TOLERANCE)

    def _constrained(self, means, spread, V):
        out = np.empty((6, len(means)))
        constrained_fields(
            means, float(spread), float(V), self._edge, self.is_symmetric, float(self.n_replicas), out
        )
        return out

    @property
    def _edge(self) -> float:
        model = self.model
        return model.half_width if isinstance(model, SymmetricPerceptron) else getattr(model, "margin", 0.0)

    def conjugates(self, order: Groups) -> tuple[float, float]:
        """q0_hat and r_hat from order parameters."""
        alpha = self.model.alpha
        if not self.has_teacher:
            (squared,) = self.fields(order, lambda values, z: values[2:3] ** 2)
            return alpha * float(squared), 0.0
        rest = order.between(self.n_replicas) - order.teacher_overlap**2
        slope = order.teacher_overlap / math.sqrt(rest)
        width = math.sqrt(rest / order.between(self.n_replicas))
        squared, product = self.fields(
            order, lambda values, z: [values[2] ** 2, values[2] * G_over_H(-slope * z) / width]
        )
        return alpha * float(squared), alpha * float(product)

    # The answers

    def free_entropy(self, order: Overlaps, conjugates: Overlaps) -> float:
        """phi as a function of independent order parameters and conjugates."""
        (inner,) = self.weights(conjugates, lambda values, z: values[:1])
        outer = self.mean_log_partition(order)
        return float(self._legendre(order, conjugates) + inner + self.model.alpha * outer)

    def mean_log_partition(self, order: Overlaps) -> float:
        """E f_out."""
        (outer,) = self.fields(order, lambda values, z: values[:1])
        return float(outer)

    def _legendre(self, order, conjugates):
        V = order.variance
        mixed = order.overlap * conjugates.spread
        if not self.is_symmetric:  # where q0 = 0 what follows is zero
            product = order.spread * conjugates.spread / self.n_replicas
            mixed += conjugates.overlap * order.spread - product
        return -(conjugates.overlap * V + mixed) / 2 - order.teacher_overlap * conjugates.teacher_overlap

    def is_resolved(self, order: Overlaps) -> bool:
        """Whether the integrals are as precise as they are meant to be."""
        return True

    @property
    def _fluctuate(self) -> bool:
        """With many clones the order 1/n is that of Gaussian fluctuations about the maxima."""
        return math.isinf(self.n_replicas) and not self.is_symmetric

    def _told(self, values: np.ndarray, spread: float) -> list[np.ndarray]:
        excess = np.log1p(-spread * values[4]) if self._fluctuate else values[0] - values[1]
        response = values[4] + values[3]
        return [values[0], excess, response**2, values[5], values[3], response, values[2] ** 2]

    def outer(self, order: Overlaps) -> np.ndarray:
        """What a pattern adds: to phi, to the complexity, to both replicons, to the slope, to the response; q0_hat."""
        return self.fields(order, lambda values, z: self._told(values, order.spread))

    def answers(self, order: Overlaps, conjugates: Overlaps) -> "Answers":
        """What is told of a saddle point, in one integral over weights and one over fields."""
        n, alpha = self.n_replicas, self.model.alpha
        D, D_hat = order.spread, conjugates.spread
        many = math.isinf(n)
        fluctuate = self._fluctuate
        inner = self.weights(conjugates, lambda values, z: self._told(values, D_hat)[:4], in_full=True)
        outer = self.outer(order)
        phi = self._legendre(order, conjugates) + inner[0] + alpha * outer[0]
        slope = (1 - 1 / n) / 2 * (alpha * outer[4] - D_hat)
        excess = inner[1] + alpha * outer[1]
        if fluctuate:
            response = D_hat * (1 - order.overlap + D) + alpha * D * outer[5]
            complexity = (D * D_hat - excess - response) / 2
        elif many:
            complexity = -math.inf  # like -ln n: the fields of all clones are in the middle of the window
        else:
            mixed = order.overlap * D_hat + conjugates.overlap * D
            complexity = n * (mixed / 2 + excess) - D * D_hat / 2
        # With D_hat > 1 the clones' magnetisation jumps where the sign of the outer field changes. In the middle of a
        # window the fields give way by as much, and the product is finite.
        jump = 1.0 if self.is_symmetric else math.inf
        product = jump if many and D_hat >= 1 else inner[2] * outer[2]
        values = phi, slope, complexity, 1 - alpha * product, 1 - alpha * inner[3] * outer[3]
        return Answers(*(float(value) for value in values))
