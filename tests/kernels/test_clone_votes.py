"""The votes of clones: the kernel against its own text in Python, and against sums written out."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from scipy.stats import norm

from physlearn.kernels.clone_votes import votes_of_clones
from physlearn.models import Majority


def arguments(n_replicas):
    rng = np.random.default_rng(0)
    variance, means = 0.4, rng.normal(size=(4, 3))
    width = np.sqrt(variance)
    weights = np.array([0.1, 0.4, 0.3, 0.2])
    agree, density = norm.sf(-means / width), norm.pdf(means / width) / width
    return agree, density, means, np.log(weights), variance, n_replicas


def evaluated(function, n_replicas):
    out = np.full((10, 7), np.nan)
    function(*arguments(n_replicas), out)
    return out


def test_the_kernel_is_its_own_text():
    assert np.array_equal(evaluated(votes_of_clones, 3.0), evaluated(votes_of_clones.py_func, 3.0))


@pytest.mark.parametrize("n", [1.0, 2.5])
def test_sums_written_out(n):
    _, _, means, log_weights, V, _ = arguments(n)
    channel, weights = Majority(3), np.exp(log_weights)
    found = evaluated(votes_of_clones, n)
    share = np.einsum("i,j,k->ijk", weights, weights, weights)
    steps = 1e-5 * np.eye(3)
    for row, triple in enumerate(combinations_with_replacement(range(3), 3)):
        fields = np.stack(np.meshgrid(*means[:, triple].T, indexing="ij"), axis=-1)
        logs = channel.log_partition(1.0, fields, V)
        measure = share * np.exp(n * logs)
        partition = measure.sum()
        measure = (measure / partition)[..., None, None]
        g = channel.gradient(1.0, fields, V)
        seconds = np.stack(
            [
                (channel.gradient(1.0, fields + s, V) - channel.gradient(1.0, fields - s, V)) / 2e-5
                for s in steps
            ],
            axis=-1,
        )
        mean_g = (measure[..., 0] * g).sum(axis=(0, 1, 2))
        products = (measure * g[..., :, None] * g[..., None, :]).sum(axis=(0, 1, 2))
        covariance = products - np.outer(mean_g, mean_g)
        mean_second = (measure * seconds).sum(axis=(0, 1, 2))
        expected = [
            np.log(partition) / n,
            (measure[..., 0, 0] * logs).sum(),
            mean_g @ mean_g,
            n * np.trace(covariance),
            np.sum((mean_second + n * covariance) ** 2),
            (measure * seconds**2).sum(),
            np.trace(mean_second),
        ]
        np.testing.assert_allclose(found[row], expected, rtol=1e-7)
