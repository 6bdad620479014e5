"""Child processes in which workers run their tasks: what kills one of them costs a task and nothing else.

An engine that loses a worker gives up more than a task: loky ends all its other workers, Dask begins again what was
finished. So a worker only hands on, and waits. It needs none of the modules that the tasks need, nor does this one.
"""

import contextlib
import ctypes
import multiprocessing.spawn
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

# Gives answers from the given one on, told whether others may have begun, and how an earlier child died over it.
Work = Callable[[int, bool, str], Iterator[Any]]

_START = (
    "import sys; sys.path[:] = {path!r}; from physlearn.processes import serve; serve({descriptor}, {parent})"
)
_PR_SET_PDEATHSIG = 1
# Seconds between two looks whether a process still lives, where nothing tells of its end.
_LOOK = 0.5


class ChildError(RuntimeError):
    """A child could not begin its work."""


class Sealed:
    """Work on its way to a child; the worker in between does not look into it.

    Parameters
    ----------
    content : bytes
        Pickled `Work`.
    coordinator : int
        Process that hands out the work: workers that it has started end with it.
    mark : str or None
        A file that is there while the work is under way: it tells a second worker that there was a first one.
    """

    def __init__(self, content: bytes, coordinator: int, mark: str | None) -> None:
        self._content, self._coordinator, self._mark = content, coordinator, mark

    def run(self) -> list[Any]:
        """The answers; from a child, each still pickled."""
        if os.getpid() == self._coordinator:
            return list(pickle.loads(self._content)(0, False, ""))
        if os.getppid() == self._coordinator:
            _end_with(self._coordinator)
        with _marked(self._mark) as is_again:
            return _child().run(self._content, is_again)


@contextlib.contextmanager
def _marked(mark: str | None) -> Iterator[bool]:
    """Leave a mark meanwhile; whether there was one already."""
    is_again = False
    if mark is not None:
        with contextlib.suppress(OSError):
            path = Path(mark)
            path.parent.mkdir(exist_ok=True)
            is_again = path.exists()
            path.touch()
    try:
        yield is_again
    finally:
        if mark is not None:
            with contextlib.suppress(OSError):
                path.unlink()


class Child:
    """A process that works for this one, and is replaced when it dies."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._connection, there = Pipe()
        start = _START.format(path=sys.path, descriptor=there.fileno(), parent=os.getpid())
        command = [os.fsdecode(multiprocessing.spawn.get_executable()), "-c", start]
        self._process = subprocess.Popen(command, pass_fds=[there.fileno()])
        there.close()

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def run(self, content: bytes, is_again: bool) -> list[bytes]:
        """The pickled answers of some work, those of a second child included where the first one died.

        Parameters
        ----------
        content : bytes
            Pickled `Work`.
        is_again : bool
            Whether another worker may have begun with it.
        """
        answers: list[bytes] = []
        died_at, reason = -1, ""
        while True:
            try:
                self._connection.send((content, len(answers), is_again, reason))
                while answer := self._answer():
                    answers.append(answer)
                error = self._connection.recv()
            except (EOFError, OSError):
                reason = self._end()
                if died_at == len(answers):
                    raise ChildError(f"a process that is to run tasks dies at once ({reason})") from None
                # A new one can tell what the old one has written down before it died.
                died_at, is_again = len(answers), True
                self._start()
            except BaseException:
                self._end()
                raise
            else:
                if error is not None:
                    raise error
                return answers

    def _answer(self) -> bytes:
        """The next answer, nothing after the last one; a process that has ended gives none, though its own live on."""
        while not self._connection.poll(_LOOK):
            if not self.is_alive and not self._connection.poll(0):
                raise EOFError
        return self._connection.recv_bytes()

    def _end(self) -> str:
        """End the process, if it has not ended yet; how it ended."""
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LOOK)
        self._process.kill()
        code = self._process.wait()
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
        return f"exit code {code}"


_own = threading.local()  # the child of this thread


def _child() -> Child:
    child = getattr(_own, "child", None)
    if child is None or not child.is_alive:
        child = _own.child = Child()
    return child


def serve(descriptor: int, parent: int) -> None:
    """Do the work that comes through a pipe, until its other end is closed or the process there has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the process that hands out work
    with contextlib.suppress(
        OSError, AttributeError
    ):  # on Linux, end with the parent also within compiled code
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _end_with(parent)
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError), _without_workers():
        while True:
            content, first, is_again, reason = connection.recv()
            error: BaseException | None = None
            try:
                for answer in _work(content)(first, is_again, reason):
                    connection.send_bytes(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))
            except KeyboardInterrupt as stop:  # raised by the work itself
                error = KeyboardInterrupt(*map(str, stop.args))
            except Exception as failure:
                error = failure if isinstance(failure, ChildError) else ChildError(_in_words(failure))
            connection.send_bytes(b"")
            connection.send(error)


def _work(content: bytes) -> Work:
    try:
        return pickle.loads(content)
    except Exception as error:
        raise ChildError(f"a task can't be unpickled ({_in_words(error)})") from error


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _without_workers() -> contextlib.AbstractContextManager[Any]:
    """Tasks that use joblib themselves have no workers of their own, as everywhere below a Parallel."""
    import joblib

    return joblib.parallel_config(backend=joblib.parallel.SequentialBackend(nesting_level=1))


_watched: set[int] = set()


def _end_with(parent: int) -> None:
    """End when the process that started this one has ended: nobody else would."""
    if parent in _watched:
        return
    _watched.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_numbered(number: int, work: Any) -> tuple[int, list[Any]]:
    """Answers of some work, `Sealed` or not, with a number that tells which."""
    return number, work.run()
