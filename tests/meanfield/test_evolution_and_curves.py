"""State evolution, and curves over grids."""

import math

import numpy as np
import pytest

from physlearn.inputs import InputError
from physlearn.meanfield import (
    algorithmic_threshold,
    bayes_optimal,
    capacity,
    curve,
    replica_symmetric,
    state_evolution,
)
from physlearn.models import Binary, Perceptron, Spherical, Storage, Teacher
from physlearn.results import Status


@pytest.mark.parametrize(
    "model",
    [
        Perceptron(1.0, rule=Teacher()),
        Perceptron(1.0, prior=Spherical(), rule=Teacher()),
        Perceptron(0.8, 0.2, rule=Teacher()),
        Perceptron(0.5),
    ],
    ids=repr,
)
def test_state_evolution_ends_at_the_uninformed_saddle_point(model):
    path, point = state_evolution(model, 150), replica_symmetric(model)
    assert path.status is Status.CONVERGED
    assert path.overlap[0] == 0
    assert np.all(np.diff(path.overlap) > -1e-12)
    for name in path.observables:
        assert path.observables[name][-1] == pytest.approx(getattr(point, name), abs=1e-8)


def test_the_first_iteration_is_known_in_closed_form():
    # From q = 0: g = y sqrt(2/pi), so q_hat = 2 alpha/pi in the first step.
    path = state_evolution(Perceptron(0.7, prior=Spherical(), rule=Teacher()), 1)
    q_hat = 2 * 0.7 / math.pi
    assert path.teacher_overlap.tolist() == pytest.approx([0, q_hat / (1 + q_hat)], abs=1e-12)
    assert path.generalization_error[0] == 0.5


def test_above_the_spinodal_the_teacher_is_found_and_stays_found():
    path = state_evolution(Perceptron(1.7, rule=Teacher()), 60)
    assert path.status is Status.CONVERGED
    assert path.teacher_overlap[-10:].tolist() == [1.0] * 10
    assert path.generalization_error_amp[-1] == 0


def test_too_few_iterations_are_told():
    assert state_evolution(Perceptron(1.0, rule=Teacher()), 3).status is Status.NOT_CONVERGED
    assert len(state_evolution(Perceptron(1.0, rule=Teacher()), 0)) == 1
    assert state_evolution(Perceptron(2.0, 1.0), 300).status is Status.NO_SOLUTION


@pytest.mark.parametrize(
    ("model", "n_iterations"),
    [
        (Perceptron(1.3), 2000),
        (Perceptron(1.5), 300),
        (Perceptron(2.0), 100),
        (Perceptron(2.5, prior=Spherical()), 300),
    ],
    ids=repr,
)
def test_an_overlap_on_its_way_to_one_has_not_converged(model, n_iterations):
    path = state_evolution(model, n_iterations)
    assert path.status is Status.NOT_CONVERGED
    assert 1 - path.overlap[-1] < 1e-9


def test_a_curve_has_its_axes_as_dimensions():
    loads = [0.5, 1.0, 1.6]
    data = curve(
        bayes_optimal,
        Perceptron(1.0, rule=Teacher()),
        over={"branch": ["uninformed", "informed"], "alpha": loads},
    )
    assert data.overlap.dims == ("branch", "alpha")
    assert data.overlap.sel(branch="uninformed").values == pytest.approx(
        [0.293089030, 0.560714737, 1.0], abs=1e-9
    )
    assert (data.overlap.sel(branch="informed") == 1).all()
    assert data.status.attrs["flag_meanings"].split()[0] == "CONVERGED"
    assert "N" not in data.dims


def test_continuation_changes_nothing_on_a_single_branch():
    loads = np.linspace(0.2, 1.5, 6)
    data = curve(replica_symmetric, Perceptron(1.0), over={"margin": [-0.2, 0.0], "alpha": loads})
    for margin in (-0.2, 0.0):
        for alpha in loads:
            point = replica_symmetric(Perceptron(alpha, margin))
            here = data.sel(margin=margin, alpha=alpha)
            assert here.status == point.status.code
            assert float(here.overlap) == pytest.approx(point.overlap, abs=1e-8)


def test_continuation_follows_a_branch_back_over_its_spinodal():
    # From above the informed branch is followed down, where a natural start would find the other one.
    data = curve(replica_symmetric, Perceptron(1.0, rule=Teacher()), over={"alpha": [1.6, 1.4, 1.3]})
    assert data.overlap.values.tolist() == [1.0, 1.0, 1.0]
    fresh = curve(
        replica_symmetric, Perceptron(1.0, rule=Teacher()), over={"alpha": [1.6, 1.4, 1.3]}, start=None
    )
    assert (fresh.overlap.values[1:] < 0.9).all()


def test_curves_of_thresholds_and_trajectories():
    model = Perceptron(1.0, rule=Teacher())
    data = curve(algorithmic_threshold, model, over={"patterns": ["binary", "gaussian"]})
    assert data.algorithmic_threshold.values == pytest.approx([1.492632] * 2, abs=1e-6)
    paths = curve(state_evolution, model, over={"alpha": [0.5, 1.0]}, n_iterations=4)
    assert paths.overlap.dims == ("alpha", "time")
    assert paths.overlap.values[1] == pytest.approx(state_evolution(model, 4).overlap)
    rules = curve(replica_symmetric, Perceptron(0.5), over={"rule": [Storage(), Teacher()]})
    assert np.isnan(rules.teacher_overlap.values[0])
    assert rules.coords["rule"].values.tolist() == ["Storage()", "Teacher()"]


@pytest.mark.parametrize(
    ("over", "fixed", "message"),
    [
        ({"load": [1.0]}, {}, "over: got 'load'"),
        ({"alpha": []}, {}, r"over\['alpha'\]: got \[\]"),
        ({"alpha": 1.0}, {}, r"over\['alpha'\]: got 1.0"),
        ({}, {}, "over: got {}"),
        ({"alpha": [1.0]}, {"brunch": "informed"}, "curve: got 'brunch'"),
        ({"branch": ["informed"]}, {"branch": "informed"}, "over: got 'branch'"),
        ({"alpha": [-1.0]}, {}, "alpha: got -1.0"),
    ],
)
def test_bad_axes_get_a_sentence(over, fixed, message):
    with pytest.raises(InputError, match=message):
        curve(bayes_optimal, Perceptron(1.0, rule=Teacher()), over=over, **fixed)


@pytest.mark.parametrize(
    ("function", "over", "message"),
    [
        ("bayes_optimal", {"alpha": [0.5]}, "function: got 'bayes_optimal'; allowed: a function of a model"),
        (None, {"alpha": [0.5]}, "function: got None"),
        (lambda model: "x", {"alpha": [0.5]}, "got 'x'; allowed: functions that return"),
        (state_evolution, {"n_iterations": [2, 3]}, "over: got axes 'n_iterations' along which"),
    ],
    ids=["name", "none", "text", "lengths"],
)
def test_functions_that_make_no_curve_get_a_sentence(function, over, message):
    with pytest.raises(InputError, match=message) as error:
        curve(function, Perceptron(1.0, rule=Teacher()), over=over)
    assert "\n" not in str(error.value)


def test_bad_iteration_numbers_get_a_sentence():
    with pytest.raises(InputError, match=r"n_iterations: got 2\.5"):
        state_evolution(Perceptron(1.0), 2.5)


def test_a_function_without_a_model_is_evaluated_over_its_own_arguments():
    priors, margins = [Binary(), Spherical()], [0.0, 0.5]
    data = curve(capacity, None, over={"prior": priors, "margin": margins})
    expected = [[capacity(prior, margin) for margin in margins] for prior in priors]
    assert data.capacity.dims == ("prior", "margin")
    assert data.capacity.values.tolist() == expected
    assert data.coords["prior"].values.tolist() == ["Binary()", "Spherical()"]
    assert data.attrs == {"function": "capacity"}
    fixed = curve(capacity, None, over={"margin": margins}, prior=Spherical())
    assert fixed.capacity.values.tolist() == expected[1]
    assert fixed.attrs["prior"] == "Spherical()"


@pytest.mark.parametrize(
    ("function", "over", "message"),
    [
        (
            capacity,
            {"margin": [0.5]},
            "prior: got None; allowed: a value or an axis, since capacity needs it",
        ),
        (capacity, {"alpha": [0.5]}, "over: got 'alpha'; allowed: arguments of capacity: margin, prior"),
        (replica_symmetric, {"alpha": [0.5]}, "model: got None; allowed: a Model"),
    ],
)
def test_what_is_missing_without_a_model_is_told(function, over, message):
    with pytest.raises(InputError, match=message):
        curve(function, None, over=over)


def test_a_missing_argument_of_a_function_of_a_model_is_told():
    with pytest.raises(InputError, match=r"n_iterations: got None; .* state_evolution needs it"):
        curve(state_evolution, Perceptron(1.0), over={"alpha": [0.5]})
