"""Answers: frozen, with a status that advises, readable in a sentence and as a dataset."""

import dataclasses
import pickle

import numpy as np
import pytest
import xarray

from physlearn import Perceptron, Result, SaddlePoint, Status, Trace, Trajectory
from physlearn.estimates import Estimate
from physlearn.results import as_variables

TRACE = Trace(np.array([1, 2, 3]), {"energy": np.array([5.0, 3.0, 0.0])})
RESULT = Result(Status.SOLVED, np.array([1, -1, 1]), {"energy": 0, "mean_energy": Estimate(1.5, 0.25, 9.0)}, TRACE,
                solver=Perceptron(0.5), stream="PCG64(entropy=1)")  # fmt: skip
POINT = SaddlePoint(Perceptron(0.5), {"overlap": 0.3}, {"overlap_conjugate": 0.7}, 0.31, 0.31, 0.9,
                    {"generalization_error": 0.4}, 1e-12, Status.CONVERGED, "uninformed")  # fmt: skip
PATH = Trajectory(Perceptron(0.5), np.array([0, 1]), {"overlap": np.array([0.0, 0.2])}, Status.COMPLETED)


def test_statuses_have_codes_and_advice_of_their_own():
    assert [status.code for status in Status] == list(range(len(Status)))
    assert len({status.advice for status in Status}) == len(Status)
    assert all(status.advice.endswith(".") for status in Status)
    assert all(Status.from_code(np.int8(status.code)) is status for status in Status)
    attributes = Status.attributes()
    assert attributes["flag_meanings"].split() == [status.name for status in Status]
    assert attributes["flag_values"].dtype == np.int8


@pytest.mark.parametrize("answer", [RESULT, POINT, PATH, TRACE], ids=lambda answer: type(answer).__name__)
def test_answers_are_frozen_travel_and_tell_what_they_have(answer):
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.status = None
    assert repr(pickle.loads(pickle.dumps(answer))) == repr(answer)
    with pytest.raises(AttributeError, match=r"has no 'colour'; it has .*(energy|overlap)"):
        _ = answer.colour


def test_entries_are_attributes():
    assert (RESULT.energy, RESULT.mean_energy.error) == (0, 0.25)
    assert (POINT.overlap, POINT.overlap_conjugate, POINT.generalization_error) == (0.3, 0.7, 0.4)
    assert np.array_equal(TRACE.energy, [5, 3, 0])
    assert PATH.overlap[-1] == 0.2
    assert {"overlap", "entropy"} <= set(dir(POINT))


def test_answers_print_themselves_in_a_sentence():
    assert (
        repr(RESULT) == f"Perceptron: SOLVED (energy = 0, mean_energy = 1.5 +- 0.25). {Status.SOLVED.advice}"
    )
    assert "overlap = 0.3, entropy = 0.31" in repr(POINT)
    assert repr(PATH).endswith("to time 1: COMPLETED, at the end overlap = 0.2.")
    assert repr(TRACE) == "Trace of 3 records: energy"


def test_answers_become_datasets_with_a_status():
    for answer, code in ((RESULT, 1), (POINT, 0), (PATH, 2)):
        data = answer.to_dataset()
        assert int(data["status"]) == code
        assert data["status"].attrs["flag_meanings"].split()[code] == Status.from_code(code).name
    assert RESULT.to_dataset()["weights"].dims == ("weight",)
    assert float(RESULT.to_dataset()["mean_energy_error"]) == 0.25
    assert float(POINT.to_dataset()["entropy"]) == 0.31
    assert PATH.to_dataset()["overlap"].dims == ("time",)
    assert isinstance(TRACE.to_dataset(), xarray.Dataset)


def test_estimates_become_values_and_errors():
    assert as_variables({"a": 1, "b": Estimate(2.0, 0.5, 4.0)}) == {"a": 1, "b": 2.0, "b_error": 0.5}


@pytest.mark.parametrize(("status", "stability", "physical"), [
    (Status.CONVERGED, 0.1, True), (Status.CONVERGED, -0.1, False), (Status.UNPHYSICAL, 0.1, False)])  # fmt: skip
def test_a_physical_point_is_converged_and_stable(status, stability, physical):
    point = dataclasses.replace(POINT, status=status, stability=stability)
    assert point.is_physical is physical
    assert point.is_stable is (stability > 0)
