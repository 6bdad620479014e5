"""Max-sum: belief propagation at zero temperature."""

import math
from dataclasses import dataclass, field

import numpy as np

from physlearn.inputs import integer, keep, number, reject
from physlearn.kernels.belief_propagation import ROWS
from physlearn.kernels.max_sum import sweep_max_sum
from physlearn.models import Instance, Model
from physlearn.models.base import integer_bounds
from physlearn.models.channels import interval
from physlearn.results import Status
from physlearn.solvers.base import Solver
from physlearn.solvers.messages import MessagesState, own_field, refusal, shared, signs, start

# Below this number of messages a thread costs more than it saves.
_WORTH_A_THREAD = 10_000
# The fields that break ties, in units of the smallest external field.
_TIE = 1e-5


@dataclass
class MaxSumState(MessagesState):
    """What the next sweep of `MaxSum` needs: messages and fields in units of the temperature.

    Attributes
    ----------
    ties : ndarray, shape (N,)
        Faint fields, no two alike, that without reinforcement choose among equally good configurations.
    """

    ties: np.ndarray = field(kw_only=True)


@dataclass(frozen=True)
class MaxSum(Solver):
    r"""Max-sum on the weights of a perceptron or committee: the configurations of lowest energy, by messages.

    .. math::
        u_{\mu i} = \frac12 [M_{\mu i}(+1) - M_{\mu i}(-1)], \quad M_{\mu i}(w) =
        \max_{w_j, j \ne i} \Big[-E_\mu + \sum_{j \ne i} (h_j - u_{\mu j}) w_j\Big], \quad
        h_i^{t+1} = B_i + \sum_\mu u_{\mu i} + \rho_t h_i^t

    with E the number of violated constraints and rho_t = 1 - (1 - rho)^t. Where solutions abound all of them are best,
    and only the reinforcement, from random first fields, draws the fields towards one. An external field B, such as
    a tether's, is counted in units of the energy: sought is the maximum of -E(w) + B.w. Without reinforcement, the
    signs of h are such a configuration where the graph of weights and patterns is a tree, such as a single pattern.
    Where many are as good, as in a tether to a reference of -1 and +1, each sign for itself would be a wrong answer:
    fields of up to 1e-5 of the smallest B_i (or of 1, without any), in random order, choose one for the whole run.

    Parameters
    ----------
    rate : float
        rho, 0 <= rho < 1; zero is plain max-sum.
    n_iterations : int
        Number of sweeps at most.
    tolerance : float
        Without reinforcement, the largest change of a message in a sweep at which the iteration has converged; less
        where the ties ask for it.
    damping : float
        Fraction of the old messages that is kept.
    start : float
        Standard deviation of the random first fields.

    Notes
    -----
    SOLVED as soon as the signs of the fields violate no constraint, in an external field without reinforcement only
    at a fixed point; CONVERGED, without reinforcement, at a fixed point whose signs do. Where the sweeps ran out it is
    COMPLETED, and without reinforcement NOT_CONVERGED. A sweep sorts each pattern's fields, O(P N ln N). The trace
    holds ``energy`` and ``residual``.

    Patterns are of -1 and +1, so that every flip moves a sum by two and the cheapest are the smallest fields. With
    real patterns flips move it by as much as the pattern's entries say, and the cheapest set of them that meets a
    constraint is the solution of a knapsack problem, for each message anew: max-sum has no tractable messages there.

    References
    ----------
    theory/belief-propagation/derivation.md (BP.18), (BP.20); Baldassi & Braunstein 2015.
    """

    state_type = MaxSumState
    takes_external = True

    rate: float = 1e-2
    n_iterations: int = 1000
    tolerance: float = 1e-7
    damping: float = 0.0
    start: float = 0.1

    def __post_init__(self) -> None:
        keep(
            self,
            rate=number("rate", self.rate, at_least=0, below=1),
            n_iterations=integer("n_iterations", self.n_iterations, at_least=0),
            tolerance=number("tolerance", self.tolerance, above=0),
            damping=number("damping", self.damping, at_least=0, below=1),
            start=number("start", self.start, at_least=0),
        )

    def supports(self, model: Model) -> str | None:
        refused = refusal("MaxSum", model)
        if refused:
            return refused
        if model.patterns != "binary":
            return "MaxSum needs patterns of -1 and +1: else its cheapest flips solve a knapsack problem."
        if interval(model.channel) is None:
            return f"MaxSum needs constraints that hold or don't; the channel {model.channel!r} is noisy or has others."
        return None

    def init(self, instance: Instance, rng: np.random.Generator) -> MaxSumState:
        state = start(instance, self.start, rng)
        ties = np.zeros(instance.N) if self.rate else _ties(instance, rng)
        return MaxSumState(**(state | {"field": state["field"] + ties}), ties=ties)

    def sweep(self, instance: Instance, state: MaxSumState, rng: np.random.Generator) -> MaxSumState:
        n_blocks = -(-instance.P // ROWS)
        totals, changes = np.zeros((n_blocks, instance.N)), np.zeros(n_blocks)
        K, ends = instance.model.n_hidden, interval(instance.model.channel)
        assert ends is not None
        lowest, highest = integer_bounds(ends, instance.N // K)

        def work(first: int, last: int) -> None:
            sweep_max_sum(
                instance.gauged, K, state.messages, state.field, lowest, highest, self.damping, totals, changes,
                first, last,
            )  # fmt: skip

        shared(work, n_blocks, state.messages.size, _WORTH_A_THREAD)
        strength = -math.expm1(state.n_sweeps * math.log1p(-self.rate))
        state.residual = float(changes.max(initial=0.0))
        state.pull = strength * state.field
        state.field = np.clip(own_field(instance, totals.sum(axis=0)) + state.ties + state.pull, -1e6, 1e6)
        state.weights = signs(state)
        state.n_sweeps += 1
        return state

    def status(self, instance: Instance, state: MaxSumState) -> Status | None:
        if (self.rate == 0) != state.ties.any():
            given, own = ("without", "with") if state.ties.any() else ("with", "without")
            raise reject("state", f"one {given} reinforcement", f"states {own}, as this solver is")
        at_once = self.rate > 0 or instance.external is None
        settled = self.rate == 0 and self._is_settled(state)
        if (at_once or settled) and instance.model.energy(instance, state.weights) == 0:
            return Status.SOLVED
        if settled:
            return Status.CONVERGED
        if state.n_sweeps < self.n_iterations:
            return None
        return Status.COMPLETED if self.rate > 0 else Status.NOT_CONVERGED

    def _is_settled(self, state: MaxSumState) -> bool:
        """Whether the messages are those of their own fields: the first are those of the random ones."""
        apart = float(np.ptp(state.ties)) / state.ties.size
        return state.n_sweeps > 1 and state.residual < min(self.tolerance, max(apart / 10, 1e-14))

    def record(self, instance: Instance, state: MaxSumState) -> dict[str, float]:
        return {"energy": instance.model.energy(instance, state.weights), "residual": state.residual}

    def weights(self, instance: Instance, state: MaxSumState) -> np.ndarray:
        return state.weights


def _ties(instance: Instance, rng: np.random.Generator) -> np.ndarray:
    """Spaced fields in random order and of random sign, too faint to outweigh any other.

    They are a quarter of the spacing off at random, so that sums of several differ, too.
    """
    N = instance.N
    external = np.abs(instance.external) if instance.external is not None else np.ones(1)
    smallest = external[external > 0].min(initial=1.0)
    sizes = (1 + rng.permutation(N) + rng.uniform(-0.25, 0.25, N)) / N
    return _TIE * smallest * rng.choice([-1, 1], size=N) * sizes
