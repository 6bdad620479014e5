"""Channels and priors: their derivatives against mpmath, into the tails."""

import dataclasses
import math

import mpmath
import numpy as np
import pytest

from physlearn.models import Binary, GeneralizedLinear, Instance, Spherical, Threshold, Window
from physlearn.models.channels import interval
from physlearn.solvers import AMP, BeliefPropagation, solve

DIGITS = 700
VARIANCES = [1.0, 0.1, 1e-3, 1e-8]
MEANS = [0.0, 1e-3, 0.3, 0.999, 1.2, 4.0]


def tail(x):
    return mpmath.erfc(x / mpmath.sqrt(2)) / 2


def exact_log_partition(channel, label, variance):
    """Log Z_out as a function of the mean."""
    width = mpmath.sqrt(mpmath.mpf(variance))
    if isinstance(channel, Window):
        K = mpmath.mpf(channel.half_width)
        # The means here are positive: seen from their side, no two numbers close to one are subtracted.
        return lambda mean: mpmath.log(tail((mean - K) / width) - tail((mean + K) / width))
    return lambda mean: mpmath.log(tail((mpmath.mpf(channel.margin) - label * mean) / width))


@pytest.mark.parametrize(
    "channel",
    [
        *(Threshold(margin) for margin in (-2.0, 0.0, 5.0)),
        *(Window(half_width) for half_width in (1e-8, 1e-3, 0.1, 1.0, 8.0)),
    ],
)
@pytest.mark.parametrize("label", [-1.0, 1.0])
def test_channels_equal_mpmath(channel, label):
    checked = 0
    with mpmath.workdps(DIGITS):
        for variance in VARIANCES:
            log_partition = exact_log_partition(channel, label, variance)
            step = mpmath.mpf(10) ** -60 * mpmath.sqrt(variance)
            for mean in MEANS:
                x = mpmath.mpf(mean)
                below, here, above = log_partition(x - step), log_partition(x), log_partition(x + step)
                reference = [here, (above - below) / (2 * step), (above - 2 * here + below) / step**2]
                got = [
                    method(label, np.float64(mean), variance)
                    for method in (channel.log_partition, channel.gradient, channel.curvature)
                ]
                for value, wanted in zip(got, map(float, reference), strict=True):
                    # Where the number itself leaves the range of doubles it is zero.
                    assert value == pytest.approx(wanted, rel=1e-11, abs=1e-290)
                    checked += wanted != 0
    assert checked > 30


def test_nothing_overflows_at_vanishing_variances():
    with np.errstate(all="raise", under="ignore"):
        mean = np.array([-3.0, -1e-9, 0.0, 1e-9, 0.5, 3.0])
        for channel in (Threshold(0.3), Window(0.7)):
            for variance in (1e-30, 1e-100, 1e-200):
                for method in (channel.log_partition, channel.gradient, channel.curvature):
                    assert np.isfinite(method(1.0, mean, variance)).all()


def test_a_window_is_blind_to_the_sign():
    window, mean = Window(0.8), np.linspace(0, 3, 7)
    for method, parity in ((window.log_partition, 1), (window.gradient, -1), (window.curvature, 1)):
        assert np.array_equal(method(1.0, mean, 0.4), parity * method(-1.0, -mean, 0.4))
    assert window.gradient(1.0, np.float64(0.0), 0.4) == 0


@pytest.mark.parametrize("prior", [Binary(), Spherical()])
@pytest.mark.parametrize("field", [-30.0, -0.7, 0.0, 1e-6, 2.0, 300.0])
def test_cumulants_of_priors_are_derivatives(prior, field):
    precision = 1.7
    with mpmath.workdps(DIGITS):
        A, B = mpmath.mpf(precision), mpmath.mpf(field)

        def log_partition(B):
            if isinstance(prior, Binary):
                return mpmath.log(2 * mpmath.cosh(B)) - A / 2
            return B**2 / (2 * A) - mpmath.log(A) / 2 - mpmath.mpf(1) / 2

        step = mpmath.mpf(10) ** -60
        below, here, above = log_partition(B - step), log_partition(B), log_partition(B + step)
        reference = [
            float(value)
            for value in (here, (above - below) / (2 * step), (above - 2 * here + below) / step**2)
        ]
    got = [
        float(method(np.float64(field), precision))
        for method in (prior.log_partition, prior.mean, prior.variance)
    ]
    assert got == pytest.approx(reference, rel=1e-13, abs=0)


def test_normalised_channels_sum_to_one_and_others_do_not():
    assert Threshold(0.0).is_normalised
    assert Threshold(0.0).is_sign
    assert not Threshold(0.2).is_normalised
    assert not Threshold(0.2).is_sign
    assert not Window(1.0).is_normalised


def test_channels_that_cannot_be_hashed_are_treated_as_any():
    """Such as one that holds an array: what it is is found anew each time."""

    @dataclasses.dataclass(frozen=True)
    class Unhashable(Threshold):
        grid: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(3))

    channel, plain = Unhashable(0.2), Threshold(0.2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(channel)
    assert interval(channel) == interval(plain) == (0.2, math.inf)
    instance, same = (GeneralizedLinear(0.3, each).sample(51, 1) for each in (channel, plain))
    for solver in (AMP(), BeliefPropagation()):
        assert solve(instance, solver, 1).entropy == solve(same, solver, 1).entropy
    assert Instance(np.ones((2, 5)), [1, -1], model=instance.model).contradiction


def test_labels_are_drawn_with_their_probabilities():
    field = np.array([-0.5, 0.5])
    drawn = Threshold(0.0).sample(field, np.random.default_rng(0))
    assert drawn.tolist() == [-1.0, 1.0]
    assert Window(1.0).predict(np.array([0.0, 2.0])).tolist() == [1.0, -1.0]
    assert math.isinf(Threshold(0.3).bounds[1])
