"""What workers write down themselves, what they leave to the process that hands out the tasks, and their notes."""

import dataclasses
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from scan_tasks import refuses, says

from physlearn import Scan, Status
from physlearn.scan import TaskWarning
from physlearn.scan import journal as journal_module
from physlearn.scan.journal import Reader, Writer
from physlearn.scan.tasks import Setting
from physlearn.scan.worker import run_chunk


def tenth(point, streams):
    time.sleep(0.1)
    return {"value": 1.0}


def test_a_chunk_hands_over_what_is_finished_when_it_takes_long():
    scan = Scan(tenth, {"alpha": list(range(20))})
    entries = [scan.entry(k) for k in range(20)]
    begin = time.monotonic()
    outcomes = list(run_chunk(Setting(tenth, 0), entries))
    assert 1 <= len(outcomes) <= 5
    assert time.monotonic() - begin < 5
    assert [outcome.index for outcome in outcomes] == list(range(len(outcomes)))


def chunk_of(tmp_path, answers, n_dims, journal=None):
    """Run tasks that give these answers in the directory of a run; outcomes, and what workers wrote."""
    with_answers = [Scan(says, {"a": [k]}, {"answer": answer}).entry(0) for k, answer in enumerate(answers)]
    writer = Writer(tmp_path, 2)
    setting = Setting(
        says,
        0,
        directory=str(tmp_path),
        journal=writer.path.name if journal is None else journal,
        n_dims=n_dims,
    )
    outcomes = list(run_chunk(setting, with_answers))
    writer.close("finished")
    return outcomes, list(Reader(tmp_path).records(writer.path)), list(Reader(tmp_path).records())


def test_a_worker_writes_down_what_has_the_shapes_that_are_known(tmp_path):
    answers = [{"x": 1.0}, {"x": np.ones(2)}, {"x": 1.0, "y": 2.0}, {"x": 3.0, "status": Status.DIVERGED}]
    outcomes, others, all_ = chunk_of(tmp_path, answers, {"x": 0})
    assert [bool(outcome.journal) for outcome in outcomes] == [True, False, False, True]
    assert others == []
    assert [(record["values"], record["status"]) for record in all_] == [
        ({"x": 1.0}, Status.DONE.code),
        ({"x": 3.0}, Status.DIVERGED.code),
    ]
    assert [outcome.values for outcome in outcomes][::2] == [{"x": None}, {"x": 1.0, "y": 2.0}]


def test_a_worker_that_does_not_see_the_run_writes_nothing(tmp_path):
    """Another scan's directory may stand under the same path on its machine."""
    outcomes, _, all_ = chunk_of(tmp_path, [{"x": 1.0}], {"x": 0}, journal="elsewhere.jsonl")
    assert (outcomes[0].journal, outcomes[0].values) == ("", {"x": 1.0})
    assert all_ == []
    assert len(list((tmp_path / "journal").iterdir())) == 1


def test_a_worker_whose_disk_is_full_hands_over_its_values(tmp_path, monkeypatch):
    original, path = os.write, []

    def full(file, data):
        if b'"values"' not in data:
            return original(file, data)
        path.append(os.readlink(f"/proc/self/fd/{file}"))
        original(file, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module.os, "write", full)
    outcomes, _, all_ = chunk_of(tmp_path, [{"x": 1.0}, {"x": 2.0}], {"x": 0})
    assert [outcome.values for outcome in outcomes] == [{"x": 1.0}, {"x": 2.0}]
    assert all_ == []
    assert "+" in Path(path[0]).name
    assert len(Path(path[0]).read_bytes().splitlines()) == 1  # its header: no half of a line stays


def test_a_worker_whose_disk_is_full_from_the_start_leaves_nothing_behind(tmp_path, monkeypatch):
    original = os.write

    def full(file, data):
        if b'"of"' in data:
            raise OSError(28, "No space left on device")
        return original(file, data)

    monkeypatch.setattr(journal_module.os, "write", full)
    before = len(os.listdir("/proc/self/fd"))
    outcomes, _, _ = chunk_of(tmp_path, [{"x": 1.0}], {"x": 0})
    assert outcomes[0].values == {"x": 1.0}
    assert len(list((tmp_path / "journal").iterdir())) == 1
    assert len(os.listdir("/proc/self/fd")) == before


def test_refusals_are_not_written_down(tmp_path):
    writer = Writer(tmp_path, 2)
    setting = Setting(refuses, 0, directory=str(tmp_path), journal=writer.path.name)
    (outcome,) = run_chunk(setting, [Scan(refuses, {"a": [1]}).entry(0)])
    writer.close("finished")
    assert outcome.is_refusal
    assert not outcome.journal
    assert list(Reader(tmp_path).records()) == []


def test_journals_are_found_that_a_listing_does_not_show_yet(tmp_path, monkeypatch):
    """As on a network's file system, where another host has just made them."""
    scan = Scan(tenth, {"a": list(range(8))})
    original = Path.glob
    monkeypatch.setattr(
        Path, "glob", lambda self, pattern: (path for path in original(self, pattern) if "+" not in path.name)
    )
    data = scan.run(tmp_path, n_jobs=2)
    assert (data["status"] == Status.DONE.code).all()
    assert any("+" in name for name in json.loads(data.attrs["journals"]))


def test_marks_of_runs_that_were_killed_go_and_those_of_living_ones_stay(tmp_path):
    scan = Scan(tenth, {"a": [1]})
    scan.run(tmp_path)
    living = Writer(tmp_path, 2)
    gone, there = "19700101-gone.jsonl.3", f"{living.path.name}.4"
    for name in (gone, f"{gone}.answer", there, f"{there}.answer"):
        (tmp_path / "under-way").mkdir(exist_ok=True)
        (tmp_path / "under-way" / name).touch()
    Scan(tenth, {"a": [1, 2]}).run(tmp_path, n_jobs=1)
    assert {path.name for path in (tmp_path / "under-way").iterdir()} == {there, f"{there}.answer"}
    living.close("finished")


def counted(point, streams):
    with Path(point["log"]).open("a") as file:
        file.write(f"{point['a']} ")
    return {"x": 1.0}


def test_a_chunk_that_another_worker_has_begun_repeats_nothing_that_is_written_down(tmp_path):
    entries = [Scan(counted, {"a": [k, 99]}, {"log": str(tmp_path / "log")}).entry(0) for k in range(5)]
    entries = [dataclasses.replace(entry, index=10 + k) for k, entry in enumerate(entries)]
    writer = Writer(tmp_path, 2)
    setting = Setting(counted, 0, directory=str(tmp_path), journal=writer.path.name, n_dims={"x": 0})
    list(run_chunk(setting, entries[:2]))
    outcomes = list(run_chunk(setting, entries, True))
    writer.close("finished")
    assert [(item.index, item.status) for item in outcomes] == [(10 + k, Status.DONE.code) for k in range(5)]
    assert "+" in outcomes[0].journal
    assert (tmp_path / "log").read_text() == "0 1 2 3 4 "


def deadly_trio(point, streams):
    if point["a"] in (2, 3, 17):
        os.kill(os.getpid(), 9)
    time.sleep(0.01)
    return {"value": 1.0}


@pytest.mark.parametrize("has_notes", [True, False])
def test_killers_are_found_among_many(tmp_path, has_notes):
    scan = Scan(deadly_trio, {"a": list(range(40))})
    with pytest.warns(
        TaskWarning, match=r"3 tasks of 40 failed .*: its worker process died again and again, .*SIGKILL"
    ):
        data = scan.run(tmp_path / "out" if has_notes else None, n_jobs=3)
    assert np.flatnonzero((data["status"] == Status.FAILED.code).values[:, 0]).tolist() == [2, 3, 17]
    assert int((data["status"] == Status.DONE.code).sum()) == 37
