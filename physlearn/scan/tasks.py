"""What happens where a task runs: one thread, its own streams, checkpoints, and failures that become values."""

import contextlib
import inspect
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from physlearn.inputs import InputError
from physlearn.random import Streams, point_hash, streams
from physlearn.results import Status, as_variables
from physlearn.scan.storage import replacing
from physlearn.scan.threads import single_threaded

Task = Callable[..., Any]


class TaskError(RuntimeError):
    """Tasks that raised, or workers that died; the text names the point."""


@dataclass(frozen=True)
class Entry:
    """One task: its index in the grid, and what distinguishes its point from the others'.

    Attributes
    ----------
    index : int
    point : dict
        The whole point, as the task gets it.
    address : dict
        Its numbers and strings: they address the streams, and name the task in journals.
    instance : int
    axes : tuple of str
        Those of the address that vary.
    """

    index: int
    point: Mapping[str, Any]
    address: Mapping[str, Any]
    instance: int
    axes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The task in words."""
        shown = ", ".join(f"{name} = {self.address[name]}" for name in self.axes)
        return (shown + ", " if shown else "") + f"instance {self.instance}"

    @property
    def key(self) -> str:
        """A name for files."""
        return "".join(f"{word:08x}" for word in point_hash(dict(self.address))) + f"-{self.instance}"


@dataclass
class Outcome:
    """What became of a task.

    Attributes
    ----------
    index : int
    status : int or None
        Code of the status; None where time ran out before the end.
    values : dict of str to float or ndarray
    seconds : float
    error : str
        What it raised, in a sentence.
    trace : str
        From where.
    is_refusal : bool
        Whether that was an `InputError`.
    checkpoint : str
        Path of the checkpoint that has served its turn.
    """

    index: int
    status: int | None
    values: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    trace: str = ""
    is_refusal: bool = False
    checkpoint: str = ""


@dataclass(frozen=True)
class Setting:
    """What all tasks of a run share.

    Attributes
    ----------
    task : callable
    seed : int
    deadline : float
        Time (of the clock on the wall) after which nothing is begun, and long tasks stop at their next checkpoint.
    checkpoints : str or None
        Folder of the checkpoints.
    checkpoint_every : float
        Seconds between two of them.
    coordinator : int
        Process that hands out the tasks.
    """

    task: Task
    seed: int
    deadline: float = np.inf
    checkpoints: str | None = None
    checkpoint_every: float = 30.0
    coordinator: int = 0


def run_chunk(setting: Setting, entries: Sequence[Entry]) -> list[Outcome]:
    """Several tasks, one after the other; none that begins after the deadline."""
    _end_with(setting.coordinator)
    with single_threaded():
        return [
            run_entry(setting, entry) if time.time() < setting.deadline else Outcome(entry.index, None)
            for entry in entries
        ]


def run_entry(setting: Setting, entry: Entry) -> Outcome:
    """One task; what it raises is part of the outcome."""
    begin = time.perf_counter()
    try:
        random = streams(setting.seed, dict(entry.address), entry.instance)
        values, checkpoint = _advance(setting, entry, random)
        if values is None:
            return Outcome(entry.index, None)
        values, code = _checked(values, entry.address)
    except Exception as error:
        sentence = (
            str(error) if isinstance(error, (InputError, TaskError)) else f"{type(error).__name__}: {error}"
        )
        return Outcome(
            entry.index,
            Status.FAILED.code,
            seconds=time.perf_counter() - begin,
            error=sentence,
            trace=traceback.format_exc(limit=-8),
            is_refusal=isinstance(error, InputError),
        )
    return Outcome(entry.index, code, values, time.perf_counter() - begin, checkpoint=checkpoint)


def _advance(setting: Setting, entry: Entry, random: Streams) -> tuple[Mapping[str, Any] | None, str]:
    """What the task answers, None if it was stopped; and the checkpoint that it went on from or left behind."""
    task = setting.task
    if not inspect.isgeneratorfunction(task):
        return task(dict(entry.point), random), ""
    path = None if setting.checkpoints is None else Path(setting.checkpoints, f"{entry.key}.pickle")
    before = None if path is None else load_checkpoint(path)
    steps = task(dict(entry.point), random, before)
    written = time.monotonic()
    is_stored = before is not None
    while True:
        try:
            state = next(steps)
        except StopIteration as end:
            return end.value, str(path) if is_stored else ""
        is_over = time.time() >= setting.deadline
        if path is not None and (is_over or time.monotonic() - written >= setting.checkpoint_every):
            store_checkpoint(path, state)
            written, is_stored = time.monotonic(), True
        if is_over:
            steps.close()
            return None, ""


def store_checkpoint(path: Path, state: Any) -> None:
    """Pickle `state`; a folder that isn't there or is full costs the checkpoint, not the task."""
    with contextlib.suppress(OSError), replacing(path) as temporary:
        temporary.write_bytes(pickle.dumps((_version(), state), protocol=pickle.HIGHEST_PROTOCOL))


def load_checkpoint(path: Path) -> Any:
    """The state stored under `path` by this version; None where there is none that can be read."""
    try:
        version, state = pickle.loads(path.read_bytes())
    except Exception:  # unpickling may raise anything; the task then begins anew
        return None
    return state if version == _version() else None


def _version() -> str:
    from physlearn import __version__

    return f"{__version__}, numpy {np.__version__}, python {sys.version_info[:3]}"


def _checked(values: Any, address: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The values of a task as floats and arrays of floats, estimates with their errors; and the status' code."""
    if not isinstance(values, Mapping):
        raise TaskError(f"the task returned {values!r:.60}; a table of names and numbers is allowed.")
    status = values.get("status", Status.DONE)
    checked: dict[str, Any] = {}
    for name, value in as_variables({key: item for key, item in values.items() if key != "status"}).items():
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise TaskError(f"{name} is {value!r:.60}; a number or an array of numbers is allowed.") from None
        if not isinstance(name, str) or not name.isidentifier() or name in ("instance", *address):
            allowed = "an identifier that is not the name of an axis or a constant is allowed"
            raise TaskError(f"a value is called {name!r:.60}; {allowed}.")
        checked[name] = array if array.ndim else float(array)
    return checked, status.code if isinstance(status, Status) else Status.from_code(status).code


_watched: set[int] = set()


def _end_with(coordinator: int) -> None:
    """In a worker process, end when the process that started it has been killed: nobody else would end it."""
    if os.getppid() != coordinator or os.getpid() in _watched:
        return
    _watched.add(os.getpid())

    def watch() -> None:
        while os.getppid() == coordinator:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
