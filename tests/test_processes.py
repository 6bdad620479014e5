"""Children in which workers run tasks: their answers, their deaths, and their end."""

import functools
import os
import signal
import subprocess
import sys
import time

import cloudpickle
import pytest

from physlearn.processes import Child, ChildError


def counting(last, deadly, how, first, is_again, reason):
    """Gives numbers, dies at `deadly`, and in the place of a number over which a process has died, says of what."""
    for k in range(first, last):
        if reason and k == first:
            yield f"{reason}, {is_again}"
        else:
            if k == deadly:
                how()
            yield k


def answers(child, *arguments):
    return [cloudpickle.loads(answer) for answer in child.run(cloudpickle.dumps(work(*arguments)), False)]


def work(last, deadly=-1, how=None):
    return functools.partial(counting, last, deadly, how)


@pytest.fixture
def child():
    child = Child()
    yield child
    child._end()


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
def test_a_death_is_told_and_nothing_is_repeated(child, how, reason):
    assert answers(child, 3) == [0, 1, 2]
    begin = time.monotonic()
    assert answers(child, 5, 2, how) == [0, 1, f"{reason}, True", 3, 4]
    assert time.monotonic() - begin < 20  # not when the one that was left behind ends
    assert answers(child, 2) == [0, 1]


def test_one_that_dies_at_once_is_not_replaced_for_ever(child):
    class Deadly:
        def __reduce__(self):
            return kill, ()

    with pytest.raises(ChildError, match=r"dies at once \(SIGKILL\)"):
        answers(child, 2, Deadly())


def missing():
    raise ModuleNotFoundError("No module named 'elsewhere'")


def test_what_can_not_be_unpickled_is_told_and_the_child_goes_on(child):
    class Missing:
        def __reduce__(self):
            return missing, ()

    with pytest.raises(ChildError, match=r"a task can't be unpickled .*elsewhere"):
        answers(child, 2, Missing())
    assert answers(child, 2) == [0, 1]


def interrupted(first, is_again, reason):
    yield 1
    raise KeyboardInterrupt


def broken(first, is_again, reason):
    yield 1
    raise ZeroDivisionError("no luck")


def test_what_the_work_raises_is_raised_here(child):
    with pytest.raises(KeyboardInterrupt):
        child.run(cloudpickle.dumps(interrupted), False)
    with pytest.raises(ChildError, match="ZeroDivisionError: no luck"):
        child.run(cloudpickle.dumps(broken), False)
    assert answers(child, 2) == [0, 1]


def nested(first, is_again, reason):
    import joblib

    yield joblib.Parallel(n_jobs=2)(joblib.delayed(os.getpid)() for _ in range(3)) == [os.getpid()] * 3


def test_tasks_have_no_workers_of_their_own(child):
    assert [cloudpickle.loads(answer) for answer in child.run(cloudpickle.dumps(nested), False)] == [True]


_PARENT = """
import cloudpickle, time
from physlearn.processes import Child

def work(first, is_again, reason):
    import os
    print(os.getpid(), flush=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pass
    yield 1

Child().run(cloudpickle.dumps(work), False)
"""


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
