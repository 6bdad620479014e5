"""Work on its way through an engine: sealed for the worker, opened in its child."""

import os
import pickle
import platform
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from physlearn.processes.child import Child, ChildError, Parcel
from physlearn.processes.lives import end_with, exists
from physlearn.processes.marks import REVOKED, marking

# Gives answers one by one; told whether another process may have begun with the same.
Work = Callable[[bool], Iterator[Any]]

# Bytes from which on an array is handed over once.
_LARGE = 1_000_000
# Deaths of children over what they are given, before the first task begins, after which it is the task's doing.
_TRIES = 3
# Runs of which a worker keeps children, where each run has its own.
_RUNS = 3


@dataclass(frozen=True)
class Sealed(Parcel):
    """Work on its way to a child; the worker in between does not look into it.

    Attributes
    ----------
    run : str
        The run that it belongs to.
    host, coordinator : str, int
        Machine and process that hand out the work.
    """

    run: str
    host: str
    coordinator: int

    def answers(self) -> list[Any]:
        """What the work answers; from a child, each still pickled."""
        here = self.host == platform.node()
        if here and os.getpid() == self.coordinator:
            return list(pickle.loads(self.content, buffers=self.arrays)(False))
        if here and not exists(self.coordinator):
            if os.getppid() == 1 and "distributed" not in sys.modules:
                os._exit(1)  # its own child, which nobody else would end
            raise ChildError("the process that hands out tasks has gone")
        is_of_coordinator = os.getppid() == self.coordinator
        if is_of_coordinator:
            end_with(self.coordinator)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the coordinator
        is_lasting = here and is_of_coordinator and self.mark is not None and "distributed" not in sys.modules
        with marking(self.mark) as note:
            answers: list[Any] = []
            for _ in range(_TRIES):
                child = _child(self.run, self.coordinator if is_lasting else None)
                holder = note(child.number)
                if holder == REVOKED:
                    break
                answers = child.run(self, bool(holder))
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
        return Sealed(content, names, arrays, mark, self.run, platform.node(), self.coordinator)

    def _named(self, raw: memoryview) -> tuple[str, Any]:
        import numpy as np

        array = np.frombuffer(raw, dtype=np.uint8)
        key = array.ctypes.data, array.nbytes
        if key not in self._known:
            # That it is known keeps it where it is: its address then tells it from others.
            self._known[key] = secrets.token_hex(8), array
        return self._known[key]


_own = threading.local()  # the children of this thread, by run and by what they last with


def _child(run: str, lasting_with: int | None) -> Child:
    """A child that lives; under Dask one of this run, as its workers may be given new code between runs."""
    children: dict[tuple[str, int | None], Child] = _own.__dict__.setdefault("children", {})
    is_dask = "distributed" in sys.modules
    key = run if is_dask else "", lasting_with
    child = children.pop(key, None)
    if child is None or not child.is_alive:
        child = Child(lasting_with)
    children[key] = child  # the last one used is the last one here
    while len(children) > (_RUNS if is_dask else 1):
        children.pop(next(iter(children))).kill()
    return child


def run_numbered(number: int, work: Any) -> tuple[int, list[Any]]:
    """The answers of some work, `Sealed` or not, with a number that tells which."""
    return number, work.answers()
