"""Whether processes of this machine live, and their ends."""

import contextlib
import multiprocessing.connection
import os
import signal
import threading
import time
from pathlib import Path

# Seconds between two looks whether a process still lives, where nothing tells of its end.
LOOK = 0.5

_watched: set[int] = set()


def end_with(parent: int) -> None:
    """End when the process that started this one has ended: nobody else would."""
    if parent in _watched:
        return
    _watched.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def exists(process: int) -> bool:
    """Whether there is such a process on this machine, which has not ended yet."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    # One whose end nobody has asked for is still there: as long as they live, some parents never ask.
    with contextlib.suppress(OSError):
        return _stat(process)[0] not in (b"Z", b"X")
    return True


def end_process(number: int) -> None:
    """End a process at once, if it is there, and what it has started: no engine knows of that."""
    if number > 0:
        for each in (number, *_descendants(number)):
            with contextlib.suppress(OSError):
                os.kill(each, signal.SIGKILL)


def _descendants(number: int) -> list[int]:
    """Processes that one has started, they have started, and so on, as far as this machine tells."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            children.setdefault(int(_stat(int(path.name))[1]), []).append(int(path.name))
    found = [number]
    for each in found:
        found += children.get(each, [])
    return found[1:]


def _stat(process: int) -> list[bytes]:
    """What Linux says of a process: its state, its parent, and more."""
    return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()


def wait_for(process: int) -> None:
    """Return when a process has ended."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # where there is no such thing
        while exists(process):
            time.sleep(LOOK)
    else:
        multiprocessing.connection.wait([descriptor])
