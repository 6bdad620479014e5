"""Committees that store: capacities, entropies around solutions and of clones, against identities and enumeration."""

import math

import numpy as np
import pytest

from physlearn import Binary, Committee, Enumeration, Perceptron, Spherical, Status, capacity, solve
from physlearn.inputs import InputError
from physlearn.meanfield import (
    check_stationary,
    committee_capacity,
    committee_state_evolution,
    franz_parisi,
    replica_symmetric,
    replicated_entropy,
)
from physlearn.meanfield.replica import equations_of
from physlearn.meanfield.vote_tensors import averages, chebyshev, contract, votes_of_three
from physlearn.meanfield.votes import effective_overlap
from physlearn.models import Majority

THREE, MANY = Committee(0.5, 3, tree=True), Committee(0.5, math.inf, tree=True)
SHARED = Committee(0.5, math.inf)


def test_one_unit_is_a_perceptron():
    unit, perceptron = replica_symmetric(Committee(0.5, 1, tree=True)), replica_symmetric(Perceptron(0.5))
    for name in ("overlap", "overlap_conjugate", "entropy", "stability"):
        assert getattr(unit, name) == pytest.approx(getattr(perceptron, name), abs=1e-7)
    assert committee_capacity(Committee(1.0, 1, tree=True)) == pytest.approx(capacity(Binary()), abs=1e-8)
    sphere = Committee(1.0, 1, tree=True, prior=Spherical())
    assert committee_capacity(sphere) == pytest.approx(2, abs=1e-10)


def test_more_units_come_nearer_to_infinitely_many():
    """The corrections of capacities and stabilities are of order 1/K."""
    few = [replica_symmetric(Committee(0.5, K, tree=True)) for K in (3, 5)]
    many = replica_symmetric(MANY)
    for name in ("entropy", "overlap", "stability"):
        gaps = np.array([getattr(point, name) - getattr(many, name) for point in few]) * [3, 5]
        assert np.all(gaps * gaps[0] > 0)
        assert np.ptp(gaps) < 0.35 * abs(gaps).max()


@pytest.mark.parametrize(
    "model", [THREE, MANY, Committee(0.5, 5, tree=True), Committee(2.0, math.inf, True, Spherical())]
)
def test_the_gradient_vanishes(model):
    point = replica_symmetric(model)
    assert point.status is Status.CONVERGED
    assert check_stationary(point, 1e-7) < 1e-7


@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("q", [0.003, 0.2, 0.9])
def test_the_overlap_of_many_votes(tree, q):
    found, step = effective_overlap(q, 1 - q, tree), 1e-4 * min(q, 1 - q)
    right, left = (effective_overlap(q + s, 1 - q - s, tree) for s in (step, -step))
    assert found.value + found.variance == pytest.approx(1, abs=1e-14)
    assert (right.value - left.value) / (2 * step) == pytest.approx(found.slope, rel=1e-6)
    assert (right.slope - left.slope) / (2 * step) == pytest.approx(found.bend, rel=1e-6)
    # Signs of normal fields; with shared inputs what is linear in the fields is taken out.
    z = np.random.default_rng(0).standard_normal((2, 400_000))
    first, second = z[0], q * z[0] + math.sqrt(1 - q**2) * z[1]
    rest = 0.0 if tree else math.sqrt(2 / math.pi)
    votes = [np.sign(field) - rest * field for field in (first, second)]
    sampled = np.mean(votes[0] * votes[1]) / np.mean(votes[0] ** 2)
    assert sampled == pytest.approx(found.value, abs=6e-3)


def test_units_that_share_their_inputs_need_not_agree():
    """All patterns halve the number of solutions, up to the capacity; what other solutions the equations have is no
    count."""
    point = replica_symmetric(SHARED)
    assert point.overlap == 0
    assert point.entropy == pytest.approx((1 - 0.5) * math.log(2), abs=1e-12)
    assert committee_capacity(SHARED) == 1
    assert replica_symmetric(Committee(1.01, math.inf)).status is Status.UNPHYSICAL
    loads = [equations_of(SHARED).along(u)[0] for u in np.linspace(-6, 6, 49)]
    assert min(loads) > 9.5


def entropies(N, P, n_instances, rng):
    found = []
    for _ in range(n_instances):
        instance = Committee(P / N, 3, tree=True, patterns="gaussian").sample(N, rng)
        result = solve(instance, Enumeration(), rng)
        if result.n_solutions:
            found.append(math.log(result.n_solutions) / N)
    return np.mean(found), np.std(found) / math.sqrt(len(found))


def test_enumeration_of_small_trees():
    """alpha = 1/3: N = 9, 15 and 21 weights, within 4 standard errors and 1 per cent for the size."""
    rng = np.random.default_rng(2)
    theory = replica_symmetric(Committee(1 / 3, 3, tree=True)).entropy
    for N, n in [(9, 400), (15, 300), (21, 60)]:
        mean, error = entropies(N, N // 3, n, rng)
        assert abs(mean - theory) < 4 * error + 0.01 * theory
        assert error < 0.005


def test_the_vote_of_three_and_its_averages():
    V, means = 0.3, np.linspace(-2, 2, 5)
    votes, channel = votes_of_three(means, V), Majority(3)
    triples = np.stack(np.meshgrid(means, means, means, indexing="ij"), axis=-1)
    gradient = channel.gradient(1.0, triples, V)
    np.testing.assert_allclose(votes.logarithm, channel.log_partition(1.0, triples, V), atol=1e-12)
    np.testing.assert_allclose(votes.gradient, gradient[..., 0], atol=1e-12)
    np.testing.assert_allclose(votes.squared, np.sum(gradient**2, axis=-1), atol=1e-10)
    steps = 1e-5 * np.eye(3)
    seconds = [channel.gradient(1.0, triples + s, V) - channel.gradient(1.0, triples - s, V) for s in steps]
    np.testing.assert_allclose(votes.bend, np.sum((np.array(seconds) / 2e-5) ** 2, axis=(0, -1)), rtol=1e-5)
    x, weight = np.polynomial.hermite_e.hermegauss(60)
    weight /= weight.sum()
    nodes = chebyshev(7.5, V)
    measures = [
        averages(nodes, np.array([field]), weight[None]) for field in (0.7 * x, 0.7 * x + 0.1, 0.5 * x)
    ]
    found = contract(votes_of_three(nodes.points, V).logarithm, *measures)
    grid = np.stack(np.meshgrid(0.7 * x, 0.7 * x + 0.1, 0.5 * x, indexing="ij"), axis=-1)
    exact = np.einsum("i,j,k,ijk", weight, weight, weight, channel.log_partition(1.0, grid, V))
    assert found.item() == pytest.approx(exact, abs=1e-7)


@pytest.mark.parametrize(("model", "distances"), [(THREE, (0.25,)), (MANY, (0.3, 0.1, 0.02))])
def test_solutions_around_a_solution(model, distances):
    typical = replica_symmetric(model)
    top = franz_parisi(model, (1 - typical.overlap) / 2)
    assert top.local_entropy == pytest.approx(typical.entropy, abs=1e-8)
    assert top.local_entropy_slope == pytest.approx(0, abs=1e-7)
    assert top.typical_overlap == pytest.approx(typical.overlap, abs=1e-7)
    assert top.stability == pytest.approx(typical.stability, abs=1e-6)
    for d in distances:
        point = franz_parisi(model, d)
        right, left = (franz_parisi(model, d + h, start=point).local_entropy for h in (1e-4, -1e-4))
        assert (right - left) / 2e-4 == pytest.approx(point.local_entropy_slope, rel=1e-5)
        assert check_stationary(point, 1e-6) < 1e-6


def test_enumeration_around_solutions_of_small_trees():
    """N = 15: quenched means around drawn solutions, 4 standard errors and 0.06 for the size."""
    rng, N, k = np.random.default_rng(5), 15, 4
    logs = []
    for _ in range(150):
        result = solve(Committee(1 / 3, 3, tree=True, patterns="gaussian").sample(N, rng), Enumeration(), rng)
        if not result.n_solutions:
            continue
        for reference in result.configurations(rng.choice(result.solutions, size=5)):
            logs.append(math.log(max(result.distances(reference)[k], 0.5) / math.comb(N, k)) / N)
    d = k / N
    theory = franz_parisi(Committee(1 / 3, 3, tree=True), d).local_entropy
    mixing = -d * math.log(d) - (1 - d) * math.log(1 - d)
    error = np.std(logs) / math.sqrt(len(logs) / 5)
    assert abs(np.mean(logs) + mixing - theory) < 4 * error + 0.06


@pytest.mark.parametrize(
    ("model", "n_replicas", "overlap"),
    [
        (MANY, 3, 0.7),
        (MANY, 40, 0.5),
        (MANY, math.inf, 0.6),
        pytest.param(THREE, 2, 0.5, marks=pytest.mark.validation),
    ],
)
def test_clones(model, n_replicas, overlap):
    point = replicated_entropy(model, n_replicas, overlap)
    assert point.status is Status.CONVERGED
    assert check_stationary(point, 1e-6) < 1e-6
    right, left = (
        replicated_entropy(model, n_replicas, overlap + h, start=point).local_entropy for h in (1e-4, -1e-4)
    )
    assert (right - left) / 2e-4 == pytest.approx(point.local_entropy_slope, rel=1e-5)
    if math.isfinite(n_replicas):
        h = 1e-3 * n_replicas
        more, fewer = (
            replicated_entropy(model, n_replicas + s, overlap, start=point).local_entropy for s in (h, -h)
        )
        assert -(n_replicas**2) * (more - fewer) / (2 * h) == pytest.approx(point.complexity, rel=1e-4)


def test_infinitely_many_clones_are_the_limit_of_many():
    limit = replicated_entropy(MANY, math.inf, 0.3)
    last = [replicated_entropy(MANY, n, 0.3) for n in (500.0, 1000.0)]
    gaps = [point.local_entropy - limit.local_entropy for point in last]
    assert gaps[0] == pytest.approx(2 * gaps[1], rel=0.02)
    assert 1000 * gaps[1] == pytest.approx(limit.complexity, rel=0.02)


@pytest.mark.parametrize("model", [THREE, MANY])
def test_one_clone_is_replica_symmetric(model):
    point, typical = replicated_entropy(model, 1, 0.6), replica_symmetric(model)
    assert point.local_entropy == pytest.approx(typical.entropy, abs=1e-8)
    assert point.stability_between == pytest.approx(typical.stability, abs=1e-6)


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (replica_symmetric, (Committee(0.5, 3),), "model: got .*; allowed: trees of at most 7 units"),
        (
            replica_symmetric,
            (Committee(0.5, 3, True, Spherical()),),
            "model: got .*; allowed: binary weights",
        ),
        (
            committee_capacity,
            (Committee(1.0, math.inf, True, Spherical()),),
            "n_hidden: got inf; allowed for sph",
        ),
        (committee_capacity, (Perceptron(1.0),), "model: got Perceptron"),
        (
            franz_parisi,
            (Committee(0.99, 3, True), 0.1),
            r"alpha: got 0.99; allowed: loads up to .* 0\.920619",
        ),
        (franz_parisi, (THREE, 0.1, 0.2), "reference_margin: got 0.2; allowed: none"),
        (franz_parisi, (SHARED, 0.1), "model: got .*; allowed: trees of 3 or infinitely many"),
        (replicated_entropy, (THREE, math.inf, 0.5), "n_replicas: got inf; allowed: finite numbers"),
        (committee_state_evolution, (MANY, 3), "model: got .*; allowed: finite trees"),
    ],
)
def test_bad_input_is_one_sentence(function, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        function(*arguments)


def test_infinitely_many_units_have_no_instances():
    with pytest.raises(InputError, match="n_hidden: got inf; allowed: finite numbers of units for instances"):
        MANY.sample(21, 0)
