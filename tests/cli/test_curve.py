"""The command ``physlearn curve``: its numbers are the functions' own, and bad input gets one sentence."""

import csv
import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from physlearn import (
    Binary,
    Perceptron,
    Spherical,
    Status,
    SymmetricPerceptron,
    Teacher,
    algorithmic_threshold,
    bayes_optimal,
    capacity,
    replica_symmetric,
    state_evolution,
    symmetric_capacity,
)
from physlearn.cli import main
from physlearn.cli.assignments import assignments, axes
from physlearn.scan import read

THEORY = ["bayes_optimal", "--set", "rule=Teacher", "--over", "branch=informed,uninformed"]
AT_ONE = ["replica_symmetric", "--set", "alpha=1"]
ALONG = ["replica_symmetric", "--over", "alpha=0.2:0.6:3"]


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def told(capsys, *arguments):
    assert main(["curve", *arguments]) == 0
    return capsys.readouterr().out


def test_a_grid_is_the_functions_own_numbers(capsys):
    table = rows(told(capsys, *THEORY, "--over", "alpha=0.5:1.5:3"))
    assert [(row["branch"], float(row["alpha"])) for row in table] == [
        (branch, alpha) for branch in ("informed", "uninformed") for alpha in (0.5, 1.0, 1.5)
    ]
    for row in table:
        point = bayes_optimal(Perceptron(float(row["alpha"]), rule=Teacher()), branch=row["branch"])
        assert row["status"] == point.status.name
        for name in ("overlap", "free_entropy", "generalization_error"):
            assert float(row[name]) == getattr(point, name)


def test_a_single_point_is_one_row(capsys):
    (row,) = rows(told(capsys, "meanfield.replica_symmetric", "--set", "alpha=0.5", "--set", "margin=-0.5",
                       "--set", "prior=Spherical"))  # fmt: skip
    point = replica_symmetric(Perceptron(0.5, -0.5, prior=Spherical()))
    assert float(row["overlap"]) == point.overlap
    assert "alpha" not in row
    assert list(row)[-1] == "status"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["algorithmic_threshold", "--set", "rule=Teacher"], algorithmic_threshold(Perceptron(1, rule=Teacher()))),
        (["capacity", "--set", "prior=Binary"], capacity(Binary())),
        (["capacity", "--set", 'prior={class="Spherical"}', "--set", "margin=.5"], capacity(Spherical(), 0.5)),
        (["symmetric_capacity", "--set", "half_width=1"], symmetric_capacity(1)),
    ],
)  # fmt: skip
def test_numbers_need_no_load(capsys, given, expected):
    (row,) = rows(told(capsys, *given))
    assert row == {given[0]: repr(expected), "status": "CONVERGED"}


def test_models_and_starts_are_given_as_tables(capsys):
    model = SymmetricPerceptron(0.5, 0.9)
    for given in (["--set", "model=SymmetricPerceptron", "--set", "half_width=0.9", "--set", "alpha=0.5"],
                  ["--set", 'model={class="SymmetricPerceptron", half_width=0.9, alpha=0.5}'],
                  ["--set", 'model={class="GeneralizedLinear", channel={class="Window", half_width=0.9}}',
                   "--over", "alpha=0.5"]):  # fmt: skip
        (row,) = rows(told(capsys, "replica_symmetric", *given))
        assert float(row["free_entropy"]) == pytest.approx(replica_symmetric(model).free_entropy, abs=1e-12)
    (row,) = rows(told(capsys, *AT_ONE, "--set", "rule=Teacher",
                       "--set", "start={overlap=1.0, teacher_overlap=1.0}"))  # fmt: skip
    start = {"overlap": 1.0, "teacher_overlap": 1.0}
    point = replica_symmetric(Perceptron(1.0, rule=Teacher()), start=start)
    assert (float(row["overlap"]), row["branch"]) == (point.overlap, "continued")


def test_trajectories_have_a_row_for_each_time(capsys):
    table = rows(told(capsys, "state_evolution", "--set", "n_iterations=4", "--over", "alpha=0.5,1.0"))
    assert list(table[0]) == ["alpha", "time", "overlap", "status"]
    assert [int(row["time"]) for row in table] == [0, 1, 2, 3, 4] * 2
    paths = [state_evolution(Perceptron(alpha), 4) for alpha in (0.5, 1.0)]
    assert [float(row["overlap"]) for row in table] == [x for path in paths for x in path.overlap.tolist()]
    assert {row["status"] for row in table} == {"NOT_CONVERGED"}


def test_json_is_strict_and_says_what_it_is(capsys):
    def refuse(constant):
        raise AssertionError(constant)

    given = ["--set", "margin=0.5", "--over", "alpha=0.2,9.0", "--format", "json"]
    text = told(capsys, "replica_symmetric", *given, "--variable", "entropy")
    content = json.loads(text, parse_constant=refuse)
    assert (content["function"], content["axes"]) == ("replica_symmetric", ["alpha"])
    assert content["model"]["class"] == "Perceptron"
    assert content["model"]["margin"] == 0.5
    assert "alpha" not in content["model"]
    entropy = replica_symmetric(Perceptron(0.2, 0.5)).entropy
    assert content["columns"] == {
        "alpha": [0.2, 9.0],
        "entropy": [entropy, None],
        "status": ["CONVERGED", "NO_SOLUTION"],
    }


def test_files_hold_the_same_as_the_standard_output(tmp_path, capsys):
    text = told(capsys, *ALONG)
    assert main(["curve", *ALONG, "--out", str(tmp_path / "new" / "folder" / "a.csv")]) == 0
    assert (tmp_path / "new" / "folder" / "a.csv").read_text() == text
    capsys.readouterr()
    as_json = told(capsys, *ALONG, "--format", "json")
    assert main(["curve", *ALONG, "--out", str(tmp_path / "a.json")]) == 0
    assert (tmp_path / "a.json").read_text() == as_json
    assert main(["curve", *ALONG, "--out", str(tmp_path / "a.nc")]) == 0
    data = read(tmp_path / "a.nc")
    assert data["overlap"].values.tolist() == [float(row["overlap"]) for row in rows(text)]
    assert data["alpha"].values.tolist() == [0.2, 0.4, 0.6]
    assert (data["status"] == Status.CONVERGED.code).all()
    assert json.loads(data.attrs["model"])["class"] == "Perceptron"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.nc", "new"]


@pytest.mark.parametrize(
    ("given", "labels", "axis"),
    [
        ([*THEORY, "--over", "alpha=1.0:1.4:5"], ["branch = informed", "branch = uninformed"], "load"),
        ([*ALONG, "--over", "margin=0,0.5", "--variable", "entropy"], ["margin = 0.0", "margin = 0.5"], "load"),
        (["capacity", "--over", "prior=Binary,Spherical", "--over", "margin=0:1:3"],
         ["prior = Binary()", "prior = Spherical()"], "margin"),
        (["state_evolution", "--set", "n_iterations=5", "--over", "alpha=1.0,0.5"],
         ["alpha = 1.0", "alpha = 0.5"], "time"),
        ([*ALONG, "--variable", "entropy", "--variable", "overlap"], [], "load"),
    ],
)  # fmt: skip
def test_figures_have_lines_labels_and_a_title(tmp_path, monkeypatch, given, labels, axis):
    from physlearn import plotting

    figures = []
    draw = plotting.phase_diagram
    monkeypatch.setattr(plotting, "phase_diagram", lambda **k: figures.append(draw(**k)) or figures[-1])
    assert main(["curve", *given, "--out", str(tmp_path / "figure.png")]) == 0
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    ax = figures[0].axes[0]
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == labels if labels else legend is None
    assert ax.get_xlabel().startswith(axis)
    assert given[0].replace("_", " ") in figures[0].get_suptitle()


@pytest.mark.parametrize(("suffix", "magic"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")])
def test_figures_come_in_the_format_of_their_ending(tmp_path, suffix, magic):
    assert main(["curve", *ALONG, "--out", str(tmp_path / f"a.{suffix}")]) == 0
    assert (tmp_path / f"a.{suffix}").read_bytes().startswith(magic)


def test_a_lower_branch_is_dashed_and_another_margin_is_not():
    from physlearn.cli.curve import _lines
    from physlearn.meanfield import curve

    model, loads = Perceptron(1.0, rule=Teacher()), [1.0, 1.4]
    branches = curve(bayes_optimal, model, over={"branch": ["informed", "uninformed"], "alpha": loads})
    gap = _lines(branches, "overlap", "alpha")["free_entropy"].transpose("theory", "alpha").values
    assert (gap.argmax(axis=0) == [1, 0]).all()
    assert gap.max(axis=0).tolist() == [0, 0]
    margins = curve(replica_symmetric, Perceptron(1.0), over={"margin": [0.0, 0.5], "alpha": [0.1, 0.2]})
    assert "free_entropy" not in _lines(margins, "free_entropy", "alpha")


def test_a_warning_is_a_line_and_the_numbers_are_there(capsys):
    assert main(["curve", "capacity", "--set", "prior=Spherical", "--over", "margin=-0.5,0"]) == 0
    out, err = capsys.readouterr()
    assert rows(out)[1] == {"margin": "0.0", "capacity": "2.0", "status": "CONVERGED"}
    assert re.fullmatch("physlearn: The capacity at margin -0.5 is an upper bound.*\n", err)


def test_values_and_grids_are_read():
    given = assignments(["a=0.5", "b=Teacher", 'c="a word"', 'd={class="Binary"}', "e=true", "f=.5", "g=-1."])
    assert list(given.values()) == [0.5, "Teacher", "a word", {"class": "Binary"}, True, 0.5, -1.0]
    grid = axes(["a=0.1:2:20", "b=1", "c=x,y", 'd={class="A"}, {class="B"}', 'e="1:2"'])
    assert grid["a"] == [float(f"{value:.12g}") for value in np.linspace(0.1, 2, 20)]
    assert list(grid.values())[1:] == [[1], ["x", "y"], [{"class": "A"}, {"class": "B"}], ["1:2"]]
    assert math.isclose(axes(["a=2:-1:4"])["a"][-1], -1)


BAD = [
    (["entropy"], "NAME: got 'entropy'; allowed: one of .*bayes_optimal, capacity"),
    (["check_stationary"], "NAME"),
    (["solvers.solve"], "NAME"),
    (["replica_symmetric"], "alpha: got None; .*replica_symmetric needs"),
    (["state_evolution", "--set", "alpha=1"], "n_iterations: got None"),
    (["state_evolution", "--set", "alpha=1", "--set", "n_iterations=1000000000000"], "--set"),
    (["state_evolution", "--set", "alpha=1", "--over", "n_iterations=2,3"], "over: got axes"),
    (["capacity"], "prior: got None"),
    (["capacity", "--over", "margin=0,1"], "prior: got None"),
    (["capacity", "--set", "alpha=1"], r"--set: got 'alpha'; allowed: arguments of capacity \(prior, margin, steps\)"),
    (["bayes_optimal", "--set", "alpha=1"], r"rule: got Storage\(\); allowed: Teacher"),
    (["algorithmic_threshold"], r"rule: got Storage\(\); allowed: Teacher"),
    ([*AT_ONE, "--set", "alpha"], "--set: got 'alpha'"),
    ([*AT_ONE, "--set", "=1"], "--set"),
    ([*AT_ONE, "--set", "margin="], "--set"),
    ([*AT_ONE, "--set", "margin=1 2"], "--set"),
    ([*AT_ONE, "--set", "margin=1\nmargin=2"], "--set"),
    ([*AT_ONE, "--set", "margin=" + "[" * 3000], "--set"),
    ([*AT_ONE, "--set", "alpha=2"], "--set: got 'alpha=2'; .* given twice"),
    ([*AT_ONE, "--set", "margn=2"], "--set: got 'margn'; allowed: model, fields of Perceptron"),
    ([*AT_ONE, "--set", "margin=wide"], "model.margin: got 'wide'"),
    ([*AT_ONE, "--set", "margin=nan"], "model.margin: got nan"),
    ([*AT_ONE, "--set", "model=Model"], "model: got 'Model'; allowed: one of Committee"),
    ([*AT_ONE, "--set", 'model={class="Perceptron", alpha=2}'], "--set: .* given twice"),
    ([*AT_ONE, "--set", "prior=Prior"], "model.prior.class: got 'Prior'; allowed: one of Binary, Spherical"),
    ([*AT_ONE, "--set", "rule=1"], "model.rule: got 1"),
    ([*AT_ONE, "--set", "start=near"], "start: got 'near'"),
    ([*AT_ONE, "--over", "alpha=1,2"], "--over: got 'alpha'"),
    ([*AT_ONE, "--over", "model=Perceptron"], "--over: got 'model'; allowed: fields of Perceptron"),
    ([*ALONG, "--over", "alpha=1,2"], "--over: .* given twice"),
    ([*AT_ONE, "--over", "margin=1:2"], "--over"),
    ([*AT_ONE, "--over", "margin=::"], "--over"),
    ([*AT_ONE, "--over", "margin=2:1:0"], "--over"),
    ([*AT_ONE, "--over", "margin=0:1:1e12"], "--over"),
    ([*AT_ONE, "--over", "margin=0:1:1000000000000"], "--over"),
    ([*AT_ONE, "--over", "margin=nan:1:3"], "--over"),
    ([*AT_ONE, "--over", "margin=0:inf:3"], "--over"),
    ([*AT_ONE, "--over", "margin=-1e308:1e308:3"], "model.margin: got nan"),
    ([*AT_ONE, "--over", "margin=1:1:3"], "--over"),
    ([*AT_ONE, "--over", "margin=0,nan"], "--over"),
    ([*AT_ONE, "--over", "margin=1,1.0"], "--over"),
    ([*AT_ONE, "--over", "margin=1,,2"], "--over"),
    (["replica_symmetric", "--over", "alpha=0:1:3"], "model.alpha: got 0.0"),
    (["replica_symmetric", "--over", "alpha=1,-1"], "alpha: got -1"),
    ([*ALONG, "--over", "margin=0:1:1000000"], "--over: got a grid of 3000000 points"),
    ([*ALONG, "--variable", "overlp"], "--variable: got 'overlp'; allowed: one of overlap,"),
    ([*ALONG, "--out", "OUT/a.txt"], "--out: .* ends in one of .csv, .json, .nc, .png, .pdf, .svg"),
    ([*ALONG, "--out", "OUT/a"], "--out"),
    ([*ALONG, "--out", "OUT/file/a.csv"], "out: .* allowed: a directory that can be written"),
    ([*ALONG, "--out", "OUT/folder.csv"], "--out"),
    ([*ALONG, "--out", "OUT/a.csv", "--format", "csv"], "--format"),
    ([*ALONG, "--format", "xml"], "argument --format"),
    ([*AT_ONE, "--out", "OUT/a.png"], "--over: got no axis; allowed: in a figure"),
    ([*AT_ONE, "--over", "patterns=binary,gaussian", "--out", "OUT/a.png"], "--over: got 'patterns'"),
    (["replica_symmetric", "--over", "alpha=0.1:1:9", "--over", "margin=0,1,2,3,4", "--out", "OUT/a.png"],
     "--over: got axes that make 5 lines over alpha"),
    ([*ALONG, "--variable", "branch", "--out", "OUT/a.png"], "--variable: got 'branch'"),
    (["replica_symmetric", "--over", "alpha=8:9:3", "--variable", "entropy", "--out", "OUT/a.png"],
     "--variable: got 'entropy'; allowed: with status NO_SOLUTION, one of overlap in a figure"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), BAD, ids=[f"{k}-{row[1][:16]}" for k, row in enumerate(BAD)])
def test_bad_input_gets_one_sentence_and_nothing_is_written(tmp_path, capsys, given, message):
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    try:
        code = main(["curve", *(entry.replace("OUT", str(tmp_path)) for entry in given)])
    except SystemExit as leaving:
        code = leaving.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert re.match(f"physlearn: {message}", err)
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_the_command_runs_into_a_pipe_that_closes(tmp_path):
    command = [sys.executable, "-m", "physlearn", "curve", "symmetric_capacity"]
    command += ["--over", "half_width=0.1:30:20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "half_width,symmetric_capacity,status\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_stopping_says_that_nothing_is_written(tmp_path, monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("physlearn.meanfield.curve", stopped)
    assert main(["curve", *ALONG, "--out", str(tmp_path / "a.csv")]) == 130
    assert capsys.readouterr().err == "physlearn: stopped; nothing has been written.\n"
    assert list(tmp_path.iterdir()) == []


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (command,) = re.findall(r"`physlearn (curve [^`]+)`", text)
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 0
    assert (tmp_path / "b.png").exists()
