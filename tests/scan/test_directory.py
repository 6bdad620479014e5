"""What a directory holds survives cuts, damage and full disks; two processes at once do no harm; shards are merged."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray
from scan_tasks import draw, fails, large, slow, steps

from physlearn import Scan, Status
from physlearn.inputs import InputError
from physlearn.scan import Directory, TaskWarning, merge, progress, read
from physlearn.scan import journal as journal_module
from physlearn.scan.journal import Reader
from physlearn.scan.tasks import Setting, run_entry

ROOT = Path(__file__).resolve().parents[2]
AXES = {"alpha": [0.5, 1.0, 1.5], "N": [5, 9]}


def scan(task=draw, axes=AXES, instances=3, seed=7, **constants):
    return Scan(task, axes, constants, instances, seed)


def assert_same(one, other):
    xarray.testing.assert_identical(one.drop_attrs(), other.drop_attrs())


def journals(directory):
    return sorted((directory / "journal").glob("*.jsonl"))


def records(directory):
    return list(Reader(directory).records())


def test_every_cut_of_a_journal_loses_its_last_task_at_most(tmp_path):
    expected = scan().run(tmp_path / "whole")
    (whole,) = journals(tmp_path / "whole")
    content = whole.read_bytes()
    rng = np.random.default_rng(1)
    for k, length in enumerate([0, 1, *rng.integers(1, len(content), 12), len(content) - 1]):
        directory = tmp_path / f"cut{k}"
        (directory / "journal").mkdir(parents=True)
        (directory / "manifest.json").write_bytes((tmp_path / "whole" / "manifest.json").read_bytes())
        (directory / "journal" / whole.name).write_bytes(content[:length])
        n_left = len(records(directory))
        assert n_left >= content[:length].count(b"\n") - 2
        assert_same(scan().run(directory), expected)
        assert (directory / "journal" / whole.name).read_bytes() == content[:length]
        assert sum(len(path.read_bytes().splitlines()) for path in journals(directory)[1:]) in (
            0,
            18 - n_left + 2,
        )


def test_a_line_that_cannot_be_read_is_told_and_its_task_done_again(tmp_path):
    expected = scan().run(tmp_path)
    (path,) = journals(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    lines[4], lines[7] = lines[4][:-20] + "\n", "[1, 2]\n"
    path.write_text("".join(lines))
    assert "line 5 of journal/" in progress(tmp_path).damaged
    with pytest.warns(
        TaskWarning, match=r"^line 5 of journal/.* and 1 more can't be read: its task counts as not done"
    ):
        assert_same(scan().run(tmp_path), expected)
    assert len(records(tmp_path)) == 18


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "missing"])
def test_a_damaged_result_is_made_anew_without_running(tmp_path, monkeypatch, damage):
    expected = scan().run(tmp_path)
    path = tmp_path / "result.nc"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": path.read_bytes()[:5000], "empty": b"", "other": b"not NetCDF"}[damage])
        with pytest.raises(InputError, match=r"^out: got .*can be read"):
            read(path)
    monkeypatch.setattr("physlearn.scan.dispatch.Chunk", None)
    assert_same(scan().run(tmp_path), expected)
    assert_same(read(path), expected)
    path.write_bytes(b"")
    assert_same(Directory(tmp_path).rebuild(), expected)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}', '{"format": 1}', ""])
def test_a_damaged_manifest_is_told_and_nothing_is_touched(tmp_path, content):
    scan().run(tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"^out: got .*; allowed: (a manifest as|directories of format 1)"):
        scan().run(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_result_of_unknown_origin_is_not_overwritten(tmp_path):
    (tmp_path / "result.nc").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"result\.nc and journal a scan's manifest\.json explains"):
        scan().run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["result.nc"]
    with pytest.raises(InputError, match=r"^DIR: got .*manifest\.json"):
        progress(tmp_path)


def test_a_journal_without_its_manifest_is_not_mixed_with_another_scan(tmp_path):
    scan().run(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "result.nc").unlink()
    with pytest.raises(InputError, match=r"^out: got .*journal a scan's manifest\.json explains"):
        scan(seed=8).run(tmp_path)


def test_a_task_whose_arrays_are_lost_is_done_again(tmp_path):
    expected = scan(large).run(tmp_path)
    first, second = list((tmp_path / "arrays").rglob("*.npz"))[:2]
    first.write_bytes(b"")
    second.unlink()
    rebuilt = Directory(tmp_path).rebuild()
    assert int((rebuilt["status"] == Status.NOT_RUN.code).sum()) == 2
    assert "and 1 more can't be read" in rebuilt.attrs["damaged"]
    with pytest.warns(
        TaskWarning, match=r"arrays/.*npz and 1 more can't be read: its task counts as not done"
    ):
        assert_same(scan(large).run(tmp_path), expected)


# A directory on a disk of its own: root only, and not in every container.
MOUNT = """
set -e
mount -t tmpfs -o size={size} none "$1"
cd "$1"
exec "$3" -c "$2"
"""
FULL = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import os
import xarray
from scan_tasks import draw, large
from physlearn import Scan
from physlearn.inputs import InputError
from physlearn.scan import progress
scan = Scan({task}, {{"alpha": [0.5, 1.0, 1.5], "N": [5, 9]}}, instances={instances}, seed=7)
block = open("filling", "wb")
block.write(b"0" * {filling})
block.flush()
try:
    scan.run("out")
except InputError as error:
    print(error)
else:
    raise SystemExit("the disk was not full")
done = progress("out").n_done
assert 0 < done < 6 * {instances}, done
before = sum(len(open(os.path.join("out/journal", name)).readlines()) for name in os.listdir("out/journal"))
block.truncate(0)
data = scan.run("out")
after = sum(len(open(os.path.join("out/journal", name)).readlines()) for name in os.listdir("out/journal"))
assert after - before in (6 * {instances} - done + 2, 6 * {instances} - done + 3), (before, after, done)
xarray.testing.assert_identical(data.drop_attrs(), scan.run().drop_attrs())
"""


def on_a_small_disk(tmp_path, size, program):
    (tmp_path / "disk").mkdir()
    script = MOUNT.format(size=size)
    command = [
        "unshare",
        "--mount",
        "bash",
        "-c",
        script,
        "bash",
        str(tmp_path / "disk"),
        program,
        sys.executable,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no disk can be mounted here")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("task", "instances", "size"), [("draw", 100, 400), ("large", 60, 2400)])
def test_a_full_disk_is_told_in_a_sentence_and_nothing_is_lost(tmp_path, task, instances, size):
    program = FULL.format(
        root=str(ROOT), tests=str(ROOT / "tests"), task=task, instances=instances, filling=size * 800
    )
    told = on_a_small_disk(tmp_path, f"{size}k", program)
    assert told.startswith("out: got ")
    assert "; allowed: a directory that can be written, on a disk with room (No space" in told
    assert told.count("\n") == 1


def test_a_full_disk_where_none_can_be_mounted(tmp_path, monkeypatch):
    """The same by a writer that fails in the middle of a line."""
    expected, written = scan().run(), []
    write = os.write

    def failing(file, data):
        written.append(len(data))
        if len(written) == 8:
            write(file, data[:30])
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(journal_module.os, "write", failing)
    with pytest.raises(InputError, match=r"^out: got .*on a disk with room \(No space left on device\)\.$"):
        scan().run(tmp_path)
    monkeypatch.undo()
    (path,) = journals(tmp_path)
    assert path.read_bytes().endswith(b"\n")
    assert len(records(tmp_path)) == 6
    assert_same(scan().run(tmp_path), expected)


READ_ONLY = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from scan_tasks import draw
from physlearn import Scan
from physlearn.inputs import InputError
scan = Scan(draw, {{"alpha": [0.5, 1.0, 1.5], "N": [5, 9]}}, instances=3, seed=7)
print(int((scan.run({out!r})["status"] == 9).sum()))
for other, out in ((Scan(draw, scan.axes, instances=4, seed=7), {out!r}), (scan, {out!r} + "/below")):
    try:
        other.run(out)
    except InputError as error:
        print(error)
"""


def test_a_read_only_directory_is_read_and_told_in_a_sentence(tmp_path):
    out = tmp_path / "out"
    scan().run(out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    folders = [out, out / "journal"]
    for path in (*before, *folders):
        path.chmod(0o555 if path.is_dir() else 0o444)
    program = READ_ONLY.format(root=str(ROOT), tests=str(ROOT / "tests"), out=str(out))
    # Root writes wherever it likes, unless it gives that up.
    drop = "import ctypes, os, sys\nif os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0): sys.exit(77)\n"
    drop += "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
    command = [sys.executable, "-c", drop, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    for path in folders:
        path.chmod(0o755)
    if done.returncode == 77:
        pytest.skip("this root cannot give up its right to write everywhere")
    assert done.returncode == 0, done.stderr
    n_done, *told = done.stdout.splitlines()
    assert n_done == "18"
    assert len(told) == 2
    assert all(line.startswith("out: got ") and "can be written" in line for line in told)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_two_processes_in_one_directory_do_no_harm(tmp_path):
    constants = {"pause": 0.02, "log": str(tmp_path / "log")}
    axes = {"alpha": list(np.arange(20) / 10), "N": [5, 9]}
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from scan_tasks import slow\nfrom physlearn import Scan\n"
        f"Scan(slow, {axes!r}, {constants!r}, 3, 7).run({str(tmp_path / 'out')!r}, n_jobs=2)"
    ).replace("np.float64", "float")
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.wait(120) == 0, process.stderr.read()
        process.stderr.close()
    alone = Scan(slow, axes, {**constants, "pause": 0, "log": str(tmp_path / "other")}, 3, 7)
    data = read(tmp_path / "out" / "result.nc")
    assert (data["status"] == Status.DONE.code).all()
    assert len(journals(tmp_path / "out")) == 2 + 4  # each with two workers
    # The addresses of the streams hold the constants: only a scan of the same ones has the same values.
    same = Scan(slow, axes, constants, 3, 7)
    assert_same(data, same.run(tmp_path / "third"))
    assert alone.grid.n_tasks == 120


def test_threads_in_one_directory_do_no_harm(tmp_path):
    expected, found = scan().run(), []
    threads = [threading.Thread(target=lambda: found.append(scan().run(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for data in found:
        assert_same(data, expected)


def test_a_writer_does_not_repeat_what_another_one_finishes_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr("physlearn.scan.runs._LOOK", 0.0)
    scan(instances=1).run(tmp_path / "other")
    (other,) = journals(tmp_path / "other")
    lines = other.read_text().splitlines(keepends=True)
    done = []

    def draw_and_watch(point, streams):
        done.append(point)
        if len(done) == 1:  # all but one line of the other writer arrive at once
            (tmp_path / "out" / "journal" / other.name).write_text("".join(lines))
        return draw(point, streams)

    draw_and_watch.__module__, draw_and_watch.__qualname__ = draw.__module__, draw.__qualname__
    data = scan(draw_and_watch, instances=1).run(tmp_path / "out")
    assert_same(data, scan(instances=1).run())
    # One was under way and two were handed out already.
    assert len(done) <= 3


def test_a_run_out_of_time_says_so_and_goes_on_later(tmp_path):
    data = scan().run(tmp_path, max_runtime=0)
    assert (data["status"] == Status.NOT_RUN.code).all()
    assert_same(scan().run(tmp_path), scan().run())


def walk(tmp_path, **constants):
    return Scan(steps, {"alpha": [1.0]}, {"n_steps": 40, "log": str(tmp_path / "log"), **constants}, 2, 5)


def test_a_long_task_goes_on_from_its_checkpoint(tmp_path):
    expected = walk(tmp_path).run()
    log = tmp_path / "log"
    n_whole = len(log.read_text().splitlines())
    assert n_whole == 80
    stopping, switch = walk(tmp_path, stop_at=25), tmp_path / "log.stop"
    switch.touch()
    with pytest.raises(KeyboardInterrupt):
        stopping.run(tmp_path / "out", checkpoint_every=0)
    assert len(list((tmp_path / "out" / "checkpoints").iterdir())) == 1
    log.unlink()
    switch.unlink()
    data = stopping.run(tmp_path / "out", checkpoint_every=0)
    # The first of two walks needs its last 15 steps only.
    assert len(log.read_text().splitlines()) == 15 + 40
    assert list((tmp_path / "out" / "checkpoints").iterdir()) == []
    unbroken = walk(tmp_path, stop_at=25)
    log.unlink()
    assert_same(data, unbroken.run())
    assert float(expected["total"][0, 0]) != float(data["total"][0, 0])  # another address, other streams


def test_long_tasks_stop_in_time_and_keep_their_checkpoint(tmp_path):
    first, n_runs = walk(tmp_path, n_steps=20_000), 1
    data = first.run(tmp_path / "out", max_runtime=0.2, checkpoint_every=1000)
    while (data["status"] == Status.NOT_RUN.code).any():
        data, n_runs = first.run(tmp_path / "out", max_runtime=0.2, checkpoint_every=1000), n_runs + 1
    assert n_runs > 1
    assert len((tmp_path / "log").read_text().splitlines()) == 40_000
    assert_same(data, first.run())


def test_a_checkpoint_that_cannot_be_read_is_no_checkpoint(tmp_path):
    first = walk(tmp_path)
    first.run(tmp_path / "out", max_runtime=0)
    folder = tmp_path / "out" / "checkpoints"
    folder.mkdir()
    for k in range(2):
        (folder / f"{first.entry(k).key}.pickle").write_bytes(b"not a pickle")
    (tmp_path / "log").touch()
    assert_same(first.run(tmp_path / "out"), first.run())


def test_solvers_go_on_from_checkpoints_to_the_same_end(tmp_path):
    """Every solver of a study: a run stopped after each sweep has the values of one that was not."""
    from physlearn import AMP, Enumeration, Metropolis, Perceptron, SimulatedAnnealing, Teacher
    from physlearn.solvers import solve_task

    solvers = {
        "amp": AMP(n_iterations=20),
        "annealing": SimulatedAnnealing(60),
        "metropolis": Metropolis(1.0, 60),
        "enumeration": Enumeration(),
    }
    solving = Scan(
        solve_task, {"solver": solvers, "N": [15]}, {"model": Perceptron(1.0, rule=Teacher())}, 1, 5
    )
    (tmp_path / "manifest.json").touch()  # checkpoints are kept where the directory of a scan can be seen
    # A deadline that is over: every call advances by one sweep, to the next checkpoint.
    setting = Setting(solve_task, 5, deadline=0.0, directory=str(tmp_path), checkpoint_every=np.inf)
    for index in solving.grid.order():
        entry, n_calls = solving.entry(index), 1
        whole = run_entry(Setting(solve_task, 5), entry)
        while (outcome := run_entry(setting, entry)).status is None and n_calls < 200:
            n_calls += 1
        assert n_calls > 1
        assert (outcome.status, outcome.values) == (whole.status, whole.values)


def test_progress_counts_and_estimates(tmp_path):
    with pytest.warns(TaskWarning):
        scan(fails).run(tmp_path, shard=(1, 2))
    shown = progress(tmp_path)
    n = len(list(scan(fails).grid.order((1, 2))))
    assert (shown.n_tasks, shown.n_done + shown.n_failed, shown.n_running) == (18, n, 0)
    assert shown.n_failed > 0
    assert shown.seconds > 0
    text = repr(shown)
    assert f"18 tasks: {shown.n_done} done, {shown.n_failed} failed, 0 running, {18 - n} waiting" in text
    assert "failed at alpha = 1.0, N = 9, instance" in text
    assert "ZeroDivisionError: no luck" in text
    assert "nobody is at work" in text


def test_progress_sees_who_is_at_work(tmp_path):
    seen = []

    def look(point, streams):
        seen.append(progress(tmp_path))
        return draw(point, streams)

    look.__module__, look.__qualname__ = draw.__module__, draw.__qualname__
    scan(look).run(tmp_path)
    assert [item.n_done for item in seen] == list(range(18))
    assert {item.n_running for item in seen} == {1}
    assert progress(tmp_path).n_running == 0
    assert "with 1 worker" in repr(seen[5])
    assert "not known yet" in repr(seen[0])
    # A writer of this machine that is gone is not at work, though its last line is missing.
    (path,) = journals(tmp_path)
    header = {
        "start": "2020-01-01T00:00:00+00:00",
        "host": os.uname().nodename,
        "pid": 2**22 + 1,
        "n_jobs": 4,
    }
    path.with_name("19700101-gone.jsonl").write_text(json.dumps(header) + "\n")
    assert progress(tmp_path).n_workers == 0


def parts(tmp_path, task=draw):
    paths = [tmp_path / f"part{k}" for k in (1, 2, 3)]
    for k, path in enumerate(paths, 1):
        scan(task).run(path, shard=(k, 3))
    return paths


@pytest.mark.parametrize("task", [draw, large])
def test_shards_of_several_directories_are_merged(tmp_path, task):
    paths, expected = parts(tmp_path, task), scan(task).run()
    before = {path: path.read_bytes() for part in paths for path in part.rglob("*") if path.is_file()}
    assert_same(merge(paths, tmp_path / "whole"), expected)
    assert {path: path.read_bytes() for part in paths for path in part.rglob("*") if path.is_file()} == before
    assert_same(merge([paths[1], tmp_path / "whole"], tmp_path / "whole"), expected)
    assert len(journals(tmp_path / "whole")) == 3
    assert_same(merge(paths), expected)
    assert_same(scan(task).run(paths[0]), expected)


def test_runs_of_different_grids_are_merged(tmp_path):
    scan(axes={"alpha": [0.5, 1.0], "N": [5]}, instances=2).run(tmp_path / "a")
    scan(axes={"alpha": [1.5, 1.0], "N": [5, 9]}).run(tmp_path / "b")
    data = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert sorted(data["alpha"].values) == [0.5, 1.0, 1.5]
    done = data["status"] == Status.DONE.code
    whole = scan().run()
    assert (data["product"] == whole["product"]).where(done, True).all()
    assert int(done.sum()) == 2 * 2 * 3 + 2
    # What neither of them asked for is not asked for now.
    assert (progress(tmp_path / "c").n_done, progress(tmp_path / "c").n_tasks) == (14, 15)


def test_a_constant_of_one_directory_is_an_axis_of_the_other(tmp_path):
    scan(axes={"alpha": AXES["alpha"]}, N=9).run(tmp_path / "a")
    scan(axes={"alpha": AXES["alpha"], "N": [9, 5]}, instances=1).run(tmp_path / "b")
    for k, order in enumerate((["a", "b"], ["b", "a"])):
        data = merge([tmp_path / name for name in order], tmp_path / f"c{k}")
        assert int((data["status"] == Status.DONE.code).sum()) == 9 + 3
        assert set(data.dims) == {"alpha", "N", "instance", "pair_index"}


def test_what_does_not_belong_together_is_not_merged(tmp_path):
    paths = parts(tmp_path)
    scan(seed=8).run(tmp_path / "other")
    with pytest.raises(
        InputError, match=r"^DIR: got .*other, which holds another scan \(seed is 8 there and 7 here\)"
    ):
        merge([*paths, tmp_path / "other"], tmp_path / "whole")
    (path,) = journals(paths[1])
    changed = tmp_path / "changed"
    (changed / "journal").mkdir(parents=True)
    (changed / "manifest.json").write_bytes((paths[1] / "manifest.json").read_bytes())
    lines = path.read_text().splitlines(keepends=True)
    record = json.loads(lines[1])
    record["values"]["product"] += 1e-12
    (changed / "journal" / f"x{path.name}").write_text(lines[0] + json.dumps(record) + "\n")
    with pytest.raises(
        InputError, match=r"^DIR: got .*part2 and .*changed, which answer differently at .*alpha"
    ):
        merge([*paths, changed], tmp_path / "whole")
    with pytest.raises(InputError, match=r"^DIR: got .*; allowed: the directory of a scan"):
        merge([*paths, tmp_path / "nowhere"], tmp_path / "whole")
    assert not (tmp_path / "whole").exists()
