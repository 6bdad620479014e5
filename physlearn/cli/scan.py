"""The commands ``physlearn scan``: studies from the file to the figure, and the directories that they leave."""

import argparse
import contextlib
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physlearn.inputs import integer, number, reject

if TYPE_CHECKING:
    from physlearn.scan import Study

# What may stand in the place of a study.
VERBS = ("status", "merge", "rebuild", "slurm")
_ENGINES = ("loky", "threading", "dask")
_SCAN = """\
Run a study: simulate every point, compute the theory, print a table, write data and figure.
The same command again keeps what is finished, and a study that has grown keeps it too."""


_EPILOG = """\
exit codes: 0 done, 1 some tasks failed, 2 bad input, 3 out of time, 130 or 143 stopped
see also: """ + ", ".join(f"physlearn scan {verb} --help" for verb in VERBS)


def add_parsers(commands: Any) -> None:
    """Add the commands to the parsers of ``physlearn``."""
    scan = commands.add_parser(
        "scan",
        help="run a study: simulation, theory, table and figure",
        description=_SCAN,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_study(scan)
    scan.add_argument("--jobs", metavar="N", type=int, default=-1, help="workers (default: one a core)")
    scan.add_argument("--out", metavar="DIR", help="where to write (default: results/STUDY/PROFILE)")
    scan.add_argument(
        "--max-runtime",
        metavar="S",
        type=float,
        help="start no task after this many seconds; long ones stop at their next checkpoint",
    )
    scan.add_argument(
        "--shard", metavar="I/N", help="run only the I-th of N parts, as a job of an array does"
    )
    scan.add_argument("--engine", choices=_ENGINES, help="what runs the tasks (default: loky, processes)")
    scan.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a running Dask scheduler (default: a cluster on this machine)",
    )
    scan.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show a bar (default: where there is a terminal)",
    )
    scan.add_argument(
        "--checkpoint-every",
        metavar="S",
        type=float,
        default=30.0,
        help="seconds between those of a long task",
    )
    scan.add_argument(
        "--preview", action="store_true", help="only estimate time and memory, from a task at each corner"
    )
    scan.set_defaults(function=_scan)
    _add_directories(commands)
    _add_slurm(commands)


def _add_directories(commands: Any) -> None:
    """The commands for what scans leave behind."""
    status = commands.add_parser(
        "scan status",
        help="how far a scan has come",
        description="Tell what is done, failed and running in the directory of a scan, and what is left.",
    )
    status.add_argument("directory", metavar="DIR")
    status.set_defaults(function=_status)

    merge = commands.add_parser(
        "scan merge",
        help="make one of the directories of shards",
        description="Gather what several directories hold of one scan. Nothing is deleted, and nothing copied where "
        "two of them answer differently.",
    )
    merge.add_argument("directories", metavar="DIR", nargs="+")
    merge.add_argument("--out", metavar="DIR", help="where to gather (default: the first of them)")
    merge.set_defaults(function=_merge)

    rebuild = commands.add_parser(
        "scan rebuild",
        help="make result.nc anew from what is finished",
        description="Make result.nc of a scan anew from its journals, also while the scan is running.",
    )
    rebuild.add_argument("directory", metavar="DIR")
    rebuild.set_defaults(function=_rebuild)


def _add_slurm(commands: Any) -> None:
    slurm = commands.add_parser(
        "scan slurm",
        help="print a job script for Slurm",
        description="Print the script of a job array that runs a study in shards, or with --finish that of the job "
        "after it.",
    )
    _add_study(slurm)
    slurm.add_argument("--out", metavar="DIR", help="where the shards write (default: results/STUDY/PROFILE)")
    slurm.add_argument(
        "--shards", metavar="N", type=int, default=20, help="length of the array (default: 20)"
    )
    slurm.add_argument("--cpus", metavar="N", type=int, default=1, help="workers in each job (default: 1)")
    slurm.add_argument("--memory", metavar="M", default="4G", help="of each job (default: 4G)")
    slurm.add_argument("--time", metavar="T", default="04:00:00", help="of each job (default: 04:00:00)")
    slurm.add_argument("--finish", action="store_true", help="the job after the array")
    slurm.set_defaults(function=_slurm)


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study.toml, its folder, or the name of a study")
    parser.add_argument("--profile", help="a profile of the study, such as smoke, laptop or paper")


def _load(options: argparse.Namespace) -> "tuple[Study, Path]":
    from physlearn.scan import Study

    study = Study.load(options.study, options.profile)
    return study, Path(options.out or Path("results") / study.name / (study.profile or "default"))


def _scan(options: argparse.Namespace) -> int:
    if integer("--jobs", options.jobs) < 1 and options.jobs != -1:
        raise reject("--jobs", options.jobs, "a number of processes >= 1, or -1 for one a core")
    if options.max_runtime is not None:
        number("--max-runtime", options.max_runtime, at_least=0)
    number("--checkpoint-every", options.checkpoint_every, at_least=0)
    if options.scheduler is not None and options.engine != "dask":
        raise reject("--scheduler", options.scheduler, "an address together with --engine dask")
    if options.scheduler is not None and options.jobs != -1:
        raise reject(
            "--jobs", options.jobs, "no number of workers together with --scheduler, which has its own"
        )
    settings: dict[str, Any] = {"checkpoint_every": options.checkpoint_every, "progress": options.progress}
    if options.shard is not None:
        settings["shard"] = _shard(options.shard)
    study, out = _load(options)
    if options.preview:
        print(study.scan.preview(out, options.jobs))
        if "refine" in study.configuration:
            print("The points that the refinement adds come on top.")
        return 0
    with _engine(options.engine, options.scheduler, options.jobs) as n_jobs, _told_of_tasks():
        return run_study(study, out, n_jobs, options.max_runtime, **settings)


def _shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise reject("--shard", text, "I/N with 1 <= I <= N, such as 3/20")
    return int(part), int(parts)


@contextlib.contextmanager
def _engine(name: str | None, scheduler: str | None, jobs: int) -> Iterator[int | None]:
    """What joblib runs the tasks on; gives the number of jobs that `Study.run` is told."""
    if name is None:
        yield jobs
        return
    import joblib

    if name != "dask":
        with joblib.parallel_config(backend=name, n_jobs=jobs):
            yield None
        return
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError:
        allowed = "engines that are installed: pip install 'physlearn[dask]'"
        raise reject("--engine", name, allowed) from None
    import logging

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            workers = (os.cpu_count() or 1) if jobs == -1 else jobs
            with _deaf_children():
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
                cluster.adapt(minimum=workers, maximum=workers)  # it replaces workers that don't come back
            scheduler = stack.enter_context(cluster)
        elif not re.fullmatch(r"(\w+://)?[^/\s]+:\d+", scheduler):
            raise reject("--scheduler", scheduler, "an address such as tcp://127.0.0.1:8786")
        try:
            client = Client(scheduler, timeout=10)
        except (OSError, ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise reject(
                "--scheduler", scheduler, f"the address of a running Dask scheduler ({reason})"
            ) from error
        stack.enter_context(client)
        if not client.scheduler_info()["workers"]:
            with contextlib.suppress(Exception):
                client.wait_for_workers(1, timeout=60)
        if not client.scheduler_info()["workers"]:
            raise reject("--scheduler", scheduler, "a Dask scheduler with at least one worker")
        stack.enter_context(joblib.parallel_config(backend="dask", n_jobs=-1))
        yield None


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Threads and processes started meanwhile, and theirs, do not hear Ctrl-C, which is ours to handle."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _told_of_tasks() -> Iterator[None]:
    """Tell of failed tasks and damaged journals in a line each; other warnings are passed on."""
    from physlearn.scan import TaskWarning

    told: dict[str, None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("always", TaskWarning)
        show = warnings.showwarning

        def collect(message: Any, category: Any, *rest: Any, **more: Any) -> None:
            if issubclass(category, TaskWarning):
                told[str(message)] = None
            else:
                show(message, category, *rest, **more)

        warnings.showwarning = collect
        try:
            yield
        finally:
            for sentence in told:
                print(f"physlearn: {sentence}", file=sys.stderr)


def run_study(
    study: "Study", out: Path, n_jobs: int | None, max_runtime: float | None = None, **settings: Any
) -> int:
    """Run a study into `out`, print its table, and draw its figure; of a shard, only run it."""
    from physlearn.scan import progress, read, stated, table
    from physlearn.scan.storage import write_text

    print(f"{study.name}: {study.question}", flush=True)
    files = study.run(out, n_jobs, max_runtime, **settings)
    if "theory" not in files:
        print(progress(out))
        print(
            f"written: {files['result']}; when all shards have ended, the same command without --shard draws."
        )
        part = list(study.scan.grid.order(settings["shard"]))
        return _exit_code(stated(read(files["result"]))["status"].values.ravel()[part])
    figure = study.configuration.get("figure", {})
    data = {name: read(path) for name, path in files.items() if path.suffix == ".nc"}
    data["result"] = stated(data["result"])
    shown = table(**data, panels=figure.get("arguments", {}).get("panels", ()))
    files["table"] = write_text(shown + "\n", out / "table.txt")
    print(f"\n{shown}\n", flush=True)
    if figure:
        from physlearn.plotting import plot_study

        files["figure"] = plot_study(out)
    print("written: " + ", ".join(str(path) for path in files.values()))
    return _exit_code(data["result"]["status"].values)


def _exit_code(status: Any) -> int:
    """Of a run: 1 where tasks have failed, 3 where time ran out before all were done."""
    from physlearn.results import Status

    return 1 if (status == Status.FAILED.code).any() else 3 if (status == Status.NOT_RUN.code).any() else 0


def _status(options: argparse.Namespace) -> int:
    from physlearn.scan import progress

    print(progress(options.directory))
    return 0


def _merge(options: argparse.Namespace) -> int:
    from physlearn.scan import merge, progress

    out = options.out or options.directories[0]
    merge(options.directories, out)
    print(progress(out))
    print(f"written: {Path(out) / 'result.nc'}")
    return 0


def _rebuild(options: argparse.Namespace) -> int:
    from physlearn.scan import Directory, progress

    directory = Directory(options.directory)
    directory.rebuild()
    print(progress(options.directory))
    print(f"written: {directory.result}")
    return 0


def _slurm(options: argparse.Namespace) -> int:
    from physlearn.scan.slurm import job_script

    study, out = _load(options)
    command = ["physlearn", "scan", options.study, "--out", str(out)]
    command += ["--profile", options.profile] if options.profile else []
    script = job_script(
        command,
        study.name,
        shards=options.shards,
        cpus=options.cpus,
        memory=options.memory,
        time=options.time,
        finish=options.finish,
    )
    print(script, end="")
    return 0
