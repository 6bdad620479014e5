"""The commands ``physlearn list`` and ``physlearn info``."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import physlearn
from physlearn.cli import main
from physlearn.scan import Study


def told(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def listed(capsys, *groups):
    found = json.loads(told(capsys, "list", *groups, "--format", "json"))
    return {group: [entry["name"] for entry in entries] for group, entries in found.items()}


def test_all_groups_are_listed(capsys):
    found = listed(capsys)
    assert list(found) == ["models", "solvers", "theories", "studies"]
    assert {"Perceptron", "Binary", "Teacher", "Window"} <= set(found["models"])
    assert {"AMP", "Enumeration"} <= set(found["solvers"])
    assert {"replica_symmetric", "capacity", "state_evolution"} <= set(found["theories"])
    bases = {"Model", "Prior", "Channel", "Instance", "Solver", "State", "EnumerationResult", "curve"}
    assert not (bases | {"check_stationary"}) & {name for names in found.values() for name in names}
    assert len(found["models"]) == len(set(found["models"]))


@pytest.mark.parametrize("group", ["models", "solvers", "theories", "studies"])
def test_a_group_is_listed_alone_each_in_a_line(capsys, group):
    entries = json.loads(told(capsys, "list", group, "--format", "json"))[group]
    lines = told(capsys, "list", group).splitlines()
    assert lines[0] == group
    assert len(lines) == 1 + len(entries)
    for entry, line in zip(entries, lines[1:], strict=True):
        assert line.split()[0] == entry["name"]
        assert entry["summary"]
        assert entry["summary"] in line


def test_models_parts_are_named_by_the_field_that_takes_them(capsys):
    entries = json.loads(told(capsys, "list", "models", "--format", "json"))["models"]
    kinds = {entry["name"]: entry["kind"] for entry in entries}
    expected = {
        "Perceptron": "model",
        "Spherical": "prior",
        "Threshold": "channel",
        "Storage": "rule",
        "Linear": "energy",
    }
    assert expected.items() <= kinds.items()


def test_studies_are_those_that_can_be_run(capsys):
    entries = json.loads(told(capsys, "list", "studies", "--format", "json"))["studies"]
    for entry in entries:
        assert Study.load(entry["name"]).question == entry["summary"]
        assert "smoke" in entry["profiles"]
        Study.load(entry["name"], entry["profiles"][0])
    assert "teacher-student-phase-diagram" in [entry["name"] for entry in entries]


def test_an_unreadable_study_is_listed_as_such(tmp_path):
    from physlearn.cli.about import _study

    (tmp_path / "study.toml").write_text("question = ")
    assert "can't be read" in _study(tmp_path / "study.toml")["summary"]


def test_info_tells_versions_machine_threads_and_caches(capsys):
    facts = json.loads(told(capsys, "info", "--format", "json"))
    assert facts["physlearn"] == physlearn.__version__
    assert facts["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    for name in ("numpy", "numba", "llvmlite", "scipy", "xarray", "joblib", "matplotlib"):
        assert facts[name] == importlib.metadata.version(name)
    assert facts["cores"] >= 1
    assert facts["memory in GB"] > 0.1
    assert facts["threads"]["numba"] >= 1
    assert all(entry["threads"] >= 1 for entry in facts["threads"]["blas"])
    assert facts["numba cache"]["megabytes"] >= 0
    assert Path(facts["installed in"]) == Path(physlearn.__file__).resolve().parent
    text = told(capsys, "info")
    assert "every scan task runs on one thread of each" in text
    assert all(f"\n{name} " in f"\n{text}" for name in facts)


def test_what_is_not_installed_is_left_out_or_said(capsys, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("physlearn.cli.about.version", missing)
    facts = json.loads(told(capsys, "info", "--format", "json"))
    assert "dask" not in facts
    assert facts["numba"] == "not found"


def test_the_cache_is_where_compiled_loops_are_written(tmp_path):
    """In a process of its own, with a folder of its own."""
    script = (
        "import json, numpy, sys\n"
        "from physlearn.cli import main\n"
        "from physlearn.kernels.patterns import products\n"
        "products(numpy.ones((3, 5), dtype=numpy.int8), numpy.ones(5))\n"
        "sys.exit(main(['info', '--format', 'json']))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(physlearn.__file__).parents[1])},
    )
    cache = json.loads(run.stdout)["numba cache"]
    assert Path(cache["folder"]).is_relative_to(tmp_path)
    assert list(Path(cache["folder"]).glob("*.nbi"))


def test_an_unknown_group_gets_one_sentence(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["list", "papers"])
    assert leaving.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("physlearn: argument group")
    assert message.count("\n") == 1


def test_help_stays_light():
    script = "import sys; from physlearn.cli import _parser; _parser().format_help()\n"
    script += "print(*sorted({'numba', 'scipy', 'xarray', 'matplotlib', 'joblib'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
