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
Source: theory/clones/derivation.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from physlearn.kernels.clones import binary_weights, binary_weights_summed, constrained_fields
from physlearn.models import Perceptron, SymmetricPerceptron
from physlearn.quadrature import G, H, expectation

# The smallest spread that is looked for, and the largest: of a conjugate that tells all weights.
_SPREADS = (1e-14, 1e8)
_TOLERANCE = 1e-12
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

    def between(self, n_replicas: float) -> float:
        """q0 or its conjugate, between groups."""
        return self.overlap - self.spread / n_replicas


@dataclass(frozen=True)
class CloneEquations:
    """The two halves of the equations of `n_replicas` clones at `overlap`.

    Parameters
    ----------
    model : Perceptron or SymmetricPerceptron
        Of binary weights.
    n_replicas : float
        n >= 1, or infinite.
    overlap : float
        q1 < 1.
    """

    model: Perceptron | SymmetricPerceptron
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

    def weights(self, conjugates: Groups, rows: Rows, in_full: bool = False) -> np.ndarray:
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
        step, value = 0.02, excess(u)
        while value != 0:
            sign = math.copysign(1.0, value)
            other = u + sign * step
            if not low < other < high:
                return None
            following = excess(other)
            if following * value <= 0:
                return math.exp(brentq(excess, *sorted((u, other)), xtol=1e-14, rtol=1e-14))
            u, value, step = other, following, 4 * step
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

    def fields(self, order: Groups, rows: Rows) -> np.ndarray:
        """Expectation over the outer field of each of `rows`(values, z), values being `constrained_fields`'s."""
        V = 1 - order.overlap
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
        return self.model.half_width if isinstance(self.model, SymmetricPerceptron) else self.model.margin

    def conjugates(self, order: Groups) -> tuple[float, float]:
        """q0_hat and r_hat from order parameters."""
        alpha = self.model.alpha
        if not self.has_teacher:
            (squared,) = self.fields(order, lambda values, z: values[2:3] ** 2)
            return alpha * float(squared), 0.0
        q0 = order.between(self.n_replicas)
        rest = q0 - order.teacher_overlap**2
        (squared,) = self.fields(order, lambda values, z: values[2:3] ** 2)
        slope = order.teacher_overlap / math.sqrt(rest)
        size = math.sqrt(q0)
        # The teacher's own force times the probability 2H of its label: 2G over its width.
        scale = 2 * size / math.sqrt(rest)
        feature = [(0.0, 1 / math.hypot(1, slope)), (self._edge / size, math.sqrt(1 - order.overlap) / size)]
        product = expectation(
            lambda z: scale * G(slope * z) * self._constrained(size * z, order.spread, 1 - order.overlap)[2],
            feature,
            tolerance=_TOLERANCE,
        )
        return alpha * float(squared), alpha * float(product)

    # The answers

    def free_entropy(self, order: Groups, conjugates: Groups) -> float:
        """phi as a function of independent order parameters and conjugates."""
        (inner,) = self.weights(conjugates, lambda values, z: values[:1])
        (outer,) = self.fields(order, lambda values, z: values[:1])
        return float(self._legendre(order, conjugates) + inner + self.model.alpha * outer)

    def _legendre(self, order, conjugates):
        V = 1 - order.overlap
        mixed = order.overlap * conjugates.spread
        if not self.is_symmetric:  # where q0 = 0 what follows is zero
            product = order.spread * conjugates.spread / self.n_replicas
            mixed += conjugates.overlap * order.spread - product
        return -(conjugates.overlap * V + mixed) / 2 - order.teacher_overlap * conjugates.teacher_overlap

    def slope(self, order: Groups, conjugates: Groups) -> float:
        """The derivative of phi with respect to the imposed overlap, at the saddle point."""
        (variance,) = self.fields(order, lambda values, z: values[3:4])
        return float((1 - 1 / self.n_replicas) / 2 * (self.model.alpha * variance - conjugates.spread))

    def complexity(self, order: Groups, conjugates: Groups) -> float:
        """-n^2 dphi/dn at fixed overlap, at the saddle point."""
        n, alpha = self.n_replicas, self.model.alpha
        if self.is_symmetric and n == math.inf:
            return -math.inf  # like -ln n: the fields of all clones are in the middle of the window
        product = order.spread * conjugates.spread
        if math.isfinite(n):
            (inner,) = self.weights(conjugates, lambda values, z: values[:1] - values[1:2], in_full=True)
            (outer,) = self.fields(order, lambda values, z: values[:1] - values[1:2])
            mixed = order.overlap * conjugates.spread + conjugates.overlap * order.spread
            return float(n * (mixed / 2 + inner + alpha * outer) - product / 2)
        # What is left of order 1/n: Gaussian fluctuations about the maxima, and q0 = q1 - D/n.
        (inner,) = self.weights(conjugates, lambda values, z: np.log1p(-conjugates.spread * values[4:5]))
        outer, bend = self.fields(
            order, lambda values, z: [np.log1p(-order.spread * values[4]), values[4] + values[3]]
        )
        response = conjugates.spread * (1 - order.overlap + order.spread)
        return float((product - inner - alpha * outer - response - alpha * order.spread * bend) / 2)

    def stabilities(self, order: Groups, conjugates: Groups) -> tuple[float, float]:
        """The replicon eigenvalues between groups, and inside them."""
        alpha = self.model.alpha

        def squares(values, z):
            return [(values[4] + values[3]) ** 2, values[5]]

        between, inside = self.weights(conjugates, squares, in_full=True)
        between_fields, inside_fields = self.fields(order, squares)
        if math.isinf(self.n_replicas) and conjugates.spread >= 1:
            # The clones' magnetisation jumps where the sign of the outer field changes. In the middle of a window
            # the fields give way by as much, and the product is finite.
            product = 1.0 if self.is_symmetric else math.inf
        else:
            product = between * between_fields
        return float(1 - alpha * product), float(1 - alpha * inside * inside_fields)
