"""Every number of every theory/*/reference.toml, reproduced through the public API."""

import tomllib
from pathlib import Path

import pytest

from physlearn.scan.names import call, resolve

THEORY = Path(__file__).parents[2] / "theory"
KEYS = {"call", "arguments", "field", "value", "tolerance", "kind", "source"}


def rows():
    found = []
    for path in sorted(THEORY.glob("*/reference.toml")):
        for k, row in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["number"]):
            name = row.get("field") or row.get("call", "").partition(".")[2]
            found.append(pytest.param(row, id=f"{path.parent.name}-{k}-{name}"))
    return found


@pytest.mark.parametrize("row", rows())
def test_the_number_is_reproduced(row):
    answer = call("arguments", resolve("call", row["call"]), row["arguments"])
    value = getattr(answer, row["field"]) if row["field"] else answer
    assert value == pytest.approx(row["value"], abs=row["tolerance"], rel=0)


@pytest.mark.parametrize("row", rows())
def test_the_row_says_what_it_is(row):
    assert set(row) == KEYS
    assert row["kind"] in ("published", "computed")
    assert row["source"]
    assert 0 < row["tolerance"] <= 1e-3 * max(1.0, abs(row["value"]))


def test_each_model_has_numbers():
    folders = [path for path in THEORY.iterdir() if path.is_dir()]
    assert folders
    assert all(
        tomllib.loads((path / "reference.toml").read_text(encoding="utf-8"))["number"] for path in folders
    )
