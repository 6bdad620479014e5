"""Local entropies from scans: around what solvers find, and study files that say so."""

import math

import numpy as np
import pytest

from physlearn import SBPI, Perceptron, Status
from physlearn.inputs import InputError
from physlearn.landscape import Bethe, Counting, local_entropy, local_entropy_task
from physlearn.random import Streams
from physlearn.scan import Study
from physlearn.solvers import solve

STUDY = """
question = "What surrounds solutions?"
seed = 1
task = "{task}"
measure = ["{measure}"]
instances = 1
{along}
[model]
class = "Perceptron"
[axes]
alpha = [0.4]
N = [15]
margin_of_reference = [0.0, 0.2]
[constants]
distance = [0.1, 0.2]
[[solver]]
name = "BP"
class = "{solver}"
[[reference]]
name = "found"
class = "{reference}"
"""
GOOD = {
    "task": "landscape.local_entropy_task", "measure": "local_entropy", "along": 'along = "distance"',
    "solver": "Bethe", "reference": "SBPI",
}  # fmt: skip


def streams(seed):
    return Streams(np.random.default_rng(seed), np.random.default_rng(seed + 1))


def study(tmp_path, **changes):
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(**GOOD | changes))
    return Study.load(path)


def test_what_surrounds_the_solution_that_a_solver_finds():
    model = Perceptron(0.4)
    point = {"model": model, "solver": Bethe(), "N": 101, "distance": [0.1, 0.2], "reference": SBPI()}
    answers = local_entropy_task(point | {"margin_of_reference": 0.2}, streams(3))
    instance = model.sample(101, streams(3).disorder)
    harder = Perceptron(0.4, margin=0.2).sample(101, streams(3).disorder)
    found = solve(harder, SBPI(), streams(3).dynamics)
    smallest = model.stabilities(instance, found.weights).min()
    assert smallest > 0.2
    assert answers["smallest_stability"] == pytest.approx(smallest)
    assert answers["reference_found"] == 1
    there = local_entropy(instance, found.weights, [0.1, 0.2], method=Bethe(), rng=1)
    np.testing.assert_allclose(answers["local_entropy"], there.entropies, atol=1e-6)


def test_where_a_solver_finds_nothing_there_is_nothing_to_measure_around():
    point = {"model": Perceptron(0.9), "solver": Bethe(), "N": 101, "distance": [0.1], "reference": SBPI(5)}
    answers = local_entropy_task(point | {"margin_of_reference": 1.0}, streams(3))
    assert answers["reference_found"] == 0
    assert answers["status"] is Status.COMPLETED
    assert math.isnan(answers["smallest_stability"])
    assert np.isnan(answers["local_entropy"]).all()


def test_a_study_of_what_solvers_find(tmp_path):
    data = study(tmp_path).scan.run()
    assert data["reference"].item() == "found"
    assert data["local_entropy"].dims[-1] == "distance"
    assert np.isfinite(data["local_entropy"].sel(margin_of_reference=0.0)).all()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reference": "Bethe"}, r"reference\.found\.class: got 'Bethe'; allowed: one of AMP"),
        (
            {"task": "solvers.solve_task", "solver": "AMP", "along": "", "measure": "solved"},
            r"reference: got .*; allowed: none, as only tasks of the landscape",
        ),
    ],
)
def test_bad_references_get_a_sentence(tmp_path, changes, told):
    with pytest.raises(InputError, match=told):
        study(tmp_path, **changes)


def test_counting_needs_no_mean_of_stabilities():
    point = {"model": Perceptron(0.4), "solver": Counting(n_draws=2), "N": 9, "distance": [1 / 3]}
    answers = local_entropy_task(point | {"reference": "typical"}, streams(1))
    assert "smallest_stability" not in answers
