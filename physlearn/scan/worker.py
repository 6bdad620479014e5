"""What a worker does with a chunk of tasks: it runs them, and writes down itself what is finished."""

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from physlearn.inputs import InputError
from physlearn.processes import ANSWER, Sealed, Sealer
from physlearn.results import Status
from physlearn.scan.journal import Lines, beside, dimensions, records_beside
from physlearn.scan.tasks import Entry, Outcome, Setting, run_entry
from physlearn.scan.threads import single_threaded

# A chunk begins no further task after so many seconds: those that are finished are handed over.
_PATIENCE = 0.3


class Chunk:
    """Tasks that a worker runs one after the other; on the way to another process, sealed.

    Parameters
    ----------
    setting : Setting
    entries : sequence of Entry
    name : str
        As that of `mark`.
    sealer : Sealer
        That of the run.
    """

    def __init__(self, setting: Setting, entries: Sequence[Entry], name: str, sealer: Sealer) -> None:
        self._work, self._sealer = functools.partial(run_chunk, setting, entries), sealer
        self._mark = None if setting.directory is None else str(mark(setting.directory, name))

    def answers(self) -> list[Outcome]:
        """What became of those tasks that have been begun."""
        return list(self._work())

    def __reduce__(self) -> tuple[Any, ...]:
        sealed = self._sealer.seal(self._work, self._mark)
        return Sealed, tuple(getattr(sealed, item.name) for item in dataclasses.fields(sealed))


def run_chunk(setting: Setting, entries: Sequence[Entry], is_again: bool = False) -> Iterator[Outcome]:
    """Outcomes one by one, until the deadline, or until the tasks take longer than it was thought.

    Parameters
    ----------
    setting : Setting
    entries : sequence of Entry
    is_again : bool
        Whether another process has begun with these tasks: what it has written down is not repeated.
    """
    begin, is_first = time.monotonic(), True
    with single_threaded(), _journal(setting) as journal:
        before = _written(setting, entries) if is_again else {}
        for entry in entries:
            if entry.index in before:
                yield before[entry.index]
            elif time.time() >= setting.deadline:
                yield Outcome(entry.index, None)
            elif not is_first and time.monotonic() - begin > _PATIENCE:
                return
            else:
                outcome = run_entry(setting, entry)
                if journal is not None:
                    _keep(journal, setting, entry, outcome)
                is_first = False
                yield outcome


def mark(directory: str | Path, name: str) -> Path:
    """The file that is there while a chunk is under way, `name` that of the run's journal, a dot and a number."""
    return Path(directory, "under-way", name)


def abandoned_marks(directory: Path) -> Iterator[tuple[Path, str]]:
    """All marks there, and answers left beside them, each with the name of its run's journal."""
    for path in directory.glob("under-way/*"):
        yield path, path.name.removesuffix(ANSWER).rpartition(".")[0]


def _written(setting: Setting, entries: Sequence[Entry]) -> dict[int, Outcome]:
    """What workers of this run have written down of these tasks, by index."""
    if not setting.journal or setting.directory is None:
        return {}
    indices = {_named(entry.address, entry.instance): entry.index for entry in entries}
    found = {}
    for journal, record in records_beside(Path(setting.directory), setting.journal):
        index = indices.get(_named(record["point"], record["instance"]))
        if index is not None:
            names = dict.fromkeys(dimensions(record))
            seconds = float(record.get("seconds", 0.0))
            found[index] = Outcome(
                index, record["status"], names, seconds, record.get("error", ""), journal=journal
            )
    return found


def _named(point: Mapping[str, Any], instance: int) -> str:
    return json.dumps([point, instance], sort_keys=True)


def dead(entry: Entry, reason: str = "") -> Outcome:
    """What is said of a task that kills its workers."""
    error = "its worker process died again and again, perhaps for want of memory"
    return Outcome(entry.index, Status.FAILED.code, error=f"{error} ({reason})" if reason else error)


def _journal(setting: Setting) -> contextlib.AbstractContextManager[Lines | None]:
    if setting.journal and setting.directory is not None:
        return beside(Path(setting.directory), setting.journal)
    return contextlib.nullcontext()


def _keep(journal: Lines, setting: Setting, entry: Entry, outcome: Outcome) -> None:
    """Write a task down, unless it takes the coordinator to judge: it then does so when the task is handed over."""
    if outcome.status is None or outcome.is_refusal:
        return
    if any(setting.n_dims.get(name) != np.ndim(value) for name, value in outcome.values.items()):
        return
    try:
        journal.put(entry, outcome)
    except InputError:  # a full disk, of which the coordinator is to tell
        return
    outcome.journal, outcome.values = journal.path.name, dict.fromkeys(outcome.values)
    if outcome.checkpoint:
        with contextlib.suppress(OSError):
            Path(outcome.checkpoint).unlink()
