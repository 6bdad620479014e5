"""What a scan costs beside its tasks: time per task, workers kept busy, memory of the process that hands them out.

``make bench``. The time is compared with joblib alone running the same calls, one a task.
"""

import os
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest

from physlearn import Scan

N_TASKS = 10_000
BUSY, N_BUSY = 0.05, 200


def trivial(point, streams):
    """A task that takes no time."""
    return {"value": 2.0 * point["a"]}


def busy(point, streams):
    """A task that keeps a core busy for 50 ms, whoever shares it."""
    end = time.thread_time() + BUSY
    while time.thread_time() < end:
        pass
    return {"value": 1.0}


def scan(task, n):
    return Scan(task, {"a": list(range(n // 10))}, instances=10)


@pytest.fixture(scope="module")
def table():
    rows = {}
    yield rows
    print("\n\nScans on 2 workers:")
    for name, text in rows.items():
        print(f"  {name:<52} {text}")


@pytest.fixture(scope="module", autouse=True)
def _warm_workers():
    """Workers that have started and imported, which costs a second or two once a session."""
    scan(trivial, 200).run(n_jobs=2)


@pytest.mark.parametrize("where", ["joblib alone", "in memory", "in a directory"])
def test_overhead_per_task(benchmark, table, tmp_path, where):
    folders = iter(range(1000))

    def run():
        if where == "joblib alone":
            calls = (joblib.delayed(trivial)({"a": k}, None) for k in range(N_TASKS))
            return joblib.Parallel(n_jobs=2)(calls)
        out = tmp_path / str(next(folders)) if where == "in a directory" else None
        return scan(trivial, N_TASKS).run(out, n_jobs=2)

    benchmark.pedantic(run, rounds=5)
    each = benchmark.stats.stats.min / N_TASKS * 1e3
    table[f"overhead, {N_TASKS} tasks, {where}"] = f"{each:.4f} ms per task"


def test_workers_are_busy(benchmark, table, tmp_path):
    """The share of the time of two cores that goes into tasks; a core that others use counts as busy with them."""
    folders = iter(range(1000))
    benchmark.pedantic(lambda: scan(busy, N_BUSY).run(tmp_path / str(next(folders)), n_jobs=2), rounds=3)
    share = N_BUSY * BUSY / 2 / benchmark.stats.stats.min
    table["workers busy with 50 ms tasks"] = f"{share:.1%}"


def resident(name="VmRSS"):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize("n", [10_000, 100_000])
def test_memory_of_the_coordinator(benchmark, table, tmp_path, n):
    scan(trivial, 1000).run(tmp_path / "warm", n_jobs=2)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident()
    data = benchmark.pedantic(lambda: scan(trivial, n).run(tmp_path / "out", n_jobs=2), rounds=1)
    peak = resident("VmHWM") - before
    table[f"memory of {n} tasks beyond that of 1000, peak"] = (
        f"{peak:.1f} MB, the dataset {data.nbytes / 1e6:.1f} MB"
    )
    assert np.isfinite(data["value"]).all()
    assert os.path.exists(tmp_path / "out" / "result.nc")
