"""Child processes in which workers run their tasks: what kills one of them costs a task and nothing else.

An engine that loses a worker gives up more than a task: loky ends all its other workers, Dask begins again what was
finished. So a worker only hands on, and waits. It needs none of the modules that the tasks need, nor does this one.
"""

import contextlib
import ctypes
import errno
import multiprocessing.spawn
import os
import pickle
import platform
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from multiprocessing.util import _args_from_interpreter_flags  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

# Gives answers one by one; told whether another process may have begun with the same.
Work = Callable[[bool], Iterator[Any]]

_START = "import sys; sys.path.insert(0, {home!r}); from physlearn import processes; processes.serve({pipe}, {parent})"
_PR_SET_PDEATHSIG = 1
# Seconds between two looks whether a process still lives, where nothing tells of its end.
_LOOK = 0.5
# Bytes from which on an array is handed over once.
_LARGE = 1_000_000
# Times that a child is started which dies before it can work, and the longest pause between two, in seconds.
_STARTS, _PAUSE = 8, 4.0
# Deaths of children over what they are given, before the first task begins, after which it is the task's doing.
_TRIES = 3
# Runs of which a worker keeps children, where each run has its own.
_RUNS = 3


class ChildError(RuntimeError):
    """A child could not do its work, or raised an error in it."""


@dataclass(frozen=True)
class Died:
    """The last answer of a child that has died over the next one, and of what."""

    reason: str


@dataclass(frozen=True)
class Sealed:
    """Work on its way to a child; the worker in between does not look into it.

    Attributes
    ----------
    content : bytes
        Pickled `Work`, without its large arrays.
    names, arrays : sequences of str and of ndarray
        Those arrays' bytes, where joblib and Dask see them, and what they are called.
    run : str
        The run that it belongs to.
    host, coordinator : str, int
        Machine and process that hand out the work.
    mark : str or None
        A file that is there while the work is under way: it tells a second worker that there was a first one.
    """

    content: bytes
    names: Sequence[str]
    arrays: Sequence[Any]
    run: str
    host: str
    coordinator: int
    mark: str | None

    def answers(self) -> list[Any]:
        """What the work answers; from a child, each still pickled."""
        here = self.host == platform.node()
        if here and os.getpid() == self.coordinator:
            return list(pickle.loads(self.content, buffers=self.arrays)(False))
        if here and not _exists(self.coordinator):
            if os.getppid() == 1 and "distributed" not in sys.modules:
                os._exit(1)  # its own child, which nobody else would end
            raise ChildError("the process that hands out tasks has gone")
        if os.getppid() == self.coordinator:
            _end_with(self.coordinator)
        with _marked(self.mark) as is_again:
            for _ in range(_TRIES):
                child = _child(self.run)
                answers = child.run(self, is_again)
                if child.has_begun:
                    break
            return answers


@dataclass
class Sealer:
    """Seals the work of a run; a large array that it holds again and again is the same one for joblib every time.

    Attributes
    ----------
    run : str
        A name for the run.
    coordinator : int
        See `Sealed`.
    """

    run: str
    coordinator: int
    _known: dict[tuple[int, int], tuple[str, Any]] = field(default_factory=dict)

    def seal(self, work: Work, mark: str | None) -> Sealed:
        """Pickle some work."""
        import cloudpickle

        large: list[tuple[str, Any]] = []

        def is_small(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            if raw.nbytes >= _LARGE:
                large.append(self._named(raw))
            return raw.nbytes < _LARGE

        content = cloudpickle.dumps(work, protocol=5, buffer_callback=is_small)
        names, arrays = [name for name, _ in large], [array for _, array in large]
        return Sealed(content, names, arrays, self.run, platform.node(), self.coordinator, mark)

    def _named(self, raw: memoryview) -> tuple[str, Any]:
        import numpy as np

        array = np.frombuffer(raw, dtype=np.uint8)
        key = array.ctypes.data, array.nbytes
        if key not in self._known:
            # That it is known keeps it where it is: its address then tells it from others.
            self._known[key] = secrets.token_hex(8), array
        return self._known[key]


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
    """A process that works for this one.

    Attributes
    ----------
    has_begun : bool
        Whether it has understood what it was given last.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self._names: set[str] = set()  # arrays that it has
        for attempt in range(_STARTS):
            try:
                self._start()
                return
            except EOFError:
                reason = self.end()
                if not reason.startswith("SIG") and attempt:
                    break
            except OSError as error:  # of a machine that has no room for one more
                reason = str(error)
            time.sleep(min(0.1 * 2**attempt, _PAUSE))
        raise ChildError(f"processes that are to run tasks die before they begin ({reason})")

    def _start(self) -> None:
        self._connection, there = Pipe()
        home = str(Path(__file__).resolve().parents[1])
        start = _START.format(home=home, pipe=there.fileno(), parent=os.getpid())
        command = [os.fsdecode(multiprocessing.spawn.get_executable()), *_args_from_interpreter_flags()]
        with there:
            self._process = subprocess.Popen([*command, "-c", start], pass_fds=[there.fileno()])
        try:
            self._connection.send(([item for item in sys.path if isinstance(item, str)], sys.argv))
            self._receive()
        except OSError as error:
            raise EOFError from error

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def run(self, sealed: Sealed, is_again: bool) -> list[Any]:
        """The answers, pickled; after them `Died` where the child has.

        Parameters
        ----------
        sealed : Sealed
        is_again : bool
            Whether another worker may have begun with it.
        """
        answers: list[Any] = []
        self.has_begun = False
        try:
            new = {
                name: _source(array)
                for name, array in zip(sealed.names, sealed.arrays, strict=True)
                if name not in self._names
            }
            self._connection.send((sealed.content, sealed.names, new, is_again))
            if self._receive():
                self.has_begun, self._names = True, set(sealed.names)
                while answer := self._receive():
                    answers.append(answer)
            error = pickle.loads(self._receive())
        except (EOFError, OSError):
            return [*answers, Died(self.end())]
        except BaseException:
            self.end()
            raise
        if error is not None:
            self._names = set()  # not all of them may have been opened
            raise error
        return answers

    def _receive(self) -> bytes:
        """What it sends next; a process that has ended sends nothing, though its own children may live on."""
        while not self._connection.poll(_LOOK):
            if not self.is_alive and not self._connection.poll(0):
                raise EOFError
        return self._connection.recv_bytes()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self.end()

    def end(self) -> str:
        """End the process, if it has not ended yet; how it ended."""
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LOOK)
        self._process.kill()
        code = self._process.wait()
        if code == errno.ENOMEM:
            return "MemoryError"
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
        return f"exit code {code}"


def _source(array: Any) -> tuple[str, int, int] | bytes:
    """Where a child finds the bytes of an array: in a file that is mapped here already, or else they are sent."""
    import numpy as np

    if isinstance(array, np.memmap) and array.filename is not None:
        return str(array.filename), int(array.offset), array.nbytes
    return bytes(array)


_own = threading.local()  # the children of this thread, by run


def _child(run: str) -> Child:
    """A child that lives; under Dask one of this run, as its workers may be given new code between runs."""
    children: dict[str, Child] = _own.__dict__.setdefault("children", {})
    key = run if "distributed" in sys.modules else ""
    child = children.pop(key, None)
    if child is None or not child.is_alive:
        child = Child()
    children[key] = child  # the last one used is the last one here
    while len(children) > _RUNS:
        children.pop(next(iter(children))).kill()
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
    arrays: dict[str, Any] = {}
    with contextlib.suppress(EOFError, OSError), _without_workers():
        sys.path[:], sys.argv[:] = connection.recv()
        connection.send_bytes(b"here")
        while True:
            error: BaseException | None = None
            try:
                content, names, new, is_again = connection.recv()
                known = arrays | {name: _opened(source) for name, source in new.items()}
                arrays = {name: known[name] for name in names}
                work = _work(content, [arrays[name] for name in names])
                connection.send_bytes(b"begun")
                for answer in work(is_again):
                    connection.send_bytes(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))
            except MemoryError:  # what is left of this process can't be trusted with another task
                os._exit(errno.ENOMEM)
            except EOFError:
                return
            except KeyboardInterrupt as stop:  # raised by the work itself
                error = KeyboardInterrupt(*map(str, stop.args))
            except Exception as failure:
                error = failure if isinstance(failure, ChildError) else ChildError(_in_words(failure))
            connection.send_bytes(b"")
            connection.send_bytes(pickle.dumps(error))


def _opened(source: tuple[str, int, int] | bytes) -> Any:
    if isinstance(source, bytes):
        return source
    import numpy as np

    path, offset, size = source
    return np.memmap(path, np.uint8, "r", offset, (size,))


def _work(content: bytes, arrays: Any) -> Work:
    try:
        return pickle.loads(content, buffers=arrays)
    except MemoryError:
        raise
    except Exception as error:
        raise ChildError(f"a task can't be unpickled ({_in_words(error)})") from error


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _without_workers() -> contextlib.AbstractContextManager[Any]:
    """A task that uses joblib has no workers of its own: one thread in every task."""
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


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def run_numbered(number: int, work: Any) -> tuple[int, list[Any]]:
    """The answers of some work, `Sealed` or not, with a number that tells which."""
    return number, work.answers()
