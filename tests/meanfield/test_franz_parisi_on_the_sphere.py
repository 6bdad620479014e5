"""Solutions around a typical one, and around the one of largest margin, on the sphere: identities, limits, samples."""

import math
from dataclasses import replace

import numpy as np
import pytest

from physlearn import curve
from physlearn.inputs import InputError
from physlearn.kernels.franz_parisi import energetic_single
from physlearn.meanfield import (
    capacity,
    check_stationary,
    franz_parisi,
    is_isolated,
    maximal_margin,
    replica_symmetric,
)
from physlearn.models import Perceptron, Spherical
from physlearn.results import Status

CONVEX = Perceptron(1.0, prior=Spherical())
NEGATIVE = Perceptron(3.0, margin=-0.5, prior=Spherical())
REFERENCES = [
    (CONVEX, None),
    (CONVEX, 0.3),
    (replace(CONVEX, margin=-0.5), 0.3),
    (NEGATIVE, None),
    (NEGATIVE, -0.3),
]


@pytest.mark.parametrize("model", [CONVEX, NEGATIVE, Perceptron(0.5, 0.5, prior=Spherical())])
def test_the_maximum_is_the_whole_volume(model):
    typical = replica_symmetric(model)
    point = franz_parisi(model, (1 - typical.overlap) / 2)
    assert point.local_entropy == pytest.approx(typical.entropy, abs=1e-11)
    assert point.local_entropy_slope == pytest.approx(0, abs=1e-9)
    assert (point.overlap, point.typical_overlap) == pytest.approx((typical.overlap,) * 2, abs=1e-10)


@pytest.mark.parametrize(("model", "margin"), REFERENCES)
@pytest.mark.parametrize("distance", [0.4, 0.1])
def test_all_derivatives_vanish(model, margin, distance):
    point = franz_parisi(model, distance, margin)
    assert point.status is Status.CONVERGED
    check_stationary(point)


@pytest.mark.parametrize(
    ("model", "margin"),
    [
        *REFERENCES,
        (CONVEX, "maximal"),
        (NEGATIVE, "maximal"),
        (Perceptron(1.9, -0.4, prior=Spherical()), "maximal"),
    ],
)
@pytest.mark.parametrize("distance", [0.35, 0.05])
def test_the_slope_is_that_of_the_curve(model, margin, distance):
    point = franz_parisi(model, distance, margin)
    step = 1e-3 * distance
    up, down = (franz_parisi(model, distance + side * step, margin, start=point) for side in (1, -1))
    slope = (up.local_entropy - down.local_entropy) / (2 * step)
    assert point.local_entropy_slope == pytest.approx(slope, rel=1e-5)


def test_few_patterns_leave_the_sphere_as_it_is():
    for d in (0.45, 0.1, 1e-3):
        point = franz_parisi(Perceptron(1e-6, prior=Spherical()), d)
        assert point.local_entropy == pytest.approx(math.log(4 * d * (1 - d)) / 2, abs=1e-5)


@pytest.mark.parametrize("model", [CONVEX, replace(CONVEX, margin=-0.5), NEGATIVE])
def test_the_single_solution_of_the_largest_margin_is_the_limit_of_typical_ones(model):
    largest = maximal_margin(model)
    for d in (0.3, 0.05):
        limit = franz_parisi(model, d, "maximal").local_entropy
        far, near = (abs(franz_parisi(model, d, largest - gap).local_entropy - limit) for gap in (1e-2, 1e-4))
        assert near < 0.1 * far
        assert near < 2e-4


def test_a_reference_too_narrow_for_the_integrals_has_a_status():
    largest = maximal_margin(CONVEX)
    assert franz_parisi(CONVEX, 0.3, largest - 1e-3).status is Status.CONVERGED
    assert franz_parisi(CONVEX, 0.3, largest - 1e-6).status is Status.NOT_CONVERGED


def test_fields_around_a_single_reference_are_those_of_samples():
    """Means over x, v and the replica's own field's tail, against a plain sum."""
    kappa, reference, S, V, delta = -0.2, 0.4, 0.7, 0.3, 0.25
    z = np.linspace(-9, 9, 3001)
    weight = np.exp(-(z**2) / 2) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    x, v = z[:, None], z[None, ::5]
    both = weight[:, None] * weight[None, ::5] * 5
    lack = np.maximum(reference - x, 0)
    from scipy.special import log_ndtr

    argument = (
        kappa - S * np.maximum(x, reference) + delta * lack - math.sqrt(1 - V - S**2) * v
    ) / math.sqrt(V)
    log_H = log_ndtr(-argument)
    g = np.exp(-(argument**2) / 2 - log_H) / math.sqrt(2 * math.pi * V)
    found = energetic_single(kappa, reference, S, V, delta, 1.0)
    for value, function in zip(found[:4], (1.0, log_H, g**2, g * lack), strict=True):
        assert value == pytest.approx((both * function).sum(), rel=1e-5)


@pytest.mark.parametrize("model", [CONVEX, NEGATIVE])
def test_around_the_largest_margin_phi_is_stationary(model):
    """The reduced potential, (SF.6), in V and delta, by differences."""
    d = 0.2
    S, point = 1 - 2 * d, franz_parisi(model, d, "maximal")
    V = 1 - point.overlap
    delta = point.typical_overlap_conjugate * V
    largest = maximal_margin(model)

    def phi(V, delta):
        energy = energetic_single(model.margin, largest, S, V, delta, 1.0)[1]
        return (math.log(V) + (1 - V - S**2 + delta**2) / V) / 2 + model.alpha * energy

    assert phi(V, delta) == pytest.approx(point.local_entropy, abs=1e-10)
    step = 1e-4
    assert abs(phi(V + step, delta) - phi(V - step, delta)) / (2 * step) < 1e-5
    assert abs(phi(V, delta + step) - phi(V, delta - step)) / (2 * step) < 1e-5


@pytest.mark.parametrize(("kappa", "gaps"), [(0.0, (0.04, 0.02, 0.01)), (0.2, (0.04, 0.02, 0.01))])
def test_no_solution_is_far_from_the_one_of_the_largest_margin(kappa, gaps):
    """(SF.8), of every instance: the volume vanishes as S goes to kappa/kappa_max, like a logarithm or faster."""
    model = replace(CONVEX, margin=kappa)
    edge = (1 - kappa / maximal_margin(model)) / 2
    values = [franz_parisi(model, edge - gap, "maximal").local_entropy for gap in gaps]
    assert (np.diff(values) < -0.3).all()
    point = franz_parisi(model, min(edge + 1e-9, 0.5), "maximal")
    assert point.status is Status.NO_SOLUTION
    assert math.isnan(point.local_entropy)


def test_a_margin_widens_the_surroundings_at_small_distances():
    values = [franz_parisi(CONVEX, 0.01, margin).local_entropy for margin in (None, 0.1, 0.3, "maximal")]
    assert (np.diff(values) > 0).all()
    free = math.log(4 * 0.01 * 0.99) / 2
    assert values[-1] < free


def test_the_largest_margin_is_the_inverse_of_the_capacity():
    for margin in (0.0, 0.8):
        load = capacity(Spherical(), margin)
        assert maximal_margin(Perceptron(load, prior=Spherical())) == pytest.approx(margin, abs=1e-12)


def test_references_tell_whether_they_break_replica_symmetry():
    assert franz_parisi(CONVEX, 0.1, "maximal").reference_stability > 0
    assert franz_parisi(NEGATIVE, 0.1, "maximal").reference_stability < 0
    assert franz_parisi(Perceptron(4.3, -0.5, prior=Spherical()), 0.1).reference_stability < 0


def test_a_curve_has_a_status_beyond_the_largest_margin():
    data = curve(franz_parisi, CONVEX, {"reference_margin": [0.2, 0.9]}, distance=0.1)
    assert list(data.status) == [Status.CONVERGED.code, Status.NO_SOLUTION.code]


def test_bad_input_is_one_sentence():
    for model, arguments, sentence in (
        (CONVEX, {"reference_margin": 0.9}, "reference_margin: got 0.9; allowed: margins up to 0.4"),
        (Perceptron(2.5, prior=Spherical()), {}, "alpha: got 2.5"),
        (CONVEX, {"reference": "teacher"}, "reference"),
    ):
        with pytest.raises(InputError, match=sentence) as caught:
            franz_parisi(model, 0.1, **arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="binary weights"):
        is_isolated(CONVEX)
