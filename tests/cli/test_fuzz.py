"""Study files with anything in the place of anything: they run, or they get one sentence and nothing is written."""

import contextlib
import copy
import io
import json
import re
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from physlearn.cli import main
from physlearn.scan import Scan, Study

STUDY = """\
question = "Is it told?"
seed = 1
task = "solvers.solve_task"
measure = ["energy", "solved", "recovered"]
instances = 3
[model]
class = "Perceptron"
prior = {class = "Binary"}
rule = {class = "Teacher"}
[axes]
alpha = {start = 0.5, stop = 2.0, num = 3}
N = [5, 9]
[[solver]]
name = "amp"
class = "AMP"
n_iterations = 20
[[solver]]
name = "annealing"
class = "SimulatedAnnealing"
n_sweeps = 20
[[theory]]
name = "uninformed"
call = "meanfield.bayes_optimal"
arguments = {branch = "uninformed"}
num = 2
[[threshold]]
name = "capacity"
call = "meanfield.capacity"
arguments = {prior = {class = "Binary"}}
[refine]
variable = "recovered"
solver = "amp"
level = 0.5
rounds = 2
num = 2
resolution = 0.05
[finite_size]
variable = "recovered"
solver = "amp"
exponent = 1.0
[figure]
call = "plotting.phase_diagram"
arguments = {columns = 2, panels = [{variable = "energy", solver = "amp", limits = [0, 1], title = "t"}]}
[profiles.one]
instances = 1
axes.N = [7]
solver.amp.damping = 0.5
"""
CONTENT = tomllib.loads(STUDY)


def places(table, path=()):
    """All places in nested tables and lists."""
    items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = list(places(CONTENT))
WORDS = sorted(
    {str(part) for place in PLACES for part in place}
    | {str(value) for place in PLACES for value in [place[-1]]}
    | {
        "AMP",
        "Binary",
        "Teacher",
        "Enumeration",
        "Spherical",
        "Metropolis",
        "capacity",
        "meanfield.curve",
        "solvers.AMP",
    }
    | {
        "",
        " ",
        "\n",
        "\x00",
        "ä",
        "N" * 300,
        "__class__",
        "status",
        "instance",
        "load",
        "../x",
        "amp",
        "uninformed",
    }
)
scalars = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=8),
    st.sampled_from([0, 1, -1, 2, 7, 26, 27, 10**6, 10**12, 2**63, -(2**63), 10**30]),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e-300, 1e300, -1e300, float("nan"), float("inf"), -float("inf")]),
    st.booleans(),
    st.dates(),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=5,
)


def at(table, path):
    for key in path:
        table = table[key]
    return table


@st.composite
def studies(draw):
    """The study with one to three of its places changed, removed, renamed, or added to."""
    content = copy.deepcopy(CONTENT)
    for _ in range(draw(st.integers(1, 3))):
        here = list(places(content))
        path = draw(st.sampled_from(here))
        parent, key = at(content, path[:-1]), path[-1]
        change = draw(st.sampled_from(["change", "remove", "rename", "add", "repeat"]))
        if change == "change":
            parent[key] = draw(anything)
        elif change == "remove":
            del parent[key]
        elif change == "repeat" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif change == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from(WORDS))] = parent.pop(key)
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(WORDS))] = draw(anything)
        if not content:
            break
    return content


def as_toml(value):
    """Any value in TOML's inline form."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True).replace("\\ud", "\\u0d")  # TOML has no surrogates
    if isinstance(value, float):
        return repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


class Accepted(Exception):
    """The study is one that would be run now."""


def accept(self, *_, **__):
    raise Accepted


def outcome(text, profile=None):
    """Exit code and what was told; code None where the study was good and would have been run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.toml")
        path.write_bytes(text)
        out, told, shown = Path(folder, "out"), io.StringIO(), io.StringIO()
        command = [
            "scan",
            str(path),
            "--jobs",
            "1",
            "--out",
            str(out),
            *(["--profile", profile] if profile else []),
        ]
        code = None
        with (
            contextlib.redirect_stderr(told),
            contextlib.redirect_stdout(shown),
            contextlib.suppress(Accepted),
        ):
            code = main(command)
        assert sorted(item.name for item in Path(folder).iterdir()) == ["study.toml"]
    return code, told.getvalue()


def check(code, told):
    if code is None:
        return
    assert code == 2, told
    assert re.match(r"physlearn: \S", told), told
    assert told.count("\n") == 1, told
    assert "Traceback" not in told
    assert len(told) < 2000


COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "print_blob": False}


@pytest.fixture
def _without_running(monkeypatch):
    monkeypatch.setattr(Scan, "run", accept)


@pytest.mark.usefixtures("_without_running")
def test_the_study_itself_is_accepted():
    assert outcome(STUDY.encode()) == (None, "")
    assert outcome(STUDY.encode(), "one") == (None, "")
    text = "\n".join(f"{json.dumps(key)} = {as_toml(value)}" for key, value in CONTENT.items())
    assert tomllib.loads(text) == CONTENT
    assert outcome(text.encode()) == (None, "")


@pytest.mark.usefixtures("_without_running")
@seed(20261125)
@settings(max_examples=1500, **COMMON)
@given(content=studies(), profile=st.sampled_from([None, None, "one"]))
def test_changed_studies(content, profile):
    text = "\n".join(f"{json.dumps(key)} = {as_toml(value)}" for key, value in content.items())
    check(*outcome(text.encode(), profile))


@pytest.mark.usefixtures("_without_running")
@seed(20261126)
@settings(max_examples=500, **COMMON)
@given(data=st.data())
def test_changed_bytes(data):
    text = bytearray(STUDY.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(begin, min(begin + 8, len(text))))
        text[begin:end] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"=", b"[", b"]", b"\n", b'"', b"9", b"-"])
        )
    check(*outcome(bytes(text)))


def test_a_study_that_is_accepted_does_run(tmp_path):
    """So that acceptance means something."""
    (tmp_path / "study.toml").write_text(STUDY)
    study = Study.load(tmp_path)
    files = study.run(tmp_path / "out")
    assert {"result", "theory", "finite_size", "study"} == set(files)
