"""One task: its own streams, checkpoints, and failures that become values."""

import contextlib
import copy
import dataclasses
import inspect
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from physlearn.inputs import InputError
from physlearn.random import Streams, point_hash, streams
from physlearn.results import Status, value_and_error
from physlearn.scan.storage import replacing

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
        Of one that a worker has written down itself, the names only.
    seconds : float
    error : str
        What it raised, in a sentence.
    trace : str
        From where.
    is_refusal : bool
        Whether that was an `InputError`.
    checkpoint : str
        Path of the checkpoint that has served its turn.
    journal : str
        Name of the worker's journal that it stands in.
    """

    index: int
    status: int | None
    values: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    trace: str = ""
    is_refusal: bool = False
    checkpoint: str = ""
    journal: str = ""


@dataclass(frozen=True)
class Setting:
    """What all tasks of a run share.

    Attributes
    ----------
    task : callable
    seed : int
    deadline : float
        Time (of the clock on the wall) after which nothing is begun, and long tasks stop at their next checkpoint.
    directory : str or None
        That of the run, where it can be seen from here: long tasks keep their checkpoints there.
    checkpoint_every : float
        Seconds between two of them.
    coordinator : int
        Process that hands out the tasks.
    journal : str
        Name of its journal, where workers are to have their own beside it.
    n_dims : dict of str to int
        Of the values known so far: workers write down what agrees with them.
    """

    task: Task
    seed: int
    deadline: float = np.inf
    directory: str | None = None
    checkpoint_every: float = 30.0
    coordinator: int = 0
    journal: str = ""
    n_dims: Mapping[str, int] = field(default_factory=dict)


def run_entry(setting: Setting, entry: Entry) -> Outcome:
    """One task; what it raises is part of the outcome."""
    begin = time.perf_counter()
    try:
        random = streams(setting.seed, dict(entry.address), entry.instance)
        values, checkpoint = _advance(setting, entry, random)
        if values is None:
            return Outcome(entry.index, None)
        values, code = _checked(values, entry.address)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit: a task does not end the others
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


def shielded(value: Any) -> Any:
    """`value` such that what a task does to it is not seen by the next one: containers are copied, arrays read-only."""
    if isinstance(value, np.ndarray):
        if not (value.flags.c_contiguous or value.flags.f_contiguous):
            value = np.ascontiguousarray(
                value
            )  # as it reaches other processes: the last bits of sums depend on it
        view = value.view()
        view.flags.writeable = False
        return view
    if type(value) is dict:
        return {key: shielded(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(map(shielded, value))
    if value is None or isinstance(value, (int, float, str, bytes, np.generic)) or inspect.isroutine(value):
        return value
    if _is_frozen(value):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # what can't be copied is shared
        return value


def _is_frozen(value: Any) -> bool:
    """Whether this is a frozen dataclass with nothing in it that could change."""
    if isinstance(value, tuple):
        return all(map(_is_frozen, value))
    parameters = getattr(type(value), "__dataclass_params__", None)
    if parameters is None:
        return value is None or isinstance(value, (int, float, str, bytes, np.generic, type))
    return parameters.frozen and all(
        _is_frozen(getattr(value, item.name)) for item in dataclasses.fields(value)
    )


def _advance(setting: Setting, entry: Entry, random: Streams) -> tuple[Mapping[str, Any] | None, str]:
    """What the task answers, None if it was stopped; and the checkpoint that it went on from or left behind."""
    task = setting.task
    if not inspect.isgeneratorfunction(task):
        return task(shielded(dict(entry.point)), random), ""
    path = _checkpoint(setting, entry)
    version = f"{task.__module__}.{getattr(task, '__qualname__', '')}, seed {setting.seed}, {_version()}"
    before = None if path is None else load_checkpoint(path, version)
    steps = task(shielded(dict(entry.point)), random, before)
    written = time.monotonic()
    is_stored = path is not None and path.exists()
    while True:
        try:
            state = next(steps)
        except StopIteration as end:
            return end.value, str(path) if is_stored else ""
        is_over = time.time() >= setting.deadline
        if path is not None and (is_over or time.monotonic() - written >= setting.checkpoint_every):
            store_checkpoint(path, version, state)
            written, is_stored = time.monotonic(), True
        if is_over:
            steps.close()
            return None, ""


def _checkpoint(setting: Setting, entry: Entry) -> Path | None:
    """Where the task's checkpoint is kept; None where the directory of the run can't be seen."""
    if setting.directory is None or not Path(setting.directory, "manifest.json").exists():
        return None
    return Path(setting.directory, "checkpoints", f"{entry.key}.pickle")


def store_checkpoint(path: Path, version: str, state: Any) -> None:
    """Pickle `state`; a folder that is full, or a state that can't be pickled, costs the checkpoint, not the task."""
    with contextlib.suppress(Exception), replacing(path, sync=False) as temporary:
        temporary.write_bytes(pickle.dumps((version, state), protocol=pickle.HIGHEST_PROTOCOL))


def load_checkpoint(path: Path, version: str) -> Any:
    """The state stored under `path` by this version of this task; None where there is none that can be read."""
    try:
        there, state = pickle.loads(path.read_bytes())
    except Exception:  # unpickling may raise anything; the task then begins anew
        return None
    return state if there == version else None


def _version() -> str:
    from physlearn import __version__

    return f"{__version__}, numpy {np.__version__}, python {sys.version_info[:3]}"


def _checked(values: Any, address: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The values of a task as floats and arrays of floats, estimates with their errors; and the status' code."""
    if not isinstance(values, Mapping):
        raise TaskError(f"the task returned {values!r:.60}; a table of names and numbers is allowed.")
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name == "status":
            continue
        if not isinstance(name, str) or not name.isidentifier() or name in ("instance", *address):
            allowed = "an identifier that is not the name of an axis or a constant is allowed"
            raise TaskError(f"a value is called {name!r:.60}; {allowed}.")
        mean, error = value_and_error(value)
        checked[name] = _number(name, mean)
        if error is not None:
            if f"{name}_error" in values:
                raise TaskError(
                    f"{name} is an estimate, and {name}_error is there too; one of them is allowed."
                )
            checked[f"{name}_error"] = _number(f"{name}_error", error)
    return checked, _code(values.get("status", Status.DONE))


def _number(name: str, value: Any) -> Any:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf" or isinstance(value, np.ma.MaskedArray):
        raise TaskError(f"{name} is {value!r:.60}; a real number or an array of them is allowed.")
    return array.astype(np.float64) if array.ndim else float(array)


def _code(status: Any) -> int:
    """The code of a status that a task may end with."""
    open_ones = (Status.NOT_RUN, Status.NOT_PLANNED, Status.FAILED)
    codes = {item.code: item for item in Status if item not in open_ones}
    if isinstance(status, Status):
        status = status.code
    if isinstance(status, bool) or not isinstance(status, (int, np.integer)) or int(status) not in codes:
        allowed = ", ".join(item.name for item in codes.values())
        raise TaskError(f"the task ended with the status {status!r:.40}; one of {allowed} is allowed.")
    return int(status)
