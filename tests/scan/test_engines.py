"""The answer depends neither on the engine nor on the number of workers or the order; a dead worker ends nothing."""

import contextlib
import os
import pickle
import platform
import subprocess
import time
import warnings
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pytest
import xarray
from scan_tasks import deadly, draw, threads

from physlearn import AMP, Perceptron, Scan, SimulatedAnnealing, Status, Teacher
from physlearn.processes.marks import leave_answer
from physlearn.scan import TaskError, TaskWarning, dispatch
from physlearn.scan.dispatch import Dispatch
from physlearn.scan.grid import Grid
from physlearn.scan.journal import Reader
from physlearn.scan.tasks import Outcome, Setting
from physlearn.scan.worker import mark
from physlearn.solvers import solve_task

AXES = {"alpha": [0.5, 1.0, 1.5], "N": [5, 9]}


def solving():
    """A scan of real solvers, in which threads of BLAS would change last bits."""
    solvers = {"amp": AMP(n_iterations=30), "annealing": SimulatedAnnealing(20)}
    model = Perceptron(1.0, rule=Teacher(), patterns="gaussian")
    return Scan(solve_task, {"solver": solvers, "alpha": [0.5, 1.5], "N": [51, 101]}, {"model": model}, 3, 5)


def assert_same(one, other):
    xarray.testing.assert_identical(one.drop_attrs(), other.drop_attrs())


@pytest.fixture(scope="module")
def expected():
    return solving().run()


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_processes(expected, tmp_path, n_jobs):
    assert_same(solving().run(tmp_path, n_jobs=n_jobs), expected)
    assert_same(solving().run(n_jobs=n_jobs), expected)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_engines_named_by_the_user(expected, tmp_path, backend):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert_same(solving().run(tmp_path, n_jobs=None), expected)


@pytest.mark.filterwarnings("ignore")  # what Dask says of its own parts
def test_a_dask_cluster_of_two_workers(expected, tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask", n_jobs=-1):
        assert_same(solving().run(tmp_path / "one", n_jobs=None), expected)
        # A worker that is killed costs its task, which another one does again.
        data = dying(tmp_path, deaths=1).run(tmp_path / "two", n_jobs=None)
    assert_same(data, dying(tmp_path, deaths=1).run())


@pytest.mark.filterwarnings("ignore")  # what Dask says of its own parts
def test_a_worker_killed_under_dask_repeats_nothing_that_is_finished(tmp_path):
    """Dask tries the whole chunk again: the new worker asks the journals what the dead one had finished."""
    distributed = pytest.importorskip("distributed")
    scan = Scan(logged_deadly, {"a": list(range(60))}, {"log": str(tmp_path / "log")}, seed=3)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask", n_jobs=-1):
        data = scan.run(tmp_path / "out", n_jobs=None)
    assert (tmp_path / "log.died").exists()
    assert sum(Counter((tmp_path / "log").read_text().split()).values()) <= 60 + 1
    assert len(list(Reader(tmp_path / "out").records())) == 60
    assert_same(data, scan.run())


def sums(point, streams):
    return {"sum": point["x"].sum(), "other": point["y"].sum()}


def test_arrays_with_gaps_are_the_same_in_all_processes():
    """In which order numbers are summed depends on where they stand."""
    x = np.random.default_rng(0).standard_normal((1000, 1001))
    scan = Scan(sums, {"a": [1, 2, 3]}, {"x": x[:, ::2], "y": x.T[::2]})
    assert_same(scan.run(n_jobs=2), scan.run())


def test_any_order(expected, tmp_path, monkeypatch):
    order, shuffled = Grid.order, np.random.default_rng(0)
    monkeypatch.setattr(
        Grid, "order", lambda *rest, **more: iter(shuffled.permutation(list(order(*rest, **more))).tolist())
    )
    assert_same(solving().run(), expected)
    assert_same(solving().run(tmp_path, n_jobs=2), expected)


def test_shards_in_one_directory(expected, tmp_path):
    for part in (2, 1):
        partial = solving().run(tmp_path, shard=(part, 3))
        assert (partial["status"] == Status.NOT_RUN.code).any()
    assert_same(solving().run(tmp_path, shard=(3, 3)), expected)
    whole = set(solving().grid.order())
    parts = [set(solving().grid.order((k, 3))) for k in (1, 2, 3)]
    assert set.union(*parts) == whole
    assert [len(part) for part in parts] == [8, 8, 8]


@pytest.mark.parametrize(("backend", "pause"), [("sequential", 0.0), ("loky", 0.0), ("threading", 0.05)])
def test_tasks_run_on_one_thread(backend, pause):
    """Also while tasks in other threads end before, whose limits are lifted then."""
    from threadpoolctl import threadpool_info

    before = [pool["num_threads"] for pool in threadpool_info()]
    with joblib.parallel_config(backend=backend, n_jobs=2):
        data = Scan(threads, {"a": list(range(7))}, {"pause": pause}, 2).run(n_jobs=None)
    assert (data["blas"] == 1).all()
    assert (data["numba"] == 1).all()
    assert [pool["num_threads"] for pool in threadpool_info()][: len(before)] == before


def dying(tmp_path, deaths):
    return Scan(deadly, AXES, {"log": str(tmp_path / "deaths"), "deaths": deaths}, 1, 3)


def test_a_worker_that_is_killed_costs_its_task_only(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", TaskWarning)
        data = dying(tmp_path, deaths=1).run(tmp_path / "out", n_jobs=2)
    assert (tmp_path / "deaths").read_text() == "x"
    assert_same(data, dying(tmp_path, deaths=1).run())


def logged_deadly(point, streams):
    """Notes in a log that it ends; at one point kills its worker in the first try."""
    died = Path(point["log"] + ".died")
    time.sleep(0.02)
    if point["a"] == 40 and not died.exists():
        died.touch()
        os.kill(os.getpid(), 9)
    with Path(point["log"]).open("a") as file:
        file.write(f"{point['a']}\n")
    return {"value": streams.dynamics.random(), "profile": np.arange(float(point["a"] + 70))}


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_what_is_finished_is_not_repeated_though_all_workers_end(tmp_path, backend):
    """Tasks come in chunks, several finished ones are not yet handed over when one of the workers dies."""
    scan = Scan(logged_deadly, {"a": list(range(100))}, {"log": str(tmp_path / "log")}, seed=3)
    if backend == "threading":
        (tmp_path / "log.died").touch()
    with joblib.parallel_config(backend=backend, n_jobs=3):
        data = scan.run(tmp_path / "out", n_jobs=None)
    assert (tmp_path / "log.died").exists()
    counts = Counter((tmp_path / "log").read_text().split())
    assert len(counts) == 100
    # A kill may come between the end of a task and its line; the task that kills has no end in its first try.
    assert sum(counts.values()) <= 100 + 2
    records = list(Reader(tmp_path / "out").records())
    assert len(records) == 100
    assert_same(data, scan.run(tmp_path / "again"))
    assert len(list((tmp_path / "out" / "journal").iterdir())) > 1
    assert not (tmp_path / "out" / "under-way").exists()


def test_a_task_that_kills_its_workers_is_a_failure_and_the_others_are_done(tmp_path):
    with pytest.warns(
        TaskWarning, match=r"1 task of 6 failed .* at alpha = 1\.0, N = 9, .*: its worker process died"
    ):
        data = dying(tmp_path, deaths=100).run(tmp_path / "out", n_jobs=2)
    failed = data["status"] == Status.FAILED.code
    assert int(failed.sum()) == 1
    assert failed.sel(alpha=1.0, N=9).all()
    os.remove(tmp_path / "deaths")


def workers(coordinator):
    """Those of loky, but not what else it or a test may have started."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == coordinator and b"popen_loky" in (path / "cmdline").read_bytes():
                yield int(path.name)


def kills_a_worker(point, streams):
    """One of joblib's own, with nothing to do but to wait: the engine then ends all the others."""
    log = Path(point["log"])
    with log.with_suffix(".begun").open("a") as file:
        file.write(f"{point['a']}\n")
    time.sleep(0.02)
    if point["a"] in (3, 70) and (point["always"] or not log.with_suffix(f".{point['a']}").exists()):
        log.with_suffix(f".{point['a']}").touch()
        time.sleep(0.3)
        for worker in sorted(workers(point["coordinator"]))[-1:]:
            os.kill(worker, 9)
        time.sleep(1)
        if point["always"]:
            os.kill(os.getpid(), 9)
    with log.open("a") as file:
        file.write(f"{point['a']}\n")
    return {"value": 1.0}


def killing(tmp_path, points, always):
    constants = {"log": str(tmp_path / "log"), "always": always, "coordinator": os.getpid()}
    return Scan(kills_a_worker, {"a": points}, constants)


def test_a_worker_that_dies_itself_repeats_nothing_that_is_finished_or_under_way(tmp_path):
    data = killing(tmp_path, list(range(80)), False).run(tmp_path / "out", n_jobs=3)
    assert (tmp_path / "log.3").exists()
    assert (tmp_path / "log.70").exists()
    assert (data["status"] == Status.DONE.code).all()
    begun = Counter((tmp_path / "log.begun").read_text().split())
    assert begun == {str(k): 1 for k in range(80)}
    assert len(list(Reader(tmp_path / "out").records())) == 80
    assert not (tmp_path / "out" / "under-way").exists()


def test_an_answer_is_taken_from_a_process_that_has_ended_before_anybody_looked(tmp_path):
    """A refusal is in no journal: without the answer, the task would be repeated."""
    scan = Scan(draw, AXES)
    setting = Setting(draw, 0, directory=str(tmp_path), journal="run", coordinator=os.getpid())
    dispatch = Dispatch(setting, iter(()), 1, lambda entries: entries)
    dispatch._in_flight[0] = [scan.entry(2), scan.entry(3)]
    path = mark(tmp_path, "run.0")
    path.parent.mkdir()
    with subprocess.Popen(["true"]) as ended:
        pass
    path.write_text(f"{ended.pid} {platform.node()}")
    refusal = Outcome(2, Status.FAILED.code, error="no", is_refusal=True)
    leave_answer(str(path), pickle.dumps(refusal))
    assert [(entry.index, outcome.error) for entry, outcome in dispatch._lost()] == [(2, "no")]
    assert [entry.index for entry in dispatch._again] == [3]
    assert list(path.parent.iterdir()) == [path]


def test_workers_that_die_again_and_again_end_the_run_and_what_is_finished_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "_HOPE", 5.0)
    scan = killing(tmp_path, [3, 70, 71], True)
    with pytest.raises(TaskError, match=r"can't be run by this engine: .*terminated"):
        scan.run(tmp_path / "out", n_jobs=2)
    assert len(list(Reader(tmp_path / "out").records())) >= 1


def test_what_no_engine_can_take_is_told():
    class Lock:
        def __reduce__(self):
            raise TypeError("it can't be pickled")

    with pytest.raises(TaskError, match=r"the tasks can't be run by this engine: .*pickled"):
        Scan(draw, AXES, {"lock": Lock()}).run(n_jobs=2)
