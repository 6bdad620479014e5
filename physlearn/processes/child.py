"""A worker's child, seen by the worker."""

import contextlib
import errno
import multiprocessing.spawn
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from multiprocessing.util import _args_from_interpreter_flags  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from physlearn.processes.lives import LOOK, end_process

_START = (
    "import sys; sys.path.insert(0, {home!r}); from physlearn import processes; processes.serve{arguments}"
)
# Times that a child is started which dies before it can work, and the longest pause between two, in seconds.
_STARTS, _PAUSE = 8, 4.0


class ChildError(RuntimeError):
    """A child could not do its work, or raised an error in it."""


@dataclass(frozen=True)
class Died:
    """The last answer of a child that has died over the next one, and of what."""

    reason: str


@dataclass(frozen=True)
class Parcel:
    """Work for a child.

    Attributes
    ----------
    content : bytes
        Pickled `Work`, without its large arrays.
    names, arrays : sequences of str and of ndarray
        Those arrays' bytes, where joblib and Dask see them, and what they are called.
    mark : str or None
        A file that is there while the work is under way, and names the process that does it: it tells a second worker
        that there was a first one, and the coordinator whether to wait.
    """

    content: bytes
    names: Sequence[str]
    arrays: Sequence[Any]
    mark: str | None


class Child:
    """A process that works for this one.

    Parameters
    ----------
    lasting_with : int or None
        A process: should this one end before, the child ends what it has under way, unless that process ends too.

    Attributes
    ----------
    number : int
        Of the process.
    has_begun : bool
        Whether it has understood what it was given last.
    """

    def __init__(self, lasting_with: int | None = None) -> None:
        self.number, self.has_begun = 0, False
        self._lasting_with = lasting_with
        self._names: set[str] = set()  # arrays that it has
        self._end: str | None = None  # how it has ended
        for attempt in range(_STARTS):
            try:
                self._start()
                return
            except EOFError:
                reason = self._ended(LOOK)
                if not reason.startswith("SIG") and attempt:
                    break
            except OSError as error:  # of a machine that has no room for one more
                reason = str(error)
            time.sleep(min(0.1 * 2**attempt, _PAUSE))
        raise ChildError(f"processes that are to run tasks die before they begin ({reason})")

    def _start(self) -> None:
        self._connection, there = Pipe()
        self._report, report = Pipe(duplex=False)
        home = str(Path(__file__).resolve().parents[2])
        lasting = self._lasting_with is not None
        arguments = there.fileno(), report.fileno(), self._lasting_with or os.getpid(), lasting
        command = [os.fsdecode(multiprocessing.spawn.get_executable()), *_args_from_interpreter_flags()]
        start = _START.format(home=home, arguments=arguments)
        with there, report:
            self._process = subprocess.Popen([*command, "-c", start], pass_fds=arguments[:2])
        try:
            self._connection.send(([item for item in sys.path if isinstance(item, str)], sys.argv))
            self.number = int(self._receive())
        except OSError as error:
            raise EOFError from error
        if lasting:
            self._process.wait()  # it has only started others

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._end is None and not self._report.poll(0)

    def run(self, parcel: Parcel, is_again: bool) -> list[Any]:
        """The answers, pickled; after them `Died` where the child has.

        Parameters
        ----------
        parcel : Parcel
        is_again : bool
            Whether another worker may have begun with it.
        """
        answers: list[Any] = []
        self.has_begun = False
        try:
            new = {
                name: _source(array)
                for name, array in zip(parcel.names, parcel.arrays, strict=True)
                if name not in self._names
            }
            self._connection.send((parcel.content, parcel.names, new, is_again, parcel.mark))
            if self._receive():
                self.has_begun, self._names = True, set(parcel.names)
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
        while not self._connection.poll(LOOK):
            if not self.is_alive and not self._connection.poll(0):
                raise EOFError
        return self._connection.recv_bytes()

    def kill(self) -> None:
        """End the process at once."""
        self.end(0.0)

    def end(self, patience: float = LOOK) -> str:
        """End the process, if it does not end by itself in so many seconds; how it ended."""
        if self._end is None:
            self._end = self._ended(patience)
        return self._end

    def _ended(self, patience: float) -> str:
        self._connection.close()
        if not self._report.poll(patience):
            end_process(self.number)
        if not self.number:
            self._process.kill()  # it has not told of any other
        with self._report:
            try:
                code = int(self._report.recv_bytes())
            except EOFError:  # nobody is left to tell
                code = self._process.wait() or -signal.SIGKILL
        self._process.wait()
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
