"""Focusing belief propagation: replicas around a centre, drawn ever nearer."""

import functools
import math
from dataclasses import dataclass, field

import numpy as np

from physlearn.inputs import choice, integer, keep, member, number, reject
from physlearn.models import Instance, Model
from physlearn.models.protocols import Protocol, StandardReinforcement
from physlearn.results import Status
from physlearn.solvers.base import Solver
from physlearn.solvers.belief_propagation import MESSAGES, BeliefPropagationResult, moments
from physlearn.solvers.messages import (
    MessagesState,
    advance,
    check_kind,
    free_entropy,
    is_hopeless,
    log_2cosh,
    own_field,
    seeking_refusal,
    signs,
    start,
)


@dataclass
class FocusingState(MessagesState):
    """What the next step needs: the messages, and which steps of the protocol are done.

    Attributes
    ----------
    steps : tuple of (float, float)
        Coupling and number of replicas of each step done.
    energy : int
        Of the weights.
    reached : bool
        Whether the last step came to its tolerance.
    """

    steps: tuple[tuple[float, float], ...] = ()
    energy: int = -1
    reached: bool = False

    @property
    def n_steps(self) -> int:
        """How many they are."""
        return len(self.steps)


@dataclass(frozen=True)
class FocusingBP(Solver):
    r"""Belief propagation for y replicas around a centre, y and their coupling gamma growing by a protocol (fBP).

    With y replicas of equal messages, each weight feels beside its field h from patterns and instance the pull

    .. math:: u = \mathrm{atanh}[\tanh((y - 1)\, \mathrm{atanh}(\tanh h \tanh\gamma)) \tanh\gamma]

    of the centre and, through it, of the others. A step of the protocol iterates until no message changes by more than
    the tolerance in a sweep, the step's second at the earliest, or for `n_iterations` sweeps: either way the next step
    follows.

    Parameters
    ----------
    protocol : Protocol
        `StandardReinforcement`, `PseudoReinforcement`, `Scoping` or `FreeScoping`.
    messages : {"gaussian", "exact"}
    n_iterations : int
        Number of sweeps of a step at most.
    tolerance : float
    damping : float
        Fraction of the old messages that is kept. Without any, all patterns at once overshoot once the pull is strong;
        committees whose units share their inputs need 0.7 to 0.8.
    start : float
        Standard deviation of the random fields that the run starts from.
    stop : bool
        End at the first step after which the signs of the fields violate no constraint.
    local_entropy : bool
        Record the local entropy at each step, which costs about as much as a sweep.

    Notes
    -----
    SOLVED, or COMPLETED where the protocol is over; UNSATISFIABLE, with local entropies that are NaN, where
    `Instance.contradiction` says why no weights at all can satisfy the patterns. The trace holds for each step
    ``coupling``, ``n_replicas``, ``energy``, ``converged`` (1 or 0), ``residual``, ``overlap`` and, where there is a
    teacher, ``teacher_overlap``. With `local_entropy`, and a finite coupling, there are also ``distance`` (of a replica
    from the centre) and ``local_entropy``: by Bethe, (1/N) times the logarithm of the number of solutions at that
    distance from a centre drawn as the replicated measure does (BP.15). For infinitely many replicas the centre is the
    signs of the fields, and this is what `BeliefPropagation` finds on the instance `Tethered` to it. At infinite
    coupling, that of `StandardReinforcement`, the distance is zero, where there is one configuration: Bethe's limit is
    negative (BP.21).

    References
    ----------
    theory/belief-propagation/derivation.md (BP.11) to (BP.15), (BP.21); Baldassi, Borgs, Chayes, Ingrosso, Lucibello,
    Saglietti & Zecchina 2016.
    """

    state_type = FocusingState
    result_type = BeliefPropagationResult
    takes_external = True

    protocol: Protocol = field(default_factory=StandardReinforcement)
    messages: str = "gaussian"
    n_iterations: int = 100
    tolerance: float = 1e-3
    damping: float = 0.5
    start: float = 0.1
    stop: bool = True
    local_entropy: bool = True

    def __post_init__(self) -> None:
        kinds = "a Protocol such as StandardReinforcement(rates) or Scoping(n_replicas, couplings)"
        member("protocol", self.protocol, Protocol, kinds)
        keep(
            self,
            messages=choice("messages", self.messages, MESSAGES),
            n_iterations=integer("n_iterations", self.n_iterations, at_least=1),
            tolerance=number("tolerance", self.tolerance, above=0),
            damping=number("damping", self.damping, at_least=0, below=1),
            start=number("start", self.start, at_least=0),
            stop=choice("stop", self.stop, (True, False)),
            local_entropy=choice("local_entropy", self.local_entropy, (True, False)),
        )

    def supports(self, model: Model) -> str | None:
        return seeking_refusal("FocusingBP", model, self.messages)

    def init(self, instance: Instance, rng: np.random.Generator) -> FocusingState:
        state = FocusingState(**start(instance, self.start, rng))
        state.energy = instance.model.energy(instance, state.weights)
        return state

    @functools.cached_property
    def _steps(self) -> tuple[tuple[float, float], ...]:
        return self.protocol.steps

    def sweep(self, instance: Instance, state: FocusingState, rng: np.random.Generator) -> FocusingState:
        coupling, n_replicas = self._steps[state.n_steps]
        for n in range(self.n_iterations):
            field = own_field(instance, advance(instance, state, self.messages, self.damping))
            state.pull = pull(field, coupling, n_replicas)
            state.field = field + state.pull
            # The first sweep still starts from the pull of the step before, and says nothing about this one.
            state.reached = n > 0 and state.residual < self.tolerance
            if state.reached or state.diverged:
                break
        state.steps += ((coupling, n_replicas),)
        state.weights = signs(state)
        state.energy = instance.model.energy(instance, state.weights)
        return state

    def status(self, instance: Instance, state: FocusingState) -> Status | None:
        check_kind(state, self.messages)
        if self._steps[: state.n_steps] != state.steps:
            raise reject(
                "state", "one of another protocol", "states of protocols that begin as this solver's"
            )
        if state.diverged:
            return Status.DIVERGED
        over = state.n_steps >= len(self._steps)
        if state.energy == 0 and (self.stop or over):
            return Status.SOLVED
        if over:
            return Status.UNSATISFIABLE if is_hopeless(instance, state.weights) else Status.COMPLETED
        return None

    def record(self, instance: Instance, state: FocusingState) -> dict[str, float]:
        coupling, n_replicas = self._steps[max(state.n_steps - 1, 0)]
        records = {"energy": state.energy, "coupling": coupling, "n_replicas": n_replicas}
        records |= {"converged": int(state.reached), **moments(instance, state)}
        if self.local_entropy and math.isfinite(coupling):
            records |= focused(instance, state, self.messages, coupling, n_replicas)
        return records

    def weights(self, instance: Instance, state: FocusingState) -> np.ndarray:
        return state.weights


def _leaning(field: np.ndarray, coupling: float) -> np.ndarray:
    """atanh(tanh(field) tanh(coupling)), the message that a coupling passes on."""
    if math.isinf(coupling):
        return field
    return (log_2cosh(field + coupling) - log_2cosh(field - coupling)) / 2


def pull(field: np.ndarray, coupling: float, n_replicas: float) -> np.ndarray:
    """The extra field that the other replicas exert through the centre (BP.12); at most 1e6 in size."""
    if math.isinf(n_replicas):
        return np.sign(field) * min(coupling, 1e6)
    return np.clip(_leaning((n_replicas - 1) * _leaning(field, coupling), coupling), -1e6, 1e6)


def focused(
    instance: Instance, state: MessagesState, messages: str, coupling: float, n_replicas: float
) -> dict[str, float]:
    """Distance of a replica from the centre and local entropy around it (BP.14), (BP.15)."""
    field = state.field - state.pull
    leaning = _leaning(field, coupling)
    centre = np.sign(leaning) if math.isinf(n_replicas) else np.tanh(n_replicas * leaning)
    overlap, sites = 0.0, 0.0
    for sign in (1, -1):
        probability, total = (1 + sign * centre) / 2, field + sign * coupling
        drawn = sign * np.tanh(total)
        overlap += float(probability @ drawn) / instance.N
        sites += float(probability @ (log_2cosh(total) - coupling * drawn))
    if is_hopeless(instance, state.weights):
        return {"distance": (1 - overlap) / 2, "local_entropy": math.nan}
    value = free_entropy(instance, state, messages, sites)
    if instance.external is not None:
        value -= float(instance.external @ state.mean) / instance.N
    return {"distance": (1 - overlap) / 2, "local_entropy": value}
