"""A scan's answer: independent of workers, order and history; every value at its place; nothing overwritten."""

import json
from pathlib import Path

import joblib
import numpy as np
import pytest
import xarray

from physlearn import Binary, Perceptron, Scan, Status, Teacher
from physlearn.inputs import InputError
from physlearn.random import streams
from physlearn.scan import TaskError, engine, read
from physlearn.scan.engine import run_task
from physlearn.scan.storage import describe, write
from physlearn.scan.tables import with_error

AXES = {"alpha": [0.5, 1.0, 1.5], "N": [5, 9]}


def draw(point, streams):
    """A task whose values show which streams it was given."""
    patterns = streams.disorder.standard_normal((point["N"], point["N"]))
    w = streams.dynamics.standard_normal(point["N"])
    return {"product": (patterns @ w).sum(), "first": streams.disorder.random(), "pair": w[:2]}


def statuses(point, streams):
    return {"value": point["alpha"], "status": Status.CONVERGED if point["alpha"] < 1 else Status.DIVERGED}


def fails(point, streams):
    if point["alpha"] == 1.0 and point["N"] == 9:
        raise ZeroDivisionError("no luck")
    return {"value": 1.0}


def refuses(point, streams):
    raise InputError("N: got 5; allowed: 7.")


def threads(point, streams):
    import numba
    from threadpoolctl import threadpool_info

    return {"blas": max(pool["num_threads"] for pool in threadpool_info()), "numba": numba.get_num_threads()}


def scan(task=draw, axes=AXES, instances=3, seed=7, **constants):
    return Scan(task, axes, constants, instances, seed)


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


def test_same_answer_for_two_workers_and_any_order(monkeypatch):
    expected = scan().run()
    assert_same(scan().run(n_jobs=2), expected)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert_same(scan().run(n_jobs=None), expected)
    shuffled = np.random.default_rng(0)
    monkeypatch.setattr(Scan, "_order", lambda self, todo: [todo[i] for i in shuffled.permutation(len(todo))])
    assert_same(scan().run(), expected)
    assert_same(scan().run(n_jobs=2), expected)


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


def test_what_is_written_is_what_is_returned_with_its_provenance(tmp_path):
    data = scan().run(tmp_path / "out")
    stored = xarray.load_dataset(tmp_path / "out" / "result.nc", engine="h5netcdf")
    assert_same(stored, data)
    assert json.loads(stored.attrs["configuration"]) == json.loads(json.dumps(scan().configuration))
    assert {"seed", "physlearn", "numpy", "numba", "platform", "start", "end"} <= set(stored.attrs)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.nc"]


def test_a_finished_result_is_kept(tmp_path, monkeypatch):
    data = scan().run(tmp_path)
    before = (tmp_path / "result.nc").read_bytes()
    monkeypatch.setattr("physlearn.scan.engine.run_task", None)
    assert_same(scan().run(tmp_path), data)
    assert (tmp_path / "result.nc").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 8}, "seed is 7 there and 8 here"),
        ({"instances": 4}, "instances is 3 there and 4 here"),
        ({"axes": {"alpha": [0.5], "N": [5, 9]}}, "axes.alpha"),
        ({"task": statuses}, "task"),
        ({"model": Perceptron(1.0)}, "constants.model"),
    ],
)
def test_another_scan_is_refused_and_nothing_overwritten(tmp_path, change, named):
    scan().run(tmp_path)
    before = (tmp_path / "result.nc").read_bytes()
    with pytest.raises(InputError, match=named):
        scan(**change).run(tmp_path)
    assert (tmp_path / "result.nc").read_bytes() == before


def test_a_run_out_of_time_says_so_and_goes_on_later(tmp_path):
    data = scan().run(tmp_path, max_runtime=0)
    assert (data["status"] == Status.NOT_RUN.code).all()
    assert_same(scan().run(tmp_path), scan().run())


def test_an_interrupted_run_keeps_what_is_finished(tmp_path, monkeypatch):
    calls = []

    def interrupted(task, point, seed, index):
        calls.append(index)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return run_task(task, point, seed, index)

    monkeypatch.setattr("physlearn.scan.engine.run_task", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scan().run(tmp_path)
    stored = xarray.load_dataset(tmp_path / "result.nc", engine="h5netcdf")
    done = stored["status"] == Status.DONE.code
    assert int(done.sum()) == 7
    assert (stored["product"].notnull() == done).all()
    calls.extend(range(8))
    assert_same(scan().run(tmp_path), scan().run())
    assert len(calls) == 16 + (18 - 7) + 18


def test_a_run_is_written_while_it_goes_on_and_keeps_its_start(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "WRITE_EVERY", 0.0)
    stored = []

    def killed(task, point, seed, index):
        if (tmp_path / "result.nc").exists():
            stored.append(int((read(tmp_path / "result.nc")["status"] == Status.DONE.code).sum()))
        return run_task(task, point, seed, index)

    monkeypatch.setattr(engine, "run_task", killed)
    scan().run(tmp_path, max_runtime=0)
    data = read(tmp_path / "result.nc")
    write(data.assign_attrs(start="2020-01-01T00:00:00+00:00"), tmp_path / "result.nc")
    assert scan().run(tmp_path).attrs["start"] == "2020-01-01T00:00:00+00:00"
    assert stored == list(range(18))


def test_a_failure_to_write_does_not_hide_the_failure_before_it(tmp_path, monkeypatch):
    def full(*_):
        raise InputError("out: the disk is full.")

    def run_task(*_):
        monkeypatch.setattr(engine, "write", full)
        raise TaskError("no luck")

    monkeypatch.setattr(engine, "run_task", run_task)
    with pytest.raises(TaskError, match="no luck") as caught:
        scan().run(tmp_path)
    assert "the disk is full" in caught.value.__notes__[0]


def test_a_directory_takes_no_function_that_has_no_name_of_its_own(tmp_path):
    with pytest.raises(InputError, match="task: got"):
        scan(lambda point, streams: {"x": 1}).run(tmp_path)
    assert not list(tmp_path.iterdir())
    assert (scan(lambda point, streams: {"x": 1}).run()["x"] == 1).all()


def test_a_value_that_is_no_number_is_named():
    with pytest.raises(TaskError, match="x is 'one'; a number"):
        scan(lambda point, streams: {"x": "one"}).run()


def test_an_object_is_described_by_its_values_and_not_by_its_address():
    class Tuned:
        def __init__(self, value):
            self.value = value

    assert describe(Tuned(1)) == describe(Tuned(1)) == {"class": "Tuned", "value": 1}
    assert describe(Tuned(1)) != describe(Tuned(2))


def test_the_table_shows_no_noise():
    assert with_error(0.12342, 0.0012) == "0.1234(12)"
    assert with_error(0.5, np.inf) == "0.5"
    assert with_error(-3e-10, np.inf) == with_error(3e-10, 0.0) == with_error(2e-9, 1e-9) == "0"
    assert with_error(0.5, 1e-9) == "0.5"
    assert with_error(np.nan, 0.1) == "-"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_task_that_raises_names_its_point(n_jobs):
    with pytest.raises(TaskError, match=r"alpha = 1\.0, N = 9, instance .: ZeroDivisionError: no luck"):
        scan(fails).run(n_jobs=n_jobs)
    with pytest.raises(InputError, match=r"allowed: 7\. \(at alpha"):
        scan(refuses).run(n_jobs=n_jobs)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_tasks_run_on_one_thread(n_jobs):
    data = scan(threads).run(n_jobs=n_jobs)
    assert (data["blas"] == 1).all()
    assert (data["numba"] == 1).all()


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


def test_bad_runs_are_refused_in_a_sentence(tmp_path):
    for arguments, field in (
        ({"n_jobs": 0}, "n_jobs"),
        ({"n_jobs": -3}, "n_jobs"),
        ({"max_runtime": -1.0}, "max_runtime"),
    ):
        with pytest.raises(InputError, match=f"^{field}: got"):
            scan().run(**arguments)
    (tmp_path / "result.nc").write_bytes(b"not NetCDF")
    with pytest.raises(InputError, match=r"^out: got .*can be read"):
        scan().run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^out: got .*can be written"):
        scan().run(Path(tmp_path / "file" / "below"))


def test_a_description_tells_apart_what_differs():
    model = Perceptron(0.5, prior=Binary(), rule=Teacher())
    assert describe(model)["rule"] == {"class": "Teacher"}
    assert describe(model) != describe(Perceptron(0.5))
    assert describe([np.float64(1), (2, None), draw]) == [1.0, [2, None], f"{draw.__module__}.draw"]
