"""One step of replica symmetry breaking: frozen and spherical clusters, against limits, differences and plain sums."""

import math
import warnings

import numpy as np
import pytest

from physlearn import curve
from physlearn.inputs import InputError
from physlearn.meanfield import (
    capacity,
    check_stationary,
    de_almeida_thouless,
    one_step_rsb,
    replica_symmetric,
    symmetric_capacity,
)
from physlearn.meanfield.capacities import one_step_capacity
from physlearn.meanfield.one_step_equations import Levels, OneStepEquations, spherical_weights
from physlearn.models import Binary, Perceptron, Spherical, SymmetricPerceptron, Teacher
from physlearn.results import Status

DISCRETE = [
    Perceptron(0.3),
    Perceptron(0.6),
    Perceptron(0.6, 0.2),
    SymmetricPerceptron(0.5),
    SymmetricPerceptron(1.5),
]
BROKEN = Perceptron(9.0, margin=-1.0, prior=Spherical())


@pytest.fixture(scope="module")
def broken():
    return one_step_rsb(BROKEN)


@pytest.mark.parametrize("model", DISCRETE)
@pytest.mark.parametrize("m", [None, 0.5])
def test_clusters_of_binary_weights_are_single_solutions(model, m):
    point, typical = one_step_rsb(model, m), replica_symmetric(model)
    assert (point.branch, point.status) == ("frozen", Status.CONVERGED)
    assert point.overlap == 1
    assert point.group_overlap == pytest.approx(typical.overlap, abs=1e-12)
    assert point.internal_entropy == pytest.approx(0, abs=1e-14)
    assert point.complexity == pytest.approx(typical.entropy, abs=1e-14)
    assert point.free_entropy == pytest.approx(typical.entropy / (m or 1.0), abs=1e-14)


@pytest.mark.parametrize("model", DISCRETE)
def test_between_frozen_and_typical_overlaps_is_one_barrier(model):
    """At m = 1: a map that grows towards q1 = 1, falls towards q0, and turns once, where the entropy is negative."""
    equations, typical = OneStepEquations(model, 1.0), replica_symmetric(model)
    q_hat = typical.overlap_conjugate
    # Up to 1 - q1 of order 1e-9.
    spreads = np.geomspace(1e-3, 60, 60)
    growth = []
    for spread in spreads:
        order = equations.order(equations.hats(q_hat, spread))
        growth.append(math.log(equations.conjugates(order).spread / spread))
    turns = np.flatnonzero(np.diff(np.sign(growth)))
    assert len(turns) == 1
    assert growth[0] < 0 < growth[-1]
    for spread in spreads[turns[0] : turns[0] + 2]:
        hats = equations.hats(q_hat, spread)
        answers = equations.answers(equations.order(hats), hats)
        assert answers.free_entropy - answers.complexity < 0


def test_beyond_capacity_frozen_clusters_are_unphysical():
    assert one_step_rsb(Perceptron(0.84)).status is Status.UNPHYSICAL
    assert one_step_rsb(SymmetricPerceptron(1.01 * symmetric_capacity(1.0))).status is Status.UNPHYSICAL


def test_a_convex_set_of_solutions_is_one_cluster():
    for model in (Perceptron(1.5, prior=Spherical()), Perceptron(0.5, 0.5, prior=Spherical())):
        point, typical = one_step_rsb(model), replica_symmetric(model)
        assert point.branch == "replica-symmetric"
        assert (point.overlap, point.group_overlap) == (typical.overlap, typical.overlap)
        assert point.free_entropy == typical.entropy
        assert point.complexity == 0


def test_clusters_appear_at_the_line_of_de_almeida_and_thouless():
    line = de_almeida_thouless(Spherical(), -1.0)
    below, above = (
        one_step_rsb(Perceptron(share * line, margin=-1.0, prior=Spherical()), 0.3) for share in (0.99, 1.03)
    )
    assert below.branch == "replica-symmetric"
    assert above.branch == "clustered"
    assert above.overlap > above.group_overlap + 0.01


def test_a_parisi_parameter_of_one_gives_replica_symmetry():
    point, typical = one_step_rsb(BROKEN, 1.0), replica_symmetric(BROKEN)
    assert point.branch == "clustered"
    assert point.group_overlap == pytest.approx(typical.overlap, abs=1e-9)
    assert point.free_entropy == pytest.approx(typical.entropy, abs=1e-11)
    assert point.stability_between == pytest.approx(typical.stability, abs=1e-8)


def test_typical_clusters_have_no_complexity_and_the_least_free_entropy(broken):
    m = broken.parisi_parameter
    assert broken.complexity == pytest.approx(0, abs=1e-12)
    assert broken.internal_entropy == pytest.approx(broken.free_entropy, abs=1e-11)
    assert broken.group_overlap < replica_symmetric(BROKEN).overlap < broken.overlap
    others = [one_step_rsb(BROKEN, m * factor, start=broken) for factor in (0.8, 1.25)]
    assert all(point.free_entropy > broken.free_entropy for point in others)
    assert others[0].complexity > 0 > others[1].complexity
    assert broken.stability < 0, "one step is not enough"


def test_all_derivatives_vanish_and_the_complexity_is_one(broken):
    m = 0.5
    point = one_step_rsb(BROKEN, m, start=broken)
    for stationary in (broken, point):
        check_stationary(stationary)
        assert stationary.residual < 1e-9
    step = 1e-3
    up, down = (one_step_rsb(BROKEN, m + side * step, start=point).free_entropy for side in (1, -1))
    assert point.complexity == pytest.approx(-(m**2) * (up - down) / (2 * step), rel=1e-5)


def test_weights_on_the_sphere_are_gaussian():
    """The closed forms against sums over the common field."""
    spread, A, m = 1.3, 2.9, 0.4
    z = np.linspace(-12, 12, 4001)
    for x, values in zip((0.0, 1.7), spherical_weights(np.array([0.0, 1.7]), spread, A, m).T, strict=True):
        b = x + math.sqrt(spread / m) * z
        log_partition = b**2 / (2 * A) - math.log(A) / 2 - 0.5
        weight = np.exp(-(z**2) / 2 + m * log_partition) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
        total = weight.sum()
        t, share = b / A, weight / total
        assert values[0] == pytest.approx(math.log(total) / m, abs=1e-10)
        assert values[1] == pytest.approx(share @ log_partition, abs=1e-10)
        assert values[2] == pytest.approx(share @ t, abs=1e-10)
        assert values[3] == pytest.approx(m * (share @ t**2 - (share @ t) ** 2), abs=1e-10)


def shrunk(q0, c, kappa):
    """m phi where clusters have shrunk to points: the entropic and the energetic part, by plain sums over z0 and z1."""
    z = np.linspace(-9, 9, 901)
    weight = np.exp(-(z**2) / 2) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    lack = np.maximum(kappa - math.sqrt(q0) * z[:, None] - math.sqrt(1 - q0) * z, 0)
    least = lack.min(axis=1, keepdims=True)
    energy = weight @ (np.log(np.exp(-c * (lack**2 - least**2) / 2) @ weight) - c * least[:, 0] ** 2 / 2)
    eta = c * (1 - q0)
    return (math.log1p(eta) + c * q0 / (1 + eta)) / 2, energy


@pytest.mark.parametrize(("q0", "c"), [(0.6, 8.0), (0.3, 2.0)])
def test_clusters_that_shrink_have_the_complexity_of_the_capacity(q0, c):
    """m phi at m = c V goes to (CP.2) as V goes to zero, up to terms of order m ln V."""
    alpha, kappa = 12.0, -1.0
    entropic, energetic = shrunk(q0, c, kappa)
    excess = []
    for V in (1e-4, 1e-6):
        m = c * V
        D = m * (1 - V - q0)
        equations = OneStepEquations(Perceptron(alpha, margin=kappa, prior=Spherical()), m)
        hats = equations.hats(q0 / (V + D) ** 2, D / (V * (V + D)))
        value = m * equations.free_entropy(Levels(q0, D, 1 - V, V), hats)
        excess.append(abs(value - entropic - alpha * energetic))
    assert excess[1] < 0.05 * excess[0]
    assert excess[1] < 1e-3


@pytest.mark.parametrize("kappa", [-0.5, -1.0, -1.5])
def test_the_capacity_of_one_step_is_the_least_of_all_clusters(kappa):
    found = one_step_capacity(kappa)
    loads = [
        -entropic / energetic
        for q0 in np.linspace(0.4, 0.85, 7)
        for entropic, energetic in (shrunk(q0, c, kappa) for c in np.geomspace(4, 20, 9))
    ]
    assert min(loads) > found
    assert min(loads) == pytest.approx(found, rel=3e-3)


def test_capacities_are_ordered():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kappa in (-0.05, -0.3, -1.0, -2.0):
            line, one, none = (
                de_almeida_thouless(Spherical(), kappa),
                capacity(Spherical(), kappa, steps=1),
                capacity(Spherical(), kappa),
            )
            assert line < one < none
    for prior, kappa in ((Spherical(), 0.0), (Spherical(), 0.7), (Binary(), 0.0), (Binary(), -0.5)):
        assert capacity(prior, kappa, steps=1) == capacity(prior, kappa)


def test_far_below_zero_margin_clusters_come_before_the_instability():
    """At kappa = -3 many narrow clusters appear at once; replica symmetry is stable and counts their solutions."""
    assert one_step_capacity(-3.0) < de_almeida_thouless(Spherical(), -3.0)
    model = Perceptron(1500.0, margin=-3.0, prior=Spherical())
    point, typical = one_step_rsb(model), replica_symmetric(model)
    assert (point.branch, point.parisi_parameter) == ("clustered", 1.0)
    assert point.overlap > point.group_overlap + 0.8
    assert point.complexity > 0.03
    assert point.entropy == pytest.approx(typical.entropy, abs=1e-10)
    assert point.stability > 0
    assert typical.stability > 0


def test_there_is_no_solution_beyond_the_capacity_of_one_step():
    load = 1.001 * one_step_capacity(-0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load < capacity(Spherical(), -0.5)
    point = one_step_rsb(Perceptron(load, margin=-0.5, prior=Spherical()))
    assert point.status is Status.NO_SOLUTION
    assert math.isnan(point.free_entropy)
    assert one_step_rsb(Perceptron(2.5, prior=Spherical())).status is Status.NO_SOLUTION


def test_a_curve_goes_along_the_parisi_parameter():
    data = curve(one_step_rsb, BROKEN, {"parisi_parameter": [0.6, 0.5, 0.4]})
    assert (data.status == Status.CONVERGED.code).all()
    assert (np.diff(data.overlap) < 0).all()
    assert (np.diff(data.complexity) > 0).all()


@pytest.mark.parametrize(
    ("model", "arguments", "field"),
    [
        (Perceptron(1.0, rule=Teacher()), {}, "model"),
        ("perceptron", {}, "model"),
        (Perceptron(0.5), {"parisi_parameter": 1.5}, "parisi_parameter"),
        (Perceptron(0.5), {"parisi_parameter": 0.0}, "parisi_parameter"),
        (Perceptron(0.5), {"start": 1.0}, "start"),
    ],
)
def test_bad_input_is_one_sentence(model, arguments, field):
    with pytest.raises(InputError, match=field) as caught:
        one_step_rsb(model, **arguments)
    assert str(caught.value).count(". ") == 0
    assert "\n" not in str(caught.value)


def test_bad_steps_and_margins_are_one_sentence():
    with pytest.raises(InputError, match="steps"):
        capacity(Spherical(), -0.5, steps=2)
    with pytest.warns(UserWarning, match="upper bound"), pytest.raises(InputError, match="margins from -7"):
        capacity(Spherical(), -8.0, steps=1)
