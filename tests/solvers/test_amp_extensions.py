"""AMP on committees, in external fields and with reinforcement, against belief propagation and sums written plainly."""

import numpy as np
import pytest
from catalogue import ALL_MODELS
from scipy.stats import norm

from physlearn.inputs import InputError
from physlearn.meanfield import committee_state_evolution
from physlearn.models import Committee, Instance, Perceptron, Spherical, Teacher, Tethered
from physlearn.results import Status
from physlearn.solvers import AMP, BeliefPropagation, solve


@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_committee_sweeps_are_the_written_out_equations(tree, patterns):
    """Three units, as if independent: the vote of the other two is written out, each unit has a V of its own."""
    K, D = 3, 17
    instance = Committee(0.4, n_hidden=K, tree=tree, patterns=patterns).sample(K * D, 1)
    solver, rng = AMP(start=0.5, joint=False), np.random.default_rng(1)
    state = solver.init(instance, rng)
    a, g, y = state.mean.copy(), np.zeros((instance.P, K)), instance.labels.astype(float)
    X = [instance.patterns[:, k * D : (k + 1) * D] if tree else instance.patterns for k in range(K)]
    X = [part.astype(float) for part in X]
    units = [slice(k * D, (k + 1) * D) for k in range(K)]
    for _ in range(4):
        V = np.stack([X[k] ** 2 @ (1 - a[units[k]] ** 2) / D for k in range(K)], axis=1)
        omega = np.stack([X[k] @ a[units[k]] / np.sqrt(D) for k in range(K)], axis=1) - V * g
        x = y[:, None] * omega / np.sqrt(V)
        p = norm.cdf(x)
        one, two, three = p.T
        Z = one * two * three + (1 - one) * two * three + one * (1 - two) * three + one * two * (1 - three)
        pivotal = np.stack(
            [two * (1 - three) + three * (1 - two), one * (1 - three) + three * (1 - one),
             one * (1 - two) + two * (1 - one)], axis=1)  # fmt: skip
        g = y[:, None] * norm.pdf(x) * pivotal / Z[:, None] / np.sqrt(V)
        slope = -g * (omega / V + g)
        for k in range(K):
            B = X[k].T @ g[:, k] / np.sqrt(D) - a[units[k]] * (X[k].T ** 2 @ slope[:, k]) / D
            a[units[k]] = np.tanh(B)
        state = solver.sweep(instance, state, rng)
        np.testing.assert_allclose(state.mean, a, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("tethered", [False, True])
@pytest.mark.parametrize(
    "model", [Committee(0.4, tree=True), Committee(0.4, n_hidden=5, tree=True), Perceptron(0.5)], ids=str
)
def test_fixed_point_is_that_of_belief_propagation(model, tethered):
    """The two differ by single weights: means by O(1/sqrt N), entropies by O(1/N)."""
    instance = model.sample(1005 if model.n_hidden == 5 else 1503, 1)
    if tethered:
        instance = Tethered(instance, np.random.default_rng(1).choice([-1, 1], size=instance.N), 0.3)
    amp = solve(instance, AMP(n_iterations=200), 1)
    bp = solve(instance, BeliefPropagation(), 1)
    assert amp.status is bp.status is Status.CONVERGED
    assert np.sqrt(np.mean((amp.state.mean - bp.magnetisations) ** 2)) < 0.02
    assert amp.free_entropy == pytest.approx(bp.free_entropy, abs=2e-3)
    if tethered:
        assert amp.entropy == pytest.approx(bp.entropy, abs=3e-3)
        assert amp.distance == pytest.approx(bp.distance, abs=2e-3)


def test_a_field_alone():
    """Without patterns the measure is that of independent weights."""

    reference = np.random.default_rng(1).choice([-1, 1], size=9)
    tethered = Tethered(Instance(np.ones((0, 9)), np.ones(0)), reference, 0.7)
    result = solve(tethered, AMP(), 1)
    assert result.tether_overlap == pytest.approx(np.tanh(0.7))
    assert result.free_entropy == pytest.approx(np.log(2 * np.cosh(0.7)))
    assert result.entropy == pytest.approx(np.log(2 * np.cosh(0.7)) - 0.7 * np.tanh(0.7))


def test_free_entropy_of_spherical_weights_is_stationary_in_the_field():
    instance, step = Perceptron(0.8, prior=Spherical()).sample(301, 2), 1e-4
    reference = Spherical().sample(301, np.random.default_rng(1))
    at = {
        s: solve(Tethered(instance, reference, 0.5 + s), AMP(tolerance=1e-12), 1) for s in (-step, 0.0, step)
    }
    slope = (at[step].free_entropy - at[-step].free_entropy) / (2 * step)
    assert slope == pytest.approx(at[0.0].tether_overlap, abs=1e-5)


def test_units_of_a_spherical_committee_keep_their_norm():
    instance = Committee(0.5, prior=Spherical(), rule=Teacher(), tree=True).sample(303, 1)
    result = solve(instance, AMP(damping=0.3), 1)
    assert result.status is Status.CONVERGED
    units = result.weights.reshape(3, -1)
    np.testing.assert_allclose(np.sum(units**2, axis=1), 101, rtol=1e-12)
    second = (result.state.mean**2 + result.state.variance).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(second, 1, rtol=1e-9)
    assert result.teacher_overlap > 0.3


def test_a_tree_committee_learns_its_teacher():
    instance = Committee(2.5, rule=Teacher(), tree=True).sample(603, 1)
    result = solve(instance, AMP(), 1)
    assert result.recovered == 1
    assert result.trace.teacher_overlap[-1] == pytest.approx(1, abs=1e-6)


def test_reinforcement_finds_solutions():
    for instance in (Perceptron(0.5).sample(501, 1), Committee(0.2, tree=True).sample(303, 1)):
        result = solve(instance, AMP(reinforcement=3e-3, n_iterations=1500, start=0.1), 1)
        assert result.status is Status.SOLVED
        assert result.energy == 0
    stuck = solve(Perceptron(1.4).sample(101, 1), AMP(reinforcement=1e-2, n_iterations=50), 1)
    assert stuck.status is Status.COMPLETED


@pytest.mark.parametrize(
    "model",
    [
        Committee(0.5, tree=True),
        Committee(0.5, n_hidden=5, tree=True),
        Committee(0.8, tree=True, rule=Teacher()),
    ],
    ids=str,
)
def test_trajectory_of_a_tree_is_state_evolution(model):
    """Each of ten sweeps of ten instances: Student's t at a false alarm of 1e-4, and 10/N for the finite size."""
    N, n = 5001 if model.n_hidden == 3 else 5005, 10
    theory = committee_state_evolution(model, n)
    traces = [
        solve(model.sample(N, seed), AMP(n_iterations=n, tolerance=1e-15), 1).trace for seed in range(10)
    ]
    for name in {"overlap", "teacher_overlap"} & set(theory.observables):
        samples = np.array([getattr(trace, name) for trace in traces])
        error = samples.std(axis=0, ddof=1) / np.sqrt(10)
        assert (np.abs(samples.mean(axis=0) - getattr(theory, name)[1:]) <= 6.6 * error + 10 / N).all()


@pytest.mark.validation
@pytest.mark.parametrize("alpha", [0.6, 0.65, 0.7])
def test_reinforced_amp_solves_large_instances(alpha):
    """Published: six of six at each of these loads with this rate."""
    for seed in range(6):
        result = solve(Perceptron(alpha).sample(1001, seed), AMP(reinforcement=1e-3, n_iterations=3000), seed)
        assert result.status is Status.SOLVED, (alpha, seed)


def test_bad_recipes_are_refused_in_a_sentence():
    with pytest.raises(
        InputError, match=r"^reinforcement: got 1\.0; allowed: a finite number >= 0 and < 1\.$"
    ):
        AMP(reinforcement=1.0)


@pytest.mark.validation
def test_seven_units_that_share_their_inputs_are_solved():
    """By reinforced AMP, if it is damped; the units are alike at the start but for their first means."""
    instance = Committee(0.2, n_hidden=7).sample(7 * 1001, 1)
    solver = AMP(n_iterations=800, reinforcement=0.01, damping=0.5, start=0.3, joint=False)
    result = solve(instance, solver, 1)
    assert result.status is Status.SOLVED


def test_entropies_and_what_counts_no_solution():
    """Hard constraints have an entropy, phi without a field's part; beyond the capacity it is negative."""
    model, rng = Perceptron(0.5), np.random.default_rng(1)
    instance = model.sample(101, 1)
    plain = solve(instance, AMP(), 1)
    assert plain.status is Status.CONVERGED
    assert plain.entropy == plain.free_entropy
    # s = phi - f S, of which d phi/df = S leaves ds/df = -f dS/df: weak fields f change it by their square.
    reference, step = rng.choice([-1, 1], size=101), 1e-3
    tethered = solve(Tethered(instance, reference, step), AMP(), 1)
    assert tethered.entropy == pytest.approx(plain.entropy, abs=1e-5)
    beyond = solve(Perceptron(1.0).sample(101, 1), AMP(damping=0.5), 1)
    assert beyond.status is Status.UNPHYSICAL
    assert beyond.entropy < -2 / 101
    # Near the capacity less than one configuration is counted, though not by much.
    barely = solve(Perceptron(0.85).sample(101, 6), AMP(damping=0.5), 1)
    assert barely.status is Status.UNPHYSICAL
    assert -2 / 101 < barely.entropy < 0
    noisy = solve(ALL_MODELS["probit, teacher"].sample(101, 1), AMP(damping=0.3), 1)
    assert "entropy" not in noisy.observables


def test_the_strongest_tether_is_no_overflow_and_distances_are_of_signs():
    """At the largest field the weights are the reference, here no solution; other references have an overlap only."""
    instance, signs = Perceptron(0.3).sample(15, 1), np.random.default_rng(1).choice([-1, 1], size=15)
    for solver in (AMP(damping=0.3), BeliefPropagation(damping=0.3), BeliefPropagation(messages="exact")):
        result = solve(Tethered(instance, signs, 1e6), solver, 1)
        assert not any(np.isnan(value) for value in result.observables.values())
        assert result.distance == pytest.approx(0, abs=solver.tolerance)
        np.testing.assert_array_equal(result.weights, signs)
        assert (result.energy > 0, result.status) == (True, Status.UNPHYSICAL)
        soft = solve(Tethered(instance, 0.5 * signs, 0.4), solver, 1)
        assert 0 < soft.tether_overlap < 0.5
        assert "distance" not in soft.observables
