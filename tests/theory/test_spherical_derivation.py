"""theory/spherical-perceptron/derivation.md, step by step, against integrals and instances of the tests' own."""

import math

import mpmath
import numpy as np
import pytest
from independent import G, H, gaussian, planted_fields, storage_fields
from scipy.optimize import brentq, nnls

from physlearn import (
    Perceptron,
    Spherical,
    Status,
    Teacher,
    bayes_optimal,
    capacity,
    de_almeida_thouless,
    replica_symmetric,
)


def largest_margin(patterns):
    """Largest margin of a w of norm one: the distance of the origin from the patterns' convex hull, its dual."""
    P, N = patterns.shape
    heavy = 1e3
    weights, _ = nnls(
        np.vstack([patterns.T, heavy * np.ones(P)]), np.append(np.zeros(N), heavy), maxiter=50 * P
    )
    return np.linalg.norm(weights @ patterns) / weights.sum()


def overlap_at(alpha, margin):
    """(RS.6) solved for q."""
    return 1 - brentq(
        lambda V: (1 - V) / V - alpha * storage_fields(V, margin)[0], 1e-6, 1 - 1e-9, xtol=1e-14
    )


@pytest.mark.parametrize(("alpha", "margin"), [(1.0, 0.0), (0.4, 0.7), (3.0, -0.5)])
def test_the_saddle_point_extremizes_the_free_entropy(alpha, margin):
    point = replica_symmetric(Perceptron(alpha, margin=margin, prior=Spherical()))

    def phi(q):
        def density(z):
            depth = (margin - mpmath.sqrt(q) * z) / mpmath.sqrt(2 * (1 - q))
            return mpmath.npdf(z) * mpmath.log(mpmath.erfc(depth) / 2)

        fields = mpmath.quad(density, [-12, -6, -2, 0, 2, 6, 12])
        return mpmath.log(1 - q) / 2 + q / (2 * (1 - q)) + alpha * fields

    q, step = mpmath.mpf(point.overlap), mpmath.mpf("1e-5")
    assert point.entropy == pytest.approx(float(phi(q)), abs=1e-11)
    assert abs(phi(q + step) - phi(q - step)) / (2 * step) < 1e-7
    assert point.overlap == pytest.approx(overlap_at(alpha, margin), abs=1e-9)


@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_random_instances_have_gardners_largest_margin(margin):
    """Two sizes extrapolated in 1/N; what is left is of order 1/N^2 and allowed as 10/(50 x 100)."""
    rng = np.random.default_rng(5)
    load = capacity(Spherical(), margin)
    means, errors = [], []
    for N, n in ((50, 500), (100, 250)):
        P = load * N
        fraction = P - math.floor(P)  # a margin at a load between two whole numbers of patterns
        values = []
        for _ in range(n):
            patterns = rng.standard_normal((math.ceil(P), N))
            more, fewer = largest_margin(patterns), largest_margin(patterns[: math.floor(P)])
            values.append(fraction * more + (1 - fraction) * fewer)
        means.append(np.mean(values))
        errors.append(np.std(values, ddof=1) / np.sqrt(n))
    error = math.hypot(2 * errors[1], errors[0])
    assert error < 0.02
    assert abs(2 * means[1] - means[0] - margin) < 4 * error + 10 / (50 * 100)


def test_covers_count_makes_two_the_capacity_at_every_size():
    def share(P, N):
        return 2.0 ** (1 - P) * sum(math.comb(P - 1, k) for k in range(N))

    assert [share(2 * N, N) for N in (1, 4, 40)] == [0.5, 0.5, 0.5]
    assert capacity(Spherical()) == pytest.approx(2, rel=1e-9)
    rng = np.random.default_rng(3)
    for P in (4, 6):
        separable = np.mean([largest_margin(rng.standard_normal((P, 3))) > 1e-6 for _ in range(1000)])
        expected = share(P, 3)
        assert abs(separable - expected) < 4 * math.sqrt(expected * (1 - expected) / 1000)


@pytest.mark.parametrize("margin", [-0.3, 0.0, 0.3, 1.0])
def test_stability_at_the_end_has_the_sign_of_the_margin(margin):
    z, weight = gaussian(-margin, 0.1)
    gardner = weight @ np.maximum(z + margin, 0) ** 2
    assert gardner == pytest.approx((1 + margin**2) * H(-margin) + margin * G(margin), rel=1e-12)
    point = replica_symmetric(Perceptron(0.9995 / gardner, margin=margin, prior=Spherical()))
    assert point.overlap > 0.99
    assert point.stability == pytest.approx(1 - H(-margin) / gardner, abs=0.03)
    assert point.is_stable == (margin >= 0)
    beyond = replica_symmetric(Perceptron(1.01 / gardner, margin=margin, prior=Spherical()))
    assert beyond.status is Status.NO_SOLUTION


@pytest.mark.parametrize("margin", [-0.5, -1.0, -2.0])
def test_the_instability_is_where_the_two_integrals_balance(margin):
    def balance(u):
        V = 1 / (1 + np.exp(u))
        square, _, slope = storage_fields(V, margin)
        return (1 - V) / V * slope - square

    V = 1 / (1 + np.exp(brentq(balance, -3, 6, xtol=1e-13)))
    load = (1 - V) / V / storage_fields(V, margin)[0]
    assert de_almeida_thouless(Spherical(), margin) == pytest.approx(load, rel=1e-8)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 20.0])
def test_a_spherical_student_obeys_one_equation(alpha):
    point = bayes_optimal(Perceptron(alpha, prior=Spherical(), rule=Teacher()))
    V = brentq(lambda V: (1 - V) / V - alpha * planted_fields(V)[0] / V, 1e-7, 1 - 1e-9, xtol=1e-15)
    logarithm = planted_fields(V)[1]
    assert point.overlap == pytest.approx(1 - V, abs=1e-10)
    assert point.entropy == pytest.approx(np.log(V) / 2 + (1 - V) / 2 + alpha * logarithm, abs=1e-9)


def test_learning_from_many_examples_is_slow_on_the_sphere():
    x = np.linspace(-12, 30, 100001)
    constant = np.trapezoid(G(x) ** 2 / H(x), x)
    alpha = 300.0
    point = bayes_optimal(Perceptron(alpha, prior=Spherical(), rule=Teacher()))
    gibbs = 1 / (np.sqrt(np.pi) * constant)
    assert gibbs == pytest.approx(0.6247, abs=5e-5)
    assert alpha * point.generalization_error == pytest.approx(gibbs, rel=1e-3)
    assert alpha * point.generalization_error_bayes == pytest.approx(gibbs / np.sqrt(2), rel=1e-3)
    # the barycentre's length is all that deployment changes; the quadrature's tolerance is 1e-12
    assert point.estimator_overlap == pytest.approx(np.sqrt(point.overlap), abs=5e-12)
