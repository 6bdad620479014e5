"""Whether processes of this machine live, and their ends."""

import contextlib
import multiprocessing.connection
import os
import signal
import threading
import time

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
    """Whether there is such a process on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def end_process(number: int) -> None:
    """End a process at once, if it is there."""
    if number > 0:
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)


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
