"""Belief propagation on binary weights, and the same with reinforcement."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import choice, integer, keep, number
from physlearn.models import Instance, Model, Tethered
from physlearn.models.base import normalised_overlap
from physlearn.results import Result, Status
from physlearn.solvers.base import Solver
from physlearn.solvers.messages import (
    MessagesState,
    advance,
    check_kind,
    counts_none,
    entropy_of,
    free_entropy,
    is_hopeless,
    own_field,
    refusal,
    seeking_refusal,
    signs,
    start,
    teacher_overlap,
)

MESSAGES = ("gaussian", "exact")


@dataclass(frozen=True, repr=False)
class BeliefPropagationResult(Result):
    """A result with the magnetisations of the final state."""

    @property
    def magnetisations(self) -> np.ndarray:
        """Means of the weights, tanh h, shape (N,)."""
        return self.state.mean


@dataclass
class BeliefPropagationState(MessagesState):
    """What the next sweep of `BeliefPropagation` needs."""


@dataclass
class ReinforcedState(MessagesState):
    """What the next sweep of `ReinforcedBP` needs."""


@dataclass(frozen=True)
class BeliefPropagation(Solver):
    r"""Belief propagation (sum-product) on the weights of a perceptron or committee, one pattern a factor.

    A pattern sends to a weight the message u, a weight to a pattern its mean in that pattern's absence,

    .. math::
        m_{i \to \mu} = \tanh(h_i - u_{\mu i}), \quad h_i = B_i + \sum_\mu u_{\mu i}, \quad
        u_{\mu i} = \frac12 \ln \frac{Z_{\mu i}(+1)}{Z_{\mu i}(-1)}

    with B the instance's external field, and Z(w) the probability that the pattern is satisfied given w_i = w, the
    others being independent with these means. It is exact where the factor graph is a tree, such as a single pattern.

    Parameters
    ----------
    messages : {"gaussian", "exact"}
        Take the sum of the other weights to be normal (of variance 1 at least), or take its exact distribution, which
        costs P N^2 a sweep and needs patterns of -1 and +1. Units of a committee vote independently in both, which
        is exact for trees only: where units share their inputs see `AMP`.
    n_iterations : int
        Number of sweeps at most.
    tolerance : float
        Largest change of any message in a sweep at which the iteration has converged.
    damping : float
        Fraction of the old messages that is kept: 0 <= damping < 1.
    start : float
        Standard deviation of random fields from which the first messages are computed; zero starts from the prior.
        Units of a committee that share their inputs stay alike without it.

    Notes
    -----
    CONVERGED, or UNPHYSICAL where no configuration is counted at the fixed point: a pattern is impossible, or, without
    a teacher, the entropy is negative. UNSATISFIABLE, with entropies that are NaN, where `Instance.contradiction` says
    why no weights at all can satisfy the patterns. NOT_CONVERGED or DIVERGED otherwise.

    All patterns are updated from the same fields. Channels that are one between their bounds and zero elsewhere, and
    committees, take some 4 to 10 ns a message; any other channel, through its `log_partition`, a hundred times more.

    The trace holds ``residual``, ``overlap`` (q, the mean of m^2) and, where there is a teacher, ``teacher_overlap``
    (of the means). Observables are the first two, ``free_entropy`` (Bethe's phi per weight, the external field
    included), and ``entropy`` (phi - B.m/N) where P(y|h) is zero
    or one. Where the instance is `Tethered` there are ``tether_overlap`` (S, of the means with the reference) and
    ``distance`` ((1 - S)/2, if that is of -1 and +1): the entropy is then the local entropy at that distance. The
    result's `magnetisations` are the means.

    References
    ----------
    theory/belief-propagation/derivation.md (BP.1) to (BP.9); Mezard & Montanari 2009, ch. 14; Braunstein & Zecchina
    2006.
    """

    state_type = BeliefPropagationState
    result_type = BeliefPropagationResult
    takes_external = True

    messages: str = "gaussian"
    n_iterations: int = 1000
    tolerance: float = 1e-7
    damping: float = 0.0
    start: float = 0.0

    def __post_init__(self) -> None:
        keep(
            self,
            messages=choice("messages", self.messages, MESSAGES),
            n_iterations=integer("n_iterations", self.n_iterations, at_least=0),
            tolerance=number("tolerance", self.tolerance, above=0),
            damping=number("damping", self.damping, at_least=0, below=1),
            start=number("start", self.start, at_least=0),
        )

    def supports(self, model: Model) -> str | None:
        return refusal(type(self).__name__, model, self.messages)

    def init(self, instance: Instance, rng: np.random.Generator) -> BeliefPropagationState:
        return BeliefPropagationState(**start(instance, self.start, rng))

    def sweep(
        self, instance: Instance, state: BeliefPropagationState, rng: np.random.Generator
    ) -> BeliefPropagationState:
        state.field = own_field(instance, advance(instance, state, self.messages, self.damping))
        state.weights = signs(state)
        return state

    def status(self, instance: Instance, state: MessagesState) -> Status | None:
        check_kind(state, self.messages)
        # The first messages may be those of random fields, of which they tell nothing.
        settled = state.residual < self.tolerance and (state.n_sweeps > 1 or self.start == 0)
        if not (settled or state.diverged or state.n_sweeps >= self.n_iterations):
            return None
        if state.diverged:
            return Status.DIVERGED
        if is_hopeless(instance, state.weights):
            return Status.UNSATISFIABLE
        if not settled:
            return Status.NOT_CONVERGED
        phi = free_entropy(instance, state, self.messages)
        return Status.UNPHYSICAL if counts_none(instance, phi, state.mean) else Status.CONVERGED

    def record(self, instance: Instance, state: MessagesState) -> dict[str, float]:
        return moments(instance, state)

    def weights(self, instance: Instance, state: MessagesState) -> np.ndarray:
        return state.weights

    def observables(self, instance: Instance, state: MessagesState) -> dict[str, Any]:
        observables: dict[str, Any] = moments(instance, state)
        observables.pop("teacher_overlap", None)
        observables |= entropies(instance, state, self.messages)
        if (
            instance.teacher is not None
            and instance.model.teacher_channel is not None
            and instance.model.is_single
        ):
            error = instance.model.generalization_error(normalised_overlap(state.mean, instance.teacher))
            observables["generalization_error_bayes"] = error
        return observables


def moments(instance: Instance, state: MessagesState) -> dict[str, float]:
    """Residual and overlaps of the means."""
    mean = state.mean
    records = {"residual": state.residual, "overlap": float(np.mean(np.square(mean)))}
    if instance.teacher is not None:
        records["teacher_overlap"] = teacher_overlap(instance, mean)
    return records


def entropies(instance: Instance, state: MessagesState, messages: str) -> dict[str, float]:
    """Bethe free entropy and entropy, and the distance from the reference to which the instance is tethered."""
    phi, mean = math.nan, state.mean
    if not is_hopeless(instance, state.weights):
        phi = free_entropy(instance, state, messages)
    observables = entropy_of(instance, phi, mean)
    if isinstance(instance, Tethered):
        observables |= instance.observables(mean)
    return observables


@dataclass(frozen=True)
class ReinforcedBP(Solver):
    r"""Belief propagation whose fields are reinforced until they point to a configuration (rBP).

    .. math:: h_i^{t+1} = B_i + \sum_\mu u_{\mu i}^{t+1} + \rho_t h_i^t, \quad \rho_t = 1 - (1 - \rho)^t

    and all else as in `BeliefPropagation`. The run ends as soon as the signs of the fields violate no constraint.

    Parameters
    ----------
    messages : {"gaussian", "exact"}
    rate : float
        rho, 0 <= rho < 1: the smaller, the slower and the surer.
    version : {"weight", "probability"}
        Weigh the old field by rho_t, or add all of it with this probability, for each weight by itself.
    n_iterations : int
        Number of sweeps at most.
    damping : float
        Fraction of the old messages that is kept. Committees whose units share their inputs need 0.3 to 0.5, and a rate
        near 0.01: without damping all units overshoot together and stay alike.
    start : float
        Standard deviation of the random fields that the run starts from.

    Notes
    -----
    SOLVED, or COMPLETED where the sweeps ran out. The trace holds ``energy``, ``overlap``, ``residual``,
    ``reinforcement`` (rho_t) and, where there is a teacher, ``teacher_overlap`` (of the means).

    References
    ----------
    theory/belief-propagation/derivation.md (BP.10); Braunstein & Zecchina 2006.
    """

    state_type = ReinforcedState
    result_type = BeliefPropagationResult
    takes_external = True

    messages: str = "gaussian"
    rate: float = 1e-3
    version: str = "weight"
    n_iterations: int = 2000
    damping: float = 0.0
    start: float = 0.1

    def __post_init__(self) -> None:
        keep(
            self,
            messages=choice("messages", self.messages, MESSAGES),
            rate=number("rate", self.rate, at_least=0, below=1),
            version=choice("version", self.version, ("weight", "probability")),
            n_iterations=integer("n_iterations", self.n_iterations, at_least=0),
            damping=number("damping", self.damping, at_least=0, below=1),
            start=number("start", self.start, at_least=0),
        )

    def supports(self, model: Model) -> str | None:
        return seeking_refusal("ReinforcedBP", model, self.messages)

    def init(self, instance: Instance, rng: np.random.Generator) -> ReinforcedState:
        return ReinforcedState(**start(instance, self.start, rng))

    def reinforcement(self, n_sweeps: int) -> float:
        """The factor rho_t after so many sweeps."""
        return -math.expm1(n_sweeps * math.log1p(-self.rate))

    def sweep(self, instance: Instance, state: ReinforcedState, rng: np.random.Generator) -> ReinforcedState:
        strength, old = self.reinforcement(state.n_sweeps), state.field
        total = advance(instance, state, self.messages, self.damping)
        if self.version == "weight":
            state.pull = strength * old
        else:
            state.pull = np.where(rng.random(instance.N) < strength, old, 0.0)
        state.field = np.clip(own_field(instance, total) + state.pull, -1e6, 1e6)
        state.weights = signs(state)
        return state

    def status(self, instance: Instance, state: ReinforcedState) -> Status | None:
        check_kind(state, self.messages)
        if state.diverged:
            return Status.DIVERGED
        if instance.model.energy(instance, state.weights) == 0:
            return Status.SOLVED
        return Status.COMPLETED if state.n_sweeps >= self.n_iterations else None

    def record(self, instance: Instance, state: ReinforcedState) -> dict[str, float]:
        records = {"energy": instance.model.energy(instance, state.weights)}
        return {
            **records,
            "reinforcement": self.reinforcement(state.n_sweeps - 1),
            **moments(instance, state),
        }

    def weights(self, instance: Instance, state: ReinforcedState) -> np.ndarray:
        return state.weights
