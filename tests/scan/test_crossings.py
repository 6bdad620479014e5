"""A threshold for each solver and each value of further axes: in the dataset, the table and the figure."""

import itertools

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray

from physlearn import Status, plotting
from physlearn.estimates import finite_size_threshold
from physlearn.inputs import InputError
from physlearn.scan.crossings import crossings
from physlearn.scan.tables import table

ENTRY = {"variable": "solved", "exponent": 2 / 3}
SIZES, UNITS, SOLVERS = np.array([105, 315, 945]), [3, 5, 7], ["SBPI", "annealing"]
LOADS = np.linspace(0.1, 1.0, 19)


def limit(solver, K):
    return 0.5 - 0.02 * K + 0.2 * (solver == "SBPI")


@pytest.fixture(scope="module")
def result():
    """Instances with thresholds of their own, limit + 3 N^(-2/3) in the mean; annealing never solves K = 7."""
    rng = np.random.default_rng(1)
    shape = (len(SOLVERS), len(LOADS), len(SIZES), len(UNITS), 40)
    means = np.array([[limit(solver, K) for K in UNITS] for solver in SOLVERS])
    scatter = rng.normal(size=(2, 1, 3, 3, 40)) / np.sqrt(SIZES)[:, None, None]
    own = means[:, None, None, :, None] + 3 * SIZES[:, None, None] ** (-2 / 3) + scatter
    solved = (LOADS[:, None, None, None] < own).astype(float)
    solved[1, :, :, 2] = 0
    dims = ("solver", "alpha", "N", "n_hidden", "instance")
    return xarray.Dataset(
        {
            "solved": (dims, solved),
            "load": (dims, np.broadcast_to(LOADS[:, None, None, None], shape)),
            "status": (dims, np.full(shape, Status.DONE.code, np.int8)),
        },
        coords={"solver": SOLVERS, "alpha": LOADS, "N": SIZES, "n_hidden": UNITS, "instance": range(40)},
    )


@pytest.fixture(scope="module")
def found(result):
    return crossings(result, ENTRY, 7)


def test_each_threshold_is_that_of_its_curves_alone(result, found):
    assert found["threshold"].dims == ("solver", "n_hidden")
    assert found["crossing"].dims == ("solver", "n_hidden", "N")
    for solver, K in itertools.product(SOLVERS, UNITS):
        one = found.sel(solver=solver, n_hidden=K)
        if (solver, K) == ("annealing", 7):
            assert np.isnan(one["threshold"])
            assert str(one["refused"].item()).startswith("successes: got 0 throughout at N = 105")
            continue
        successes = result["solved"].sel(solver=solver, n_hidden=K).transpose("N", "alpha", "instance")
        alone = finite_size_threshold(LOADS, SIZES, successes.values, exponent=2 / 3, rng=7)
        assert float(one["threshold"]) == pytest.approx(alone.threshold.mean, rel=1e-12)
        assert float(one["threshold_error"]) == pytest.approx(alone.threshold.error, rel=1e-12)
        np.testing.assert_allclose(one["crossing"].values, alone.crossings, rtol=1e-12)
        assert abs(alone.threshold.mean - limit(solver, K)) < 4 * alone.threshold.error
        assert not one["refused"].item()


def test_axes_of_a_single_value_and_a_chosen_solver_make_no_dimension(result, found):
    one = crossings(result.sel(n_hidden=[5]), {**ENTRY, "solver": "annealing"}, 7)
    assert dict(one.sizes) == {"N": 3}
    assert one.attrs["solver"] == "annealing"
    assert float(one["threshold"]) == float(found["threshold"].sel(solver="annealing", n_hidden=5))
    refused = crossings(result.sel(n_hidden=[7], solver=["annealing"]), ENTRY, 7)
    assert refused.attrs["refused"].startswith("successes: got 0 throughout")
    never = result.assign(solved=0 * result["solved"])
    reason = "successes: got 0 throughout at N = 105; allowed: successes and failures."
    assert crossings(never, ENTRY, 7).attrs["refused"] == reason
    never["solved"][0, :2, 0, 0] = 1
    other = "successes: got 0 throughout at N = 315; allowed: successes and failures."
    assert crossings(never, ENTRY, 7).attrs["refused"] == f"{other} Or {reason}"
    over_solvers = crossings(result.sel(n_hidden=5), ENTRY, 7)
    assert over_solvers["threshold"].dims == ("solver",)


def test_the_table_has_a_line_for_each_and_says_where_there_is_none(result, found):
    panels = [{"variable": "solved", "select": {"n_hidden": K, "N": 945}} for K in UNITS]
    blocks = table(result, None, found, panels).split("\n\n")
    assert len(blocks) == 7
    # A panel is for one size, the table for all.
    assert blocks[2].split("\n")[0] == "solved, SBPI, n_hidden = 5 (fraction of 40 instances)"
    assert blocks[2].split("\n")[1] == "alpha  N = 105  N = 315  N = 945"
    lines = [line for line in blocks[-1].split("\n") if line.startswith("threshold in simulation")]
    assert len(lines) == 6
    assert lines[1].startswith("threshold in simulation (solved, SBPI, n_hidden = 5): 0.6")
    assert lines[5].startswith(
        "threshold in simulation: not estimated (annealing, n_hidden = 7: successes: got 0"
    )


def test_the_figure_has_a_panel_for_each_value_and_one_of_the_limits(result, found):
    panels = [{"variable": "solved", "select": {"n_hidden": K, "N": 945}, "title": str(K)} for K in UNITS]
    figure = plotting.phase_diagram(result, None, found, panels=panels, columns=3)
    shown = [ax for ax in figure.axes if ax.axison]
    titles = [f"$K$ = {K}, $N \\to \\infty$ (stars)" for K in UNITS]
    assert [ax.get_title() for ax in shown] == ["3", "5", "7", *titles, r"limits, $N \to \infty$"]
    assert len({ax.get_ylim() for ax in shown[3:6]}) == 1
    assert shown[6].get_xlabel() == "number of hidden units $K$"
    for k, solver in enumerate(SOLVERS):
        expected = found["threshold"].sel(solver=solver).dropna("n_hidden")
        line = shown[6].containers[k].lines[0]
        np.testing.assert_array_equal(line.get_data(), [expected["n_hidden"], expected])
        # One colour for a solver, in all panels.
        colours = {shown[j].containers[-2 + k if j < 3 else 2 * k].lines[0].get_color() for j in (0, 3)}
        assert colours == {line.get_color()}
    plt.close(figure)


def test_a_long_error_does_not_hide_the_others(found):
    one = found.sel(n_hidden=3)
    usual = plotting.finite_size(one).get_ylim()
    one = one.assign(crossing_error=one["crossing_error"].where(one["N"] > 105, 1e6))
    assert np.ptp(plotting.finite_size(one).get_ylim()) < 3 * np.ptp(usual)
    plt.close("all")


def test_one_panel_is_for_one_value(found):
    with pytest.raises(InputError, match=r"^select\.n_hidden: got None; allowed: one of 3, 5, 7\.$"):
        plotting.finite_size(found)
    assert plotting.finite_size(found.sel(n_hidden=3)).get_title() == r"$N \to \infty$ (stars)"
    plt.close("all")
