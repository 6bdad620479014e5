"""The command ``physlearn``: each module here is one family of its commands."""

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

import physlearn
from physlearn.cli import about, curve, scan
from physlearn.inputs import InputError

_EPILOG = """\
examples:
  physlearn scan simulations/teacher-student-phase-diagram/study.toml --profile smoke
  physlearn scan teacher-student-phase-diagram --profile laptop --jobs 2 --out results/mine
  physlearn curve bayes_optimal --set rule=Teacher --over alpha=0.1:2:50 --out curve.png
  physlearn list models
"""

_KEPT = "what was finished has been kept, and the same command goes on from there."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done; 1: failed tasks, or what the system refused; 2: bad input; 3: out of time; 130, 143: stopped.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["scan"] and arguments[1:2] and arguments[1] in scan.VERBS:
        arguments[:2] = [" ".join(arguments[:2])]
    options = _parser().parse_args(arguments)
    try:
        with _terminable():
            return options.function(options)
    except InputError as error:
        return _tell(error, 2)
    except KeyboardInterrupt as error:
        notes = " ".join(getattr(error, "__notes__", []))
        return _tell(f"stopped; {notes or _KEPT}", 143 if isinstance(error, Terminated) else 130)
    except BrokenPipeError:
        # The reader of a pipe has left; nothing is to be told, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _tell(f"the system says: {place}{error.strerror or error}", 1)
    except MemoryError as error:
        return _tell(f"out of memory; fewer workers, a smaller N or fewer points take less ({error})", 1)
    except RuntimeError as error:
        from physlearn.scan import TaskError

        if isinstance(error, TaskError):
            return _tell(error, 1)
        raise


def command() -> None:
    """Run the command line as a process of its own, which ends within a second when it is told to."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not all terminals know all letters
            stream.reconfigure(errors="backslashreplace")
    over = threading.Event()
    watch = _ends_soon(over) if threading.current_thread() is threading.main_thread() else None
    code = main()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or _tell(f"the system says: {error.strerror}", 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    over.set()
    if watch is not None:
        signal.set_wakeup_fd(-1)
    if code in (130, 143):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # workers and threads of the tasks that were stopped are not waited for
    sys.exit(code)


def _ends_soon(over: threading.Event) -> threading.Thread:
    """End the process when it has not left by itself soon after SIGINT or SIGTERM.

    Python's own handlers wait for the compiled loop that is running, and pools for their tasks. What is finished is in
    the journal by then, and workers notice that they are alone.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def watch() -> None:
        while True:
            number = os.read(reader, 1)
            if number and number[0] in (signal.SIGINT, signal.SIGTERM) and not over.wait(0.8):
                _tell(f"stopped; {_KEPT}" if "scan" in sys.argv[1:2] else "stopped.", 0)
                os._exit(130 if number[0] == signal.SIGINT else 143)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    # Ctrl-C reaches that thread alone: workers, which inherit what is blocked here, would each tell of it at length.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Nor is anybody to tell of the semaphores that a stopped pool leaves to be cleaned up.
    ignored = "ignore:resource_tracker:UserWarning"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), ignored]))
    return thread


class Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it when the time is up: handled as Ctrl-C is."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM raise `Terminated`, once: what is finished can then be written."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if previous is None else previous)


def _tell(sentence: object, code: int) -> int:
    print("physlearn: " + " ".join(str(sentence).split()), file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """One line, as for every other bad input."""
        self.exit(2, f"physlearn: {message}; see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="physlearn",
        description="The statistical physics of learning: theory and simulation of the same model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"physlearn {physlearn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (scan, curve, about):
        command.add_parsers(commands)
    return parser
