"""Monte Carlo: the Metropolis sampler and simulated annealing of binary weights, of one replica or several."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from physlearn.estimates import Estimate, autocorrelation_time, blocking
from physlearn.inputs import choice, integer, keep, number, reject
from physlearn.kernels.metropolis import (
    ACCEPTED,
    ENERGY,
    ERRORS,
    OVERLAP,
    PROPOSALS,
    Fields,
    sweep,
    work_space,
)
from physlearn.models import Binary, Committee, Instance, Model, Replicated
from physlearn.models.energies import Energy, Errors, sampled
from physlearn.models.schedules import linear, rising
from physlearn.results import Status
from physlearn.solvers.base import Solver, State
from physlearn.solvers.replicas import attraction, attraction_weight
from physlearn.solvers.systems import flips

LONGEST_RECORD = 10**7
"""Sweeps between two records, times replicas: of each some numbers are held in memory, half a gigabyte here."""


@dataclass
class Walk(State):
    """State of a Monte Carlo run.

    Attributes
    ----------
    weights : ndarray of int8, shape (N,), or (n_replicas, N) with replicas
        The configuration.
    best : ndarray of int8, shape (N,)
        The one of fewest errors so far, of any replica.
    counts : ndarray of int64, shape (3,)
        Fewest errors, flips and sweeps done.
    energies, errors : ndarray of float64 and int64, shape (n_replicas,)
        Running energy and number of violated patterns.
    recipe : Energy
        Of which the walk is.
    system : NamedTuple of ndarray
        Patterns and configurations, as the kernel wants them: P N/8 bytes for +-1 patterns, 8 P N for real ones.
    steps : list of ndarray, shape (n, 5)
        Energy, errors, flips accepted, proposals, overlap of each sweep so far: what the averages are taken over.
    """

    weights: np.ndarray
    best: np.ndarray
    counts: np.ndarray
    energies: np.ndarray
    errors: np.ndarray
    recipe: Energy
    system: Any
    steps: list[np.ndarray] = field(default_factory=list)

    @property
    def energy(self) -> int:
        """Violated patterns of `weights`, in all replicas together."""
        return int(self.errors.sum())

    @property
    def lowest_energy(self) -> int:
        """Violated patterns of `best`."""
        return int(self.counts[0])

    @property
    def n_sweeps(self) -> int:
        """Sweeps begun; the last one is cut short where it found a solution."""
        return int(self.counts[2])


@dataclass
class Sampling(Walk):
    """State of a `Metropolis` run, all of it at the inverse temperature `beta`: the averages are over all of it."""

    beta: float = 0.0


@dataclass
class Annealing(Walk):
    """State of a `SimulatedAnnealing` run, a sample of no temperature."""


@dataclass
class ScopedAnnealing(Walk):
    """State of a `ReplicatedAnnealing` run, of replicas with this `attraction`."""

    attraction: str = ""


class MonteCarlo(Solver):
    """What all of these solvers share: single flips of binary weights at the inverse temperatures of `betas`."""

    n_sweeps: int
    sweeps_per_record: int
    energy: Energy
    state_type: ClassVar[type[Walk]] = Walk
    takes_external = True
    _stops_at_solution = False
    _n_columns = 5  # of the kernel's record

    @abstractmethod
    def betas(self, first: int, last: int) -> np.ndarray:
        """Inverse temperatures of the sweeps first ... last - 1, shape (last - first,)."""

    def replicas(self, model: Model) -> tuple[int, str] | None:
        """Number and attraction of the replicas that walk together, if there is more than one."""
        return (model.n_replicas, model.attraction) if isinstance(model, Replicated) else None

    def couplings(self, model: Model, first: int, last: int) -> np.ndarray:
        """Couplings of the replicas in the sweeps first ... last - 1, shape (last - first,)."""
        assert isinstance(model, Replicated)
        return np.full(last - first, model.coupling)

    def supports(self, model: Model) -> str | None:
        """None for binary weights and a model with an energy, else the sentence why not."""
        name = type(self).__name__
        one = model.model if isinstance(model, Replicated) else model
        if not (one.is_single or isinstance(one, Committee)):
            return f"{name} treats perceptrons and committees, and {type(model).__name__} is neither."
        if not isinstance(model.prior, Binary):
            return f"{name} flips weights that are -1 or +1, which those of {model.prior!r} are not."
        return one.energy_refusal and f"{name} needs an energy: {one.energy_refusal}"

    def init(self, instance: Instance, rng: np.random.Generator) -> Walk:
        """Uniformly random configurations."""
        replicas = self.replicas(instance.model)
        n_replicas = replicas[0] if replicas else 1
        weights = np.stack([Binary().sample(instance.N, rng) for _ in range(n_replicas)])
        errors = np.array([instance.model.energy(instance, w) for w in weights], dtype=np.int64)
        energies = np.array([self.energy.total(instance, w) for w in weights])
        best, counts = int(errors.argmin()), np.array([errors.min(), 0, 0], dtype=np.int64)
        return self.state_type(
            instance.fingerprint,
            weights if replicas else weights[0],
            weights[best].copy(),
            counts,
            energies,
            errors,
            self.energy,
            flips(instance, self.energy, weights),
        )

    def sweep(self, instance: Instance, state: Walk, rng: np.random.Generator) -> Walk:
        """Sweep up to the next record."""
        done = state.n_sweeps
        until = min(self.n_sweeps, (done // self.sweeps_per_record + 1) * self.sweeps_per_record)
        longest = LONGEST_RECORD // len(state.errors)
        if until - done > longest:
            raise reject("sweeps_per_record", self.sweeps_per_record, f"at most {longest} at this size")
        steps = np.zeros((until - done, self._n_columns))
        fields = self._fields(instance, done, until)
        begun = sweep(
            state.system,
            state.weights.reshape(-1, instance.N),
            state.best,
            state.counts,
            state.energies,
            state.errors,
            self.betas(done, until),
            fields,
            self._stops_at_solution,
            work_space(instance.N, fields),
            steps,
            rng,
        )
        state.steps.append(steps[:begun])
        return state

    def _fields(self, instance: Instance, first: int, last: int) -> Fields | None:
        """What the kernel has to know of replicas and tether."""
        replicas = self.replicas(instance.model)
        if replicas is None and instance.external is None and isinstance(self.energy, Errors):
            return None
        pulls, terms = np.zeros((last - first, 1)), np.zeros((last - first, 3))
        if replicas is not None:
            n_replicas, kind = replicas
            couplings = self.couplings(instance.model, first, last)[:, None]
            pulls = attraction(couplings, np.arange(1 - n_replicas, n_replicas), kind)
            terms = attraction_weight(couplings, np.arange(-n_replicas, n_replicas + 1), n_replicas, kind)
        external = np.zeros(instance.N) if instance.external is None else instance.external
        return Fields(_odds(pulls), _odds(external), terms, external)

    def record(self, instance: Instance, state: Walk) -> dict[str, float]:
        """The errors of all replicas now, their overlap, and the acceptance rate since the last record."""
        last = state.steps[-1]
        rate = last[:, ACCEPTED].sum() / last[:, PROPOSALS].sum()
        recorded: dict[str, float] = {"energy": state.energy, "acceptance_rate": rate}
        if not isinstance(self.energy, Errors):
            recorded["cost"] = float(last[-1, ENERGY])
        if self.replicas(instance.model):
            recorded["overlap"] = float(last[-1, OVERLAP])
        return recorded

    def check_walk(self, instance: Instance, state: Walk) -> None:
        """Refuse the walk of another energy, or of another number of replicas."""
        replicas = self.replicas(instance.model)
        own = (self.energy, replicas[0] if replicas else 1)
        given = (state.recipe, len(state.errors))
        if given != own:
            described = [f"{energy} with {y} replica{'s' * (y > 1)}" for energy, y in (given, own)]
            raise reject("state", f"a walk of {described[0]}", f"this solver's {described[1]}")

    def _check(self) -> None:
        sampled(self.energy)
        keep(
            self,
            n_sweeps=integer("n_sweeps", self.n_sweeps, at_least=1, at_most=10**18),
            sweeps_per_record=integer("sweeps_per_record", self.sweeps_per_record, at_least=1),
        )


@dataclass(frozen=True)
class Metropolis(MonteCarlo):
    """Sampler of the Gibbs measure P(w) ~ e^{-beta E(w)}, times e^{external.w} for a tethered instance.

    Parameters
    ----------
    beta : float
        Inverse temperature >= 0.
    n_sweeps : int
        Sweeps in all: N proposals each, or N + 1 where N is even. An even number of flips keeps the parity of
        the number of +1 weights, so that at beta = 0, where none is rejected, sweeps of even length would
        visit half of the configurations; odd ones alternate, and averages over all sweeps are right.
    sweeps_per_record : int
        Sweeps between two records of the trace.
    burn_in : float
        Fraction of the sweeps left out of the averages.
    energy : Energy
        E(w): the number of violated patterns, `Errors()`, or another of `physlearn.models.energies`.

    Notes
    -----
    The weights of the result are the last configuration: one sample. Of a `Replicated` model they are the replica of
    fewest errors, the first of them; the state has all. The observables are averages after the burn-in, their errors
    by blocking: ``mean_energy`` (violated patterns, of one replica), ``mean_cost`` (the `energy`, where it is another),
    ``overlap`` (of two replicas), ``autocorrelation_time`` (integrated, in sweeps, of the energy sampled) and
    ``acceptance_rate``. In the trace ``energy`` and ``cost`` are sums over the replicas. Whether the burn-in was long
    enough is for the trace to tell: at low temperature the walk stays where it fell. Where it never moved after the
    burn-in, the error of the mean is infinite.

    References
    ----------
    theory/single-flips/derivation.md; Metropolis, Rosenbluth, Rosenbluth, Teller & Teller 1953.
    """

    beta: float
    n_sweeps: int
    sweeps_per_record: int = 10
    burn_in: float = 0.2
    energy: Energy = field(default_factory=Errors)
    state_type = Sampling

    def __post_init__(self) -> None:
        beta, burn_in = (
            number("beta", self.beta, at_least=0),
            number("burn_in", self.burn_in, at_least=0, below=1),
        )
        keep(self, beta=beta, burn_in=burn_in)
        self._check()

    def init(self, instance: Instance, rng: np.random.Generator) -> Sampling:
        """Uniformly random configurations, for a walk at this inverse temperature."""
        walk = super().init(instance, rng)
        assert isinstance(walk, Sampling)
        walk.beta = self.beta
        return walk

    def betas(self, first: int, last: int) -> np.ndarray:
        """The one inverse temperature, for every sweep."""
        return np.full(last - first, self.beta)

    def status(self, instance: Instance, state: Sampling) -> Status | None:
        """Runs all sweeps; SOLVED if the last configuration, of some replica, happens to be a solution."""
        if state.beta != self.beta:
            raise reject(
                "state", f"a walk at beta = {state.beta:g}", f"walks at this solver's beta = {self.beta:g}"
            )
        self.check_walk(instance, state)
        if state.n_sweeps < self.n_sweeps:
            return None
        return Status.SOLVED if state.errors.min() == 0 else Status.COMPLETED

    def weights(self, instance: Instance, state: Walk) -> np.ndarray:
        """The last configuration; the one of fewest errors of the replicas'."""
        return state.weights.reshape(-1, instance.N)[state.errors.argmin()].copy()

    def observables(self, instance: Instance, state: Walk) -> dict[str, Any]:
        """Averages over the sweeps after the burn-in."""
        steps = np.concatenate(state.steps)[math.floor(self.burn_in * state.n_sweeps) :]
        n_replicas = len(state.errors)
        observables: dict[str, Any] = {"mean_energy": mean_energy(instance.P, steps[:, ERRORS] / n_replicas)}
        if not isinstance(self.energy, Errors):
            observables["mean_cost"] = mean_energy(instance.P, steps[:, ENERGY] / n_replicas)
        if self.replicas(instance.model):
            observables["overlap"] = blocking(steps[:, OVERLAP])
        return {
            **observables,
            "autocorrelation_time": autocorrelation_time(steps[:, ENERGY]),
            "acceptance_rate": float(steps[:, ACCEPTED].sum() / steps[:, PROPOSALS].sum()),
        }


@dataclass(frozen=True)
class SimulatedAnnealing(MonteCarlo):
    """Metropolis sweeps at inverse temperatures that rise along a schedule, until a solution is found.

    Parameters
    ----------
    n_sweeps : int
        Sweeps in all, as in `Metropolis`, shared evenly among the temperatures of the schedule.
    schedule : iterable of float
        Inverse temperatures >= 0 that never decrease; see `physlearn.models.schedules`.
    sweeps_per_record : int
        Sweeps between two records of the trace.
    energy : Energy
        As in `Metropolis`.

    Notes
    -----
    The weights of the result are those with the fewest violated patterns met on the way, the first of them where there
    are several, in any replica of a `Replicated` model. The number of violated patterns is a rugged energy: from loads
    far below capacity on (0.3 at N = 1001, with the defaults) the walk is trapped before it solves.

    References
    ----------
    Kirkpatrick, Gelatt & Vecchi 1983; for the binary perceptron Horner 1992.
    """

    n_sweeps: int = 1000
    schedule: Iterable[float] = linear(0.2, 3.0, 100)
    sweeps_per_record: int = 10
    energy: Energy = field(default_factory=Errors)
    state_type: ClassVar[type[Walk]] = Annealing
    _stops_at_solution = True

    def __post_init__(self) -> None:
        keep(self, schedule=rising("schedule", self.schedule, "inverse temperatures", at_least=0))
        self._check()

    def betas(self, first: int, last: int) -> np.ndarray:
        """Sweep t of n runs at entry floor(t len(schedule)/n) of the schedule."""
        return self._along(self.schedule, first, last)

    def _along(self, schedule: Iterable[float], first: int, last: int) -> np.ndarray:
        values = np.array(tuple(schedule))
        return values[np.arange(first, last) * len(values) // self.n_sweeps]

    def status(self, instance: Instance, state: Walk) -> Status | None:
        """SOLVED as soon as no pattern is violated, COMPLETED after the last sweep."""
        self.check_walk(instance, state)
        if state.lowest_energy == 0:
            return Status.SOLVED
        return None if state.n_sweeps < self.n_sweeps else Status.COMPLETED

    def record(self, instance: Instance, state: Walk) -> dict[str, float]:
        """As for any Monte Carlo, and the inverse temperature of the last sweep."""
        return {
            **super().record(instance, state),
            "beta": float(self.betas(state.n_sweeps - 1, state.n_sweeps)[0]),
        }

    def weights(self, instance: Instance, state: Walk) -> np.ndarray:
        """The configuration of fewest errors."""
        return state.best.copy()

    def observables(self, instance: Instance, state: Walk) -> dict[str, Any]:
        """The acceptance rate over the whole run; zero where nothing had to be proposed."""
        steps = np.concatenate([np.zeros((0, 5)), *state.steps])
        return {"acceptance_rate": float(steps[:, ACCEPTED].sum() / max(steps[:, PROPOSALS].sum(), 1))}


@dataclass(frozen=True)
class ReplicatedAnnealing(SimulatedAnnealing):
    r"""Annealing of replicas that attract each other ever more: towards regions that are dense in solutions.

    The measure is that of `physlearn.models.Replicated`, of a model without replicas; the coupling changes along a
    schedule beside that of the temperature (scoping).

    Parameters
    ----------
    n_sweeps : int
        Sweeps of each replica, shared evenly among the entries of either schedule.
    schedule : iterable of float
        Inverse temperatures >= 0 that never decrease.
    sweeps_per_record : int
    energy : Energy
    n_replicas : int
        2 to 1000.
    coupling_schedule : iterable of float
        Couplings gamma >= 0 that never decrease; where they end high the replicas come together.
    attraction : {"pairs", "centre"}

    References
    ----------
    theory/single-flips/derivation.md (R.1) to (R.4); Baldassi, Borgs, Chayes, Ingrosso, Lucibello, Saglietti & Zecchina
    2016.
    """

    n_replicas: int = 3
    coupling_schedule: Iterable[float] = linear(0.0, 1.0, 100)
    attraction: str = "pairs"
    state_type = ScopedAnnealing

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(
            self,
            n_replicas=integer("n_replicas", self.n_replicas, at_least=2, at_most=1000),
            coupling_schedule=rising("coupling_schedule", self.coupling_schedule, "couplings", at_least=0),
            attraction=choice("attraction", self.attraction, ("pairs", "centre")),
        )

    def supports(self, model: Model) -> str | None:
        """None for a plain model with binary weights and an energy, else the sentence why not."""
        if isinstance(model, Replicated):
            return "ReplicatedAnnealing makes the replicas itself, of a model without any."
        return super().supports(model)

    def init(self, instance: Instance, rng: np.random.Generator) -> ScopedAnnealing:
        """Uniformly random configurations of all replicas."""
        walk = super().init(instance, rng)
        assert isinstance(walk, ScopedAnnealing)
        walk.attraction = self.attraction
        return walk

    def status(self, instance: Instance, state: Walk) -> Status | None:
        """As in annealing, of the same attraction throughout."""
        assert isinstance(state, ScopedAnnealing)
        if state.attraction != self.attraction:
            given = f"an attraction of {state.attraction!r}"
            raise reject("state", given, f"this solver's attraction of {self.attraction!r}")
        return super().status(instance, state)

    def replicas(self, model: Model) -> tuple[int, str]:
        return self.n_replicas, self.attraction

    def couplings(self, model: Model, first: int, last: int) -> np.ndarray:
        return self._along(self.coupling_schedule, first, last)

    def record(self, instance: Instance, state: Walk) -> dict[str, float]:
        """As in annealing, and the coupling of the last sweep."""
        last = self._along(self.coupling_schedule, state.n_sweeps - 1, state.n_sweeps)
        return {**super().record(instance, state), "coupling": float(last[0])}


def mean_energy(P: int, series: np.ndarray) -> Estimate:
    """The mean and its error by `blocking`: infinite for a walk that never changed, zero where no pattern is there."""
    estimate = blocking(series)
    return estimate if P else Estimate(estimate.mean, 0.0, float(len(series)))


def _odds(field: np.ndarray) -> np.ndarray:
    """e^{2 field}, inside the range of doubles: beyond it no flip against the field is ever seen."""
    return np.exp(np.clip(2 * np.asarray(field, dtype=float), -345, 345))
