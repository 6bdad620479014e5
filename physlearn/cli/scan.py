"""The command ``physlearn scan``: studies, from the file to the figure."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physlearn.inputs import integer, number, reject

if TYPE_CHECKING:
    from physlearn.scan import Study


def add_parsers(commands: Any) -> None:
    """Add the command to the parsers of ``physlearn``."""
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
