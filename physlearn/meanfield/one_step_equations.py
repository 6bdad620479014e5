r"""One step of replica symmetry breaking: the equations of clones whose overlap is free.

Solutions fall into clusters: two of the same have the overlap q1, two of different ones q0. With the Parisi parameter
m the free entropy is that of m clones in one cluster (`physlearn.meanfield.clone_equations`, n = m, there of any
size), stationary in q1 too:

.. math::
    \hat q_0 = \alpha E \langle g \rangle^2, \quad
    \hat D = m (\hat q_1 - \hat q_0) = \alpha E\, m [\langle g^2 \rangle - \langle g \rangle^2], \quad
    q_0 = E \langle t \rangle^2, \quad D = m (q_1 - q_0) = E\, m [\langle t^2 \rangle - \langle t \rangle^2]

On the sphere the averages over weights are those of Gaussians, with the precision A that holds the norm.
Source: theory/replica-symmetry-breaking/derivation.md.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from physlearn.meanfield.clone_equations import Answers, CloneEquations, Overlaps, Rows
from physlearn.models import Perceptron, Spherical, SymmetricPerceptron


class Levels(NamedTuple):
    """Order parameters, or their conjugates, of clusters: what `Groups` are to an imposed overlap.

    Attributes
    ----------
    group : float
        q0, between clusters, or its conjugate.
    spread : float
        D = m (q1 - q0), or its conjugate.
    overlap : float
        q1, inside a cluster, or its conjugate.
    variance : float
        V = 1 - q1, which stays accurate as q1 goes to one; of conjugates none.
    """

    group: float
    spread: float
    overlap: float
    variance: float = math.nan
    teacher_overlap: float = 0.0

    def between(self, n_replicas: float) -> float:
        """The overlap between clusters."""
        return self.group


@dataclass(frozen=True)
class _SphericalClones(CloneEquations):
    """Clones on the sphere: all averages over weights are Gaussian."""

    def precision(self, conjugates: Overlaps) -> float:
        """A, at which V + D/m + q0 = 1/A + D_hat/(m A u) + q0_hat/u^2 is one, with u = A - D_hat."""
        from scipy.optimize import brentq

        between, spread, n = conjugates.between(self.n_replicas), conjugates.spread, self.n_replicas

        def excess(log_u):
            u = math.exp(log_u)
            A = u + spread
            return math.log(1 / A + spread / (n * A * u) + between / u**2)

        low = high = math.log(max(math.sqrt(between), 0.5 / (1 + spread)))
        while excess(low) < 0:
            low -= 1
        while excess(high) > 0:
            high += 1
        return spread + math.exp(brentq(excess, low, high, xtol=1e-15, rtol=1e-15) if low < high else low)

    def weights(self, conjugates: Overlaps, rows: Rows, in_full: bool = False) -> np.ndarray:
        """Rows are polynomials of the field of at most the second degree, for which three nodes are exact."""
        A = self.precision(conjugates)
        z, weight = np.array([-math.sqrt(3), 0.0, math.sqrt(3)]), np.array([1 / 6, 2 / 3, 1 / 6])
        field = math.sqrt(conjugates.between(self.n_replicas)) * z
        values = spherical_weights(field, conjugates.spread, A, self.n_replicas)
        return np.array([np.broadcast_to(row, z.shape) @ weight for row in rows(values, z)])

    def _legendre(self, order, conjugates):
        return super()._legendre(order, conjugates) + self.precision(conjugates) / 2


def spherical_weights(fields: np.ndarray, spread: float, precision: float, n_replicas: float) -> np.ndarray:
    """Weights of clones on the sphere around each of the fields: rows as those of `binary_weights`, shape (6, n)."""
    u = precision - spread
    mean, variance = fields / u, spread / (n_replicas * precision * u)
    constant = -math.log(precision) / 2 - 0.5
    out = np.empty((6, len(fields)))
    out[0] = fields**2 / (2 * u) - math.log(u / precision) / (2 * n_replicas) + constant
    out[1] = precision / 2 * (mean**2 + variance) + constant
    out[2] = mean
    out[3] = n_replicas * variance
    out[4] = 1 / precision
    out[5] = 1 / precision**2
    return out


@dataclass(frozen=True)
class OneStepEquations:
    """The two halves of the saddle-point equations with the Parisi parameter m.

    Parameters
    ----------
    model : Perceptron or SymmetricPerceptron
        A storage problem of binary or spherical weights.
    parisi_parameter : float
        0 < m <= 1.
    """

    model: Perceptron | SymmetricPerceptron
    parisi_parameter: float

    @property
    def clones(self) -> CloneEquations:
        """The equations at an imposed overlap; the overlap that they hold is not used."""
        spherical = isinstance(self.model.prior, Spherical)
        return (_SphericalClones if spherical else CloneEquations)(self.model, self.parisi_parameter, 0.0)

    def hats(self, between: float, spread: float) -> Levels:
        """Conjugates from q0_hat and D_hat."""
        return Levels(between, spread, between + spread / self.parisi_parameter)

    def order(self, conjugates: Levels) -> Levels:
        """Order parameters from conjugates: the weights' half."""
        spread, group, variance = (
            float(value)
            for value in self.clones.weights(
                conjugates, lambda values, z: [values[3], values[2] ** 2, values[4]]
            )
        )
        return Levels(0.0 if self.clones.is_symmetric else group, spread, 1 - variance, variance)

    def conjugates(self, order: Levels) -> Levels:
        """Conjugates from order parameters: the patterns' half."""
        squared, spread = self.clones.fields(order, lambda values, z: [values[2] ** 2, values[3]])
        alpha = self.model.alpha
        return self.hats(0.0 if self.clones.is_symmetric else alpha * float(squared), alpha * float(spread))

    def free_entropy(self, order: Levels, conjugates: Levels) -> float:
        """phi as a function of independent order parameters and conjugates."""
        return self.clones.free_entropy(order, conjugates)

    def answers(self, order: Levels, conjugates: Levels) -> Answers:
        """Free entropy, complexity and replicon eigenvalues at a saddle point."""
        return self.clones.answers(order, conjugates)
