"""Parallel tempering: walks at a ladder of temperatures, which they exchange."""

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.estimates import Estimate, autocorrelation_time
from physlearn.inputs import choice, integer, keep, number, reject
from physlearn.kernels.metropolis import ENERGY
from physlearn.models import Instance, Model
from physlearn.models.energies import Energy, Errors, sampled
from physlearn.results import Result, Status
from physlearn.solvers.base import Solver, State
from physlearn.solvers.monte_carlo import Metropolis, MonteCarlo, Sampling, Walk, mean_energy

if TYPE_CHECKING:
    import xarray

MOST_REPLICAS = 64
_PILOT_BETAS = 20
_LEAST_REJECTION = 0.01  # of a pair, when the ladder is moved: no step grows without bound


@dataclass
class Tempering(State):
    """State of a `ParallelTempering` run.

    Attributes
    ----------
    betas : ndarray, shape (n_replicas,)
        The ladder, ascending; fixed after half of the burn-in.
    replicas : list of dict
        Fields of the walk that is at each of the `betas` now.
    names : ndarray of int, shape (n_replicas,)
        Which replica that is.
    burn_in : int
        Sweeps before those that count, fixed at the start.
    history : list of ndarray, shape (n, n_replicas)
        Energies at each of the `betas`, sweep by sweep; of a `Replicated` model the sums over its replicas.
    swaps : ndarray, shape (2, n_replicas - 1)
        Swaps tried between neighbours since the ladder or the averages began anew, and the sum of the
        probabilities to accept them.
    bound_for : ndarray of int, shape (n_replicas,)
        For each replica by its name, which end of the ladder it makes for: 1 the coldest, -1 the hottest, 0 where
        it has not been at the hottest yet.
    n_round_trips, n_swaps, n_sweeps : int
    best : ndarray of int8, shape (N,)
    lowest_energy : float
        The configuration of lowest energy that any replica met, and its energy.
    """

    betas: np.ndarray
    replicas: list[dict[str, Any]]
    names: np.ndarray
    burn_in: int
    swaps: np.ndarray
    bound_for: np.ndarray
    best: np.ndarray
    lowest_energy: float
    history: list[np.ndarray] = field(default_factory=list)
    n_round_trips: int = 0
    n_swaps: int = 0
    n_sweeps: int = 0

    @property
    def weights(self) -> np.ndarray:
        """Those of the coldest replica."""
        return self.replicas[-1]["weights"]

    @property
    def kept(self) -> np.ndarray:
        """Energies that count, shape (n, n_replicas): after the burn-in; of a run that ended sooner, all.

        Of a `Replicated` model, the mean over its replicas.
        """
        energies = np.concatenate(self.history) / len(self.replicas[0]["errors"])
        return energies[self.burn_in if len(energies) > self.burn_in else 0 :]


@dataclass(frozen=True, repr=False)
class TemperingResult(Result):
    """Averages at all temperatures of the ladder."""

    @property
    def betas(self) -> np.ndarray:
        """Inverse temperatures, ascending, shape (n_replicas,)."""
        return self.state.betas

    @cached_property
    def energies(self) -> list[Estimate]:
        """Mean energy at each of the `betas`, with its error by blocking; of a replica of a `Replicated` model."""
        return [mean_energy(self.state.fingerprint[0], column) for column in self.state.kept.T]

    @cached_property
    def autocorrelation_times(self) -> list[Estimate]:
        """Integrated autocorrelation time of the energy at each of the `betas` in sweeps, 1/2 if uncorrelated."""
        return [autocorrelation_time(column) for column in self.state.kept.T]

    @property
    def swap_rates(self) -> np.ndarray:
        """Swaps accepted between neighbours, shape (n_replicas - 1,): the mean of the probabilities to do so."""
        return swap_rates(self.state.swaps)

    def to_dataset(self) -> "xarray.Dataset":
        """As of any result, and the ladder along ``beta``; swap rates along ``pair``."""
        data = super().to_dataset()
        data.coords["beta"] = self.betas
        data["energy_at_beta"] = "beta", [energy.mean for energy in self.energies]
        data["energy_at_beta_error"] = "beta", [energy.error for energy in self.energies]
        data["autocorrelation_time_at_beta"] = "beta", [time.mean for time in self.autocorrelation_times]
        data["autocorrelation_time_at_beta_error"] = (
            "beta",
            [time.error for time in self.autocorrelation_times],
        )
        data["swap_rate"] = "pair", self.swap_rates
        return data


@dataclass(frozen=True)
class ParallelTempering(Solver):
    r"""Replicas of a Metropolis walk at a ladder of inverse temperatures, where neighbours swap.

    After every `sweeps_per_swap` sweeps the pairs of neighbours, the even and the odd ones in turn, exchange their
    configurations with the probability

    .. math:: \min\big(1, e^{(\beta_{k+1} - \beta_k) (E_{k+1} - E_k)}\big)

    which leaves the product of the Gibbs measures as it is. A configuration that is trapped at a low temperature so
    gets away over the high ones.

    Parameters
    ----------
    beta_max : float
        Inverse temperature of the coldest replica.
    n_sweeps : int
        Sweeps of each replica.
    beta_min : float
        Inverse temperature >= 0 of the hottest replica; there a walk should forget where it was in a few sweeps.
    n_replicas : int, optional
        2 to 1000; without it as many as reach the `swap_rate`, as far as a pilot run tells.
    swap_rate : float
        Aimed at where `n_replicas` is not given.
    sweeps_per_swap, sweeps_per_record : int
        The second is rounded up to a multiple of the first.
    burn_in : float
        Fraction of the sweeps left out of the averages.
    stop_at_solution : bool
        Whether to end at the first solution. The averages are then not those of equilibrium.
    energy : Energy
        As in `Metropolis`; of all replicas together for a `Replicated` model.

    Notes
    -----
    The ladder is automatic. A single walk, annealed through twenty temperatures before the run, tells the standard
    deviation of the energy, and so the first ladder (PT.4); three times during the first half of the burn-in all
    steps are changed so that their rates of rejection become equal (PT.5), and then never more.

    The weights of the result are those of lowest energy met by any replica, the first of them. Observables:
    ``mean_energy`` (``mean_cost``, where `energy` is not the number of errors; of one replica of a `Replicated` model)
    and ``autocorrelation_time`` (integrated, in sweeps, of that energy) at `beta_max`, ``n_replicas``,
    ``lowest_swap_rate`` and ``highest_swap_rate`` among the pairs, ``n_round_trips``, the times a replica came back to
    the hottest place from the coldest, ``round_trip_time``, its mean in sweeps, infinite where there was none, and
    ``equilibrated``, 1 where there was one after the burn-in, else 0. The result, a `TemperingResult`, has energies
    with errors, autocorrelation times and swap rates along the ladder.

    The status is SOLVED where a solution was met, in equilibrium or not: whether the averages can be trusted is for
    ``equilibrated`` to tell. Without a solution it is NOT_EQUILIBRATED where no replica made a round trip.

    References
    ----------
    theory/monte-carlo/derivation.md (PT.1) to (PT.6); Hukushima & Nemoto 1996; Katzgraber, Trebst, Huse & Troyer
    2006 for round trips; Syed, Bouchard-Cote, Deligiannidis & Doucet 2022 for the even-odd swaps and the ladder.
    """

    beta_max: float
    n_sweeps: int
    beta_min: float = 0.1
    n_replicas: int | None = None
    swap_rate: float = 0.4
    sweeps_per_swap: int = 5
    sweeps_per_record: int = 50
    burn_in: float = 0.3
    stop_at_solution: bool = False
    energy: Energy = field(default_factory=Errors)
    state_type = Tempering
    result_type = TemperingResult
    takes_external = Metropolis.takes_external

    def __post_init__(self) -> None:
        keep(
            self,
            beta_max=number("beta_max", self.beta_max, above=0),
            n_sweeps=integer("n_sweeps", self.n_sweeps, at_least=1, at_most=10**18),
            beta_min=number("beta_min", self.beta_min, at_least=0),
            swap_rate=number("swap_rate", self.swap_rate, above=0, below=1),
            sweeps_per_swap=integer("sweeps_per_swap", self.sweeps_per_swap, at_least=1, at_most=10**6),
            sweeps_per_record=integer("sweeps_per_record", self.sweeps_per_record, at_least=1),
            burn_in=number("burn_in", self.burn_in, at_least=0, below=1),
            stop_at_solution=choice("stop_at_solution", self.stop_at_solution, (False, True)),
        )
        sampled(self.energy)
        if self.beta_min >= self.beta_max:
            raise reject(
                "beta_min", self.beta_min, f"inverse temperatures below beta_max = {self.beta_max:g}"
            )
        if self.n_replicas is not None:
            keep(self, n_replicas=integer("n_replicas", self.n_replicas, at_least=2, at_most=1000))

    def _walker(self, beta: float) -> Metropolis:
        """The recipe of a replica's walk between two swaps."""
        return Metropolis(beta, self.n_sweeps, self.sweeps_per_swap, energy=self.energy)

    def supports(self, model: Model) -> str | None:
        """As of `Metropolis`."""
        refusal = self._walker(self.beta_max).supports(model)
        return refusal and refusal.replace("Metropolis", type(self).__name__)

    def init(self, instance: Instance, rng: np.random.Generator) -> Tempering:
        """The ladder from a pilot run, with a uniformly random configuration at each of its places."""
        betas, deviations = self._pilot(instance, rng)
        if self.n_replicas is None:
            step = expected_separation(self.swap_rate)
            length = float(np.sum((deviations[1:] + deviations[:-1]) / 2 * np.diff(betas)))
            n_replicas = min(max(2, 1 + math.ceil(length / step)), MOST_REPLICAS)
        else:
            n_replicas = self.n_replicas
        betas = equal_steps(betas, (deviations[1:] + deviations[:-1]) / 2 * np.diff(betas), n_replicas)
        walks = [self._walker(float(beta)).init(instance, rng) for beta in betas]
        for walk in walks[1:]:
            share_patterns(walks[0], walk)
        lowest = min(walks, key=lambda walk: walk.lowest_energy)
        return Tempering(
            instance.fingerprint,
            betas,
            [fields_of(walk) for walk in walks],
            np.arange(n_replicas),
            int(self.burn_in * self.n_sweeps),
            np.zeros((2, n_replicas - 1)),
            np.zeros(n_replicas, dtype=np.int64),
            lowest.best.copy(),
            lowest.lowest_energy,
        )

    def _pilot(self, instance: Instance, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviation of the energy at some inverse temperatures, from one walk that cools."""
        n_sweeps = min(max(self.n_sweeps // 50, 10), 200)
        betas, deviations, walk = np.linspace(self.beta_min, self.beta_max, _PILOT_BETAS), [], None
        for k, beta in enumerate(betas):
            walker = Metropolis(float(beta), (k + 1) * n_sweeps, n_sweeps, energy=self.energy)
            walk = walker.sweep(instance, walker.init(instance, rng) if walk is None else walk, rng)
            deviations.append(last_energies(walk)[n_sweeps // 4 :].std(ddof=1))
        return betas, np.array(deviations)

    def sweep(self, instance: Instance, state: Tempering, rng: np.random.Generator) -> Tempering:
        """Sweep and swap up to the next record."""
        until = min(self.n_sweeps, (state.n_sweeps // self.sweeps_per_record + 1) * self.sweeps_per_record)
        walks = [walk_of(self._walker(0.0), replica) for replica in state.replicas]
        while state.n_sweeps < until:
            for k, beta in enumerate(state.betas.tolist()):
                walks[k] = self._walker(beta).sweep(instance, at_beta(walks[k], beta), rng)
                if walks[k].lowest_energy < state.lowest_energy:
                    state.lowest_energy, state.best = walks[k].lowest_energy, walks[k].best.copy()
            state.history.append(np.stack([last_energies(walk) for walk in walks], axis=1))
            state.n_sweeps += len(state.history[-1])
            self._swap(state, walks, rng)
            self._count(state)
            if self.stop_at_solution and state.lowest_energy == 0:
                break
        state.replicas = [fields_of(walk) for walk in walks]
        return state

    def _swap(self, state: Tempering, walks: list[Walk], rng: np.random.Generator) -> None:
        """Try to swap every second pair of neighbours."""
        for k in range(state.n_swaps % 2, len(state.betas) - 1, 2):
            exponent = (state.betas[k + 1] - state.betas[k]) * (
                energy_now(walks[k + 1]) - energy_now(walks[k])
            )
            chance = math.exp(min(0.0, float(exponent)))
            state.swaps[:, k] += 1, chance
            if rng.random() < chance:
                walks[k : k + 2] = walks[k : k + 2][::-1]
                state.names[k : k + 2] = state.names[k : k + 2][::-1].copy()
        state.n_swaps += 1

    def _count(self, state: Tempering) -> None:
        """Follow round trips; move the ladder, or begin the averages, where it is time."""
        coldest, hottest = state.names[-1], state.names[0]
        if state.bound_for[coldest] == 1:
            state.bound_for[coldest] = -1
        state.n_round_trips += int(state.bound_for[hottest] == -1)
        state.bound_for[hottest] = 1
        before = state.n_sweeps - len(state.history[-1])
        due = any(before < state.burn_in // part <= state.n_sweeps for part in (8, 4, 2))
        if due and (state.swaps[0] > 0).all():
            rejections = np.maximum(1 - swap_rates(state.swaps), _LEAST_REJECTION)
            state.betas = equal_steps(state.betas, rejections, len(state.betas))
            state.swaps[:] = 0
        if before < state.burn_in <= state.n_sweeps:
            state.swaps[:], state.bound_for[:], state.n_round_trips = 0, 0, 0

    def status(self, instance: Instance, state: Tempering) -> Status | None:
        """SOLVED with a solution, at its first one if asked; else NOT_EQUILIBRATED where no replica went round."""
        ends = float(state.betas[0]), float(state.betas[-1])
        if ends != (self.beta_min, self.beta_max):
            given = f"walks from beta = {ends[0]:g} to {ends[1]:g}"
            raise reject("state", given, f"walks from {self.beta_min:g} to {self.beta_max:g}")
        if self.n_replicas not in (None, len(state.betas)):
            given = f"a ladder of {len(state.betas)} temperatures"
            raise reject("state", given, f"ladders of this solver's n_replicas = {self.n_replicas}")
        walker = self._walker(self.beta_max)
        walker.check_walk(instance, walk_of(walker, state.replicas[-1]))
        done = state.n_sweeps >= self.n_sweeps
        if state.lowest_energy == 0 and (done or (self.stop_at_solution and state.n_sweeps > 0)):
            return Status.SOLVED
        if not done:
            return None
        return Status.COMPLETED if state.n_round_trips else Status.NOT_EQUILIBRATED

    def record(self, instance: Instance, state: Tempering) -> dict[str, float]:
        """The energy of the coldest replica now, the lowest one met by any, and the round trips so far."""
        return {
            "energy": walk_of(self._walker(0.0), state.replicas[-1]).energy,
            "lowest_energy": state.lowest_energy,
            "n_round_trips": state.n_round_trips,
        }

    def weights(self, instance: Instance, state: Tempering) -> np.ndarray:
        """The configuration of lowest energy."""
        return state.best.copy()

    def observables(self, instance: Instance, state: Tempering) -> dict[str, Any]:
        """Averages and swaps after the burn-in."""
        n, rates, coldest = state.n_round_trips, swap_rates(state.swaps), state.kept[:, -1]
        time = len(state.betas) * len(coldest) / n if n else math.inf
        mean = mean_energy(instance.P, coldest)
        return {
            "mean_energy" if isinstance(self.energy, Errors) else "mean_cost": mean,
            "autocorrelation_time": autocorrelation_time(coldest),
            "equilibrated": int(n > 0),
            "n_replicas": len(state.betas),
            "lowest_swap_rate": float(rates.min()),
            "highest_swap_rate": float(rates.max()),
            "n_round_trips": n,
            "round_trip_time": Estimate(time, time / math.sqrt(n) if n else math.inf, float(n)),
        }


def expected_swap_rate(separation: float) -> float:
    """Swap rate of two temperatures that are `separation` = sigma_E |beta' - beta| apart: erfc(separation/2) (PT.3).

    For energies that are normal with the same standard deviation sigma_E at both.
    """
    return math.erfc(number("separation", separation, at_least=0) / 2)


def expected_separation(rate: float) -> float:
    """The separation with this `expected_swap_rate`."""
    from scipy.special import erfcinv

    return 2 * float(erfcinv(rate))


def equal_steps(betas: np.ndarray, lengths: np.ndarray, n: int) -> np.ndarray:
    """n inverse temperatures between the same ends, at equal steps of a length that is known along `betas`.

    Parameters
    ----------
    betas : ndarray, shape (m,)
    lengths : ndarray, shape (m - 1,)
        Of the intervals between them, such as the integral of sigma_E (PT.4), or rates of rejection (PT.5);
        inside an interval it grows evenly.
    n : int
    """
    lengths = np.maximum(lengths, 1e-3 * lengths.max(initial=0.0))
    if not lengths.max(initial=0.0) > 0:
        lengths = np.diff(betas)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    steps = np.interp(np.linspace(0, along[-1], n), along, betas)
    steps[0], steps[-1] = betas[0], betas[-1]
    return steps


def swap_rates(swaps: np.ndarray) -> np.ndarray:
    """Mean probability of a swap for each pair; zero for a pair that never tried."""
    return swaps[1] / np.maximum(swaps[0], 1)


def fields_of(walk: Walk) -> dict[str, Any]:
    """The fields of a walk, shared, not copied: what a State can hold several of, and be compared by."""
    return {item.name: getattr(walk, item.name) for item in dataclasses.fields(walk)}


def walk_of(walker: MonteCarlo, fields: dict[str, Any]) -> Walk:
    """The walk with these fields."""
    return walker.state_type(**fields)


def at_beta(walk: Walk, beta: float) -> Walk:
    """The walk, to be gone on with at another temperature."""
    if isinstance(walk, Sampling):
        walk.beta = beta
    return walk


def last_energies(walk: Walk) -> np.ndarray:
    """The energy after each sweep since the walk's last record, which the walk gives away."""
    return walk.steps.pop()[:, ENERGY]


def energy_now(walk: Walk) -> float:
    """The energy of the walk's Gibbs measure."""
    return float(walk.energies.sum())


def share_patterns(first: Walk, second: Walk) -> None:
    """Let the second walk hold the patterns, which neither changes, where the first has them."""
    second.system = second.system._replace(columns=first.system.columns)
