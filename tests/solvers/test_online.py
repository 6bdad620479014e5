"""On-line rules: what they solve, what they leave alone, and how they end."""

import dataclasses

import numpy as np
import pytest

from physlearn.inputs import InputError
from physlearn.models import Committee, Instance, Perceptron, Teacher
from physlearn.results import Status
from physlearn.solvers import BPI, SBPI, ClippedPerceptron, PerceptronRule, solve

# Of sign states with |h| < 41, N = 1001, theta = 1, p = 0.4: median epochs of ten instances, all of them solved.
PUBLISHED = {0.3: 14, 0.5: 44, 0.6: 98, 0.65: 196}


def states(result):
    return result.state.hidden[:, : result.state.n]


@pytest.mark.parametrize("load", [0.3, 0.5])
def test_storage_at_the_documented_setting(load):
    """The median of ten is known to 14 % either way, its logarithm's standard deviation being 0.25 at these loads."""
    results = [solve(Perceptron(load).sample(1001, s), SBPI(n_states=42), s) for s in range(10)]
    assert all(result.status is Status.SOLVED for result in results)
    assert 0.5 < np.median([result.n_sweeps for result in results]) / PUBLISHED[load] < 1.5


@pytest.mark.validation
@pytest.mark.parametrize("load", PUBLISHED)
def test_sweeps_of_the_documented_setting(load):
    """99 of 100 solved; the published median of ten is within 4.5 standard errors of that of a hundred, in logarithms.

    Forty-one states are not possible for odd ones of both signs; those of forty-two reach to 41.
    """
    results = [solve(Perceptron(load).sample(1001, 1000 + s), SBPI(3000, n_states=42), s) for s in range(100)]
    solved = [np.log(result.n_sweeps) for result in results if result.solved]
    assert len(solved) >= 97
    low, middle, high = np.quantile(solved, [0.16, 0.5, 0.84])
    error = np.sqrt(np.pi / 2) * (high - low) / 2 * np.sqrt(1 / 10 + 1 / 100)
    assert abs(np.log(PUBLISHED[load]) - middle) < 4.5 * error


@pytest.mark.validation
@pytest.mark.parametrize("N", [301, 1001, 3001, 10001])
def test_defaults_solve_at_any_size(N):
    results = [solve(Perceptron(0.6).sample(N, s), SBPI(), s) for s in range(20)]
    assert sum(result.solved for result in results) >= 19


MODELS = [
    Perceptron(0.4),
    Perceptron(0.2, margin=0.3),
    Perceptron(1.0, margin=-0.7),
    Perceptron(0.4, patterns="gaussian"),
    Perceptron(0.2, margin=0.3, patterns="gaussian"),
    Perceptron(2.5, rule=Teacher()),
    Committee(0.2, n_hidden=3),
    Committee(0.2, n_hidden=7),
    Committee(0.3, n_hidden=5, tree=True),
    Committee(0.2, n_hidden=5, patterns="gaussian"),
    Committee(0.2, n_hidden=5, tree=True, patterns="gaussian", rule=Teacher()),
]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_easy_instances_are_solved(model):
    for seed in range(3):
        instance = model.sample(5 * 7 * 9 * model.n_hidden, seed)
        result = solve(instance, SBPI(), seed)
        assert result.status is Status.SOLVED
        assert result.energy == 0
        assert (model.stabilities(instance, result.weights) > model.channel.bounds[0]).all()
        assert result.trace.energy[-1] == result.trace.lowest_energy[-1] == 0


def test_beyond_the_capacity_the_weights_of_lowest_energy_are_returned():
    result = solve(Perceptron(1.5).sample(101, 1), SBPI(30, sweeps_per_record=1), 2)
    assert result.status is Status.COMPLETED
    assert result.n_sweeps == 30
    assert 0 < result.energy == result.trace.energy.min() < result.trace.energy[-1]
    assert (np.diff(result.trace.lowest_energy) <= 0).all()


@pytest.mark.parametrize(
    "model", [Perceptron(0.6), Committee(0.4), Perceptron(0.6, patterns="gaussian")], ids=repr
)
def test_the_rules_are_limits_of_each_other(model):
    """Reinforcement with certainty is BPI, and none the clipped perceptron; one flip is two and, at odd N, one."""
    instance = model.sample(99, 1)
    binary = model.patterns == "binary"
    for one, other in [
        (SBPI(12, probability=1), BPI(12)),
        (SBPI(12, probability=0), ClippedPerceptron(12)),
        (BPI(12, threshold=0.0), ClippedPerceptron(12)),
        (SBPI(12, threshold=2 if binary else 1), SBPI(12, threshold=1)),
    ]:
        first, second = solve(instance, one, 3), solve(instance, other, 3)
        np.testing.assert_array_equal(states(first), states(second))
        assert first.observables == second.observables
    assert (states(solve(instance, BPI(2), 3)) != states(solve(instance, ClippedPerceptron(2), 3))).any()


def test_how_often_a_record_is_made_changes_nothing():
    instance = Perceptron(0.6).sample(301, 1)
    results = [solve(instance, SBPI(n_states=20, sweeps_per_record=k), 3) for k in (1, 7, 1000)]
    assert all(result.observables == results[0].observables for result in results)
    every = np.concatenate(results[2].state.record)
    np.testing.assert_array_equal(every, np.concatenate(results[0].state.record))
    np.testing.assert_array_equal(results[0].trace.energy, every[:, 0])
    np.testing.assert_array_equal(results[0].trace.error_rate, every[:, 1] / instance.P)


@pytest.mark.parametrize("rule", [SBPI, BPI, ClippedPerceptron, PerceptronRule])
def test_states_are_odd_and_bounded(rule):
    result = solve(Committee(1.0).sample(99, 1), rule(20, n_states=6), 3)
    assert set(np.unique(states(result))) == {-5, -3, -1, 1, 3, 5}
    large = solve(Perceptron(2.0).sample(99, 1), rule(60, n_states=32766), 3)
    assert (states(large) % 2 == 1).all()
    assert 5 < np.abs(states(large)).max() < 32766


def test_states_grow_with_the_square_root_of_the_size():
    assert [SBPI().largest_state(n) + 1 for n in (1, 301, 1001, 10001)] == [4, 32, 56, 180]


@pytest.mark.parametrize(
    "model",
    [
        Perceptron(0.5),
        Perceptron(0.5, margin=0.4),
        Perceptron(0.5, patterns="gaussian"),
        Committee(0.3, tree=True),
    ],
    ids=repr,
)
def test_the_perceptron_rule_ends_when_its_states_are_right(model):
    """Then nothing moves any more; their signs may still be wrong."""
    instance = model.sample(297, 1)
    result = solve(instance, PerceptronRule(2000, n_states=200), 3)
    assert result.status is Status.CONVERGED
    assert result.energy > 0
    unit = states(result).astype(float).ravel()
    K, D = instance.model.n_hidden, instance.N // instance.model.n_hidden
    unit /= np.sqrt(np.mean(np.square(unit.reshape(K, D)), axis=1)).repeat(D)
    assert instance.model.energy(instance, unit) == 0
    again = solve(instance, PerceptronRule(5000, n_states=200), 3, state=result.state)
    assert again.n_sweeps == result.n_sweeps


@pytest.mark.parametrize("N", [8, 64])
def test_ties_are_errors(N):
    """At even N sums vanish: a solution has none that does."""
    rng = np.random.default_rng(N)
    patterns = rng.choice([-1, 1], size=(N // 4, N))
    instance = Instance(patterns, rng.choice([-1, 1], size=N // 4))
    result = solve(instance, SBPI(), 1)
    assert result.status is Status.SOLVED
    assert (instance.gauged.astype(int) @ result.weights > 0).all()


def test_a_margin_on_the_lattice_is_decided_as_by_the_model():
    instance = Perceptron(0.2, margin=3 / np.sqrt(225)).sample(225, 1)
    result = solve(instance, SBPI(), 1)
    assert result.status is Status.SOLVED
    sums = instance.gauged.astype(int) @ result.weights
    assert sums.min() == 5  # sums of three do occur, but are not above the margin
    unsatisfiable = dataclasses.replace(instance.model, margin=20.0)
    result = solve(Instance(instance.patterns, instance.labels, model=unsatisfiable), SBPI(5), 1)
    assert (result.status, result.energy) == (Status.COMPLETED, instance.P)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SBPI(0), r"n_sweeps: got 0; allowed: an integer >= 1\."),
        (
            lambda: SBPI(n_states=41),
            r"n_states: got 41; allowed: even .* \|h\| <= 40 allows those of n_states = 40\.",
        ),
        (lambda: BPI(n_states=0), r"n_states: got 0; allowed: an integer >= 2 and <= 32766\."),
        (lambda: BPI(n_states=32768), r"n_states: got 32768; allowed: an integer >= 2 and <= 32766\."),
        (lambda: SBPI(probability=1.2), r"probability: got 1\.2; allowed: a finite number >= 0 and <= 1\."),
        (lambda: SBPI(threshold=float("nan")), r"threshold: got nan; allowed: a finite number >= 0\."),
        (lambda: BPI(threshold=-1), r"threshold: got -1; allowed: a finite number >= 0\."),
        (
            lambda: ClippedPerceptron(sweeps_per_record=0),
            r"sweeps_per_record: got 0; allowed: an integer >= 1\.",
        ),
    ],
)
def test_bad_recipes_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        make()
