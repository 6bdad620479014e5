"""A scan's answer: every value at its place, whatever was there before; nothing overwritten; failures are values."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray
from scan_tasks import (
    always_fails,
    draw,
    estimated,
    fails,
    large,
    ragged,
    refuses,
    says,
    statuses,
)

from physlearn import AMP, Binary, Perceptron, Scan, SimulatedAnnealing, Status, Teacher
from physlearn.inputs import InputError
from physlearn.random import streams
from physlearn.scan import TaskError, TaskWarning, read
from physlearn.scan.dataset import Table
from physlearn.scan.journal import Reader
from physlearn.scan.storage import describe
from physlearn.scan.tables import with_error
from physlearn.solvers import solve_task

AXES = {"alpha": [0.5, 1.0, 1.5], "N": [5, 9]}


def scan(task=draw, axes=AXES, instances=3, seed=7, measure=None, **constants):
    return Scan(task, axes, constants, instances, seed, measure)


def assert_same(one: xarray.Dataset, other: xarray.Dataset) -> None:
    xarray.testing.assert_identical(one.drop_attrs(), other.drop_attrs())


def test_every_value_stands_at_its_point_and_instance():
    data = scan().run()
    assert dict(data["product"].sizes) == {"alpha": 3, "N": 2, "instance": 3}
    assert data["pair"].dims == ("alpha", "N", "instance", "pair_index")
    point = {"alpha": 1.0, "N": 9}
    expected = draw(point, streams(7, point, 2))
    assert float(data["product"].sel(point, method=None)[2]) == expected["product"]
    assert np.array_equal(data["pair"].sel(point)[2], expected["pair"])
    assert (data["status"] == Status.DONE.code).all()


def test_disorder_is_shared_by_the_loads_and_by_nothing_else():
    first = scan().run()["first"]
    assert (first == first.isel(alpha=0)).all()
    assert len(np.unique(first)) == 2 * 3
    assert len(np.unique(scan().run()["product"])) == first.size


def test_growth_changes_no_old_value():
    old = scan().run()
    finer = {"alpha": [0.5, 0.75, 1.0, 1.5], "N": [5, 7, 9]}
    new = scan(axes=finer, instances=5).run().sel(alpha=AXES["alpha"], N=AXES["N"], instance=[0, 1, 2])
    assert_same(new, old)
    turned = scan(axes={"N": [9, 5], "alpha": AXES["alpha"][::-1]}).run()
    assert_same(turned.sel(alpha=AXES["alpha"], N=AXES["N"]).transpose(*old["pair"].dims), old)


def test_a_constant_that_becomes_an_axis_changes_no_value():
    constant = scan(axes={"alpha": AXES["alpha"]}, N=9).run()
    assert_same(scan().run().sel(N=9, drop=True), constant)


def test_the_seed_matters():
    assert (scan(seed=8).run()["product"] != scan(seed=7).run()["product"]).all()


def test_status_and_units_are_told():
    data = scan(statuses).run()
    assert data["status"].sel(N=5, instance=0).values.tolist() == [0, 7, 7]
    assert data["status"].attrs["flag_meanings"].split()[0] == "CONVERGED"
    assert data["status"].dtype == np.int8
    assert all("long_name" in data[name].attrs for name in data.variables)
    assert data["alpha"].attrs["units"] == "1"


def test_a_run_out_of_time_says_so_and_goes_on_later(tmp_path):
    data = scan().run(tmp_path, max_runtime=0)
    assert (data["status"] == Status.NOT_RUN.code).all()
    assert_same(scan().run(tmp_path), scan().run())


def test_an_object_is_described_by_its_values_and_not_by_its_address():
    class Tuned:
        def __init__(self, value):
            self.value = value

    assert describe(Tuned(1)) == describe(Tuned(1)) == {"class": "Tuned", "value": 1}
    assert describe(Tuned(1)) != describe(Tuned(2))


def test_a_large_array_is_described_by_its_digest():
    values = np.arange(1000.0)
    assert describe(values) == describe(values.copy())
    assert describe(values) != describe(values[::-1])
    assert len(json.dumps(describe(values))) < 200


def test_the_table_shows_no_noise():
    assert with_error(0.12342, 0.0012) == "0.1234(12)"
    assert with_error(0.5, np.inf) == "0.5"
    assert with_error(1.7, 5e14) == "unknown"
    assert with_error(-3e-10, np.inf) == with_error(3e-10, 0.0) == with_error(2e-9, 1e-9) == "0"
    assert with_error(0.5, 1e-9) == "0.5"
    assert with_error(np.nan, 0.1) == "-"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"instances": 0}, "instances"),
        ({"seed": -1}, "seed"),
        ({"axes": {}}, "axes"),
        ({"axes": {"alpha": []}}, "axes.alpha"),
        ({"axes": {"alpha": [1.0, 1.0]}}, "axes.alpha"),
        ({"axes": {"alpha": [1.0, np.nan]}}, "axes.alpha"),
        ({"axes": {"alpha": "many"}}, "axes.alpha"),
        ({"axes": {"N": [10**400, 5]}}, "axes.N"),
        ({"axes": {"N": [10**21, 5]}}, "axes.N"),
        ({"axes": {"status": [1]}}, "axes"),
        ({"task": "draw"}, "task"),
        ({"alpha": 1.0}, "constants.alpha"),
    ],
)
def test_bad_scans_are_refused_in_a_sentence(arguments, field):
    with pytest.raises(InputError, match=rf"^{field}: got .* allowed: .*\.$"):
        scan(**arguments)


def test_a_description_tells_apart_what_differs():
    model = Perceptron(0.5, prior=Binary(), rule=Teacher())
    assert describe(model)["rule"] == {"class": "Teacher"}
    assert describe(model) != describe(Perceptron(0.5))
    assert describe([np.float64(1), (2, None), draw]) == [1.0, [2, None], f"{draw.__module__}.draw"]


def test_what_is_written_is_what_is_returned_with_its_provenance(tmp_path):
    data = scan().run(tmp_path / "out")
    stored = xarray.load_dataset(tmp_path / "out" / "result.nc", engine="h5netcdf")
    assert_same(stored, data)
    assert json.loads(stored.attrs["configuration"]) == json.loads(json.dumps(scan().configuration))
    assert {"seed", "physlearn", "numpy", "numba", "platform", "start", "end"} <= set(stored.attrs)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".lock", "manifest.json", "journal", "result.nc"}


def test_a_finished_result_is_kept_and_read_without_running(tmp_path, monkeypatch):
    data = scan().run(tmp_path)
    before = (tmp_path / "result.nc").read_bytes()
    monkeypatch.setattr("physlearn.scan.dispatch.Chunk", None)
    assert_same(scan().run(tmp_path), data)
    assert (tmp_path / "result.nc").read_bytes() == before


def n_lines(directory):
    """Of tasks, in all journals."""
    return len(list(Reader(directory).records()))


@pytest.mark.parametrize(
    ("grown", "n_new"),
    [
        ({"axes": {"alpha": [0.5, 0.75, 1.0, 1.5], "N": [5, 9]}}, 6),
        ({"axes": {"alpha": AXES["alpha"], "N": [5, 9, 7]}}, 9),
        ({"instances": 5}, 12),
        ({"axes": {"alpha": [1.25], "N": [5, 9]}}, 6),
        ({"measure": ["product"]}, 0),
        ({"axes": {"alpha": [1.0], "N": [9]}, "instances": 1}, 0),
    ],
)
def test_growth_keeps_what_is_there_and_computes_what_is_missing(tmp_path, grown, n_new):
    old = scan().run(tmp_path)
    assert n_lines(tmp_path) == 18
    new = scan(**grown)
    assert_same(new.run(tmp_path), new.run())
    assert n_lines(tmp_path) == 18 + n_new
    # The file goes on holding all that was ever done there, and the old scan is there as it was.
    everything = read(tmp_path / "result.nc").sel(alpha=AXES["alpha"], N=AXES["N"], instance=[0, 1, 2])
    names = list(new.measure or old.data_vars)
    assert_same(everything[names], old[names])
    assert_same(scan().run(tmp_path), old)
    assert n_lines(tmp_path) == 18 + n_new


def test_a_solver_that_is_added_changes_nothing_of_the_first(tmp_path):
    def study(**solvers):
        constants = {"model": Perceptron(1.0, rule=Teacher())}
        axes = {"solver": solvers, "alpha": [0.5, 1.0], "N": [11]}
        return Scan(solve_task, axes, constants, 2, 3, measure=["energy", "load"])

    alone = study(amp=AMP()).run(tmp_path)
    assert alone["solver"].item() == "amp"
    assert alone["energy"].dims == ("alpha", "N", "instance")
    both = study(amp=AMP(), annealing=SimulatedAnnealing(20)).run(tmp_path)
    assert both["energy"].dims == ("solver", "alpha", "N", "instance")
    assert_same(both.sel(solver="amp"), alone)
    assert n_lines(tmp_path) == 8
    assert_same(study(amp=AMP()).run(tmp_path), alone)
    with pytest.raises(InputError, match=r"axes\.solver\.amp\.n_iterations is 500 there and 9 here"):
        study(amp=AMP(n_iterations=9)).run(tmp_path)
    # Also where the name is not asked for in between.
    study(annealing=SimulatedAnnealing(20)).run(tmp_path)
    with pytest.raises(InputError, match=r"axes\.solver\.amp\.n_iterations"):
        study(amp=AMP(n_iterations=9)).run(tmp_path)


def test_an_observable_that_was_not_asked_for_is_there_without_running(tmp_path, monkeypatch):
    assert set(scan(measure=["product"]).run(tmp_path).data_vars) == {"product", "status"}
    expected = scan().run()
    monkeypatch.setattr("physlearn.scan.dispatch.Chunk", None)
    assert_same(scan(measure=["product", "first"]).run(tmp_path), expected[["product", "first", "status"]])
    with pytest.raises(InputError, match=r"^measure: got 'second'; allowed: one of first, pair, product"):
        scan(measure=["second"]).run(tmp_path)


def test_a_constant_may_become_an_axis_in_the_directory(tmp_path):
    constant = scan(axes={"alpha": AXES["alpha"]}, N=9).run(tmp_path)
    assert_same(scan().run(tmp_path).sel(N=9, drop=True), constant)
    assert n_lines(tmp_path) == 18
    with pytest.raises(InputError, match=r"axes\.N is \[5, 9\] there and 7 here"):
        scan(axes={"alpha": AXES["alpha"]}, N=7).run(tmp_path)


def test_the_field_of_an_object_that_an_axis_gives_is_no_difference(tmp_path):
    for alpha in (0.5, 0.7):
        model = Perceptron(alpha, rule=Teacher())
        Scan(solve_task, {"alpha": [0.5], "N": [11]}, {"model": model, "solver": AMP()}).run(tmp_path)
    with pytest.raises(
        InputError, match=r"constants\.model\.rule\.class is 'Teacher' there and 'Storage' here"
    ):
        Scan(solve_task, {"alpha": [0.5], "N": [11]}, {"model": Perceptron(1.0), "solver": AMP()}).run(
            tmp_path
        )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 8}, "seed is 7 there and 8 here"),
        ({"task": statuses}, "task is 'scan_tasks.draw' there and 'scan_tasks.statuses' here"),
        ({"model": Perceptron(1.0)}, "constants.model is None there"),
        ({"axes": {"N": [5, 9]}}, "axes.alpha is .* there and None here"),
        ({"axes": {**AXES, "beta": [1.0]}}, "axes.beta is None there"),
    ],
)
def test_another_scan_is_refused_and_nothing_overwritten(tmp_path, change, named):
    scan().run(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=f"^out: got .* holds another scan .*{named}"):
        scan(**change).run(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_points_beside_the_grid_are_run_and_the_rest_is_not_planned(tmp_path):
    points = [{"alpha": 1.25, "N": 9}, {"alpha": 0.75, "N": 9}, {"alpha": 1.0, "N": 5}]
    data = scan().with_points(points[:2]).with_points(points[1:]).run(tmp_path)
    assert data["alpha"].values.tolist() == [0.5, 0.75, 1.0, 1.25, 1.5]
    planned = data["status"] != Status.NOT_PLANNED.code
    assert planned.sel(N=9).all()
    assert planned.sel(N=5).isel(instance=0).values.tolist() == [True, False, True, False, True]
    assert (data["product"].notnull() == planned).all()
    assert n_lines(tmp_path) == 18 + 6
    filled = scan(axes={**AXES, "alpha": [0.5, 0.75, 1.0, 1.25, 1.5]}).run()
    assert_same(
        data.where(planned, drop=False)["product"].sel(N=9).to_dataset(),
        filled["product"].sel(N=9).to_dataset(),
    )
    assert_same(scan().run(tmp_path), scan().run())
    assert_same(scan().with_points(points).run(tmp_path), data)


@pytest.mark.parametrize(
    "point",
    [{"alpha": 1.0}, {"alpha": 1.0, "N": 5, "K": 3}, {"alpha": "x", "N": 5}, {"alpha": np.nan, "N": 5}, 3],
)
def test_points_that_fit_no_axis_are_refused(point):
    with pytest.raises(InputError, match=r"^extra.*: got .*; allowed: "):
        scan().with_points([point])


def test_arrays_come_back_as_they_were(tmp_path):
    data = scan(large).run(tmp_path)
    assert data["profile"].dims == ("alpha", "N", "instance", "profile_index_0", "profile_index_1")
    assert len(list((tmp_path / "arrays").rglob("*.npz"))) == 18
    assert_same(data, scan(large).run())
    (tmp_path / "result.nc").unlink()
    assert_same(scan(large).run(tmp_path), data)


def test_arrays_of_different_lengths_are_padded():
    data = Scan(ragged, {"N": [2, 4]}).run()["profile"]
    assert data.sel(N=4, instance=0).values.tolist() == [0, 1, 2, 3]
    assert np.array_equal(data.sel(N=2, instance=0).values, [0, 1, np.nan, np.nan], equal_nan=True)


def test_estimates_are_values_and_errors():
    data = scan(estimated).run()
    assert (data["height"] == data["alpha"]).all()
    assert (data["height_error"] == 0.25).all()
    assert data["height_error"].attrs["long_name"] == "standard error of: height"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_task_that_raises_is_a_value_and_is_tried_again(tmp_path, n_jobs):
    with pytest.warns(TaskWarning, match=r"^3 tasks of 18 failed .* first one at alpha = 1\.0, N = 9, instance .: "
                      "ZeroDivisionError: no luck"):  # fmt: skip
        data = scan(fails).run(tmp_path, n_jobs=n_jobs)
    failed = data["status"] == Status.FAILED.code
    assert failed.sel(alpha=1.0, N=9).all()
    assert int(failed.sum()) == 3
    assert (data["value"].isnull() == failed).all()
    with pytest.warns(TaskWarning, match=r"^3 tasks of 3 failed .* at alpha = 1\.0"):
        assert_same(scan(fails).run(tmp_path), data)
    assert n_lines(tmp_path) == 18 + 3


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_task_that_refuses_its_point_ends_the_run(tmp_path, n_jobs):
    with pytest.raises(InputError, match=r"allowed: 7\. \(at alpha = .*, N = ., instance .\)"):
        scan(refuses).run(tmp_path, n_jobs=n_jobs)


def test_a_scan_whose_tasks_all_fail_stops_early(tmp_path):
    with pytest.raises(TaskError, match=r"^all of the first 10 tasks failed, the first one at .*no luck"):
        scan(always_fails, instances=100).run(tmp_path)
    assert n_lines(tmp_path) == 10


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"x": "one"}, "x is 'one'; a real number or an array of them is allowed"),
        ({"x": 1j}, "x is 1j; a real number"),
        ([1], r"the task returned \[1\]; a table"),
        ({"alpha": 1}, "a value is called 'alpha'"),
        ({"x y": 1}, "a value is called 'x y'"),
    ],
)
def test_a_task_that_returns_something_else_is_told(answer, told):
    with pytest.raises(TaskError, match=told):
        scan(says, answer=answer).run()


def test_a_directory_takes_no_function_that_has_no_name_of_its_own(tmp_path):
    with pytest.raises(InputError, match="task: got"):
        scan(lambda point, streams: {"x": 1}).run(tmp_path)
    assert not list(tmp_path.iterdir())
    assert (scan(lambda point, streams: {"x": 1}).run()["x"] == 1).all()


def test_bad_runs_are_refused_in_a_sentence(tmp_path):
    for arguments, field in (
        ({"n_jobs": 0}, "n_jobs"),
        ({"n_jobs": -3}, "n_jobs"),
        ({"max_runtime": -1.0}, "max_runtime"),
        ({"shard": (0, 2)}, "shard"),
        ({"shard": (3, 2)}, "shard"),
        ({"checkpoint_every": -1}, "checkpoint_every"),
    ):
        with pytest.raises(InputError, match=f"^{field}: got"):
            scan().run(**arguments)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^out: got .*can be written"):
        scan().run(Path(tmp_path / "file" / "below"))


def test_a_grid_that_no_memory_holds_is_refused():
    axes = {name: list(range(10_000)) for name in ("a", "b", "c")}
    with pytest.raises(InputError, match=r"^memory: got the dataset of 1000000000000 tasks"):
        Scan(draw, axes).run()


def test_a_table_takes_no_value_of_another_shape():
    table = Table(scan().grid)
    table.put(0, 9, {"x": 1.0})
    with pytest.raises(TaskError, match="x has 1 dimensions here and 0 elsewhere"):
        table.put(1, 9, {"x": [1.0, 2.0]})
