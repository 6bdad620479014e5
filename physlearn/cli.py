"""The command ``physlearn``."""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import physlearn
from physlearn.inputs import InputError, integer, number, reject

if TYPE_CHECKING:
    from physlearn.scan import Study

_EPILOG = """\
examples:
  physlearn scan simulations/teacher-student-phase-diagram/study.toml --profile smoke
  physlearn scan teacher-student-phase-diagram --profile laptop --jobs 2 --out results/mine
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
    scan = commands.add_parser(
        "scan",
        help="run a study: simulation, theory, table and figure",
        description="Run a study: simulate every point, compute the theory, print a table, write data and "
        "figure. The same command again keeps what is finished.",
    )
    scan.add_argument("study", metavar="STUDY", help="a study.toml, its folder, or the name of a study")
    scan.add_argument("--profile", help="a profile of the study, such as smoke, laptop or paper")
    scan.add_argument(
        "--jobs", metavar="N", type=int, default=-1, help="worker processes (default: one a core)"
    )
    scan.add_argument("--out", metavar="DIR", help="where to write (default: results/STUDY/PROFILE)")
    scan.add_argument("--max-runtime", metavar="S", type=float, help="start no task after this many seconds")
    scan.set_defaults(function=_scan)
    return parser


def _scan(options: argparse.Namespace) -> int:
    if integer("--jobs", options.jobs) < 1 and options.jobs != -1:
        raise reject("--jobs", options.jobs, "a number of processes >= 1, or -1 for one a core")
    if options.max_runtime is not None:
        number("--max-runtime", options.max_runtime, at_least=0)
    from physlearn.scan import Study

    study = Study.load(options.study, options.profile)
    out = Path(options.out or Path("results") / study.name / (study.profile or "default"))
    return run_study(study, out, options.jobs, options.max_runtime)


def run_study(study: "Study", out: Path, n_jobs: int, max_runtime: float | None = None) -> int:
    """Run a study into `out`, print its table, and draw its figure."""
    from physlearn.scan import read, table
    from physlearn.scan.storage import write_text

    print(f"{study.name}: {study.question}", flush=True)
    files = study.run(out, n_jobs, max_runtime)
    data = {name: read(path) for name, path in files.items() if path.suffix == ".nc"}
    figure = study.configuration.get("figure", {})
    shown = table(**data, panels=figure.get("arguments", {}).get("panels", ()))
    files["table"] = write_text(shown + "\n", out / "table.txt")
    print(f"\n{shown}\n", flush=True)
    if figure:
        from physlearn.plotting import plot_study

        files["figure"] = plot_study(out)
    print("written: " + ", ".join(str(path) for path in files.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
