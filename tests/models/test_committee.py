"""Committees: votes, sizes, teachers, their errors; and the wrappers of models and instances."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from physlearn import AMP, Committee, Perceptron, Replicated, Spherical, Teacher, Tethered, solve
from physlearn.inputs import InputError
from physlearn.meanfield import replica_symmetric
from physlearn.models import Instance, Linear, Majority, SymmetricPerceptron


def agreements(instance, w, tree):
    """The definition, unit by unit."""
    K = instance.model.n_hidden
    units, votes = w.reshape(K, -1), []
    for pattern, label in zip(instance.patterns.astype(float), instance.labels, strict=True):
        inputs = pattern.reshape(K, -1) if tree else [pattern] * K
        votes.append(sum(label * (unit @ x) > 0 for unit, x in zip(units, inputs, strict=True)))
    return np.array(votes)


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
@pytest.mark.parametrize("K", [1, 3, 5])
def test_the_energy_counts_lost_votes(tree, patterns, K):
    model = Committee(0.7, K, tree, patterns=patterns)
    instance = model.sample(7 * K, 1)
    assert instance.patterns.shape == (round(0.7 * 7 * K), 7 * K if tree else 7)
    w = model.draw(7 * K, np.random.default_rng(2))
    votes = agreements(instance, w, tree)
    assert model.energy(instance, w) == (votes <= K / 2).sum()
    np.testing.assert_allclose(model.stabilities(instance, w), (2 * votes - K) / np.sqrt(K))


def test_one_unit_is_a_perceptron():
    committee, perceptron = Committee(0.6, 1), Perceptron(0.6)
    one, other = (model.sample(25, 3) for model in (committee, perceptron))
    np.testing.assert_array_equal(one.patterns, other.patterns)
    w = committee.draw(25, np.random.default_rng(0))
    assert committee.energy(one, w) == perceptron.energy(other, w)
    label, mean, variance = np.array([1, -1]), np.array([0.3, -0.8]), np.array([0.5, 2.0])
    for name in ("log_partition", "gradient", "curvature"):
        single = getattr(perceptron.channel, name)(label, mean, variance)
        vote = getattr(committee.channel, name)(label, mean[:, None], variance[:, None])
        np.testing.assert_allclose(np.reshape(vote, 2), single, rtol=1e-12)


@pytest.mark.parametrize("K", [1, 3, 5])
def test_the_vote_of_cavity_fields(K):
    """Z_out by enumeration of the units' signs; its derivatives by differences; far tails stay finite."""
    rng, channel = np.random.default_rng(K), Majority(K)
    label = rng.choice([-1, 1], size=6)
    mean, variance = rng.normal(size=(6, K)), rng.uniform(0.2, 2, size=(6, K))
    agree = stats.norm.cdf(label[:, None] * mean / np.sqrt(variance))
    expected = np.zeros(6)
    for signs in itertools.product([0, 1], repeat=K):
        if sum(signs) > K / 2:
            expected += np.prod(np.where(signs, agree, 1 - agree), axis=1)
    np.testing.assert_allclose(np.exp(channel.log_partition(label, mean, variance)), expected, rtol=1e-12)
    gradient, curvature = channel.gradient(label, mean, variance), channel.curvature(label, mean, variance)
    for k in range(K):
        step = np.zeros((6, K))
        step[:, k] = 1e-5
        up, down = (channel.log_partition(label, mean + s * step, variance) for s in (1, -1))
        np.testing.assert_allclose(gradient[:, k], (up - down) / 2e-5, atol=1e-8)
        up, down = (channel.gradient(label, mean + s * step, variance)[:, k] for s in (1, -1))
        np.testing.assert_allclose(curvature[:, k], (up - down) / 2e-5, atol=1e-7)
    far = channel.gradient(np.array([1]), np.full((1, K), -200.0), np.ones((1, K)))
    assert np.isfinite(far).all()
    assert (far > 0).all()


@pytest.mark.parametrize("tree", [False, True])
def test_the_generalization_error_is_that_of_new_patterns(tree):
    model = Committee(1.0, 3, tree, rule=Teacher())
    instance = model.sample(3 * 67, 5)
    w = instance.teacher.copy()
    w[::5] *= -1
    units = w.reshape(3, -1)
    shuffled = w if tree else units[[2, 0, 1]].ravel()
    told = model.teacher_observables(instance, shuffled)
    assert told["teacher_overlap"] == pytest.approx((w @ instance.teacher) / instance.N)
    assert told["recovered"] == 0
    assert model.teacher_observables(instance, instance.teacher)["recovered"] == 1
    fresh = np.random.default_rng(1).standard_normal((40_000, instance.n_inputs))
    votes = [model.channel.predict(model.fields(fresh, item.astype(float))) for item in (w, instance.teacher)]
    measured = np.mean(votes[0] != votes[1])
    assert told["generalization_error"] == pytest.approx(measured, abs=4 * np.sqrt(measured / 40_000))


def test_a_teacher_is_recovered_up_to_the_symmetries_that_there_are():
    """Of shared inputs, the order of the units; the sign of a unit counts, and in a tree its inputs do."""
    for K, n in ((3, 31), (5, 21)):
        shared, tree = (Committee(2.0, K, tree, rule=Teacher()) for tree in (False, True))
        for model in (shared, tree):
            instance = model.sample(K * n, 3)
            units = instance.teacher.reshape(K, n)
            for order in itertools.permutations(range(K)):
                same = model is shared or order == tuple(range(K))
                w = units[list(order)].ravel()
                assert (model.energy(instance, w) == 0) == same
                assert model.teacher_observables(instance, w)["recovered"] == same
            for k in range(K):
                w = units.copy()
                w[k] *= -1
                assert model.energy(instance, w.ravel()) > 0
                assert model.teacher_observables(instance, w.ravel())["recovered"] == 0
            # A single weight of a single unit.
            w = units[::-1].copy() if model is shared else units.copy()
            w[0, 0] *= -1
            assert model.teacher_observables(instance, w.ravel())["recovered"] == 0
            with_one_unit_twice = units[[0, 0, *range(2, K)]].ravel()
            assert model.teacher_observables(instance, with_one_unit_twice)["recovered"] == 0


def test_a_tree_error_in_closed_form():
    """K = 1: arccos(R)/pi. K = 3 at zero overlap: one half; the same weights: none."""
    for R in (-0.5, 0.0, 0.3, 1.0):
        w = np.ones(40, dtype=np.int8)
        w[: round(40 * (1 - R) / 2)] = -1
        model = Committee(1.0, 1, True, rule=Teacher())
        instance = Instance(np.ones((1, 40), dtype=np.int8), [1], np.ones(40), model)
        told = model.teacher_observables(instance, w)["generalization_error"]
        assert told == pytest.approx(np.arccos(R) / np.pi, abs=1e-12)
    density, _ = integrate.dblquad(
        lambda x, y: stats.multivariate_normal.pdf([x, y], cov=[[1, 0.6], [0.6, 1]]), 0, 8, 0, 8
    )
    assert 2 * density == pytest.approx(1 - np.arccos(0.6) / np.pi, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Committee(1.0, 4), "n_hidden: got 4; allowed: odd numbers"),
        (lambda: Committee(1.0, 0), "n_hidden: got 0; allowed: an integer >= 1."),
        (lambda: Committee(1.0, 3, tree=1), "tree: got 1; allowed: one of False, True."),
        (lambda: Committee(1.0, 3).sample(20, 0), "N: got 20; allowed: multiples of n_hidden = 3"),
        (lambda: Committee(1.0, 3).sample(18, 0), "N: got 18; allowed: 3 times odd numbers"),
        (
            lambda: Instance(np.ones((2, 7)), [1, 1], model=Committee(1.0, 3, tree=True)),
            "patterns: got 7 entries a pattern; allowed: a multiple of n_hidden = 3 for a tree.",
        ),
        (lambda: replica_symmetric(Committee(1.0)), "model: got Committee(alpha=1.0, n_hidden=3, tree=False"),
        (lambda: replica_symmetric(Replicated(Perceptron(1.0))), "model: got 'Replicated'; allowed: single"),
        (lambda: Replicated(Perceptron(0.5), 1, 0.1), "n_replicas: got 1; allowed: an integer >= 2."),
        (lambda: Replicated(Perceptron(0.5), 3, -0.1), "coupling: got -0.1; allowed: a finite number >= 0."),
        (lambda: Replicated(Perceptron(0.5), 3, 0.1, "all"), "attraction: got 'all'; allowed: one of"),
        (lambda: Replicated(3), "model: got 3; allowed: a Model"),
        (
            lambda: Replicated(Replicated(Perceptron(0.5))),
            "model: got 'Replicated'; allowed: a model without",
        ),
        (lambda: Tethered(3, [1], 1.0), "instance: got 3; allowed: an Instance."),
        (lambda: Tethered(Perceptron(0.5).sample(9, 0), [1], 1.0), r"reference: got shape (1,); allowed"),
        (
            lambda: Tethered(Perceptron(0.5).sample(9, 0), np.ones(9), np.inf),
            "field: got inf; allowed: a finite number.",
        ),
        (
            lambda: Tethered(Perceptron(0.5).sample(9, 0), np.full(9, 10.0), 1e308),
            "field: got 1e+308, a field of inf on a weight; allowed: fields of at most 1e+06.",
        ),
        (
            lambda: Tethered(Tethered(Perceptron(0.5).sample(9, 0), np.ones(9), 8e5), np.ones(9), 8e5),
            "field: got 800000, a field of 1.6e+06 on a weight; allowed: fields of at most 1e+06.",
        ),
        (
            lambda: Replicated(Perceptron(0.5, prior=Spherical())),
            "model: got one with the prior Spherical(); allowed: models of binary weights.",
        ),
        (
            lambda: Replicated(Perceptron(0.5)).energy(Perceptron(0.5).sample(9, 0), np.ones((5, 9))),
            "w: got shape (5, 9); allowed: one replica, or 3 of them.",
        ),
        (
            lambda: Linear().total(Committee(0.5).sample(9, 0), np.ones(8)),
            "w: got shape (8,); allowed: shape (9,), one entry a weight.",
        ),
        (
            lambda: Linear().total(Committee(0.5).sample(9, 0), np.full(9, np.nan)),
            "w: got float64 entries that are not finite numbers; allowed: finite numbers.",
        ),
    ],
)
def test_bad_input_gets_a_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("model", [Perceptron(0.6), Committee(0.6), SymmetricPerceptron(0.6)])
def test_replicas_share_the_instance_of_their_model(model):
    replicated = Replicated(model, n_replicas=4, coupling=0.2)
    one, many = model.sample(21, 3), replicated.sample(21, 3)
    np.testing.assert_array_equal(one.patterns, many.patterns)
    np.testing.assert_array_equal(one.labels, many.labels)
    w = np.stack([model.draw(21, np.random.default_rng(k)) for k in range(4)])
    assert replicated.energy(many, w) == sum(model.energy(one, replica) for replica in w)
    assert replicated.energy(many, w[0]) == model.energy(one, w[0])
    assert replicated.with_alpha(0.9).alpha == replicated.with_alpha(0.9).model.alpha == 0.9
    assert replicated.with_fields(coupling=0.5, alpha=0.7) == Replicated(model.with_alpha(0.7), 4, 0.5)
    assert one.fingerprint != many.fingerprint


def test_a_tether_is_an_external_field():
    instance = Perceptron(0.6, rule=Teacher()).sample(21, 3)
    tethered = Tethered(instance, instance.teacher, 0.5)
    np.testing.assert_array_equal(tethered.external, 0.5 * instance.teacher)
    np.testing.assert_array_equal(Tethered(tethered, np.ones(21), 1.0).external, tethered.external + 1)
    assert tethered.fingerprint != instance.fingerprint
    assert tethered.model == instance.model


def test_spherical_teachers_have_the_norm_of_each_unit():
    instance = Committee(0.5, 3, prior=Spherical(), rule=Teacher()).sample(30, 1)
    np.testing.assert_allclose((instance.teacher.reshape(3, 10) ** 2).sum(axis=1), 10)
    assert instance.model.energy(instance, instance.teacher) == 0


def test_solvers_say_what_they_do_not_treat():
    instance = Perceptron(0.6, rule=Teacher()).sample(21, 3)
    if not AMP.takes_external:
        with pytest.raises(InputError, match="AMP takes no instance that is tethered"):
            solve(Tethered(instance, instance.teacher, 0.5), AMP(), 0)
