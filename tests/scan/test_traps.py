"""What would be silently wrong: objects as constants, tasks that misbehave, files that mislead."""

import dataclasses
import functools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import xarray
from scan_tasks import deadly, draw, large, says, slow

from physlearn import Scan, Status
from physlearn.inputs import InputError
from physlearn.scan import Directory, TaskError, TaskWarning, merge, progress, read
from physlearn.scan.grid import Grid
from physlearn.scan.journal import Reader, Writer
from physlearn.scan.storage import describe
from physlearn.scan.tasks import shielded

ROOT = Path(__file__).resolve().parents[2]
AXES = {"alpha": [0.5, 1.0, 1.5], "N": [5, 9]}


def assert_same(one, other):
    xarray.testing.assert_identical(one.drop_attrs(), other.drop_attrs())


def value(point, streams):
    return {"value": streams.dynamics.random()}


def of_object(point, streams):
    return {"value": point["thing"].alpha}


def mutates(point, streams):
    point["history"].append(1)
    point["table"]["n"] += 1
    return {"value": len(point["history"]) + point["table"]["n"]}


def mutates_array(point, streams):
    point["array"][0] = 7
    return {"value": 1.0}


def leaves(point, streams):
    os.chdir(point["place"])
    return {"value": np.full(100, point["alpha"])}


def leaves_python(point, streams):
    if point["alpha"] == 1.0:
        sys.exit(0)
    return {"value": 1.0}


def counted(point, streams):
    with Path(point["log"]).open("a") as file:
        file.write("x")
    return {"value": 1.0}


def fails_when_large(point, streams):
    if point["N"] == 9:
        raise MemoryError("no room")
    return {"value": 1.0}


def differs(point, streams):
    return {"value": 1.0 if point["alpha"] < 1 else [1.0, 2.0]}


@dataclasses.dataclass(frozen=True)
class Thing:
    alpha: float = 1.0


class Function:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, x):
        return self.scale * x


@pytest.mark.parametrize(
    "thing",
    [
        np.int64(5), np.float32(0.1), float("nan"), True, math.sqrt, Path, Path("somewhere"), b"bytes", 1j, None,
        functools.partial(math.pow, 2.0), Function(2), {"b", "a"}, {1: 2}, np.array(3.0), np.arange(200),
        np.datetime64("2020-01-01"), [1, (2, "x")], 2**70,
    ],
    ids=lambda thing: f"{type(thing).__name__}",
)  # fmt: skip
def test_a_directory_keeps_its_tasks_whatever_the_constants_are(tmp_path, thing):
    scan = Scan(value, {"alpha": [1, 2]}, {"thing": thing}, 2, 1)
    expected = scan.run()
    assert_same(scan.run(tmp_path), expected)
    assert_same(scan.run(tmp_path, n_jobs=1), expected)
    assert progress(tmp_path).n_done == 4
    assert len(list(Reader(tmp_path).records())) == 4


def test_numbers_of_numpy_and_python_have_the_same_streams():
    one, other = (Scan(value, {"alpha": [1, 2]}, {"n": n}, 2, 1).run() for n in (5, np.int64(5)))
    assert_same(one, other)


def test_descriptions_tell_apart_and_never_fail():
    described = [
        describe(item)
        for item in ({1: 2}, {"1": 2}, Function(1), Function(2), functools.partial(math.pow, 2))
    ]
    assert len({json.dumps(item) for item in described}) == 5
    cycle = []
    cycle.append(cycle)
    assert describe(cycle) == ["..."]
    program = "from physlearn.scan.storage import describe; print(describe({'a', 'b', 'c', 'd', 'e'}))"
    told = {
        subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT,
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(told) == 1


def test_integers_beyond_doubles_have_streams_and_files_of_their_own(tmp_path):
    scan = Scan(value, {"alpha": [2**53, 2**53 + 1]})
    data = scan.run(tmp_path)
    assert data["value"][0] != data["value"][1]
    assert len({scan.entry(k).key for k in range(2)}) == 2
    with pytest.raises(InputError, match=r"^axes\.alpha: got"):
        Scan(value, {"alpha": [0.5, 2**53, 2**53 + 1]})


def test_true_is_not_one_and_minus_zero_is_zero(tmp_path):
    Scan(value, {"alpha": [1]}, {"flag": True}).run(tmp_path)
    with pytest.raises(InputError, match=r"axes\.flag is True there and \[1, 2\] here"):
        Scan(value, {"alpha": [1], "flag": [1, 2]}).run(tmp_path)
    assert_same(Scan(value, {"alpha": [-0.0]}).run(), Scan(value, {"alpha": [0.0]}).run())


@pytest.mark.parametrize("N", [1.5, -1, "many"])
def test_sizes_are_counted(N):
    with pytest.raises(InputError, match=r"^N: got .*allowed: an integer >= 0"):
        Scan(value, {"N": [N]}).run()


def test_a_field_of_an_object_that_no_axis_replaces_is_a_difference(tmp_path):
    Scan(of_object, {"alpha": [1]}, {"thing": Thing(3.0)}).run(tmp_path)
    with pytest.raises(InputError, match=r"constants\.thing\.alpha is 3\.0 there and 5\.0 here"):
        Scan(of_object, {"alpha": [1]}, {"thing": Thing(5.0)}).run(tmp_path)


@dataclasses.dataclass(frozen=True)
class Box:
    items: list


def fills(point, streams):
    point["box"].items.append(1)
    return {"value": len(point["box"].items)}


def test_a_frozen_object_may_hold_what_is_not():
    for n_jobs in (1, 2):
        assert (Scan(fills, {"alpha": [1, 2, 3]}, {"box": Box([])}).run(n_jobs=n_jobs)["value"] == 1).all()


def one_sided(point, streams):
    time.sleep(0 if point["who"] == "first" else 0.2)
    return {"left": 1.0} if point["who"] == "first" else {"right": 2.0}


def test_what_is_measured_may_be_one_solvers_whose_tasks_are_not_done_yet(tmp_path):
    scan = Scan(one_sided, {"who": ["first", "second"], "alpha": [1, 2, 3]}, measure=["left", "right"])
    for out in (None, tmp_path):
        data = scan.run(out, max_runtime=0.1)
        assert (data["status"] == Status.NOT_RUN.code).any()
        assert {"left", "right"} <= set(data.data_vars)
    assert scan.run(tmp_path)["right"].sel(who="second").notnull().all()


def deadly_pair(point, streams):
    with Path(point["log"]).open("a") as file:
        file.write(f"{point['alpha']} ")
    if point["alpha"] in (1, 3):
        os.kill(os.getpid(), 9)
    return {"value": 1.0}


def test_only_those_who_kill_are_blamed(tmp_path):
    scan = Scan(deadly_pair, {"alpha": list(range(8))}, {"log": str(tmp_path / "log")})
    with pytest.warns(TaskWarning, match=r"2 tasks of 8 failed"):
        data = scan.run(tmp_path / "out", n_jobs=3)
    assert data["alpha"].values[(data["status"] == Status.FAILED.code).values[:, 0]].tolist() == [1, 3]


def test_one_failure_before_time_is_up_ends_nothing():
    scan = Scan(fails_when_large, {"N": [9]}, instances=3)
    with pytest.warns(TaskWarning):
        data = Scan(slow_failure, {"alpha": [1, 2, 3]}).run(max_runtime=0.1)
    assert (data["status"] == Status.NOT_RUN.code).any()
    with pytest.raises(TaskError, match="all 3 tasks failed"):
        scan.run()


def slow_failure(point, streams):
    time.sleep(0.2)
    raise ValueError("no luck")


def test_numbers_do_not_become_names(tmp_path):
    Scan(value, {"alpha": [1, 2]}).run(tmp_path)
    with pytest.raises(InputError, match=r"axes\.alpha is \[1, 2\] there and \['a', 'b'\] here"):
        Scan(value, {"alpha": ["a", "b"]}).run(tmp_path)


def test_merging_keeps_the_points_of_each_and_no_others(tmp_path):
    axes = {"x": [1], "y": [1, 2]}
    Scan(value, axes).with_points([{"x": 5, "y": 5}]).run(tmp_path / "a")
    Scan(value, {"x": [2], "y": [1]}).run(tmp_path / "b")
    data = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    done = data["status"] == Status.DONE.code
    assert int(done.sum()) == progress(tmp_path / "c").n_tasks == 4
    assert done.sel(x=5, y=5).all()
    assert done.sel(x=2, y=1).all()
    assert {"x": 5, "y": 5} in Directory(tmp_path / "c").extra({"x": (1,), "y": (1,)})
    Scan(value, {"x": [1, 2]}, {"y": Thing()}).run(tmp_path / "d")
    with pytest.raises(InputError, match=r"^DIR: got .*another scan"):
        merge([tmp_path / "a", tmp_path / "d"], tmp_path / "e")


def test_tasks_do_not_see_what_others_do_to_their_point():
    constants = {"history": [], "table": {"n": 0}}
    for n_jobs in (1, 2):
        assert (Scan(mutates, {"alpha": [1, 2, 3]}, constants, 2).run(n_jobs=n_jobs)["value"] == 2).all()
    assert constants == {"history": [], "table": {"n": 0}}
    with pytest.raises(TaskError, match="read-only"):
        Scan(mutates_array, {"alpha": [1]}, {"array": np.zeros(3)}).run()
    thing, array = Thing(), np.zeros(2)
    assert shielded(thing) is thing
    assert shielded({"a": [array]})["a"][0].base is array


def test_a_task_may_change_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    data = Scan(leaves, {"alpha": [1.0, 2.0]}, {"place": str(tmp_path / "elsewhere")}).run("out")
    assert (data["status"] == Status.DONE.code).all()
    assert not list((tmp_path / "elsewhere").iterdir())
    assert len(list((tmp_path / "out" / "arrays").rglob("*.npz"))) == 2


def test_a_directory_that_disappears_is_told(tmp_path):
    def removes(point, streams):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        return draw(point, streams)

    removes.__module__, removes.__qualname__ = draw.__module__, draw.__qualname__
    with pytest.raises(InputError, match=r"^out: got .*a directory that stays where it is while a scan runs"):
        Scan(removes, AXES).run(tmp_path / "out")


def test_a_task_does_not_end_the_program():
    for n_jobs in (1, 2):
        with pytest.warns(
            TaskWarning, match=r"^1 task of 3 failed .* alpha = 1\.0, instance 0: SystemExit: 0"
        ):
            data = Scan(leaves_python, {"alpha": AXES["alpha"]}).run(n_jobs=n_jobs)
        assert data["status"].values.ravel().tolist() == [9, 10, 9]


@pytest.mark.parametrize(
    "answer",
    [
        {"x": np.complex128(1 + 2j)}, {"x": None}, {"x": "1.5"}, {"x": b"1"}, {"x": np.ma.masked_array([1.0], [True])},
        {"x": [[1], [1, 2]]}, {"x": {}}, {"status": 77}, {"status": True}, {"status": "DONE"},
        {"status": Status.NOT_RUN}, {"status": Status.FAILED},
    ],
    ids=str,
)  # fmt: skip
def test_answers_that_are_no_numbers_or_no_end_are_failures(answer):
    with pytest.raises(TaskError, match=r"(a real number|one of CONVERGED, .*) .*is allowed|is allowed"):
        Scan(says, {"alpha": [1]}, {"answer": answer}).run()


def test_names_of_arrays_and_dimensions_do_not_collide(tmp_path):
    answer = {"p": [1.0, 2.0], "p_index": 3.0, "file": np.arange(100.0), "allow_pickle": np.arange(100.0)}
    data = Scan(says, {"file_index": [1]}, {"answer": answer}).run(tmp_path)
    assert set(answer) <= set(data.data_vars)
    assert data["p"].values.ravel().tolist() == [1, 2]
    assert data["p_index"].item() == 3
    assert (data["file"].values.ravel() == np.arange(100)).all()
    assert data["file"].dims == ("file_index", "instance", "file_index_")


def test_a_value_of_another_shape_than_elsewhere_is_a_failure(tmp_path):
    scan = Scan(differs, {"alpha": [0.5, 1.0]})
    for out in (None, tmp_path):
        with pytest.warns(TaskWarning, match=r"value has \d dimensions here and \d elsewhere"):
            data = scan.run(out)
        assert sorted(data["status"].values.ravel()) == [9, 10]
    assert progress(tmp_path).n_failed == 1


def grows_a_dimension(point, streams):
    return {"value": 1.0 if point["a"] < 3 else np.ones(point["length"])}


@pytest.mark.parametrize("length", [2, 100])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_another_shape_than_in_earlier_runs_is_told_too(tmp_path, length, n_jobs):
    """Large arrays have files of their own."""

    def scan(values):
        return Scan(grows_a_dimension, {"a": values}, {"length": length})

    scan([0, 1, 2]).run(tmp_path / "number")
    with pytest.warns(
        TaskWarning, match=r"^3 tasks of 3 failed .*value has 1 dimensions here and 0 elsewhere"
    ):
        scan([0, 1, 2, 3, 4, 5]).run(tmp_path / "number", n_jobs=n_jobs)
    assert progress(tmp_path / "number").n_failed == 3
    with pytest.raises(TaskError, match="all 3 tasks failed"):
        scan([3, 4, 5]).run(tmp_path / "number", n_jobs=n_jobs)
    scan([3, 4]).run(tmp_path / "array")
    with pytest.warns(TaskWarning, match="value has 0 dimensions here and 1 elsewhere"):
        scan([2, 3, 4]).run(tmp_path / "array", n_jobs=n_jobs)


def stops(point, streams):
    if point["a"] == 3:
        raise KeyboardInterrupt
    return {"value": 1.0}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_who_stops_a_run_is_told_how_to_go_on(tmp_path, n_jobs):
    scan = Scan(stops, {"a": [0, 1, 2, 3]})
    with pytest.raises(
        KeyboardInterrupt, match=r"^stopped; what was finished is kept in .*, and the same run goes"
    ):
        scan.run(tmp_path, n_jobs=n_jobs)


@pytest.mark.parametrize(
    "values", [["a", "a\0"], ["\udc80"], [True, False], [1, 1.0], [float("inf")]], ids=repr
)
def test_axes_that_no_file_holds_are_refused(values):
    with pytest.raises(InputError, match=r"^axes\.alpha: got"):
        Scan(value, {"alpha": values})


def test_what_is_to_be_measured_is_asked_of_the_first_answer(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(InputError, match=r"^measure: got 'typo'; allowed: one of value\."):
        Scan(counted, {"alpha": list(range(20))}, {"log": str(log)}, measure=["typo"]).run()
    assert log.read_text() == "x"


def test_a_size_that_always_fails_does_not_stop_the_others(tmp_path):
    scan = Scan(fails_when_large, {"alpha": list(range(20)), "N": [5, 9]})
    for _ in range(2):
        with pytest.warns(TaskWarning, match="20 tasks of .* failed .* MemoryError: no room"):
            data = scan.run(tmp_path)
        assert (data["status"].sel(N=5) == Status.DONE.code).all()


def test_a_result_is_current_by_what_it_was_made_of_and_not_by_its_time(tmp_path):
    scan = Scan(value, {"alpha": [1, 2, 3]})
    scan.run(tmp_path, shard=(1, 3))
    future = time.time() + 1e6
    os.utime(tmp_path / "result.nc", (future, future))
    assert_same(scan.run(tmp_path), scan.run())
    # A rebuild that began before the last task was written down, and ends after it.
    stale = read(tmp_path / "result.nc")
    stale["value"][-1] = np.nan
    stale["status"][-1] = Status.NOT_RUN.code
    sizes = json.loads(stale.attrs["journals"])
    stale.attrs["journals"] = json.dumps({name: size - 1 for name, size in sizes.items()})
    stale.to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    os.utime(tmp_path / "result.nc", (future, future))
    assert_same(scan.run(tmp_path), scan.run())


def test_growth_in_two_directions_stays_bounded_and_readable(tmp_path):
    wide = Scan(value, {"alpha": list(range(60))}, instances=1)
    deep = Scan(value, {"alpha": [0]}, instances=60)
    expected = wide.run(tmp_path), deep.run(tmp_path)
    assert read(tmp_path / "result.nc").sizes == {"alpha": 1, "instance": 60}
    assert_same(wide.run(tmp_path), expected[0])
    assert_same(deep.run(tmp_path), expected[1])
    assert progress(tmp_path).n_done == 60


ODD_LINES = [
    '{"point": {"alpha": [1]}, "instance": 0, "status": 9, "values": {}}',
    '{"point": {"alpha": 1}, "instance": 0, "status": 300, "values": {}}',
    '{"point": {"alpha": 1}, "instance": 0, "status": 77, "values": {}}',
    '{"point": {"alpha": 1}, "instance": true, "status": 9, "values": {}}',
    '{"point": {"alpha": 1}, "instance": 0, "status": 9, "values": {"value": "x"}}',
    '{"point": {"alpha": 1}, "instance": 0, "status": 9, "values": {}, "time": "now"}',
    '{"point": {"alpha": 1}, "instance": 0, "status": 9, "values": {}, "arrays": 5}',
    '{"start": 5}',
    '{"start": "now", "host": "here", "pid": null}',
    "[" * 100_000,
    "null",
]


def test_lines_that_are_something_else_are_told_and_harmless(tmp_path):
    scan = Scan(value, {"alpha": [1, 2]})
    expected = scan.run(tmp_path)
    (tmp_path / "journal" / "0.jsonl").write_text("\n".join(ODD_LINES) + "\n")
    (tmp_path / "journal" / "folder.jsonl").mkdir()
    assert f"and {len(ODD_LINES) - 1} more can't be read" in progress(tmp_path).damaged
    assert_same(scan.run(tmp_path), expected)


@pytest.mark.parametrize("key", ["axes", "instances", "constants", "address", "extra", "seed"])
def test_a_manifest_without_its_parts_is_told(tmp_path, key):
    scan = Scan(value, {"alpha": [1, 2]})
    scan.run(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["configuration"][key]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for action in (lambda: scan.run(tmp_path), lambda: progress(tmp_path)):
        with pytest.raises(InputError, match=r"^out: got .*this one is damaged"):
            action()


def test_shards_are_equal():
    for lengths, instances, n in (([10, 4, 2], 20, 40), ([5], 5, 20), ([17, 4, 2], 14, 7), ([4], 40, 8)):
        grid = Grid({f"x{k}": tuple(range(length)) for k, length in enumerate(lengths)}, (), instances)
        parts = [list(grid.order((k + 1, n))) for k in range(n)]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert sorted(index for part in parts for index in part) == list(range(grid.n_tasks))
    # Each has all loads, also where their number and that of the shards have something in common.
    for n_loads, n in ((4, 4), (41, 40), (21, 20), (11, 5), (8, 4)):
        grid = Grid({"x": tuple(range(n_loads))}, (), 10 * n)
        assert len({index // (10 * n) for index in grid.order((1, n))}) == n_loads


def fast_then_slow(point, streams):
    time.sleep(0.05 if point["alpha"] > 400 else 0)
    return {"value": float(point["alpha"])}


def test_tasks_handed_back_are_done(tmp_path):
    scan = Scan(fast_then_slow, {"alpha": list(range(430))})
    data = scan.run(tmp_path, n_jobs=2)
    assert (data["value"].values.ravel() == np.arange(430)).all()
    assert len(list(Reader(tmp_path).records())) == 430


PARENT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from scan_tasks import slow
from physlearn import Scan
Scan(slow, {{"alpha": [0.5, 1.0], "N": [5, 9]}}, {{"pause": 60, "log": "log"}}).run({out!r}, n_jobs=2)
"""


def test_workers_end_when_their_coordinator_is_killed(tmp_path):
    program = PARENT.format(root=str(ROOT), tests=str(ROOT / "tests"), out=str(tmp_path / "out"))
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(tmp_path.glob("out/under-way/*"))) < 2:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    except ProcessLookupError:
        return
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("workers outlived the process that had started them")


@pytest.mark.filterwarnings("ignore")  # what Dask says of its own parts
def test_a_task_that_kills_its_workers_ends_on_dask_too(tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    cluster.adapt(minimum=2, maximum=2)  # else it may give up a worker that dies again and again
    scan = Scan(deadly, AXES, {"log": str(tmp_path / "deaths"), "deaths": 100}, 1, 3)
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask", n_jobs=-1):
        data = scan.run(tmp_path / "out", n_jobs=None)
    assert data["status"].sel(alpha=1.0, N=9).item() == Status.FAILED.code
    assert int((data["status"] == Status.DONE.code).sum()) == 5
    assert len((tmp_path / "deaths").read_text()) == 3  # twice beside others, then by itself


def test_an_engine_that_gives_its_answers_at_once(tmp_path):
    scan = Scan(draw, AXES, instances=3)
    with joblib.parallel_config(backend="multiprocessing", n_jobs=2):
        assert_same(scan.run(tmp_path, n_jobs=None), scan.run())


def test_later_processes_in_a_directory_go_their_own_way(tmp_path):
    """Two of them, started at once: nearly all tasks are done by one of them only."""
    scan = Scan(slow, {"alpha": list(range(60))}, {"N": 5, "pause": 0.02, "log": str(tmp_path / "log")})
    threads = [threading.Thread(target=scan.run, args=(tmp_path / "out",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 60 <= len((tmp_path / "log").read_text().splitlines()) < 100  # they meet in the middle
    assert progress(tmp_path / "out").n_done == 60


def test_a_lock_that_is_never_released_is_told(tmp_path, monkeypatch):
    scan = Scan(value, {"alpha": [1]})
    scan.run(tmp_path)
    monkeypatch.setattr("physlearn.scan.directory._WAIT", 0.1)
    with (
        Directory(tmp_path).locked(),
        pytest.raises(InputError, match=r"^out: got .*whose lock no other process"),
    ):
        Directory(tmp_path).rebuild()


def test_merging_remembers_and_compares_what_it_should(tmp_path):
    def one(**things):
        return Scan(of_object, {"thing": things, "alpha": [1]})

    one(a=Thing(1.0), b=Thing(2.0)).run(tmp_path / "a")
    one(a=Thing(1.0)).run(tmp_path / "a")
    merge([tmp_path / "a"], tmp_path / "c")
    with pytest.raises(InputError, match=r"axes\.thing\.b\.alpha is 2\.0 there and 77\.0 here"):
        one(a=Thing(1.0), b=Thing(77.0)).run(tmp_path / "c")
    one(b=Thing(5.0)).run(tmp_path / "d")
    with pytest.raises(InputError, match=r"^DIR: got .*d, which holds another scan \(axes\.thing\.b"):
        merge([tmp_path / "a", tmp_path / "d"], tmp_path / "e")
    # 1 and 1.0 are one point: their answers must agree.
    Scan(value, {"alpha": [1, 2]}).run(tmp_path / "f")
    Scan(value, {"alpha": [1.0, 2.0]}).run(tmp_path / "g")
    (path,) = (tmp_path / "g" / "journal").iterdir()
    lines = path.read_text().splitlines(keepends=True)
    record = json.loads(lines[1])
    record["values"]["value"] += 1
    path.write_text("".join([lines[0], json.dumps(record) + "\n", *lines[2:]]))
    with pytest.raises(InputError, match="answer differently"):
        merge([tmp_path / "f", tmp_path / "g"], tmp_path / "h")


def test_axes_of_one_directory_are_constants_of_the_other_and_back(tmp_path):
    Scan(value, {"alpha": [1, 2]}, {"beta": 1}).run(tmp_path / "a")
    Scan(value, {"beta": [1, 2]}, {"alpha": 1}).run(tmp_path / "b")
    data = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert set(data["value"].dims) == {"alpha", "beta", "instance"}
    assert int(data["value"].notnull().sum()) == 3
    with pytest.raises(InputError, match=r"axes\.alpha is \[1, 2\] there and 1 here"):
        Scan(value, {"beta": [1]}, {"alpha": 1}).run(tmp_path / "c")


def test_the_heart_of_a_writer_stops_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("physlearn.scan.journal._BEAT", 0.001)
    for k in range(20):
        writer = Writer(tmp_path / str(k), 1)
        time.sleep(0.005)
        writer.close("finished")
        writer.close("finished")
        assert len(writer.path.read_text().splitlines()) == 2


def test_a_preview_asks_only_corners_of_the_grid(tmp_path):
    scan = Scan(large, {"alpha": [1.0, 2.0], "N": [5, 9]}).with_points([{"alpha": 100.0, "N": 5}])
    preview = scan.preview()
    assert len(preview.corners) == 4
    assert not any("100" in place for place in preview.corners)
    assert (preview.n_tasks, preview.n_missing) == (5, 5)
    assert np.isfinite(Scan(value, {"alpha": [-1e308, 0.0, 1e308]}).preview().seconds)
