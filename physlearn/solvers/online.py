"""On-line rules for binary weights with hidden states: patterns are presented one by one, and each moves the states."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from physlearn.inputs import integer, keep, number, reject
from physlearn.kernels.hidden import packed_rows, padded, signs
from physlearn.kernels.online import ENERGY, LOWEST, SWEEPS, WRONG, learn
from physlearn.models import Binary, Committee, Instance, Model
from physlearn.models.base import integer_bounds
from physlearn.results import Status
from physlearn.solvers.base import Solver, State

_LARGEST = 32766  # hidden states are kept in 16 bits, and move by two


@dataclass
class Learning(State):
    """State of an on-line rule.

    Attributes
    ----------
    n : int
        Weights of a unit, N/K.
    hidden : ndarray of int16 or float64, shape (K, >= n)
        Hidden states of the K units, whose signs are the weights; entries beyond n are work space.
    layout : tuple of ndarray
        The gauged patterns, the weights and the best weights yet as the kernel wants them (`physlearn.kernels.hidden`):
        P N/8 bytes for +-1 patterns, 8 P N for real ones, of which those are the instance's.
    counts : ndarray of int64, shape (4,)
        Energy, lowest energy yet, sweeps done, patterns found wrong in the last one (-1 before the first).
    record : list of ndarray, shape (n, 3)
        For each sweep so far, energy after it, patterns found wrong and units reinforced in it.
    """

    n: int
    hidden: np.ndarray
    layout: tuple[np.ndarray, np.ndarray, np.ndarray]
    counts: np.ndarray
    record: list[np.ndarray] = field(default_factory=list)

    @property
    def weights(self) -> np.ndarray:
        """The weights now, -1 and +1, shape (N,)."""
        return np.where(self.hidden[:, : self.n] > 0, 1, -1).astype(np.int8).ravel()

    @property
    def best(self) -> np.ndarray:
        """The weights of lowest energy at the end of a sweep, or before the first."""
        return signs(self.layout[2], self.n).ravel()

    @property
    def n_sweeps(self) -> int:
        """Sweeps done: how often each pattern was presented."""
        return int(self.counts[SWEEPS])


@dataclass
class SBPIState(Learning):
    """State of an `SBPI` run."""


@dataclass
class BPIState(Learning):
    """State of a `BPI` run."""


@dataclass
class ClippedState(Learning):
    """State of a `ClippedPerceptron` run."""


@dataclass
class PerceptronState(Learning):
    """State of a `PerceptronRule` run."""


def refusal(name: str, model: Model) -> str | None:
    """None for perceptrons with a margin and committees of binary weights, else why solver `name` takes no other."""
    if not (model.is_single or isinstance(model, Committee)):
        return f"{name} treats perceptrons and committees, which {type(model).__name__} is not."
    if not isinstance(model.prior, Binary):
        return f"{name} learns weights that are -1 or +1, which those of {model.prior!r} are not."
    if model.energy_refusal:
        return f"{name} needs an energy: {model.energy_refusal}"
    if model.channel.bounds[1] < math.inf:
        return (
            f"{name} pushes stabilities upwards, but {model.channel!r} also bounds them from above; "
            "FocusingBP, MaxSum and SimulatedAnnealing take such bounds."
        )
    return None


class OnLine(Solver):
    """What the rules share: in each sweep all patterns are presented once, in a new random order."""

    n_sweeps: int
    n_states: int | None
    sweeps_per_record: int
    state_type: ClassVar[type[Learning]] = Learning
    _by_hidden: ClassVar[bool] = False
    # How near its edge a sum is called barely right, and how often that is acted on.
    _reinforcement: tuple[float, float] = (0.0, 0.0)

    def supports(self, model: Model) -> str | None:
        """None for perceptrons with a margin and committees of binary weights, else the sentence why not."""
        return refusal(type(self).__name__, model)

    def largest_state(self, n: int) -> int:
        """The largest hidden state of a unit of n weights: |h| <= n_states - 1."""
        return (self.n_states or max(4, 2 * round(0.9 * math.sqrt(n)))) - 1

    def init(self, instance: Instance, rng: np.random.Generator) -> Learning:
        """Hidden states -1 or +1 at random."""
        K = instance.model.n_hidden
        n = instance.N // K
        weights = Binary().sample(instance.N, rng).reshape(K, n)
        energy = instance.model.energy(instance, weights.ravel())
        if instance.patterns.dtype == np.int8:
            rows = instance.gauged.reshape(-1, n)
            hidden = np.full((K, padded(n)), -1, dtype=np.int16)
            hidden[:, :n] = weights
            layout = (packed_rows(rows), packed_rows(hidden), packed_rows(hidden))
        else:
            hidden = weights.astype(np.float64)
            layout = (instance.gauged.reshape(-1, n), hidden.copy(), hidden.copy())
        counts = np.array([energy, energy, 0, -1], dtype=np.int64)
        return self.state_type(instance.fingerprint, n, hidden, layout, counts)

    def sweep(self, instance: Instance, state: Learning, rng: np.random.Generator) -> Learning:
        """Sweep up to the next record, or to a solution."""
        done = state.n_sweeps
        until = min(self.n_sweeps, (done // self.sweeps_per_record + 1) * self.sweeps_per_record)
        record = np.zeros((until - done, 3), dtype=np.int64)
        patterns, weights, best = state.layout
        lower = float(instance.model.channel.bounds[0])
        edge, threshold = lower * math.sqrt(state.n), self._reinforcement[0]
        barely, top = edge + threshold, state.hidden.dtype.type(self.largest_state(state.n))
        if patterns.dtype == np.uint64:
            edge = integer_bounds((lower, math.inf), state.n)[0] - 0.5
        stride = 1 if instance.P == 0 else len(patterns) // instance.P
        order = np.empty(instance.P, dtype=np.int64)
        swept = learn(
            patterns,
            stride,
            state.hidden,
            weights,
            best,
            order,
            state.n,
            top,
            edge,
            barely,
            self._reinforcement[1],
            self._by_hidden,
            lower,
            state.counts,
            record,
            rng,
        )
        state.record.append(record[:swept])
        if patterns.dtype != np.uint64:  # real sums are decided by the model, should rounding matter
            state.counts[ENERGY] = instance.model.energy(instance, state.weights)
            state.counts[LOWEST] = instance.model.energy(instance, state.best)
        return state

    def status(self, instance: Instance, state: Learning) -> Status | None:
        """SOLVED, CONVERGED where no pattern asks for a change, COMPLETED after the last sweep."""
        if state.counts[LOWEST] == 0:
            return Status.SOLVED
        if state.counts[WRONG] == 0:
            return Status.CONVERGED
        return None if state.n_sweeps < self.n_sweeps else Status.COMPLETED

    def record(self, instance: Instance, state: Learning) -> dict[str, float]:
        """Energies, and how many of the patterns presented since the last record were wrong or led to reinforcement."""
        recent = state.record[-1]
        wrong, reinforced = recent[:, 1:].sum(axis=0) / (len(recent) * instance.P)
        return {
            "energy": int(state.counts[ENERGY]),
            "lowest_energy": int(state.counts[LOWEST]),
            "error_rate": float(wrong),
            "reinforcement_rate": float(reinforced),
        }

    def weights(self, instance: Instance, state: Learning) -> np.ndarray:
        """The weights of lowest energy at the end of a sweep."""
        return state.best

    def _check(self) -> None:
        n_states = self.n_states
        if n_states is not None:
            n_states = integer("n_states", n_states, at_least=2, at_most=_LARGEST)
            if n_states % 2:
                same = f"|h| <= {n_states - 1} allows those of n_states = {n_states - 1}"
                raise reject(
                    "n_states", n_states, f"even numbers, since hidden states are odd, in pairs: {same}"
                )
        keep(
            self,
            n_sweeps=integer("n_sweeps", self.n_sweeps, at_least=1),
            n_states=n_states,
            sweeps_per_record=integer("sweeps_per_record", self.sweeps_per_record, at_least=1),
        )


@dataclass(frozen=True)
class SBPI(OnLine):
    r"""Stochastic belief-propagation-inspired rule (Baldassi, Braunstein, Brunel & Zecchina 2007).

    Weights w_i = sign h_i are the signs of hidden odd integers. Of each pattern presented, with the gauged inputs
    x_i = y xi_i and the sum S = sum_i x_i w_i,

    .. math::
        S \le \kappa\sqrt N: \quad & h_i \to h_i + 2 x_i \text{ for all } i \\
        \kappa\sqrt N < S \le \kappa\sqrt N + \theta: \quad
        & \text{with probability } p, \; h_i \to h_i + 2 x_i \text{ where } x_i w_i > 0

    and abs(h) <= n_states - 1 always. The second rule changes no weight: it makes those harder to flip whose flip would
    violate the pattern.

    Parameters
    ----------
    n_sweeps : int
        Sweeps (epochs) at most.
    n_states : int, optional
        Even number of hidden states. By default 2 round(0.9 sqrt(N/K)): 56 for a perceptron of 1001 weights. Where
        others state an odd number, such as 41 with abs(h) <= 40, the odd integers among these are 40 states.
    threshold : float
        theta >= 0, in the units of S. Two is the effect of one flip; at odd N and zero margin it is the same as one,
        since S is odd.
    probability : float
        p, from 0 to 1; zero is the `ClippedPerceptron`.
    sweeps_per_record : int
        Sweeps between two records of the trace.

    Notes
    -----
    The weights of the result are those of lowest energy at the end of a sweep. In a `Committee`, units are pushed as
    many as are missing to a majority, those of largest S first; and where none is to spare, each that agrees barely
    is reinforced by itself. Real patterns move real states, by 2 x_i, between the same limits.

    The states must grow as sqrt(N): 1.5 to 2.5 sqrt(N) of them solve at load 0.65 from N = 301 to 10001. A higher
    probability freezes the last errors in; a lower one is slower, but with 3.5 sqrt(N) states goes on to higher loads:
    0.3 solves load 0.7 at N = 1001; for committees 0.2 is better than the default from loads of 0.4 on. One sweep
    of N = 1001 and P = 600 takes about 10 microseconds.

    References
    ----------
    theory/on-line-learning/derivation.md; Baldassi, Braunstein, Brunel & Zecchina 2007; Baldassi 2009.
    """

    n_sweeps: int = 1000
    n_states: int | None = None
    threshold: float = 2.0
    probability: float = 0.4
    sweeps_per_record: int = 10
    state_type = SBPIState

    def __post_init__(self) -> None:
        probability = number("probability", self.probability, at_least=0, at_most=1)
        keep(self, threshold=number("threshold", self.threshold, at_least=0), probability=probability)
        self._check()

    @property
    def _reinforcement(self) -> tuple[float, float]:  # type: ignore[override]
        return self.threshold, self.probability


@dataclass(frozen=True)
class BPI(OnLine):
    """Belief-propagation-inspired rule: `SBPI` with certainty where that has a probability.

    What the messages of belief propagation say of one pattern when they are hard (see the derivation). Parameters as
    those of `SBPI`, without a probability. It reinforces too much to solve beyond a load of about 0.5 at N = 1001.

    References
    ----------
    theory/on-line-learning/derivation.md; Baldassi, Braunstein, Brunel & Zecchina 2007.
    """

    n_sweeps: int = 1000
    n_states: int | None = None
    threshold: float = 2.0
    sweeps_per_record: int = 10
    state_type = BPIState

    def __post_init__(self) -> None:
        keep(self, threshold=number("threshold", self.threshold, at_least=0))
        self._check()

    @property
    def _reinforcement(self) -> tuple[float, float]:  # type: ignore[override]
        return self.threshold, 1.0


@dataclass(frozen=True)
class ClippedPerceptron(OnLine):
    """Perceptron rule on hidden states, with errors judged by the weights, their signs: `SBPI` without its second rule.

    Parameters as those of `SBPI`.

    References
    ----------
    theory/on-line-learning/derivation.md; Baldassi, Braunstein, Brunel & Zecchina 2007.
    """

    n_sweeps: int = 1000
    n_states: int | None = None
    sweeps_per_record: int = 10
    state_type = ClippedState

    def __post_init__(self) -> None:
        self._check()


@dataclass(frozen=True)
class PerceptronRule(OnLine):
    r"""Perceptron rule with discrete states: errors are judged by the states h, whose signs are the weights deployed.

    .. math:: \sum_i x_i h_i \le \kappa |h|: \quad h_i \to h_i + 2 x_i, \quad |h_i| \le n_{states} - 1

    with x_i = y xi_i. Where all patterns are right for the states but not for their signs, the rule has nothing left to
    do: the status is CONVERGED. Parameters as those of `SBPI`.

    References
    ----------
    theory/on-line-learning/derivation.md; Rosenblatt 1962; Baldassi, Braunstein, Brunel & Zecchina 2007.
    """

    n_sweeps: int = 1000
    n_states: int | None = None
    sweeps_per_record: int = 10
    state_type = PerceptronState
    _by_hidden = True

    def __post_init__(self) -> None:
        self._check()
