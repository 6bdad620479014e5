"""The house's pages are true: their code runs, their links lead somewhere, their names exist."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import physlearn
from physlearn.cli import main
from physlearn.models.schedules import linear

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(page, language="python"):
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_readme_example_is_ten_lines_and_runs(capsys):
    (code,) = blocks("README.md")
    assert len([line for line in code.splitlines() if line]) <= 10
    names = {}
    exec(code, names)
    # At this N the error of single instances scatters around theory with a standard deviation of 0.006.
    theory = names["theory"].generalization_error_bayes
    assert names["result"].generalization_error_bayes == pytest.approx(theory, abs=4 * 0.006)
    assert "alpha > 1.4926" in capsys.readouterr().out


def test_contributing_example_runs():
    (code,) = blocks("CONTRIBUTING.md")
    names = {}
    exec(code, names)
    assert names["point"].status is physlearn.Status.CONVERGED
    assert 0 < names["point"].overlap < 1


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    targets = [folder / target for target in re.findall(r"\]\(([^)#:]+)\)", text)]
    targets += [
        ROOT / target
        for target in re.findall(r"`((?:physlearn|tests|theory|simulations|docs)/[\w./-]+)`", text)
    ]
    assert [target for target in targets if not target.exists()] == []


def test_public_names_in_the_pages_exist():
    """Names in backquotes that look like calls or classes are the library's."""
    text = (ROOT / "CHANGELOG.md").read_text() + (ROOT / "NOTATION.md").read_text()
    homes = [physlearn, physlearn.models, physlearn.quadrature, physlearn.results, physlearn.inputs]
    known = {name for home in homes for name in dir(home)}
    classes = set(re.findall(r"`([A-Z][a-z]\w+)[.`]", text))
    assert {"Perceptron", "Channel"} <= classes
    assert classes - known == set()
    members = re.findall(r"`(Prior|Channel)\.(\w+)`", text)
    assert members
    assert [member for home, member in members if not hasattr(getattr(physlearn.models, home), member)] == []


def test_the_page_on_scans_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for code in blocks("docs/scans.md"):
        exec(code, names)
    assert "80 tasks, 80 of them to be done" in capsys.readouterr().out
    assert names["data"].sizes["alpha"] > 4
    assert (tmp_path / "results" / "mine" / "result.nc").exists()


@pytest.mark.filterwarnings("ignore")  # what Dask says of its own parts
def test_the_page_on_clusters_runs(tmp_path, monkeypatch):
    """With a cluster on this machine in the place of Slurm's."""
    distributed = pytest.importorskip("distributed")

    class SLURMCluster(distributed.LocalCluster):
        def __init__(self, cores, processes, memory, walltime):
            super().__init__(n_workers=processes, threads_per_worker=cores, dashboard_address=None)

        def scale(self, jobs):
            return super().scale(jobs)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=SLURMCluster))
    (code,) = blocks("docs/cluster.md")
    names = {"__name__": "__main__"}
    try:
        exec(code, names)
    finally:
        names["cluster"].close()
    shown = physlearn.scan.progress("results/on-dask")
    assert shown.n_done == shown.n_tasks >= 80


def test_the_page_on_clusters_shows_what_the_command_prints(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = blocks("docs/cluster.md", "bash")
    (commands, *_) = blocks("docs/cluster.md", "")
    lines = [
        line for line in commands.replace("\\\n", " ").splitlines() if line.startswith("physlearn scan slurm")
    ]
    assert len(lines) == len(shown) == 2
    for line, script in zip(lines, shown, strict=True):
        assert main(line.partition(">")[0].split()[1:]) == 0
        assert capsys.readouterr().out == script
        checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_the_recipes_of_the_page_on_solvers_solve():
    """Those of its first table, at a load of their row, on one of three instances of some hundred weights."""
    names = {name: getattr(physlearn, name) for name in physlearn.__all__} | {"linear": linear}
    loads = {"to 0.65": 0.6, "0.65 to 0.72": 0.68, "0.72 to 0.76": 0.74, "above": 0.8}
    text = (ROOT / "docs" / "choosing-a-solver.md").read_text(encoding="utf-8")
    _, _, *rows = [line for line in text.partition("\n\nSolved of")[0].splitlines() if line.startswith("|")]
    tried = []
    for row, (title, alpha) in zip(rows, loads.items(), strict=True):
        assert row.startswith(f"| {title}")
        for recipe in re.findall(r"`(\w+\([^`]*\))`", row):
            solver, N = eval(recipe, names), 21 if recipe.startswith("Enumeration") else 501
            tried.append(recipe.partition("(")[0])
            model = physlearn.Perceptron(alpha)
            # That there is no solution is an answer, too, if all configurations were tried.
            answers = physlearn.Status.SOLVED, physlearn.Status.UNSATISFIABLE
            found = (physlearn.solve(model.sample(N, seed), solver, seed) for seed in range(3))
            assert any(result.status in answers for result in found), recipe
    assert tried == ["SBPI", "AMP", "ReinforcedBP", "FocusingBP", "SBPI", "FocusingBP", "Enumeration"]


def test_the_page_on_solvers_says_what_they_support():
    """Each "yes" and "no" of its last table is what the solver itself says."""
    from catalogue import ALL_MODELS, ALL_SOLVERS

    columns = {
        "perceptron": "storage",
        "band, symmetric": "symmetric",
        "committee": "committee",
        "spherical weights": "spherical",
        "gaussian patterns": "storage, gaussian",
        "replicas": "replicated",
    }
    text = (
        (ROOT / "docs" / "choosing-a-solver.md").read_text(encoding="utf-8").partition("## What they need")[2]
    )
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    named = [name.strip(" `") for row in rows for name in row[0].split(",")]
    assert {type(solver).__name__ for solver in ALL_SOLVERS.values()} == set(named)
    for names, *cells in rows:
        for name in (item.strip(" `") for item in names.split(",")):
            solver = next(item for item in ALL_SOLVERS.values() if type(item).__name__ == name)
            for title, cell in zip(header[1:], cells, strict=True):
                if title == "tether":
                    assert cell.startswith("yes") == solver.takes_external, name
                else:
                    is_supported = solver.supports(ALL_MODELS[columns[title]]) is None
                    assert cell.startswith("yes") == is_supported, (name, title)
