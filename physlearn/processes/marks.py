"""Files that are there while some work is under way, and tell by which process."""

import contextlib
import os
import pickle
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from physlearn.processes.lives import exists

# Written in the place of a process: nobody is to begin with this work any more.
REVOKED = "revoked"
# How the name of an answer ends that is left beside a mark.
ANSWER = ".answer"


@contextlib.contextmanager
def marking(mark: str | None) -> Iterator[Callable[[int], str]]:
    """Gives what writes down which process does the work, and tells what stood there before; at last the mark goes."""
    holders = []

    def note(number: int) -> str:
        holders.append("" if mark is None else _take(Path(mark), f"{number} {_here()}"))
        return holders[-1]

    try:
        yield note
    finally:
        if mark is not None and REVOKED not in holders:
            with contextlib.suppress(OSError):
                Path(mark).unlink()


def _take(mark: Path, holder: str) -> str:
    """Write a holder in a mark, unless its work has been revoked; the one that stood there before, if any did."""
    if _is_new(mark, holder):
        return ""
    with contextlib.suppress(OSError):
        before = mark.read_text()
        if before != REVOKED:
            mark.write_text(holder)
        return before or "unknown"
    return ""


def revoke(mark: Path) -> int | None:
    """See to it that nobody begins with some work; the process on this machine that has begun with it, if one has."""
    if _is_new(mark, REVOKED):
        return None
    for _ in range(20):
        with contextlib.suppress(OSError):
            number, _, host = mark.read_text().partition(" ")
            if number:
                is_here = number != REVOKED and host == _here()
                return int(number) if is_here and exists(int(number)) else None
        time.sleep(0.01)  # it may just be being written, or have gone
    return None


def _here() -> str:
    """This machine, and on Linux the part of it in which the numbers of processes mean these processes."""
    with contextlib.suppress(OSError):
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"
    return platform.node()


def _is_new(mark: Path, text: str) -> bool:
    """Write a mark, if it is not there; true also where none can be, in a directory that is not seen here."""
    try:
        mark.parent.mkdir(exist_ok=True)
        with mark.open("x") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError:
        pass
    return True


def leave_answer(mark: str, answer: bytes) -> None:
    """Leave an answer beside a mark: the worker that it was for has gone."""
    with contextlib.suppress(OSError):
        _left(Path(mark)).write_bytes(answer)


def take_answer(mark: Path) -> Any:
    """What a process has answered last whose worker had gone, if it has."""
    path = _left(mark)
    try:
        answer = pickle.loads(path.read_bytes())
    except (OSError, EOFError, pickle.UnpicklingError):
        answer = None
    path.unlink(missing_ok=True)
    return answer


def _left(mark: Path) -> Path:
    return mark.with_name(f"{mark.name}{ANSWER}")
