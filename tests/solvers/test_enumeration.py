"""Exact enumeration against every configuration tried by NumPy, and what is read off the solutions."""

import math

import numpy as np
import pytest
from catalogue import ALL_MODELS, sized
from scipy.stats import chisquare

from physlearn.inputs import InputError
from physlearn.models import Committee, Instance, Perceptron, Spherical, SymmetricPerceptron, Tethered
from physlearn.models.base import integer_bounds
from physlearn.results import Status
from physlearn.solvers import Enumeration, solve
from physlearn.solvers.enumeration import unpacked

BINARY = [name for name, model in ALL_MODELS.items() if Enumeration().supports(model) is None]


def published_instance(seed, N, P):
    rng = np.random.default_rng(seed)
    patterns = rng.choice([-1, 1], size=(P, N))
    return Instance(patterns, rng.choice([-1, 1], size=P))


def brute_force(instance):
    """The integers of all solutions, by `Model.energy` of every configuration."""
    everything = unpacked(np.arange(2**instance.N), instance.N)
    return [c for c, w in enumerate(everything) if instance.model.energy(instance, w) == 0]


@pytest.mark.parametrize(
    ("seed", "N", "P", "n_solutions"), [(0, 15, 6, 383), (3, 21, 8, 2879), (5, 21, 15, 0)]
)
def test_known_numbers_of_solutions(seed, N, P, n_solutions):
    result = solve(published_instance(seed, N, P), Enumeration(), 1)
    assert result.n_solutions == n_solutions
    assert result.satisfiable == (n_solutions > 0)
    if n_solutions:
        assert result.status is Status.SOLVED
        assert result.entropy == math.log(n_solutions) / N
        assert result.energy == 0
    else:
        assert result.status is Status.UNSATISFIABLE
        assert result.weights is None
        assert math.isnan(result.entropy)


@pytest.mark.parametrize("model", BINARY)
@pytest.mark.parametrize("N", [9, 11])
def test_solutions_are_those_of_brute_force(model, N):
    model = ALL_MODELS[model]
    instance = model.sample(sized(model, N), 7)
    result = solve(instance, Enumeration(), 1)
    np.testing.assert_array_equal(result.solutions, brute_force(instance))
    assert result.solutions.dtype == np.uint32


@pytest.mark.parametrize("shape", [(0, 1), (0, 2), (1, 2), (3, 2), (0, 5), (40, 4), (17, 8)])
@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_small_and_lopsided_instances(shape, patterns):
    rng = np.random.default_rng(shape)
    inputs = rng.choice([-1, 1], size=shape) if patterns == "binary" else rng.standard_normal(shape)
    instance = Instance(
        inputs, np.ones(shape[0], dtype=int), model=Perceptron(1.0, margin=-0.9, patterns=patterns)
    )
    result = solve(instance, Enumeration(), 1)
    np.testing.assert_array_equal(result.solutions, brute_force(instance))
    assert result.n_solutions == len(result.solutions)


@pytest.mark.parametrize("k", [-3, 0, 1, 2, 3, 9])
def test_a_margin_on_the_lattice_is_not_satisfied_by_equality(k):
    N = 9
    margin = k / math.sqrt(N)
    lowest, highest = integer_bounds((margin, math.inf), N)
    s = np.arange(-N, N + 1)
    expected = s[s / math.sqrt(N) > margin]
    assert (lowest, highest) == ((expected[0], N) if expected.size else (N + 1, -N - 1))
    instance = Instance(np.ones((1, N), dtype=int), [1], model=Perceptron(1.0, margin=margin))
    result = solve(instance, Enumeration(), 1)
    assert result.n_solutions == sum(math.comb(N, up) for up in range(N + 1) if 2 * up - N > k)


@pytest.mark.parametrize(
    "bounded", [Perceptron(1.0, patterns="gaussian"), Perceptron(1.0, 2 / 3, patterns="gaussian")]
)
def test_ties_of_real_patterns_are_decided_as_by_the_energy(bounded):
    """Multiples of 0.1 tie often, and sums of them in another order are rounded otherwise."""
    inputs = np.random.default_rng(1).integers(-4, 5, size=(4, 9)) / 10 * 2
    inputs[:, 0] = 0.2
    instance = Instance(inputs, [1, -1, 1, 1], model=bounded)
    energies = [instance.model.stabilities(instance, w) - bounded.margin for w in unpacked(np.arange(512), 9)]
    assert np.abs(energies).min() < 1e-15  # there are ties
    np.testing.assert_array_equal(solve(instance, Enumeration(), 1).solutions, brute_force(instance))


@pytest.mark.parametrize(
    "model", [Perceptron(0.4), SymmetricPerceptron(0.7), Perceptron(0.5, patterns="gaussian")]
)
def test_overlap_histogram_counts_pairs(model):
    result = solve(model.sample(13, 3), Enumeration(), 1)
    pairs = np.bitwise_count(result.solutions[:, None] ^ result.solutions)
    assert result.n_solutions > 1
    np.testing.assert_array_equal(result.overlap_histogram(), np.bincount(pairs.ravel(), minlength=14))


def test_overlap_histogram_without_solutions_or_constraints():
    nothing = solve(published_instance(5, 21, 15), Enumeration(), 1)
    assert not nothing.overlap_histogram().any()
    assert nothing.clusters().size == 0
    everything = solve(Instance(np.zeros((0, 10), dtype=int), []), Enumeration(), 1)
    expected = [1024 * math.comb(10, k) for k in range(11)]
    np.testing.assert_array_equal(everything.overlap_histogram(), expected)
    np.testing.assert_array_equal(everything.clusters(), [1024])


def test_distances_and_local_entropy_around_any_configuration():
    result = solve(Perceptron(0.5).sample(15, 4), Enumeration(), 1)
    weights = result.configurations()
    for reference in (result.weights, weights[-1], np.ones(15)):
        flips = np.count_nonzero(weights != reference, axis=1)
        counts = np.bincount(flips, minlength=16)
        np.testing.assert_array_equal(result.distances(reference), counts)
        entropy = result.local_entropy(reference)
        np.testing.assert_allclose(entropy[counts > 0], np.log(counts[counts > 0]) / 15)
        assert (entropy[counts == 0] == -np.inf).all()
    total = sum(result.distances(w) for w in weights)
    np.testing.assert_array_equal(total, result.overlap_histogram())


@pytest.mark.parametrize(
    "model", [Perceptron(0.5), SymmetricPerceptron(0.9), Perceptron(0.6, patterns="gaussian")]
)
def test_clusters_are_connected_components(model):
    result = solve(model.sample(13, 6), Enumeration(), 1)
    solutions = result.solutions
    cluster = np.arange(solutions.size)
    touching = np.bitwise_count(solutions[:, None] ^ solutions) <= 1
    for _ in range(solutions.size):  # every solution takes the smallest label in reach until nothing changes
        smallest = np.where(touching, cluster, solutions.size).min(axis=1)
        if (smallest == cluster).all():
            break
        cluster = smallest
    expected = np.sort(np.unique(cluster, return_counts=True)[1])[::-1]
    assert 1 < expected.size < solutions.size
    np.testing.assert_array_equal(result.clusters(), expected)


def test_weights_are_a_solution_drawn_uniformly():
    instance = Perceptron(0.3).sample(7, 2)
    result = solve(instance, Enumeration(), 1)
    rng, n = np.random.default_rng(3), 2000
    drawn = [solve(instance, Enumeration(), rng).weights for _ in range(n)]
    counts = np.bincount(
        [np.flatnonzero((result.configurations() == w).all(axis=1)).item() for w in drawn],
        minlength=result.n_solutions,
    )
    assert result.n_solutions > 3
    assert chisquare(counts).pvalue > 1e-4


def test_binary_and_real_kernels_agree_at_a_size_of_several_blocks():
    """The same instance, its entries scaled by a number that no longer allows integers."""
    instance = Perceptron(0.6).sample(19, 8)
    real = Instance(1.5 * instance.patterns, instance.labels, model=Perceptron(0.6, patterns="gaussian"))
    one, other = solve(instance, Enumeration(), 1), solve(real, Enumeration(), 1)
    assert one.n_solutions > 10
    np.testing.assert_array_equal(one.solutions, other.solutions)


def test_refusals():
    with pytest.raises(InputError, match=r"^N: got 27; allowed: at most 26 weights"):
        solve(Perceptron(0.5).sample(27, 1), Enumeration(), 1)
    with pytest.raises(InputError, match=r"^solver: Enumeration needs binary weights"):
        solve(Perceptron(0.5, prior=Spherical()).sample(9, 1), Enumeration(), 1)
    result = solve(Perceptron(0.5).sample(9, 1), Enumeration(), 1)
    with pytest.raises(InputError, match=r"^reference: .* allowed: 9 weights -1 and \+1"):
        result.distances(np.zeros(9))


@pytest.mark.parametrize("model", [Perceptron(0.4), Committee(0.3, tree=True)], ids=repr)
def test_solutions_of_a_tethered_instance_are_drawn_from_its_measure(model):
    """The free entropy is the sum over the solutions, and they come up as often as their weights say."""
    instance = model.sample(9, 3)
    tethered = Tethered(instance, np.where(np.arange(9) % 2, 1, -1), 0.4)
    result = solve(tethered, Enumeration(), 1)
    np.testing.assert_array_equal(result.solutions, brute_force(instance))
    weights = np.exp(result.configurations() @ tethered.external)
    assert result.free_entropy == pytest.approx(np.log(weights.sum()) / 9)
    assert result.entropy == np.log(result.n_solutions) / 9
    powers, rng = 1 << np.arange(9), np.random.default_rng(2)
    drawn = [(solve(tethered, Enumeration(), rng).weights > 0) @ powers for _ in range(1500)]
    counts = np.array([drawn.count(c) for c in result.solutions])
    expected = 1500 * weights / weights.sum()
    assert counts.sum() == 1500
    common = expected > 5
    assert common.sum() > 5
    assert (
        chisquare(
            [*counts[common], counts[~common].sum() + 1e-9],
            [*expected[common], expected[~common].sum() + 1e-9],
        ).pvalue
        > 1e-4
    )


@pytest.mark.parametrize("K", [1, 3, 5])
@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
@pytest.mark.parametrize("tree", [False, True])
def test_committees_with_any_number_of_weights(K, patterns, tree):
    """Even numbers of weights a unit make ties, which real patterns of -1 and +1 have too."""
    for size in (2, 3) if K == 5 else (2, 3, 4):
        rng, D = np.random.default_rng(size), K * size if tree else size
        inputs = rng.choice([-1.0, 1.0], size=(4, D))
        instance = Instance(
            inputs, rng.choice([-1, 1], size=4), model=Committee(0.5, K, tree, patterns=patterns)
        )
        np.testing.assert_array_equal(solve(instance, Enumeration(), 1).solutions, brute_force(instance))
