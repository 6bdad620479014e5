r"""The replica-symmetric equations of any prior and any channel.

.. math::
    \phi = \frac{\hat Q Q}{2} + \frac{\hat q q}{2} - \hat r r
      + \int Dz\, Z^0_{in}(s z, s^2) \ln Z_{in}(\sqrt{\hat q} z, A)
      + \alpha \sum_y \int Dz\, Z^0_{out}(y, c z, \rho - c^2) \ln Z_{out}(y, \sqrt q z, V)

with A = Q_hat + q_hat the precision, V = Q - q the variance of the cavity field, s = r_hat/sqrt(q_hat) and
c = r/sqrt(q) the projections on the teacher (superscript 0), whose norm is rho. In storage problems Z0_in = 1, s = 0,
c = 0, and Z0_out is one over the number of labels. The saddle point is

.. math::
    \hat q = \alpha E[g^2], \quad \hat r = \alpha E[g_0 g], \quad A = -\alpha E[\partial g], \qquad
    q = E[\langle w \rangle^2], \quad r = E[\langle w \rangle_0 \langle w \rangle], \quad V = E[\mathrm{var}\,w]

where a prior of norm "fixed" leaves A free (zero, here) and one of norm "constrained" replaces the equation of A by
Q = 1. V is computed as an expectation, never as a difference, so that it stays accurate as q goes to one.
Source: theory/binary-perceptron/derivation.md and theory/teacher-student-perceptron/derivation.md.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from physlearn.inputs import InputError, reject
from physlearn.meanfield.atoms import Atoms, atoms_of, is_hard
from physlearn.meanfield.base import extremize
from physlearn.models import Model
from physlearn.quadrature import expectation, nodes

# Below these cavity variances an overlap is one: where the student is drawn to the teacher, and elsewhere.
_PERFECT = 1e-100
_COLLAPSED = 1e-26
_TINY = 1e-30
_UNDERFLOW = 1e-290
_REACH = 12.0


class Order(NamedTuple):
    """Order parameters.

    Attributes
    ----------
    overlap, variance : float
        q and V.
    teacher_overlap, projection, teacher_variance : float
        r, c = r/sqrt(q), and rho - c^2.
    """

    overlap: float
    variance: float
    teacher_overlap: float = 0.0
    projection: float = 0.0
    teacher_variance: float = 1.0


class Conjugates(NamedTuple):
    """Conjugates: q_hat, s = r_hat/sqrt(q_hat) and the precision A."""

    overlap: float
    projection: float = 0.0
    precision: float = 0.0


@dataclass(frozen=True)
class Equations:
    """The two halves of the saddle-point equations of a model.

    Parameters
    ----------
    model : Model
    matched : bool
        Use Nishimori's identities of a student who knows the teacher's prior and channel: r = q and r_hat = q_hat.
    """

    model: Model
    matched: bool = False

    def __post_init__(self) -> None:
        if not self.model.is_single:
            allowed = "single perceptrons: the theory of committees and replicas is not here"
            raise reject("model", type(self.model).__name__, allowed)

    @property
    def has_teacher(self) -> bool:
        return self.model.teacher_channel is not None

    @cached_property
    def norm2(self) -> float:
        """rho, the teacher's norm: one except for a "free" prior."""
        if self.model.prior.norm != "free":
            return 1.0
        zero = np.zeros(1)
        mean, variance = self.model.prior.mean(zero, zero), self.model.prior.variance(zero, zero)
        return float((variance + mean**2).item())

    @property
    def draws_in(self) -> bool:
        """Whether an overlap of one is a solution: the teacher itself."""
        return self.has_teacher and self.model.teacher_channel == self.model.channel

    @cached_property
    def atoms(self) -> Atoms:
        """What the prior is made of, as a teacher draws from it."""
        prior = self.model.prior
        if prior.norm == "constrained":
            return Atoms(-math.inf, False)
        try:
            return atoms_of(prior, self.norm2)
        except TypeError:  # a prior that cannot be hashed is looked at anew
            return atoms_of.__wrapped__(prior, self.norm2)

    @property
    def entropy_floor(self) -> float:
        r"""The entropy of a single configuration, below which one is unphysical; -inf where there is none.

        Z is at least the teacher's own mass for a matched student, and a mass common to all configurations in any
        other problem that has a solution.
        """
        return self.atoms.log_mass if self.draws_in or self.atoms.are_equal else -math.inf

    @property
    def collapsed(self) -> float:
        """The cavity variance below which the overlap is taken to be one."""
        return _PERFECT if self.draws_in else _COLLAPSED

    # The teacher's weight, seen through the student's field B = sqrt(q_hat) z.

    def _teacher_log_partition(self, z, s):
        prior = self.model.prior
        if prior.norm == "constrained":
            return (s * z) ** 2 / (2 * (1 + s**2)) - math.log1p(s**2) / 2
        zero = np.zeros(1)
        return prior.log_partition(s * z, s**2) - prior.log_partition(zero, zero)

    def _teacher_moments(self, z, s):
        prior = self.model.prior
        if prior.norm == "constrained":
            return s * z / (1 + s**2), np.full_like(z, 1 / (1 + s**2))
        return prior.mean(s * z, s**2), prior.variance(s * z, s**2)

    def _input(self, conjugates):
        """How to integrate over the student's field: keywords of `expectation`."""
        size = math.sqrt(conjugates.overlap)
        features = [(edge / size, 1 / size) for edge in self.model.prior.edges] if size > _TINY else []
        s = conjugates.projection
        if not self.has_teacher:
            return {"features": features}
        return {
            "features": features,
            "reach": 12 * math.sqrt(1 + s**2 * self.norm2),
            "log_density": lambda z: self._teacher_log_partition(z, s),
        }

    def norm_precision(self, conjugates: Conjugates) -> Conjugates:
        """The conjugates with the precision that the prior's norm asks for; a "free" one keeps its own."""
        prior = self.model.prior
        q_hat, s, _ = conjugates
        if prior.norm == "fixed":
            return conjugates._replace(precision=0.0)
        if prior.norm == "free":
            return conjugates._replace(precision=q_hat) if self.matched else conjugates
        size = math.sqrt(q_hat)
        # Exact for the sphere, a start for other constrained priors.
        precision = (1 + math.sqrt(1 + 4 * q_hat * (1 + s**2))) / 2

        def norm2(precision):
            return float(
                expectation(
                    lambda z: prior.variance(size * z, precision) + prior.mean(size * z, precision) ** 2,
                    **self._input(conjugates),
                )
            )

        for _ in range(50):
            excess = norm2(precision) - 1
            if abs(excess) < 1e-13:
                break
            step = 1e-6 * precision
            slope = (norm2(precision + step) - 1 - excess) / step
            precision = max(precision - excess / slope, precision / 4)
        return conjugates._replace(precision=precision)

    def order(self, conjugates: Conjugates) -> Order:
        """Order parameters from conjugates: the prior's half."""
        prior = self.model.prior
        conjugates = self.norm_precision(conjugates)
        q_hat, s, precision = conjugates
        size = math.sqrt(q_hat)

        def moments(z):
            mean, variance = prior.mean(size * z, precision), prior.variance(size * z, precision)
            rows = [variance, mean**2]
            if self.has_teacher and not self.matched:
                teacher_mean, teacher_variance = self._teacher_moments(z, s)
                rows += [teacher_mean * mean, teacher_variance + (teacher_mean - mean) ** 2]
            return np.array(np.broadcast_arrays(*rows, z)[:-1])

        values = [float(value) for value in expectation(moments, **self._input(conjugates))]
        V, q = values[:2]
        if not self.has_teacher:
            return Order(q, V, teacher_variance=self.norm2)
        if self.matched:
            return Order(q, V, q, math.sqrt(q), V)
        return self._with_teacher(q, V, *values[2:])

    def _with_teacher(self, q, V, r, distance):
        """Order parameters with the teacher; `distance` is rho - 2r + q, which stays accurate as r goes to one."""
        if q == 0:
            return Order(q, V, 0.0, 0.0, self.norm2)
        c, rho = r / math.sqrt(q), self.norm2
        rest = rho - c**2
        if rest < 0.5 * rho < q:
            gap = V if self.model.prior.norm != "free" else rho - q
            rest = (distance * (rho - gap / 2) - (distance**2 + gap**2) / 4) / q
        return Order(q, V, r, c, max(rest, _PERFECT))

    # The pattern's field: its cavity mean is sqrt(q) z.

    def _output(self, order):
        """Keywords of `expectation` over the field, and the weight of each label there: z (n,) to (labels, n)."""
        channel, teacher = self.model.channel, self.model.teacher_channel
        features = []
        if order.overlap > _TINY:
            size, width = math.sqrt(order.overlap), math.sqrt(order.variance)
            features = [(edge / size, width / size) for edge in channel.edges]
        if teacher is None:
            return {"features": features}, lambda z: 1 / len(channel.labels)
        c, rest = order.projection, order.teacher_variance
        if abs(c) > _TINY:
            features += [(edge / c, math.sqrt(rest) / abs(c)) for edge in teacher.edges]
        labels = np.array(channel.labels, dtype=float)[:, None]
        return {"features": features}, lambda z: np.exp(teacher.log_partition(labels, c * z, rest))

    def _expected(self, order, functions, tolerance=1e-12):
        """Sum over labels, and expectation over the field, of each row of `functions`(labels, omega, z)."""
        keywords, weight = self._output(order)
        labels = np.array(self.model.channel.labels, dtype=float)[:, None]
        size = math.sqrt(order.overlap)

        def summed(z):
            weights = weight(z)
            return np.array(
                [
                    (np.broadcast_to(row, (len(labels), len(z))) * weights).sum(axis=0)
                    for row in functions(labels, size * z, z)
                ]
            )

        values = [float(value) for value in expectation(summed, tolerance=tolerance, **keywords)]
        if not np.isfinite(values).all():
            raise _not_finite(self, order)
        return values

    def forces(self, order: Order) -> tuple[float, float, float]:
        """E[g^2], E[g0 g] and -E[dg], all per unit of load: the channel's half."""
        channel = self.model.channel
        _, V, _, c, rest = order
        teacher = None if self.matched else self.model.teacher_channel
        wants_curvature = self.model.prior.norm == "free" and not self.matched
        # Scaled by the widths, so that squares do not overflow.
        width, teacher_width = math.sqrt(V), math.sqrt(rest)

        def rows(labels, omega, z):
            g = width * channel.gradient(labels, omega, V)
            out = [g**2]
            if teacher is not None:
                out.append(g * teacher_width * teacher.gradient(labels, c * z, rest))
            if wants_curvature:
                out.append(-V * channel.curvature(labels, omega, V))
            return out

        values = self._expected(order, rows)
        squared = values[0] / V
        product = (
            values[1] / (width * teacher_width) if teacher is not None else squared if self.matched else 0.0
        )
        precision = values[-1] / V if wants_curvature else squared
        return squared, product, precision

    def conjugates(self, order: Order) -> Conjugates:
        """Conjugates from order parameters."""
        alpha = self.model.alpha
        squared, product, precision = self.forces(order)
        if squared == 0:
            return self.norm_precision(Conjugates(0.0, 0.0, alpha * precision))
        s = math.sqrt(alpha) * product / math.sqrt(squared)
        return self.norm_precision(Conjugates(alpha * squared, s, alpha * precision))

    def along(self, log_conjugate: float) -> tuple[float, Order, Conjugates]:
        """The load at which this ln q_hat solves the equations, with the solution: a branch as an explicit function.

        For storage problems and matched students: every q_hat is proportional to the load.
        """
        q_hat = math.exp(log_conjugate)
        conjugates = self.norm_precision(Conjugates(q_hat, math.sqrt(q_hat) if self.matched else 0.0, q_hat))
        if self.model.prior.norm == "free" and not self.matched:
            conjugates = conjugates._replace(precision=self._free_precision(q_hat))
        order = self.order(conjugates)
        squared = self.forces(order)[0]
        if squared < _UNDERFLOW:
            raise reject(
                "channel", self.model.channel, "constraints whose mean squared force E[g^2] is above 1e-290"
            )
        return q_hat / squared, order, conjugates

    def _free_precision(self, q_hat):
        """The precision A = -q_hat E[dg]/E[g^2] that goes with q_hat."""

        def update(x):
            order = self.order(Conjugates(q_hat, 0.0, math.sinh(x[0])))
            squared, _, precision = self.forces(order)
            return np.arcsinh([q_hat * precision / squared])

        return math.sinh(extremize(update, np.arcsinh([q_hat])).x[0])

    def mean_squared_curvature(self, order: Order) -> float:
        """E[(dg)^2]."""
        channel, V = self.model.channel, order.variance
        (scaled,) = self._expected(
            order, lambda labels, omega, z: [(V * channel.curvature(labels, omega, V)) ** 2]
        )
        return scaled / V**2

    def mean_log_partition(self, order: Order) -> float:
        """E ln Z_out."""
        channel, V = self.model.channel, order.variance
        (outer,) = self._expected(order, lambda labels, omega, z: [channel.log_partition(labels, omega, V)])
        return outer

    def stability(self, order: Order, conjugates: Conjugates) -> float:
        r"""Replicon eigenvalue, 1 - alpha E[(dg)^2] E[(var w)^2]."""
        prior, V = self.model.prior, order.variance
        curvature2 = self.mean_squared_curvature(order) * V**2
        size, precision = math.sqrt(conjugates.overlap), conjugates.precision
        variance2 = expectation(
            lambda z: np.broadcast_to((prior.variance(size * z, precision) / V) ** 2, z.shape),
            **self._input(conjugates),
        )
        return float(1 - self.model.alpha * curvature2 * variance2)

    def free_entropy(self, order: Order, conjugates: Conjugates) -> float:
        """phi as a function of independent order parameters and conjugates."""
        prior = self.model.prior
        q_hat, s, precision = conjugates
        size = math.sqrt(q_hat)
        q, V, r, *_ = order
        inner = expectation(
            lambda z: prior.log_partition(size * z, precision) + 0 * z, **self._input(conjugates)
        )
        outer = self.mean_log_partition(order)
        legendre = (precision * (q + V) - q_hat * V) / 2 - s * size * r
        return float(legendre + inner + self.model.alpha * outer)

    def log_likelihood(self, order: Order) -> float:
        r"""E ln P(y|h) of a student drawn from the measure; zero where P is zero or one ("hard" constraints)."""
        channel = self.model.channel
        if is_hard(channel):
            return 0.0
        if self.matched:  # Nishimori: the teacher is one more student
            return self.log_likelihood_of_teacher()
        V = order.variance
        width = math.sqrt(V)

        def rows(labels, omega, z):
            log_normalisation = channel.log_partition(labels, omega, V)[..., None]
            omega = omega[:, None]
            # The field is omega + width u: between the jumps of P each stretch of u is mapped to all x.
            jumps = [np.clip((edge - omega) / width, -_REACH, _REACH) for edge in sorted(channel.edges)]
            ends = [np.full_like(omega, -_REACH), *jumps, np.full_like(omega, _REACH)]

            def averaged(x):
                total = 0.0
                for left, right in pairwise(ends):
                    u = left + (right - left) * (x + _REACH) / (2 * _REACH)
                    log_probability = channel.log_partition(labels[..., None], omega + width * u, _TINY)
                    log_probability = np.maximum(log_probability, -1e300)
                    # The Gaussian measure of x is exchanged for that of u.
                    measure = np.exp(log_probability - log_normalisation + (x**2 - u**2) / 2) * (right - left)
                    total = total + measure * log_probability
                return total / (2 * _REACH)

            return [expectation(averaged, tolerance=1e-10)]

        return self._expected(order, rows, tolerance=1e-9)[0]

    def log_likelihood_of_teacher(self) -> float:
        """E ln P(y|h) of the teacher itself: minus the entropy of a label given its field."""
        channel = self.model.teacher_channel
        assert channel is not None
        labels = np.array(channel.labels, dtype=float)[:, None]
        if is_hard(channel):
            return 0.0

        def averaged(z):
            log_probability = channel.log_partition(labels, math.sqrt(self.norm2) * z, _TINY)
            return (np.exp(log_probability) * log_probability).sum(axis=0)

        # Where labels are nearly certain all of the integral is a narrow peak at the boundary between them.
        deviation = math.sqrt(self.norm2)
        return float(expectation(averaged, [(edge / deviation, 1e-8) for edge in (0.0, *channel.edges)]))

    def estimator_overlap(self, order: Order, conjugates: Conjugates) -> float:
        """Normalised overlap with the teacher of the weights that the prior would deploy, given the means."""
        prior = self.model.prior
        size, precision = math.sqrt(conjugates.overlap), conjugates.precision
        z, weight = nodes(**self._input(conjugates))
        estimate = np.asarray(prior.estimate(prior.mean(size * z, precision)), dtype=float)
        teacher_mean, _ = self._teacher_moments(z, conjugates.projection)
        length = math.sqrt(weight @ estimate**2 * self.norm2)
        return min(1.0, float(weight @ (teacher_mean * estimate)) / length) if length > 0 else 0.0

    def is_resolved(self, order: Order) -> bool:
        """Whether the integrals are as precise as they are meant to be."""
        return True

    def natural_start(self) -> Order:
        """What is known without patterns: the prior's mean and variance."""
        order = self.order(self.norm_precision(Conjugates(0.0)))
        return order._replace(teacher_variance=self.norm2 - order.projection**2)

    def informed_start(self) -> Order:
        """A student next to the teacher: at a discrete one so near that no load is too small to keep it there."""
        gap = _PERFECT if math.isfinite(self.atoms.log_mass) else 1e-10 * self.norm2
        q = self.norm2 - gap
        return Order(q, gap, q, math.sqrt(q), gap)

    def at_load(self, alpha: float) -> "Equations":
        """The same equations at another load."""
        return replace(self, model=self.model.with_alpha(alpha))


def _not_finite(equations: Equations, order: Order) -> InputError:
    """Where the gradient or the curvature of a channel fails."""
    z = np.linspace(-_REACH, _REACH, 2401)
    channel, teacher = equations.model.channel, equations.model.teacher_channel
    cavities = [("channel", channel, math.sqrt(order.overlap), order.variance)]
    if teacher is not None:
        cavities.append(("teacher_channel", teacher, order.projection, order.teacher_variance))
    for name, seen, size, variance in cavities:
        for method, label in product(("log_partition", "gradient", "curvature"), seen.labels):
            values = np.broadcast_to(getattr(seen, method)(label, size * z, variance), z.shape)
            bad = z[~np.isfinite(values)]
            if bad.size:
                where = size * bad[np.argmin(np.abs(bad))]
                return InputError(
                    f"{name}: got {seen!r}, whose {method} is not finite at label {label:g}, mean {where:g} and "
                    f"variance {variance:g}; allowed: channels that are finite in the tails."
                )
    return InputError(
        f"channel: got {channel!r}, whose mean squared force is not finite at an overlap of "
        f"{order.overlap:g}; allowed: channels that are finite in the tails."
    )
