"""The command ``physlearn``: each module here is one family of its commands."""

import argparse
import contextlib
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (2: bad input, 1: failed task, 130 or 143: stopped)."""
    options = _parser().parse_args(arguments)
    try:
        with _terminable():
            return options.function(options)
    except InputError as error:
        return _tell(error, 2)
    except KeyboardInterrupt as error:
        kept = "what was finished has been kept, and the same command goes on from there."
        notes = getattr(error, "__notes__", [])
        return _tell("stopped; " + (" ".join(notes) or kept), 143 if isinstance(error, Terminated) else 130)
    except BrokenPipeError:
        # The reader of a pipe has left; nothing is to be told, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except RuntimeError as error:
        from physlearn.scan import TaskError

        if isinstance(error, TaskError):
            return _tell(" ".join([str(error), *getattr(error, "__notes__", [])]), 1)
        raise


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
