"""Belief propagation with a tether: the local entropy by Bethe's free entropy and a Legendre transform."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import choice, integer, keep, number
from physlearn.landscape.base import LocalEntropy, LocalEntropyMethod, binary_refusal
from physlearn.models import Instance, Model, Tethered
from physlearn.results import Result, Status
from physlearn.solvers import BeliefPropagation, solve
from physlearn.solvers.belief_propagation import MESSAGES

# ln of a number of solutions below which Bethe counts none: beyond what it leaves out, unlike in `BeliefPropagation`.
_NONE = -2.0
_MOST_TRIALS = 40
_AT_REFERENCE = 1e-12
# Fields between the last fixed point of a branch and none, beyond which one does not look for its end.
_NARROW = 1e-3


@dataclass(frozen=True)
class Bethe(LocalEntropyMethod):
    r"""Belief propagation on the instance tethered to the reference, at the field that gives the distance.

    .. math:: s(d) = \phi_{Bethe}(\gamma) - \gamma S(\gamma), \quad S(\gamma) = \frac1N w' \cdot m(\gamma) = 1 - 2 d

    Distances are visited from the largest to the smallest, each from the messages of the one before: this follows the
    branch of many solutions also where the reference, alone, outweighs it.

    Parameters
    ----------
    messages : {"gaussian", "exact"}
    n_iterations : int
        Sweeps at most, at each field.
    tolerance : float
        Of the messages.
    damping : float
    precision : float
        Relative error of 1 - 2 d and of 2 d at which a field is taken; what is left is corrected to second order.

    Notes
    -----
    CONVERGED, or UNPHYSICAL where fewer than exp(-2) solutions are counted; NOT_CONVERGED, with NaN, where no fixed
    point of that distance is found: the branch ends there. The error is zero: what Bethe leaves out, of order 1/N, is
    not known to it.

    References
    ----------
    theory/local-entropy/derivation.md (ME.2)-(ME.4); theory/belief-propagation/derivation.md (BP.7)-(BP.9).
    """

    messages: str = "gaussian"
    n_iterations: int = 1000
    tolerance: float = 1e-6
    damping: float = 0.0
    precision: float = 1e-3

    def __post_init__(self) -> None:
        solver = self._solver
        keep(
            self,
            messages=choice("messages", self.messages, MESSAGES),
            n_iterations=integer("n_iterations", solver.n_iterations, at_least=1),
            tolerance=solver.tolerance,
            damping=solver.damping,
            precision=number("precision", self.precision, above=0, at_most=0.1),
        )

    @property
    def _solver(self) -> BeliefPropagation:
        return BeliefPropagation(
            self.messages, n_iterations=self.n_iterations, tolerance=self.tolerance, damping=self.damping
        )

    def supports(self, model: Model) -> str | None:
        return binary_refusal("Bethe", model) or self._solver.supports(model)

    def at_distances(
        self, instance: Instance, reference: Any, distances: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        points = np.full((3, len(distances)), math.nan)  # entropy, field, distance
        statuses = [Status.NOT_CONVERGED] * len(distances)
        branch = _Branch(instance, reference, self._solver, rng)
        guess = 0.0
        for k in np.argsort(-distances):
            found = branch.at(float(distances[k]), guess, self.precision)
            if found is None:
                continue
            statuses[k], points[:, k] = found[0], found[1:]
            guess = found[2]
        return LocalEntropy(
            distances, points[0], np.where(np.isnan(points[0]), math.nan, 0.0), points[1], tuple(statuses)
        )

    def at_fields(
        self, instance: Instance, reference: Any, fields: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        points = np.full((2, len(fields)), math.nan)
        statuses = [Status.NOT_CONVERGED] * len(fields)
        branch = _Branch(instance, reference, self._solver, rng)
        for k in np.argsort(fields):
            result = branch.solve(float(fields[k]))
            if result is not None:
                points[:, k] = result.distance, result.entropy
                statuses[k] = _status(instance, result.entropy)
        errors = np.where(np.isnan(points[1]), math.nan, 0.0)
        return LocalEntropy(points[0], points[1], errors, fields, tuple(statuses))


class _Branch:
    """Fixed points along growing fields, each from the messages of the last one that was found."""

    def __init__(
        self, instance: Instance, reference: np.ndarray, solver: BeliefPropagation, rng: np.random.Generator
    ) -> None:
        self.instance, self.reference, self.solver, self.rng = instance, reference, solver, rng
        self.state: Any = None
        self.field = 0.0

    def solve(self, field: float) -> Result | None:
        """The fixed point at a field; None where there is none, and the messages stay what they were."""
        tethered, state = Tethered(self.instance, self.reference, field), None
        if self.state is not None:
            state = dataclasses.replace(
                self.state,
                fingerprint=tethered.fingerprint,
                messages=self.state.messages.copy(),
                field=self.state.field + (field - self.field) * self.reference,
                residual=math.inf,
                n_sweeps=0,
            )
        result = solve(tethered, self.solver, self.rng, state=state)
        if result.status not in (Status.CONVERGED, Status.UNPHYSICAL) or not math.isfinite(result.entropy):
            return None
        self.state, self.field = result.state, field
        return result

    def at(
        self, distance: float, field: float, precision: float
    ) -> tuple[Status, float, float, float] | None:
        """Status, entropy and field at a distance, found between fields that give a larger and a smaller one.

        S grows with the field, and atanh S linearly where there are no patterns: regula falsi with halved ends
        (Illinois). What lies beyond the goal is left again, since the branch may have ended on the way there.
        """
        goal = math.atanh(1 - 2 * distance)
        ends: dict[bool, tuple[float, float]] = {}
        step, last = 0.1, None
        for _ in range(_MOST_TRIALS):
            before = self.state, self.field
            result = self.solve(field)
            # At zero distance messages have run to the reference itself.
            off = math.inf
            if result is not None and result.distance > _AT_REFERENCE:
                off = math.atanh(1 - 2 * min(result.distance, 1 - _AT_REFERENCE)) - goal
            if result is not None and abs(off) < precision:
                entropy = float(result.entropy) - 2 * field * (result.distance - distance)
                return _status(self.instance, entropy), entropy, field, distance
            beyond = off > 0
            if beyond:
                self.state, self.field = before
            if last is beyond and (not beyond) in ends:
                ends[not beyond] = (ends[not beyond][0], ends[not beyond][1] / 2)
            ends[beyond], last = (field, off), beyond
            if len(ends) == 2:
                (low, below), (high, above) = ends[False], ends[True]
                if high - low < (1e-9 if math.isfinite(above) else _NARROW):
                    return None
                share = below / (below - above) if math.isfinite(above) else 0.5
                field = low + (high - low) * min(max(share, 0.02), 0.98)
            else:
                field += -step if beyond else min(max(-off, 1e-3), 0.3)
                step *= 2
        return None


def _status(instance: Instance, entropy: float) -> Status:
    return Status.UNPHYSICAL if instance.N * entropy < _NONE else Status.CONVERGED
