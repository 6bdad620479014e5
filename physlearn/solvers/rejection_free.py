"""Monte Carlo without rejections: the Metropolis dynamics of binary weights, flip by flip."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from physlearn.estimates import Estimate, blocking
from physlearn.inputs import integer, keep, number, reject
from physlearn.kernels.bits import BLOCK, aligned_words, columns_as_bits, counters_as_planes
from physlearn.kernels.patterns import products
from physlearn.kernels.rejection_free import wait_reals, wait_signs
from physlearn.models import Binary, Instance, Model
from physlearn.models.base import integer_bounds
from physlearn.results import Status
from physlearn.solvers.base import Solver, State
from physlearn.solvers.systems import sum_bounds

NEAR = 1.2
"""Typical steps of its sum within which a satisfied real pattern counts from the first: the fastest at beta = 4."""


@dataclass
class Waiting(State):
    """State of a `RejectionFree` run.

    Attributes
    ----------
    weights : ndarray of int8, shape (N,)
    beta : float
        Inverse temperature of the walk.
    counts : ndarray of int64, shape (3,)
        Running energy, flips done, and proposals still to pass before the next event.
    layout : tuple of ndarray
        What the kernel keeps: twice P N/8 bytes of +-1 patterns, 16 P N of real ones.
    n_sweeps : int
    record : list of ndarray, shape (1, 3)
        For each record the sum of the energies after each proposal, flips and proposals.
    """

    weights: np.ndarray
    beta: float
    counts: np.ndarray
    layout: tuple[np.ndarray, ...]
    n_sweeps: int = 0
    record: list[np.ndarray] = field(default_factory=list)

    @property
    def energy(self) -> int:
        """Violated patterns of `weights`."""
        return int(self.counts[0])


@dataclass(frozen=True)
class RejectionFree(Solver):
    """Sampler of the Gibbs measure P(w) ~ e^{-beta E(w)}: the law of `Metropolis`, at the cost of its flips only.

    How many proposals are rejected before the next flip is drawn at once, from their geometric law, and then the
    flip itself. At low temperature, where next to every proposal would be rejected, this is what can be afforded:
    on the development machine a flip takes 0.4 to 0.6 us at beta = 4, N = 1001, alpha = 0.3 to 0.8 (+-1 patterns),
    one of `Metropolis` 5 to 11 us at alpha = 0.3 and above 100 us at 0.5. With real patterns a flip takes 4 to 5 us,
    and 20 us of `Metropolis` at alpha = 0.3. Where more than some two per cent of the proposals are accepted,
    `Metropolis` is the faster one.

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

    Notes
    -----
    The weights of the result are the last configuration: one sample. The observables ``mean_energy`` (an average
    over time, each configuration counting as long as it lasted; its error by blocking the records) and
    ``acceptance_rate`` are taken after the burn-in.

    Sites are sorted into classes of equal energy change as in the n-fold way, but those of large change stay
    together, are proposed at the rate of the smallest change there could be among them, and accepted one by one.
    The n-fold way proper, all classes counted, took 0.7 to 1.2 us a flip in those cases, and 1.3 to 1.7 us with
    energy changes kept up to date from flip to flip instead of added up anew.

    References
    ----------
    theory/monte-carlo/derivation.md (RF.1) to (RF.5); Bortz, Kalos & Lebowitz 1975; for events that are thinned
    out Lewis & Shedler 1979.
    """

    beta: float
    n_sweeps: int
    sweeps_per_record: int = 10
    burn_in: float = 0.2
    state_type = Waiting

    def __post_init__(self) -> None:
        keep(
            self,
            beta=number("beta", self.beta, at_least=0),
            n_sweeps=integer("n_sweeps", self.n_sweeps, at_least=1),
            sweeps_per_record=integer("sweeps_per_record", self.sweeps_per_record, at_least=1),
            burn_in=number("burn_in", self.burn_in, at_least=0, below=1),
        )

    def supports(self, model: Model) -> str | None:
        """None for a single perceptron of binary weights that has an energy, else the sentence why not."""
        if not model.is_single:
            return f"RejectionFree treats single perceptrons, which {type(model).__name__} is not."
        if not isinstance(model.prior, Binary):
            return f"RejectionFree flips weights that are -1 or +1, which those of {model.prior!r} are not."
        return model.energy_refusal and f"RejectionFree needs an energy: {model.energy_refusal}"

    def init(self, instance: Instance, rng: np.random.Generator) -> Waiting:
        """A uniformly random configuration."""
        largest = 2**62 // (max(1, instance.P) * (instance.N | 1))
        if self.sweeps_per_record > largest:
            raise reject("sweeps_per_record", self.sweeps_per_record, f"at most {largest} at this size")
        weights = Binary().sample(instance.N, rng)
        counts = np.array([instance.model.energy(instance, weights), 0, 0], dtype=np.int64)
        prepare = _signs if instance.patterns.dtype == np.int8 else _reals
        return Waiting(instance.fingerprint, weights, self.beta, counts, prepare(instance, weights))

    def sweep(self, instance: Instance, state: Waiting, rng: np.random.Generator) -> Waiting:
        """Sweep up to the next record."""
        kernel = wait_signs if instance.patterns.dtype == np.int8 else wait_reals
        until = min(self.n_sweeps, (state.n_sweeps // self.sweeps_per_record + 1) * self.sweeps_per_record)
        n_proposals = np.array([(until - state.n_sweeps) * (instance.N | 1)], dtype=np.int64)
        record = np.zeros((1, 3), dtype=np.int64)
        kernel(*state.layout, state.weights, state.counts, self.beta, n_proposals, record, rng)
        state.n_sweeps = until
        state.record.append(record)
        return state

    def status(self, instance: Instance, state: Waiting) -> Status | None:
        """Runs all sweeps; SOLVED if the last configuration happens to be a solution."""
        if state.beta != self.beta:
            raise reject(
                "state", f"a walk at beta = {state.beta:g}", f"walks at this solver's beta = {self.beta:g}"
            )
        if state.n_sweeps < self.n_sweeps:
            return None
        return Status.SOLVED if state.energy == 0 else Status.COMPLETED

    def record(self, instance: Instance, state: Waiting) -> dict[str, float]:
        """The energy now; its average over time and the acceptance rate since the last record."""
        energy, accepted, proposals = state.record[-1][0]
        return {
            "energy": state.energy,
            "mean_energy": energy / proposals,
            "acceptance_rate": accepted / proposals,
        }

    def weights(self, instance: Instance, state: Waiting) -> np.ndarray:
        """The last configuration."""
        return state.weights.copy()

    def observables(self, instance: Instance, state: Waiting) -> dict[str, Any]:
        """Averages over time after the burn-in."""
        rows = np.concatenate(state.record)
        kept = rows[int(self.burn_in * len(rows)) :]
        # A last record cut short counts by its length in the mean, and as any other in the error.
        estimate = blocking(kept[:, 0] / kept[:, 2])
        mean = float(kept[:, 0].sum() / kept[:, 2].sum())
        return {
            "mean_energy": Estimate(mean, estimate.error, estimate.n_eff),
            "acceptance_rate": float(kept[:, 1].sum() / kept[:, 2].sum()),
        }


def _signs(instance: Instance, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arguments of `wait_signs` for +-1 patterns, up to `space`."""
    N, P = instance.N, instance.P
    positive = instance.patterns == instance.labels[:, None]
    columns, rows = columns_as_bits(positive), columns_as_bits(positive.T)
    valid, sites = (columns_as_bits(np.ones((n, 1), dtype=bool)) for n in (P, N))
    lower, upper = integer_bounds(instance.model.channel.bounds, N)
    # 2c - N inside the bounds: c from `first` to `last`. Edges nothing can cross are left out.
    first, last = -(-(lower + N) // 2), (upper + N) // 2
    edges = [(v, sign) for v, sign in ((first, 1), (last + 1, -1)) if 1 <= v <= N and first <= last]
    values, signs = np.array(edges, dtype=np.int64).reshape(-1, 2).T.copy()
    masks = aligned_words(len(edges), columns.shape[1])
    sums = instance.labels * products(instance.patterns, weights)
    planes = counters_as_planes((N + sums.astype(np.int64)) // 2, N.bit_length())
    up = columns_as_bits(weights[:, None])[0]
    space = aligned_words(sites.size * max(1, (P * len(edges)).bit_length()))
    assert space.size % BLOCK == 0
    return columns, planes, valid, values, signs, masks, rows, sites[0], up, space


def _reals(instance: Instance, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arguments of `wait_reals` for real patterns, up to `changes`."""
    rows = np.ascontiguousarray(instance.patterns * instance.labels[:, None])
    columns = np.ascontiguousarray(rows.T)
    reach = 2 * np.abs(rows).max(axis=1, initial=0.0)
    near = np.minimum(reach, 2 * NEAR * np.sqrt(np.mean(np.square(rows), axis=1)))
    bounds = sum_bounds(instance.model.channel.bounds, instance.N)
    changes = np.zeros(instance.N, dtype=np.int32)
    return columns, rows, reach, near, bounds, weights @ columns, -2.0 * weights, changes
