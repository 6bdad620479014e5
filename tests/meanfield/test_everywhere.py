"""All loads and margins: no overflow, no NaN, no warning, and convergence or a status that says why not."""

import math
import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from physlearn.meanfield import bayes_optimal, check_stationary, replica_symmetric
from physlearn.models import Binary, Perceptron, Spherical, Storage, SymmetricPerceptron, Teacher
from physlearn.results import Status

loads = st.one_of(st.floats(1e-6, 10), st.floats(-6, 1).map(lambda exponent: 10**exponent))
margins = st.one_of(st.floats(-5, 5), st.floats(-0.3, 0.3), st.just(0.0))
priors = st.sampled_from([Binary(), Spherical()])
rules = st.sampled_from([Storage(), Teacher()])
perceptrons = st.builds(Perceptron, loads, margins, priors, rules)
symmetric = st.builds(SymmetricPerceptron, loads, st.floats(0.01, 5))
matched = st.builds(lambda alpha, prior: Perceptron(alpha, 0.0, prior, Teacher()), loads, priors)


def check(point):
    values = {**point.order_parameters, **point.conjugates, **point.observables}
    values |= {"free_entropy": point.free_entropy, "entropy": point.entropy, "stability": point.stability}
    if point.status is Status.NO_SOLUTION:
        assert point.overlap == 1
        return
    assert point.status in (Status.CONVERGED, Status.UNPHYSICAL)
    assert point.residual <= 1e-10
    assert not any(math.isnan(value) for value in values.values())
    assert 0 <= point.overlap <= 1
    assert (point.status is Status.UNPHYSICAL) == (
        point.model.prior.norm == "fixed" and point.entropy < -1e-9
    )
    for name, value in point.observables.items():
        assert 0 <= value <= (0.5 + 1e-12 if name.startswith("generalization") else 1 + 1e-12)
    if 0.999 > point.overlap > 1e-12:
        assert check_stationary(point) < 1e-6


@settings(max_examples=120, deadline=None, derandomize=True)
@given(model=st.one_of(perceptrons, symmetric))
def test_replica_symmetric(model):
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        check(replica_symmetric(model))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(model=matched, branch=st.sampled_from(["uninformed", "informed", "dominant"]))
def test_bayes_optimal(model, branch):
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        point = bayes_optimal(model, branch)
        check(point)
        assert point.status is not Status.NO_SOLUTION
