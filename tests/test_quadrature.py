"""Special functions and Gaussian expectations against mpmath and closed forms, into the tails."""

import math
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest

from physlearn.inputs import InputError
from physlearn.models import Threshold, Window
from physlearn.quadrature import (
    G,
    G_over_H,
    G_over_H_excess,
    H,
    breakpoints,
    expectation,
    log_H,
    misclassification,
    nodes,
)

POINTS = [-30.0, -8.0, -3.0, -0.5, 0.0, 1e-3, 0.7, 2.0, 7.9, 8.1, 30.0, 1e3, 1e6]


def exact_H(x):
    return mpmath.erfc(x / mpmath.sqrt(2)) / 2


def exact_G(x):
    return mpmath.exp(-(x**2) / 2) / mpmath.sqrt(2 * mpmath.pi)


def exact(function, x):
    with mpmath.workdps(60):
        return float(function(mpmath.mpf(x)))


@pytest.mark.parametrize("x", POINTS)
def test_special_functions_equal_mpmath(x):
    with mpmath.workdps(60):
        # Beyond this, mpmath's own complementary error function is zero and the asymptotic series exact.
        tail = mpmath.mpf(x) > 100

        def ratio(t):
            return t + 1 / t - 2 / t**3 + 10 / t**5 if tail else exact_G(t) / exact_H(t)

        # On the left the ratio falls like exp(-x^2/2): the rounding of x^2 is all that may be lost.
        lost = 1e-13 + (x**2 * 2.2e-16 if x < 0 else 0)
        assert G_over_H(x) == pytest.approx(exact(ratio, x), rel=lost, abs=0)
        assert G_over_H_excess(x) == pytest.approx(exact(lambda t: ratio(t) - t, x), rel=1e-12, abs=0)
        assert log_H(x) == pytest.approx(
            exact(lambda t: mpmath.log(exact_G(t) / ratio(t)) if tail else mpmath.log(exact_H(t)), x),
            rel=1e-13,
        )
        if x < 35:
            assert H(x) == pytest.approx(exact(exact_H, x), rel=1e-13, abs=0)
            assert G(x) == pytest.approx(exact(exact_G, x), rel=1e-13, abs=0)


@pytest.mark.parametrize("V", [0.999, 0.3, 1e-3, 1e-10, 1e-40, 1e-150])
def test_a_narrow_feature_is_integrated_to_full_accuracy(V):
    # The conjugate of the teacher-student overlap: E[H(x) (G/H)(x)^2] with x = -sqrt(q/V) z.
    q = 1 - V
    width = math.sqrt(V / q)

    def integrand(z):
        x = -z / width
        return H(x) * G_over_H(x) ** 2

    with mpmath.workdps(40):
        scale = mpmath.sqrt(mpmath.mpf(V) / (1 - mpmath.mpf(V)))
        ends = [-40, -12, -6, -3, 0, 3, 6, 12, 40]
        reference = scale * mpmath.quad(lambda x: exact_G(scale * x) * exact_G(x) ** 2 / exact_H(x), ends)
        reference = float(reference)
    assert expectation(integrand, [(0.0, width)]) == pytest.approx(reference, rel=1e-11, abs=0)


@pytest.mark.parametrize("kappa", [-10.0, -5.0, 0.0, 5.0, 10.0])
@pytest.mark.parametrize("V", [0.9, 1e-2, 1e-8])
def test_storage_integrals_hold_in_the_tails(kappa, V):
    q = 1 - V

    def integrand(z):
        x = (kappa - math.sqrt(q) * z) / math.sqrt(V)
        return np.array([V * G_over_H(x) ** 2, log_H(x)])

    def exact_integrand(z):
        x = (kappa - mpmath.sqrt(q) * z) / mpmath.sqrt(V)
        return V * (exact_G(x) / exact_H(x)) ** 2 * exact_G(z)

    edge, width = kappa / math.sqrt(q), math.sqrt(V / q)
    value = expectation(integrand, [(edge, width)])
    with mpmath.workdps(60):  # quad stops at this absolute accuracy, and the values go down to 1e-41
        # For narrow features the violated side decides, and there the asymptotic form is exact to the order V.
        if V > 1e-6:
            steps = [edge + k * max(width, 0.2) for k in (-60, -20, -8, -4, -2, -1, 0, 1, 2, 4, 8, 20, 60)]
            ends = sorted({*range(-30, 31, 2), *(end for end in steps if abs(end) < 30)})
            assert value[0] == pytest.approx(float(mpmath.quad(exact_integrand, ends)), rel=1e-9, abs=0)
        else:
            square = (1 + kappa**2) * exact_H(mpmath.mpf(-kappa)) + kappa * exact_G(mpmath.mpf(kappa))
            assert value[0] == pytest.approx(float(square), rel=1e-6, abs=0)
    assert value[1] < 0


@pytest.mark.parametrize("s", [0.0, 1.0, 30.0, 1e3])
def test_a_weight_in_logarithmic_form_may_be_huge(s):
    value = expectation(
        lambda z: np.array([np.ones_like(z), z, z**2]),
        reach=12 * math.sqrt(1 + s**2),
        log_density=lambda z: s * z - s**2 / 2,
    )
    assert value == pytest.approx([1, s, 1 + s**2], rel=1e-9)


def test_a_kink_without_a_hint_is_bisected_away():
    value = expectation(lambda z: np.abs(z - 0.3))
    assert value == pytest.approx(2 * G(0.3) + 0.3 * (1 - 2 * H(0.3)), rel=1e-12, abs=0)


def test_expectation_keeps_the_shape_of_the_integrand():
    assert expectation(lambda z: np.ones((2, 3, len(z)))) == pytest.approx(np.ones((2, 3)))


def test_nodes_are_those_of_expectation():
    z, weight = nodes([(0.2, 0.01)])
    assert weight @ np.cos(z) == pytest.approx(math.exp(-0.5), rel=1e-13, abs=0)


def test_nodes_resolve_a_weight_however_far_out_and_narrow():
    # Two unit peaks at -200 and 200, as of a binary teacher nearly found, under panels of width ten.
    s = 200.0
    z, weight = nodes(
        [(0.0, 1 / s)],
        reach=12 * math.sqrt(1 + s**2),
        log_density=lambda z: np.logaddexp(s * z, -s * z) - math.log(2) - s**2 / 2,
    )
    assert weight.sum() == pytest.approx(1, abs=1e-10)
    assert weight @ (z - s * np.sign(z)) ** 2 == pytest.approx(1, abs=1e-9)


def test_panels_cover_a_feature_in_the_tail():
    points = breakpoints([(15.0, 1e-3)])
    assert points[-1] == pytest.approx(25.0)
    assert np.min(np.diff(points)) < 3e-3
    assert np.all(np.diff(points) > 0)


@dataclass(frozen=True)
class SignInDisguise(Threshold):
    """The sign channel without its closed form."""

    @property
    def is_sign(self):
        return False


@dataclass(frozen=True)
class Parity(Window):
    """P(+1|h) = 1 inside the window, P(-1|h) = 1 outside."""

    def log_partition(self, label, mean, variance):
        inside = np.exp(super().log_partition(label, mean, variance))
        with np.errstate(divide="ignore"):
            return np.log(np.where(label > 0, inside, 1 - inside))


@pytest.mark.parametrize("overlap", [-1.0, -0.4, 0.0, 0.5, 0.999, 1 - 1e-9, 1.0])
def test_any_channel_errs_as_the_closed_form_says(overlap):
    assert misclassification(Threshold(0.0), overlap) == math.acos(overlap) / math.pi
    assert misclassification(SignInDisguise(0.0), overlap) == pytest.approx(
        math.acos(overlap) / math.pi, abs=1e-10
    )


def test_errors_of_a_window_have_their_limits():
    inside = math.erf(0.7 / math.sqrt(2))
    assert misclassification(Parity(0.7), 0.0) == pytest.approx(2 * inside * (1 - inside), rel=1e-10, abs=0)
    assert misclassification(Parity(0.7), 1.0) == pytest.approx(0.0, abs=1e-12)
    assert misclassification(Parity(0.7), -1.0) == pytest.approx(0.0, abs=1e-12)


def test_the_variance_of_the_field_matters_beyond_the_sign():
    inside = math.erf(0.7 / 2 / math.sqrt(2))
    assert misclassification(Parity(0.7), 0.0, variance=4.0) == pytest.approx(
        2 * inside * (1 - inside), rel=1e-10
    )
    assert misclassification(Threshold(0.0), 0.3, variance=4.0) == misclassification(Threshold(0.0), 0.3)


def test_overlap_outside_its_range_is_refused():
    with pytest.raises(InputError, match=r"overlap: got 1\.5"):
        misclassification(Threshold(0.0), 1.5)
