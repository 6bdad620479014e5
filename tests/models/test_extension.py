"""A model is a prior and a channel: two of them from scratch, in at most twenty lines each, get the whole theory."""

import inspect

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr

from physlearn.meanfield import (
    algorithmic_threshold,
    bayes_optimal,
    check_stationary,
    curve,
    replica_symmetric,
    state_evolution,
    symmetric_capacity,
)
from physlearn.models import Channel, GeneralizedLinear, SymmetricPerceptron, Teacher
from physlearn.results import Status
from physlearn.solvers import AMP, solve


class Band(Channel):
    """The symmetric perceptron: a pattern is satisfied when abs(h) < 1."""

    edges = bounds = (-1.0, 1.0)

    def log_partition(self, label, mean, variance):
        s = np.sqrt(variance)
        return np.log(ndtr((1 - np.abs(mean)) / s) - ndtr((-1 - np.abs(mean)) / s))

    def _ratios(self, label, mean, variance):
        a, b = (-1 - mean) / np.sqrt(variance), (1 - mean) / np.sqrt(variance)
        log_total = self.log_partition(label, mean, variance) + np.log(2 * np.pi) / 2
        return a, b, np.exp(-(a**2) / 2 - log_total), np.exp(-(b**2) / 2 - log_total)

    def gradient(self, label, mean, variance):
        _, _, at_a, at_b = self._ratios(label, mean, variance)
        return (at_a - at_b) / np.sqrt(variance)

    def curvature(self, label, mean, variance):
        a, b, at_a, at_b = self._ratios(label, mean, variance)
        return (a * at_a - b * at_b - (at_a - at_b) ** 2) / variance


class Probit(Channel):
    """Output noise: y is the sign of h plus half a standard normal number."""

    def _scaled(self, label, mean, variance):
        width = np.sqrt(variance + 0.25)
        x = label * mean / width
        return x, width, np.exp(-(x**2) / 2 - log_ndtr(x)) / np.sqrt(2 * np.pi)

    def log_partition(self, label, mean, variance):
        return log_ndtr(self._scaled(label, mean, variance)[0])

    def gradient(self, label, mean, variance):
        _, width, ratio = self._scaled(label, mean, variance)
        return label * ratio / width

    def curvature(self, label, mean, variance):
        x, width, ratio = self._scaled(label, mean, variance)
        return -ratio * (x + ratio) / width**2


@pytest.mark.parametrize("channel", [Band, Probit])
def test_a_channel_is_at_most_twenty_lines(channel):
    lines = [line for line in inspect.getsource(channel).splitlines() if line.strip()]
    assert len(lines) <= 20


def test_the_band_gets_replica_symmetry_and_stability():
    mine, theirs = (
        replica_symmetric(GeneralizedLinear(1.1, Band())),
        replica_symmetric(SymmetricPerceptron(1.1)),
    )
    for name in ("overlap", "entropy", "stability", "free_entropy"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name), abs=1e-9)
    beyond = replica_symmetric(GeneralizedLinear(1.01 * symmetric_capacity(1.0), Band()))
    assert beyond.status is Status.UNPHYSICAL
    # Where q = 0 is stable, state evolution stays there, and AMP on an instance returns to it.
    assert state_evolution(GeneralizedLinear(1.1, Band()), 20).overlap[-1] == 0
    away = replica_symmetric(GeneralizedLinear(1.1, Band()), start={"overlap": 0.2})
    assert away.overlap == pytest.approx(0, abs=1e-12)
    result = solve(GeneralizedLinear(0.4, Band()).sample(401, 1), AMP(), 2)
    assert result.observables["overlap"] == pytest.approx(0, abs=0.02)


def test_probit_gets_bayes_optimal_curves_and_state_evolution():
    model = GeneralizedLinear(1.0, Probit(), rule=Teacher())
    data = curve(bayes_optimal, model, over={"alpha": [0.5, 1.0, 2.0]})
    assert (np.diff(data.teacher_overlap) > 0.1).all()
    assert (np.diff(data.generalization_error_bayes) < -0.02).all()
    assert (data.entropy > 0).all()
    assert (data.stability > 0).all()
    point = replica_symmetric(model)
    assert check_stationary(point) < 1e-7
    assert point.overlap == pytest.approx(float(data.overlap.sel(alpha=1.0)), abs=1e-9)
    path = state_evolution(model, 60)
    assert path.teacher_overlap[-1] == pytest.approx(point.teacher_overlap, abs=1e-9)
    with pytest.raises(ValueError, match="grows continuously"):
        algorithmic_threshold(model)


def test_amp_meets_the_theory_of_the_probit():
    model = GeneralizedLinear(1.0, Probit(), rule=Teacher())
    point = bayes_optimal(model)
    overlaps = []
    for seed in range(8):
        result = solve(model.sample(1001, seed), AMP(), 100 + seed)
        assert result.status is Status.CONVERGED
        overlaps.append(result.observables["teacher_overlap"])
    # The weights deployed are the signs of the means; 4 standard errors of 8 instances, plus 10/N.
    error = np.std(overlaps, ddof=1) / np.sqrt(8)
    assert abs(np.mean(overlaps) - point.estimator_overlap) < 5 * error + 10 / 1001
