"""Max-sum's messages against all configurations, and what it solves."""

import itertools

import numpy as np
import pytest

from physlearn.kernels import max_sum as kernels
from physlearn.models import Perceptron, SymmetricPerceptron
from physlearn.models.base import integer_bounds
from physlearn.results import Status
from physlearn.solvers import MaxSum, solve


def best(fields, i, value, lowest, highest):
    """The largest -E + sum of the others' fields over all configurations with weight i fixed."""
    W = np.array([w for w in itertools.product((-1, 1), repeat=fields.size) if w[i] == value])
    violated = (W.sum(axis=1) < lowest) | (W.sum(axis=1) > highest)
    return np.max(W @ fields - value * fields[i] - violated)


@pytest.mark.parametrize("bounds", [(1, 9), (5, 9), (-1, 1), (-3, 5), (9, 9), (10, -10)])
@pytest.mark.parametrize("scale", [0.02, 0.1, 0.5])
def test_messages_are_differences_of_maxima(bounds, scale):
    for seed in range(6):
        fields = scale * np.random.default_rng(seed).standard_normal(9)
        fields[seed % 9] = 0.0
        new = np.empty(9)
        kernels.gains(fields, *bounds, new)
        expected = [(best(fields, i, 1, *bounds) - best(fields, i, -1, *bounds)) / 2 for i in range(9)]
        np.testing.assert_allclose(new, expected, atol=1e-12)


def test_kernels_equal_their_source_bit_for_bit():
    instance = Perceptron(0.4).sample(9, 1)
    rng = np.random.default_rng(1)
    messages, field = rng.uniform(-0.2, 0.2, (instance.P, 9)), rng.standard_normal(9)
    found = []
    for function in (kernels.sweep_max_sum, kernels.sweep_max_sum.py_func):
        u, totals, changes = messages.copy(), np.empty((1, 9)), np.empty(1)
        function(instance.gauged, u, field, *integer_bounds((0.0, np.inf), 9), 0.2, totals, changes, 0, 1)
        found.append((u, totals, changes))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    sizes, chosen, order = np.abs(field), field < 0, np.argsort(np.abs(field))
    ranks = [(np.empty(9, np.int64), np.zeros(10)) for _ in range(2)]
    assert kernels.rank(sizes, chosen, order, *ranks[0]) == kernels.rank.py_func(
        sizes, chosen, order, *ranks[1]
    )
    np.testing.assert_array_equal(ranks[0][1], ranks[1][1])
    assert kernels.cheapest(2, 5, 1, 0.3, ranks[0][1]) == kernels.cheapest.py_func(2, 5, 1, 0.3, ranks[0][1])
    gains = np.empty((2, 9))
    kernels.gains(field, 1, 9, gains[0])
    kernels.gains.py_func(field, 1, 9, gains[1])
    np.testing.assert_array_equal(*gains)


def test_reinforced_max_sum_finds_solutions():
    for model, N in (
        (Perceptron(0.4), 301),
        (Perceptron(0.2, margin=0.5), 201),
        (SymmetricPerceptron(0.4), 101),
    ):
        result = solve(model.sample(N, 1), MaxSum(), 1)
        assert result.status is Status.SOLVED, (model, result)
        assert result.energy == 0


def test_without_reinforcement_it_says_so():
    result = solve(Perceptron(3.0).sample(21, 1), MaxSum(rate=0.0, n_iterations=50), 1)
    assert result.status in (Status.CONVERGED, Status.COMPLETED)
    assert result.energy > 0


@pytest.mark.parametrize("name", ["storage, gaussian", "committee", "probit, teacher", "spherical"])
def test_other_models_are_refused(name):
    from catalogue import ALL_MODELS

    assert MaxSum().supports(ALL_MODELS[name]).startswith("MaxSum ")
