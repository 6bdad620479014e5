"""Clones: limits, derivatives, counts of pairs, and the loads at which their overlaps have gaps."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physlearn import curve
from physlearn.cli import main
from physlearn.inputs import InputError
from physlearn.meanfield import (
    check_stationary,
    clone_transition,
    overlap_gap_threshold,
    replica_symmetric,
    replicated_entropy,
)
from physlearn.models import (
    GeneralizedLinear,
    Perceptron,
    Spherical,
    Storage,
    SymmetricPerceptron,
    Teacher,
    Threshold,
)
from physlearn.results import Status


def binary_entropy(overlap):
    p = (1 + overlap) / 2
    return -p * math.log(p) - (1 - p) * math.log1p(-p)


STORAGE = Perceptron(0.5)
TAUGHT = Perceptron(1.1, rule=Teacher())
MODELS = [
    STORAGE,
    Perceptron(0.3, 0.3),
    TAUGHT,
    Perceptron(0.6, 0.2, rule=Teacher()),
    SymmetricPerceptron(1.5),
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("overlap", [0.7, 0.98])
def test_one_clone_is_replica_symmetric_at_every_overlap(model, overlap):
    typical, point = replica_symmetric(model), replicated_entropy(model, 1, overlap)
    assert point.local_entropy == pytest.approx(typical.entropy, abs=1e-10)
    assert point.group_overlap == pytest.approx(typical.overlap, abs=1e-9)
    assert point.stability == pytest.approx(typical.stability, abs=1e-8)
    assert point.local_entropy_slope == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("n", [2, math.inf])
def test_clones_at_the_typical_overlap_are_typical_solutions(model, n):
    typical = replica_symmetric(model)
    there, near = (replicated_entropy(model, n, typical.overlap + gap) for gap in (0.0, 1e-5))
    for point in (there, near):
        assert point.local_entropy == pytest.approx(typical.entropy, abs=1e-6)
        assert point.group_overlap == pytest.approx(typical.overlap, abs=2e-5)
    assert there.local_entropy == pytest.approx(typical.entropy, abs=1e-10)
    if math.isinf(n) and model is MODELS[-1]:
        # Limits that do not commute: all fields in the middle of the window cost n clones something of order ln n.
        assert near.local_entropy_slope == pytest.approx(there.local_entropy_slope, abs=1e-4)
    else:
        assert max(abs(there.local_entropy_slope), abs(near.local_entropy_slope)) < 1e-3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("n", [1.5, 3, 50, math.inf])
def test_the_entropy_is_stationary(model, n):
    point = replicated_entropy(model, n, 0.9)
    assert point.status is Status.CONVERGED
    assert point.residual < 1e-10
    assert check_stationary(point) < 1e-7


@pytest.mark.parametrize("model", MODELS[::2])
@pytest.mark.parametrize("n", [2, 5, math.inf])
def test_the_slope_is_the_derivative(model, n):
    values = {side: replicated_entropy(model, n, 0.9 + side * 1e-3) for side in (-2, -1, 0, 1, 2)}
    phi = {side: point.local_entropy for side, point in values.items()}
    slope = (8 * (phi[1] - phi[-1]) - (phi[2] - phi[-2])) / 12e-3
    assert values[0].local_entropy_slope == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("model", MODELS[::2])
@pytest.mark.parametrize("n", [2, 5])
def test_the_complexity_is_the_derivative(model, n):
    """Whole numbers are summed over and others integrated."""
    point = replicated_entropy(model, n, 0.9)
    up, down = (replicated_entropy(model, n + side * 1e-3, 0.9).local_entropy for side in (1, -1))
    assert point.complexity == pytest.approx(-(n**2) * (up - down) / 2e-3, abs=1e-5)
    assert point.internal_entropy == pytest.approx(point.local_entropy - point.complexity / n)


@pytest.mark.parametrize(("model", "overlap"), [(STORAGE, 0.9), (TAUGHT, 0.65)])
def test_infinitely_many_clones_are_the_limit_of_many(model, overlap):
    """Errors of order 1/n cancel, and what is left falls by four when n doubles."""
    limit = replicated_entropy(model, math.inf, overlap)
    points = [replicated_entropy(model, n, overlap) for n in (100, 200, 400)]
    first, second, third = (point.local_entropy - limit.local_entropy for point in points)
    left = 2 * second - first, 2 * third - second
    assert abs(left[1]) < 0.3 * abs(left[0]) < 0.06 * abs(first)
    first, second, third = (point.complexity - limit.complexity for point in points)
    assert abs(2 * third - second) < 0.02 * abs(third)
    for name in ("stability_within", "stability_between")[: 1 if limit.overlap_spread_conjugate > 1 else 2]:
        _, many, twice = (getattr(point, name) for point in points)
        assert getattr(limit, name) == pytest.approx(2 * twice - many, abs=1e-4)


@pytest.mark.parametrize(("model", "n"), [(STORAGE, 3), (Perceptron(0.78), math.inf), (TAUGHT, 3)])
def test_independent_starts_meet(model, n):
    point = replicated_entropy(model, n, 0.9)
    starts = [replicated_entropy(model, n, 0.995), replicated_entropy(model, n + 3, 0.8)]
    for start in starts:
        other = replicated_entropy(model, n, 0.9, start=start)
        assert other.branch == "continued"
        assert other.local_entropy == pytest.approx(point.local_entropy, abs=1e-11)
        assert other.group_overlap == pytest.approx(point.group_overlap, abs=1e-8)


def test_infinitely_many_clones_surround_what_no_pattern_holds_back():
    """Near one overlap all patterns are satisfied in their midst: what is left is the entropy of the weights."""
    points = [replicated_entropy(STORAGE, math.inf, overlap) for overlap in (0.98, 0.999)]
    assert [point.branch for point in points] == ["typical", "unheld"]
    for point in points:
        assert point.local_entropy == pytest.approx(binary_entropy(math.sqrt(point.overlap)), abs=1e-5)
        assert point.status is Status.CONVERGED


def test_the_curve_of_infinitely_many_clones_loses_its_monotonicity_before_the_capacity():
    """Between 0.74 and 0.77: curves a little below and above the load rise nowhere, and somewhere."""
    threshold = clone_transition(Perceptron(1.0))
    assert 0.74 < threshold < 0.77
    overlaps = np.linspace(0.88, 0.94, 31)
    for load, rises in ((threshold - 5e-4, False), (threshold + 5e-4, True)):
        data = curve(replicated_entropy, Perceptron(load), {"overlap": overlaps}, n_replicas=math.inf)
        assert (np.diff(data.local_entropy) > 0).any() == rises
        assert (data.residual < 1e-10).all()


def test_the_gap_opens_where_the_minimum_touches_zero():
    model, n = SymmetricPerceptron(1.0, 0.7), 3
    load = overlap_gap_threshold(model, n)
    overlaps = 1 - np.geomspace(0.2, 1e-3, 300)
    for factor, lowest in ((0.999, 1), (1.001, -1)):
        points = [replicated_entropy(SymmetricPerceptron(factor * load, 0.7), n, q) for q in overlaps]
        low = min(points, key=lambda point: point.local_entropy)
        assert low.local_entropy * lowest > 0
        assert (low.status is Status.UNPHYSICAL) == (lowest < 0)
    assert overlap_gap_threshold(SymmetricPerceptron(5.0, 0.7)) <= load


loads = st.floats(0.05, 0.8)
plane = st.one_of(
    st.builds(Perceptron, loads, st.floats(-1, 0.5), rule=st.sampled_from([Storage(), Teacher()])),
    st.builds(SymmetricPerceptron, st.floats(0.05, 3), st.floats(0.3, 2)),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(model=plane, n=st.sampled_from([1, 2, 7, math.inf]), share=st.floats(0, 0.9999))
def test_everywhere_a_number_or_a_status(model, n, share):
    typical = replica_symmetric(model)
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        if typical.status is Status.NO_SOLUTION:
            assert replicated_entropy(model, n, 0.9).status is Status.NO_SOLUTION
            return
        point = replicated_entropy(model, n, typical.overlap + share * (1 - typical.overlap))
    assert point.status in (Status.CONVERGED, Status.UNPHYSICAL)
    assert point.residual <= 1e-8
    values = {**point.order_parameters, **point.conjugates, **point.observables}
    assert not any(math.isnan(value) for value in values.values())
    assert (
        point.local_entropy <= typical.entropy + 1e-9
        or n == math.inf
        or isinstance(model, SymmetricPerceptron)
    )


def test_the_command_draws_the_curve(capsys):
    assert main(["curve", "replicated_entropy", "--set", "alpha=0.5", "--set", "n_replicas=3", "--over",
                 "overlap=0.5:0.9:3", "--variable", "local_entropy"]) == 0  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "overlap,local_entropy,status"
    assert float(lines[1].split(",")[1]) == pytest.approx(replicated_entropy(STORAGE, 3, 0.5).local_entropy)


@pytest.mark.parametrize(
    ("arguments", "field", "allowed"),
    [
        ((STORAGE, 2, 1.0), "overlap", "< 1"),
        ((STORAGE, 2, -0.1), "overlap", ">= 0"),
        ((STORAGE, 2, 0.1), "overlap", "from 0.322385363, that of two typical solutions"),
        ((STORAGE, 0.5, 0.9), "n_replicas", ">= 1"),
        ((STORAGE, math.nan, 0.9), "n_replicas", ">= 1"),
        ((Perceptron(0.5, prior=Spherical()), 2, 0.9), "model", "with binary weights"),
        ((GeneralizedLinear(0.5, Threshold(0.0)), 2, 0.9), "model", "Perceptron or SymmetricPerceptron"),
        (("perceptron", 2, 0.9), "model", "a Model"),
    ],
)
def test_bad_input_is_named(arguments, field, allowed):
    with pytest.raises(InputError, match=f"^{field}: got .*") as error:
        replicated_entropy(*arguments)
    assert allowed in str(error.value)


def test_bad_input_of_thresholds_is_named():
    for n in (1, math.inf):
        with pytest.raises(InputError, match=r"n_replicas: got .* allowed: a finite number >= 2"):
            overlap_gap_threshold(STORAGE, n)
    with pytest.raises(InputError, match=r"n_replicas: got 2.* point of inflection"):
        clone_transition(SymmetricPerceptron(1.0), 2)
    with pytest.raises(InputError, match=r"start: got 0\.5"):
        replicated_entropy(STORAGE, 2, 0.9, start=0.5)
