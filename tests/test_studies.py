"""Every study: its smoke profile runs through, its folder is complete, and its page says what its table says."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats

from physlearn import Status
from physlearn.cli import main
from physlearn.scan import Study, read

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted(path.parent for path in (ROOT / "simulations").glob("*/study.toml"))
PROFILES = ("smoke", "laptop", "paper")


def profiles(study):
    return tomllib.loads((study / "study.toml").read_text(encoding="utf-8"))["profiles"]


EVERY = [(study, profile) for study in STUDIES for profile in (None, *profiles(study))]
# ``table-committee.txt`` beside ``figure-committee.png``: those of the profile `committee`.
COMMITTED = [(study, "laptop", "table.txt") for study in STUDIES] + [
    (path.parent, path.stem.removeprefix("table-"), path.name)
    for study in STUDIES
    for path in sorted(study.glob("table-*.txt"))
]


def named(study):
    return study.name


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The output directory of a study's smoke profile, run once."""
    finished = {}

    def run(study):
        if study not in finished:
            out = tmp_path_factory.mktemp(study.name)
            assert main(["scan", str(study), "--profile", "smoke", "--jobs", "1", "--out", str(out)]) == 0
            finished[study] = out
        return finished[study]

    return run


def test_there_are_studies():
    assert {"teacher-student-phase-diagram", "binary-perceptron-capacity"} <= {
        study.name for study in STUDIES
    }


@pytest.mark.parametrize("study", STUDIES, ids=named)
def test_the_smoke_profile_runs_through(study, smoke):
    out = smoke(study)
    result, theory = read(out / "result.nc"), read(out / "theory.nc")
    assert not (result["status"] == Status.NOT_RUN.code).any()
    has_thresholds = "threshold" in Study.load(study, "smoke").configuration
    assert ("threshold_load" in theory) == has_thresholds
    assert np.isfinite(theory.get("threshold_load", 0)).all()
    assert plt.imread(out / "figure.png").std() > 0.05
    assert ("thresholds in theory" in (out / "table.txt").read_text()) == has_thresholds


@pytest.mark.parametrize("study", STUDIES, ids=named)
def test_every_value_is_there_or_its_status_says_why(study, smoke):
    result = read(smoke(study) / "result.nc")
    solved = result["status"] != Status.UNSATISFIABLE.code
    planned = result["status"] != Status.NOT_PLANNED.code
    for name in ("load", "recovered", "generalization_error", "satisfiable", "training_error"):
        if name in result:
            assert (result[name].notnull() == planned).all(), name
    if "entropy" in result:
        assert (result["entropy"].notnull() == solved).all()
        assert (result["satisfiable"] == solved).all()


@pytest.mark.parametrize(("study", "profile"), EVERY, ids=lambda item: getattr(item, "name", str(item)))
def test_every_profile_is_valid(study, profile):
    loaded = Study.load(study, profile)
    assert loaded.question.endswith("?")
    assert loaded.scan.grid.shape[-1] == loaded.scan.instances


@pytest.mark.parametrize("study", STUDIES, ids=named)
def test_the_folder_is_complete_and_thin(study):
    assert {"README.md", "study.toml", "run.py", "figure.py", "figure.png", "table.txt"} <= {
        path.name for path in study.iterdir()
    }
    assert not (study / "__init__.py").exists()
    for name in ("run.py", "figure.py"):
        assert len((study / name).read_text().splitlines()) <= 10
    assert plt.imread(study / "figure.png").std() > 0.05


@pytest.mark.parametrize("study", STUDIES, ids=named)
def test_drawing_without_data_gives_one_line(study):
    command = [sys.executable, str(study / "figure.py")]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("usage: ")
    assert told.stderr.count("\n") == 1


@pytest.mark.parametrize("study", STUDIES, ids=named)
def test_the_page_quotes_the_table(study):
    """Numbers with errors, and thresholds, in the page's answer are those of the committed tables."""
    answer = (study / "README.md").read_text().partition("## Answer")[2]
    table = "\n".join(path.read_text() for path in sorted(study.glob("table*.txt")))
    quoted = re.findall(r"\d+\.\d+\(\d+\)", answer)
    assert quoted
    assert [number for number in quoted if number not in table] == []


@pytest.mark.parametrize(
    ("study", "profile", "name"), COMMITTED, ids=lambda item: getattr(item, "name", str(item))
)
def test_a_committed_table_is_of_its_profile(study, profile, name):
    loaded = Study.load(study, profile)
    scan, table = loaded.scan, (study / name).read_text()
    assert f"{scan.instances} instances" in table
    several = {name: values for name, values in scan.axes.items() if len(values) > 1}
    assert all(f"N = {N}" in table for N in several.get("N", ()))
    for alpha in several.get("alpha", ()):  # a row each, or a block each
        assert re.search(rf"^ *{alpha:g} |, alpha = {alpha:g} ", table, re.MULTILINE)
    assert all(f"status of {solver}: " in table for solver in loaded.solvers if len(loaded.solvers) > 1)
    for K in scan.axes.get("n_hidden", ()):
        for solver in loaded.solvers:
            assert f"{solver}, n_hidden = {K}" in table
    if profile != "laptop":
        assert set(profiles(study)) >= {profile, *PROFILES}
        assert plt.imread(study / f"figure-{profile}.png").std() > 0.05
        assert f"figure-{profile}.png" in (study / "README.md").read_text()
        assert name in (study / "README.md").read_text()


def test_thresholds_of_all_solvers_are_extrapolated_together(smoke):
    """Each as if it were the only one; a solver without a crossing says why."""
    study = Study.load(ROOT / "simulations" / "algorithmic-thresholds", "smoke")
    out = smoke(ROOT / "simulations" / "algorithmic-thresholds")
    result, together = read(out / "result.nc"), read(out / "finite_size.nc")
    names = result["solver"].values.tolist()
    assert together["solver"].values.tolist() == names
    table = (out / "table.txt").read_text()
    for name in names:
        alone = study.finite_size(result.sel(solver=[name]))
        one = together.sel(solver=name)
        if "refused" in alone.attrs:
            assert str(one["refused"].item()) == alone.attrs["refused"]
            assert np.isnan(one["threshold"])
            assert f"not estimated ({name}: " in table
        else:
            assert not str(one["refused"].item())
            for key in ("threshold", "threshold_error", "crossing"):
                np.testing.assert_array_equal(one[key].values, alone[key].values)
            assert f"threshold in simulation (solved, {name}): " in table


def test_a_schedule_may_be_written_by_its_ends():
    solver = Study.load(ROOT / "simulations" / "algorithmic-thresholds", "smoke").solvers["annealing"]
    np.testing.assert_allclose(solver.schedule, np.linspace(1, 60, 100), rtol=1e-11)


def test_the_main_job_agrees_with_theory_where_it_should(smoke):
    """AMP's error at low load against the uninformed branch: within the run's own error and a 1/N allowance."""
    out = smoke(ROOT / "simulations" / "teacher-student-phase-diagram")
    result, theory = read(out / "result.nc"), read(out / "theory.nc")
    name = "generalization_error_bayes"
    samples = result[name].sel(solver="AMP", alpha=0.5, N=201)
    expected = float(theory[name].sel(theory="uninformed", alpha=0.5))
    error = float(samples.std("instance", ddof=1)) / np.sqrt(samples.sizes["instance"])
    bound = scipy.stats.t.ppf(1 - 5e-5, samples.sizes["instance"] - 1)  # false alarms: 1e-4
    assert abs(float(samples.mean()) - expected) < bound * error + 2 / 201
    assert (result["recovered"].sel(solver="AMP", alpha=2.0).mean() > 0.5).item()
