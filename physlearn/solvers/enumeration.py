"""Exact enumeration: every configuration of a small number of binary weights."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from physlearn.inputs import reject
from physlearn.kernels.enumeration import (
    cluster_sizes,
    enumerate_reals,
    enumerate_signs,
    enumerate_votes,
    power_by_weight,
    walsh_hadamard,
)
from physlearn.kernels.threads import in_slices
from physlearn.models import Binary, Committee, Instance, Model
from physlearn.models.base import integer_bounds
from physlearn.results import Result, Status
from physlearn.solvers.base import Solver, State

LARGEST = 26
_BLOCK = 13  # configurations are walked in blocks of 2^13, each started from sums of its own
_LANES = 16


@dataclass
class EnumerationState(State):
    """The solutions found, once the only sweep is done.

    Attributes
    ----------
    N : int
    bitmap : ndarray of uint8, 2^N bits (8 MiB at N = 26)
        Bit c % 8 of byte c // 8 is set where configuration c is a solution.
    n_solutions : int
    log_partition : float
        ln of the sum of exp(external.w) over the solutions; of their number without a tether.
    chosen : int or None
        One of the solutions, drawn from the measure on them: uniform without a tether.
    """

    N: int
    bitmap: np.ndarray
    n_solutions: int = 0
    log_partition: float = -math.inf
    chosen: int | None = None
    n_sweeps: int = 0


@dataclass(frozen=True, repr=False)
class EnumerationResult(Result):
    """All solutions of an instance, and what is read off them.

    A configuration is an integer whose bit i is 1 where weight i is +1. Distances are counted in flips: k
    flips are the distance d = k/N and the overlap 1 - 2k/N. Memory beyond the bitmap's 2^N bits is stated
    by each method.
    """

    @property
    def N(self) -> int:
        """The number of weights."""
        return self.state.N

    @cached_property
    def solutions(self) -> np.ndarray:
        """The solutions as ascending uint32 integers, shape (n_solutions,): 4 bytes each."""
        bitmap, chunk = self.state.bitmap, 1 << 17
        found = [np.zeros(0, dtype=np.uint32)]
        for start in range(0, bitmap.size, chunk):
            bits = np.unpackbits(bitmap[start : start + chunk], bitorder="little")
            found.append((np.flatnonzero(bits) + 8 * start).astype(np.uint32))
        return np.concatenate(found)

    def configurations(self, solutions: Any = None) -> np.ndarray:
        """The weights of `solutions` (all of them by default), shape (n, N), -1 and +1."""
        if solutions is None:
            return unpacked(self.solutions, self.N)
        allowed = f"integers from 0 to {(1 << self.N) - 1}, shape (n,)"
        try:
            array = np.asarray(solutions)
        except ValueError:
            raise reject("solutions", solutions, allowed) from None
        numbers = array.size == 0 or array.dtype.kind in "iu"
        if array.ndim != 1 or not numbers or ((array < 0) | (array >= 1 << self.N)).any():
            raise reject("solutions", solutions, allowed)
        return unpacked(array, self.N)

    def distances(self, reference: Any) -> np.ndarray:
        """Number of solutions k flips away from `reference`, shape (N + 1,); 5 bytes a solution.

        Parameters
        ----------
        reference : array_like of -1 and +1, shape (N,)
            A solution, such as `weights`, or any other configuration.
        """
        flips = np.bitwise_count(self.solutions ^ np.uint32(self._integer(reference)))
        return np.bincount(flips, minlength=self.N + 1)

    def local_entropy(self, reference: Any) -> np.ndarray:
        """Logarithm, over N, of `distances(reference)`, shape (N + 1,); -inf where there is no solution."""
        with np.errstate(divide="ignore"):
            return np.log(self.distances(reference)) / self.N

    def overlap_histogram(self) -> np.ndarray:
        r"""Number of ordered pairs of solutions k flips apart, shape (N + 1,), exact.

        Takes 4 x 2^N bytes: 256 MiB at N = 26.

        The autocorrelation theorem, with F the Walsh-Hadamard transform of the solutions' indicator, and the
        Krawtchouk polynomials K_k, the sums of (-1)^(u.v) over all v with k bits, give

        .. math:: n_k = 2^{-N} \sum_{j=0}^{N} K_k(j) \sum_{|u| = j} F(u)^2, \quad
                  \sum_k K_k(j) z^k = (1 - z)^j (1 + z)^{N - j}

        so that one transform is enough. The n_0 = n_solutions pairs of a solution with itself are included.
        """
        N = self.N
        values = np.unpackbits(self.state.bitmap, bitorder="little", count=1 << N).astype(np.int32)
        walsh_hadamard(values)
        power = np.zeros(N + 1, dtype=np.int64)
        power_by_weight(values, power)
        pairs = [0] * (N + 1)
        for j, weight in enumerate(power.tolist()):
            for k, coefficient in enumerate(_krawtchouk(N, j)):
                pairs[k] += coefficient * weight
        return np.array([count >> N for count in pairs], dtype=np.int64)

    def clusters(self) -> np.ndarray:
        """Sizes of the clusters of solutions that single flips connect, largest first; 8 bytes a solution."""
        solutions = self.solutions
        stack, sizes = np.empty_like(solutions), np.empty_like(solutions)
        n_clusters = cluster_sizes(self.state.bitmap.copy(), solutions, self.N, stack, sizes)
        return np.sort(sizes[:n_clusters])[::-1].astype(np.int64)

    def _integer(self, reference: Any) -> int:
        reference = np.asarray(reference)
        if reference.shape != (self.N,) or not np.isin(reference, (-1, 1)).all():
            raise reject("reference", reference, f"{self.N} weights -1 and +1")
        return int(np.sum((reference > 0).astype(np.int64) << np.arange(self.N)))


@dataclass(frozen=True)
class Enumeration(Solver):
    """All 2^N configurations of N <= 26 binary weights, in Gray-code order: every solution, exactly.

    The only sweep walks them all, each flip adding one column to the P sums: N = 26, P = 20 takes less than
    a second. A constraint is decided as by `Model.energy`: for +-1 patterns in integers, for real ones by
    `Model.energy` itself wherever rounding could matter.

    Notes
    -----
    The status is SOLVED, or UNSATISFIABLE where no configuration is a solution (the result then has no
    weights). The weights are a solution drawn uniformly; of a tethered instance, with probability
    ~ exp(external.w). Observables: ``n_solutions``, ``satisfiable`` (1 or 0), ``entropy``, ln(n_solutions)/N, and with
    a tether ``free_entropy``, the logarithm of the sum of exp(external.w) over the solutions, over N; both are NaN
    where the status is UNSATISFIABLE. The result is an `EnumerationResult`.
    """

    takes_external = True
    state_type = EnumerationState
    result_type = EnumerationResult

    def supports(self, model: Model) -> str | None:
        if not (model.is_single or isinstance(model, Committee)):
            return f"Enumeration treats perceptrons and committees, and {type(model).__name__} is neither."
        if not isinstance(model.prior, Binary):
            return f"Enumeration needs binary weights; {type(model).__name__} has the prior {model.prior!r}."
        return model.energy_refusal and f"Enumeration counts zeros of the energy: {model.energy_refusal}"

    def init(self, instance: Instance, rng: np.random.Generator) -> EnumerationState:
        if instance.N > LARGEST:
            raise reject("N", instance.N, f"at most {LARGEST} weights for Enumeration, which visits all 2^N")
        return EnumerationState(
            instance.fingerprint, instance.N, np.zeros(max(8, (1 << instance.N) // 8), dtype=np.uint8)
        )

    def sweep(
        self, instance: Instance, state: EnumerationState, rng: np.random.Generator
    ) -> EnumerationState:
        if isinstance(instance.model, Committee):
            _mark_votes(instance, state.bitmap)
        elif instance.patterns.dtype == np.int8:
            _mark_signs(instance, state.bitmap)
        else:
            _mark_reals(instance, state.bitmap)
        counts = np.cumsum(np.bitwise_count(state.bitmap.view(np.uint64)), dtype=np.int64)
        state.n_sweeps, state.n_solutions = 1, int(counts[-1])
        if state.n_solutions and instance.external is not None:
            state.log_partition, state.chosen = _tilted(state.bitmap, instance.external, rng)
        elif state.n_solutions:
            state.log_partition = math.log(state.n_solutions)
            rank = int(rng.integers(state.n_solutions))
            word = int(np.searchsorted(counts, rank, side="right"))
            before = int(counts[word - 1]) if word else 0
            state.chosen = 64 * word + int(_in_word(state.bitmap, word)[rank - before])
        return state

    def status(self, instance: Instance, state: EnumerationState) -> Status | None:
        if state.n_sweeps == 0:
            return None
        return Status.SOLVED if state.n_solutions else Status.UNSATISFIABLE

    def record(self, instance: Instance, state: EnumerationState) -> dict[str, float]:
        return {"n_solutions": state.n_solutions}

    def weights(self, instance: Instance, state: EnumerationState) -> np.ndarray | None:
        return None if state.chosen is None else unpacked([state.chosen], instance.N)[0]

    def observables(self, instance: Instance, state: EnumerationState) -> dict[str, Any]:
        n = state.n_solutions
        entropy = math.log(n) / instance.N if n else math.nan
        observables = {"n_solutions": n, "satisfiable": int(n > 0), "entropy": entropy}
        if instance.external is not None:
            observables["free_entropy"] = state.log_partition / instance.N if n else math.nan
        return observables


def unpacked(configurations: Any, N: int) -> np.ndarray:
    """Integers, shape (n,), as weights -1 and +1, int8 of shape (n, N): weight i is +1 where bit i is 1."""
    bits = np.asarray(configurations, dtype=np.uint32)[:, None] >> np.arange(N, dtype=np.uint32) & 1
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)


def _in_word(bitmap: np.ndarray, word: int) -> np.ndarray:
    """The bits set in one of the bitmap's 64-bit words."""
    return np.flatnonzero(np.unpackbits(bitmap[8 * word : 8 * word + 8], bitorder="little"))


def _tilted(bitmap: np.ndarray, external: np.ndarray, rng: np.random.Generator) -> tuple[float, int]:
    """ln of the sum of exp(external.w) over the solutions, and one of them drawn with these weights.

    Maximum of the exponent plus a Gumbel variable, chunk by chunk: one pass, and no memory for all solutions.
    """
    total, best, chosen, chunk = -math.inf, -math.inf, -1, 1 << 15
    for start in range(0, bitmap.size, chunk):
        found = np.flatnonzero(np.unpackbits(bitmap[start : start + chunk], bitorder="little")) + 8 * start
        if found.size:
            exponents = unpacked(found, len(external)) @ external
            total = float(np.logaddexp(total, np.logaddexp.reduce(exponents)))
            scores = exponents + rng.gumbel(size=found.size)
            if scores.max() > best:
                best, chosen = float(scores.max()), int(found[scores.argmax()])
    return total, chosen


def _mark_signs(instance: Instance, bitmap: np.ndarray) -> None:
    N, P = instance.N, instance.P
    lowest, highest = integer_bounds(instance.model.channel.bounds, N) if P else (0, 0)
    if lowest > highest:
        return
    # A repeated pattern changes nothing, and whole vector registers are faster.
    repeated = np.minimum(np.arange(-(-P // _LANES) * _LANES), P - 1)
    gauged = np.ascontiguousarray(instance.gauged[repeated].T) if P else np.empty((N, 0), dtype=np.int8)
    low = min(N, _BLOCK)

    def work(first: int, last: int) -> None:
        enumerate_signs(gauged, lowest, highest - lowest, low, bitmap, first, last)

    in_slices(work, 1 << (N - low))


def _mark_reals(instance: Instance, bitmap: np.ndarray) -> None:
    N, (lower, upper) = instance.N, instance.model.channel.bounds
    gauged = np.ascontiguousarray(instance.gauged.T) / math.sqrt(N)
    # Some 2^13 additions to a running sum, each with half an ulp of at most the largest sum there can be.
    doubt = 2.0**_BLOCK * np.finfo(float).eps * float(np.abs(gauged).sum(axis=0).max(initial=0.0))
    doubtful, low = np.zeros_like(bitmap), min(N, _BLOCK)

    def work(first: int, last: int) -> None:
        enumerate_reals(gauged, lower, upper, doubt, low, bitmap, doubtful, first, last)

    in_slices(work, 1 << (N - low))
    _decide(instance, bitmap, doubtful)


def _mark_votes(instance: Instance, bitmap: np.ndarray) -> None:
    N, K = instance.N, instance.model.n_hidden
    gauged = np.ascontiguousarray(np.tile(instance.gauged, N // instance.n_inputs).T, dtype=np.float64)
    exact = instance.patterns.dtype == np.int8
    doubt = (
        0.0
        if exact
        else 2.0**_BLOCK * np.finfo(float).eps * float(np.abs(gauged).sum(axis=0).max(initial=0.0))
    )
    doubtful, low = np.zeros_like(bitmap), min(N, _BLOCK)

    def work(first: int, last: int) -> None:
        enumerate_votes(gauged, K, doubt, low, bitmap, doubtful, first, last)

    in_slices(work, 1 << (N - low))
    _decide(instance, bitmap, doubtful)


def _decide(instance: Instance, bitmap: np.ndarray, doubtful: np.ndarray) -> None:
    """Mark the solutions among the doubtful configurations, by the energy itself."""
    for byte in np.flatnonzero(doubtful):
        for bit in np.flatnonzero(np.unpackbits(doubtful[byte], bitorder="little")):
            if instance.model.energy(instance, unpacked([8 * byte + bit], instance.N)[0]) == 0:
                bitmap[byte] |= np.uint8(1 << bit)


def _krawtchouk(N: int, j: int) -> list[int]:
    """Coefficients of z^k, k = 0 ... N, in (1 - z)^j (1 + z)^(N - j)."""
    coefficients = [1]
    for sign in [-1] * j + [1] * (N - j):
        coefficients = [a + sign * b for a, b in zip([*coefficients, 0], [0, *coefficients], strict=True)]
    return coefficients
