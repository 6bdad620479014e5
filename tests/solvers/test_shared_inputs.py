"""AMP of units that share their inputs against plain loops, sampled entropies and its state evolution."""

import dataclasses
import itertools

import numpy as np
import pytest

from physlearn.inputs import InputError
from physlearn.meanfield import committee_state_evolution, state_evolution
from physlearn.models import Committee, Perceptron, Spherical, Storage, Teacher
from physlearn.models.joint import votes
from physlearn.results import Status
from physlearn.solvers import AMP, solve


@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_sweeps_are_the_written_out_equations(patterns):
    K, D = 3, 17
    instance = Committee(0.4, patterns=patterns).sample(K * D, 1)
    solver, rng = AMP(start=0.5), np.random.default_rng(1)
    state = solver.init(instance, rng)
    X, a, g = instance.patterns.astype(float), state.mean.reshape(K, D).T.copy(), np.zeros((instance.P, K))
    V = np.diag(np.mean(1 - a**2, axis=0))
    W = np.array(list(itertools.product((-1, 1), repeat=K)))
    for _ in range(4):
        omega = X @ a / np.sqrt(D) - g @ V
        _, g, J = votes(instance.labels, omega, V)
        A = -J.sum(axis=0) / D
        B = X.T @ g / np.sqrt(D) + a @ A
        chance = np.exp(B @ W.T - np.array([w @ A @ w for w in W]) / 2)
        chance /= chance.sum(axis=1, keepdims=True)
        a = chance @ W
        V = np.mean([(c[:, None] * W).T @ W - np.outer(m, m) for c, m in zip(chance, a, strict=True)], axis=0)
        state = solver.sweep(instance, state, rng)
        np.testing.assert_allclose(state.mean.reshape(K, D).T, a, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(state.variance, V, rtol=1e-8, atol=1e-11)


def start(model, N, deviation, informed, seed):
    """An instance, and AMP's state with the teacher's share in the first fields."""
    from physlearn.solvers import shared_inputs
    from physlearn.solvers.message_passing import _posterior

    instance, solver = model.sample(N, seed), AMP(start=deviation)
    state = solver.init(instance, np.random.default_rng(seed + 100))
    if informed:
        field, K = state.field + informed * instance.teacher, model.n_hidden
        if model.tree:
            found = _posterior(instance, field, np.zeros(N), np.ones(N))
        else:
            found = shared_inputs.posterior(instance, field, np.zeros((K, K)))
        state.field = field
        state.mean, state.variance, state.precision = found
    return instance, solver, state


def overlaps(instance, mean):
    """Those of the means with themselves and with the teacher: (2, K, K)."""
    K = instance.model.n_hidden
    a = mean.reshape(K, -1)
    teacher = np.zeros(a.shape) if instance.teacher is None else instance.teacher.reshape(K, -1)
    return np.array([a @ a.T, a @ teacher.T]) / a.shape[1]


CASES = {
    "alike": (Committee(0.4), 0.0, 0.0),
    "told apart": (Committee(0.4), 0.5, 0.0),
    "five units": (Committee(0.3, n_hidden=5), 0.5, 0.0),
    "teacher": (Committee(0.5, rule=Teacher()), 0.0, 0.0),
    "teacher, informed": (Committee(0.8, rule=Teacher()), 0.5, 0.5),
    "spherical": (Committee(0.4, prior=Spherical()), 0.5, 0.0),
    "spherical teacher, informed": (Committee(0.8, prior=Spherical(), rule=Teacher()), 0.5, 0.5),
    "spherical tree": (Committee(0.5, tree=True, prior=Spherical(), rule=Teacher()), 0.3, 0.5),
}


def by_kind(matrices):
    """Means over the entries on the diagonal, and off it: what the law of these starts tells apart."""
    K = matrices.shape[-1]
    diagonal = np.trace(matrices, axis1=-2, axis2=-1)
    return np.stack([diagonal / K, (matrices.sum(axis=(-2, -1)) - diagonal) / (K * (K - 1))], axis=-1)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if "informed" in case else []) for case in CASES]
)
def test_trajectory_is_state_evolution(case):
    """At each of ten sweeps of eight instances: Student's t at 1e-4, and 10/N for the finite size."""
    model, deviation, informed = CASES[case]
    n, K, n_instances = 10, model.n_hidden, 8
    N = K * (5001 // K | 1)
    theory = committee_state_evolution(model, n, deviation, informed)
    expected = np.stack([theory.overlaps, getattr(theory, "teacher_overlaps", 0 * theory.overlaps)], axis=1)
    found = np.empty((n_instances, n + 1, 2, K, K))
    for seed in range(n_instances):
        instance, solver, state = start(model, N, deviation, informed, seed)
        for sweep in range(n + 1):
            found[seed, sweep] = overlaps(instance, state.mean)
            state = solver.sweep(instance, state, np.random.default_rng(0))
    found, expected = by_kind(found), by_kind(expected)
    error = found.std(axis=0, ddof=1) / np.sqrt(n_instances)
    away = np.abs(found.mean(axis=0) - expected)
    if model.tree:  # the units of a tree share no input, so that other entries mean nothing
        away = away[..., 0]
        error = error[..., 0]
    assert (away <= 7.1 * error + 10 / N).all()
    assert expected[-1, 0, 0] > 20 * error[-1, 0].max()


def test_one_unit_is_a_perceptron():
    for rule, prior in itertools.product((Storage(), Teacher()), (Committee(0.6).prior, Spherical())):
        perceptron = state_evolution(Perceptron(0.6, rule=rule, prior=prior), 8)
        for tree in (True, False):
            model = Committee(0.6, n_hidden=1, tree=tree, rule=rule, prior=prior)
            one = committee_state_evolution(model, 8)
            np.testing.assert_allclose(one.overlap, perceptron.overlap, atol=1e-6)


def test_uninformed_matched_students_obey_nishimori():
    theory = committee_state_evolution(Committee(0.8, rule=Teacher()), 5)
    np.testing.assert_allclose(theory.overlaps, theory.teacher_overlaps, atol=3e-4)
    assert theory.overlap[-1] > 0.1
    assert theory.teacher_overlap[-1] == pytest.approx(theory.overlap[-1], abs=3e-4)


@pytest.mark.parametrize("prior", [Committee(0.4).prior, Spherical()], ids=str)
def test_free_entropy_is_stationary_at_the_fixed_point_only(prior):
    """Its derivatives by the cavity means and the fields vanish."""
    instance = Committee(0.3, prior=prior).sample(303, 1)
    result = solve(instance, AMP(n_iterations=2000, tolerance=1e-13, damping=0.3, start=0.2), 1)
    assert result.status is Status.CONVERGED
    rng = np.random.default_rng(2)
    for name in ("cavity_mean", "field"):
        at_rest = getattr(result.state, name)
        direction, slopes = rng.standard_normal(at_rest.shape), []
        for centre in (at_rest, 1.1 * at_rest):
            ends = []
            for step in (1e-5, -1e-5):
                moved = dataclasses.replace(result.state, **{name: centre + step * direction})
                ends.append(AMP().observables(instance, moved)["free_entropy"])
            slopes.append((ends[0] - ends[1]) / 2e-5)
        assert abs(slopes[0]) < 1e-7
        assert abs(slopes[1]) > 1e-5


def test_joint_units_have_the_entropy_that_sampling_finds():
    """Thermodynamic integration to beta = 6: 0.54960(26), and 0.193/303 a unit of beta less beyond (see CM.8)."""
    instance = Committee(0.2).sample(303, 1)
    joint, alone = (solve(instance, AMP(damping=0.3, joint=joint), 1).free_entropy for joint in (True, False))
    assert joint == pytest.approx(0.5493, abs=1e-3)
    assert alone < 0.5493 - 4e-3


def test_reinforcement_finds_solutions():
    instance = Committee(0.25).sample(303, 1)
    for joint in (True, False):
        solver = AMP(reinforcement=0.01, n_iterations=600, start=0.3, damping=0.3, joint=joint)
        assert solve(instance, solver, 1).status is Status.SOLVED


def test_means_that_are_not_resolved_are_said_to_be():
    theory = committee_state_evolution(Committee(2.5, rule=Teacher()), 1, start=0.3, informed=0.9)
    assert theory.status is Status.NOT_CONVERGED
    settled = committee_state_evolution(Committee(0.2), 10)
    assert settled.status is Status.CONVERGED


def test_what_is_not_followed_is_refused_in_a_sentence():
    with pytest.raises(InputError, match=r"^informed: got 0\.5; allowed: zero, where there is no teacher\.$"):
        committee_state_evolution(Committee(0.5), 3, informed=0.5)
    with pytest.raises(
        InputError,
        match=r"^model: got .*; allowed: finite trees, or at most 11 units that share their inputs\.$",
    ):
        committee_state_evolution(Committee(0.5, n_hidden=13), 3)
    assert AMP().supports(Committee(0.5, n_hidden=13)).startswith("AMP treats at most 11 units jointly")
    assert AMP(joint=False).supports(Committee(0.5, n_hidden=13)) is None
