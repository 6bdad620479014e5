"""Message passing: approximate marginals of the weights, iterated to a fixed point."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import choice, integer, keep, number, reject
from physlearn.kernels.patterns import packed_products, sums_of_columns, sums_of_rows
from physlearn.models import Binary, Channel, Committee, Instance, Model, Prior, Spherical, Tethered
from physlearn.models.base import normalised_overlap
from physlearn.results import Status
from physlearn.solvers import shared_inputs
from physlearn.solvers.base import Solver, State
from physlearn.solvers.messages import counts_none, entropy_of, is_hopeless, teacher_overlap

# Units that are treated jointly have 2^K configurations at each input.
_MOST_UNITS = 11


@dataclass
class AMPState(State):
    """What the next sweep of `AMP` needs.

    Attributes
    ----------
    mean, variance, field : ndarray, shape (N,)
        Posterior mean a and variance v of each weight, and the field B that gave them.
    precision : ndarray, shape (N,) or ()
        The precision A that goes with the field, the multiplier that holds the norm included.

        Where units are treated jointly, the variance is the covariance of the weights at an input, averaged over the
        inputs, and it, the precision and the cavity variance are (K, K).
    gradient, cavity_mean : ndarray, shape (P,), of committees (P, K)
        Output function g, and the mean omega of each pattern's field in its own absence.
    cavity_variance : ndarray, shape (P,) or (), of committees (P, K) or (K,)
        The variance V of that field.
    pull : ndarray, shape (N,) or ()
        What the reinforcement has added to the field.
    pull_precision : float or ndarray, shape (K, K)
        The same of the precision, where units are treated jointly.
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
    pull: np.ndarray
    pull_precision: float | np.ndarray = 0.0
    residual: float = np.inf
    diverged: bool = False
    n_sweeps: int = 0


@dataclass(frozen=True)
class AMP(Solver):
    r"""Approximate message passing for any prior and channel, with a teacher (Bayes-optimal) or for storage.

    For binary weights and hard constraints it is also known as the equations of Thouless, Anderson and Palmer (TAP),
    the term with A a being Onsager's reaction.

    A sweep takes posterior means a and variances v of the weights to

    .. math::
        V_\mu &= \tfrac1N \sum_i \xi_{\mu i}^2 v_i, \quad
        \omega_\mu = \tfrac1{\sqrt N} \sum_i \xi_{\mu i} a_i - V_\mu g_\mu^{\rm old}, \quad
        g_\mu = g(y_\mu, \omega_\mu, V_\mu), \\
        A_i &= -\tfrac1N \sum_\mu \xi_{\mu i}^2\, \partial_\omega g_\mu, \quad
        B_i = \tfrac1{\sqrt N} \sum_\mu \xi_{\mu i} g_\mu + A_i a_i, \quad
        a_i, v_i = \text{mean, variance of } P_0(w) e^{-A_i w^2/2 + B_i w}

    (and the instance's external field added to B) from the prior's own mean and variance and g = 0: the uninformed
    start, which state evolution follows from zero overlap. A norm that is constrained adds to A the multiplier at which
    the sum of a^2 + v is N.

    The channel sees V as 1/N or more: below that, less than a single weight is uncertain, and the field of a
    pattern is no longer Gaussian (otherwise a perfectly recovered teacher is lost again in the next sweep).
    Each unit of a committee has fields, V and g of its own, with N/K in place of N. Where units share their inputs, the
    weights at one input are correlated: V and A are then matrices of all units, Z_in sums over the weights of all
    units at an input, and Z_out is that of correlated fields. With `reinforcement` rho > 0 the
    field is drawn to what it was, B^{t+1} += rho_t B^t, rho_t = 1 - (1 - rho)^t, until the weights violate no
    constraint.

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
    reinforcement : float
        Rate rho, 0 <= rho < 1.
    start : float
        Standard deviation of random fields B that the first means are computed from. Units of a committee that share
        their inputs stay alike without it.
    joint : bool
        Whether units that share their inputs are treated jointly, or, for speed, as if what is left uncertain of
        each were independent of the others, as belief propagation does: the vote of many units is costly.

    Notes
    -----
    The status tells of the fixed point: CONVERGED, UNPHYSICAL where it counts no configuration (a pattern is
    impossible, or, of binary weights and without a teacher, the entropy is negative), NOT_CONVERGED or DIVERGED, and
    never SOLVED; whether the weights deployed (sign a, for binary ones) violate a constraint is the observable
    ``solved``. It is UNSATISFIABLE, and the entropies are NaN, where `Instance.contradiction` says why no weights at
    all can satisfy the patterns: a fixed point need not show it, since each pattern sees the others as noise. With
    reinforcement the status is SOLVED, or COMPLETED where the sweeps ran out. Where the channel doesn't tell w from -w
    (symmetric perceptron) a = 0 is the fixed point; the weights are then arbitrary.

    The trace holds ``overlap`` (q, the mean of a^2), ``teacher_overlap`` (a.w*/N, of the means) and ``residual``.
    Observables of the result are ``overlap`` and ``residual`` (infinite before the first sweep), without reinforcement
    ``free_entropy`` (phi per weight, of Bethe and Peierls; meaningful at a fixed point) and for hard constraints
    ``entropy`` (of the solutions: phi without an external field's own part; zero where a binary teacher is perfectly
    recovered), and, where there is a teacher, ``generalization_error_bayes`` (of the means) and
    ``generalization_error_amp`` (of the weights deployed), but for committees. Where the instance is `Tethered` there
    are ``tether_overlap`` and ``distance`` (see there).

    References
    ----------
    theory/teacher-student-perceptron; theory/committee-machine/derivation.md (CM.7), (CM.8); Kabashima 2003; Donoho,
    Maleki & Montanari 2009; Rangan 2011; Aubin, Maillard, Barbier, Krzakala, Macris & Zdeborova 2018.
    """

    state_type = AMPState
    takes_external = True

    n_iterations: int = 500
    tolerance: float = 1e-7
    damping: float = 0.0
    reinforcement: float = 0.0
    start: float = 0.0
    joint: bool = True

    def __post_init__(self) -> None:
        keep(
            self,
            n_iterations=integer("n_iterations", self.n_iterations, at_least=0),
            tolerance=number("tolerance", self.tolerance, above=0),
            damping=number("damping", self.damping, at_least=0, below=1),
            reinforcement=number("reinforcement", self.reinforcement, at_least=0, below=1),
            start=number("start", self.start, at_least=0),
            joint=choice("joint", self.joint, (True, False)),
        )

    def supports(self, model: Model) -> str | None:
        if not (model.is_single or isinstance(model, Committee)):
            return f"AMP treats perceptrons and committees, which {type(model).__name__} is not."
        if not (isinstance(model.prior, Prior) and isinstance(model.channel, Channel)):
            return f"AMP needs a model with a Prior and a Channel; {type(model).__name__} has none."
        if self._is_joint(model):
            if not isinstance(model.prior, (Binary, Spherical)):
                return f"AMP treats units jointly for binary or spherical weights, not for the prior {model.prior!r}."
            if model.n_hidden > _MOST_UNITS:
                return f"AMP treats at most {_MOST_UNITS} units jointly: joint=False treats {model.n_hidden}."
        if self.reinforcement and model.energy_refusal:
            return f"AMP with reinforcement seeks zeros of the energy: {model.energy_refusal}"
        return None

    def _is_joint(self, model: Model) -> bool:
        return self.joint and isinstance(model, Committee) and model.n_hidden > 1 and not model.tree

    def init(self, instance: Instance, rng: np.random.Generator) -> AMPState:
        N, P, K = instance.N, instance.P, instance.model.n_hidden
        draw = instance.model.draw(N, rng)
        field, precision = np.zeros(N), np.zeros(() if K == 1 else N)
        if self.start:
            field = self.start * rng.standard_normal(N)
        if self._is_joint(instance.model):
            mean, variance, precision = shared_inputs.posterior(instance, field, np.zeros((K, K)))
        else:
            mean, variance, precision = _posterior(instance, field, precision, np.ones(precision.shape))
        per_pattern = (P,) if K == 1 else (P, K)
        return AMPState(
            instance.fingerprint,
            mean=mean,
            variance=variance,
            field=field,
            precision=precision,
            gradient=np.zeros(per_pattern),
            cavity_mean=np.zeros(per_pattern),
            cavity_variance=np.eye(K) if self._is_joint(instance.model) else np.ones(() if K == 1 else K),
            draw=draw,
            pull=np.zeros(()),
        )

    def sweep(self, instance: Instance, state: AMPState, rng: np.random.Generator) -> AMPState:
        kept, joint = self.damping, self._is_joint(instance.model)
        with np.errstate(all="ignore"):
            passed = (shared_inputs.fields if joint else _fields)(instance, state)
            cavity_mean, cavity_variance, gradient, field, precision = passed
            if instance.external is not None:
                field = field + instance.external
            if self.reinforcement:
                strength = -np.expm1(state.n_sweeps * np.log1p(-self.reinforcement))
                state.pull = strength * state.field
                field = field + state.pull
                if joint:  # what is remembered is the posterior, whose precision couples the units
                    state.pull_precision = strength * state.precision
                    precision = precision + state.pull_precision
            if joint:
                mean, variance, precision = shared_inputs.posterior(instance, field, precision)
            else:
                mean, variance, precision = _posterior(instance, field, precision, state.precision)
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
        is_joint = self._is_joint(instance.model)
        if is_joint != (state.variance.ndim == 2):
            given, own = (False, True) if is_joint else (True, False)
            raise reject("state", f"one of joint={given}", f"states of this solver's joint={own}")
        if self.reinforcement:
            if state.diverged:
                return Status.DIVERGED
            if instance.model.energy(instance, self.weights(instance, state)) == 0:
                return Status.SOLVED
            return Status.COMPLETED if state.n_sweeps >= self.n_iterations else None
        settled = state.residual < self.tolerance
        if not (settled or state.diverged or state.n_sweeps >= self.n_iterations):
            return None
        if state.diverged:
            return Status.DIVERGED
        if is_hopeless(instance, self.weights(instance, state)):
            return Status.UNSATISFIABLE
        if settled:
            is_none = counts_none(instance, _free_entropy(instance, state), state.mean)
            return Status.UNPHYSICAL if is_none else Status.CONVERGED
        return Status.NOT_CONVERGED

    def record(self, instance: Instance, state: AMPState) -> dict[str, float]:
        records = {"overlap": float(np.mean(np.square(state.mean))), "residual": state.residual}
        if instance.teacher is not None:
            records["teacher_overlap"] = teacher_overlap(instance, state.mean)
        return records

    def weights(self, instance: Instance, state: AMPState) -> np.ndarray:
        prior, K = instance.model.prior, instance.model.n_hidden
        weights = np.concatenate([prior.estimate(unit) for unit in state.mean.reshape(K, -1)])
        return weights if weights.any() else state.draw

    def observables(self, instance: Instance, state: AMPState) -> dict[str, Any]:
        observables = {"overlap": float(np.mean(np.square(state.mean))), "residual": state.residual}
        if not self.reinforcement:  # else there is no fixed point
            hopeless = is_hopeless(instance, self.weights(instance, state))
            phi = math.nan if hopeless else _free_entropy(instance, state)
            observables |= entropy_of(instance, phi, state.mean)
        if (
            instance.teacher is not None
            and instance.model.teacher_channel is not None
            and not _is_committee(instance)
        ):
            for name, vector in (("bayes", state.mean), ("amp", self.weights(instance, state))):
                error = instance.model.generalization_error(normalised_overlap(vector, instance.teacher))
                observables[f"generalization_error_{name}"] = error
        if isinstance(instance, Tethered):
            observables |= instance.observables(state.mean)
        return observables


def _fields(
    instance: Instance, state: AMPState
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One pass to the patterns and back: cavity mean and variance, gradient, field and precision."""
    channel = instance.model.channel
    projection, spread = _onto_patterns(instance, state.mean, state.variance)
    cavity_mean = projection - spread * state.gradient
    cavity_variance = np.maximum(spread, instance.model.n_hidden / instance.N)
    gradient = channel.gradient(instance.labels, cavity_mean, cavity_variance)
    curvature = channel.curvature(instance.labels, cavity_mean, cavity_variance)
    projection, precision = _onto_weights(instance, gradient, -curvature * np.ones(gradient.shape))
    return cavity_mean, cavity_variance, gradient, projection + precision * state.mean, precision


def _posterior(
    instance: Instance, field: np.ndarray, precision: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and variances of the weights, each (N,), and the precision with the multipliers of a constrained norm."""
    prior, ones = instance.model.prior, np.ones(instance.N)
    if prior.norm == "constrained":
        precision = _precision_at_norm(prior, field, precision, start, instance.model.n_hidden)
    return prior.mean(field, precision) * ones, prior.variance(field, precision) * ones, precision


def _is_committee(instance: Instance) -> bool:
    return instance.model.n_hidden > 1


def _onto_patterns(
    instance: Instance, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the weights of a unit: of xi a/sqrt D, and of xi^2 v/D (one number for +-1 patterns), D = N/K."""
    if _is_committee(instance):
        return _onto_patterns_of_units(instance, mean, variance)
    patterns, N = instance.patterns, instance.N
    if patterns.dtype == np.int8:
        return packed_products(instance.packed[0], mean) / np.sqrt(N), np.mean(variance)
    sums, squares = sums_of_rows(patterns, mean, variance)
    return sums / np.sqrt(N), squares / N


def _onto_patterns_of_units(
    instance: Instance, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same for each unit, with those inputs of a tree that are not the unit's left out: (P, K); (P, K) or (K,)."""
    patterns, P, K = instance.patterns, instance.P, instance.model.n_hidden
    D = instance.N // K
    sums, squares = np.empty((P, K)), np.empty((P, K))
    for k in range(K):
        own = _inputs_of(instance, k)
        a, v = np.zeros((2, instance.n_inputs))
        a[own], v[own] = mean[k * D : (k + 1) * D], variance[k * D : (k + 1) * D]
        if patterns.dtype == np.int8:
            sums[:, k] = packed_products(instance.packed[0], a)
        else:
            sums[:, k], squares[:, k] = sums_of_rows(patterns, a, v)
    if patterns.dtype == np.int8:
        return sums / np.sqrt(D), variance.reshape(K, D).mean(axis=1)
    return sums / np.sqrt(D), squares / D


def _onto_weights(
    instance: Instance, gradient: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the patterns: of xi g/sqrt D, and of xi^2 weight/D (one number a unit for +-1 patterns), D = N/K."""
    if _is_committee(instance):
        return _onto_weights_of_units(instance, gradient, weight)
    patterns, N = instance.patterns, instance.N
    if patterns.dtype == np.int8:
        return packed_products(instance.packed[1], gradient) / np.sqrt(N), np.sum(weight) / N
    sums, squares = sums_of_columns(patterns, gradient, weight)
    return sums / np.sqrt(N), squares / N


def _onto_weights_of_units(
    instance: Instance, gradient: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same for the weights of all units, each (N,)."""
    N, K = instance.N, instance.model.n_hidden
    D = N // K
    sums, squares = np.empty((2, K, D))
    for k in range(K):
        own, g, c = _inputs_of(instance, k), gradient[:, k].copy(), weight[:, k].copy()
        if instance.patterns.dtype == np.int8:
            sums[k], squares[k] = packed_products(instance.packed[1], g)[own], c.sum()
        else:
            sums[k], squares[k] = (total[own] for total in sums_of_columns(instance.patterns, g, c))
    return sums.ravel() / np.sqrt(D), squares.ravel() / D


def _inputs_of(instance: Instance, k: int) -> slice:
    """The inputs of unit k."""
    D = instance.N // instance.model.n_hidden
    return slice(None) if instance.n_inputs == D else slice(k * D, (k + 1) * D)


def _precision_at_norm(
    prior: Prior, field: np.ndarray, precision: np.ndarray, start: np.ndarray, n_units: int = 1
) -> np.ndarray:
    """`precision` plus the multiplier of each unit at which its mean of a^2 + v is one; NaN without one."""
    if n_units > 1:
        parts = [np.split(item, n_units) for item in (field, precision, start)]
        found = [_precision_at_norm(prior, *part) for part in zip(*parts, strict=True)]
        return np.concatenate([each * np.ones(field.size // n_units) for each in found])
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

    An external field and a pull are part of Z_in, not of the B a that is taken off.
    """
    mean, variance, field, precision = state.mean, state.variance, state.field, state.precision
    floor = instance.model.n_hidden / instance.N
    own = field - state.pull if instance.external is None else field - state.pull - instance.external
    with np.errstate(all="ignore"):
        if variance.ndim == 2:
            return shared_inputs.free_entropy(instance, state, own) / instance.N
        projection, spread = _onto_patterns(instance, mean, variance)
        # Where `sweep` kept V from vanishing, the entropy is that at the true one; 1e-20, lest zero divide zero.
        V = np.where(state.cavity_variance > floor, state.cavity_variance, np.clip(spread, 1e-20, floor))
        of_patterns = instance.model.channel.log_partition(instance.labels, state.cavity_mean, V)
        reaction = np.square(projection - state.cavity_mean) / (2 * V)
        of_patterns = of_patterns + (reaction.sum(axis=-1) if _is_committee(instance) else reaction)
        of_weights = instance.model.prior.log_partition(field, precision) - own * mean
        of_weights = of_weights + precision * (np.square(mean) + variance) / 2
        return float(np.sum(of_patterns) + np.sum(of_weights)) / instance.N
