"""Axes times instances, task by task: the answer does not depend on the number of workers or the order."""

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import integer, number, reject
from physlearn.models import Model
from physlearn.scan.grid import Grid, axis, extra_points, scalars
from physlearn.scan.runs import DirectoryRun, Run
from physlearn.scan.storage import describe
from physlearn.scan.tasks import Entry, Setting, Task
from physlearn.solvers import Solver

if TYPE_CHECKING:
    import xarray

    from physlearn.scan.preview import Preview


@dataclass(frozen=True)
class Scan:
    """A task at every point of a grid, for a number of instances of the disorder.

    Parameters
    ----------
    task : callable
        ``task(point, streams) -> dict``: a library function of the point (constants and the axes' values
        under their names) and its `Streams`; its values are numbers, estimates or arrays, and ``status`` a
        `Status`. A long task may be a generator function ``task(point, streams, checkpoint)`` that yields what
        it needs to go on, its random generators included, is given the last of that as `checkpoint` (None at
        first), and returns the dict.
    axes : mapping of str to sequence or mapping
        Names and distinct values (numbers or strings) of the axes: the dimensions of the dataset. A mapping gives
        objects by their names; with a single one, the axis is no dimension.
    constants : mapping
        The rest of every point.
    instances : int
    seed : int
        Disorder is addressed by (seed, N, instance), dynamics by (seed, the point's numbers and strings,
        instance): refining an axis or adding instances changes no old value.
    measure : sequence of str, optional
        Which of the task's values the dataset holds, with their errors; by default all. Everything is kept in the
        directory of a run, so that a value added here later is there without running again.
    extra : sequence of mappings
        Points beside the product of the axes, a value an axis; see `with_points`.
    along : str, optional
        The constant, a sequence of numbers, that arrays of its length among the task's values are given at: a
        dimension of theirs in the dataset.
    """

    task: Task
    axes: Mapping[str, Sequence[Any] | Mapping[str, Any]]
    constants: Mapping[str, Any] = field(default_factory=dict)
    instances: int = 1
    seed: int = 0
    measure: Sequence[str] | None = None
    extra: Sequence[Any] = ()
    along: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.task):
            raise reject("task", self.task, "a function task(point, streams) -> dict")
        integer("instances", self.instances, at_least=1, at_most=1_000_000)
        integer("seed", self.seed, at_least=0, at_most=2**63 - 1)  # what a file's attribute holds
        if not isinstance(self.axes, Mapping) or not self.axes:
            raise reject("axes", self.axes, "at least one axis, a name with its values")
        axes = {name: axis(name, values) for name, values in self.axes.items()}
        object.__setattr__(self, "axes", axes)
        for name in self.constants:
            if name in self.axes:
                raise reject(f"constants.{name}", self.constants[name], "names that are not an axis too")
        if self.along is not None and np.ndim(self.constants.get(self.along, 0)) != 1:
            raise reject("along", self.along, "the name of a constant that is a list of numbers")
        if self.measure is not None:
            allowed = "a list of distinct names of values"
            if isinstance(self.measure, str) or not isinstance(self.measure, Iterable):
                raise reject("measure", self.measure, allowed)
            measure = tuple(self.measure)
            if not all(isinstance(name, str) for name in measure) or len(set(measure)) < len(measure):
                raise reject("measure", list(measure), allowed)
            object.__setattr__(self, "measure", measure)
        object.__setattr__(self, "extra", extra_points(self.extra, axes))

    @cached_property
    def grid(self) -> Grid:
        """The points, without what stands behind names."""
        axes = {name: tuple(values) for name, values in self.axes.items()}
        return Grid(axes, tuple(self.extra), self.instances)

    @property
    def configuration(self) -> dict[str, Any]:
        """All that the answer depends on, as plain data."""
        content = {item.name: describe(getattr(self, item.name)) for item in dataclasses.fields(self)}
        # Told apart by, beside the axes: not everything that is described as a number is one.
        content["address"] = scalars(self.constants)
        if self.along is None:
            del content["along"]
        else:
            content["along"] = {self.along: np.asarray(self.constants[self.along], dtype=float).tolist()}
        for name, value in self.constants.items():
            _without_fields(content["constants"][name], value, self.axes)
        for name, along in self.axes.items():
            for key, value in along.items() if isinstance(along, Mapping) else ():
                _without_fields(content["axes"][name][key], value, self.axes)
        return content

    def with_points(self, points: Iterable[Mapping[str, Any]]) -> "Scan":
        """This scan and more `points`, each a value for every axis: what `refine` returns.

        They have all instances. The dataset's dimensions then hold points that belong to no task; their status is
        NOT_PLANNED.
        """
        return dataclasses.replace(self, extra=(*self.extra, *points))

    def entry(self, index: int) -> Entry:
        """The task under an index of the grid."""
        values, instance = self.grid.values(index)
        objects = {
            name: along[values[name]] for name, along in self.axes.items() if isinstance(along, Mapping)
        }
        point = {**self.constants, **values}
        return Entry(index, {**point, **objects}, scalars(point), instance, tuple(self.axes))

    def run(
        self,
        out: str | Path | None = None,
        n_jobs: int | None = 1,
        max_runtime: float | None = None,
        *,
        shard: tuple[int, int] | None = None,
        progress: bool | None = None,
        checkpoint_every: float = 30.0,
    ) -> "xarray.Dataset":
        """Compute what is missing and return the whole dataset.

        Parameters
        ----------
        out : path, optional
            A directory. What it holds of this scan is kept, whatever its grid was then, and only the rest is computed;
            the directory of another scan is refused. Tasks that failed there are tried again.
        n_jobs : int
            Workers: -1 for all cores, None for what ``joblib.parallel_config`` says.
        max_runtime : float, optional
            No task starts after this many seconds, and long ones stop at their next checkpoint; points left out are
            NaN and have the status NOT_RUN.
        shard : (int, int), optional
            (i, n): only the i-th of n parts, i = 1 ... n. Parts may share a directory.
        progress : bool, optional
            Whether to show a progress bar; by default where there is a terminal.
        checkpoint_every : float
            Seconds between two checkpoints of a task that yields some.

        Raises
        ------
        InputError
            If a task refuses its point, or `out` holds another scan. What is finished is kept.
        TaskError
            If all tasks fail. Where only some do, they have the status FAILED, and a `TaskWarning` tells of them.
        """
        if max_runtime is not None:
            number("max_runtime", max_runtime, at_least=0)
        number("checkpoint_every", checkpoint_every, at_least=0)
        if n_jobs is not None and integer("n_jobs", n_jobs) < 1 and n_jobs != -1:
            raise reject("n_jobs", n_jobs, "a number of processes >= 1, or -1 for all cores")
        if shard is not None:
            if not isinstance(shard, (tuple, list)) or len(shard) != 2:
                raise reject("shard", shard, "(i, n), the i-th of n parts")
            integer("shard", shard[0], at_least=1, at_most=integer("shard", shard[1], at_least=1))
        path = None if out is None else Path(out).absolute()  # a task may change the working directory
        setting = Setting(
            self.task,
            self.seed,
            deadline=np.inf if max_runtime is None else time.time() + max_runtime,
            directory=None if path is None else str(path),
            checkpoint_every=checkpoint_every,
            coordinator=os.getpid(),
        )
        run = Run(self, shard) if path is None else DirectoryRun(self, path, shard)
        run.compute(setting, n_jobs, progress)
        return run.dataset()

    def check_directory(self, out: str | Path) -> None:
        """Raise an `InputError` if the directory `out` can't be written or holds another scan."""
        DirectoryRun(self, Path(out)).check()

    def preview(self, out: str | Path | None = None, n_jobs: int = 1) -> "Preview":
        """How many tasks are to be done, and estimates of their time and memory from one task per corner of the grid.

        Parameters
        ----------
        out : path, optional
            Where the scan is to run: what is finished there is left out.
        n_jobs : int
            Workers, -1 for all cores.

        Raises
        ------
        InputError
            If the memory of this machine will not do.
        """
        from physlearn.scan.preview import preview

        return preview(self, out, n_jobs)


def _without_fields(table: Any, value: Any, axes: Mapping[str, Any]) -> None:
    """Let the description of a model or solver be silent on the fields that axes give: `solve_task` puts them in."""
    if isinstance(value, (Model, Solver)):
        for name in axes:
            table.pop(name, None)
