"""Monte Carlo without rejections: the Metropolis dynamics of binary weights, flip by flip."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from physlearn.estimates import Estimate, autocorrelation_time, blocking
from physlearn.inputs import reject
from physlearn.kernels.metropolis import ACCEPTED, ENERGY, ERRORS, OVERLAP, PROPOSALS, mean_overlap
from physlearn.kernels.rejection_free import wait, work_space
from physlearn.models import Instance
from physlearn.models.energies import Errors
from physlearn.solvers.bounds import bounds
from physlearn.solvers.monte_carlo import Metropolis, Sampling, Walk, mean_energy
from physlearn.solvers.replicas import attraction

_NOW = Metropolis._n_columns  # behind the kernel's columns: the energy at the end of a record


@dataclass
class Waiting(Sampling):
    """State of a `RejectionFree` run.

    As of `Metropolis`, but that `steps` has the sums over all proposals since the last record, and the energy now.

    Attributes
    ----------
    bound : NamedTuple of ndarray
        From which events are drawn: another P N/8 bytes of +-1 patterns, 9 P N/8 of real ones.
    flipped, waits : ndarray of int64, shape (n_replicas,)
        Flips of each replica, and its proposals still to pass before the next event.
    """

    bound: Any = None
    flipped: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    waits: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))


@dataclass(frozen=True)
class RejectionFree(Metropolis):
    """Sampler of the Gibbs measure P(w) ~ e^{-beta E(w)}: the law of `Metropolis`, at the cost of its flips only.

    How many proposals are rejected before the next flip is drawn at once, from their geometric law, and then the flip
    itself. At low temperature, where next to every proposal would be rejected, this is what can be afforded. Where more
    than some two per cent of the proposals are accepted, `Metropolis` is the faster one; docs/choosing-a-solver.md has
    the times of a flip for all models and energies.

    Parameters
    ----------
    beta : float
        Inverse temperature >= 0.
    n_sweeps : int
        Sweeps in all, of as many proposals as in `Metropolis`; they cost nothing while nothing is accepted.
    sweeps_per_record : int
        Sweeps between two records of the trace; averages are over whole records.
    burn_in : float
        Fraction of the records left out of the averages.
    energy : Energy
        As in `Metropolis`.

    Notes
    -----
    The weights of the result are as in `Metropolis`. The observables ``mean_energy``, ``mean_cost`` and ``overlap`` are
    averages over time, each configuration counting as long as it lasted, their errors by blocking the records;
    ``autocorrelation_time`` (in sweeps, of the energy sampled) comes from the energies at the ends of the records, and
    is half a record where these are independent; ``acceptance_rate`` is what `Metropolis` would have had. The means in
    the trace are those since the last record, ``mean_energy`` and ``mean_cost`` of one replica, while ``energy`` and
    ``cost`` are sums over the replicas.

    Weights are sorted into classes of equal energy change as in the n-fold way, but those of large change stay
    together, are proposed at the rate of the smallest change there could be among them, and accepted one by one. Energy
    changes come from the few patterns that a flip can bring across an edge, added up for all weights side by side.
    Energies to which every pattern contributes (`Linear` with real patterns, `CrossEntropy` of a perceptron) have no
    such few: their changes are computed one after the other, which costs N proposals of `Metropolis` a flip.

    References
    ----------
    theory/monte-carlo/derivation.md (RF.1) to (RF.7); Bortz, Kalos & Lebowitz 1975; for events that are thinned
    out Lewis & Shedler 1979.
    """

    state_type = Waiting

    def init(self, instance: Instance, rng: np.random.Generator) -> Waiting:
        """Uniformly random configurations."""
        replicas = self.replicas(instance.model)
        n_replicas = replicas[0] if replicas else 1
        largest = 2**61 // (max(1, instance.P) * (instance.N | 1) * n_replicas)
        if self.sweeps_per_record > largest:
            raise reject("sweeps_per_record", self.sweeps_per_record, f"at most {largest} at this size")
        walk = super().init(instance, rng)
        assert isinstance(walk, Waiting)
        pull, tether = self._doubled_fields(instance)
        highest = float(np.abs(pull).max() + np.abs(tether).max(initial=0.0)) if tether.size else None
        walk.bound = bounds(instance, walk.system, n_replicas, self.beta, highest)
        walk.flipped, walk.waits = (np.zeros(n_replicas, dtype=np.int64) for _ in range(2))
        return walk

    def _doubled_fields(self, instance: Instance) -> tuple[np.ndarray, np.ndarray]:
        """`pull` and `tether` of the kernel."""
        replicas = self.replicas(instance.model)
        if replicas is None:
            pull, none = np.zeros(1), np.zeros(0)
        else:
            others = np.arange(1 - replicas[0], replicas[0])
            pull = 2 * attraction(self.couplings(instance.model, 0, 1), others, replicas[1])
            none = np.zeros(instance.N)
        return pull, none if instance.external is None else 2 * instance.external

    def sweep(self, instance: Instance, state: Walk, rng: np.random.Generator) -> Walk:
        """Sweep up to the next record."""
        assert isinstance(state, Waiting)
        until = min(self.n_sweeps, (state.n_sweeps // self.sweeps_per_record + 1) * self.sweeps_per_record)
        pull, tether = self._doubled_fields(instance)
        steps = np.zeros((1, _NOW + 1))
        wait(
            state.system,
            state.bound,
            state.weights.reshape(-1, instance.N),
            state.best,
            state.counts,
            state.flipped,
            state.waits,
            state.energies,
            state.errors,
            self.beta,
            pull,
            tether,
            until - state.n_sweeps,
            work_space(len(state.errors), instance.N, tether.size > 0),
            steps[0, :_NOW],
            rng,
        )
        steps[0, _NOW] = state.energies.sum()
        state.steps.append(steps)
        return state

    def record(self, instance: Instance, state: Walk) -> dict[str, float]:
        """Energy, cost and overlap now; averages over time and the acceptance rate since the last record."""
        n_replicas = len(state.errors)
        sums = state.steps[-1][0] / state.steps[-1][0, PROPOSALS]
        recorded = {
            "energy": state.energy,
            "mean_energy": float(sums[ERRORS]) / n_replicas,
            "acceptance_rate": float(sums[ACCEPTED]),
        }
        if not isinstance(self.energy, Errors):
            recorded |= {"cost": float(state.energies.sum()), "mean_cost": float(sums[ENERGY]) / n_replicas}
        if self.replicas(instance.model):
            total = state.weights.sum(axis=0, dtype=np.int64)
            now = mean_overlap(int(total @ total), instance.N, n_replicas)
            recorded |= {"overlap": now, "mean_overlap": float(sums[OVERLAP])}
        return recorded

    def observables(self, instance: Instance, state: Walk) -> dict[str, Any]:
        """Averages over time after the burn-in."""
        rows = np.concatenate(state.steps)
        kept = rows[int(self.burn_in * len(rows)) :]
        n_replicas = len(state.errors)
        times = kept[:, PROPOSALS]
        series = {"mean_energy": kept[:, ERRORS] / n_replicas / times}
        if not isinstance(self.energy, Errors):
            series["mean_cost"] = kept[:, ENERGY] / n_replicas / times
        averages = {name: mean_energy(instance.P, values) for name, values in series.items()}
        if self.replicas(instance.model):
            series["overlap"] = kept[:, OVERLAP] / times
            averages["overlap"] = blocking(series["overlap"])
        tau, each = autocorrelation_time(kept[:, _NOW]), min(self.sweeps_per_record, state.n_sweeps)
        return {
            **{name: _over_time(averages[name], series[name], times) for name in averages},
            "autocorrelation_time": Estimate(tau.mean * each, tau.error * each, tau.n_eff),
            "acceptance_rate": float(kept[:, ACCEPTED].sum() / times.sum()),
        }


def _over_time(estimate: Estimate, series: np.ndarray, times: np.ndarray) -> Estimate:
    """A last record cut short counts by its length in the mean, and as any other in the error."""
    return Estimate(float(series @ times / times.sum()), estimate.error, estimate.n_eff)
