"""theory/symmetric-perceptron/derivation.md, step by step, against integrals and counts of the tests' own."""

import numpy as np
import pytest
from independent import G, H, entropy, extrapolated_entropy, gaussian, satisfied
from scipy.optimize import minimize_scalar

from physlearn import SymmetricPerceptron, replica_symmetric, symmetric_capacity


def share(K):
    return 1 - 2 * H(K)


def pair_share(q, K):
    """(SM.1), twice the half where z > 0: there is one edge in it."""
    z, weight = gaussian(K / np.sqrt(q), np.sqrt((1 - q) / q))
    z, weight = z[z > 0], weight[z > 0]
    width = np.sqrt(1 - q)
    return 2 * weight @ (H((-K - np.sqrt(q) * z) / width) - H((K - np.sqrt(q) * z) / width)) ** 2


def second_moment(q, alpha, K):
    """(SM.2)"""
    return entropy(q) - np.log(2) + alpha * (np.log(pair_share(q, K)) - 2 * np.log(share(K)))


def gaussian_patterns(rng, P, N):
    return rng.standard_normal((P, N))


@pytest.mark.parametrize("K", [0.5, 1.0])
def test_the_average_number_of_solutions_is_the_first_moment(K):
    rng = np.random.default_rng(2)
    N, P, n = 10, 4, 3000
    counts = [satisfied(gaussian_patterns(rng, P, N), lambda h: np.abs(h) < K) for _ in range(n)]
    error = np.std(counts, ddof=1) / np.sqrt(n)
    assert error < 0.02 * np.mean(counts)
    assert abs(np.mean(counts) - 2**N * share(K) ** P) < 4 * error


def test_the_typical_number_of_solutions_is_the_average_one():
    """Two sizes extrapolated in 1/N; what is left is of order 1/N^2 and allowed as 0.3/(8 x 16)."""
    K, load = 1.0, 0.5
    value, error = extrapolated_entropy(
        gaussian_patterns, lambda h: np.abs(h) < K, load, (8, 16), (4000, 700), np.random.default_rng(2)
    )
    theory = replica_symmetric(SymmetricPerceptron(load, K)).entropy
    assert theory == pytest.approx(np.log(2) + load * np.log(share(K)), abs=1e-10)
    assert error < 0.005
    assert abs(value - theory) < 4 * error + 0.3 / (8 * 16)


@pytest.mark.parametrize("K", [0.2, 1.0, 1.352, 2.0])
def test_pairs_are_typically_orthogonal_up_to_the_capacity(K):
    overlaps = np.linspace(0.05, 0.995, 40)
    alpha = symmetric_capacity(K)
    values = np.array([second_moment(q, alpha, K) for q in overlaps])
    assert (values < 0).all()
    assert second_moment(1e-7, alpha, K) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(("K", "alpha"), [(1.0, 1.0), (1.0, 1.8158), (0.5, 0.7), (2.0, 10.0)])
def test_the_second_moment_bends_with_the_replicon_eigenvalue(K, alpha):
    q = 0.02
    point = replica_symmetric(SymmetricPerceptron(alpha, K))
    assert point.overlap == pytest.approx(0, abs=1e-12)
    assert -2 * second_moment(q, alpha, K) / q**2 == pytest.approx(point.stability, abs=10 * q**2)


def test_the_orthogonal_solution_is_stable_at_every_capacity():
    def stability(K):
        return 1 + np.log(2) / np.log(share(K)) * (2 * K * G(K) / share(K)) ** 2

    least = minimize_scalar(stability, bounds=(0.5, 3), method="bounded", options={"xatol": 1e-9})
    assert least.x == pytest.approx(1.352, abs=5e-4)
    assert least.fun == pytest.approx(0.0149, abs=5e-5)
    assert all(stability(K) > 0 for K in np.geomspace(0.02, 5, 60))
    K = 1.0
    assert replica_symmetric(SymmetricPerceptron(symmetric_capacity(K), K)).stability == pytest.approx(
        stability(K), abs=1e-9
    )


@pytest.mark.parametrize("fraction", [0.2, 0.9])
def test_no_solution_is_near_a_typical_one(fraction):
    """(SM.2) plus the entropy: companions at small distance d are rarer than one."""
    K = 1.0
    alpha = fraction * symmetric_capacity(K)
    for d in (1e-4, 1e-6):
        q = 1 - 2 * d
        assert entropy(q) + alpha * np.log(pair_share(q, K) / share(K)) < 0
