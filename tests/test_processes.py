"""Children in which workers run tasks: their answers, their deaths, and their end."""

import dataclasses
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from physlearn.processes import Child, ChildError, Died, Sealer, exists, revoke, sealing, take_answer
from physlearn.processes import child as child_module
from physlearn.processes.marks import marking


def counting(last, deadly, how, is_again):
    """Gives numbers, and dies at `deadly`."""
    for k in range(last):
        if k == deadly:
            how()
        yield k


def work(last, deadly=-1, how=None):
    return functools.partial(counting, last, deadly, how)


def answers(child, work):
    sealed = Sealer("run", -1).seal(work, None)
    return [cloudpickle.loads(item) if isinstance(item, bytes) else item for item in child.run(sealed, False)]


@pytest.fixture
def child():
    child = Child()
    yield child
    child.end()


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def leave_a_child_behind():
    """Which holds the line open after its parent's death."""
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    kill()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (kill, "SIGKILL"),
        (functools.partial(os._exit, 3), "exit code 3"),
        (leave_a_child_behind, "SIGKILL"),
    ],
)
def test_a_death_is_told_with_what_was_answered_before(child, how, reason):
    assert answers(child, work(3)) == [0, 1, 2]
    begin = time.monotonic()
    assert answers(child, work(5, 2, how)) == [0, 1, Died(reason)]
    assert time.monotonic() - begin < 20  # not when the one that was left behind ends
    assert not child.is_alive


def test_one_that_dies_while_it_starts_is_replaced(monkeypatch):
    starts = []

    def dying(*arguments, **more):
        process = original(*arguments, **more)
        starts.append(process)
        if len(starts) < 4:
            process.kill()
        return process

    original = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", dying)
    child = Child()
    assert answers(child, work(2)) == [0, 1]
    assert len(starts) == 4
    child.end()


def test_one_that_can_not_start_is_told(monkeypatch):
    monkeypatch.setattr(child_module, "_START", "raise SystemExit(5)")
    with pytest.raises(ChildError, match=r"die before they begin \(exit code 5\)"):
        Child()


class Deadly:
    def __reduce__(self):
        return kill, ()


def test_one_that_dies_of_what_it_is_given_dies_over_the_first_task(child):
    assert answers(child, work(2, 0, Deadly())) == [Died("SIGKILL")]


def exhaust(is_again):
    yield 1
    raise MemoryError


def test_one_without_memory_is_dead(child):
    assert answers(child, exhaust) == [1, Died("MemoryError")]


def missing():
    raise ModuleNotFoundError("No module named 'elsewhere'")


def test_what_can_not_be_unpickled_is_told_and_the_child_goes_on(child):
    class Missing:
        def __reduce__(self):
            return missing, ()

    with pytest.raises(ChildError, match=r"a task can't be unpickled .*elsewhere"):
        answers(child, work(2, 0, Missing()))
    assert answers(child, work(2)) == [0, 1]


def interrupted(is_again):
    yield 1
    raise KeyboardInterrupt


def broken(is_again):
    yield 1
    raise ZeroDivisionError("no luck")


def test_what_the_work_raises_is_raised_here(child):
    with pytest.raises(KeyboardInterrupt):
        answers(child, interrupted)
    with pytest.raises(ChildError, match="ZeroDivisionError: no luck"):
        answers(child, broken)
    assert answers(child, work(2)) == [0, 1]


def nested(is_again):
    import joblib

    yield joblib.Parallel(n_jobs=2)(joblib.delayed(os.getpid)() for _ in range(3)) == [os.getpid()] * 3


def test_tasks_have_no_workers_of_their_own(child):
    assert answers(child, nested) == [True]


def both(one, other, is_again):
    yield one.shape, float(one[0, 1]), other.shape, float(other[1, 0])


def test_two_arrays_in_the_same_memory(child):
    array = np.arange(300_000.0).reshape(500, 600)
    expected = (500, 600), 1.0, (600, 500), 1.0
    for _ in range(2):
        assert answers(child, functools.partial(both, array, array.T)) == [expected]


def test_a_machine_that_has_no_room_for_a_process_is_asked_again(monkeypatch):
    calls = []

    def full(*arguments, **more):
        calls.append(arguments)
        if len(calls) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return original(*arguments, **more)

    original = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", full)
    child = Child()
    assert answers(child, work(2)) == [0, 1]
    child.end()


def heard(is_again):
    yield sys.argv, [item for item in sys.path if "here" in item]


def test_a_child_has_the_arguments_and_the_path_of_its_worker(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script", Path("file"), *["x" * 100] * 3000])
    monkeypatch.setattr(sys, "path", [*sys.path, "/some/where/here", Path("/not/a/string")])
    child = Child()
    assert answers(child, heard) == [(sys.argv, ["/some/where/here"])]
    child.end()


def test_under_dask_a_worker_keeps_children_for_a_few_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", sys)
    monkeypatch.setattr(sealing, "_own", threading.local())
    one, two = sealing._child("one", None), sealing._child("two", None)
    assert sealing._child("one", None) is one
    assert two is not one
    sealing._child("three", None)
    sealing._child("four", None)
    assert not two.is_alive
    assert one.is_alive
    for child in sealing._own.children.values():
        child.kill()


def sizes(array, is_again):
    yield float(array.sum()), array.flags.writeable


def test_large_arrays_are_handed_over_once_and_files_not_at_all(child, tmp_path, monkeypatch):
    original, sealer, sent = child_module._source, Sealer("run", -1), []
    monkeypatch.setattr(child_module, "_source", lambda array: sent.append(array) or original(array))
    array = np.ones(200_000)
    for _ in range(3):
        sealed = sealer.seal(functools.partial(sizes, array), None)
        assert len(sealed.content) < 10_000
        assert [cloudpickle.loads(answer) for answer in child.run(sealed, False)] == [(2e5, False)]
    assert len(sent) == 1
    assert sealer.seal(functools.partial(sizes, array), None).arrays[0] is sealed.arrays[0]
    # As joblib hands it to a worker: in a file that all share.
    array.tofile(tmp_path / "array")
    mapped = np.memmap(tmp_path / "array", np.uint8, "r")
    sealed = dataclasses.replace(sealed, names=["other"], arrays=[mapped])
    assert [cloudpickle.loads(answer) for answer in child.run(sealed, False)] == [(2e5, False)]
    assert isinstance(original(mapped), tuple)


_PARENT = """
import time
from physlearn.processes import Child, Sealer

def work(is_again):
    import os
    print(os.getpid(), flush=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pass
    yield 1

Child().run(Sealer("run", -1).seal(work, None), False)
"""


_WORKER = """
import functools, os, sys
from physlearn.processes import Child, Sealer

def work(is_again):
    import time
    for k in range(2):
        print(os.getpid() if k == 0 else "second", flush=True)
        end = time.monotonic() + {seconds}
        while time.monotonic() < end:
            pass
        yield k

Child(lasting_with={coordinator}).run(Sealer("run", -1).seal(work, {mark!r}), False)
"""


@pytest.mark.parametrize("coordinator", ["lives", "ends"])
def test_a_lasting_child_ends_what_is_under_way_without_its_worker_but_not_without_the_coordinator(
    tmp_path, coordinator
):
    mark = tmp_path / "under-way" / "mark"
    mark.parent.mkdir()
    with subprocess.Popen(["sleep", "60"]) as other:
        seconds = 1 if coordinator == "lives" else 60
        program = _WORKER.format(seconds=seconds, coordinator=other.pid, mark=str(mark))
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as worker:
            number = int(worker.stdout.readline())
            assert parent_of(number) != worker.pid
            assert parent_of(parent_of(number)) != worker.pid
            worker.kill()
            if coordinator == "ends":
                time.sleep(0.2)
                assert is_running(number)
                other.kill()
            until = time.monotonic() + 20
            while is_running(number) and time.monotonic() < until:
                time.sleep(0.05)
            assert not is_running(number)
            assert "second" not in worker.stdout.read()
        other.kill()
    assert take_answer(mark) == (0 if coordinator == "lives" else None)
    assert list(mark.parent.iterdir()) == []


def test_work_is_revoked_or_begun_but_not_both(tmp_path):
    begun, revoked = tmp_path / "under-way" / "1", tmp_path / "under-way" / "2"
    assert revoke(revoked) is None
    with marking(str(begun)) as note, marking(str(revoked)) as late:
        assert note(os.getpid()) == ""
        assert late(os.getpid()) == "revoked"
        assert revoke(begun) == os.getpid()
        assert revoke(revoked) is None
    assert list(begun.parent.iterdir()) == [revoked]
    begun.write_text("1 elsewhere pid:[1]")  # of another machine, nothing is known here
    assert revoke(begun) is None


def test_a_process_that_has_ended_does_not_exist_though_its_parent_has_not_asked():
    with subprocess.Popen(["sleep", "60"]) as process:
        assert exists(process.pid)
        process.kill()
        until = time.monotonic() + 10
        while is_running(process.pid) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, 0)  # it is still there
        assert not exists(process.pid)


def starts_another(is_again):
    yield subprocess.Popen(["sleep", "60"]).pid
    time.sleep(60)


def test_what_a_task_has_started_ends_with_a_child_that_is_ended(child):
    numbers = []
    receive = child._receive

    def told():
        answer = receive()
        if child.has_begun:
            numbers.append(cloudpickle.loads(answer))
            assert exists(numbers[0])
            child.kill()
            raise EOFError
        return answer

    child._receive = told
    assert answers(child, starts_another) == [Died("SIGKILL")]
    until = time.monotonic() + 10
    while exists(numbers[0]) and time.monotonic() < until:
        time.sleep(0.01)
    assert not exists(numbers[0])


def parent_of(number):
    with open(f"/proc/{number}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_a_child_ends_with_its_parent():
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        number = int(parent.stdout.readline())
        assert os.path.exists(f"/proc/{number}")
        parent.kill()
        until = time.monotonic() + 10
        while is_running(number) and time.monotonic() < until:
            time.sleep(0.05)
    assert not is_running(number)


def is_running(number):
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
