"""Axes times instances, task by task: the answer does not depend on the number of workers or the order."""

import contextlib
import datetime
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, integer, number, reject
from physlearn.random import Streams, streams
from physlearn.results import Status
from physlearn.scan.storage import check_directory, describe, difference, provenance, read, write
from physlearn.scan.variables import annotate

if TYPE_CHECKING:
    import xarray

Task = Callable[[dict[str, Any], Streams], Mapping[str, Any]]

# A run that is killed loses no more than this, in seconds.
WRITE_EVERY = 30.0


class TaskError(RuntimeError):
    """A task raised; the text names its point."""


@dataclass(frozen=True)
class Scan:
    """A task at every point of a grid, for a number of instances of the disorder.

    Parameters
    ----------
    task : callable
        ``task(point, streams) -> dict``: a library function of the point (constants and the axes' values
        under their names) and its `Streams`; its values are numbers or arrays of one shape, and ``status`` a
        `Status`.
    axes : mapping of str to sequence
        Names and distinct values (numbers or strings) of the axes: the dimensions of the dataset.
    constants : mapping
        The rest of every point.
    instances : int
    seed : int
        Disorder is addressed by (seed, N, instance), dynamics by (seed, the point's numbers and strings,
        instance): refining an axis or adding instances changes no old value.
    """

    task: Task
    axes: Mapping[str, Sequence[Any]]
    constants: Mapping[str, Any] = field(default_factory=dict)
    instances: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not callable(self.task):
            raise reject("task", self.task, "a function task(point, streams) -> dict")
        integer("instances", self.instances, at_least=1, at_most=1_000_000)
        integer("seed", self.seed, at_least=0, at_most=2**63 - 1)  # what a file's attribute holds
        if not isinstance(self.axes, Mapping) or not self.axes:
            raise reject("axes", self.axes, "at least one axis, a name with its values")
        object.__setattr__(self, "axes", {name: _axis(name, values) for name, values in self.axes.items()})
        for name in self.constants:
            if name in self.axes:
                raise reject(f"constants.{name}", self.constants[name], "names that are not an axis too")

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, then the number of instances."""
        return (*(len(values) for values in self.axes.values()), self.instances)

    @property
    def configuration(self) -> dict[str, Any]:
        """All that the answer depends on, as plain data."""
        entries = {name: getattr(self, name) for name in ("task", "axes", "constants", "instances", "seed")}
        return {name: describe(value) for name, value in entries.items()}

    def point(self, index: Sequence[int]) -> dict[str, Any]:
        """The point under `index`, one integer an axis."""
        values = {name: self.axes[name][i] for name, i in zip(self.axes, index, strict=False)}
        return {**self.constants, **values}

    def run(
        self,
        out: str | Path | None = None,
        n_jobs: int | None = 1,
        max_runtime: float | None = None,
        *,
        progress: bool | None = None,
    ) -> "xarray.Dataset":
        """Compute what is missing and return the whole dataset.

        Parameters
        ----------
        out : path, optional
            Directory of ``result.nc``. What it holds of this very scan is kept, and only the rest is
            computed; the result of another scan is refused.
        n_jobs : int
            Worker processes: -1 for all cores, None for what ``joblib.parallel_config`` says.
        max_runtime : float, optional
            No task starts after this many seconds; points left out are NaN and have the status NOT_RUN.
        progress : bool, optional
            Whether to show a progress bar; by default where there is a terminal.

        Raises
        ------
        InputError
            If a point is not valid, or `out` holds another scan.
        TaskError
            If a task fails. What is finished has then been written.
        """
        if max_runtime is not None:
            number("max_runtime", max_runtime, at_least=0)
        if n_jobs is not None and integer("n_jobs", n_jobs) < 1 and n_jobs != -1:
            raise reject("n_jobs", n_jobs, "a number of processes >= 1, or -1 for all cores")
        start = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        path = None if out is None else Path(out) / "result.nc"
        name = getattr(self.task, "__qualname__", "")
        if path is not None and "<" in name:
            # All lambdas have one name: a directory could not tell whose result it holds.
            raise reject("task", name, "with out, functions defined at a module's top level")
        table = _Table(self.shape)
        stored = None if path is None else self.stored(path.parent)
        if stored is not None:
            table.take(stored)
            if table.is_full:
                return stored
            start = stored.attrs.get("start", start)
        elif path is not None:
            # Before the work rather than after it: is the directory one that can be written?
            write(self._dataset(table, start), path)
        todo = self._order(
            [tuple(index) for index in np.argwhere(table.status == Status.NOT_RUN.code).tolist()]
        )
        written = time.monotonic()
        try:
            for index, values in self._results(todo, n_jobs, max_runtime, progress):
                table.put(index, values)
                if path is not None and time.monotonic() - written >= WRITE_EVERY:
                    write(self._dataset(table, start), path)
                    written = time.monotonic()
        except BaseException as error:
            if path is not None:
                self._rescue(table, start, path, error)
            raise
        dataset = self._dataset(table, start)
        if path is not None:
            write(dataset, path)
        return dataset

    def stored(self, out: str | Path) -> "xarray.Dataset | None":
        """What the directory `out` holds of this scan; an `InputError` if it can't be written or holds another."""
        path = Path(out) / "result.nc"
        check_directory(path.parent)
        if not path.exists():
            return None
        stored = read(path)
        self._check_same(path, stored)
        return stored

    def _rescue(self, table: "_Table", start: str, path: Path, error: BaseException) -> None:
        """Write what is finished; where that fails too, `error` says so and stays the one that is raised."""
        try:
            write(self._dataset(table, start), path)
        except Exception as second:
            error.add_note(f"What was finished since the last writing is lost: {second}")

    def _order(self, todo: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Large systems first, so that no worker ends alone with the longest task."""
        if "N" not in self.axes:
            return todo
        axis = list(self.axes).index("N")
        return sorted(todo, key=lambda index: -self.axes["N"][index[axis]])

    def _results(
        self,
        todo: list[tuple[int, ...]],
        n_jobs: int | None,
        max_runtime: float | None,
        progress: bool | None,
    ) -> Iterator[tuple[tuple[int, ...], Mapping[str, Any]]]:
        import joblib

        with warnings.catch_warnings():
            # In a notebook without widgets the bar is plain text, which is nothing to warn of.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

        stop = np.inf if max_runtime is None else time.monotonic() + max_runtime

        def tasks() -> Iterator[Any]:
            for index in todo:
                if time.monotonic() >= stop:
                    return
                yield joblib.delayed(run_task)(self.task, self.point(index), self.seed, index)

        hidden = not (sys.stderr.isatty() if progress is None else progress)
        parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")
        with tqdm(total=len(todo), disable=hidden, unit="task", smoothing=0.05) as bar:
            results = parallel(tasks())
            try:
                for result in results:
                    bar.update()
                    yield result
            finally:
                with warnings.catch_warnings():
                    # Of a stopped run, joblib warns at length that some tasks were in vain.
                    warnings.simplefilter("ignore")
                    results.close()

    def _dataset(self, table: "_Table", start: str) -> "xarray.Dataset":
        import xarray

        dims = (*self.axes, "instance")
        data: dict[str, tuple] = {}
        for name in sorted(table.values):
            values = table.values[name]
            extra = values.ndim - len(dims)
            inner = [f"{name}_index"] if extra == 1 else [f"{name}_index_{k}" for k in range(extra)]
            data[name] = ((*dims, *inner), values)
        data["status"] = (dims, table.status, Status.attributes())
        coords = {
            **{name: list(values) for name, values in self.axes.items()},
            "instance": np.arange(self.instances),
        }
        attrs = {
            "configuration": json.dumps(self.configuration),
            "seed": self.seed,
            **provenance(),
            "start": start,
            "end": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        return annotate(xarray.Dataset(data, coords=coords, attrs=attrs))

    def _check_same(self, path: Path, stored: "xarray.Dataset") -> None:
        there, here = (
            json.loads(stored.attrs.get("configuration", "{}")),
            json.loads(json.dumps(self.configuration)),
        )
        if there != here:
            raise InputError(
                f"out: got {path.parent}, which holds another scan ({difference(there, here)}); "
                "allowed: an empty or new directory, or that of the same scan."
            )


class _Table:
    """Values and status of every task, at its place whatever the order of arrival."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.status = np.full(shape, Status.NOT_RUN.code, dtype=np.int8)
        self.values: dict[str, np.ndarray] = {}

    @property
    def is_full(self) -> bool:
        return not (self.status == Status.NOT_RUN.code).any()

    def put(self, index: tuple[int, ...], values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if name == "status":
                continue
            try:
                array = np.asarray(value, dtype=np.float64)
            except (TypeError, ValueError):
                raise TaskError(f"{name} is {value!r}; a number or an array of numbers is allowed.") from None
            if name not in self.values:
                self.values[name] = np.full(self.status.shape + array.shape, np.nan)
            if self.values[name][index].shape != array.shape:
                raise TaskError(
                    f"{name} has shape {array.shape} here and another one elsewhere; one is allowed."
                )
            self.values[name][index] = array
        status = values.get("status", Status.DONE)
        self.status[index] = status.code if isinstance(status, Status) else int(status)

    def take(self, stored: "xarray.Dataset") -> None:
        """Begin with what an earlier run of the same scan has stored."""
        self.status[...] = stored["status"].values
        self.values = {
            str(name): data.values.copy() for name, data in stored.data_vars.items() if name != "status"
        }


def run_task(
    task: Task, point: dict[str, Any], seed: int, index: tuple[int, ...]
) -> tuple[tuple[int, ...], Mapping[str, Any]]:
    """One task, on one BLAS and one Numba thread: with two, the last bits of a product differ."""
    address = {name: value for name, value in point.items() if isinstance(value, (int, float, str))}
    place = ", ".join(f"{name} = {value}" for name, value in address.items()) + f", instance {index[-1]}"
    with _single_threaded():
        try:
            return index, dict(task(point, streams(seed, address, index[-1])))
        except InputError as error:
            raise InputError(f"{error} (at {place})") from error
        except Exception as error:
            raise TaskError(f"the task failed at {place}: {type(error).__name__}: {error}") from error


_threadpools: dict[int, Any] = {}


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    from threadpoolctl import ThreadpoolController

    from physlearn.kernels.threads import one_thread

    # Looking for the loaded libraries takes a millisecond: once is enough as long as no module has joined.
    if len(sys.modules) not in _threadpools:
        _threadpools.clear()
        _threadpools[len(sys.modules)] = ThreadpoolController()
    with _threadpools[len(sys.modules)].limit(limits=1), one_thread():
        yield


def _axis(name: Any, values: Any) -> tuple[Any, ...]:
    allowed = "a list of distinct finite numbers, or of distinct strings"
    if not isinstance(name, str) or not name.isidentifier() or name in ("instance", "status"):
        raise reject("axes", name, "names that are identifiers other than instance and status")
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        raise reject(f"axes.{name}", values, allowed)
    values = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
    strings = all(isinstance(value, str) for value in values)
    if not values or not (strings or all(map(_is_finite, values))) or len(set(values)) < len(values):
        raise reject(f"axes.{name}", list(values), allowed)
    return values


def _is_finite(value: Any) -> bool:
    """Whether `value` is a finite number; an integer must fit into 64 bits, as files need."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)
