"""Thermodynamic integration: entropies from the mean energies of Monte Carlo runs."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.estimates import Estimate, autocorrelation_time, blocking
from physlearn.inputs import integer, keep, number, reject
from physlearn.kernels.metropolis import ALIGNMENT, ENERGY
from physlearn.models import Instance, Model, Replicated
from physlearn.models.energies import Energy, Errors, sampled
from physlearn.results import Result, Status
from physlearn.solvers.base import Solver, State
from physlearn.solvers.monte_carlo import Metropolis
from physlearn.solvers.replicas import attraction_weight
from physlearn.solvers.tempering import at_beta, fields_of, last_energies, walk_of

if TYPE_CHECKING:
    import xarray

LARGEST_Z = 5.0
"""Standard errors by which the two walks may differ at any node, and in the integral."""

FEWEST = 10
"""Effective samples that a walk must have at a node, else its error is not known."""


@dataclass
class Integrating(State):
    """State of a `ThermodynamicIntegration` run.

    Attributes
    ----------
    N : int
        Weights, those of one replica.
    nodes : ndarray, shape (n_nodes,)
        Inverse temperatures, ascending from zero.
    sweeps_per_node : int
    walks : list of dict
        Fields of the two walks, the one that cools and the one that heats.
    start : float
        (1/N) ln Z at infinite temperature.
    energies, alignments : list of (ndarray, ndarray), shapes (n,)
        Energies after each sweep that counts, of the walk that cools at node 0, 1, ... and of the one that heats
        at the last node, the one before, ...; and the logarithms of what the fields weigh the configurations with.
        Both are means over the replicas of a `Replicated` model.
    n_sweeps : int
        Sweeps of each of the two walks.
    """

    N: int
    start: float
    nodes: np.ndarray
    sweeps_per_node: int
    walks: list[dict[str, Any]]
    energies: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    alignments: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    n_sweeps: int = 0

    @property
    def weights(self) -> np.ndarray:
        """Those of the walk that cools."""
        return self.walks[0]["weights"]


@dataclass(frozen=True)
class AlignedWalk(Metropolis):
    """A walk that also writes down what the fields weigh its configurations with."""

    _n_columns = 6


@dataclass(frozen=True, repr=False)
class ThermodynamicIntegrationResult(Result):
    """Mean energies and entropies at all nodes between infinite temperature and `beta`."""

    @property
    def betas(self) -> np.ndarray:
        """Inverse temperatures of the nodes, ascending from zero, shape (n_nodes,)."""
        return self.state.nodes

    @cached_property
    def walks(self) -> tuple[list[Estimate], list[Estimate]]:
        """Mean energies at the nodes of the walk that cools and of the one that heats; of one replica."""
        cooling, heating = zip(*self.state.energies, strict=True)
        return [_mean(series) for series in cooling], [_mean(series) for series in reversed(heating)]

    @cached_property
    def energies(self) -> list[Estimate]:
        """Mean energy at each node, over both walks; of one replica."""
        return [_over_both(a, b) for a, b in zip(*self.walks, strict=True)]

    @cached_property
    def autocorrelation_times(self) -> list[Estimate]:
        """Integrated autocorrelation time of the energy at each node in sweeps, the mean of both walks'."""
        cooling, heating = zip(*self.state.energies, strict=True)
        pairs = zip(cooling, reversed(heating), strict=True)
        return [_over_both(autocorrelation_time(a), autocorrelation_time(b)) for a, b in pairs]

    @cached_property
    def disagreements(self) -> np.ndarray:
        """Difference of the two walks' mean energies in its standard errors, shape (n_nodes,).

        Infinite where one has too few effective samples for an error; zero where both stay at the same energy.
        """
        pairs = zip(*self.walks, strict=True)
        return np.array([_disagreement(first, second) for first, second in pairs])

    @property
    def is_equilibrated(self) -> bool:
        """Whether the two walks agree at every node, and in the integral of the energy."""
        return bool(max(self.disagreements.max(), self._disagreement_of_integrals) <= LARGEST_Z)

    @property
    def _disagreement_of_integrals(self) -> float:
        row = integrals(self.betas)[0][-1]
        first, second = (_combined(row, walk) for walk in self.walks)
        return _ratio(first[0] - second[0], math.hypot(first[1], second[1]))

    @property
    def beta_equilibrated(self) -> float:
        """The largest node such that the walks agree at all nodes up to it."""
        agree = np.logical_and.accumulate(self.disagreements <= LARGEST_Z)
        return float(self.betas[agree.sum() - 1]) if agree[0] else 0.0

    @cached_property
    def entropies(self) -> list[Estimate]:
        """Entropy per weight at each node, in nats; NaN throughout where the walks did not equilibrate."""
        return self._along(1.0)

    @cached_property
    def free_entropies(self) -> list[Estimate]:
        """(1/N) ln Z at each node; NaN throughout where the walks did not equilibrate."""
        return self._along(0.0)

    @cached_property
    def quadrature_errors(self) -> np.ndarray:
        """What of each integral, over N, changes with every second node only, beyond the statistical errors."""
        full, half = integrals(self.betas)
        found = [_combined(row, self.energies) for row in full - half]
        beyond = [(max(0.0, abs(d) - error), abs(d) + error) for d, error in found]
        return np.array([math.sqrt(a) * math.sqrt(b) if a else 0.0 for a, b in beyond]) / self.state.N

    def _along(self, share: float) -> list[Estimate]:
        """(1/N) (ln Z(0) - int_0^beta E + share (beta E - F)) at each node (TI.2), (TI.5), (TI.8)."""
        if not self.is_equilibrated:
            return [Estimate(math.nan, math.nan, 0.0)] * len(self.betas)
        n_eff = min(energy.n_eff for energy in self.energies)
        found = []
        for k, row in enumerate(integrals(self.betas)[0]):
            coefficients, terms = -row, list(self.energies)
            coefficients[k] += share * self.betas[k]
            if share and self.state.alignments:
                terms[k] = self._at_node(k, coefficients[k], share)
                coefficients[k] = 1.0
            value, error = _combined(coefficients / self.state.N, terms)
            error = math.hypot(error, float(self.quadrature_errors[k]))
            found.append(Estimate(self.state.start + value, error, n_eff))
        return found

    def _at_node(self, k: int, coefficient: float, share: float) -> Estimate:
        """coefficient E - share F at node k, over both walks: the two are correlated."""
        pair = []
        for which, node in ((0, k), (1, len(self.betas) - 1 - k)):
            energies, alignments = (
                series[node][which] for series in (self.state.energies, self.state.alignments)
            )
            pair.append(_mean(coefficient * energies - share * alignments))
        return _over_both(*pair)

    def to_dataset(self) -> "xarray.Dataset":
        """As of any result, and energies and entropies along ``beta``."""
        data = super().to_dataset()
        data.coords["beta"] = self.betas
        along = {"energy": self.energies, "entropy": self.entropies, "free_entropy": self.free_entropies}
        along["autocorrelation_time"] = self.autocorrelation_times
        for name, estimates in along.items():
            data[f"{name}_at_beta"] = "beta", [estimate.mean for estimate in estimates]
            data[f"{name}_at_beta_error"] = "beta", [estimate.error for estimate in estimates]
        return data


@dataclass(frozen=True)
class ThermodynamicIntegration(Solver):
    r"""Entropy of the Gibbs measure at an inverse temperature, from the mean energies at all higher temperatures.

    .. math:: s(\beta) = \ln 2 - \frac 1 N \int_0^\beta \langle E \rangle_{\beta'} d\beta'
        + \frac{\beta \langle E \rangle_\beta}{N}

    A tether and replicas are fields that are there at any temperature: they weigh a configuration with e^F, where
    F = external.w, and in addition what `physlearn.models.Replicated` has. Then ln 2 becomes (1/N) ln sum e^F, a
    product over the weights, and <F>/N is taken off the entropy: that of all replicas together, N counting all their
    weights. Two Metropolis walks visit the nodes of a Clenshaw-Curtis rule: one cools from infinite temperature, the
    other begins at `beta`, from a random configuration, and heats.

    Parameters
    ----------
    beta : float
        Inverse temperature > 0.
    sweeps_per_node : int
        Sweeps of each walk at each node.
    n_nodes : int
        Odd, at least 5: that half of the nodes are a rule too tells the error of the integral.
    burn_in : float
        Fraction of the sweeps at each node left out of the averages.
    energy : Energy
        E(w), as in `Metropolis`.

    Notes
    -----
    Observables: ``entropy``, s(beta) in nats a weight; ``free_entropy``, (1/N) ln Z(beta); ``mean_energy`` (or
    ``mean_cost``; of one replica) and its ``autocorrelation_time`` at `beta`; ``quadrature_error``, which is part of
    the errors of the first two; ``disagreement``, the largest difference between the two walks in standard errors;
    ``beta_equilibrated``, up to where they agree.

    The status is CONVERGED where the walks agree at every node and in the integral, within five standard errors;
    else NOT_EQUILIBRATED, and the entropies are NaN, since nothing bounds their errors. Two walks trapped at the
    same energy are taken for equilibrated: where the entropy comes out negative, they were.

    The weights are those of lowest energy met by either walk. The result, a `ThermodynamicIntegrationResult`, has
    energies and entropies at all nodes.

    References
    ----------
    theory/monte-carlo/derivation.md (TI.1) to (TI.6); Kirkwood 1935; Clenshaw & Curtis 1960.
    """

    beta: float
    sweeps_per_node: int
    n_nodes: int = 17
    burn_in: float = 0.2
    energy: Energy = field(default_factory=Errors)
    state_type = Integrating
    result_type = ThermodynamicIntegrationResult
    takes_external = Metropolis.takes_external

    def __post_init__(self) -> None:
        keep(
            self,
            beta=number("beta", self.beta, above=0, at_most=1e100),
            sweeps_per_node=integer("sweeps_per_node", self.sweeps_per_node, at_least=1, at_most=10**6),
            n_nodes=integer("n_nodes", self.n_nodes, at_least=5, at_most=201),
            burn_in=number("burn_in", self.burn_in, at_least=0, below=1),
        )
        sampled(self.energy)
        if self.n_nodes % 2 == 0:
            raise reject("n_nodes", self.n_nodes, "odd numbers")

    def supports(self, model: Model) -> str | None:
        """As of `Metropolis`."""
        refusal = self._walker(self.beta).supports(model)
        return refusal and refusal.replace("AlignedWalk", type(self).__name__)

    def _walker(self, beta: float) -> AlignedWalk:
        """The recipe of a walk at one node."""
        total = (self.n_nodes + 1) * self.sweeps_per_node
        return AlignedWalk(beta, total, self.sweeps_per_node, energy=self.energy)

    def init(self, instance: Instance, rng: np.random.Generator) -> Integrating:
        """Two uniformly random configurations, the second after a node's sweeps at `beta`."""
        cooling = self._walker(0.0).init(instance, rng)
        walker = self._walker(self.beta)
        heating = walker.sweep(instance, walker.init(instance, rng), rng)
        last_energies(heating)
        return Integrating(
            instance.fingerprint,
            instance.N,
            start_of(instance),
            nodes(self.beta, self.n_nodes),
            self.sweeps_per_node,
            [fields_of(cooling), fields_of(heating)],
        )

    def sweep(self, instance: Instance, state: Integrating, rng: np.random.Generator) -> Integrating:
        """Both walks at their next node."""
        k, kept, aligned = len(state.energies), [], []
        n_replicas = state.walks[0]["errors"].size
        has_fields = instance.external is not None or isinstance(instance.model, Replicated)
        for which, beta in enumerate((state.nodes[k], state.nodes[-1 - k])):
            walker = self._walker(float(beta))
            walk = at_beta(walk_of(walker, state.walks[which]), float(beta))
            walk = walker.sweep(instance, walk, rng)
            steps = walk.steps.pop()
            steps = steps[int(self.burn_in * len(steps)) :]
            kept.append(steps[:, ENERGY] / n_replicas)
            aligned.append(steps[:, ALIGNMENT] / n_replicas)
            state.walks[which] = fields_of(walk)
        state.energies.append((kept[0], kept[1]))
        if has_fields:
            state.alignments.append((aligned[0], aligned[1]))
        state.n_sweeps += self.sweeps_per_node
        return state

    def status(self, instance: Instance, state: Integrating) -> Status | None:
        """CONVERGED where the two walks agree, else NOT_EQUILIBRATED."""
        given = float(state.nodes[-1]), len(state.nodes), state.sweeps_per_node
        allowed = self.beta, self.n_nodes, self.sweeps_per_node
        if given != allowed:
            words = "walks to beta = {:g} over {} nodes of {} sweeps"
            raise reject("state", words.format(*given), words.format(*allowed))
        walker = self._walker(self.beta)
        walker.check_walk(instance, walk_of(walker, state.walks[0]))
        if len(state.energies) < self.n_nodes:
            return None
        return Status.CONVERGED if self._result(state).is_equilibrated else Status.NOT_EQUILIBRATED

    def record(self, instance: Instance, state: Integrating) -> dict[str, float]:
        """Node, energy now, and the mean energy of one replica, of the walk that cools."""
        return {
            "beta": float(state.nodes[len(state.energies) - 1]),
            "energy": walk_of(self._walker(0.0), state.walks[0]).energy,
            "mean_energy": float(state.energies[-1][0].mean()),
        }

    def weights(self, instance: Instance, state: Integrating) -> np.ndarray:
        """The configuration of lowest energy."""
        walks = [walk_of(self._walker(0.0), fields) for fields in state.walks]
        return min(walks, key=lambda walk: walk.lowest_energy).best.copy()

    def observables(self, instance: Instance, state: Integrating) -> dict[str, Any]:
        """At `beta`."""
        result = self._result(state)
        return {
            "entropy": result.entropies[-1],
            "free_entropy": result.free_entropies[-1],
            "mean_energy" if isinstance(self.energy, Errors) else "mean_cost": result.energies[-1],
            "autocorrelation_time": result.autocorrelation_times[-1],
            "quadrature_error": float(result.quadrature_errors[-1]),
            "disagreement": float(max(result.disagreements.max(), result._disagreement_of_integrals)),
            "beta_equilibrated": result.beta_equilibrated,
        }

    def _result(self, state: Integrating) -> ThermodynamicIntegrationResult:
        """What reads the energies of a finished state."""
        return ThermodynamicIntegrationResult(Status.CONVERGED, None, {}, None, self, "", state)  # type: ignore[arg-type]


def start_of(instance: Instance) -> float:
    r"""(1/N) ln Z at infinite temperature, N counting the weights of all replicas (TI.8).

    .. math:: \frac1{nN} \sum_i \ln \sum_{S} \binom n{(n + S)/2} e^{f(S) + d_i S}

    with the values S = -n, 2 - n ... n of a weight's sum over n replicas, and f(S) of (R.1) or (R.3).
    """
    external = np.zeros(instance.N) if instance.external is None else instance.external
    model, n = instance.model, 1
    if isinstance(model, Replicated):
        n = model.n_replicas
    ups = np.arange(n + 1)
    terms = np.array([math.log(math.comb(n, k)) for k in ups])
    if isinstance(model, Replicated):
        terms += attraction_weight(model.coupling, 2 * ups - n, n, model.attraction)
    return float(np.logaddexp.reduce(terms + external[:, None] * (2 * ups - n), axis=1).mean()) / n


def nodes(beta: float, n: int) -> np.ndarray:
    """Chebyshev's points (beta/2)(1 - cos(pi k/(n - 1))), k = 0 ... n - 1 (TI.4)."""
    points = beta * np.sin(np.pi * np.arange(n) / (2 * (n - 1))) ** 2
    points[-1] = beta
    return points


def integrals(betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integrals from 0 to each of these `nodes` as linear functions of the values there, shape (n, n).

    Row k integrates the polynomial through all values up to node k (TI.4); in the second matrix the polynomial goes
    through every second value.
    """
    from numpy.polynomial import chebyshev

    x = 2 * betas / betas[-1] - 1
    found = []
    for step in (1, 2):
        coefficients = np.linalg.inv(chebyshev.chebvander(x[::step], len(x[::step]) - 1))
        matrix = np.zeros((len(x), len(x)))
        matrix[:, ::step] = chebyshev.chebval(x, chebyshev.chebint(coefficients, lbnd=-1)).T
        found.append(matrix * betas[-1] / 2)
    return found[0], found[1]


def _mean(series: np.ndarray) -> Estimate:
    """By `blocking`. That a walk which never moved was in equilibrium is for the other walk to tell: its error is 0."""
    estimate = blocking(series)
    still = len(series) > 1 and np.ptp(series) == 0
    return Estimate(estimate.mean, 0.0, estimate.n_eff) if still else estimate


def _over_both(a: Estimate, b: Estimate) -> Estimate:
    """The mean of two independent estimates; of two walks caught in different places nothing bounds its error."""
    error = math.hypot(a.error, b.error) / 2
    apart = error == 0 and a.mean != b.mean
    return Estimate((a.mean + b.mean) / 2, math.inf if apart else error, a.n_eff + b.n_eff)


def _combined(row: np.ndarray, estimates: list[Estimate]) -> tuple[float, float]:
    """A linear combination of independent estimates, and its error."""
    means, errors = np.array([(estimate.mean, estimate.error) for estimate in estimates]).T
    counts = row != 0  # Zero times an error that is infinite would be no number.
    return float(row @ means), math.hypot(*(row[counts] * errors[counts]))


def _disagreement(first: Estimate, second: Estimate) -> float:
    known = all(item.error == 0 or item.n_eff >= FEWEST for item in (first, second))
    return _ratio(first.mean - second.mean, math.hypot(first.error, second.error)) if known else math.inf


def _ratio(difference: float, error: float) -> float:
    if difference == 0:
        return 0.0
    return abs(difference) / error if error > 0 else math.inf
