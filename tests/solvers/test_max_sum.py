"""Max-sum's messages against all configurations, and what it solves."""

import itertools

import numpy as np
import pytest

from physlearn.kernels import max_sum as kernels
from physlearn.models import Committee, Perceptron, Spherical, SymmetricPerceptron, Tethered
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
        kernels.gains(fields, 1, *bounds, new)
        expected = [(best(fields, i, 1, *bounds) - best(fields, i, -1, *bounds)) / 2 for i in range(9)]
        np.testing.assert_allclose(new, expected, atol=1e-12)


@pytest.mark.parametrize("n_hidden", [3, 5])
@pytest.mark.parametrize("scale", [0.02, 0.1, 0.3])
def test_messages_of_a_vote_are_differences_of_maxima(n_hidden, scale):
    """Most units must agree; each can be brought to it by flips of its own weights alone."""
    D = 5 if n_hidden == 3 else 3
    N = n_hidden * D
    W = np.array(list(itertools.product((-1, 1), repeat=N)))
    votes = (W.reshape(-1, n_hidden, D).sum(axis=2) > 0).sum(axis=1)
    for seed in range(6):
        # Most fields are against the pattern.
        fields = scale * (np.random.default_rng(seed).standard_normal(N) - 0.3)
        values = W @ fields - (votes <= n_hidden // 2)
        new = np.empty(N)
        kernels.gains(fields, n_hidden, 1, D, new)
        best = [[np.max(values[W[:, i] == w]) - w * fields[i] for w in (1, -1)] for i in range(N)]
        np.testing.assert_allclose(new, np.subtract(*np.transpose(best)) / 2, atol=1e-12)


def ground(instance):
    """The configurations of largest -E + B.w, and that value, by trying all."""
    W = np.array(list(itertools.product((-1, 1), repeat=instance.N)), dtype=np.int8)
    external = np.zeros(instance.N) if instance.external is None else instance.external
    K = instance.model.n_hidden
    X = instance.gauged.reshape(instance.P, -1, instance.N // K).astype(float)
    sums = np.einsum(
        "mki,wki->wmk", np.broadcast_to(X, (instance.P, K, instance.N // K)), W.reshape(len(W), K, -1)
    )
    values = W @ external - ((sums > 0).sum(axis=2) <= K // 2).sum(axis=1)
    return W[values > values.max() - 1e-9], values.max()


@pytest.mark.parametrize("model", [Perceptron(0.1), Committee(0.1), Committee(0.1, tree=True)], ids=str)
def test_a_single_pattern_has_its_exact_ground_state(model):
    """A tree: the field's own signs where the pattern allows them, else the cheapest flips, or a violation."""
    outcomes = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        plain = model.with_alpha(1 / 9).sample(9, seed)
        instance = Tethered(plain, Spherical().sample(9, rng), (0.05, 0.3, 1.0)[seed % 3])
        result = solve(instance, MaxSum(rate=0.0, start=0.0, n_iterations=5), seed)
        best, _ = ground(instance)
        np.testing.assert_array_equal(result.weights, best[0])
        assert result.status is (Status.SOLVED if result.energy == 0 else Status.CONVERGED)
        follows = np.array_equal(result.weights, np.sign(instance.external))
        outcomes.add((result.energy, bool(follows)))
    assert {(0, True), (0, False)} <= outcomes


@pytest.mark.parametrize("model", [Perceptron(0.1), Committee(0.1), Committee(0.1, tree=True)], ids=str)
@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_a_single_pattern_has_a_ground_state_from_any_start(model, damping):
    """Also where the random first fields satisfy the pattern amply, and where all fields tie but for their signs."""
    outcomes = set()
    for seed in range(24):
        rng = np.random.default_rng(seed)
        plain = model.with_alpha(1 / 9).sample(9, seed)
        against = -np.resize(plain.gauged[0], 9)
        reference = (rng.standard_normal(9), rng.choice([-1, 1], size=9), against)[seed % 3]
        instance = Tethered(plain, reference, (0.05, 0.1, 0.3, 1e-3)[seed % 4])
        result = solve(instance, MaxSum(rate=0.0, damping=damping), seed)
        assert result.status is (Status.SOLVED if result.energy == 0 else Status.CONVERGED)
        outcomes.add(result.status)
        value = instance.external @ result.weights - result.energy
        assert value == pytest.approx(ground(instance)[1], abs=1e-9)
    assert len(outcomes) == 2 or model.n_hidden > 1
    # Without a field every configuration that satisfies the pattern is best.
    for seed in range(5):
        assert solve(model.with_alpha(1 / 9).sample(9, seed), MaxSum(rate=0.0), seed).status is Status.SOLVED


def test_a_single_weight_has_its_exact_ground_state():
    for seed in range(6):
        instance = Perceptron(8.0).sample(1, seed)
        result = solve(instance, MaxSum(rate=0.0, start=0.0), seed)
        assert result.energy == -ground(instance)[1]


@pytest.mark.parametrize("model", [Perceptron(0.2), Committee(0.2), Committee(0.2, tree=True)], ids=str)
def test_loopy_ground_states_against_enumeration(model):
    """Three patterns of fifteen weights: where plain max-sum settles, its signs are the best configuration, mostly."""
    settled, optimal, followed = 0, 0, 0
    for seed in range(20):
        plain = model.sample(15, seed)
        instance = Tethered(plain, Spherical().sample(15, np.random.default_rng(seed)), 0.2)
        result = solve(instance, MaxSum(rate=0.0, start=0.0, damping=0.5, n_iterations=300), seed)
        value = instance.external @ result.weights - result.energy
        _, best = ground(instance)
        assert value <= best + 1e-9
        if result.status is not Status.NOT_CONVERGED:
            settled += 1
            optimal += value > best - 1e-9
            own = np.sign(instance.external)
            followed += instance.external @ own - model.energy(instance, own) > best - 1e-9
    assert settled >= 12
    assert optimal >= 0.75 * settled > 2 * followed


def test_kernels_equal_their_source_bit_for_bit():
    instance = Perceptron(0.4).sample(9, 1)
    rng = np.random.default_rng(1)
    messages, field = rng.uniform(-0.2, 0.2, (instance.P, 9)), rng.standard_normal(9)
    found = []
    for function in (kernels.sweep_max_sum, kernels.sweep_max_sum.py_func):
        u, totals, changes = messages.copy(), np.empty((1, 9)), np.empty(1)
        function(instance.gauged, 1, u, field, *integer_bounds((0.0, np.inf), 9), 0.2, totals, changes, 0, 1)
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
    kernels.gains(field, 3, 1, 3, gains[0])
    kernels.gains.py_func(field, 3, 1, 3, gains[1])
    np.testing.assert_array_equal(*gains)
    costs, found = np.array([0.3, 0.0, 0.9]), np.empty((2, 2, 3))
    kernels.others_costs(costs, *found[0])
    kernels.others_costs.py_func(costs, *found[1])
    np.testing.assert_array_equal(*found)
    sums = np.array([0.0, 0.1, 0.3, 0.7])
    for function in (kernels.flips_to_agree, kernels.flips_to_agree.py_func):
        assert function(-2, 1, 5, 3, 0, sums, 2, -1, sums, 0.1) == pytest.approx(0.6)
        assert function(4, -1, 1, 1, -1, sums, 3, -1, sums, 0.0) == pytest.approx(0.3)


def test_reinforced_max_sum_finds_solutions():
    for model, N in (
        (Perceptron(0.4), 301),
        (Perceptron(0.2, margin=0.5), 201),
        (SymmetricPerceptron(0.4), 101),
        (Committee(0.2, tree=True), 303),
        (Committee(0.2), 303),
    ):
        result = solve(model.sample(N, 1), MaxSum(), 1)
        assert result.status is Status.SOLVED, (model, result)
        assert result.energy == 0


def test_without_reinforcement_it_says_so():
    """Sweeps that run out are told as such, whatever the signs then are; the schedule of reinforcement ends."""
    beyond = Perceptron(3.0).sample(21, 1)
    result = solve(beyond, MaxSum(rate=0.0, n_iterations=50), 1)
    assert result.status is Status.NOT_CONVERGED
    assert result.energy > 0
    assert solve(beyond, MaxSum(n_iterations=50), 1).status is Status.COMPLETED
    tethered = Tethered(Perceptron(0.4).sample(51, 24), np.ones(51), 0.05)
    result = solve(tethered, MaxSum(rate=0.0, n_iterations=60), 1)
    assert (result.status, result.energy) == (Status.NOT_CONVERGED, 0)


@pytest.mark.parametrize("name", ["storage, gaussian", "committee, gaussian", "probit, teacher", "spherical"])
def test_other_models_are_refused(name):
    from catalogue import ALL_MODELS

    assert MaxSum().supports(ALL_MODELS[name]).startswith("MaxSum ")
