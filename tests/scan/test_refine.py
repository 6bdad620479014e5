"""Points added where a rate crosses a level: where they stand, when they end, and that they do no harm."""

import numpy as np
import pytest
import xarray
from calibration import CASES, LIMIT, SIZES, Disorder, check_coverage, extrapolated, pulls, refined

from physlearn import Status
from physlearn.inputs import InputError
from physlearn.scan.refine import refine

LOADS = [1.0, 1.2, 1.4, 1.6, 1.8]


def curve(rates, x=LOADS, n=20, along="alpha", **axes):
    """One curve with these rates, every other axis with a single value."""
    outcome = np.array(
        [np.arange(n) < rate * n if np.isfinite(rate) else np.full(n, np.nan) for rate in rates]
    )
    dims = (*axes, along, "instance")
    values = outcome.astype(float).reshape(*[1] * len(axes), len(x), n)
    return xarray.Dataset({"solved": (dims, values)}, coords={along: x, **{k: [v] for k, v in axes.items()}})


def added(data, variable="solved", level=0.5, along="alpha", **options):
    return [point[along] for point in refine(data, variable, level, along=along, **options)]


@pytest.mark.parametrize("rates", [[0, 0, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0.95, 1]])
@pytest.mark.parametrize("level", [0.05, 0.5, 0.95])
def test_a_jump_is_bisected(rates, level):
    assert refine(curve(rates, N=501, solver="AMP"), "solved", level) == [
        {"N": 501, "solver": "AMP", "alpha": 1.3}
    ]


@pytest.mark.parametrize("level", [0.3, 0.5])
@pytest.mark.parametrize("falls", [False, True])
def test_points_stand_at_the_crossing_and_half_a_width_from_it(level, falls):
    x = np.linspace(1.0, 2.0, 11)
    rates = 1 / (1 + np.exp(-(x - 1.512) / 0.1))
    # The rate is this very function, so that the fit's crossing is x + 0.1 logit and its width 0.2 ln 3.
    data = curve(1 - rates if falls else rates, x, n=100_000)
    centre = 1.512 + 0.1 * np.log(level / (1 - level)) * (-1 if falls else 1)
    half = 0.1 * np.log(3)
    new = added(data, level=level, resolution=1e-3)
    assert np.allclose(new, [centre - half, centre, centre + half], atol=1e-3)
    assert added(data, level=level, resolution=1e-3, num=1) == new[1:2]
    assert added(data, level=level, resolution=1e-3, num=2) == new[::2]
    assert new == np.round(new, 3).tolist()


@pytest.mark.parametrize(
    "rates",
    [
        [0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1],
        [np.nan] * 5,
        [np.nan, np.nan, 0.5, np.nan, np.nan],
        [0, 0, 0, 0, 0.2],
        [1, 1, 1, 1, 0.8],
        [0.8, 0.9, 0.95, 1, 1],
    ],
)
def test_curves_that_do_not_cross_add_nothing(rates):
    assert added(curve(rates)) == []


def test_nothing_is_added_beyond_the_ends():
    new = added(curve([0.0, 0.05, 0.2, 0.3, 0.55], n=2000))
    assert new
    assert all(LOADS[0] < value < LOADS[-1] for value in new)


def test_points_keep_their_distance():
    data = curve([0, 0.1, 0.5, 0.9, 1], n=10_000)
    for resolution in (0.001, 0.02, 0.1, 0.15):
        grid = np.sort(LOADS + added(data, resolution=resolution))
        assert np.diff(grid).min() >= resolution * (1 - 1e-9)
    assert added(data, resolution=0.2) == []
    assert added(curve([0, 0, 1, 1, 1]), resolution=0.1) == [1.3]
    assert added(curve([0, 0, 1, 1, 1]), resolution=0.11) == []
    # Loads within 1/N of one another have the same patterns.
    assert added(curve([0, 0, 1, 1, 1], N=10)) == [1.3]
    assert added(curve([0, 0, 1, 1, 1], N=9)) == []


def test_few_instances_ask_for_few_points():
    # The crossing can't be known better than w/sqrt(n): points within that of others would be wasted.
    rates = [0, 0.25, 0.5, 0.75, 1]
    assert added(curve(rates, n=4)) == []
    assert len(added(curve(rates, n=4000))) == 2


def test_points_that_exist_without_data_are_not_added_anew():
    data = curve([0, 0, np.nan, 1, 1], [1.0, 1.2, 1.3, 1.4, 1.6])
    status = np.where(np.isnan(data["solved"]), Status.NOT_PLANNED.code, Status.DONE.code).astype(np.int8)
    data["status"] = (data["solved"].dims, status)
    assert added(data) == [1.3]
    for there in (Status.FAILED, Status.NOT_RUN):
        data["status"] = (
            data["solved"].dims,
            np.where(status == Status.NOT_PLANNED.code, there.code, status),
        )
        assert added(data) == []


def test_every_curve_has_its_own_points_and_select_takes_some():
    parts = [curve([0, 0, 1, 1, 1], margin=0.0), curve([1, 1, 1, 0, 0], margin=0.5)]
    data = xarray.concat(
        [xarray.concat(parts, "margin"), xarray.concat(parts[::-1], "margin", join="override")],
        xarray.Variable("solver", ["AMP", "annealing"]),
        join="override",
    )
    points = refine(data, "solved")
    assert points[0] == {"solver": "AMP", "margin": 0.0, "alpha": 1.3}
    assert [point["alpha"] for point in points] == [1.3, 1.5, 1.5, 1.3]
    assert all(type(value) in (str, float) for point in points for value in point.values())
    assert refine(data, "solved", select={"solver": "AMP"}) == points[:2]
    assert refine(data, "solved", select={"margin": [0.5], "solver": ["annealing", "AMP"]}) == points[1::2]


def test_other_axes_and_any_order_of_values():
    assert added(curve([0, 0, 1, 1, 1], along="beta"), along="beta") == [1.3]
    mixed = curve([0, 0.1, 0.6, 1, 1])
    assert added(mixed.isel(alpha=[3, 0, 4, 1, 2])) == added(mixed)
    assert len(added(mixed)) == 3
    # Between integers there are integers, until there is none.
    (new,) = refine(curve([0, 0, 1, 1], [1, 2, 5, 9], along="N"), "solved", along="N")
    assert new == {"N": 4}
    assert type(new["N"]) is int
    assert refine(curve([0, 0, 1, 1], [1, 2, 3, 9], along="N"), "solved", along="N") == []


@pytest.mark.parametrize(
    ("arguments", "options", "field"),
    [
        (("overlap",), {}, "variable"),
        (("status",), {}, "variable"),
        (("energy",), {}, "variable"),
        (("weights",), {}, "variable"),
        (("solved", 0.0), {}, "level"),
        (("solved", 1), {}, "level"),
        (("solved",), {"along": "solver"}, "along"),
        (("solved",), {"along": "instance"}, "along"),
        (("solved",), {"num": 0}, "num"),
        (("solved",), {"resolution": 0.0}, "resolution"),
        (("solved",), {"select": {"alpha": 1.0}}, "select"),
        (("solved",), {"select": {"solver": "none"}}, "select.solver"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(arguments, options, field):
    data = curve([0, 0, 1, 1, 1], solver="AMP")
    data["energy"] = 2 * data["solved"]
    data["weights"] = data["solved"].expand_dims("weights_index", -1)
    data["status"] = data["solved"].astype(np.int8)
    with pytest.raises(InputError, match=rf"^{field}: got .* allowed: .*\.$"):
        refine(data, *arguments, **options)


@pytest.mark.parametrize("spread", [0.01, 1.0, 5.0])
def test_a_loop_ends_where_the_crossings_are_known(spread):
    for seed in range(3):
        disorder = Disorder(np.random.default_rng(seed), spread=spread)
        grid = np.linspace(1.1, 1.9, 5).tolist()
        done, goes_on = refined(disorder, grid, 30)
        assert not goes_on
        assert refined(disorder, grid, 30)[0].keys() == done.keys()
        fit = extrapolated(done, disorder.n_instances, 0)
        finest = 3 / np.array(SIZES) + 3 * fit.widths / np.sqrt(disorder.n_instances)
        assert np.all(fit.errors < finest)
        assert abs(fit.threshold.mean - LIMIT) < 4 * fit.threshold.error
        assert len(done) <= 3 * 25


@pytest.mark.parametrize(
    "case",
    [
        {"seed": 11},
        {"seed": 12, "level": 0.3, "falls": True},
        {"seed": 13, "level": 0.3, "spread": 0.01},
    ],
    ids=str,
)
def test_refined_thresholds_are_covered_by_their_errors(case):
    values, _, _ = pulls(60, rounds=3, **case)
    check_coverage(values, resolved="spread" not in case)


def test_refining_needs_few_points():
    # A jump of which nothing is known: a grid of five times the points knows it worse.
    _, errors, points = pulls(10, 14, rounds=6, spread=0.01)
    _, fine, fine_points = pulls(10, 14, n_loads=61, spread=0.01)
    assert np.mean(fine_points) > 5 * np.mean(points)
    assert np.median(fine) > 2 * np.median(errors)


@pytest.mark.validation
@pytest.mark.parametrize("case", CASES, ids=str)
def test_refined_thresholds_are_covered_everywhere(case):
    values, _, _ = pulls(200, rounds=3, **case)
    check_coverage(values, resolved=case.get("spread", 1.0) >= 1)
