"""What the derivations name and cite exists, and their figures can be drawn."""

import re
import runpy
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import physlearn
from physlearn import Perceptron, Teacher, bayes_optimal, models

PAGES = sorted((Path(__file__).parents[2] / "theory").glob("*/derivation.md"))
EQUATION = r"\(([A-Z][A-Z0-9]*\.\d+)\)"


def names(page):
    return page.parent.name


def tags(page):
    return re.findall(r"\\tag\{(.*?)\}", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_equations_are_numbered_once_and_citations_meet_them(page):
    text = page.read_text(encoding="utf-8")
    own = tags(page)
    assert own
    assert len(own) == len(set(own))
    cited = set(re.findall(EQUATION, text))
    assert cited - set(own) == set()
    for folder, equation in re.findall(r"\.\./([\w-]+)/derivation\.md\)[^$(]*?([A-Z]+\.\d+)", text):
        assert equation in tags(page.parents[1] / folder / "derivation.md")


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_reference_numbers_cite_equations_of_their_page(page):
    rows = tomllib.loads((page.parent / "reference.toml").read_text(encoding="utf-8"))["number"]
    cited = {equation for row in rows for equation in re.findall(EQUATION, row["source"])}
    assert cited
    assert cited - set(tags(page)) == set()


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_name_in_the_table_exists(page):
    table = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    point = bayes_optimal(Perceptron(1.0, rule=Teacher()))
    found = re.findall(r"`(\w+)\.(\w+)", "\n".join(table))
    assert found
    for owner, name in found:
        if owner in ("meanfield", "solvers", "landscape", "quadrature"):
            home = import_module(f"physlearn.{owner}")
        elif owner == "SaddlePoint":
            home = point
        else:
            home = getattr(models, owner, None) or getattr(physlearn, owner)
        assert hasattr(home, name), f"{owner}.{name}"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page, id=names(page), marks=() if names(page).startswith("symmetric") else pytest.mark.slow
        )
        for page in PAGES
    ],
)
def test_the_figure_can_be_drawn(page, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["curves.py", "--out", str(tmp_path / "figures")])
    monkeypatch.setenv("MPLBACKEND", "Agg")
    runpy.run_path(str(page.with_name("curves.py")), run_name="__main__")
    assert (tmp_path / "figures" / "curves.png").stat().st_size > 20_000
    assert page.with_name("curves.png").exists()
