"""Runs that are killed for real, at any moment, and the same command again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray
from scan_tasks import slow

from physlearn import Scan, Status
from physlearn.scan import progress, read
from physlearn.scan.journal import Reader

ROOT = Path(__file__).resolve().parents[2]
AXES = {"alpha": [0.5, 1.0, 1.5, 2.0], "N": [5, 9, 1501]}
INSTANCES = 5
PROGRAM = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from scan_tasks import slow
from physlearn import Scan
scan = Scan(slow, {axes!r}, {{"pause": {pause}, "log": {log!r}}}, {instances}, 7)
import physlearn.kernels.threads, joblib, tqdm, xarray, threadpoolctl, h5netcdf
print("ready", flush=True)
scan.run({out!r}, n_jobs={n_jobs})
print("finished", flush=True)
"""


def start(tmp_path, n_jobs, pause=0.01):
    """The program in a process group of its own, as soon as it is about to run."""
    program = PROGRAM.format(
        root=str(ROOT), tests=str(ROOT / "tests"), axes=AXES, pause=pause, log=str(tmp_path / "log"),
        instances=INSTANCES, out=str(tmp_path / "out"), n_jobs=n_jobs,
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process):
    """Kill the whole group; whether the program had finished before."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = "finished" in process.stdout.read()
    process.stdout.close()
    return finished


def successes(out):
    """How many journal lines each task has."""
    counts = {}
    for record in Reader(out).records():
        key = json.dumps([record["point"], record["instance"]], sort_keys=True)
        counts[key] = counts.get(key, 0) + 1
    return counts


def kill_and_resume(tmp_path, n, latest, n_jobs):
    """Kill n runs, each within so many seconds of its start; where a scan is finished, begin anew.

    Gives the number of kills, and of tasks that have been done more than once.
    """
    expected = Scan(slow, AXES, {"pause": 0.01, "log": str(tmp_path / "log")}, INSTANCES, 7).run()
    log = tmp_path / "log"
    n_kills, n_scans, n_before = 0, 1, n_lines(log)
    rng = np.random.default_rng(n_jobs)
    while n_kills < n:
        process = start(tmp_path, n_jobs)
        time.sleep(rng.uniform(0, latest))
        finished = kill(process)
        n_kills += not finished
        if (tmp_path / "out" / "manifest.json").exists():
            shown = progress(tmp_path / "out")
            assert shown.n_done == len(successes(tmp_path / "out"))
        if finished:
            check_and_clear(tmp_path, expected)
            n_scans += 1
    process = start(tmp_path, n_jobs)
    assert process.wait(120) == 0
    process.stdout.close()
    check_and_clear(tmp_path, expected)
    return n_kills, n_lines(log) - n_before - n_scans * expected["status"].size


# What was at its end when it was killed may be repeated: of each worker, the task that it had not written down, and
# the one before, which the first process to know of its shape writes down for it.
REPEATED = 2


def n_lines(path):
    return len(path.read_text().splitlines())


def check_and_clear(tmp_path, expected):
    out = tmp_path / "out"
    data = read(out / "result.nc")
    xarray.testing.assert_identical(data.drop_attrs(), expected.drop_attrs())
    counts = successes(out)
    assert len(counts) == expected["status"].size
    assert set(counts.values()) == {1}
    # A task that was under way may have been done twice, but of those in the journal none.
    out.rename(tmp_path / f"kept-{time.monotonic_ns()}")


@pytest.mark.parametrize(("n_jobs", "n"), [(1, 7), (2, 4)])
def test_kills_at_random_moments(tmp_path, n_jobs, n):
    n_kills, n_repeated = kill_and_resume(tmp_path, n, 0.7, n_jobs)
    assert 0 <= n_repeated <= REPEATED * n_jobs * n_kills


@pytest.mark.validation
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_kills_at_a_hundred_random_moments(tmp_path, n_jobs):
    n_kills, n_repeated = kill_and_resume(tmp_path, 60, 1.0, n_jobs)
    assert 0 <= n_repeated <= REPEATED * n_jobs * n_kills


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_study_stops_within_a_second_when_it_is_told_to(tmp_path, number, jobs):
    """Also where a task takes longer; the sentence says how to go on, and no worker stays behind."""
    text = """
question = "Does it stop?"
seed = 1
measure = ["n_solutions"]
instances = 40
[model]
class = "Perceptron"
[axes]
alpha = [0.2]
N = [5, 25]
[[solver]]
name = "all"
class = "Enumeration"
"""
    (tmp_path / "study.toml").write_text(text)
    command = [sys.executable, "-m", "physlearn", "scan", "study.toml", "--jobs", jobs, "--out", "out"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        (tmp_path / "out" / "manifest.json").exists() and progress(tmp_path / "out").n_done >= 2
    ):
        time.sleep(0.05)
    begin = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal does
    _, told = process.communicate(timeout=60)
    took = time.monotonic() - begin
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert (
        told
        == "physlearn: stopped; what was finished has been kept, and the same command goes on from there.\n"
    )
    assert took < 10  # it is a tenth of a second on a quiet machine; the tasks would take a minute
    shown = progress(tmp_path / "out")
    assert 2 <= shown.n_done < 80
    for _ in range(40):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("workers stayed behind")
    assert Status.NOT_RUN.name not in shown.by_status
