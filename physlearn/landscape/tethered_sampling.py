"""Monte Carlo in the tethered ensemble: the local entropy by thermodynamic integration over the field."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from physlearn.estimates import Estimate, blocking
from physlearn.inputs import integer, keep, number, reject
from physlearn.kernels.metropolis import ALIGNMENT, ENERGY, ERRORS, SWEEPS
from physlearn.landscape.base import LocalEntropy, LocalEntropyMethod, binary_refusal
from physlearn.models import Instance, Linear, Model, Tethered
from physlearn.models.schedules import linear
from physlearn.results import Status
from physlearn.solvers import ThermodynamicIntegration, solve
from physlearn.solvers.monte_carlo import Walk
from physlearn.solvers.thermodynamic_integration import (
    FEWEST,
    LARGEST_Z,
    AlignedWalk,
    ThermodynamicIntegrationResult,
)

# Without any field a walk would leave no trace of where it is; this one does nothing else.
_FAINT = 1e-9
_STEPS = 20  # of the temperature, before a walk's first field
_ENDLESS = 10**15  # sweeps of a walk that ends when it is left
_FEWEST_FIELDS = 5
# Of the logarithm of the fraction of solutions: beyond it, they were met by chance.
_LARGEST_ERROR = 1.0


class Node(NamedTuple):
    """What one walk has seen at one field: its overlap S, its energy, whether it was at a solution, and S there."""

    overlap: Estimate
    energy: Estimate
    solutions: Estimate
    overlap_of_solutions: Estimate


@dataclass(frozen=True)
class TetheredSampling(LocalEntropyMethod):
    r"""Metropolis walks in the measure ~ exp(-beta E(w) + gamma w'.w), integrated over the field gamma.

    E is the energy `Linear`, along which walks reach solutions of a thousand weights where with `Errors` they are
    caught before.

    .. math:: \phi(\gamma) = \phi(\gamma_0) + \int_{\gamma_0}^\gamma S(\gamma') d\gamma' + \frac1N \ln p_0(\gamma),
              \quad s(d) = \min_\gamma [\phi(\gamma) - \gamma (1 - 2 d)]

    S is the mean overlap with the reference, p_0 the fraction of time at solutions, E = 0, which takes beta to
    infinity, and phi(gamma_0) comes from `ThermodynamicIntegration` over beta at the smallest field. Two walks visit
    the fields, one upwards and one downwards, each cooled at its first.

    Parameters
    ----------
    stiffness : float
        beta/sqrt N: what a pattern of -1 and +1 that is violated by the least costs in the exponent. As high as the
        walks still move, so that they meet solutions: 1 does to load 0.3, and 1.25 to 0.5.
    sweeps_per_node : int
        Of each walk at each field.
    fields : iterable of float
        Rising, five at least: they bracket the distances.
    anchor_sweeps : int
        Sweeps per node of the integration over beta.
    anchor_nodes : int
        Odd.
    burn_in : float
        Fraction of the sweeps left out at each node.

    Notes
    -----
    A field counts where both walks agree, within five standard errors and with ten effective samples each, in S, in the
    energy and in the integral, at it and at all fields before, and where solutions were met often enough for an error
    of ln p_0 below 1. Distances that such fields bracket are CONVERGED. Others are NaN: NOT_EQUILIBRATED where the
    walks disagree or meet no solution, OUT_OF_RANGE where they agree but the fields do not reach. Observables:
    ``disagreement``, the largest one in standard errors, ``solutions``, the smallest p_0, and ``field_equilibrated``,
    the largest field that counts, NaN if none does.

    References
    ----------
    theory/local-entropy/derivation.md (ME.5)-(ME.7).
    """

    stiffness: float = 1.0
    sweeps_per_node: int = 20_000
    fields: Iterable[float] = linear(0.0, 1.0, 11)
    anchor_sweeps: int = 2000
    anchor_nodes: int = 33
    burn_in: float = 0.2

    def __post_init__(self) -> None:
        anchor = ThermodynamicIntegration(1.0, self.anchor_sweeps, self.anchor_nodes)
        keep(
            self,
            stiffness=number("stiffness", self.stiffness, above=0, at_most=1e3),
            anchor_sweeps=anchor.sweeps_per_node,
            anchor_nodes=anchor.n_nodes,
            sweeps_per_node=integer("sweeps_per_node", self.sweeps_per_node, at_least=100, at_most=10**7),
            fields=_rising(self.fields),
            burn_in=number("burn_in", self.burn_in, at_least=0, below=1),
        )

    def _beta(self, instance: Instance) -> float:
        return self.stiffness * math.sqrt(instance.N)

    def supports(self, model: Model) -> str | None:
        return binary_refusal("TetheredSampling", model)

    def at_distances(
        self, instance: Instance, reference: Any, distances: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        path = self._path(instance, reference, np.array(tuple(self.fields)), rng)
        n = len(distances)
        entropies, errors, fields = np.full((3, n), math.nan)
        statuses = [Status.NOT_EQUILIBRATED] * n
        if path.n_sound:
            reached = path.n_sound == len(path.fields)
            for k, d in enumerate(distances):
                where = path.field_at(1 - 2 * d)
                if where is not None:
                    fields[k], statuses[k] = where, Status.CONVERGED
                    entropies[k] = path.phi(where) - where * (1 - 2 * d)
                    errors[k] = np.interp(where, path.fields[: path.n_sound], path.errors)
                elif reached or 1 - 2 * d < path.overlaps[0]:
                    statuses[k] = Status.OUT_OF_RANGE
        return LocalEntropy(distances, entropies, errors, fields, tuple(statuses), path.observables)

    def at_fields(
        self, instance: Instance, reference: Any, fields: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        path = self._path(instance, reference, np.array(_rising(fields)), rng)
        distances, entropies, errors = np.full((3, len(fields)), math.nan)
        n = path.n_sound
        if n:
            S, dS = np.array([(item.mean, item.error) for item in path.seen[:n]]).T
            distances[:n] = (1 - S) / 2
            entropies[:n] = path.values - fields[:n] * S
            errors[:n] = np.hypot(path.errors, fields[:n] * dS)
        statuses = (Status.CONVERGED,) * n + (Status.NOT_EQUILIBRATED,) * (len(fields) - n)
        return LocalEntropy(distances, entropies, errors, fields, statuses, path.observables)

    def _path(
        self, instance: Instance, reference: np.ndarray, fields: np.ndarray, rng: np.random.Generator
    ) -> "_Path":
        """The anchor and both walks."""
        recipe = ThermodynamicIntegration(
            self._beta(instance), self.anchor_sweeps, self.anchor_nodes, energy=Linear()
        )
        anchor = solve(Tethered(instance, reference, fields[0]), recipe, rng)
        assert isinstance(anchor, ThermodynamicIntegrationResult)
        start = anchor.free_entropies[-1]
        up = self._walk(instance, reference, fields, rng) if anchor.is_equilibrated else []
        down = self._walk(instance, reference, fields[::-1], rng)[::-1] if up else []
        return _Path(instance.N, fields, start, up, down)

    def _walk(
        self, instance: Instance, reference: np.ndarray, fields: np.ndarray, rng: np.random.Generator
    ) -> list[Node]:
        """One walk through all fields, cooled at the first."""
        n, largest = self.sweeps_per_node, self._beta(instance)
        tethered = _tethered(instance, reference, fields[0])
        walk: Walk = _walker(0.0, 1).init(tethered, rng)
        for beta in np.linspace(0, largest, _STEPS + 1)[1:]:
            walk = _walker(float(beta), max(1, n // _STEPS)).sweep(tethered, walk, rng)
            walk.steps.clear()
        walk.counts[SWEEPS], nodes = 0, []  # so that each node has all of its sweeps
        for value in fields:
            tethered = _tethered(instance, reference, value)
            walk = _walker(largest, n).sweep(tethered, walk, rng)
            nodes.append(_node(walk.steps.pop()[int(self.burn_in * n) :], instance.N, tethered.field))
        return nodes


def _walker(beta: float, n_sweeps: int) -> AlignedWalk:
    """A recipe of so many sweeps from any walk's last record."""
    return AlignedWalk(beta, _ENDLESS, n_sweeps, energy=Linear())


def _rising(fields: Any) -> tuple[float, ...]:
    values = tuple(number("fields", value) for value in fields)
    if len(values) < _FEWEST_FIELDS or not (np.diff(values) > 0).all():
        raise reject("fields", values, f"at least {_FEWEST_FIELDS} numbers, each above the one before")
    return values


def _tethered(instance: Instance, reference: np.ndarray, field_: float) -> Tethered:
    return Tethered(instance, reference, field_ if abs(field_) > _FAINT else _FAINT)


def _node(steps: np.ndarray, N: int, field_: float) -> Node:
    overlaps, solved = steps[:, ALIGNMENT] / (field_ * N), steps[:, ERRORS] == 0
    fraction = blocking(solved)
    S0 = float(overlaps[solved].mean()) if solved.any() else math.nan
    # A quotient of means, to first order in their errors.
    spread = blocking(solved * (overlaps - S0)) if solved.any() else Estimate(math.nan, math.nan, 0.0)
    error = spread.error / fraction.mean if solved.any() and np.ptp(overlaps[solved]) > 0 else 0.0
    return Node(blocking(overlaps), blocking(steps[:, ENERGY]), fraction, Estimate(S0, error, fraction.n_eff))


class _Path:
    """The free entropy of the solutions along the fields, as far as both walks agree.

    Attributes
    ----------
    n_sound : int
        Fields that count, from the first on; zero where there are too few for an integral.
    values, errors : ndarray, shape (n_sound,)
        phi of the solutions, with its errors.
    seen : list of Estimate
        Mean overlap of the solutions at each field.
    """

    def __init__(self, N: int, fields: np.ndarray, start: Estimate, up: list[Node], down: list[Node]) -> None:
        self.N, self.fields = N, fields
        pairs = list(zip(up, down, strict=True))
        largest = [max(_apart(a.overlap, b.overlap), _apart(a.energy, b.energy)) for a, b in pairs]
        self.fractions = [_mean(a.solutions, b.solutions) for a, b in pairs]
        self.seen = [_weighted(a, b) for a, b in pairs]
        sound = [
            z <= LARGEST_Z and p.mean > 0 and p.error < _LARGEST_ERROR * p.mean
            for z, p in zip(largest, self.fractions, strict=True)
        ]
        n = int(np.logical_and.accumulate(sound).sum()) if sound else 0
        self.n_sound, apart = 0, 0.0 if pairs else math.inf
        if n >= _FEWEST_FIELDS:
            apart = self._integrate(start, pairs[:n])
            self.n_sound = n if apart <= LARGEST_Z else 0
        # The smallest fraction is that of the fields which count, or of all if none does.
        shown = self.fractions[: self.n_sound] or self.fractions
        self.observables = {
            "disagreement": float(max([*largest[: self.n_sound or None], apart])),
            "solutions": min((p.mean for p in shown), default=0.0),
            "field_equilibrated": float(fields[self.n_sound - 1]) if self.n_sound else math.nan,
        }

    def _integrate(self, start: Estimate, pairs: list[tuple[Node, Node]]) -> float:
        """phi at the fields (ME.5), (ME.6); returns how far the integrals of the two walks are apart."""
        n = len(pairs)
        full, half = integrals(self.fields[:n]), integrals(self.fields[:n], 2)
        S = np.array([[item.overlap.mean for item in pair] for pair in pairs])
        variance = np.array([[item.overlap.error**2 for item in pair] for pair in pairs])
        quadrature = np.abs((full - half) @ S.mean(axis=1))
        noise = np.sqrt((full - half) ** 2 @ variance.sum(axis=1) / 4)
        logs = np.array([math.log(p.mean) for p in self.fractions[:n]])
        of_logs = np.array([p.error / p.mean for p in self.fractions[:n]])
        self.values = start.mean + full @ S.mean(axis=1) + logs / self.N
        statistical = full**2 @ variance.sum(axis=1) / 4 + (of_logs / self.N) ** 2 + start.error**2
        self.errors = np.sqrt(statistical + np.maximum(quadrature - noise, 0) ** 2)
        from scipy.interpolate import CubicSpline

        self.phi = CubicSpline(self.fields[:n], self.values)
        self.overlaps = self.phi(self.fields[:n], 1)
        last = full[-1]
        return _ratio(float(last @ (S[:, 0] - S[:, 1])), math.sqrt(float(last**2 @ variance.sum(axis=1))))

    def field_at(self, overlap: float) -> float | None:
        """Where phi - gamma S is smallest, if that is between the fields that count."""
        fields = self.fields[: self.n_sound]
        if not self.overlaps[0] <= overlap <= self.overlaps[-1]:
            return None
        grid = np.linspace(fields[0], fields[-1], 2001)
        return float(grid[np.argmin(self.phi(grid) - grid * overlap)])


def integrals(fields: np.ndarray, step: int = 1) -> np.ndarray:
    """Integrals from the first of the fields to each, as linear functions of the values there, shape (n, n).

    By a cubic spline, with `step` = 2 through every second value and the last.
    """
    from scipy.interpolate import CubicSpline

    n = len(fields)
    chosen = np.unique([*range(0, n, step), n - 1])
    spline = CubicSpline(fields[chosen], np.eye(n)[chosen]).antiderivative()
    return spline(fields) - spline(fields[0])


def _mean(a: Estimate, b: Estimate) -> Estimate:
    """Of two walks; one that met none or nothing else has an error that only the other tells."""
    errors = [item.error for item in (a, b) if math.isfinite(item.error)]
    if a.mean == b.mean == 1:
        return Estimate(1.0, 0.0, a.n_eff + b.n_eff)
    error = math.hypot(*errors) / 2 if errors else math.inf
    return Estimate(
        (a.mean + b.mean) / 2, max(error, abs(a.mean - b.mean) / 2 / LARGEST_Z), a.n_eff + b.n_eff
    )


def _weighted(a: Node, b: Node) -> Estimate:
    """Mean overlap of the solutions that both walks have met, by the time spent there."""
    parts = [item for item in (a, b) if item.solutions.mean > 0]
    weights = np.array([item.solutions.mean for item in parts])
    if not parts:
        return Estimate(math.nan, math.nan, 0.0)
    weights = weights / weights.sum()
    means, errors, n_eff = np.array([tuple(vars(p.overlap_of_solutions).values()) for p in parts]).T
    return Estimate(float(weights @ means), float(np.hypot.reduce(weights * errors)), float(n_eff.sum()))


def _apart(a: Estimate, b: Estimate) -> float:
    """Difference in standard errors; infinite where one of them is not known."""
    if not all(item.n_eff >= FEWEST for item in (a, b)):
        return math.inf
    return _ratio(a.mean - b.mean, math.hypot(a.error, b.error))


def _ratio(difference: float, error: float) -> float:
    if difference == 0:
        return 0.0
    return abs(difference) / error if error > 0 else math.inf
