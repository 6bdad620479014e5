"""How far the scan in a directory has come, read from its journals while it runs or after."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from physlearn.results import Status
from physlearn.scan.directory import Directory, damage, placed
from physlearn.scan.grid import Grid, grid_of
from physlearn.scan.preview import in_words

_SHOWN = 5


@dataclass(frozen=True)
class Progress:
    """The state of a scan in a directory.

    Attributes
    ----------
    n_tasks, n_done, n_failed, n_running : int
        Of the scan last asked for. Running are as many as the living writers' workers can have under way.
    seconds : float
        Of work that is left, by what tasks of the same N and solver (or other name) took; NaN where none is finished.
    n_workers : int
        That are at work on it.
    by_status : dict of str to int
    failures : list of str
        Point and error of each task that failed.
    damaged : str
        What can't be read of the journals.
    """

    directory: str
    n_tasks: int
    n_done: int
    n_failed: int
    n_running: int
    seconds: float
    n_workers: int
    by_status: dict[str, int]
    failures: list[str]
    damaged: str = ""

    def __repr__(self) -> str:
        left = self.n_tasks - self.n_done - self.n_failed - self.n_running
        lines = [
            f"{self.directory}: {self.n_tasks} tasks: {self.n_done} done, {self.n_failed} failed, "
            f"{self.n_running} running, {left} waiting.",
        ]
        if self.by_status:
            lines.append("status: " + ", ".join(f"{name} {n}" for name, n in self.by_status.items()))
        if self.n_done + self.n_failed < self.n_tasks or self.n_failed:
            lines.append(self._rest())
        lines += [f"failed {failure}" for failure in self.failures[:_SHOWN]]
        if len(self.failures) > _SHOWN:
            lines.append(f"... and {len(self.failures) - _SHOWN} more")
        return "\n".join([*lines, *([self.damaged] if self.damaged else [])])

    def _rest(self) -> str:
        if not np.isfinite(self.seconds):
            how = "not known yet, since no task is finished"
        elif self.n_workers:
            plural = "s" * (self.n_workers > 1)
            how = f"about {in_words(self.seconds / self.n_workers)} with {self.n_workers} worker{plural}"
        else:
            how = (
                f"about {in_words(self.seconds)} of one core; nobody is at work, and the same command goes on"
            )
        return f"rest: {how}."


def progress(out: str | Path) -> Progress:
    """Read how far the scan in the directory `out` has come.

    Raises
    ------
    InputError
        If it is not the directory of a scan.
    """
    directory = Directory(out)
    configuration = directory.configuration()
    grid, reader = grid_of(configuration), directory.reader()
    status = np.full(grid.shape, Status.NOT_PLANNED.code, dtype=np.int8)
    status[grid.planned] = Status.NOT_RUN.code
    flat = status.reshape(-1)
    errors: dict[int, str] = {}
    kinds = _kinds(grid)
    seconds = np.zeros(kinds.max(initial=0) + 1)
    counts = np.zeros_like(seconds)
    open_codes = (Status.NOT_RUN.code, Status.FAILED.code)
    for index, record in placed(directory.records(reader), grid, configuration):
        if flat[index] not in open_codes:
            continue
        flat[index] = record["status"]
        if record["status"] == Status.FAILED.code:
            errors[index] = _failure(record)
        else:
            errors.pop(index, None)
            kind = kinds[index // grid.shape[-1]]
            seconds[kind] += record.get("seconds", 0.0)
            counts[kind] += 1
    found = Counter(status[grid.planned].ravel().tolist())
    done = grid.n_tasks - found[Status.NOT_RUN.code] - found[Status.FAILED.code]
    missing = np.isin(status, open_codes).sum(axis=-1).ravel()
    left = np.bincount(kinds, weights=missing, minlength=len(seconds))
    mean = seconds.sum() / counts.sum() if counts.sum() else np.nan
    each = np.where(counts > 0, seconds / np.maximum(counts, 1), mean)
    workers = sum(int(header.get("n_jobs", 1)) for header in reader.living().values())
    unfinished = int(missing.sum())
    return Progress(
        str(out),
        grid.n_tasks,
        done,
        found[Status.FAILED.code],
        min(workers, found[Status.NOT_RUN.code]),
        float(np.sum(np.where(left > 0, left * each, 0))) if unfinished else 0.0,
        workers,
        {item.name: found[item.code] for item in Status if found[item.code] and item is not Status.NOT_RUN},
        list(errors.values()),
        damage(reader) if reader.damaged else "",
    )


def _failure(record: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name} = {value}" for name, value in record["point"].items())
    return f"at {shown}, instance {record['instance']}: {record.get('error', '')}"


def _kinds(grid: Grid) -> np.ndarray:
    """Which points are alike in N and in names, shape (n_points,): their tasks take about the same time."""
    kinds = np.zeros(grid.shape[:-1], dtype=np.int64)
    for k, (name, values) in enumerate(grid.coordinates.items()):
        if name == "N" or isinstance(values[0], str):
            along = np.arange(len(values)).reshape([-1 if j == k else 1 for j in range(len(grid.axes))])
            kinds = kinds * len(values) + along
    return kinds.ravel()
