"""theory/teacher-student-perceptron/derivation.md, step by step, against integrals and messages of the tests' own."""

import itertools

import numpy as np
import pytest
from independent import (
    GH,
    H,
    binary_weights,
    entropy,
    extrapolated_entropy,
    gaussian,
    log_H,
    planted_fields,
    sech,
    signs,
)
from scipy.optimize import brentq, minimize_scalar

from physlearn import (
    AMP,
    Perceptron,
    Teacher,
    algorithmic_threshold,
    bayes_optimal,
    information_theoretic_threshold,
    replica_symmetric,
    solve,
    state_evolution,
)
from physlearn.models import Threshold
from physlearn.quadrature import misclassification


def model(alpha, **fields):
    return Perceptron(alpha, rule=Teacher(), **fields)


def branch(q_hat):
    """(BR.1) and (BO.3): load, variance and entropy of the Bayes-optimal saddle point with this q_hat."""
    V, weights, _, _ = binary_weights(q_hat, q_hat)
    square, logarithm, _ = planted_fields(V)
    alpha = q_hat * V / square
    return alpha, V, -q_hat * (2 - V) / 2 + weights + alpha * logarithm


def spinodal():
    best = minimize_scalar(lambda u: -branch(u)[0], bounds=(2, 5), method="bounded", options={"xatol": 1e-10})
    return best.x, -best.fun


def test_the_teacher_is_one_more_student():
    """(N.1) exactly: all patterns and all teachers of N = 3, P = 3."""
    N, P = 3, 3
    weights = signs(N)
    with_teacher = with_student = 0.0
    for code in itertools.product((-1, 1), repeat=N * P):
        answers = weights @ np.array(code, dtype=float).reshape(P, N).T > 0
        for teacher, answer in zip(weights, answers, strict=True):
            students = weights[(answers == answer).all(axis=1)]
            mean = students.mean(axis=0)
            with_teacher += mean @ teacher
            with_student += mean @ mean
    assert with_teacher == pytest.approx(with_student, rel=1e-10)
    assert with_teacher > 0


def test_small_instances_have_the_entropy_of_the_theory():
    """Two sizes extrapolated in 1/N; what is left is of order 1/N^2 and allowed as 0.3/(8 x 16)."""

    def draw(rng, P, N):
        patterns = rng.standard_normal((P, N))
        return patterns * np.sign(patterns.sum(axis=1))[:, None]

    rng = np.random.default_rng(4)
    value, error = extrapolated_entropy(draw, lambda h: h > 0, 0.75, (8, 16), (4000, 700), rng)
    assert error < 0.006
    assert abs(value - bayes_optimal(model(0.75)).entropy) < 4 * error + 0.3 / (8 * 16)


@pytest.mark.parametrize(("alpha", "margin"), [(1.0, 0.0), (0.6, 0.3), (0.4, -0.4)])
def test_the_saddle_point_extremizes_the_free_entropy_of_any_student(alpha, margin):
    point = replica_symmetric(model(alpha, margin=margin))
    names = ("overlap", "teacher_overlap", "overlap_conjugate", "teacher_overlap_conjugate")
    values = np.array([getattr(point, name) for name in names])

    def phi(x):
        q, m, q_hat, m_hat = x
        weights = binary_weights(q_hat, m_hat)[1]
        z, weight = gaussian(0.0, 0.3)
        share = H(-m * z / np.sqrt(q - m * m))
        fields = 2 * weight @ (share * log_H((margin - np.sqrt(q) * z) / np.sqrt(1 - q)))
        return -q_hat * (1 - q) / 2 - m_hat * m + weights + alpha * fields

    assert point.entropy == pytest.approx(phi(values), abs=1e-10)
    for direction in np.eye(4):
        step = 1e-5 * direction
        assert abs(phi(values + step) - phi(values - step)) / 2e-5 < 1e-6
    assert (abs(values[0] - values[1]) < 1e-9) == (margin == 0)


def test_the_branch_gives_the_bayes_optimal_point():
    q_hat = brentq(lambda u: branch(u)[0] - 1, 0.1, 2, xtol=1e-14)
    _, V, s = branch(q_hat)
    point = bayes_optimal(model(1.0))
    assert point.overlap == pytest.approx(1 - V, abs=1e-10)
    assert point.overlap_conjugate == pytest.approx(q_hat, abs=1e-9)
    assert point.entropy == pytest.approx(s, abs=1e-10)
    z, weight = gaussian(-np.sqrt(q_hat), 0.3)
    B = q_hat + np.sqrt(q_hat) * z
    assert weight @ np.tanh(B) == pytest.approx(weight @ np.tanh(B) ** 2, rel=1e-12)


def test_thresholds_are_an_extremum_and_a_root_of_the_branch():
    q_hat, end = spinodal()
    assert algorithmic_threshold(model(1.0)) == pytest.approx(end, abs=1e-9)
    root = brentq(lambda u: branch(u)[2], 0.5, q_hat, xtol=1e-13)
    transition = branch(root)[0]
    assert information_theoretic_threshold(model(1.0)) == pytest.approx(transition, abs=1e-9)
    bound = minimize_scalar(
        lambda r: entropy(r) / np.log(1 - np.arccos(r) / np.pi), bounds=(0.1, 0.99), method="bounded"
    )
    assert -bound.fun == pytest.approx(1.447966, abs=5e-7)
    assert transition < -bound.fun < end


def test_nearly_perfect_students_are_drawn_to_perfection():
    """(BR.3) at a small variance, and both branches at loads where both exist."""
    q_hat = 40.0
    alpha, V, _ = branch(q_hat)
    z, weight = gaussian(0.0, 1 / np.sqrt(q_hat))
    assert np.exp(-q_hat / 2) * (weight @ sech(np.sqrt(q_hat) * z)) == pytest.approx(V, rel=1e-9)
    assert alpha * 2 * 0.90320 / np.sqrt(2 * np.pi * V) == pytest.approx(q_hat, rel=1e-4)
    point = bayes_optimal(model(0.5), branch="informed")
    assert (point.overlap, point.entropy, point.generalization_error) == (1, 0, 0)
    assert bayes_optimal(model(1.3), branch="dominant").overlap == 1
    assert bayes_optimal(model(1.2), branch="dominant").overlap < 0.8
    assert bayes_optimal(model(1.6)).overlap == 1


@pytest.mark.parametrize("alpha", [0.3, 1.0, 1.45])
def test_the_replicon_is_one_minus_the_slope_of_state_evolution(alpha):
    """(BR.4), (BR.5): the slope by finite differences of the map from q to q."""

    def image(q):
        q_hat = alpha * planted_fields(1 - q)[0] / (1 - q)
        return 1 - binary_weights(q_hat, q_hat)[0]

    point = bayes_optimal(model(alpha))
    slope = (image(point.overlap + 1e-5) - image(point.overlap - 1e-5)) / 2e-5
    assert point.stability == pytest.approx(1 - slope, abs=1e-6)


def test_the_replicon_vanishes_at_the_spinodal():
    q_hat, alpha = spinodal()
    V, _, fourth, _ = binary_weights(q_hat, q_hat)
    assert alpha * planted_fields(V)[2] / V**2 * fourth == pytest.approx(1, abs=1e-6)


def test_signs_of_correlated_fields_differ_by_their_angle():
    rng = np.random.default_rng(8)
    n = 400_000
    a, b = rng.standard_normal((2, n))
    for overlap in (-0.5, 0.3, 0.9):
        disagree = np.mean(np.sign(a) != np.sign(overlap * a + np.sqrt(1 - overlap**2) * b))
        error = np.sqrt(disagree * (1 - disagree) / n)
        assert abs(misclassification(Threshold(), overlap) - disagree) < 4 * error


def test_three_errors_by_sampling_the_cavity():
    """Teacher, students, vote and deployed signs drawn as (GE.2) describes them."""
    point = bayes_optimal(model(0.8))
    q, q_hat = point.overlap, point.overlap_conjugate
    rng = np.random.default_rng(9)
    n = 400_000
    omega = np.sqrt(q) * rng.standard_normal(n)
    teacher, student = omega + np.sqrt(1 - q) * rng.standard_normal((2, n))
    deployed = np.mean(np.sign(q_hat + np.sqrt(q_hat) * rng.standard_normal(n)))
    sampled = {
        "generalization_error": np.mean(teacher * student < 0),
        "generalization_error_bayes": np.mean(teacher * omega < 0),
    }
    for name, value in sampled.items():
        assert abs(getattr(point, name) - value) < 4 * np.sqrt(value * (1 - value) / n)
    assert abs(point.estimator_overlap - deployed) < 4 * np.sqrt((1 - deployed**2) / n)
    assert point.generalization_error_amp == pytest.approx(
        np.arccos(point.estimator_overlap) / np.pi, abs=1e-12
    )
    assert point.generalization_error_bayes < point.generalization_error_amp < point.generalization_error


def test_state_evolution_by_sampling_fields_and_weights():
    alpha, n = 1.1, 400_000
    overlap = state_evolution(model(alpha), 4).overlap
    rng = np.random.default_rng(10)
    assert overlap[0] == 0
    for q, after in itertools.pairwise(overlap):
        omega = np.sqrt(q) * rng.standard_normal(n)
        label = np.sign(omega + np.sqrt(1 - q) * rng.standard_normal(n))
        square = alpha * GH(-label * omega / np.sqrt(1 - q)) ** 2 / (1 - q)
        q_hat, error_in = square.mean(), square.std() / np.sqrt(n)
        a = np.tanh(q_hat + np.sqrt(q_hat) * rng.standard_normal(n))
        slope = 1.0  # of q in q_hat: E v^2, at most one
        error = np.hypot(slope * error_in, a.std() / np.sqrt(n))
        assert abs(a.mean() - after) < 4 * error


def test_at_the_first_step_two_over_pi_of_the_load_is_signal():
    first = state_evolution(model(0.7), 1).overlap[1]
    assert first == pytest.approx(1 - binary_weights(2 * 0.7 / np.pi, 2 * 0.7 / np.pi)[0], abs=1e-10)


def belief_propagation(instance, n_iterations):
    """(BP.3), (BP.4) with all 2NP messages; means of the weights at the end."""
    X, y = instance.patterns / np.sqrt(instance.N), instance.labels[:, None]
    a, v = np.zeros_like(X), np.ones_like(X)
    for _ in range(n_iterations):
        omega = (X * a).sum(axis=1, keepdims=True) - X * a
        V = (X**2 * v).sum(axis=1, keepdims=True) - X**2 * v
        g = y * GH(-y * omega / np.sqrt(V)) / np.sqrt(V)
        total = (X * g).sum(axis=0)
        B = total - X * g
        a, v = np.tanh(B), sech(B) ** 2
    return np.tanh(total)


def test_amp_has_the_marginals_of_belief_propagation():
    """Their mean square difference, of order 1/N, falls by a half or more from N = 101 to N = 405."""
    squares = []
    for N in (101, 405):
        differences = []
        for seed in range(3):
            instance = model(0.5).sample(N, seed)
            result = solve(instance, AMP(n_iterations=200, tolerance=1e-10), seed)
            messages = belief_propagation(instance, 60)
            differences.append(np.mean((result.state.mean - messages) ** 2))
        squares.append(np.mean(differences))
    assert squares[1] < 0.5 * squares[0]
    assert squares[1] < 1e-3
