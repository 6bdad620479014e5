"""What is finished, a line a task: one append-only file for each process that writes.

The first line of a file says who writes and with which versions, the last one that the writer has ended. A line that
was cut off, as a kill or a full disk may leave it, is no line: its task is done again. The workers of a run have files
of their own beside that of the process which hands out the tasks, called after it; these have no last line.
"""

import contextlib
import datetime
import glob
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from physlearn.inputs import InputError
from physlearn.results import Status
from physlearn.scan.storage import provenance, replacing, unwritable
from physlearn.scan.tasks import Entry, Outcome

# Larger arrays go into files of their own.
_INLINE = 64
# A journal that has not been touched for so many seconds has lost its writer.
_BEAT, _SILENCE = 2.0, 30.0


class Lines:
    """A journal that is open for more lines; large arrays go to `directory`/arrays.

    Parameters
    ----------
    directory : Path
    path : Path
        The journal, which nobody else may write to.
    header : dict, optional
        First line of a new journal; otherwise it must be there.
    """

    def __init__(self, directory: Path, path: Path, header: Mapping[str, Any] | None = None) -> None:
        self._directory, self.path = directory, path
        flags = os.O_WRONLY | os.O_APPEND | (0 if header is None else os.O_CREAT | os.O_EXCL)
        self._file = os.open(path, flags, 0o666)
        self._end = os.fstat(self._file).st_size
        if header is not None:
            try:
                self._append(header)
            except InputError:
                self.shut()
                path.unlink(missing_ok=True)
                raise

    def put(self, entry: Entry, outcome: Outcome) -> None:
        """Write down what became of a task."""
        values, arrays = {}, {}
        for name, value in outcome.values.items():
            if isinstance(value, np.ndarray) and value.size > _INLINE:
                arrays[name] = value
            else:
                values[name] = value.tolist() if isinstance(value, np.ndarray) else value
        record: dict[str, Any] = {
            "point": dict(entry.address),
            "instance": entry.instance,
            "status": outcome.status,
            "values": values,
            "seconds": round(outcome.seconds, 6),
            "time": round(time.time(), 3),
        }
        if arrays:
            record["arrays"] = f"{entry.key[:2]}/{entry.key}.npz"
            record["n_dims"] = {name: item.ndim for name, item in arrays.items()}
            try:
                with (
                    replacing(self._directory / "arrays" / record["arrays"], sync=False) as temporary,
                    temporary.open("wb") as file,
                ):
                    np.savez(file, **{f"value_{name}": item for name, item in arrays.items()})  # type: ignore[arg-type]
            except OSError as error:
                raise unwritable(self._directory, error) from error
        if outcome.error:
            record |= {"error": outcome.error, "trace": outcome.trace}
        self._append(record)

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)  # no half of a line stays
            raise unwritable(self._directory, error) from error
        self._end += len(line)

    def sync(self) -> None:
        """Let the disk have what it should not lose in a power cut."""
        os.fsync(self._file)

    def shut(self) -> None:
        """Close the file."""
        os.close(self._file)


class Writer(Lines):
    """The new journal of a process that hands out tasks, in `directory`/journal.

    Parameters
    ----------
    directory : Path
    n_jobs : int
        Tasks that may run at once, for whoever looks at the journal meanwhile.
    """

    def __init__(self, directory: Path, n_jobs: int) -> None:
        now = datetime.datetime.now(datetime.UTC)
        name = f"{now:%Y%m%dT%H%M%S.%f}-{_owner()}.jsonl"
        self._closed, self._lock = threading.Event(), threading.Lock()
        try:
            path = directory / "journal" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(directory, path, _header(n_jobs=n_jobs))
        except OSError as error:
            raise unwritable(directory, error) from error
        threading.Thread(target=self._beat, daemon=True).start()

    def close(self, how: str) -> None:
        """Say how the run ended; nothing is written after that."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            try:
                self._append({"end": _now(), "how": how})
                self.sync()
            finally:
                self.shut()

    def _beat(self) -> None:
        """Show that the writer lives."""
        while not self._closed.wait(_BEAT):
            with self._lock, contextlib.suppress(OSError):
                if not self._closed.is_set():
                    os.utime(self._file)
                    self.sync()


_own = threading.local()  # what this thread writes beside which run's journal


@contextlib.contextmanager
def beside(directory: Path, journal: str) -> Iterator[Lines | None]:
    """A worker's own lines, beside the `journal` of the run that it works for; None where it does not see that.

    The file is closed meanwhile: only then do other hosts of a network's file system see what is in it.
    """
    whose = (str(directory), journal, os.getpid())
    lines = None
    with contextlib.suppress(OSError, InputError):
        if getattr(_own, "whose", None) == whose:
            lines = Lines(directory, _own.path)
        elif (directory / "journal" / journal).exists():
            path = directory / "journal" / f"{_stem(journal)}+{_owner()}.jsonl"
            lines = Lines(directory, path, _header(of=journal))
            _own.whose, _own.path, _own.synced = whose, path, time.monotonic()
    try:
        yield lines
    finally:
        if lines is not None:
            if time.monotonic() - _own.synced > _BEAT:
                with contextlib.suppress(OSError):
                    lines.sync()
                _own.synced = time.monotonic()
            lines.shut()


def records_beside(directory: Path, journal: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of tasks that the workers of a run have written, each with the name of its journal."""
    for path in _beside(directory, journal):
        with path.open("rb") as file:
            for line in file:
                record = _parsed(line) if line.endswith(b"\n") else None
                if record is not None and "point" in record:
                    yield path.name, record


def _beside(directory: Path, journal: str) -> Iterator[Path]:
    return (directory / "journal").glob(f"{glob.escape(_stem(journal))}+*.jsonl")


def dimensions(record: Mapping[str, Any]) -> dict[str, int]:
    """How many dimensions each value of a task has."""
    n_dims = dict(record.get("n_dims", {}))
    for name, value in record["values"].items():
        n_dims[name] = 0
        while isinstance(value, list):
            n_dims[name] += 1
            value = value[0] if value else None
    return n_dims


def sync(directory: Path, journal: str, named: Iterable[str]) -> None:
    """Let the disk have what the workers of a run have written, in journals that are seen or `named`."""
    for path in {*_beside(directory, journal), *(directory / "journal" / name for name in named)}:
        with contextlib.suppress(OSError), path.open("rb") as file:
            os.fsync(file.fileno())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _owner() -> str:
    return f"{platform.node()}-{os.getpid()}-{secrets.token_hex(2)}"


def _header(**more: Any) -> dict[str, Any]:
    return {"start": _now(), "host": platform.node(), "pid": os.getpid(), **more, **provenance()}


def _stem(journal: str) -> str:
    return journal.removesuffix(".jsonl")


class Reader:
    """Reads the journals of a directory, each time what has been added since.

    Parameters
    ----------
    directory : Path
    named : set of str, optional
        Journals that are there, also while a listing of a network's file system does not show them yet.

    Attributes
    ----------
    headers, ends : dict of str to dict
        First and last line of each journal, by its name.
    damaged : list of (str, int)
        Lines in the middle that can't be read: journal and number.
    """

    def __init__(self, directory: Path, named: Collection[str] = ()) -> None:
        self._folder, self._named = directory / "journal", named
        self._offsets: dict[str, int] = {}
        self._lines: dict[str, int] = {}
        self.headers: dict[str, dict[str, Any]] = {}
        self.ends: dict[str, dict[str, Any]] = {}
        self.damaged: list[tuple[str, int]] = []

    def records(self, but: Path | None = None) -> Iterator[dict[str, Any]]:
        """The lines of tasks that no earlier call has given, oldest journal first.

        Parameters
        ----------
        but : Path, optional
            A journal that is left out, with those that workers write beside it.
        """
        for path in journals(self._folder, self._named):
            if but is None or not path.name.startswith((but.name, f"{but.stem}+")):
                yield from self._new(path)

    def _new(self, path: Path) -> Iterator[dict[str, Any]]:
        name = path.name
        with path.open("rb") as file:
            file.seek(self._offsets.get(name, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    break  # cut off, or still being written
                self._offsets[name] = self._offsets.get(name, 0) + len(line)
                self._lines[name] = self._lines.get(name, 0) + 1
                record = _parsed(line)
                if record is None:
                    self.damaged.append((name, self._lines[name]))
                elif "start" in record:
                    self.headers[name] = record
                elif "end" in record:
                    self.ends[name] = record
                else:
                    yield record

    def living(self, but: Path | None = None) -> dict[str, dict[str, Any]]:
        """Headers of the journals whose writers are at work, as far as can be seen from here."""
        return {
            name: header
            for name, header in self.headers.items()
            if "of" not in header and (but is None or name != but.name) and self.is_living(name)
        }

    def is_living(self, name: str) -> bool:
        """Whether the writer of a journal is at work, as far as can be seen from here."""
        return name not in self.ends and _lives(self._folder / name, self.headers.get(name, {}))


def journals(folder: Path, named: Collection[str] = ()) -> list[Path]:
    """All journals in a folder, oldest first, and those `named` whether or not they are listed yet."""
    paths = {*folder.glob("*.jsonl"), *(folder / name for name in named)}
    return sorted(path for path in paths if path.is_file())


_CODES = {status.code for status in Status}
_KINDS: dict[str, Any] = {
    "start": str,
    "host": str,
    "pid": int,
    "n_jobs": int,
    "of": str,
    "end": str,
    "point": dict,
    "instance": int,
    "status": int,
    "values": dict,
    "seconds": (int, float),
    "time": (int, float),
    "arrays": str,
    "n_dims": dict,
    "error": str,
}


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The line of a task, or a first or last one; None where it is none of these."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    for key, kind in _KINDS.items():
        if key in record and (not isinstance(record[key], kind) or isinstance(record[key], bool)):
            return None
    if "start" in record or "end" in record:
        return record
    if not {"point", "instance", "status", "values"} <= set(record) or record["status"] not in _CODES:
        return None
    simple = all(isinstance(value, (str, int, float)) for value in record["point"].values())
    return record if simple and all(map(_is_number, record["values"].values())) else None


def _is_number(value: Any) -> bool:
    """Whether this is a number, or nested lists of numbers."""
    if isinstance(value, list):
        return all(map(_is_number, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _lives(path: Path, header: Mapping[str, Any]) -> bool:
    if header.get("host") == platform.node():
        try:
            os.kill(int(header["pid"]), 0)
        except ProcessLookupError:
            return False
        except (OSError, KeyError, ValueError):
            pass
    try:
        return time.time() - path.stat().st_mtime < _SILENCE
    except OSError:
        return False
