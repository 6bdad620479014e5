"""The fixed-point solver on maps whose fixed points are known."""

import math

import numpy as np
import pytest

from physlearn.meanfield import base
from physlearn.meanfield.base import extremize


def test_the_first_of_three_fixed_points_is_found():
    # x - F(x) has roots 1, 1.2 and 3; plain iteration from 0 rises to 1, from 2 to 3, from 1.1 falls to 1.
    def update(x):
        return x - 0.2 * (x - 1) * (x - 1.2) * (x - 3)

    for start, root in ((0.0, 1.0), (1.1, 1.0), (1.3, 3.0), (5.0, 3.0)):
        end = extremize(update, np.array([start]))
        assert end.converged
        assert end.x == pytest.approx([root], abs=1e-9)


@pytest.mark.parametrize("gap", [1e-4, 1e-8, 1e-12, 1e-16])
def test_a_spinodal_is_neither_jumped_over_nor_invented(gap):
    # The residual (x - 1)^2 -+ gap touches zero at the spinodal; the next fixed point is at 4.
    def before(x):
        return x + 0.3 * ((x - 1) ** 2 - gap) * (4 - x)

    end = extremize(before, np.array([0.0]))
    assert end.converged
    assert end.x[0] == pytest.approx(1 - math.sqrt(gap), abs=3e-6)
    assert end.n_updates < 200

    def beyond(x):
        return x + 0.3 * ((x - 1) ** 2 + gap) * (4 - x)

    if gap > 1e-11:  # below the tolerance the bottleneck is a fixed point
        end = extremize(beyond, np.array([0.0]))
        assert end.x == pytest.approx([4.0], abs=1e-9)


def test_coupled_variables_with_rotation_converge():
    matrix = np.array(
        [[0.3, -1.4], [1.1, 0.2]]
    )  # complex eigenvalues outside the unit disc: plain iteration diverges
    target = np.array([0.7, -0.3])
    end = extremize(lambda x: target + matrix @ (x - target) + 0.1 * (x - target) ** 3, np.zeros(2))
    assert end.converged
    assert end.x == pytest.approx(target, abs=1e-9)


def test_a_drift_to_infinity_is_told():
    def update(x):
        return x + 1e-6 if x[0] < 100 else np.array([np.inf])

    end = extremize(update, np.zeros(1))
    assert end.escaped
    assert not end.converged
    assert end.n_updates < 100


def test_a_residual_that_vanishes_at_infinity_only_is_no_fixed_point():
    end = extremize(lambda x: x + np.exp(-x), np.zeros(1))
    assert end.escaped


def test_the_iteration_limit_is_told():
    end = extremize(lambda x: x + 0.3 * ((x - 1) ** 2 + 1e-9) * (4 - x), np.zeros(1), max_updates=10)
    assert not end.converged
    assert end.residual > 1e-11


def test_steps_are_held_back_near_a_bottleneck(monkeypatch):
    # What the reach is for: with none, Newton's step from the flat bottom flies far past it.
    lengths = []
    step = base._step

    def spy(residual, jacobian, reach, stride):
        result = step(residual, jacobian, reach, stride)
        lengths.append(np.linalg.norm(result[0]) / np.linalg.norm(residual) / reach)
        return result

    monkeypatch.setattr(base, "_step", spy)
    extremize(lambda x: x + 0.3 * ((x - 1) ** 2 + 1e-6) * (4 - x), np.zeros(1))
    assert max(lengths) <= 1 + 1e-9
