"""The house's pages are true: their code runs, their links lead somewhere, their names exist."""

import re
from pathlib import Path

import pytest

import physlearn

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.name for path in ROOT.glob("*.md"))


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


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
    text = (ROOT / page).read_text()
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    targets += re.findall(r"`((?:physlearn|tests|theory|simulations)/[\w./-]+)`", text)
    assert [target for target in targets if not (ROOT / target).exists()] == []


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
