"""The command line: good studies run, bad ones get one sentence and exit code 2, and nothing is written for them."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray

import physlearn
from physlearn import Scan, Status
from physlearn.cli import main
from physlearn.scan import Study, progress, read
from physlearn.scan.journal import Reader
from physlearn.scan.runs import DirectoryRun
from physlearn.solvers import tasks

STUDY = """\
question = "Is a small study run?"
seed = 1
measure = ["energy", "solved", "teacher_overlap"]
instances = 3

[model]
class = "Perceptron"
rule = {class = "Teacher"}

[axes]
alpha = [0.5, 2.0]
N = [11, 15]

[[solver]]
name = "all"
class = "Enumeration"

[[theory]]
name = "uninformed"
call = "meanfield.bayes_optimal"
num = 3

[[threshold]]
name = "spinodal"
call = "meanfield.algorithmic_threshold"

[finite_size]
variable = "solved"
exponent = 1.0

[figure]
call = "plotting.phase_diagram"
arguments = {panels = [{variable = "teacher_overlap"}]}

[profiles.one]
instances = 1
axes.N = [9]
"""

PANEL = '{variable = "teacher_overlap"}'
PANELS = f"arguments = {{panels = [{PANEL}]}}"
SPINODAL = 'call = "meanfield.algorithmic_threshold"'
PRIOR = 'class = "Perceptron"\nprior = {class = "Ternary"}'

# What is replaced by what, and the field that the sentence must name: a pattern for its beginning.
BROKEN = [
    ('question = "', "question = ", "study"),
    ("seed = 1", "seed = 1\nsed = 2", "sed"),
    ("seed = 1", 'seed = "one"', "seed"),
    ("seed = 1", "seed = -1", "seed"),
    ("seed = 1", "", "seed"),
    ("seed = 1", 'seed = 1\ntask = "os.system"', "task"),
    ("seed = 1", 'seed = 1\ntask = "solvers.solve"', "task"),
    ("instances = 3", "instances = 0", "instances"),
    ("instances = 3", "instances = 2.5", "instances"),
    ("instances = 3", "instances = true", "instances"),
    ('"energy", ', '"enrgy", ', "measure"),
    ('"energy", ', "1, ", "measure"),
    ('class = "Perceptron"', 'class = "Perceptro"', "model.class"),
    ('class = "Perceptron"', 'class = "Binary"', "model.class"),
    ('class = "Perceptron"', 'class = "Model"', "model.class"),
    ('class = "Perceptron"', 'class = "Perceptron"\nmargn = 0.5', "model.margn"),
    ('class = "Perceptron"', 'class = "Perceptron"\nmargin = "wide"', "model.margin"),
    ('class = "Perceptron"', 'class = "Perceptron"\nalpha = 1.0', "model.alpha"),
    ('rule = {class = "Teacher"}', 'rule = "Teacher"', "model.rule"),
    ('rule = {class = "Teacher"}', 'rule = {class = "Pupil"}', "model.rule.class"),
    ('rule = {class = "Teacher"}', 'rule = {class = "Binary"}', "model.rule"),
    ("alpha = [0.5, 2.0]", "alpha = [0.5, -2.0]", "axes.alpha"),
    ("alpha = [0.5, 2.0]", "alpha = [0.0, 2.0]", "axes.alpha"),
    ("alpha = [0.5, 2.0]", "alpha = [0.5, nan]", "axes.alpha"),
    ("alpha = [0.5, 2.0]", 'alpha = ["low", "high"]', "axes.alpha"),
    ("alpha = [0.5, 2.0]", "alpha = {start = 0.5, stop = 2.0}", "axes.alpha.num"),
    ("alpha = [0.5, 2.0]", "alpha = {start = 0.5, stop = 2.0, num = 2.5}", "axes.alpha.num"),
    ("alpha = [0.5, 2.0]", "alpha = {start = 0.5, stop = 2.0, num = 3, step = 1}", "axes.alpha.step"),
    ("alpha = [0.5, 2.0]", "alpha = 0.5", "axes.alpha"),
    ("alpha = [0.5, 2.0]", "", "axes.alpha"),
    ("N = [11, 15]", "N = [11, 16]", "axes.N"),
    ("N = [11, 15]", "N = [11.5]", "axes.N"),
    ("N = [11, 15]", "N = [11, 11]", "axes.N"),
    ("N = [11, 15]", "N = []", "axes.N"),
    ("N = [11, 15]", "N = [11, 15]\nbreadth = [1, 2]", "axes.breadth"),
    ("N = [11, 15]", "N = [27]", "N"),
    ('class = "Enumeration"', 'class = "Enumerate"', "solver.all.class"),
    ('class = "Enumeration"', 'class = "AMP"\ndamping = 2.0', "solver.all.damping"),
    ('class = "Enumeration"', 'class = "AMP"\ndampng = 0.5', "solver.all.dampng"),
    ('class = "Enumeration"', 'class = "AMP"\nn_iterations = "many"', "solver.all.n_iterations"),
    ('class = "Enumeration"', 'class = "Metropolis"', "solver.all.beta"),
    ('name = "all"', "name = 1", "solver.name"),
    ('call = "meanfield.bayes_optimal"', 'call = "meanfield.bayes"', "theory.uninformed.call"),
    ('call = "meanfield.bayes_optimal"', 'call = "builtins.eval"', "theory.uninformed.call"),
    ("num = 3", "num = 1", "theory.uninformed.num"),
    ("num = 3", 'num = 3\narguments = {branch = "left"}', "theory.uninformed"),
    ("num = 3", 'num = 3\narguments = {brunch = "left"}', "theory.uninformed"),
    ("exponent = 1.0", "exponent = 0", "finite_size.exponent"),
    ('variable = "solved"', 'variable = "overlap"', "finite_size.variable"),
    ('call = "plotting.phase_diagram"', 'call = "plotting.plt.show"', "figure.call"),
    ("instances = 1\n", "instances = 1\nsolver.none.damping = 1\n", "profiles.one.solver.none"),
    ("instances = 1\n", "instancs = 1\n", "profiles.one.instancs"),
    ('"energy", ', '"energy", "energy", ', "measure"),
    ("N = [11, 15]", "N = [1000000000000000000001, 101]", "axes.N"),
    ("N = [11, 15]", "N = [100000001, 101]", "axes.N"),
    ("N = [11, 15]", "N = [11, 15]\nmeasure = [1, 2]", "axes.measure"),
    ("N = [11, 15]", "N = [11, 15]\nmodel = [1, 2]", "axes.model"),
    ("N = [11, 15]", "N = [11, 15]\nmargin = [0.0, 0.5]", "axes.margin"),
    ("seed = 1", "seed = 100000000000000000000000", "seed"),
    ("instances = 3", "instances = 1000000000000", "instances"),
    ('call = "meanfield.bayes_optimal"', 'call = "meanfield.state_evolution"', "theory.uninformed.call"),
    ("[[solver]]", "[solver]", "solver: got .* allowed: at least one table \\[\\[solver\\]\\]"),
    ("[[solver]]", "[[theory]]", "solver: got None; allowed: at least one table \\[\\[solver\\]\\]"),
    (
        'class = "Perceptron"',
        PRIOR,
        r"model\.prior\.class: got 'Ternary'; allowed: one of Binary, Spherical\.",
    ),
    (
        'rule = {class = "Teacher"}',
        'rule = {class = "Teacher", margin = 1}',
        r"model\.rule\.margin: got 1; allowed: nothing as keys of Teacher\.",
    ),
    (
        "num = 3",
        'num = 3\narguments = {brunch = "left"}',
        r"theory\.uninformed\.arguments\.brunch: got 'left'",
    ),
    ("num = 3", "num = 3\narguments = {model = 1}", "theory.uninformed.arguments.model"),
    ('call = "meanfield.bayes_optimal"', 'call = "meanfield.capacity"', "theory.uninformed.call"),
    (SPINODAL, 'call = "meanfield.bayes_optimal"', "threshold.spinodal.call"),
    (SPINODAL, SPINODAL + "\narguments = {margin = 1}", "threshold.spinodal.arguments.margin"),
    ('variable = "solved"', 'variable = "solved"\nsolver = "none"', "finite_size.solver"),
    ('call = "plotting.phase_diagram"', 'call = "plotting.plot_study"', "figure.call"),
    ("{panels = [", "{panls = [", "figure.arguments.panls"),
    ("arguments = {panels", "other = {panels", "figure.other"),
    (PANELS, "arguments = {panels = []}", "figure.arguments.panels"),
    (PANELS, 'arguments = {panels = "solved"}', "figure.arguments.panels"),
    (PANEL, '{variable = "foo"}', r"figure\.arguments\.panels\[0\]\.variable"),
    (PANEL, "{select = {N = [11]}}", r"figure\.arguments\.panels\[0\]\.select\.N"),
    (PANEL, '"solved"', r"figure\.arguments\.panels\[0\]"),
    (PANEL, '{variable = "solved", tite = "x"}', r"figure\.arguments\.panels\[0\]\.tite"),
    (PANEL, '{variable = "solved", ax = 1}', r"figure\.arguments\.panels\[0\]\.ax"),
    (PANEL, '{variable = "solved", title = 1}', r"figure\.arguments\.panels\[0\]\.title"),
    (PANEL, '{variable = "solved", x = "N"}', r"figure\.arguments\.panels\[0\]\.x"),
    (PANEL, '{variable = "solved", limits = 3}', r"figure\.arguments\.panels\[0\]\.limits"),
    (PANEL, '{variable = "solved", limits = [1, 0]}', r"figure\.arguments\.panels\[0\]\.limits"),
    (PANEL, '{variable = "solved", solver = "some"}', r"figure\.arguments\.panels\[0\]\.solver"),
    ("arguments = {panels", "arguments = {columns = 0, panels", "figure.arguments.columns"),
    ("arguments = {panels", "arguments = {columns = 1000000, panels", "figure.arguments.columns"),
    ("num = 3", "num = 100000000000", "theory.uninformed.num"),
    ("alpha = [0.5, 2.0]", "alpha = {start = 0.1, stop = 1.0, num = 1000000000000}", "axes.alpha.num"),
    ("alpha = [0.5, 2.0]", "alpha = {start = 1e308, stop = -1e308, num = 3}", "axes.alpha"),
    (
        'class = "Enumeration"',
        'class = "AMP"\n[profiles.wild]\naxes.damping = [0.0, 1.7]',
        "axes.damping: got 1.7",
    ),
]


def written(folder, text=STUDY):
    path = folder / "small" / "study.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "field"), BROKEN, ids=[f"{k}-{row[2]}" for k, row in enumerate(BROKEN)]
)
def test_a_broken_study_gets_one_sentence(tmp_path, monkeypatch, capsys, old, new, field):
    assert STUDY.count(old) == 1
    path = written(tmp_path, STUDY.replace(old, new))
    monkeypatch.chdir(tmp_path)
    profile = "wild" if "wild" in new else "one" if "profiles" in field else None
    assert main(["scan", str(path), "--profile", profile, "--jobs", "1"] if profile else
                ["scan", str(path), "--jobs", "1"]) == 2  # fmt: skip
    message = capsys.readouterr().err
    assert re.match(f"physlearn: {field}", message)
    assert message.count("\n") == 1
    assert "got" in message
    assert "allowed" in message
    assert field == "N" or not (tmp_path / "results").exists()


def test_two_solvers_of_one_name_are_refused(tmp_path, capsys):
    path = written(tmp_path, STUDY + '[[solver]]\nname = "all"\nclass = "AMP"\n')
    assert main(["scan", str(path)]) == 2
    assert capsys.readouterr().err.startswith("physlearn: solver.name: got 'all'")


def with_margins(text):
    text = text.replace('[finite_size]\nvariable = "solved"\nexponent = 1.0\n', "")
    return text.replace("N = [11, 15]", "N = [11]\nmargin = [0.0, 0.5]")


def test_a_threshold_is_of_a_load_alone(tmp_path, capsys):
    assert main(["scan", str(written(tmp_path, with_margins(STUDY)))]) == 2
    assert re.match(r"physlearn: axes\.margin: got .* with \[threshold\]\.", capsys.readouterr().err)


def test_another_axis_is_scanned_and_drawn(tmp_path, capsys):
    text = with_margins(STUDY).replace(f'[[threshold]]\nname = "spinodal"\n{SPINODAL}\n', "")
    text = text.replace("meanfield.bayes_optimal", "meanfield.replica_symmetric")
    text = text.replace(PANEL, '{variable = "solved"}, {variable = "energy", select = {margin = 0.5}}')
    out = tmp_path / "out"
    assert main(["scan", str(written(tmp_path, text)), "--out", str(out), "--jobs", "1"]) == 0
    assert read(out / "result.nc")["energy"].dims == ("alpha", "N", "margin", "instance")
    assert read(out / "theory.nc")["overlap"].dims == ("theory", "margin", "alpha")
    assert (out / "figure.png").exists()
    assert "margin" in capsys.readouterr().out


def test_an_unsupported_model_is_refused(tmp_path, capsys):
    path = written(
        tmp_path, STUDY.replace('class = "Perceptron"', 'class = "Perceptron"\nprior = {class = "Spherical"}')
    )
    assert main(["scan", str(path)]) == 2
    assert capsys.readouterr().err.startswith("physlearn: solver.all: Enumeration needs binary weights")


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "nowhere.toml"],
        ["scan", "STUDY", "--profile", "none"],
        ["scan", "STUDY", "--jobs", "0"],
        ["scan", "STUDY", "--jobs", "-3"],
        ["scan", "STUDY", "--max-runtime", "-1"],
        ["scan", "STUDY", "--out", "STUDY"],
        ["scan", "STUDY", "--jobs", "many"],
        ["scan", "STUDY", "--colour"],
        ["scan", "STUDY", "--shard", "0/2"],
        ["scan", "STUDY", "--shard", "3/2"],
        ["scan", "STUDY", "--shard", "half"],
        ["scan", "STUDY", "--engine", "ray"],
        ["scan", "STUDY", "--scheduler", "tcp://127.0.0.1:1"],
        ["scan", "STUDY", "--engine", "dask", "--scheduler", "nonsense"],
        ["scan", "STUDY", "--checkpoint-every", "-1"],
        ["scan", "status"],
        ["scan", "status", "nowhere"],
        ["scan", "merge"],
        ["scan", "merge", "nowhere"],
        ["scan", "merge", "small"],
        ["scan", "rebuild", "nowhere"],
        ["scan", "slurm", "nowhere.toml"],
        ["scan", "slurm", "STUDY", "--shards", "0"],
        ["scan", "slurm", "STUDY", "--time", "soon"],
        ["scan", "slurm", "STUDY", "--memory", "much"],
        ["scan"],
        ["scam"],
        [],
    ],
    ids=" ".join,
)
def test_a_bad_command_gets_one_sentence(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path)
    try:
        code = main([str(path) if argument == "STUDY" else argument for argument in arguments])
    except SystemExit as leaving:
        code = leaving.code
    message = capsys.readouterr().err
    assert code == 2
    assert message.startswith("physlearn: ")
    assert message.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["small"]


def test_a_study_is_run_drawn_and_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["scan", str(written(tmp_path)), "--jobs", "1"]) == 0
    out = tmp_path / "results" / "small" / "default"
    names = {"result.nc", "theory.nc", "finite_size.nc", "study.json", "table.txt", "figure.png"}
    assert {path.name for path in out.iterdir()} == names | {"manifest.json", "journal", ".lock"}
    told = capsys.readouterr().out
    assert "Is a small study run?" in told
    assert "thresholds in theory: spinodal 1.49263" in told
    assert all(name in told for name in names)
    with xarray.open_dataset(out / "result.nc", engine="h5netcdf") as data:
        assert dict(data.sizes) == {"alpha": 2, "N": 2, "instance": 3}
        assert (data["status"] == Status.SOLVED.code).all()
    with xarray.open_dataset(out / "theory.nc", engine="h5netcdf") as theory:
        assert set(theory.sizes) == {"theory", "alpha", "threshold"}
        assert {0.5, 1.25, 2.0} <= set(theory["alpha"].values)
        jump = theory["overlap"].sel(theory="uninformed", alpha=slice(1.4926, 1.4927)).values
        assert jump[0] < 0.9
        assert jump[-1] == 1
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_profiles_override_and_out_is_kept(tmp_path, capsys, monkeypatch):
    path, out = written(tmp_path), tmp_path / "here"
    command = ["scan", str(path.parent), "--jobs", "1", "--out", str(out)]
    assert main([*command, "--profile", "one"]) == 0
    study = json.loads((out / "study.json").read_text())
    assert (study["profile"], study["configuration"]["instances"]) == ("one", 1)
    assert study["configuration"]["axes"] == {"alpha": [0.5, 2.0], "N": [9]}
    assert "threshold in simulation: not estimated" in (out / "table.txt").read_text()
    old = read(out / "result.nc")
    capsys.readouterr()
    # The whole study grows out of its profile; figure and table are of what was asked for last.
    assert main(command) == 0
    everything = read(out / "result.nc")
    assert everything["N"].values.tolist() == [9, 11, 15]
    kept = everything.sel(N=[9]).isel(instance=[0])
    xarray.testing.assert_identical(kept.drop_attrs(), old.drop_attrs())
    assert "N = 9" not in (out / "table.txt").read_text()
    path.write_text(path.read_text().replace("seed = 1", "seed = 2"))
    capsys.readouterr()
    assert main(command) == 2
    assert "holds another scan (seed is 1 there and 2 here)" in capsys.readouterr().err
    assert json.loads((out / "study.json").read_text())["configuration"]["seed"] == 1


def test_ctrl_c_is_a_sentence(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Scan, "run", interrupted)
    assert main(["scan", str(written(tmp_path)), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.startswith("physlearn: stopped")


def test_a_bad_directory_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    for name in ("theory", "check_measure"):
        monkeypatch.setattr(Study, name, lambda self: pytest.fail("work was done"))
    path = written(tmp_path)
    assert main(["scan", str(path), "--out", str(path / "below")]) == 2
    assert re.match(
        "physlearn: out: got .* allowed: a directory that can be written", capsys.readouterr().err
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_termination_keeps_what_is_finished(tmp_path, monkeypatch, capsys, jobs):
    before, original = signal.getsignal(signal.SIGTERM), DirectoryRun._keep
    count = []

    def keep(self, entry, outcome):
        original(self, entry, outcome)
        count.append(entry)
        if len(count) == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(DirectoryRun, "_keep", keep)
    out = tmp_path / "out"
    command = ["scan", str(written(tmp_path)), "--jobs", jobs, "--out", str(out)]
    assert main(command) == 143
    assert re.fullmatch("physlearn: stopped; .* kept, .*\n", capsys.readouterr().err)
    assert signal.getsignal(signal.SIGTERM) == before
    n_done = progress(out).n_done  # several workers write down what they finish until they end
    assert n_done == 5 if jobs == "1" else 5 <= n_done <= 12
    assert main(command) == 0
    assert len(list(Reader(out).records())) == 12


def test_the_module_is_the_command(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "physlearn", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert run("--version").stdout == f"physlearn {physlearn.__version__}\n"
    assert "scan" in run("--help").stdout
    bad = run("scan", str(written(tmp_path, STUDY.replace("0.5, 2.0", "-0.5"))))
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)
    assert "Traceback" not in bad.stderr


def test_grids_refined_share_their_points():
    from physlearn.scan.schema import axis_values as _grid

    coarse = _grid("axes.alpha", {"start": 0.1, "stop": 2.0, "num": 20})
    fine = _grid("axes.alpha", {"start": 0.1, "stop": 2.0, "num": 58})
    assert len(coarse) == 20
    assert set(coarse) <= set(fine)
    assert not set(np.linspace(0.1, 2.0, 20)) <= set(np.linspace(0.1, 2.0, 58))
    assert np.allclose(np.diff(fine), 0.1 / 3)


def run(*command):
    return main(["scan", *map(str, command)])


def test_shards_are_merged_and_the_whole_is_drawn(tmp_path, capsys):
    path, whole = written(tmp_path), tmp_path / "whole"
    assert run(path, "--jobs", 1, "--out", whole) == 0
    parts = [tmp_path / f"part{k}" for k in (1, 2)]
    for k, part in enumerate(parts, 1):
        capsys.readouterr()
        assert run(path, "--jobs", 1, "--out", part, "--shard", f"{k}/2") == 0
        told = capsys.readouterr().out
        assert "12 tasks: 6 done, 0 failed, 0 running, 6 waiting" in told
        assert "the same command without --shard draws" in told
        assert not (part / "figure.png").exists()
    assert run("merge", *parts, "--out", tmp_path / "merged") == 0
    assert "12 tasks: 12 done" in capsys.readouterr().out
    xarray.testing.assert_identical(
        *(read(path / "result.nc").drop_attrs() for path in (whole, tmp_path / "merged"))
    )
    assert run(path, "--jobs", 1, "--out", tmp_path / "merged") == 0
    for name in ("table.txt", "figure.png"):
        assert (tmp_path / "merged" / name).read_bytes() == (whole / name).read_bytes()
    assert run("merge", *parts) == 0
    assert progress(parts[0]).n_done == 12


def test_status_and_rebuild(tmp_path, capsys):
    out = tmp_path / "out"
    assert run(written(tmp_path), "--jobs", 1, "--out", out) == 0
    before = read(out / "result.nc")
    (out / "result.nc").write_bytes(b"damaged")
    capsys.readouterr()
    assert run("status", out) == 0
    told = capsys.readouterr().out
    assert "12 tasks: 12 done, 0 failed, 0 running, 0 waiting." in told
    assert "status: SOLVED 12" in told
    assert run("rebuild", out) == 0
    assert str(out / "result.nc") in capsys.readouterr().out
    xarray.testing.assert_identical(read(out / "result.nc"), before)


def test_a_preview_runs_corners_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path)
    assert run(path, "--preview", "--jobs", 2) == 0
    told = capsys.readouterr().out
    assert re.match(r"12 tasks, 12 of them to be done: about .* on 2 workers; memory .* available", told)
    assert told.count("instance 0: ") == 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["small"]


@pytest.mark.parametrize("engine", ["loky", "threading", "dask"])
@pytest.mark.filterwarnings("ignore")  # what Dask says of its own parts
def test_engines_of_the_command_line(tmp_path, capsys, engine):
    if engine == "dask":
        pytest.importorskip("distributed")
    outs = [tmp_path / "one", tmp_path / "two"]
    assert run(written(tmp_path), "--jobs", 1, "--out", outs[0]) == 0
    assert run(written(tmp_path), "--jobs", 2, "--out", outs[1], "--engine", engine) == 0
    xarray.testing.assert_identical(*(read(out / "result.nc").drop_attrs() for out in outs))


@pytest.mark.filterwarnings("ignore")  # what Dask says of its own parts
def test_a_scheduler_that_runs_already(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster:
        command = ("--engine", "dask", "--scheduler", cluster.scheduler_address, "--out", tmp_path / "out")
        assert run(written(tmp_path), *command) == 0
    assert progress(tmp_path / "out").n_done == 12


def test_a_failed_task_is_told_and_the_exit_code_says_so(tmp_path, monkeypatch, capsys):
    def fails(instance, solver, rng, state=None):
        if instance.N == 15:
            raise ZeroDivisionError("no luck")
        return original(instance, solver, rng, state=state)

    original = tasks.sweeps
    path, out = written(tmp_path), tmp_path / "out"
    monkeypatch.setattr(Study, "check_measure", lambda self, out: None)
    monkeypatch.setattr(tasks, "sweeps", fails)
    assert run(path, "--jobs", 1, "--out", out) == 1
    told = capsys.readouterr()
    assert re.fullmatch(
        r"physlearn: 6 tasks of 12 failed .* N = 15.*: ZeroDivisionError: no luck\n", told.err
    )
    assert "FAILED 6" in told.out
    assert run("status", out) == 0
    assert capsys.readouterr().out.count("ZeroDivisionError: no luck") == 5
    monkeypatch.undo()
    assert run(path, "--jobs", 1, "--out", out) == 0
    assert "FAILED" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [[], ["--finish"], ["--shards", "3", "--cpus", "4", "--time", "1-00:00:00"]]
)
def test_slurm_scripts_are_scripts(tmp_path, capsys, options):
    assert run("slurm", written(tmp_path), "--profile", "one", *options) == 0
    script = capsys.readouterr().out
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert ("--shard" in script) == ("--finish" not in options)
    if "--shards" in options:
        assert "#SBATCH --array=1-3\n" in script
        assert "--max-runtime 86100 " in script


def test_a_slurm_script_does_what_it_says(tmp_path, capsys):
    """As Slurm runs it, srun being the command itself."""
    path, out = written(tmp_path), tmp_path / "out"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "bin" / "srun").chmod(0o755)
    folders = [str(tmp_path / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]]
    environment = {**os.environ, "PATH": ":".join(folders), "SLURM_CPUS_PER_TASK": "1"}

    def submit(script, task):
        command, more = ["bash", "-c", script], {"SLURM_ARRAY_TASK_ID": str(task)}
        subprocess.run(command, env=environment | more, check=True, capture_output=True, timeout=100)

    assert run("slurm", path, "--shards", "2", "--out", out) == 0
    array = capsys.readouterr().out
    assert run("slurm", path, "--finish", "--out", out) == 0
    finish = capsys.readouterr().out
    for task in (1, 2):
        submit(array, task)
        assert progress(out).n_done == 6 * task
    submit(finish, 0)
    assert (out / "figure.png").exists()
    assert len(list((out / "journal").iterdir())) == 2


def test_a_refined_study_adds_points_where_the_rate_crosses(tmp_path):
    text = STUDY.replace("N = [11, 15]", "N = [11, 15, 19]").replace("instances = 3", "instances = 20")
    text = text.replace('"solved", ', '"recovered", ').replace(
        'variable = "solved"', 'variable = "recovered"'
    )
    text += '\n[refine]\nvariable = "recovered"\nrounds = 2\nresolution = 0.1\n'
    path, out = written(tmp_path, text), tmp_path / "out"
    assert run(path, "--jobs", 1, "--out", out) == 0
    result = read(out / "result.nc")
    planned = result["status"] != Status.NOT_PLANNED.code
    assert result.sizes["alpha"] > 2
    assert not planned.all()
    assert planned.sel(alpha=[0.5, 2.0]).all()
    assert set(read(out / "theory.nc")["alpha"].values) >= set(result["alpha"].values)
    n_lines = sum(len(file.read_text().splitlines()) for file in (out / "journal").iterdir())
    assert run(path, "--jobs", 1, "--out", out) == 0
    xarray.testing.assert_identical(read(out / "result.nc").drop_attrs(), result.drop_attrs())
    assert sum(len(file.read_text().splitlines()) for file in (out / "journal").iterdir()) == n_lines


def test_a_refined_study_that_grows_keeps_its_points(tmp_path):
    text = STUDY.replace("instances = 3", "instances = 20").replace(
        "alpha = [0.5, 2.0]", "alpha = [0.5, 1.1, 2.0]"
    )
    text = text.replace('"solved", ', '"recovered", ').replace(
        'variable = "solved"', 'variable = "recovered"'
    )
    text += '\n[refine]\nvariable = "recovered"\nrounds = 1\nresolution = 0.05\n'
    out = tmp_path / "out"
    assert run(written(tmp_path, text), "--jobs", 1, "--out", out) == 0
    before = read(out / "result.nc")
    assert before.sizes["alpha"] > 3
    assert (
        run(written(tmp_path, text.replace("instances = 20", "instances = 26")), "--jobs", 1, "--out", out)
        == 0
    )
    after = read(out / "result.nc")
    planned = before["status"] != Status.NOT_PLANNED.code
    old = after.sel(alpha=before["alpha"], N=before["N"]).isel(instance=slice(0, 20))
    for name in ("energy", "recovered", "status"):
        assert old[name].where(planned).equals(before[name].where(planned))
    # Refined points, too, have the new instances.
    new = after["status"].sel(alpha=before["alpha"], N=before["N"])
    assert (new.where(planned.isel(instance=0, drop=True), Status.SOLVED.code) == Status.SOLVED.code).all()


def test_a_resumed_study_does_not_try_its_solvers_again(tmp_path, monkeypatch):
    path, out = written(tmp_path), tmp_path / "out"
    assert run(path, "--jobs", 1, "--out", out) == 0
    monkeypatch.setattr("physlearn.scan.study.run_entry", None)
    assert run(path, "--jobs", 1, "--out", out) == 0


def test_a_run_that_is_out_of_time_has_an_exit_code_of_its_own(tmp_path, capsys):
    path, out = written(tmp_path), tmp_path / "out"
    assert run(path, "--jobs", 1, "--out", out, "--max-runtime", 0) == 3
    assert "NOT_RUN 12" in capsys.readouterr().out
    assert run(path, "--jobs", 1, "--out", out, "--max-runtime", 0, "--shard", "1/2") == 3
    assert run(path, "--jobs", 1, "--out", out) == 0


@pytest.mark.parametrize("text", ["seed = " + "1" * 5000, "seed = " + "[" * 5000], ids=["digits", "depth"])
def test_files_that_no_parser_takes_get_one_sentence(tmp_path, capsys, text):
    assert run(written(tmp_path, text)) == 2
    told = capsys.readouterr().err
    assert told.startswith("physlearn: study: got ")
    assert told.count("\n") == 1


def test_letters_that_a_terminal_does_not_know_are_no_error(tmp_path):
    path = written(tmp_path, STUDY.replace("Is a small", "Läuft a small"))
    command = [sys.executable, "-m", "physlearn", "scan", str(path), "--jobs", "1"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "L\\xe4uft" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
def test_output_that_cannot_be_written_is_told():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "physlearn", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "physlearn: the system says: No space left on device\n"


def test_job_scripts_hold_no_lines_of_others(tmp_path, capsys):
    folder = tmp_path / "two\nrm -rf lines"
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY)
    assert run("slurm", folder, "--out", "out") == 0
    script = capsys.readouterr().out
    assert "# The study two-rm--rf-lines in 20 shards" in script
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert run("slurm", folder, "--memory", "\u00b2G") == 2
    assert run("slurm", folder, "--time", "0\u00b2:00:00") == 2
