"""What is finished, a line a task: one append-only file for each process that writes.

The first line of a file says who writes and with which versions, the last one that the writer has ended. A line that
was cut off, as a kill or a full disk may leave it, is no line: its task is done again.
"""

import contextlib
import datetime
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from physlearn.results import Status
from physlearn.scan.storage import provenance, replacing, unwritable
from physlearn.scan.tasks import Entry, Outcome

# Larger arrays go into files of their own.
_INLINE = 64
# A journal that has not been touched for so many seconds has lost its writer.
_BEAT, _SILENCE = 2.0, 30.0


class Writer:
    """Appends to a new journal in `directory`/journal; large arrays go to `directory`/arrays.

    Parameters
    ----------
    directory : Path
    n_jobs : int
        Tasks that may run at once, for whoever looks at the journal meanwhile.
    """

    def __init__(self, directory: Path, n_jobs: int) -> None:
        now = datetime.datetime.now(datetime.UTC)
        host, pid = platform.node(), os.getpid()
        self._directory = directory
        self.path = (
            directory / "journal" / f"{now:%Y%m%dT%H%M%S.%f}-{host}-{pid}-{secrets.token_hex(2)}.jsonl"
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        except OSError as error:
            raise unwritable(directory, error) from error
        self._end = 0
        self._closed, self._lock = threading.Event(), threading.Lock()
        start = now.isoformat(timespec="seconds")
        self._append({"start": start, "host": host, "pid": pid, "n_jobs": n_jobs, **provenance()})
        threading.Thread(target=self._beat, daemon=True).start()

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

    def close(self, how: str) -> None:
        """Say how the run ended; nothing is written after that."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            try:
                self._append(
                    {"end": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "how": how}
                )
                os.fsync(self._file)
            finally:
                os.close(self._file)

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

    def _beat(self) -> None:
        """Show that the writer lives, and let the disk have what it should not lose in a power cut."""
        while not self._closed.wait(_BEAT):
            with self._lock, contextlib.suppress(OSError):
                if not self._closed.is_set():
                    os.utime(self._file)
                    os.fsync(self._file)


class Reader:
    """Reads the journals of a directory, each time what has been added since.

    Attributes
    ----------
    headers, ends : dict of str to dict
        First and last line of each journal, by its name.
    damaged : list of (str, int)
        Lines in the middle that can't be read: journal and number.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "journal"
        self._offsets: dict[str, int] = {}
        self._lines: dict[str, int] = {}
        self.headers: dict[str, dict[str, Any]] = {}
        self.ends: dict[str, dict[str, Any]] = {}
        self.damaged: list[tuple[str, int]] = []

    def records(self, but: Path | None = None) -> Iterator[dict[str, Any]]:
        """The lines of tasks that no earlier call has given, of all journals `but` one, oldest journal first."""
        for path in sorted(self._folder.glob("*.jsonl")):
            if (but is None or path.name != but.name) and path.is_file():
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
            if name not in self.ends
            and (but is None or name != but.name)
            and _lives(self._folder / name, header)
        }


_CODES = {status.code for status in Status}
_KINDS: dict[str, Any] = {
    "start": str,
    "host": str,
    "pid": int,
    "n_jobs": int,
    "end": str,
    "point": dict,
    "instance": int,
    "status": int,
    "values": dict,
    "seconds": (int, float),
    "time": (int, float),
    "arrays": str,
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
