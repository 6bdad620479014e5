"""What runs in a worker's child, and in the process that guards it."""

import contextlib
import ctypes
import errno
import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from physlearn.processes.child import ChildError
from physlearn.processes.lives import end_process, end_with, wait_for
from physlearn.processes.marks import leave_answer

if TYPE_CHECKING:
    from physlearn.processes.sealing import Work

_PR_SET_PDEATHSIG = 1


def serve(descriptor: int, report: int, guarded: int, is_lasting: bool) -> None:
    """Start a process that does the work which comes through a pipe, until its other end is closed; and guard it.

    It ends with the process `guarded`. One that is lasting is not among the children of the process that started this
    one, all of which an engine ends that gives a worker up.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the process that hands out work
    if is_lasting and os.fork():
        os._exit(0)
    guard, number = os.getpid(), os.fork()
    if number:
        os.close(descriptor)
        _guard(number, Connection(report, readable=False), guarded)
    os.close(report)
    # On Linux, it ends with its guard within compiled code too.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    end_with(guard)
    _work_for(Connection(descriptor))


def _guard(number: int, report: Connection, guarded: int) -> None:
    """Tell how a child ends, and end it with another process."""

    def watch() -> None:
        wait_for(guarded)
        end_process(number)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    _, status = os.waitpid(number, 0)
    with contextlib.suppress(OSError):
        report.send_bytes(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _work_for(connection: Connection) -> None:
    arrays: dict[str, Any] = {}
    with contextlib.suppress(EOFError, OSError), _without_workers():
        sys.path[:], sys.argv[:] = connection.recv()
        connection.send_bytes(str(os.getpid()).encode())
        while True:
            error: BaseException | None = None
            try:
                content, names, new, is_again, mark = connection.recv()
                known = arrays | {name: _opened(source) for name, source in new.items()}
                arrays = {name: known[name] for name in names}
                work = _work(content, [arrays[name] for name in names])
                connection.send_bytes(b"begun")
                for answer in work(is_again):
                    _hand_over(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL), connection, mark)
            except MemoryError:  # what is left of this process can't be trusted with another task
                os._exit(errno.ENOMEM)
            except EOFError:
                return
            except KeyboardInterrupt as stop:  # raised by the work itself
                error = KeyboardInterrupt(*map(str, stop.args))
            except Exception as failure:
                error = failure if isinstance(failure, ChildError) else ChildError(_in_words(failure))
            connection.send_bytes(b"")
            connection.send_bytes(pickle.dumps(error))


def _hand_over(answer: bytes, connection: Connection, mark: str | None) -> None:
    """Give an answer to the worker, or leave it beside the mark if there is no worker any more, and end."""
    try:
        connection.send_bytes(answer)
    except OSError as error:
        if mark is not None:
            leave_answer(mark, answer)
        raise EOFError from error


def _opened(source: tuple[str, int, int] | bytes) -> Any:
    if isinstance(source, bytes):
        return source
    import numpy as np

    path, offset, size = source
    return np.memmap(path, np.uint8, "r", offset, (size,))


def _work(content: bytes, arrays: Any) -> "Work":
    try:
        return pickle.loads(content, buffers=arrays)
    except MemoryError:
        raise
    except Exception as error:
        raise ChildError(f"a task can't be unpickled ({_in_words(error)})") from error


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _without_workers() -> contextlib.AbstractContextManager[Any]:
    """A task that uses joblib has no workers of its own: one thread in every task."""
    import joblib

    return joblib.parallel_config(backend=joblib.parallel.SequentialBackend(nesting_level=1))
