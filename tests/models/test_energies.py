"""Energies against their definitions, written out; limits in which they meet."""

import itertools

import numpy as np
import pytest
from catalogue import ALL_MODELS, sized

from physlearn.inputs import InputError
from physlearn.models import Committee, Instance, Perceptron, SymmetricPerceptron
from physlearn.models.energies import CrossEntropy, Errors, Linear
from physlearn.solvers import Metropolis, ParallelTempering, RejectionFree, ThermodynamicIntegration

MODELS = [
    "storage, margin",
    "storage, gaussian",
    "symmetric",
    "band",
    "committee",
    "tree, gaussian",
    "replicated",
]


class Halved(Errors):
    """An energy of one's own, whose changes no sampler knows."""

    def of_patterns(self, instance, w):
        return super().of_patterns(instance, w) / 2


def drawn(model, N=15):
    model = ALL_MODELS[model]
    instance = model.with_alpha(2.0).sample(sized(model, N), 3)
    return instance, model.prior.sample(instance.N, np.random.default_rng(1))


@pytest.mark.parametrize("model", MODELS)
def test_errors_are_the_energy_of_the_model(model):
    instance, w = drawn(model)
    assert Errors().total(instance, w) == instance.model.energy(instance, w)
    two = np.stack([w, -w])
    assert Errors().total(instance, two) == sum(instance.model.energy(instance, each) for each in two)


def test_the_linear_energy_is_a_distance():
    for model in (Perceptron(2.0, margin=0.3), SymmetricPerceptron(2.0, 0.7)):
        instance = model.sample(15, 1)
        w = model.draw(15, np.random.default_rng(1))
        lower, upper = model.channel.bounds
        h = instance.labels * (instance.patterns.astype(float) @ w) / np.sqrt(15)
        expected = [max(lower - x, 0, x - upper) for x in h]
        np.testing.assert_allclose(Linear().of_patterns(instance, w), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("K", [3, 5])
@pytest.mark.parametrize("tree", [False, True])
def test_the_linear_energy_of_a_committee_is_the_least_change_of_its_fields(K, tree):
    """Over all sets of units that could be the majority: what it takes to turn the wrong ones among them."""
    instance = Committee(1.5, K, tree).sample(7 * K, 2)
    w = instance.model.draw(7 * K, np.random.default_rng(3))
    fields = instance.labels[:, None] * instance.model.fields(instance.patterns, w)
    least = [
        min(sum(max(-h[k], 0) for k in units) for units in itertools.combinations(range(K), (K + 1) // 2))
        for h in fields
    ]
    np.testing.assert_allclose(Linear().of_patterns(instance, w), least, rtol=1e-12)
    assert np.count_nonzero(least) == instance.model.energy(instance, w)


@pytest.mark.parametrize("model", MODELS)
def test_a_steep_cross_entropy_is_linear(model):
    """(L - E)/L vanishes as ln 2/(2 rate); of a committee, in its votes."""
    instance, w = drawn(model)
    if instance.model.n_hidden > 1:
        expected = np.maximum(-instance.model.stabilities(instance, w), 0)
    else:
        expected = Linear().of_patterns(instance, w)
    steep = CrossEntropy(1e4).of_patterns(instance, w)
    np.testing.assert_allclose(steep, expected, atol=2 * np.log(2) / 2e4)


def test_the_cross_entropy_is_minus_the_log_of_a_probability():
    instance, w = drawn("storage, gaussian")
    rate, delta = 0.8, instance.model.stabilities(instance, w)
    probability = 1 / (1 + np.exp(-2 * rate * delta))
    expected = -np.log(probability).sum()
    assert 2 * rate * CrossEntropy(rate).total(instance, w) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CrossEntropy(0), r"rate: got 0; allowed: a finite number > 0\."),
        (lambda: CrossEntropy(float("inf")), r"rate: got inf; allowed: a finite number > 0\."),
        *[
            (
                lambda solver=solver, energy=energy: solver(1.0, 10, energy=energy),
                r"energy: got .*; allowed: one of Errors\(\), Linear\(\) and CrossEntropy\(rate\)\.",
            )
            for solver in (Metropolis, RejectionFree, ParallelTempering, ThermodynamicIntegration)
            for energy in ("linear", Linear, Halved())
        ],
        (lambda: Errors().total(3, [1]), r"instance: got 3; allowed: an Instance\."),
        (lambda: Linear().total(Instance([[1, 1]], [1]), [1]), r"w: got shape \(1,\); allowed: .*\."),
    ],
)
def test_bad_input_gets_a_sentence(make, sentence):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        make()
