"""Votes of units with correlated fields, and weights that are coupled at an input, against independent sums."""

import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from physlearn.kernels import majority as kernels
from physlearn.models import Binary, Majority, Spherical
from physlearn.models.joint import norm_precision, sites, votes


def correlated(K, rho, spread=0.0, seed=0):
    """A covariance whose pairs have the correlation rho, or another for each pair, and units of unequal widths."""
    rng = np.random.default_rng(seed)
    noise = spread * rng.standard_normal((K, K))
    correlations = np.full((K, K), rho) + (noise + noise.T) / 2
    np.fill_diagonal(correlations, 1.0)
    widths = rng.uniform(0.7, 1.0, K)
    return correlations * np.outer(widths, widths)


def orthants(mean, covariance):
    """Probability that most of the fields are positive, by SciPy, sign pattern by sign pattern."""
    K = len(mean)
    total = 0.0
    for signs in itertools.product((-1, 1), repeat=K):
        if sum(signs) > 0:
            turned = covariance * np.outer(signs, signs)
            total += multivariate_normal(np.zeros(K), turned).cdf(np.array(signs) * mean)
    return total


@pytest.mark.parametrize(
    ("K", "rho", "spread", "tolerance"),
    [
        (3, -0.2, 0.1, 1e-4),
        (3, 0.4, 0.1, 1e-3),
        (5, -0.1, 0.0, 1e-3),
        (5, 0.3, 0.0, 1e-3),
        (5, -0.1, 0.03, 1e-2),
    ],
)
def test_mass_is_that_of_the_orthants(K, rho, spread, tolerance):
    """Exact for three units; from five on exact where all pairs are alike, near it where they are not quite."""
    covariance = correlated(K, rho, spread)
    means = 0.6 * np.random.default_rng(1).standard_normal((4, K))
    labels = np.array([1, -1, 1, -1])
    logs, _, _ = votes(labels, means, covariance)
    expected = [orthants(y * mean, covariance) for y, mean in zip(labels, means, strict=True)]
    np.testing.assert_allclose(np.exp(logs), expected, rtol=tolerance)
    # Correlations matter by more than that.
    alone, _, _ = votes(labels, means, np.diag(np.diag(covariance)))
    assert np.abs(alone - logs).max() > 3 * tolerance


@pytest.mark.parametrize("K", [1, 3, 5, 7])
@pytest.mark.parametrize("y", [1, -1])
def test_derivatives_are_differences(K, y):
    covariance = correlated(K, -0.5 / max(K, 2), 0.02)
    mean, step = 0.8 * np.random.default_rng(K).standard_normal((3, K)), 1e-5
    labels = np.full(3, y)
    _, gradient, jacobian = votes(labels, mean, covariance)
    for k in range(K):
        up, down = (votes(labels, mean + shift * np.eye(K)[k], covariance) for shift in (step, -step))
        np.testing.assert_allclose((up[0] - down[0]) / (2 * step), gradient[:, k], atol=1e-8)
        np.testing.assert_allclose((up[1] - down[1]) / (2 * step), jacobian[:, :, k], atol=1e-7)


@pytest.mark.parametrize("K", [3, 5])
def test_independent_units_and_far_tails_are_those_of_the_channel(K):
    rng = np.random.default_rng(2)
    variance, labels = rng.uniform(0.3, 1.0, K), np.array([1, 1, -1])
    for scale, covariance in ((1.0, np.diag(variance)), (60.0, correlated(K, -0.1))):
        mean = -scale * np.abs(rng.standard_normal((3, K))) * labels[:, None] - scale * labels[:, None]
        logs, gradient, jacobian = votes(labels, mean, covariance)
        alone = (labels, mean, np.diag(covariance))
        np.testing.assert_allclose(logs, Majority(K).log_partition(*alone), rtol=1e-9)
        np.testing.assert_allclose(gradient, Majority(K).gradient(*alone), rtol=1e-7)
        diagonal = np.diagonal(jacobian, axis1=1, axis2=2)
        np.testing.assert_allclose(diagonal, Majority(K).curvature(*alone), rtol=1e-6)
        np.testing.assert_allclose(jacobian, jacobian.transpose(0, 2, 1), rtol=1e-9)
        assert np.isfinite(jacobian).all()


def test_kernel_equals_its_source_bit_for_bit():
    rng = np.random.default_rng(3)
    mean, widths = rng.standard_normal((4, 3)), np.array([0.5, 0.7, 0.9])
    shifts, weights = rng.standard_normal((2, 3)), np.array([0.4, 0.6])
    found = []
    for function in (kernels.majority, kernels.majority.py_func):
        arrays = np.empty(4), np.empty((4, 3)), np.empty((4, 3, 3))
        function(mean, widths, shifts, weights, *arrays, 0, 4)
        found.append(arrays)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    counts = np.empty((2, 5))
    kernels.counts_without(widths, 1, -1, counts[0])
    kernels.counts_without.py_func(widths, 1, -1, counts[1])
    np.testing.assert_array_equal(*counts)
    np.testing.assert_allclose(counts[0, :3], [0.5 * 0.1, 0.5 * 0.9 + 0.5 * 0.1, 0.5 * 0.9])


def test_binary_sites_are_sums_over_configurations():
    rng = np.random.default_rng(4)
    field, A = rng.standard_normal((6, 3)), rng.standard_normal((3, 3))
    A = (A + A.T) / 2
    logs, mean, covariance = sites(Binary(), field, A)
    W = np.array(list(itertools.product((-1, 1), repeat=3)))
    covariances = []
    for i, B in enumerate(field):
        weights = np.array([np.exp(B @ w - w @ A @ w / 2) for w in W])
        assert logs[i] == pytest.approx(np.log(weights.sum()))
        chance = weights / weights.sum()
        np.testing.assert_allclose(mean[i], chance @ W)
        second = sum(c * np.outer(w, w) for c, w in zip(chance, W, strict=True))
        covariances.append(second - np.outer(mean[i], mean[i]))
    np.testing.assert_allclose(covariance, np.mean(covariances, axis=0), atol=1e-12)


def test_spherical_units_have_their_norm():
    rng = np.random.default_rng(5)
    for scale in (0.0, 0.3, 30.0):
        field, A = scale * rng.standard_normal((50, 3)), rng.standard_normal((3, 3))
        A = scale * (A + A.T)
        precision = norm_precision(A, field.T @ field / 50)
        np.testing.assert_allclose(precision - np.diag(np.diag(precision - A)), A, atol=1e-12)
        logs, mean, covariance = sites(Spherical(), field, precision)
        np.testing.assert_allclose(np.diag(covariance) + np.mean(mean**2, axis=0), 1, rtol=1e-8)
        # One Gaussian integral: its logarithm's derivative by the field is the mean.
        step = 1e-6
        up, _, _ = sites(Spherical(), field + step * np.eye(3)[1], precision)
        np.testing.assert_allclose((up - logs) / step, mean[:, 1], rtol=1e-3, atol=1e-5)
    assert np.isnan(norm_precision(np.full((3, 3), np.nan), np.eye(3))).all()
