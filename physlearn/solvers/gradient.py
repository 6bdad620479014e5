"""Gradient descent for binary weights: replicas that follow mini-batches and their common centre."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from physlearn.inputs import choice, integer, keep, number, reject
from physlearn.kernels.gradient import CENTRE, FROM_CENTRE, LOWEST, SWEEPS, descend
from physlearn.kernels.hidden import packed_rows, signs
from physlearn.models import Binary, Instance, Model
from physlearn.models.base import integer_bounds
from physlearn.results import Status
from physlearn.solvers.base import Solver, State
from physlearn.solvers.online import refusal

UPDATES = ("simple", "hard", "corrected", "continuous")


@dataclass
class ReplicaState(State):
    """State of a `ReplicatedSGD` run.

    Attributes
    ----------
    hidden : ndarray, shape (n_replicas, K, N/K)
        Hidden states of the replicas, whose signs are their weights.
    total : ndarray of int64, shape (K, N/K)
        Sum of those weights over the replicas; its sign is the centre.
    layout : tuple of ndarray
        The gauged patterns, the weights of the replicas and the best weights yet as the kernel wants them
        (`physlearn.kernels.hidden`).
    energies : ndarray of int64, shape (n_replicas,)
        Those of the replicas.
    counts : ndarray of int64, shape (4,)
        Energy of the centre, lowest energy yet, sweeps done, whether the lowest energy was the centre's.
    record : list of ndarray, shape (n, n_replicas + 1)
        Energies of the replicas and of the centre after each sweep.
    """

    hidden: np.ndarray
    total: np.ndarray
    layout: tuple[np.ndarray, np.ndarray, np.ndarray]
    energies: np.ndarray
    counts: np.ndarray
    record: list[np.ndarray] = field(default_factory=list)

    @property
    def weights(self) -> np.ndarray:
        """The weights of the centre, -1 and +1, shape (N,); -1 where as many replicas have +1 as -1."""
        return np.where(self.total > 0, 1, -1).astype(np.int8).ravel()

    @property
    def best(self) -> np.ndarray:
        """The weights of lowest energy, of the centre or a replica, at the end of a sweep."""
        return signs(self.layout[2], self.total.shape[1]).ravel()

    @property
    def replica_overlap(self) -> float:
        """Mean overlap w.w'/N of two replicas."""
        n_replicas, N = len(self.hidden), self.total.size
        return float((np.square(self.total).sum() / N - n_replicas) / (n_replicas * (n_replicas - 1)))

    @property
    def n_sweeps(self) -> int:
        """Sweeps done: how often each replica saw each pattern."""
        return int(self.counts[SWEEPS])


@dataclass(frozen=True)
class ReplicatedSGD(Solver):
    r"""Replicated stochastic gradient descent (Baldassi et al. 2016): replicas that attract each other by their centre.

    Replica a has real hidden states h^a and weights w^a = sign h^a. In turn, and in random order, each takes a batch B
    of patterns, and then a step towards the centre:

    .. math::
        h^a_i &\to h^a_i + \eta \sum_{\mu \in B} \sum_k [k \in U_\mu] \, y_\mu \xi_{\mu i} \\
        h^a_i &\to h^a_i + \lambda \, [f(s_i) - c \, w^a_i], \quad s_i = \sum_b w^b_i

    U_mu are the units that a violated pattern pushes: those nearest to agreeing, as many as are missing to a majority;
    of a perceptron, the one. The coupling gamma grows in equal steps from sweep to sweep.

    Parameters
    ----------
    n_replicas : int
        At least two; at an odd number the centre, sign s, is never undecided.
    batch : int
        Patterns in a batch.
    rate : float
        eta > 0.
    attraction : float
        lambda >= 0; at zero the replicas are independent.
    coupling, coupling_step : float
        gamma >= 0 in the first sweep, and what is added to it after each.
    update : {"simple", "hard", "corrected", "continuous"}
        Simple: f(s) = tanh(gamma s), c = 1, a binary centre summed over. Hard: the same with f cut off straight,
        max(-1, min(1, gamma s)). Corrected: simple with c = tanh(gamma n_replicas), so that replicas that agree feel
        no force. Continuous: f(s) = s/n_replicas, c = 1, a real centre integrated over; gamma then plays no part.
    same_start : bool
        Whether all replicas begin with the same weights.
    n_sweeps, sweeps_per_record : int
        Sweeps at most, and between two records of the trace.

    Notes
    -----
    Ends as soon as the centre or a replica solves. The weights of the result are those of lowest energy at the end of
    a sweep, the centre's where a replica had the same; the observable ``from_centre`` tells whose they are, and
    ``replica_overlap`` how near the replicas are to each other in the end. The defaults are those documented for
    K = 5 units of 321 weights each and 802 patterns, where the continuous update needs an attraction of 1 instead. No
    normalisation divides the sum over the batch.

    References
    ----------
    theory/on-line-learning/derivation.md; Baldassi, Borgs, Chayes, Ingrosso, Lucibello, Saglietti & Zecchina 2016.
    """

    n_replicas: int = 7
    batch: int = 80
    rate: float = 2.0
    attraction: float = 0.75
    coupling: float = 0.05
    coupling_step: float = 0.001
    update: str = "simple"
    same_start: bool = True
    n_sweeps: int = 1000
    sweeps_per_record: int = 10
    state_type = ReplicaState

    def __post_init__(self) -> None:
        keep(
            self,
            n_replicas=integer("n_replicas", self.n_replicas, at_least=2),
            batch=integer("batch", self.batch, at_least=1),
            rate=number("rate", self.rate, above=0),
            attraction=number("attraction", self.attraction, at_least=0),
            coupling=number("coupling", self.coupling, at_least=0),
            coupling_step=number("coupling_step", self.coupling_step, at_least=0),
            update=choice("update", self.update, UPDATES),
            same_start=choice("same_start", self.same_start, (False, True)),
            n_sweeps=integer("n_sweeps", self.n_sweeps, at_least=1),
            sweeps_per_record=integer("sweeps_per_record", self.sweeps_per_record, at_least=1),
        )

    def supports(self, model: Model) -> str | None:
        """None for perceptrons with a margin and committees of binary weights, else the sentence why not."""
        return refusal(type(self).__name__, model)

    def forces(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """The force f(s) of the centre, s = -n_replicas ... n_replicas, and c, in the sweeps first ... last - 1.

        Returns
        -------
        tuple of ndarray, shapes (last - first, 2 n_replicas + 1) and (last - first,)
        """
        s = np.arange(-self.n_replicas, self.n_replicas + 1)
        gamma = self.coupling + self.coupling_step * np.arange(first, last)
        ones = np.ones_like(gamma)
        if self.update == "continuous":
            return np.outer(ones, s / self.n_replicas), ones
        if self.update == "hard":
            return np.clip(np.outer(gamma, s), -1, 1), ones
        correction = np.tanh(gamma * self.n_replicas) if self.update == "corrected" else ones
        return np.tanh(np.outer(gamma, s)), correction

    def init(self, instance: Instance, rng: np.random.Generator) -> ReplicaState:
        """Hidden states -1 or +1 at random."""
        model, n_replicas, K = instance.model, self.n_replicas, instance.model.n_hidden
        n = instance.N // K
        drawn = [Binary().sample(instance.N, rng) for _ in range(1 if self.same_start else n_replicas)]
        starts = np.stack(drawn * n_replicas if self.same_start else drawn)
        hidden = starts.reshape(n_replicas, K, n).astype(np.float64)
        total = hidden.sum(axis=0).astype(np.int64)
        energies = np.array([model.energy(instance, w) for w in starts], dtype=np.int64)
        centre = np.where(total > 0, 1, -1).astype(np.int8)
        energy = model.energy(instance, centre.ravel())
        from_centre = energy <= energies.min()
        best = centre if from_centre else starts[energies.argmin()].reshape(K, n)
        rows = instance.gauged.reshape(-1, n)
        if instance.patterns.dtype == np.int8:
            weights = packed_rows(starts.reshape(n_replicas * K, n))
            layout = (packed_rows(rows), weights.reshape(n_replicas, K, -1), packed_rows(best))
        else:
            layout = (rows, hidden.copy(), best.astype(np.float64))
        counts = np.array([energy, min(energy, energies.min()), 0, from_centre], dtype=np.int64)
        return ReplicaState(instance.fingerprint, hidden, total, layout, energies, counts)

    def sweep(self, instance: Instance, state: ReplicaState, rng: np.random.Generator) -> ReplicaState:
        """Sweep up to the next record, or to a solution."""
        done, model = state.n_sweeps, instance.model
        until = min(self.n_sweeps, (done // self.sweeps_per_record + 1) * self.sweeps_per_record)
        patterns, weights, best = state.layout
        n_replicas, _, n = state.hidden.shape
        lower = float(model.channel.bounds[0])
        is_packed = patterns.dtype == np.uint64
        edge = integer_bounds((lower, math.inf), n)[0] - 0.5 if is_packed else lower * math.sqrt(n)
        record = np.zeros((until - done, n_replicas + 1), dtype=np.int64)
        swept = descend(
            patterns,
            instance.gauged.reshape(-1, n),
            len(patterns) // max(1, instance.P),
            state.hidden,
            weights,
            state.total,
            best,
            np.empty((n_replicas, instance.P), dtype=np.int64),
            self.batch,
            edge,
            self.rate,
            self.attraction,
            *self.forces(done, until),
            state.energies,
            state.counts,
            record,
            rng,
        )
        state.record.append(record[:swept])
        if not is_packed:  # real sums are decided by the model, should rounding matter
            state.counts[CENTRE] = model.energy(instance, state.weights)
            state.counts[LOWEST] = model.energy(instance, state.best)
        return state

    def status(self, instance: Instance, state: ReplicaState) -> Status | None:
        """SOLVED as soon as the centre or a replica violates no pattern, COMPLETED after the last sweep."""
        if len(state.hidden) != self.n_replicas:
            raise reject(
                "state", f"one of {len(state.hidden)} replicas", f"states of this solver's {self.n_replicas}"
            )
        if state.counts[LOWEST] == 0:
            return Status.SOLVED
        return None if state.n_sweeps < self.n_sweeps else Status.COMPLETED

    def record(self, instance: Instance, state: ReplicaState) -> dict[str, float]:
        """Energies of the centre and of the replicas, their mean overlap, and the coupling of the last sweep."""
        return {
            "energy": int(state.counts[CENTRE]),
            "lowest_replica_energy": int(state.energies.min()),
            "mean_replica_energy": float(state.energies.mean()),
            "replica_overlap": state.replica_overlap,
            "coupling": self.coupling + self.coupling_step * (state.n_sweeps - 1),
        }

    def weights(self, instance: Instance, state: ReplicaState) -> np.ndarray:
        """The weights of lowest energy, the centre's if a replica's have the same."""
        return state.best

    def observables(self, instance: Instance, state: ReplicaState) -> dict[str, Any]:
        """Whose weights they are, and how near to each other the replicas are."""
        return {"from_centre": int(state.counts[FROM_CENTRE]), "replica_overlap": state.replica_overlap}
