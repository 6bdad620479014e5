"""The replicated measure: the entropy around the densest places, which the replicas find themselves."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import choice, integer, keep, number
from physlearn.landscape.base import LocalEntropy, LocalEntropyMethod, binary_refusal
from physlearn.models import Instance, Model, Scoping
from physlearn.models.schedules import linear
from physlearn.results import Status
from physlearn.solvers import FocusingBP
from physlearn.solvers.base import sweeps
from physlearn.solvers.belief_propagation import MESSAGES
from physlearn.solvers.focusing import FocusingState, focused
from physlearn.solvers.messages import log_2cosh


@dataclass(frozen=True)
class Focused(LocalEntropyMethod):
    r"""Local entropy of y replicas around a common centre, along their coupling gamma (focusing BP).

    The centre is drawn, or for infinitely many replicas chosen, with as many solutions around it as there are: this is
    not the entropy around a given reference, but the large deviation that `physlearn.meanfield.replicated_entropy` is
    the theory of, in the limit of many. Distances are those between two replicas,

    .. math:: d = \frac{1 - q_1}2, \quad
              q_1 = \frac1N \sum_i \sum_{c = \pm 1} p_i(c) \tanh^2(h_i + \gamma c)

    Parameters
    ----------
    n_replicas : float
        y >= 2, or `math.inf`, where signs that flip may keep messages from converging.
    couplings : iterable of float
        The values of gamma, rising from zero: the finer, the nearer the curve between two of them.
    messages : {"gaussian", "exact"}
    n_iterations, tolerance, damping : int, float, float
        Of the messages at each coupling.

    Notes
    -----
    Couplings at which the messages have not converged are left out. CONVERGED between two that have; OUT_OF_RANGE, with
    NaN, at distances that they do not bracket, and NOT_CONVERGED everywhere where fewer than two have. Needs no
    reference. The errors are zero, as in `Bethe`.

    References
    ----------
    theory/belief-propagation/derivation.md (BP.11)-(BP.15); theory/local-entropy/derivation.md (ME.10); Baldassi,
    Borgs, Chayes, Ingrosso, Lucibello, Saglietti & Zecchina 2016.
    """

    needs_reference = False

    n_replicas: float = 100.0
    couplings: Iterable[float] = linear(0.0, 1.5, 31)
    messages: str = "gaussian"
    n_iterations: int = 300
    tolerance: float = 1e-3
    damping: float = 0.5

    def __post_init__(self) -> None:
        keep(
            self,
            couplings=Scoping(self.n_replicas, self.couplings).couplings,
            messages=choice("messages", self.messages, MESSAGES),
            n_iterations=integer("n_iterations", self.n_iterations, at_least=2),
            tolerance=number("tolerance", self.tolerance, above=0),
            damping=number("damping", self.damping, at_least=0, below=1),
        )

    @property
    def _solver(self) -> FocusingBP:
        return FocusingBP(
            Scoping(self.n_replicas, self.couplings),
            messages=self.messages,
            n_iterations=self.n_iterations,
            tolerance=self.tolerance,
            damping=self.damping,
            stop=False,
            local_entropy=False,
        )

    def supports(self, model: Model) -> str | None:
        return binary_refusal("Focused", model) or self._solver.supports(model)

    def at_distances(
        self, instance: Instance, reference: Any, distances: np.ndarray, rng: np.random.Generator
    ) -> LocalEntropy:
        from scipy.interpolate import PchipInterpolator

        solver, rows = self._solver, []
        for state, _ in sweeps(instance, solver, rng):
            coupling, n_replicas = state.steps[-1]
            if not state.reached or state.diverged:
                continue
            value = focused(instance, state, self.messages, coupling, n_replicas)["local_entropy"]
            rows.append((pair_distance(state, coupling, n_replicas), value, coupling))
        d, s, gamma = np.array(rows).reshape(-1, 3).T
        # From the largest distance on, for as long as the replicas come nearer.
        n = int(np.logical_and.accumulate(np.r_[True, np.diff(d) < -1e-12]).sum()) if d.size else 0
        d, s, gamma = d[:n][::-1], s[:n][::-1], gamma[:n][::-1]
        statuses = [Status.OUT_OF_RANGE if n > 1 else Status.NOT_CONVERGED] * len(distances)
        entropies, fields = np.full((2, len(distances)), math.nan)
        if n > 1:
            inside = (distances >= d[0]) & (distances <= d[-1])
            entropies[inside] = PchipInterpolator(d, s)(distances[inside])
            fields[inside] = np.interp(distances[inside], d, gamma)
            for k in np.flatnonzero(inside):
                statuses[k] = Status.CONVERGED
        errors = np.where(np.isfinite(entropies), 0.0, math.nan)
        return LocalEntropy(distances, entropies, errors, fields, tuple(statuses))


def pair_distance(state: FocusingState, coupling: float, n_replicas: float) -> float:
    """Distance between two replicas: given the centre they are independent (ME.10)."""
    field = state.field - state.pull
    if math.isinf(n_replicas):
        centre = np.sign(field)
    else:
        centre = np.tanh(n_replicas * (log_2cosh(field + coupling) - log_2cosh(field - coupling)) / 2)
    overlap = 0.0
    for sign in (1, -1):
        overlap += float((1 + sign * centre) / 2 @ np.tanh(field + sign * coupling) ** 2)
    return (1 - overlap / len(field)) / 2
