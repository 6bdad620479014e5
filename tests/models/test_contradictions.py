"""Instances that plainly have no solution: what is proved of them, and that nothing else is."""

import math

import numpy as np
import pytest
from catalogue import ALL_MODELS, Band, sized

from physlearn.models import (
    Committee,
    GeneralizedLinear,
    Instance,
    Perceptron,
    Replicated,
    Spherical,
    SymmetricPerceptron,
    Tethered,
)
from physlearn.solvers import Enumeration, solve

GAUSSIAN = {"patterns": "gaussian"}
ROOT5 = math.sqrt(5)


def ones(P=1, N=5, scale=1.0):
    return scale * np.ones((P, N))


@pytest.mark.parametrize(
    ("patterns", "labels", "model", "expected"),
    [
        (ones(), [1], Perceptron(0.5), None),
        (ones(2), [1, 1], Perceptron(0.5), None),
        (ones(2), [1, -1], Perceptron(0.5), "patterns 0 and 1"),
        (np.array([[1, 1, -1], [1, -1, 1], [-1, -1, 1]]), [1, 1, 1], Perceptron(0.5), "patterns 0 and 2"),
        (ones(2), [1, -1], Perceptron(0.5, margin=-1.0), None),
        (ones(), [1], Perceptron(0.5, margin=ROOT5), "pattern 0"),
        (ones(), [1], Perceptron(0.5, margin=3 / ROOT5), None),
        (ones(), [1], Perceptron(0.5, margin=0.999 * ROOT5), None),
        (
            ones(),
            [1],
            SymmetricPerceptron(0.5, half_width=0.4),
            "pattern 0",
        ),  # sums are odd, and 1/sqrt 5 > 0.4
        (ones(2), [1, -1], SymmetricPerceptron(0.5, half_width=0.5), None),
        (ones(2), [1, -1], GeneralizedLinear(0.5, Band(0.3, 1.5)), "patterns 0 and 1"),
        (ones(2), [1, -1], GeneralizedLinear(0.5, Band(-2.0, -0.3)), "patterns 0 and 1"),
        (ones(scale=0.1), [1], Perceptron(0.5, margin=0.23, **GAUSSIAN), "pattern 0"),
        (ones(scale=0.1), [1], Perceptron(0.5, margin=0.22, **GAUSSIAN), None),
        (ones(scale=0.1), [1], Perceptron(0.5, margin=0.23, prior=Spherical(), **GAUSSIAN), "pattern 0"),
        (ones(scale=0.1), [1], Perceptron(0.5, margin=0.22, prior=Spherical(), **GAUSSIAN), None),
        (np.array([[3.0, 0, 0]]), [1], Perceptron(0.5, margin=2.9, prior=Spherical(), **GAUSSIAN), None),
        (np.array([[3.0, 0, 0]]), [1], Perceptron(0.5, margin=2.9, **GAUSSIAN), "pattern 0"),
        (ones(2, scale=1e-300), [1, -1], Perceptron(0.5, **GAUSSIAN), "patterns 0 and 1"),
        (np.array([[0.0, 1], [0.0, -1]]), [1, 1], Perceptron(0.5, **GAUSSIAN), "patterns 0 and 1"),
        (ones(scale=0.0), [1], Perceptron(0.5, **GAUSSIAN), "pattern 0"),
        (ones(scale=0.0), [1], Perceptron(0.5, margin=-0.1, **GAUSSIAN), None),
        (ones(2), [1, -1], Committee(0.5), "patterns 0 and 1"),
        (np.array([[1.0, 0, 0]]), [1], Committee(0.5, tree=True, **GAUSSIAN), "pattern 0"),
        (np.array([[1.0, 1, 0]]), [1], Committee(0.5, tree=True, **GAUSSIAN), None),
        (np.array([[1.0, 0, 0]]), [1], Committee(0.5, **GAUSSIAN), None),
        (ones(2), [1, -1], Replicated(Perceptron(0.5), 3, 0.1), "patterns 0 and 1"),
        (np.ones((2, 5)), [1, -1], ALL_MODELS["probit, teacher"], None),
        (np.ones((2, 5)), [1, -1], ALL_MODELS["labelled window, teacher"], None),
        (np.zeros((2, 5)), [1, -1], ALL_MODELS["normal, teacher"], None),
        (np.ones((0, 5)), [], Perceptron(0.5, margin=9.0), None),
    ],
)
def test_what_is_plain_to_see(patterns, labels, model, expected):
    instance = Instance(patterns, labels, model=model)
    sentence = instance.contradiction
    assert (sentence is None) == (expected is None)
    if expected:
        assert sentence.startswith(f"No weights satisfy {expected}")
        assert sentence.endswith(".")
        tethered = Tethered(instance, np.ones(instance.N), 0.1)
        assert tethered.contradiction == sentence


@pytest.mark.parametrize(
    "name",
    [name for name, model in ALL_MODELS.items() if Enumeration().supports(model) is None],
)
def test_only_instances_without_a_solution_are_contradictory(name):
    """Enumeration of small instances finds none wherever a contradiction is told; in many of them one is."""
    model, told = ALL_MODELS[name], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shape = (6, model.n_inputs(sized(model, 3)))
        patterns = rng.choice([-1.0, 1.0], size=shape)
        instance = Instance(patterns, rng.choice([-1, 1], size=6), model=model)
        if instance.contradiction:
            told += 1
            assert solve(instance, Enumeration(), 1).n_solutions == 0
    is_noisy, is_narrow = name == "probit, teacher", name == "symmetric, narrow"
    assert (told > 10) == (is_narrow or (model.channel.bounds[0] >= 0 and not is_noisy))
