"""One run of a scan: what is missing is computed, and kept in memory or in a directory."""

import contextlib
import dataclasses
import datetime
import itertools
import json
import math
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, reject
from physlearn.processes import ChildError
from physlearn.results import Status
from physlearn.scan.dataset import Table, attributes, check_measure, restricted, with_inner_axis
from physlearn.scan.directory import Directory, damage, finished
from physlearn.scan.dispatch import Dispatch, count_workers
from physlearn.scan.grid import single_names
from physlearn.scan.journal import Writer, dimensions, sync
from physlearn.scan.preview import check_size
from physlearn.scan.storage import provenance, read
from physlearn.scan.tasks import Entry, Outcome, Setting, TaskError
from physlearn.scan.worker import abandoned_marks

if TYPE_CHECKING:
    import xarray

    from physlearn.scan.engine import Scan

# So many failures and nothing else: the run stops, since the rest would fail too.
_HOPELESS = 10
# Seconds between two looks at what other processes have finished in the same directory.
_LOOK = 0.5


class TaskWarning(RuntimeWarning):
    """Some tasks have failed; the others are there."""


class Run:
    """A run that leaves nothing behind but its dataset.

    Parameters
    ----------
    scan : Scan
    shard : (int, int), optional
        The part of the tasks that is run.
    """

    def __init__(self, scan: "Scan", shard: tuple[int, int] | None = None) -> None:
        check_size(scan.grid.shape)
        self.scan, self.shard = scan, shard
        # A byte a task is all that a run holds of those that are not under way.
        self.done = np.zeros(math.prod(scan.grid.shape), dtype=bool)
        self._configuration = plain(scan.configuration)
        self._start = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._probe: int | None = None
        self._kinds: set[Any] = set()
        self._found: set[str] = set()
        self._failed = self._succeeded = 0
        self._first = ""

    @cached_property
    def _table(self) -> Table:
        return Table(self.scan.grid, self.scan.measure)

    def dataset(self) -> "xarray.Dataset":
        """The answer."""
        attrs = attributes(self._configuration, provenance(), self._start, None)
        dataset = self._table.to_dataset(attrs, single_names(self._configuration))
        return with_inner_axis(dataset, self._configuration)

    def prepare(self) -> None:
        """Look what is there already, and whether more may be written; nothing is written yet."""

    def look(self) -> int:
        """Mark what others have finished meanwhile; how many that is."""
        return 0

    def compute(self, setting: Setting, n_jobs: int | None, progress: bool | None) -> None:
        """Run what is missing."""
        self.prepare()
        total = sum(1 for _ in self.scan.grid.order(self.shard)) if self.shard else self.scan.grid.n_tasks
        missing = sum(1 for _ in self.missing())
        if not missing:
            return
        with _bar(total, total - missing, progress) as bar:
            with self._keeping(setting, count_workers(n_jobs)) as setting:
                try:
                    dispatch = Dispatch(setting, self._entries(), n_jobs, self.unfinished)
                    with contextlib.closing(dispatch.__iter__()) as outcomes:
                        for entry, outcome in outcomes:
                            if outcome.status is not None:
                                self._take(entry, outcome)
                                bar.update(total - missing + self._failed + self._succeeded - bar.n)
                except (InputError, TaskError):
                    raise
                except Exception as error:
                    text = " ".join(_in_words(error).split())
                    raise TaskError(f"the tasks can't be run by this engine: {text}") from error
            if next(self.missing(), None) is None:
                bar.update(bar.total - bar.n)  # what others have done
        self._tell()

    def unfinished(self, entries: list[Entry]) -> list[Entry]:
        """Of tasks whose engine has broken down, those whose end nobody knows of."""
        return entries

    def missing(self) -> Iterator[int]:
        """Indices of the tasks that are still to be done."""
        return (index for index in self.scan.grid.order(self.shard) if not self.done[index])

    def _entries(self) -> Iterator[Entry]:
        """The tasks, made when they are needed, and looked at once more: another process may have done them."""
        self.look()
        looked = time.monotonic()
        for index in self._order():
            if time.monotonic() - looked > _LOOK:
                self.look()
                looked = time.monotonic()
            if not self.done[index]:
                yield self.scan.entry(index)

    def _order(self) -> Iterable[int]:
        """The tasks in the grid's order, after the last of them, a small one: it tells at once whether tasks work."""
        last = None
        if not self.done.any():
            last = next(iter(deque(self.scan.grid.order(self.shard), maxlen=1)), None)
            self._probe = last
        order = self.scan.grid.order(self.shard)
        return order if last is None else itertools.chain([last], (index for index in order if index != last))

    def _keeping(self, setting: Setting, n_workers: int) -> contextlib.AbstractContextManager[Setting]:
        """Where what tasks answer is kept, open while they run on so many workers; what these are to know of it."""
        return contextlib.nullcontext(setting)

    def _keep(self, entry: Entry, outcome: Outcome) -> None:
        assert outcome.status is not None
        self._table.put(entry.index, outcome.status, outcome.values)

    def _take(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.is_refusal:
            raise InputError(f"{outcome.error} (at {entry.place})")
        try:
            self._keep(entry, outcome)
        except TaskError as error:  # a value of another shape than elsewhere
            outcome = Outcome(entry.index, Status.FAILED.code, seconds=outcome.seconds, error=str(error))
            self._keep(entry, outcome)
        if outcome.status == Status.FAILED.code:
            self._failed += 1
            self._first = self._first or f"at {entry.place}: {outcome.error}"
            self._probe = None if self._probe == entry.index else self._probe
            if self._failed >= _HOPELESS and self._probe is None and not self.done.any():
                raise TaskError(f"all of the first {self._failed} tasks failed, the first one {self._first}")
        else:
            self._succeeded += 1
            self.done[entry.index] = True
            self._check_measure(entry, outcome)

    def _check_measure(self, entry: Entry, outcome: Outcome) -> None:
        """As soon as every object or name of an axis has had a task: is what is to be measured among the answers?"""
        objects = {name: along for name, along in self.scan.grid.axes.items() if isinstance(along[0], str)}
        n_kinds = math.prod(map(len, objects.values()))
        if self.scan.measure is None or len(self._kinds) == n_kinds:
            return
        if outcome.status == Status.UNSATISFIABLE.code:
            return  # there are no weights then, and nothing to measure on them
        self._kinds.add(tuple(entry.address[name] for name in objects))
        self._found |= set(outcome.values)
        if len(self._kinds) == n_kinds:
            check_measure(self.scan.measure, self._found)

    def _tell(self) -> None:
        if not self._failed:
            return
        n = self._failed + self._succeeded
        if not self.done.any() and n == sum(1 for _ in self.missing()):
            which = "the task" if n == 1 else f"all {n} tasks"
            raise TaskError(f"{which} failed{'' if n == 1 else ', the first one'} {self._first}")
        which = "1 task" if self._failed == 1 else f"{self._failed} tasks"
        warnings.warn(
            f"{which} of {n} failed and will be tried again by the next run, the first one {self._first}",
            TaskWarning,
            stacklevel=4,
        )


class DirectoryRun(Run):
    """A run whose finished tasks are in the journal of the directory `out` as soon as they are known."""

    def __init__(self, scan: "Scan", out: Path, shard: tuple[int, int] | None = None) -> None:
        super().__init__(scan, shard)
        self._directory = Directory(out)
        self._reader = self._directory.reader()
        self._n_dims: dict[str, int] = {}
        self._writer: Writer | None = None

    def check(self) -> None:
        """Raise an `InputError` unless the directory can be written and holds nothing else than this scan."""
        described = json.dumps({name: self._configuration[name] for name in ("task", "axes", "constants")})
        if "<lambda>" in described or "<locals>" in described:
            # All lambdas have one name: a directory could not tell whose result it holds.
            name = getattr(self.scan.task, "__qualname__", "")
            raise reject("task", name, "with out, functions defined at a module's top level")
        self._directory.check(self._configuration)

    def prepare(self) -> None:
        self.check()
        self.look()

    def compute(self, setting: Setting, n_jobs: int | None, progress: bool | None) -> None:
        self.check()
        self._directory.claim(self._configuration)
        try:
            super().compute(setting, n_jobs, progress)
        except KeyboardInterrupt as error:
            kept = f"stopped; what was finished is kept in {self._directory.path}, and the same run goes on from there"
            raise type(error)(kept) from None

    def dataset(self) -> "xarray.Dataset":
        """What the directory holds of this scan; ``result.nc`` then holds it too, and all else that is there."""
        dataset = self._current()
        if dataset is None:
            try:
                dataset = self._directory.rebuild(self._configuration)
            except InputError as error:
                if self._writer is not None and not (self.shard and "whose lock" in str(error)):
                    raise
                # Nothing was to be done, and nothing can be written here; or all shards end at once, and a later run,
                # which the whole scan needs anyway, will write.
                dataset = self._directory.dataset(self._configuration)
        return restricted(dataset, self._configuration)

    def _current(self) -> "xarray.Dataset | None":
        """``result.nc``, if it was made of all that the journals hold now."""
        try:
            dataset = read(self._directory.result)
            there = json.loads(dataset.attrs["configuration"]), json.loads(dataset.attrs["journals"])
        except (OSError, KeyError, ValueError):  # InputError is one: a damaged file is made anew
            return None
        return dataset if there == (self._configuration, self._directory.sizes()) else None

    def look(self) -> int:
        return self._look(None if self._writer is None else self._writer.path)

    def unfinished(self, entries: list[Entry]) -> list[Entry]:
        self._look(None)  # also at what our own workers have written
        left = [entry for entry in entries if not self.done[entry.index]]
        self._succeeded += len(entries) - len(left)
        return left

    def _look(self, but: Path | None) -> int:
        records = self._with_shapes(self._directory.records(self._reader, but))
        found = finished(records, self.scan.grid, self._configuration)
        new = int(np.count_nonzero(~self.done[np.unique(found)]))
        self.done[found] = True
        return new

    def _with_shapes(self, records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The records, while what is known of their values' dimensions is kept: new ones must have the same."""
        for record in records:
            if record["status"] != Status.FAILED.code:
                for name, n_dims in dimensions(record).items():
                    self._n_dims.setdefault(name, n_dims)
            yield record

    def _order(self) -> Iterable[int]:
        """Of several processes with the same tasks, the second begins at the end, later ones go at random."""
        assert self._writer is not None
        name = self._writer.path.name
        earlier = sum(other < name for other in self._reader.living(self._writer.path))
        if self.shard is not None or not earlier:
            return super()._order()
        order = np.fromiter(self.scan.grid.order(), dtype=np.int64)
        if earlier == 1:
            return map(int, order[::-1])
        return map(int, np.random.default_rng(list(name.encode())).permutation(order))

    @contextlib.contextmanager
    def _keeping(self, setting: Setting, n_workers: int) -> Iterator[Setting]:
        if self._reader.damaged:
            warnings.warn(damage(self._reader), TaskWarning, stacklevel=6)
        for path, journal in abandoned_marks(self._directory.path):
            if not self._reader.is_living(journal):
                path.unlink(missing_ok=True)
        self._writer = Writer(self._directory.path, n_workers)
        try:
            # A lone worker hands over each task at once, and several have journals beside this one.
            name = self._writer.path.name if n_workers > 1 else ""
            yield dataclasses.replace(setting, journal=name, n_dims=self._n_dims)
        except BaseException as error:
            with contextlib.suppress(InputError):  # of a full disk, of which `error` may tell already
                self._writer.close(str(error) or type(error).__name__)
            self._clear()
            raise
        is_whole = next(self.missing(), None) is None
        sync(self._directory.path, self._writer.path.name, self._directory.named)
        self._writer.close("finished" if is_whole or self._failed else "out of time")
        self._clear()
        if not self._writer.path.exists():
            raise reject(
                "out", str(self._directory.path), "a directory that stays where it is while a scan runs"
            )

    def _clear(self) -> None:
        with contextlib.suppress(OSError):  # of others, it may hold marks
            (self._directory.path / "under-way").rmdir()

    def _keep(self, entry: Entry, outcome: Outcome) -> None:
        assert self._writer is not None
        if outcome.journal:
            self._directory.named.add(outcome.journal)
            return
        for name, value in outcome.values.items():
            n_dims = self._n_dims.setdefault(name, np.ndim(value))
            if n_dims != np.ndim(value):
                raise TaskError(f"{name} has {np.ndim(value)} dimensions here and {n_dims} elsewhere.")
        self._writer.put(entry, outcome)
        if outcome.checkpoint:
            Path(outcome.checkpoint).unlink(missing_ok=True)


def plain(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it is read back from a file."""
    return json.loads(json.dumps(configuration))


def _in_words(error: Exception) -> str:
    """An error of an engine, and its cause; of what another process has traced, the last line."""
    if isinstance(error, ChildError):
        return str(error)
    lines = [line for line in str(error.__cause__ or "").splitlines() if line.strip(' "')]
    return f"{type(error).__name__}: {error}" + (f" ({lines[-1].strip()})" if lines else "")


def _bar(total: int, initial: int, progress: bool | None) -> Any:
    with warnings.catch_warnings():
        # In a notebook without widgets the bar is plain text, which is nothing to warn of.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    hidden = not (sys.stderr.isatty() if progress is None else progress)
    return tqdm(total=total, initial=initial, disable=hidden, unit="task", smoothing=0.05)
