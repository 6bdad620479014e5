"""Message passing: approximate marginals of the weights, iterated to a fixed point."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import integer, keep, number
from physlearn.kernels.patterns import packed_products, sums_of_columns, sums_of_rows
from physlearn.models import Channel, Instance, Model, Prior
from physlearn.models.base import normalised_overlap
from physlearn.results import Status
from physlearn.solvers.base import Solver, State


@dataclass
class AMPState(State):
    """What the next sweep of `AMP` needs.

    Attributes
    ----------
    mean, variance, field : ndarray, shape (N,)
        Posterior mean a and variance v of each weight, and the field B that gave them.
    precision : ndarray, shape (N,) or ()
        The precision A that goes with the field, the multiplier that holds the norm included.
    gradient, cavity_mean : ndarray, shape (P,)
        Output function g, and the mean omega of each pattern's field in its own absence.
    cavity_variance : ndarray, shape (P,) or ()
        The variance V of that field.
    draw : ndarray, shape (N,)
        Weights from the prior, deployed where the posterior says nothing at all.
    residual : float
        Root mean square change of the means in the last sweep, before damping.
    """

    mean: np.ndarray
    variance: np.ndarray
    field: np.ndarray
    precision: np.ndarray
    gradient: np.ndarray
    cavity_mean: np.ndarray
    cavity_variance: np.ndarray
    draw: np.ndarray
    residual: float = np.inf
    diverged: bool = False
    n_sweeps: int = 0


@dataclass(frozen=True)
class AMP(Solver):
    r"""Approximate message passing for any prior and channel, with a teacher (Bayes-optimal) or for storage.

    A sweep takes posterior means a and variances v of the weights to

    .. math::
        V_\mu &= \tfrac1N \sum_i \xi_{\mu i}^2 v_i, \quad
        \omega_\mu = \tfrac1{\sqrt N} \sum_i \xi_{\mu i} a_i - V_\mu g_\mu^{\rm old}, \quad
        g_\mu = g(y_\mu, \omega_\mu, V_\mu), \\
        A_i &= -\tfrac1N \sum_\mu \xi_{\mu i}^2\, \partial_\omega g_\mu, \quad
        B_i = \tfrac1{\sqrt N} \sum_\mu \xi_{\mu i} g_\mu + A_i a_i, \quad
        a_i, v_i = \text{mean, variance of } P_0(w) e^{-A_i w^2/2 + B_i w}

    from the prior's own mean and variance and g = 0: the uninformed start, which state evolution follows from
    zero overlap. A norm that is constrained adds to A the multiplier at which the sum of a^2 + v is N.

    The channel sees V as 1/N or more: below that, less than a single weight is uncertain, and the field of a
    pattern is no longer Gaussian (otherwise a perfectly recovered teacher is lost again in the next sweep).
    The fixed points don't depend on the damping. The instance keeps the patterns' bits, P N/4 bytes.

    Parameters
    ----------
    n_iterations : int
        Number of sweeps at most.
    tolerance : float
        Root mean square change of the means in a sweep at which the iteration has converged.
    damping : float
        Fraction of the old a and v, and of the old g in the reaction term, that is kept: 0 <= damping < 1.
        Without it some instances oscillate at finite N.

    Notes
    -----
    The status tells of the fixed point: CONVERGED, NOT_CONVERGED or DIVERGED, and never SOLVED; whether the
    weights deployed (sign a, for binary ones) violate a constraint is the observable ``solved``. Where the
    channel doesn't tell w from -w (symmetric perceptron) a = 0 is the fixed point; the weights are then
    arbitrary.

    The trace holds ``overlap`` (q, the mean of a^2), ``teacher_overlap`` (a.w*/N, of the means) and
    ``residual``. Observables of the result are ``overlap`` and ``residual``, ``free_entropy`` (phi per
    weight, of Bethe and Peierls; meaningful at a fixed point; for hard constraints the entropy of the
    solutions, zero where a binary teacher is perfectly recovered) and, where there is a teacher,
    ``generalization_error_bayes`` (of the means) and ``generalization_error_amp`` (of the weights deployed).

    References
    ----------
    theory/teacher-student-perceptron; Kabashima 2003; Donoho, Maleki & Montanari 2009; Rangan 2011.
    """

    state_type = AMPState

    n_iterations: int = 500
    tolerance: float = 1e-7
    damping: float = 0.0

    def __post_init__(self) -> None:
        keep(
            self,
            n_iterations=integer("n_iterations", self.n_iterations, at_least=0),
            tolerance=number("tolerance", self.tolerance, above=0),
            damping=number("damping", self.damping, at_least=0, below=1),
        )

    def supports(self, model: Model) -> str | None:
        if not model.is_single:
            return f"AMP treats single perceptrons, which {type(model).__name__} is not."
        if isinstance(model.prior, Prior) and isinstance(model.channel, Channel):
            return None
        return f"AMP needs a model with a Prior and a Channel; {type(model).__name__} has none."

    def init(self, instance: Instance, rng: np.random.Generator) -> AMPState:
        prior, N, P = instance.model.prior, instance.N, instance.P
        field, precision = np.zeros(N), np.zeros(())
        if prior.norm == "constrained":
            precision = _precision_at_norm(prior, field, precision, np.ones(()))
        return AMPState(
            instance.fingerprint,
            mean=prior.mean(field, precision) * np.ones(N),
            variance=prior.variance(field, precision) * np.ones(N),
            field=field,
            precision=precision,
            gradient=np.zeros(P),
            cavity_mean=np.zeros(P),
            cavity_variance=np.ones(()),
            draw=prior.sample(N, rng),
        )

    def sweep(self, instance: Instance, state: AMPState, rng: np.random.Generator) -> AMPState:
        prior, channel = instance.model.prior, instance.model.channel
        kept = self.damping
        with np.errstate(all="ignore"):
            projection, spread = _onto_patterns(instance, state.mean, state.variance)
            cavity_mean = projection - spread * state.gradient
            cavity_variance = np.maximum(spread, 1 / instance.N)
            gradient = channel.gradient(instance.labels, cavity_mean, cavity_variance)
            curvature = channel.curvature(instance.labels, cavity_mean, cavity_variance) * np.ones(instance.P)
            projection, precision = _onto_weights(instance, gradient, -curvature)
            field = projection + precision * state.mean
            if prior.norm == "constrained":
                precision = _precision_at_norm(prior, field, precision, state.precision)
            mean, variance = (
                prior.mean(field, precision),
                prior.variance(field, precision) * np.ones(instance.N),
            )
            residual = float(np.sqrt(np.mean(np.square(mean - state.mean))))
        state.n_sweeps += 1
        if not (np.isfinite(residual) and np.isfinite(variance).all()):
            state.diverged = True
            return state
        state.mean = (1 - kept) * mean + kept * state.mean
        state.variance = (1 - kept) * variance + kept * state.variance
        state.field, state.precision = field, precision
        state.gradient = (1 - kept) * gradient + kept * state.gradient
        state.cavity_mean, state.cavity_variance, state.residual = cavity_mean, cavity_variance, residual
        return state

    def status(self, instance: Instance, state: AMPState) -> Status | None:
        if state.diverged:
            return Status.DIVERGED
        if state.residual < self.tolerance:
            return Status.CONVERGED
        return Status.NOT_CONVERGED if state.n_sweeps >= self.n_iterations else None

    def record(self, instance: Instance, state: AMPState) -> dict[str, float]:
        records = {"overlap": float(np.mean(np.square(state.mean))), "residual": state.residual}
        if instance.teacher is not None:
            records["teacher_overlap"] = float(state.mean @ instance.teacher.astype(np.float64)) / instance.N
        return records

    def weights(self, instance: Instance, state: AMPState) -> np.ndarray:
        weights = instance.model.prior.estimate(state.mean)
        return weights if weights.any() else state.draw

    def observables(self, instance: Instance, state: AMPState) -> dict[str, Any]:
        observables = {
            "overlap": float(np.mean(np.square(state.mean))),
            "residual": state.residual,
            "free_entropy": _free_entropy(instance, state),
        }
        if instance.teacher is not None and instance.model.teacher_channel is not None:
            for name, vector in (("bayes", state.mean), ("amp", self.weights(instance, state))):
                error = instance.model.generalization_error(normalised_overlap(vector, instance.teacher))
                observables[f"generalization_error_{name}"] = error
        return observables


def _onto_patterns(
    instance: Instance, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the weights: of xi a/sqrt N, and of xi^2 v/N (one number for +-1 patterns)."""
    patterns, N = instance.patterns, instance.N
    if patterns.dtype == np.int8:
        return packed_products(instance.packed[0], mean) / np.sqrt(N), np.mean(variance)
    sums, squares = sums_of_rows(patterns, mean, variance)
    return sums / np.sqrt(N), squares / N


def _onto_weights(
    instance: Instance, gradient: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the patterns: of xi g/sqrt N, and of xi^2 weight/N (one number for +-1 patterns)."""
    patterns, N = instance.patterns, instance.N
    if patterns.dtype == np.int8:
        return packed_products(instance.packed[1], gradient) / np.sqrt(N), np.sum(weight) / N
    sums, squares = sums_of_columns(patterns, gradient, weight)
    return sums / np.sqrt(N), squares / N


def _precision_at_norm(
    prior: Prior, field: np.ndarray, precision: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """`precision` plus the multiplier at which the mean of a^2 + v is one, sought from `start`; NaN without one."""
    from scipy.optimize import brentq

    above_least = precision - np.min(precision)

    def excess(log_least: float) -> float:
        total = above_least + np.exp(log_least)
        return float(np.mean(np.square(prior.mean(field, total)) + prior.variance(field, total))) - 1

    low = high = float(np.log(np.min(start)))
    for _ in range(60):
        if excess(low) >= 0:
            break
        low -= 1
    for _ in range(60):
        if excess(high) <= 0:
            break
        high += 1
    if not excess(low) >= 0 >= excess(high):
        return np.array(np.nan)
    return above_least + np.exp(brentq(excess, low, high, xtol=1e-14, rtol=1e-14))


def _free_entropy(instance: Instance, state: AMPState) -> float:
    r"""The Bethe free entropy per weight; its derivatives vanish at the fixed points of `AMP`.

    .. math::
        N\phi &= \sum_\mu \Big[\log Z_{out} + \frac{(z_\mu - \omega_\mu)^2}{2 V_\mu}\Big] \\
        &+ \sum_i \Big[\log Z_{in} - B_i a_i + \tfrac12 A_i (a_i^2 + v_i)\Big],
        \quad z_\mu = \tfrac1{\sqrt N}\sum_i \xi_{\mu i} a_i
    """
    mean, variance, field, precision = state.mean, state.variance, state.field, state.precision
    floor = 1 / instance.N
    with np.errstate(all="ignore"):
        projection, spread = _onto_patterns(instance, mean, variance)
        # Where `sweep` kept V from vanishing, the entropy is that at the true one; 1e-20, lest zero divide zero.
        V = np.where(state.cavity_variance > floor, state.cavity_variance, np.clip(spread, 1e-20, floor))
        of_patterns = instance.model.channel.log_partition(instance.labels, state.cavity_mean, V)
        of_patterns = of_patterns + np.square(projection - state.cavity_mean) / (2 * V)
        of_weights = instance.model.prior.log_partition(field, precision) - field * mean
        of_weights = of_weights + precision * (np.square(mean) + variance) / 2
        return float(np.sum(of_patterns) + np.sum(of_weights)) / instance.N
