"""What a scan will take, estimated from one task at each corner of its grid before it starts."""

import contextlib
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, integer, reject
from physlearn.scan.tasks import Entry, Outcome, Setting, TaskError, run_entry
from physlearn.scan.threads import single_threaded

if TYPE_CHECKING:
    from physlearn.scan.engine import Scan

_MOST_CORNERS = 64
# A worker with the library and its compiled kernels loaded, before its first task.
_WORKER = 250e6


@dataclass(frozen=True)
class Preview:
    """Estimates made before a scan.

    Attributes
    ----------
    n_tasks, n_missing : int
        Tasks in all, and those that are still to be done.
    seconds : float
        Of all missing tasks on `n_workers` workers.
    n_workers : int
    task_memory, dataset_memory : float
        Bytes that the largest task adds to its process, and bytes of the dataset.
    memory, available : float
        Bytes needed in all, workers included, and bytes that this machine has to give.
    corners : dict of str to (float, float)
        Seconds and bytes of the tasks that were timed.
    """

    n_tasks: int
    n_missing: int
    seconds: float
    n_workers: int
    task_memory: float
    dataset_memory: float
    memory: float
    available: float
    corners: dict[str, tuple[float, float]]

    def __repr__(self) -> str:
        lines = [
            f"{self.n_tasks} tasks, {self.n_missing} of them to be done: about {in_words(self.seconds)} on "
            f"{self.n_workers} worker{'s' * (self.n_workers > 1)}; memory {in_bytes(self.memory)} of "
            f"{in_bytes(self.available)} available."
        ]
        lines += [
            f"  {place}: {seconds:.3g} s, {in_bytes(size)}" for place, (seconds, size) in self.corners.items()
        ]
        return "\n".join(lines)


def preview(scan: "Scan", out: str | Path | None, n_jobs: int) -> Preview:
    """As `Scan.preview`, which see."""
    import joblib

    from physlearn.scan.runs import DirectoryRun, Run

    if integer("n_jobs", n_jobs) < 1 and n_jobs != -1:
        raise reject("n_jobs", n_jobs, "a number of processes >= 1, or -1 for all cores")
    run = Run(scan) if out is None else DirectoryRun(scan, Path(out))
    run.prepare()
    n_workers = joblib.effective_n_jobs(n_jobs)
    available = available_memory()
    corners = _corners(scan)
    timed: dict[tuple[Any, ...], tuple[float, float]] = {}
    with single_threaded():
        warm: set[Any] = set()
        for key, entry in corners.items():
            if _kind(scan, key) not in warm:  # what is compiled or read in at first is no task's time
                _timed(scan, entry)
                warm.add(_kind(scan, key))
            _check(_expected(scan, key, timed), available, f"one task (at {entry.place})")
            seconds, size, outcome = _timed(scan, entry)
            timed[key] = seconds, size
    per_task = 1.0 + 8 * sum(np.size(value) for value in outcome.values.values())
    dataset = per_task * math.prod(scan.grid.shape)
    largest = max(size for _, size in timed.values())
    memory = n_workers * (largest + (_WORKER if n_workers > 1 else 0.0)) + 2 * dataset
    _check(memory, available, f"{n_workers} worker{'s' * (n_workers > 1)} and the dataset")
    return Preview(
        scan.grid.n_tasks,
        sum(1 for _ in run.missing()),
        _total(scan, timed, run.missing()) / n_workers,
        n_workers,
        largest,
        dataset,
        memory,
        available,
        {corners[key].place: value for key, value in timed.items()},
    )


def check_size(shape: tuple[int, ...]) -> None:
    """Raise an `InputError` where the dataset alone takes more than there is: for every task a status and a value."""
    _check(math.prod(shape) * 9.0, available_memory(), f"the dataset of {math.prod(shape)} tasks")


def _check(needed: float, available: float, what: str) -> None:
    if needed > available:
        raise InputError(
            f"memory: got {what}, for about {in_bytes(needed)}; allowed: what fits into the {in_bytes(available)} "
            "that are available here (fewer workers, a smaller N, or fewer points)."
        )


def _is_numeric(values: tuple[Any, ...]) -> bool:
    return not isinstance(values[0], str)


def _corners(scan: "Scan") -> dict[tuple[Any, ...], Entry]:
    """The first instance at the extremes of numbers and at every name, cheap ones first."""
    ends = [
        sorted({min(values), max(values)}) if _is_numeric(values) else list(values)
        for values in scan.grid.axes.values()
    ]
    keys = list(itertools.product(*ends))
    if len(keys) > _MOST_CORNERS:
        raise reject("axes", f"{len(keys)} corners", f"at most {_MOST_CORNERS} corners for a preview")
    # N weighs most, then all other numbers.
    names = list(scan.grid.axes)

    def cost(key: tuple[Any, ...]) -> tuple[float, ...]:
        numbers = [value for value in key if not isinstance(value, str)]
        return (float(key[names.index("N")]) if "N" in names else 0.0, *map(float, numbers))

    corners = {}
    for key in sorted(keys, key=cost):
        index = scan.grid.index(dict(zip(names, key, strict=True)), 0)
        assert index is not None
        corners[key] = scan.entry(index)
    return corners


def _kind(scan: "Scan", key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value for value in key if isinstance(value, str))


def _expected(scan: "Scan", key: tuple[Any, ...], timed: Mapping[tuple, tuple[float, float]]) -> float:
    """Memory of a task, quadratic in N and linear in the other numbers: the least that those timed lead to."""
    guesses = []
    names = list(scan.grid.axes)
    for other, (_, size) in timed.items():
        if _kind(scan, other) == _kind(scan, key):
            growth = 1.0
            for name, here, there in zip(names, key, other, strict=True):
                if not isinstance(here, str) and there > 0 and here > there:
                    growth *= (here / there) ** (2 if name == "N" else 1)
            guesses.append(size * growth)
    return min(guesses, default=0.0)


def _timed(scan: "Scan", entry: Entry) -> tuple[float, float, Outcome]:
    with _peak_memory() as peak:
        begin = time.perf_counter()
        outcome = run_entry(Setting(scan.task, scan.seed), entry)
        seconds = time.perf_counter() - begin
    if outcome.error:
        if outcome.is_refusal:
            raise InputError(f"{outcome.error} (at {entry.place})")
        raise TaskError(f"the task failed at {entry.place}: {outcome.error}")
    return seconds, peak(), outcome


def _total(
    scan: "Scan", timed: Mapping[tuple[Any, ...], tuple[float, float]], missing: Iterator[int]
) -> float:
    """Seconds of all missing tasks: the logarithm of a task's time is multilinear between the corners."""
    coordinates = scan.grid.coordinates
    ends, places = [], []
    for name, values in coordinates.items():
        axis = scan.grid.axes[name]
        if _is_numeric(values):
            low, high = min(axis), max(axis)
            ends.append(sorted({low, high}))
            grid = np.clip(np.array(values, dtype=float), low, high)  # points beside the grid are as its ends
            if low > 0:
                low, high, grid = math.log(low), math.log(high), np.log(grid)
            # Halves, lest the difference be out of range.
            places.append((grid / 2 - low / 2) / (high / 2 - low / 2) if high > low else np.zeros(len(grid)))
        else:
            ends.append(list(axis))
            places.append(np.array([axis.index(value) for value in values], dtype=float))
    logs = np.array([math.log(max(timed[key][0], 1e-9)) for key in itertools.product(*ends)])
    logs = logs.reshape([len(end) for end in ends])
    for k, (values, place) in enumerate(zip(coordinates.values(), places, strict=True)):
        logs = np.moveaxis(logs, k, 0)
        if not _is_numeric(values) or len(logs) == 1:
            logs = logs[place.astype(int)]
        else:
            weight = place.reshape(-1, *[1] * (logs.ndim - 1))
            logs = (1 - weight) * logs[0] + weight * logs[1]
        logs = np.moveaxis(logs, 0, k)
    todo = np.zeros(scan.grid.shape, dtype=bool)
    todo.reshape(-1)[np.fromiter(missing, dtype=np.int64)] = True
    return float(np.sum(np.exp(logs) * todo.sum(axis=-1)))


@contextlib.contextmanager
def _peak_memory() -> Iterator[Callable[[], float]]:
    """How much more memory the process held, at most, than before; where no system tells, what NumPy asked for."""
    peak = 0.0
    if _reset_peak():
        before = _from_proc("VmRSS")
        yield lambda: max(0.0, peak)
        peak = _from_proc("VmHWM") - before
    else:
        import tracemalloc

        tracemalloc.start()
        yield lambda: peak
        peak = float(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


def _reset_peak() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _from_proc(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return float(line.split()[1]) * 1024
    return 0.0


def available_memory() -> float:
    """Bytes of memory that can be had here: those of the machine, or of the group that batch systems put us in."""
    bounds = []
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                bounds.append(float(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        bounds.append(float(limit) - float(used))
    if not bounds:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            bounds.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    return min(bounds, default=math.inf)


def in_bytes(size: float) -> str:
    """Bytes in words."""
    if not math.isfinite(size):
        return "unknown memory"
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return "less than 1 MB"


def in_words(seconds: float) -> str:
    """A time in words."""
    for unit, scale in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
