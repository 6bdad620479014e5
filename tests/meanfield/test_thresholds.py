"""Capacities and thresholds: the numbers of the literature and what they mean along the curves."""

import math
import warnings

import numpy as np
import pytest
from catalogue import Gaussian, Probit
from scipy.integrate import quad, simpson
from test_saddle_points import Ternary

from physlearn.inputs import InputError
from physlearn.meanfield import (
    algorithmic_threshold,
    bayes_optimal,
    capacity,
    de_almeida_thouless,
    information_theoretic_threshold,
    replica_symmetric,
    symmetric_capacity,
)
from physlearn.models import Binary, GeneralizedLinear, Perceptron, Spherical, Teacher
from physlearn.quadrature import G, G_over_H, G_over_H_excess, misclassification
from physlearn.results import Status


@pytest.mark.parametrize(
    ("margin", "alpha"), [(0.0, 0.833079), (0.1, 0.733016668), (0.5, 0.455664565), (1.0, 0.270700092)]
)
def test_binary_capacity(margin, alpha):
    digits = 6 if margin == 0 else 9
    assert capacity(Binary(), margin) == pytest.approx(alpha, abs=0.6 * 10**-digits)


def test_binary_capacity_lies_in_the_proven_interval():
    assert 0.833078599 <= capacity(Binary()) <= 0.833078600


def test_the_largest_margin_inverts_the_capacity():
    assert capacity(Binary(), 0.895391972) == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize(("margin", "alpha"), [(0.0, 2.0), (0.5, 0.9612051), (1.0, 0.5195722)])
def test_spherical_capacity(margin, alpha):
    assert capacity(Spherical(), margin) == pytest.approx(alpha, abs=6e-8)
    assert replica_symmetric(Perceptron(0.999 * alpha, margin, Spherical())).status is Status.CONVERGED
    assert replica_symmetric(Perceptron(1.001 * alpha, margin, Spherical())).status is Status.NO_SOLUTION


def test_a_negative_margin_warns_of_the_instability():
    with pytest.warns(UserWarning, match="de_almeida_thouless"):
        bound = capacity(Spherical(), -1.0)
    assert bound == pytest.approx(1 / quad(lambda z: G(z) * (z - 1) ** 2, 1, 12)[0], rel=1e-9)
    assert de_almeida_thouless(Spherical(), -1.0) < bound
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert capacity(Binary(), -1.0) > capacity(Binary())


@pytest.mark.parametrize("margin", [-0.3, -1.0, -2.0])
def test_the_replicon_vanishes_at_the_de_almeida_thouless_point(margin):
    alpha = de_almeida_thouless(Spherical(), margin)
    point = replica_symmetric(Perceptron(alpha, margin, Spherical()))
    assert point.stability == pytest.approx(0, abs=1e-8)
    q = point.overlap

    # Independently: alpha E[(GH')^2] = 1 with GH' = GH (GH - x).
    def squared(z):
        x = (margin - math.sqrt(q) * z) / math.sqrt(1 - q)
        return G(z) * (G_over_H(x) * G_over_H_excess(x)) ** 2

    assert alpha * quad(squared, -12, 12, epsabs=0, epsrel=1e-11, limit=200)[0] == pytest.approx(1, abs=1e-7)


def test_binary_weights_are_stable_to_their_capacity():
    assert capacity(Binary()) < de_almeida_thouless(Binary()) < 4 / math.pi
    assert replica_symmetric(Perceptron(0.99 * capacity(Binary()))).is_stable


@pytest.mark.parametrize("half_width", [0.01, 0.5, 1.0, 3.0])
def test_symmetric_capacity(half_width):
    expected = -math.log(2) / math.log(math.erf(half_width / math.sqrt(2)))
    assert symmetric_capacity(half_width) == pytest.approx(expected, rel=1e-11)
    assert symmetric_capacity(1.0) == pytest.approx(1.8158755, abs=6e-8)


def test_symmetric_capacity_of_extreme_windows():
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        for K in (1e-300, 1e-17, 1e-8, 1e-3):
            assert symmetric_capacity(K) == pytest.approx(
                -math.log(2) / math.log(math.sqrt(2 / math.pi) * K), rel=1e-6
            )
        for K in (9.0, 20.0, 37.0):
            assert symmetric_capacity(K) == pytest.approx(
                math.log(2) / math.erfc(K / math.sqrt(2)), rel=1e-11
            )
        for K in (38.0, 1e200):
            with pytest.raises(InputError, match=r"half-widths below 37\.5"):
                symmetric_capacity(K)


def test_thresholds_of_the_binary_teacher():
    model = Perceptron(1.0, rule=Teacher())
    transition, spinodal = information_theoretic_threshold(model), algorithmic_threshold(model)
    assert transition == pytest.approx(1.244684, abs=6e-7)
    assert spinodal == pytest.approx(1.492632, abs=6e-7)
    assert bayes_optimal(model.with_alpha(transition)).entropy == pytest.approx(0, abs=1e-10)
    assert information_theoretic_threshold(model.with_alpha(0.3)) == transition


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-6])
def test_the_solver_converges_up_to_the_spinodal(distance):
    spinodal = algorithmic_threshold(Perceptron(1.0, rule=Teacher()))
    for road in (bayes_optimal, replica_symmetric):
        below = road(Perceptron(spinodal - distance, rule=Teacher()))
        assert below.residual <= 1e-10
        # The overlap leaves the spinodal's (0.8937) as a square root.
        assert 0.8937 - 1.2 * math.sqrt(distance) < below.overlap < 0.8937
        assert road(Perceptron(spinodal + distance, rule=Teacher())).overlap == 1


def test_the_dominant_branch_changes_at_the_transition():
    below, above = (bayes_optimal(Perceptron(alpha, rule=Teacher()), "dominant") for alpha in (1.24, 1.25))
    assert (below.branch, above.branch) == ("uninformed", "informed")
    assert below.overlap < 1 == above.overlap
    assert above.free_entropy >= bayes_optimal(Perceptron(1.25, rule=Teacher())).free_entropy


def test_noise_blurs_the_transition_until_it_is_gone():
    noisy = GeneralizedLinear(1.0, Probit(0.1), rule=Teacher())
    transition, spinodal = information_theoretic_threshold(noisy), algorithmic_threshold(noisy)
    assert 1.244684 < transition < spinodal
    branches = [bayes_optimal(noisy.with_alpha(transition), branch) for branch in ("uninformed", "informed")]
    assert branches[0].free_entropy == pytest.approx(branches[1].free_entropy, abs=1e-9)
    assert branches[0].overlap < branches[1].overlap - 0.1
    for threshold in (information_theoretic_threshold, algorithmic_threshold):
        with pytest.raises(InputError, match="grows continuously"):
            threshold(GeneralizedLinear(1.0, Probit(0.3), rule=Teacher()))
        with pytest.raises(InputError, match="grows continuously"):
            threshold(Perceptron(1.0, prior=Spherical(), rule=Teacher()))
        with pytest.raises(InputError, match="rule: got Storage"):
            threshold(Perceptron(1.0))


def test_any_prior_that_counts_has_a_capacity():
    alpha = capacity(Ternary())
    assert replica_symmetric(GeneralizedLinear(alpha, prior=Ternary())).entropy == pytest.approx(0, abs=1e-9)
    assert alpha > capacity(Binary())
    with pytest.raises(InputError, match="priors that count"):
        capacity(Gaussian())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: capacity("binary"), "prior: got 'binary'"),
        (lambda: capacity(Binary(), math.nan), "margin: got nan"),
        (lambda: capacity(Spherical(), -100), r"margin: got -100\.0; allowed: margins above -37"),
        (lambda: capacity(Binary(), -40.0), r"channel: got Threshold\(margin=-40\.0\); allowed"),
        (lambda: de_almeida_thouless(Spherical(), -40), r"channel: got Threshold\(margin=-40\.0\); allowed"),
        (lambda: misclassification(3, 0.5), "channel: got 3; allowed: a Channel"),
        (lambda: symmetric_capacity(0.0), "half_width: got 0.0"),
        (lambda: de_almeida_thouless(Spherical(), 0.5), r"margin: got 0\.5"),
    ],
)
def test_bad_input_gets_a_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_capacities_at_margins_far_below_zero():
    # Violations are then so rare that they exclude weights independently: ln 2/H(-kappa) and 1/E max(z + kappa, 0)^2.
    for margin in (-12.0, -20.0):
        assert capacity(Binary(), margin) == pytest.approx(
            math.log(2) / math.erfc(-margin / math.sqrt(2)) * 2, rel=1e-9
        )
    for margin in (-20.0, -36.0):
        with pytest.warns(UserWarning, match="upper bound"):
            bound = capacity(Spherical(), margin)
        t = np.linspace(0, 3, 20001)
        tail = simpson(t**2 * np.exp(margin * t - t**2 / 2), x=t)
        assert bound * float(G(margin)) * tail == pytest.approx(1, rel=1e-10)


def test_loads_grow_with_the_margin_given_up():
    margins = np.linspace(-5, 5, 11)
    loads = [capacity(Binary(), margin) for margin in margins]
    assert np.all(np.diff(loads) < 0)
