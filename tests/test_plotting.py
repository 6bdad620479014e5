"""Figures: lines where theory is, points where the data are, dashes where a branch is not the equilibrium one."""

import json
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray
from synthetic import LOADS, simulated, with_holes

from physlearn import Status, plotting
from physlearn.estimates import Estimate, FiniteSizeThreshold
from physlearn.inputs import InputError
from physlearn.plotting.lines import _jumps


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def theory():
    """Two branches that exchange equilibrium at 1.25; the first ends in an unphysical piece."""
    converged, unphysical = Status.CONVERGED.code, Status.UNPHYSICAL.code
    return xarray.Dataset(
        {
            "overlap": (("theory", "alpha"), [[0.2, 0.4, 0.6, 0.7], [1.0, 1.0, 1.0, 1.0]]),
            "free_entropy": (("theory", "alpha"), [[0.3, 0.1, -0.1, -0.2], [0.0, 0.0, 0.0, 0.0]]),
            "stability": (("theory", "alpha"), [[0.5, 0.4, 0.3, -0.1], [1.0, 1.0, 1.0, 1.0]]),
            "status": (
                ("theory", "alpha"),
                [[converged, converged, unphysical, unphysical], [converged] * 4],
            ),
            "threshold_load": ("threshold", [1.25, 1.75]),
        },
        coords={"theory": ["low", "high"], "alpha": LOADS, "threshold": ["first", "second"]},
    )


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    shape = (2, 4, 2, 6)
    dims = ("solver", "alpha", "N", "instance")
    outcome = (rng.random(shape) < np.linspace(0, 1, 4)[:, None, None]).astype(float)
    data = xarray.Dataset(
        {
            "overlap": (dims, rng.random(shape)),
            "recovered": (dims, outcome),
            "status": (dims, np.zeros(shape, int)),
        },
        coords={"solver": ["AMP", "annealing"], "alpha": LOADS, "N": [11, 101]},
    )
    data["load"] = data["alpha"] + 0.01 * xarray.zeros_like(data["overlap"])
    data["overlap"].attrs = {"long_name": "overlap between two replicas", "units": "1"}
    return data


def drawn(ax, style):
    return [
        line
        for line in ax.get_lines()
        if line.get_linestyle() == style and len(line.get_xdata()) == len(LOADS)
    ]


def test_points_are_means_with_standard_errors(dataset):
    ax = plotting.curves(dataset, variable="overlap", solver="annealing")
    samples = dataset["overlap"].sel(solver="annealing", N=101)
    container = ax.containers[1]
    assert np.allclose(container.lines[0].get_ydata(), samples.mean("instance"))
    bars = np.array([path.vertices[:, 1] for path in container.lines[2][0].get_paths()])
    assert np.allclose(np.diff(bars)[:, 0] / 2, samples.std("instance", ddof=1) / np.sqrt(6))
    assert container.lines[0].get_markerfacecolor() == "white"
    assert ax.get_ylabel() == "overlap between two replicas"
    assert [container.get_label() for container in ax.containers] == ["N = 11", "N = 101"]


def test_sizes_differ_in_colour_and_in_marker(dataset):
    lines = [
        container.lines[0]
        for container in plotting.curves(dataset, variable="overlap", solver="AMP").containers
    ]
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 2


def test_rates_have_wilson_intervals(dataset):
    ax = plotting.curves(dataset, variable="recovered", solver="AMP")
    assert ax.get_ylabel() == "fraction of instances"
    bars = np.array([path.vertices[:, 1] for path in ax.containers[0].lines[2][0].get_paths()])
    # Wilson at one standard error: none of n lies between 0 and 1/(n + 1), all of n between n/(n + 1) and 1.
    assert np.allclose(bars[0], [0, 1 / 7])
    assert np.allclose(bars[-1], [6 / 7, 1])


def test_points_stand_at_the_realised_load(dataset):
    dataset["load"] = dataset["load"] + 0.05
    ax = plotting.curves(dataset, variable="overlap", solver="AMP")
    assert np.allclose(ax.containers[0].lines[0].get_xdata(), LOADS + 0.05)


def test_missing_values_leave_gaps_not_errors(dataset):
    dataset["overlap"][:, 1, :, :] = np.nan
    dataset["overlap"][:, 2, :, 3:] = np.nan
    y = plotting.curves(dataset, variable="overlap", solver="AMP").containers[0].lines[0].get_ydata()
    expected = dataset["overlap"].sel(solver="AMP", N=11).mean("instance")
    assert np.isnan(y[1])
    assert np.allclose(y, expected, equal_nan=True)


def test_branches_are_dashed_where_they_are_not_the_equilibrium(theory):
    ax = plotting.curves(theory=theory, variable="overlap")
    solid, dashed = drawn(ax, "-"), drawn(ax, "--")
    assert [line.get_label() for line in solid] == ["low", "high"]
    assert np.isfinite(solid[0].get_ydata()).tolist() == [True, True, False, False]
    assert np.isfinite(solid[1].get_ydata()).tolist() == [False, False, True, True]
    # A dashed piece begins where the solid one ends.
    assert np.isfinite(dashed[0].get_ydata()).tolist() == [False, True, True, True]
    assert np.isfinite(dashed[1].get_ydata()).tolist() == [True, True, True, False]


def test_a_jump_of_a_branch_is_not_drawn():
    """Fold at 1.5: the line falls like a square root, then the branch is gone; both sides are on the grid."""
    loads = np.sort(np.append(np.linspace(0, 2, 41), [1.5 - 1e-6, 1.5 + 1e-6]))
    fold = np.where(loads < 1.5, 0.5 + np.sqrt(np.maximum(1.5 - loads, 0)), 0)
    rounding = 1e-14 * np.random.default_rng(0).standard_normal(len(loads))
    smooth = np.sqrt(np.maximum(loads - 0.5, 0))
    lines = xarray.Dataset(
        {
            "error": (("theory", "alpha"), [fold, smooth, rounding]),
            "stability": (("theory", "alpha"), np.where(loads < 1.5, -1.0, 1.0) * np.ones((3, 1))),
        },
        coords={"theory": ["fold", "smooth", "rounding"], "alpha": loads},
    )
    ax = plotting.curves(theory=lines, variable="error")
    places = []
    for line in ax.get_lines():
        x, y = line.get_data()
        places.append(x[np.flatnonzero(np.isnan(x)) - 1].tolist())
        drawn = np.isfinite(x[1:] + x[:-1] + y[1:] + y[:-1])
        assert np.abs(np.diff(y)[drawn]).max() < 0.25
    below = [1.5 - 1e-6]
    assert places == [below, below, [], [], [], []]


@pytest.mark.parametrize("n", [20, 57, 200])
def test_a_jump_between_two_points_of_an_even_grid_is_seen_too(n):
    loads = np.linspace(0, 2, n)
    for fold in (1.2, 1.493):
        values = np.where(loads < fold, 0.3 + 0.2 * np.sqrt(np.maximum(fold - loads, 0)), 0)
        assert _jumps(loads, values, 0.01).tolist() == [np.searchsorted(loads, fold)]
        continuous = np.sqrt(np.maximum(fold - loads, 0))
        assert _jumps(loads, continuous, 0.01).tolist() == []


def test_unstable_and_unphysical_pieces_of_a_single_branch_are_dashed(theory):
    single = theory.sel(theory="low").drop_vars("theory")
    single["status"][2] = Status.CONVERGED.code
    assert (
        np.isfinite(drawn(plotting.curves(theory=single, variable="overlap"), "-")[0].get_ydata()).sum() == 3
    )
    single["stability"][1] = -0.1
    assert (
        np.isfinite(drawn(plotting.curves(theory=single, variable="overlap"), "-")[0].get_ydata()).sum() == 2
    )


def test_thresholds_are_labelled_lines(theory):
    ax = plotting.curves(theory=theory, variable="overlap")
    assert {line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == ":"} == {1.25, 1.75}
    assert [text.get_text() for text in ax.texts] == ["first 1.25", "second 1.75"]


def test_the_extrapolation_is_drawn_to_its_limit(theory):
    fit = FiniteSizeThreshold(Estimate(1.7, 0.02, 9.0), 2.0, 0.5, np.array([25, 100]), np.array([2.1, 1.9]),
                              np.array([0.1, 0.1]), np.array([0.2, 0.1]), 0.0)  # fmt: skip
    ax = plotting.finite_size(fit.to_dataset(), theory)
    x, y = ax.get_lines()[0].get_data()
    assert np.allclose(y, 1.7 + 2.0 * x)
    assert np.allclose([container.lines[0].get_xdata()[0] for container in ax.containers], [0.2, 0.1, 0])
    assert ax.get_xlabel() == "$N^{-1/2}$"
    assert [text.get_text() for text in ax.texts] == ["theory, second 1.75"]


def test_a_phase_diagram_has_a_panel_for_each_entry(dataset, theory):
    panels = [
        {"variable": "overlap", "solver": "AMP", "title": "one"},
        {"variable": "recovered", "solver": "AMP"},
    ]
    figure = plotting.phase_diagram(dataset, theory, panels=panels)
    assert [ax.get_title() for ax in figure.axes] == ["one", ""]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    dashed = "dashed: metastable, unstable or unphysical"
    assert labels == ["theory, low", "theory, high", dashed, "", "N = 11", "N = 101"]


def test_a_panel_with_a_theory_of_its_own_has_a_legend_of_its_own(theory):
    other = theory.assign_coords(theory=["third", "fourth"])
    panels = [{"variable": "overlap"}, {"variable": "overlap", "theory": other}]
    figure = plotting.phase_diagram(theory=theory, panels=panels)
    own, shared = (
        [text.get_text() for text in legend.get_texts()]
        for legend in (figure.axes[1].get_legend(), figure.legends[0])
    )
    assert own == ["third", "fourth"]
    assert shared == ["low", "high", "dashed: metastable, unstable or unphysical"]


def test_unknown_names_are_refused(dataset, theory):
    for arguments, field in (
        ({"variable": "colour", "solver": "AMP"}, "variable"),
        ({"variable": "overlap", "solver": "none"}, "solver"),
        ({"variable": "overlap", "solver": "AMP", "x": "beta"}, "x"),
        ({"variable": "overlap", "select": {"N": 12}}, r"select\.N"),
    ):
        with pytest.raises(InputError, match=rf"^{field}: got .* allowed: one of"):
            plotting.curves(dataset, **arguments)
    with pytest.raises(InputError, match=r"^dataset: got None"):
        plotting.curves(variable="overlap")
    with pytest.raises(InputError, match=r"^variable: got 'colour'"):
        plotting.curves(theory=theory, variable="colour")


def test_a_study_is_drawn_from_its_files_without_a_display(dataset, theory, tmp_path):
    dataset.to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    theory.to_netcdf(tmp_path / "theory.nc", engine="h5netcdf")
    figure = {
        "call": "plotting.phase_diagram",
        "arguments": {"panels": [{"variable": "overlap", "solver": "AMP"}]},
    }
    (tmp_path / "study.json").write_text(json.dumps({"configuration": {"figure": figure}}))
    program = f"from physlearn.plotting import plot_study; print(plot_study({str(tmp_path)!r}))"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "mpl")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / "figure.png")
    assert plt.imread(tmp_path / "figure.png").std() > 0.05
    with pytest.raises(InputError, match=r"^directory: got"):
        plotting.plot_study(tmp_path / "mpl")


def test_drawing_leaves_the_users_style_alone(dataset):
    before = dict(matplotlib.rcParams)
    plotting.curves(dataset, variable="overlap", solver="AMP")
    assert dict(matplotlib.rcParams) == before


AXES = {"alpha": LOADS, "N": [11, 101]}
SOLVERS = {"solver": ["AMP", "annealing"]}
SHAPES = {
    "rectangular": simulated({**SOLVERS, **AXES}),
    "holes": with_holes(simulated({**SOLVERS, **AXES}), 101, "AMP"),
    "no size": simulated({"alpha": LOADS}),
    "margin": simulated({"margin": [0.0, 0.5], "alpha": LOADS}),
    "one instance": simulated(AXES, n=1),
    "no instance": simulated(AXES, n=1).isel(instance=0, drop=True),
    "one solver": simulated(AXES).assign_coords(solver="AMP"),
    "nothing was run": simulated(AXES)[["status"]],
    "one size never run": simulated(AXES).where(xarray.DataArray([True, False], dims="N")),
    "four sizes on two axes": simulated({"margin": [0.0, 0.5], **AXES}),
    "theory alone": None,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("with_theory", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_two_arguments_are_enough(shape, with_theory, theory, tmp_path):
    dataset, lines = SHAPES[shape], theory if with_theory else None
    if lines is None and (dataset is None or "overlap" not in dataset):
        return
    if shape == "four sizes on two axes":
        with pytest.raises(InputError, match=r"^select\.margin: got None; allowed: one of 0, 0\.5\.$"):
            plotting.curves(dataset, lines)
    else:
        ax = plotting.curves(dataset, lines)
        assert ax.get_ylabel() == "overlap between two replicas"
        assert ax.get_xlabel() == r"load $\alpha = P/N$"
        assert bool(drawn(ax, "-")) == with_theory
        ax.figure.savefig(tmp_path / "curves.png", dpi=30)
    figure = plotting.phase_diagram(dataset, lines)
    figure.savefig(tmp_path / "panels.png", dpi=30)
    panels = [ax for ax in figure.axes if ax.axison]
    if dataset is not None and "overlap" in dataset:
        # Rates first: each variable for each solver or margin.
        per_variable = {"rectangular": 2, "holes": 2, "four sizes on two axes": 2}.get(shape, 1)
        assert len(panels) == 2 * per_variable
        assert panels[0].get_ylabel() == "fraction of instances"
        assert panels[-1].get_ylabel() == "overlap between two replicas"
    assert len(plt.get_fignums()) == (1 if shape == "four sizes on two axes" else 2)


@pytest.mark.filterwarnings("error")
def test_extra_loads_of_one_size_are_drawn_for_that_size_alone():
    full = simulated({**SOLVERS, **AXES})
    ax = plotting.curves(with_holes(full, 101, "AMP"), variable="overlap", solver="AMP")
    few, all_loads = (container.lines[0].get_ydata() for container in ax.containers)
    assert np.isfinite(few).tolist() == [True, False, True, False]
    assert np.allclose(all_loads, full["overlap"].sel(solver="AMP", N=101).mean("instance"))


@pytest.mark.filterwarnings("error")
def test_a_size_without_points_is_not_in_the_legend_and_others_keep_their_colours(dataset):
    reference = plotting.curves(dataset, variable="overlap", solver="AMP").containers[1].lines[0]
    dataset["overlap"][:, :, 0] = np.nan
    (container,) = plotting.curves(dataset, variable="overlap", solver="AMP").containers
    assert container.get_label() == "N = 101"
    assert container.lines[0].get_color() == reference.get_color()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [None, 1])
def test_a_single_instance_has_the_error_of_its_own_measurement(n):
    data = simulated(AXES, n=1)
    ax = plotting.curves(data, variable="overlap")
    assert ax.containers[0].lines[2] == ()
    data["overlap_error"] = 0.1 * data["overlap"]
    data["overlap_error"][0] = np.inf
    ax = plotting.curves(data if n else data.isel(instance=0), variable="overlap")
    bars = [path.vertices[:, 1] for path in ax.containers[1].lines[2][0].get_paths()]
    own = data["overlap_error"].sel(N=101).values[:, 0]
    assert np.allclose(np.diff([bar for bar in bars if len(bar)])[-3:, 0] / 2, own[1:])


def test_another_axis_takes_the_role_of_the_size(theory):
    margins = [0.0, 0.5]
    lines = xarray.concat([theory[["overlap"]] + margin for margin in margins], "margin")
    lines = lines.assign_coords(margin=margins).sel(theory=["low"])
    ax = plotting.curves(simulated({"margin": margins, "alpha": LOADS}), lines)
    assert [container.get_label() for container in ax.containers] == ["margin = 0", "margin = 0.5"]
    solid = drawn(ax, "-")
    assert [line.get_color() for line in solid] == [c.lines[0].get_color() for c in ax.containers]
    for line, margin in zip(solid, margins, strict=True):
        assert np.allclose(line.get_ydata(), lines["overlap"].sel(margin=margin, theory="low"))
    alone = drawn(plotting.curves(None, lines), "-")
    assert [line.get_label() for line in alone] == ["margin = 0", "margin = 0.5"]


def test_a_value_of_a_further_axis_is_selected(theory):
    data = simulated({"margin": [0.0, 0.5], **AXES})
    lines = xarray.concat([theory[["overlap"]], theory[["overlap"]] + 0.5], "margin")
    lines = lines.assign_coords(margin=[0.0, 0.5])
    for ax in (
        plotting.curves(data, lines, variable="overlap", select={"margin": 0.5}),
        plotting.curves(data.sel(margin=0.5), lines, variable="overlap"),
        plotting.phase_diagram(data, lines, panels=[{"variable": "overlap", "select": {"margin": 0.5}}]).axes[
            0
        ],
    ):
        mean = data["overlap"].sel(margin=0.5, N=11).mean("instance")
        assert np.allclose(ax.containers[0].lines[0].get_ydata(), mean)
        assert np.allclose(drawn(ax, "-")[0].get_ydata(), lines["overlap"].sel(margin=0.5, theory="low"))
    for select, sentence in (
        ({"margin": 0.3}, r"^select\.margin: got 0\.3; allowed: one of 0, 0\.5\.$"),
        ({"beta": 1.0}, r"^select\.beta: got 1\.0; allowed: axes margin, alpha, N, instance, theory\.$"),
        (3, r"^select: got 3; allowed: axes with a value each\.$"),
    ):
        with pytest.raises(InputError, match=sentence):
            plotting.curves(data, lines, select=select)


def test_the_longest_axis_is_horizontal_where_there_is_no_load(theory):
    data = simulated({"alpha": [1.0, 2.0, 3.0], "N": [11, 101]}).rename(alpha="beta")
    ax = plotting.curves(data)
    assert ax.get_xlabel() == r"inverse temperature $\beta$"
    assert np.allclose(ax.containers[0].lines[0].get_xdata(), [1, 2, 3])
    assert plotting.curves(data.isel(beta=0)).get_xlabel() == "number of weights $N$"
    with pytest.raises(InputError, match=r"^select\.alpha: got None; allowed: one of 0\.5, 1, 1\.5, 2\.$"):
        plotting.curves(data, theory)
    ax = plotting.curves(data, theory, select={"theory": "low", "alpha": 1.5})
    assert [line.get_ydata() for line in ax.get_lines() if line.get_label() == "theory, low"] == [[0.6, 0.6]]


def test_many_sizes_and_several_solvers_look_different():
    data = simulated({**SOLVERS, "alpha": LOADS, "N": list(range(11, 20))})
    for chosen in (data.isel(solver=0), data):
        looks = [
            (container.lines[0].get_color(), container.lines[0].get_marker())
            for container in plotting.curves(chosen, variable="overlap").containers
        ]
        assert len(set(looks)) == len(looks) == 9 * (1 + (chosen is data))


def boxes(ax):
    renderer = ax.figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in [*ax.texts, ax.title] if text.get_text()]


@pytest.mark.parametrize("loads", [(1.24, 1.30), (0.51, 1.24, 1.30, 1.99), (0.52, 0.55), (1.9, 1.95, 1.99)])
def test_labels_and_titles_do_not_overlap(theory, loads):
    names = ["information-theoretic", "spinodal", "replica symmetry unstable", "dynamical transition"]
    lines = theory.drop_dims("threshold")
    lines["threshold_load"] = ("threshold", list(loads))
    lines = lines.assign_coords(threshold=names[: len(loads)])
    title = (
        "a title that is much longer than the axes are wide, so that it has to be broken between its words"
    )
    ax = plotting.curves(None, lines, variable="overlap", title=title)
    ax.figure.canvas.draw()
    found = boxes(ax)
    assert len(found) == len(loads) + 1
    assert not any(a.overlaps(b) for k, a in enumerate(found) for b in found[:k])
    frame = ax.figure.bbox
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and box.y1 <= frame.y1 for box in found)


def test_legends_stand_beside_the_data_and_inside_the_figure(theory):
    for sizes in ([11, 101], list(range(11, 31))):
        ax = plotting.curves(simulated({"alpha": LOADS, "N": sizes}), theory)
        ax.figure.canvas.draw()
        for legend in ax.figure.legends:
            box = legend.get_window_extent()
            assert not box.overlaps(ax.bbox)
            assert 0 <= box.x0 < box.x1 <= ax.figure.bbox.x1
            assert 0 <= box.y0 < box.y1 <= ax.figure.bbox.y1
        labels = [text.get_text() for legend in ax.figure.legends for text in legend.get_texts()]
        assert {f"N = {N}" for N in sizes} < set(labels)


def test_an_outcome_is_named_and_a_small_error_is_no_outcome(theory):
    data = simulated(AXES)
    data["training_error"] = 0 * data["overlap"]
    data["recovered"].attrs["long_name"] = "whether the teacher is recovered"
    assert plotting.curves(data, variable="training_error").get_ylabel() == "fraction of violated constraints"
    label = plotting.curves(data, variable="recovered").get_ylabel()
    assert label.replace("\n", " ") == "fraction of instances where the teacher is recovered"


@pytest.mark.parametrize(("level", "words"), [(None, "1/2"), (0.5, "1/2"), (0.75, "3/4"), (0.9, "0.9")])
def test_the_level_of_a_crossing_is_named(level, words):
    fit = FiniteSizeThreshold(Estimate(1.7, 0.02, 9.0), 2.0, 0.5, np.array([25, 100]), np.array([2.1, 1.9]),
                              np.array([0.1, 0.1]), np.array([0.2, 0.1]), 0.0).to_dataset()  # fmt: skip
    fit = fit.drop_vars("level", errors="ignore")
    if level is not None:
        fit["level"] = level
    assert plotting.finite_size(fit).get_ylabel() == f"load at which the rate is {words}"


def test_several_ways_show_each_solver_at_its_size():
    """Markers of every way at its own size, the limit among them, and the line that they compare with."""
    from physlearn.plotting import several_ways

    d = np.array([0.1, 0.2])
    coords = {"solver": ["a", "b"], "N": [11, 21], "distance": d}
    dims = ("solver", "N", "instance", "distance")
    values = np.arange(24.0).reshape(2, 2, 3, 2)
    data = xarray.Dataset({"local_entropy": (dims, values)}, coords=coords)
    lines = xarray.Dataset(
        {"local_entropy": (("theory", "distance"), np.ones((2, 2)))},
        coords={"theory": ["near", "far"], "distance": d},
    )
    limit = xarray.Dataset(
        {
            name: (("solver", "distance"), np.full((2, 2), value))
            for name, value in (("local_entropy", 7.0), ("local_entropy_error", 0.5))
        },
        coords={"solver": ["a", "b"], "distance": d},
    )
    ways = [
        {"solver": "a", "N": 21, "theory": "near"},
        {"solver": "a", "N": "limit", "theory": "near"},
        {"solver": "b", "N": 11, "theory": "far"},
    ]
    panel = {"variable": "local_entropy", "x": "distance"}
    figure = several_ways(data, lines, limit, panels=[panel, panel | {"solver": "b"}], ways=ways)
    first, second = (
        [container.lines[0].get_ydata().tolist() for container in ax.containers] for ax in figure.axes
    )
    assert first == [values[0, 1].mean(axis=0).tolist(), [7.0, 7.0]]
    assert second == [values[1, 0].mean(axis=0).tolist()]
    assert [1.0, 1.0] in [line.get_ydata().tolist() for line in figure.axes[0].get_lines()]
    with pytest.raises(InputError, match="ways"):
        several_ways(data, lines, limit, panels=[panel], ways=[{"solver": "a"}])
    with pytest.raises(InputError, match=r"ways\.N"):
        several_ways(data, lines, limit, panels=[panel], ways=[{"solver": "a", "N": 5, "theory": "near"}])
