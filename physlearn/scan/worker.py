"""What a worker does with a chunk of tasks: it runs them, and writes down itself what is finished."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from physlearn.inputs import InputError
from physlearn.results import Status
from physlearn.scan.journal import Lines, beside, dimensions, records_beside
from physlearn.scan.tasks import Entry, Outcome, Setting, run_entry
from physlearn.scan.threads import single_threaded

# A chunk begins no further task after so many seconds: those that are finished are handed over.
_PATIENCE = 0.3


def run_chunk(setting: Setting, entries: Sequence[Entry], name: str = "") -> list[Outcome]:
    """Tasks one after the other, until the deadline, or until they take longer than it was thought.

    A worker keeps notes, called `name`, of the tasks that it begins. Where an engine tries a chunk again by itself,
    they tell which task was under way when the worker died: those before it are not repeated, as far as they have
    been written down, and it is handed back with a mark, lest the engine try for ever.
    """
    _end_with(setting.coordinator)
    begin = time.monotonic()
    outcomes: list[Outcome] = []
    with single_threaded(), _journal(setting) as journal, _Notes(setting, name) as notes:
        before = _written(setting, entries) if notes.last is not None else {}
        for entry in entries:
            if outcomes and time.monotonic() - begin > _PATIENCE:
                break
            if entry.index in before:
                outcomes.append(before[entry.index])
                continue
            if entry.index == notes.last:
                outcomes.append(Outcome(entry.index, None, has_killed=True))
                break
            if time.time() >= setting.deadline:
                outcomes.append(Outcome(entry.index, None))
                continue
            notes.begin(entry)
            outcome = run_entry(setting, entry)
            if journal is not None:
                _keep(journal, setting, entry, outcome)
            outcomes.append(outcome)
    return outcomes


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


class _Notes:
    """Which tasks of a chunk have been begun, where a worker sees the run's directory."""

    def __init__(self, setting: Setting, name: str) -> None:
        self._path = None
        if name and setting.directory is not None and os.getpid() != setting.coordinator:
            self._path = _note(setting.directory, name)
        self._file: Any = None
        self.last: int | None = None  # that was under way when an earlier worker died

    def __enter__(self) -> "_Notes":
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(exist_ok=True)
                self._file = self._path.open("a+b", buffering=0)
                self._file.seek(0)
                self.last = _last(self._file.read().decode())
        return self

    def begin(self, entry: Entry) -> None:
        """Note down that a task begins."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.write(b"%d " % entry.index)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
                self._path.unlink()  # type: ignore[union-attr]


def last_begun(directory: str, name: str) -> int | None:
    """The task that the worker who had the chunk `name` began last before it died; its notes are removed."""
    path = _note(directory, name)
    try:
        text = path.read_text()
        path.unlink()
    except (OSError, ValueError):
        return None
    return _last(text)


def _last(notes: str) -> int | None:
    indices = notes.split()
    return int(indices[-1]) if indices and indices[-1].isdigit() else None


def chunk_name(journal: str, number: int) -> str:
    """What the notes of a chunk are called in the run that writes this journal."""
    return f"{journal}.{number}"


def abandoned_notes(directory: Path) -> Iterator[tuple[Path, str]]:
    """All notes there, each with the name of its run's journal."""
    for path in directory.glob("under-way/*"):
        yield path, path.name.rpartition(".")[0]


def _note(directory: str | Path, name: str) -> Path:
    return Path(directory, "under-way", name)


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
