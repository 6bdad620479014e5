"""What `solve` tells of weights, whatever solver found them."""

import numpy as np
import pytest
from catalogue import ALL_MODELS

from physlearn.inputs import InputError
from physlearn.models import GeneralizedLinear, Perceptron, Prior
from physlearn.solvers import AMP, Enumeration, solve
from physlearn.solvers.base import common_observables


@pytest.mark.parametrize("model", ["teacher", "spherical, teacher", "normal, teacher"])
def test_the_teacher_is_recovered_where_the_direction_is_its_own(model):
    """Also where the norm is free, so that the overlap w.w*/N of the teacher with itself isn't one."""
    instance = ALL_MODELS[model].sample(51, 1)
    teacher = instance.teacher.astype(float)
    found = common_observables(instance, teacher)
    assert found["recovered"] == 1
    assert found["teacher_overlap"] == pytest.approx(teacher @ teacher / 51)
    assert found["generalization_error"] == pytest.approx(0, abs=1e-7)
    changed = teacher.copy()
    changed[np.argmax(np.abs(teacher))] *= -1
    assert common_observables(instance, 3 * changed)["recovered"] == 0
    assert common_observables(instance, -teacher)["recovered"] == 0


def test_integers_are_printed_as_integers():
    result = solve(Perceptron(0.05).sample(23, 1), Enumeration(), 1)
    assert result.n_solutions > 10**6
    assert f"n_solutions = {result.n_solutions}, " in repr(result)


@pytest.mark.parametrize("solutions", [[-1], [512], [0.5], [[1, 2]], 3, ["a"], [[1], 2]])
def test_configurations_are_integers_below_two_to_the_N(solutions):
    result = solve(Perceptron(0.5).sample(9, 1), Enumeration(), 1)
    assert result.configurations([0, 511]).sum(axis=1).tolist() == [-9, 9]
    with pytest.raises(
        InputError, match=r"^solutions: got .*; allowed: integers from 0 to 511, shape \(n,\)\.$"
    ):
        result.configurations(solutions)


@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_a_recovered_teacher_has_no_entropy(patterns):
    """One solution is left: the sweep keeps the cavity's variance from vanishing, the entropy must not feel it."""
    model = ALL_MODELS["teacher"].with_alpha(3.0)
    instance = Perceptron(3.0, rule=model.rule, patterns=patterns).sample(101, 1)
    result = solve(instance, AMP(), 1)
    assert result.recovered == 1
    assert result.free_entropy == pytest.approx(0, abs=1e-6)


class Plain(Prior):
    """Normal weights of a variance, in a class that says nothing of its values."""

    def __init__(self, scale):
        self.scale = scale

    def log_partition(self, field, precision):
        return self.mean(field, precision) * field / 2 - np.log1p(self.scale * precision) / 2

    def mean(self, field, precision):
        return field * self.variance(field, precision)

    def variance(self, field, precision):
        return np.ones_like(field) * self.scale / (1 + self.scale * precision)

    def sample(self, N, rng):
        return np.sqrt(self.scale) * rng.standard_normal(N)


def test_a_state_knows_the_values_of_a_prior_that_is_no_dataclass():
    one, same, other = (
        GeneralizedLinear(0.5, prior=Plain(scale), patterns="gaussian").sample(9, 1) for scale in (1, 1, 2)
    )
    assert one.fingerprint == same.fingerprint != other.fingerprint
    state = solve(one, AMP(n_iterations=2), 1).state
    with pytest.raises(InputError, match=r"^state: "):
        solve(other, AMP(), 1, state=state)
