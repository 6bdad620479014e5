"""theory/binary-perceptron/derivation.md, step by step, against integrals and counts of the tests' own."""

import mpmath
import numpy as np
import pytest
from independent import (
    GH,
    H,
    binary_weights,
    extrapolated_entropy,
    gaussian,
    log_2cosh,
    log_H,
    satisfied,
    storage_fields,
)
from scipy.optimize import brentq

from physlearn import Binary, Perceptron, Spherical, Status, capacity, replica_symmetric


def free_entropy(q, q_hat, alpha, margin):
    """(RS.14) in high precision."""
    ends = [-12, -6, -2, 0, 2, 6, 12]

    def average(f):
        return mpmath.quad(lambda z: mpmath.npdf(z) * f(z), ends)

    def log_tail(z):
        return mpmath.log(mpmath.erfc((margin - mpmath.sqrt(q) * z) / mpmath.sqrt(2 * (1 - q))) / 2)

    weights = average(lambda z: mpmath.log(2 * mpmath.cosh(mpmath.sqrt(q_hat) * z)))
    return -q_hat * (1 - q) / 2 + weights + alpha * average(log_tail)


@pytest.mark.parametrize(("alpha", "margin"), [(0.5, 0.0), (0.3, 0.5)])
def test_the_saddle_point_extremizes_the_free_entropy(alpha, margin):
    point = replica_symmetric(Perceptron(alpha, margin=margin))
    q, q_hat, step = mpmath.mpf(point.overlap), mpmath.mpf(point.overlap_conjugate), mpmath.mpf("1e-4")

    def phi(dq, dq_hat):
        return free_entropy(q + dq * step, q_hat + dq_hat * step, alpha, margin)

    assert point.entropy == pytest.approx(float(phi(0, 0)), abs=1e-11)
    assert abs(phi(1, 0) - phi(-1, 0)) / (2 * step) < 1e-7  # the difference's own error is a third of step^2
    assert abs(phi(0, 1) - phi(0, -1)) / (2 * step) < 1e-7


def test_each_pattern_costs_the_mean_logarithm_of_its_share():
    below, point, above = (replica_symmetric(Perceptron(0.5 + shift)) for shift in (-1e-4, 0.0, 1e-4))
    cost = storage_fields(1 - point.overlap, 0.0)[1]
    assert (above.entropy - below.entropy) / 2e-4 == pytest.approx(cost, abs=1e-6)


@pytest.mark.parametrize(("alpha", "margin"), [(0.25, 0.0), (0.5, -0.5)])
def test_small_instances_have_the_entropy_of_the_theory(alpha, margin):
    """Two sizes extrapolated in 1/N; what is left is of order 1/N^2 and allowed as 0.3/(8 x 16)."""
    rng = np.random.default_rng(11)
    entropy, error = extrapolated_entropy(
        lambda rng, P, N: rng.standard_normal((P, N)), lambda h: h > margin, alpha, (8, 16), (4000, 700), rng
    )
    theory = replica_symmetric(Perceptron(alpha, margin=margin)).entropy
    assert error < 0.005
    assert abs(entropy - theory) < 4 * error + 0.3 / (8 * 16)


def test_half_of_all_patterns_accept_a_weight_vector_when_N_is_odd():
    N, P = 5, 2
    codes = np.arange(2 ** (N * P))[:, None] >> np.arange(N * P) & 1
    counts = [satisfied((2.0 * code - 1).reshape(P, N), lambda h: h > 0) for code in codes]
    assert np.mean(counts) == 2 ** (N - P)


@pytest.mark.parametrize("margin", [-1.0, 0.0, 0.5, 2.0])
def test_the_overlap_reaches_one_at_two_over_pi_times_gardners_capacity(margin):
    z, weight = gaussian(-margin, 0.1)
    end = 2 / (np.pi * (weight @ np.maximum(z + margin, 0) ** 2))
    loads = []
    for q_hat in (1e8, 1e10):
        V = binary_weights(q_hat)[0]
        loads.append(q_hat * V / storage_fields(V, margin)[0])
    assert loads[1] == pytest.approx(end, rel=1e-4)
    assert abs(loads[1] - end) < abs(loads[0] - end)
    model = Perceptron(1.0, margin=margin)
    assert replica_symmetric(model.with_alpha(0.99 * end)).status is Status.UNPHYSICAL
    assert replica_symmetric(model.with_alpha(1.01 * end)).status is Status.NO_SOLUTION


def test_the_load_grows_along_the_branch_down_to_margin_minus_two_and_not_at_minus_three():
    def grows(margin):
        V = [binary_weights(q_hat)[0] for q_hat in q_hats]
        loads = [q_hat * v / storage_fields(v, margin)[0] for q_hat, v in zip(q_hats, V, strict=True)]
        return bool((np.diff(loads) > 0).all())

    q_hats = np.geomspace(1e-3, 1e6, 60)
    assert [grows(margin) for margin in (-3, -2, -1, 0, 1, 3, 5)] == [False] + 6 * [True]


@pytest.mark.parametrize("parisi", [0.3, 0.9])
def test_the_replicon_is_the_response_to_a_split_into_clusters(parisi):
    """(AT.2), with the averages over z_1 and their weights Z^x done in full at a small splitting."""
    alpha, split = 0.5, 1e-5
    point = replica_symmetric(Perceptron(alpha))
    q, q_hat = point.overlap, point.overlap_conjugate
    z0, w0 = gaussian(0.0, 0.3)
    z1, w1 = np.polynomial.hermite_e.hermegauss(20)
    w1 = w1 / w1.sum()

    def mean_variance(value, log_weight):
        tilt = w1 * np.exp(parisi * (log_weight - log_weight.max(axis=1, keepdims=True)))
        tilt /= tilt.sum(axis=1, keepdims=True)
        mean = np.sum(tilt * value, axis=1)
        return w0 @ np.sum(tilt * (value - mean[:, None]) ** 2, axis=1) / split

    B = np.sqrt(q_hat) * z0[:, None] + np.sqrt(split) * z1
    x = -(np.sqrt(q) * z0[:, None] + np.sqrt(split) * z1) / np.sqrt(1 - q)
    slope = alpha * mean_variance(GH(x), log_H(x)) / (1 - q) * mean_variance(np.tanh(B), log_2cosh(B))
    assert slope == pytest.approx(1 - point.stability, rel=1e-3)


def test_replica_symmetry_is_locally_stable_beyond_the_capacity_to_load_1_015():
    def stability(u):
        V, _, fourth, _ = binary_weights(np.exp(u))
        square, _, slope = storage_fields(V, 0.0)
        load = np.exp(u) * V / square
        return 1 - load / V**2 * slope * fourth, load

    load = stability(brentq(lambda u: stability(u)[0], 0, 4))[1]
    assert load == pytest.approx(1.015, abs=5e-4)
    assert replica_symmetric(Perceptron(load - 0.01)).stability > 0
    assert replica_symmetric(Perceptron(load + 0.01)).stability < 0
    assert 1 - replica_symmetric(Perceptron(capacity(Binary()))).stability == pytest.approx(0.5444, abs=5e-5)


def test_point_like_clusters_are_replica_symmetric_at_another_temperature():
    """(Z.2) from (AT.1) at q_1 = 1, with a large q_1_hat, at a finite temperature."""
    alpha, beta, x, q0, q0_hat, q1_hat = 1.1, 3.0, 0.4, 0.45, 5.0, 1500.0
    z0, w0 = gaussian(0.0, 0.2)
    z1 = np.linspace(-8, 8, 4001)
    w1 = np.exp(-z1 * z1 / 2) / np.exp(-z1 * z1 / 2).sum()

    def soft(beta, depth):
        return np.exp(-beta) + (1 - np.exp(-beta)) * H(depth)

    inner = []
    for z in z0:
        # log int Dz_1 (2 cosh B)^x, the Gaussian weight shifted to the peaks of exp(x |B|)
        width = np.sqrt(q1_hat - q0_hat)
        B = np.linspace(-3000, 3000, 6001)
        exponent = x * log_2cosh(B) - ((B - np.sqrt(q0_hat) * z) / width) ** 2 / 2
        top = exponent.max()
        inner.append(top + np.log(np.sum(np.exp(exponent - top)) / (width * np.sqrt(2 * np.pi))))
    omega = np.sqrt(q0) * z0[:, None] + np.sqrt(1 - q0) * z1
    fields = np.log(soft(beta, -omega / 1e-4) ** x @ w1)  # V = 1e-8
    clustered = (x / 2) * (q0 * q0_hat - q1_hat) + (w0 @ np.array(inner) + alpha * w0 @ fields) / x
    q_hat = x**2 * q0_hat
    weights = w0 @ log_2cosh(np.sqrt(q_hat) * z0)
    depth = -np.sqrt(q0 / (1 - q0)) * z0
    symmetric = -q_hat * (1 - q0) / 2 + weights + alpha * w0 @ np.log(soft(x * beta, depth))
    assert clustered == pytest.approx(symmetric / x, rel=2e-4)


@pytest.mark.parametrize("margin", [-3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
def test_the_capacity_keeps_its_bounds(margin):
    z, weight = gaussian(-margin, 0.1)
    sphere = 1 / (weight @ np.maximum(z + margin, 0) ** 2)
    load = capacity(Binary(), margin)
    assert 0 < load < np.log(2) / -log_H(margin)
    assert load < 2 / np.pi * sphere
    if margin >= 0:
        assert sphere == pytest.approx(capacity(Spherical(), margin), rel=1e-9)
