"""Models and instances: what they keep of what was given, what they refuse, and when a model has an energy."""

import dataclasses
import re

import numpy as np
import pytest
from catalogue import ALL_MODELS, Band, Gaussian, LabelledWindow, Probit

import physlearn
from physlearn.inputs import InputError
from physlearn.models import (
    Channel,
    GeneralizedLinear,
    Instance,
    Model,
    Perceptron,
    Prior,
    Spherical,
    SymmetricPerceptron,
    Teacher,
    Threshold,
    Window,
)
from physlearn.solvers import AMP, Enumeration, Metropolis, SimulatedAnnealing, solve


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64, np.array, int])
def test_parameters_are_kept_as_python_numbers(kind):
    """Else a calculation would go on in the precision of the scalar it was given."""
    half, one = kind(0.5), kind(1)
    items = [
        Perceptron(one, margin=half),
        SymmetricPerceptron(one, half_width=one),
        Threshold(half),
        Window(one),
        AMP(tolerance=one, damping=half),
        Metropolis(beta=half, n_sweeps=3, burn_in=half),
        SimulatedAnnealing(schedule=(half,)),
    ]
    for item in items:
        kept = [value for value in vars(item).values() if np.asarray(value).dtype.kind in "fiu"]
        assert kept
        assert all(type(value) in (float, int, tuple) for value in kept)
        assert item == dataclasses.replace(item)
        assert hash(item) == hash(dataclasses.replace(item))
    assert Perceptron(half or one) == Perceptron(float(half or one))
    assert hash(Perceptron(half or one)) == hash(Perceptron(float(half or one)))


def test_counts_are_kept_as_python_integers():
    for item, name in (
        (AMP(n_iterations=np.int8(9)), "n_iterations"),
        (Metropolis(1.0, n_sweeps=np.int16(9)), "n_sweeps"),
        (SimulatedAnnealing(9, sweeps_per_record=np.uint8(9)), "sweeps_per_record"),
    ):
        assert type(getattr(item, name)) is int
        assert getattr(item, name) == 9


class Counting(Probit):
    labels = (0.0, 1.0, 2.0)


class Bare(Model):
    """A model whose author forgot its channel."""


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SymmetricPerceptron(0.5, half_width=0), "half_width: got 0; allowed: a finite number > 0."),
        (
            lambda: SymmetricPerceptron(0.5, half_width=-1),
            "half_width: got -1; allowed: a finite number > 0.",
        ),
        (
            lambda: SymmetricPerceptron(0.5, half_width=np.inf),
            "half_width: got inf; allowed: a finite number > 0.",
        ),
        (lambda: Perceptron(0.5, margin=np.nan), "margin: got nan; allowed: a finite number."),
        (lambda: Model(1.0), "Model: got Model itself; allowed: models with a channel, such as"),
        (lambda: Bare(1.0), "channel: got None; allowed: a Channel such as Threshold(margin)."),
        (lambda: GeneralizedLinear(1.0, channel=1), "channel: got 1; allowed: a Channel such as"),
        (
            lambda: GeneralizedLinear(1.0, channel=Counting()),
            "channel: got the labels (0.0, 1.0, 2.0); allowed: channels whose labels are -1 and +1.",
        ),
        (lambda: Instance([[1, -1]], [1], model="x"), "model: got 'x'; allowed: a Model."),
        (lambda: Perceptron(0.5).energy(3, [1]), "instance: got 3; allowed: an Instance."),
        (
            lambda: Perceptron(0.5).sample(10**9 + 1, 0),
            "N: got 1000000001; allowed: sizes whose patterns fit",
        ),
        (
            lambda: Perceptron(1e308).sample(10**9 + 1, 0),
            "N: got 1000000001; allowed: sizes whose patterns fit",
        ),
        (lambda: Perceptron(0.5).sample(10**400, 0), "N: got 1000"),
        (
            lambda: Instance([[1, -1, 1]], [1], [5, 0, 0]),
            "teacher: got entries such as 5; allowed: -1 and +1 for binary weights.",
        ),
        (
            lambda: Instance([[1, -1, 1]], [1], [5, 0, 0], Perceptron(1, prior=Spherical())),
            "teacher: got weights with w.w = 25; allowed: weights with w.w = N = 3.",
        ),
        (
            lambda: Instance([[1, -1, 1]], [1], [[1], 0, 0]),
            "teacher: got [[1], 0, 0]; allowed: finite numbers, one a weight.",
        ),
    ],
)
def test_bad_models_and_instances_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=rf"^{re.escape(sentence)}") as caught:
        make()
    assert str(caught.value).endswith(".")


def test_integers_serve_as_real_patterns():
    model = Perceptron(0.5, patterns="gaussian")
    for entries in ([[1, -1, 1]], [[3, 0, -2]]):
        instance = Instance(entries, [1], model=model)
        assert instance.patterns.dtype == np.float64
        np.testing.assert_array_equal(instance.patterns, entries)


def test_a_teacher_of_a_prior_without_norm_has_any():
    model = GeneralizedLinear(1.0, prior=Gaussian(), rule=Teacher(), patterns="gaussian")
    assert Instance([[0.3, -1.0, 0.2]], [1], [5, 0, 0], model).teacher.tolist() == [5, 0, 0]


def test_an_even_number_of_weights_is_taken_and_its_ties_are_violated():
    instance = Instance([[1, 1]], [1])
    assert instance.model.energy(instance, [1, -1]) == 1
    assert instance.model.energy(instance, [1, 1]) == 0


@dataclasses.dataclass(frozen=True)
class Misplaced(Threshold):
    """A threshold whose bounds are not where it is."""

    bounds = (-0.5, np.inf)


@dataclasses.dataclass(frozen=True)
class Lossy(Threshold):
    """A threshold whose author lost its tails."""

    def log_partition(self, label, mean, variance):
        return np.where(np.abs(mean) > 2, np.nan, super().log_partition(label, mean, variance))


@pytest.mark.parametrize(
    "channel",
    [
        *(Threshold(margin) for margin in (0.0, 7.0, -0.01, 1e300)),
        *(Window(half_width) for half_width in (1e-4, 0.1, 5.0)),
        Band(),
        Lossy(),
        *(Probit(noise) for noise in (0.01, 0.5, 30.0)),
    ],
    ids=repr,
)
def test_bounds_that_are_those_of_the_channel_define_an_energy(channel):
    assert GeneralizedLinear(1.0, channel=channel).energy_refusal is None


@pytest.mark.parametrize("channel", [LabelledWindow(), LabelledWindow(2.0), Misplaced(0.3)], ids=repr)
def test_models_without_an_energy_say_so(channel):
    """Of a labelled window the teacher itself is outside of the bounds for half of the patterns."""
    model = GeneralizedLinear(1.0, channel=channel)
    instance = model.sample(9, 1)
    sentence = model.energy_refusal
    assert repr(channel) in sentence
    with pytest.raises(InputError, match=rf"^energy: {re.escape(sentence)}$"):
        model.energy(instance, np.ones(9))
    for solver in (Enumeration(), Metropolis(1.0, 10), SimulatedAnnealing(10)):
        assert sentence in solver.supports(model)


def test_message_passing_learns_a_labelled_window_without_an_energy():
    model = dataclasses.replace(ALL_MODELS["labelled window, teacher"], alpha=3.0, prior=Gaussian())
    result = solve(model.sample(101, 2), AMP(n_iterations=50), 1)
    assert not {"energy", "solved"} & set(result.observables)
    assert -1 <= result.teacher_overlap <= 1.5


def test_what_models_are_made_of_is_at_the_top():
    for part in (Channel, Prior, Threshold, Window):
        assert getattr(physlearn, part.__name__) is part
        assert part.__name__ in physlearn.__all__
