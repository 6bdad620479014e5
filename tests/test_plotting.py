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

from physlearn import Status, plotting
from physlearn.estimates import Estimate, FiniteSizeThreshold
from physlearn.inputs import InputError
from physlearn.plotting.lines import _jumps

LOADS = np.array([0.5, 1.0, 1.5, 2.0])


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
