"""Monte Carlo: the Metropolis sampler and simulated annealing of binary weights."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from physlearn.estimates import blocking
from physlearn.inputs import integer, keep, member, number, reject
from physlearn.kernels.bits import aligned_words, columns_as_bits, counters_as_planes
from physlearn.kernels.metropolis import sweep_reals, sweep_signs
from physlearn.kernels.patterns import products
from physlearn.models import Binary, Instance, Model
from physlearn.models.base import integer_bounds
from physlearn.models.schedules import linear
from physlearn.results import Status
from physlearn.solvers.base import Solver, State


@dataclass
class Walk(State):
    """State of a Monte Carlo run.

    Attributes
    ----------
    weights, best : ndarray of int8, shape (N,)
        The configuration, and the one of lowest energy so far.
    counts : ndarray of int64, shape (4,)
        Running energy, lowest energy, flips and sweeps done.
    layout : tuple of ndarray
        The gauged patterns and the stabilities, as the kernel wants them: P N/8 bytes for +-1 patterns, 8 P N
        for real ones.
    record : list of ndarray, shape (n, 3)
        Energy after each sweep so far, flips accepted and proposals made in it: what the averages are taken
        over.
    """

    weights: np.ndarray
    best: np.ndarray
    counts: np.ndarray
    layout: tuple[np.ndarray, ...]
    record: list[np.ndarray] = field(default_factory=list)

    @property
    def energy(self) -> int:
        """Violated patterns of `weights`."""
        return int(self.counts[0])

    @property
    def lowest_energy(self) -> int:
        """Violated patterns of `best`."""
        return int(self.counts[1])

    @property
    def n_sweeps(self) -> int:
        """Sweeps begun; the last one is cut short where it found a solution."""
        return int(self.counts[3])


@dataclass
class Sampling(Walk):
    """State of a `Metropolis` run, all of it at the inverse temperature `beta`: the averages are over all of it."""

    beta: float = 0.0


@dataclass
class Annealing(Walk):
    """State of a `SimulatedAnnealing` run, a sample of no temperature."""


class MonteCarlo(Solver):
    """What both solvers share: single flips of binary weights at the inverse temperatures of `betas`."""

    n_sweeps: int
    sweeps_per_record: int
    state_type: ClassVar[type[Walk]] = Walk
    _stops_at_solution = False

    @abstractmethod
    def betas(self, first: int, last: int) -> np.ndarray:
        """Inverse temperatures of the sweeps first ... last - 1, shape (last - first,)."""

    def supports(self, model: Model) -> str | None:
        """None for binary weights and a model with an energy, else the sentence why not."""
        name = type(self).__name__
        if not model.is_single:
            return f"{name} treats single perceptrons, which {type(model).__name__} is not."
        if not isinstance(model.prior, Binary):
            return f"{name} flips weights that are -1 or +1, which those of {model.prior!r} are not."
        return model.energy_refusal and f"{name} needs an energy: {model.energy_refusal}"

    def init(self, instance: Instance, rng: np.random.Generator) -> Walk:
        """A uniformly random configuration."""
        weights = Binary().sample(instance.N, rng)
        energy = instance.model.energy(instance, weights)
        prepare = _signs if instance.patterns.dtype == np.int8 else _reals
        counts = np.array([energy, energy, 0, 0], dtype=np.int64)
        layout = prepare(instance, weights)
        return self.state_type(instance.fingerprint, weights, weights.copy(), counts, layout)

    def sweep(self, instance: Instance, state: Walk, rng: np.random.Generator) -> Walk:
        """Sweep up to the next record."""
        kernel = sweep_signs if instance.patterns.dtype == np.int8 else sweep_reals
        done = state.n_sweeps
        until = min(self.n_sweeps, (done // self.sweeps_per_record + 1) * self.sweeps_per_record)
        betas = self.betas(done, until)
        record = np.zeros((len(betas), 3), dtype=np.int64)
        begun = kernel(
            *state.layout,
            state.weights,
            state.best,
            state.counts,
            betas,
            self._stops_at_solution,
            record,
            rng,
        )
        state.record.append(record[:begun])
        return state

    def record(self, instance: Instance, state: Walk) -> dict[str, float]:
        """The energy now, and the acceptance rate since the last record."""
        _, accepted, proposals = state.record[-1].sum(axis=0)
        return {"energy": state.energy, "acceptance_rate": accepted / proposals}

    def _check(self) -> None:
        keep(
            self,
            n_sweeps=integer("n_sweeps", self.n_sweeps, at_least=1),
            sweeps_per_record=integer("sweeps_per_record", self.sweeps_per_record, at_least=1),
        )


@dataclass(frozen=True)
class Metropolis(MonteCarlo):
    """Sampler of the Gibbs measure P(w) ~ e^{-beta E(w)}, E the number of violated patterns.

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

    Notes
    -----
    The weights of the result are the last configuration: one sample. The observables ``mean_energy`` (an
    `Estimate` over sweeps, its error by blocking) and ``acceptance_rate`` are averages after the burn-in.
    Whether that was long enough is for the trace to tell: at low temperature the walk stays where it fell.

    References
    ----------
    Metropolis, Rosenbluth, Rosenbluth, Teller & Teller 1953.
    """

    beta: float
    n_sweeps: int
    sweeps_per_record: int = 10
    burn_in: float = 0.2
    state_type = Sampling

    def __post_init__(self) -> None:
        beta, burn_in = (
            number("beta", self.beta, at_least=0),
            number("burn_in", self.burn_in, at_least=0, below=1),
        )
        keep(self, beta=beta, burn_in=burn_in)
        self._check()

    def init(self, instance: Instance, rng: np.random.Generator) -> Sampling:
        """A uniformly random configuration, for a walk at this inverse temperature."""
        walk = super().init(instance, rng)
        assert isinstance(walk, Sampling)
        walk.beta = self.beta
        return walk

    def betas(self, first: int, last: int) -> np.ndarray:
        """The one inverse temperature, for every sweep."""
        return np.full(last - first, self.beta)

    def status(self, instance: Instance, state: Sampling) -> Status | None:
        """Runs all sweeps; SOLVED if the last configuration happens to be a solution."""
        if state.beta != self.beta:
            raise reject(
                "state", f"a walk at beta = {state.beta:g}", f"walks at this solver's beta = {self.beta:g}"
            )
        if state.n_sweeps < self.n_sweeps:
            return None
        return Status.SOLVED if state.energy == 0 else Status.COMPLETED

    def weights(self, instance: Instance, state: Walk) -> np.ndarray:
        """The last configuration."""
        return state.weights.copy()

    def observables(self, instance: Instance, state: Walk) -> dict[str, Any]:
        """Averages after the burn-in."""
        kept = np.concatenate(state.record)[int(self.burn_in * state.n_sweeps) :]
        return {
            "mean_energy": blocking(kept[:, 0]),
            "acceptance_rate": float(kept[:, 1].sum() / kept[:, 2].sum()),
        }


@dataclass(frozen=True)
class SimulatedAnnealing(MonteCarlo):
    """Metropolis sweeps at inverse temperatures that rise along a schedule, until a solution is found.

    Parameters
    ----------
    n_sweeps : int
        Sweeps in all, as in `Metropolis`, shared evenly among the temperatures of the schedule.
    schedule : iterable of float
        Inverse temperatures >= 0 in the order of their use; see `physlearn.models.schedules`.
    sweeps_per_record : int
        Sweeps between two records of the trace.

    Notes
    -----
    The weights of the result are those of lowest energy met on the way, the first of them where there are
    several. The number of violated patterns is a rugged energy: from loads far below capacity on (0.3 at
    N = 1001, with the defaults) the walk is trapped before it solves.

    References
    ----------
    Kirkpatrick, Gelatt & Vecchi 1983; for the binary perceptron Horner 1992.
    """

    n_sweeps: int = 1000
    schedule: Iterable[float] = linear(0.2, 3.0, 100)
    sweeps_per_record: int = 10
    state_type = Annealing
    _stops_at_solution = True

    def __post_init__(self) -> None:
        allowed = "inverse temperatures >= 0, at least one"
        schedule = tuple(member("schedule", self.schedule, Iterable, allowed))
        if not schedule:
            raise reject("schedule", schedule, allowed)
        keep(self, schedule=tuple(number("schedule", beta, at_least=0) for beta in schedule))
        self._check()

    def betas(self, first: int, last: int) -> np.ndarray:
        """Sweep t of n runs at entry floor(t len(schedule)/n) of the schedule."""
        schedule = np.array(self.schedule)
        return schedule[np.arange(first, last) * len(schedule) // self.n_sweeps]

    def status(self, instance: Instance, state: Walk) -> Status | None:
        """SOLVED as soon as no pattern is violated, COMPLETED after the last sweep."""
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
        """The configuration of lowest energy."""
        return state.best.copy()

    def observables(self, instance: Instance, state: Walk) -> dict[str, Any]:
        """The acceptance rate over the whole run; zero where nothing had to be proposed."""
        _, accepted, proposals = sum((record.sum(axis=0) for record in state.record), start=np.zeros(3))
        return {"acceptance_rate": float(accepted / max(proposals, 1))}


def _signs(instance: Instance, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arguments of `sweep_signs` for +-1 patterns, up to `masks`."""
    N = instance.N
    sums = instance.labels * products(instance.patterns, weights)
    columns = columns_as_bits(instance.patterns == instance.labels[:, None])
    valid = columns_as_bits(np.ones((instance.P, 1), dtype=bool))
    # 2c - N inside the bounds: c from `first` to `last`. Edges nothing can cross are left out.
    lower, upper = integer_bounds(instance.model.channel.bounds, N)
    first, last = -(-(lower + N) // 2), (upper + N) // 2
    edges = [(v, sign) for v, sign in ((first, 1), (last + 1, -1)) if 1 <= v <= N and first <= last]
    masks = aligned_words(len(edges), columns.shape[1])
    values, signs = np.array(edges, dtype=np.int64).reshape(-1, 2).T.copy()
    planes = counters_as_planes((N + sums.astype(np.int64)) // 2, N.bit_length())
    return columns, planes, valid, values, signs, masks


def _reals(instance: Instance, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arguments of `sweep_reals` for real patterns, up to `bounds`."""
    columns = np.ascontiguousarray((instance.patterns * instance.labels[:, None]).T)
    return columns, weights @ columns, _sum_bounds(instance.model.channel.bounds, instance.N)


def _sum_bounds(bounds: tuple[float, float], N: int) -> np.ndarray:
    """Smallest and largest double whose quotient by sqrt(N) is strictly inside the `bounds`."""
    root, ends = math.sqrt(N), []
    for bound, inward in zip(map(float, bounds), (1, -1), strict=True):
        end = bound * root
        if math.isfinite(end):
            while inward * (end / root - bound) > 0:
                end = math.nextafter(end, -inward * math.inf)
            while inward * (end / root - bound) <= 0:
                end = math.nextafter(end, inward * math.inf)
        ends.append(end)
    return np.array(ends)
