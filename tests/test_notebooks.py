"""Notebooks: what is read is what was reviewed, executed, small. That they run is tested by nbmake."""

from pathlib import Path

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))


def named(path):
    return path.stem


def cells(notebook):
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]


def test_every_source_has_its_notebook_and_no_notebook_is_without():
    assert SOURCES
    assert {path.stem for path in SOURCES} == {path.stem for path in FOLDER.glob("*.ipynb")}


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_source_and_notebook_are_equal(source):
    assert cells(jupytext.read(source)) == cells(nbformat.read(source.with_suffix(".ipynb"), as_version=4))


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_the_notebook_is_executed_from_top_to_bottom_and_small(source):
    path = source.with_suffix(".ipynb")
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert path.stat().st_size <= 300_000
