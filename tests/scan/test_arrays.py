"""Arrays that tasks answer with, along a dimension of their own; points beside the grid; limits of infinite size."""

import numpy as np
import pytest
import xarray

from physlearn.estimates import extrapolated
from physlearn.inputs import InputError
from physlearn.scan import Scan, Study, read, stated, table
from physlearn.scan.crossings import limits

STUDY = """
question = "Do arrays have a dimension?"
seed = 1
task = "landscape.local_entropy_task"
measure = ["local_entropy", "counted"]
instances = 2
along = "distance"
[constants]
distance = [0.2, 0.4]
[model]
class = "Perceptron"
rule = {class = "Teacher"}
[axes]
alpha = [0.3, 0.5]
N = [9]
[[points]]
solver = "counts"
alpha = 0.5
N = [11, 13]
[[solver]]
name = "BP"
class = "Bethe"
[[solver]]
name = "counts"
class = "Counting"
ensemble = "tethered"
n_draws = 2
[[theory]]
name = "teacher"
call = "meanfield.franz_parisi"
arguments = {reference = "teacher"}
over = {distance = [0.4, 0.2]}
[[theory]]
name = "clones"
call = "meanfield.replicated_entropy"
arguments = {n_replicas = 2}
over = {overlap = [0.2, 0.6]}
[finite_size]
variable = "local_entropy"
solver = ["counts"]
"""


def powers(point, streams):
    exponent = np.array(point["exponent"])
    return {"power": point["base"] ** exponent, "other": np.zeros(3), "number": 1.0}


def scan(**changes):
    given = {"axes": {"base": [2.0, 3.0]}, "constants": {"exponent": (1.0, 2.0)}, "along": "exponent"}
    return Scan(powers, **(given | changes))


def load(tmp_path, text=STUDY):
    (tmp_path / "study.toml").write_text(text)
    return Study.load(tmp_path / "study.toml")


def test_arrays_along_a_constant_have_its_dimension(tmp_path):
    data = scan().run()
    assert data["power"].sel(base=3.0, exponent=2.0).item() == 9.0
    assert "other_index" in data["other"].dims
    assert data["number"].dims == ("base", "instance")
    kept = scan().run(tmp_path / "out")
    assert kept["power"].identical(data["power"])
    assert stated(read(tmp_path / "out" / "result.nc"))["power"].identical(data["power"])


def test_other_values_of_the_constant_are_another_scan(tmp_path):
    scan().run(tmp_path)
    with pytest.raises(InputError, match="exponent"):
        scan(constants={"exponent": (1.0, 3.0)}).run(tmp_path)


@pytest.mark.parametrize("along", ["base", "nothing", "number"])
def test_only_a_list_can_be_a_dimension(along):
    with pytest.raises(InputError, match="along: got"):
        scan(along=along, constants={"exponent": (1.0,), "number": 2.0})


def test_a_study_of_arrays(tmp_path):
    """Points beside the grid run with their solver alone; the theory stands at the same distances."""
    study = load(tmp_path)
    assert study.scan.grid.n_tasks == 2 * (4 + 2)
    files = study.run(tmp_path / "out", 1)
    result, theory = stated(read(files["result"])), read(files["theory"])
    there = np.isfinite(result["local_entropy"].sel(distance=0.2)).all("instance")
    assert there.sel(solver="counts", alpha=0.5).all()
    assert not there.sel(N=13, alpha=0.3).any()
    assert not there.sel(solver="BP", N=11).any()
    assert sorted(theory["distance"].values.tolist()) == [0.2, 0.4]
    expected = [study.model.with_alpha(a) for a in (0.3, 0.5)]
    from physlearn import franz_parisi, replicated_entropy

    for model in expected:
        at = theory["local_entropy"].sel(alpha=model.alpha, distance=0.2)
        teacher = franz_parisi(model, 0.2, reference="teacher").local_entropy
        assert at.sel(theory="teacher").item() == pytest.approx(teacher, abs=1e-9)
        clones = replicated_entropy(model, 2, 0.6).local_entropy
        assert at.sel(theory="clones").item() == pytest.approx(clones, abs=1e-9)
    # At load 0.5 no two solutions are as far apart as an overlap of 0.2: no number, and a status that says so.
    assert np.isnan(theory["local_entropy"].sel(theory="clones", alpha=0.5, distance=0.4))
    shown = table(result, theory, read(files["finite_size"]))
    assert "local_entropy for N to infinity by N^-1 from N = 9, 11, 13, at distance" in shown
    assert "counts, alpha = 0.5: 0.2: " in shown


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('along = "distance"', 'along = "margin"', "along: got 'margin'"),
        ('solver = "counts"\nalpha', 'colour = "counts"\nalpha', "points\\[0\\].colour"),
        ('solver = "counts"\nalpha', 'solver = "none"\nalpha', "extra.solver: got 'none'"),
        ('class = "Bethe"', 'class = "AMP"', "solver.BP.class: got 'AMP'"),
        ('solver = ["counts"]', 'solver = ["none"]', "finite_size.solver: got 'none'"),
        ('variable = "local_entropy"', 'variable = "none"', "finite_size.variable: got 'none'"),
        ('task = "landscape', 'task = "nowhere', "task: got 'nowhere"),
    ],
)
def test_bad_input_gets_a_sentence(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, STUDY.replace(old, new))


def test_limits_are_those_of_the_means():
    """Means of 1 + 2/N with noise: the limit within five standard errors, and linear data to rounding."""
    rng = np.random.default_rng(1)
    N = np.array([10, 20, 40])
    values = 1 + 2 / N[:, None] + rng.normal(0, 0.1, (3, 400))
    data = xarray.Dataset({"x": (("N", "instance"), values)}, coords={"N": N})
    found = limits(data, {"variable": "x"})
    assert abs(found["x"].item() - 1) < 5 * found["x_error"].item()
    assert 0.005 < found["x_error"].item() < 0.02
    exact = extrapolated(N, 1 + 2 / N, [0.1, 0.2, 0.1])
    assert exact.mean == pytest.approx(1, abs=1e-12)
    assert np.isnan(limits(data.isel(N=slice(2)), {"variable": "x"})["x"].item())
    with pytest.raises(InputError, match="errors above zero"):
        extrapolated(N, 1 / N, [0.1, 0.0, 0.1])
