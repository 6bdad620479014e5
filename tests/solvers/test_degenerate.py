"""Instances at the edge of what has a meaning: every solver ends, says what became of it, and hides no NaN."""

import math

import numpy as np
import pytest
from catalogue import ALL_SOLVERS

from physlearn.models import Committee, Instance, Perceptron, SymmetricPerceptron
from physlearn.models.energies import Linear
from physlearn.models.protocols import Scoping
from physlearn.results import Status, value_and_error
from physlearn.solvers import AMP, BeliefPropagation, FocusingBP, Metropolis, RejectionFree, solve

GAUSSIAN = Perceptron(0.5, patterns="gaussian")


def ones(P, N):
    return np.ones((P, N))


HOPELESS = {
    "contradictory, N = 1": Instance(ones(2, 1), [1, -1]),
    "contradictory, N = 5": Instance(ones(2, 5), [1, -1]),
    "margin out of reach": Instance(ones(1, 2), [1], model=Perceptron(0.5, margin=50.0)),
    "margin at the largest stability": Instance(ones(1, 2), [1], model=Perceptron(0.5, margin=math.sqrt(2))),
    "window between two sums": Instance(ones(1, 3), [-1], model=SymmetricPerceptron(0.5, half_width=0.5)),
    "patterns of zeros": Instance(0 * ones(2, 3), [1, -1], model=GAUSSIAN),
    "committee, contradictory": Instance(ones(2, 1), [1, -1], model=Committee(0.5)),
}
SATISFIABLE = {
    "no pattern": Instance(np.ones((0, 1)), []),
    "a single weight": Instance(ones(1, 1), [-1]),
    "margin just below a sum": Instance(
        ones(1, 3), [1], model=Perceptron(0.5, margin=1 / math.sqrt(3) - 1e-12)
    ),
    "margin that all weights meet": Instance(ones(2, 2), [1, -1], model=Perceptron(0.5, margin=-50.0)),
    "tiny patterns": Instance(1e-200 * ones(2, 3), [1, 1], model=GAUSSIAN),
    "huge patterns": Instance(1e100 * ones(2, 3), [1, 1], model=GAUSSIAN),
}
EXPLAINED = (Status.UNSATISFIABLE, Status.NOT_EQUILIBRATED)


def supported(names, solvers):
    """Pairs of an instance's name and a solver that treats it."""
    instances = {**HOPELESS, **SATISFIABLE}
    pairs = [(name, s) for name in names for s in solvers if s.supports(instances[name].model) is None]
    return pytest.mark.parametrize(("name", "solver"), pairs, ids=[f"{name} | {s!r}" for name, s in pairs])


@supported([*HOPELESS, *SATISFIABLE], ALL_SOLVERS.values())
def test_the_status_tells_what_happened(name, solver):
    """Nothing is NaN but where the status says why, no entropy infinite, and what is solved is solved."""
    instance = {**HOPELESS, **SATISFIABLE}[name]
    result = solve(instance, solver, 1)
    values = {**result.observables, **result.trace.records}
    values = {key: np.asarray(value_and_error(value)[0], dtype=float) for key, value in values.items()}
    values |= {"mean": np.asarray(getattr(result.state, "mean", 0.0))}
    if result.status not in EXPLAINED:
        assert not [key for key, value in values.items() if np.isnan(value).any()]
        assert not [key for key, value in values.items() if "entropy" in key and np.isinf(value).any()]
    if name in HOPELESS:
        assert result.solved == 0
        assert result.status is not Status.SOLVED
    else:
        assert result.status is not Status.UNSATISFIABLE
        if "entropy" in result.observables and result.status is Status.CONVERGED:
            entropy, error = value_and_error(result.entropy)
            allowed = 5 * (error or 0.0) + 1e-6
            assert -allowed <= entropy <= math.log(2) + allowed


COUNTING = (
    AMP(damping=0.5),
    AMP(n_iterations=1),
    BeliefPropagation(damping=0.5),
    BeliefPropagation(messages="exact", damping=0.5),
    FocusingBP(Scoping(3, (0.1, 0.5))),
    FocusingBP(Scoping(3, (0.1, 0.5)), messages="exact"),
)


@supported(HOPELESS, COUNTING)
def test_message_passing_tells_what_no_weights_satisfy(name, solver):
    """A fixed point may count configurations where there are none: contradictory patterns see each other as noise."""
    result = solve(HOPELESS[name], solver, 1)
    assert result.status is Status.UNSATISFIABLE
    if isinstance(solver, FocusingBP):
        assert np.isnan(result.trace.local_entropy).all()
    else:
        assert math.isnan(result.entropy)
        assert math.isnan(result.free_entropy)


@pytest.mark.parametrize("sampler", [Metropolis, RejectionFree])
def test_linear_energies_without_any_edge(sampler):
    """At a margin that all weights meet the energy is zero everywhere, and every proposal is accepted."""
    instance = SATISFIABLE["margin that all weights meet"]
    result = solve(instance, sampler(beta=1.0, n_sweeps=20, energy=Linear()), 1)
    assert result.mean_cost.mean == 0
    assert result.acceptance_rate == 1
