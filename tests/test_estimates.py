"""Errors that cover: of means, of correlated series, and of thresholds extrapolated in the size."""

import numpy as np
import pytest
from calibration import CASES, check_coverage, pulls
from scipy.signal import lfilter

from physlearn.estimates import Estimate, autocorrelation_time, blocking, finite_size_threshold, logistic_fit
from physlearn.inputs import InputError

SIZES = np.array([501, 1001, 2001])
LIMIT, AMPLITUDE, EXPONENT = 1.5, 4.0, 2 / 3


def outcomes(rng, n_instances, loads, sizes=SIZES, spread=1.0, noise="standard_normal"):
    """Outcomes of instances with thresholds of their own around LIMIT + AMPLITUDE N^-EXPONENT."""
    draw = getattr(rng, noise)
    own = [LIMIT + AMPLITUDE * N**-EXPONENT + spread * N**-0.5 * draw(size=n_instances) for N in sizes]
    return np.array([loads[:, None] > thresholds for thresholds in own], dtype=float)


def autoregressive(rng, n, memory):
    noise, series = rng.standard_normal(n), np.zeros(n)
    for t in range(1, n):
        series[t] = memory * series[t - 1] + noise[t]
    return series


def test_independent_samples_give_mean_and_standard_error():
    estimate = Estimate.of([1.0, 2.0, 3.0, 6.0])
    assert (estimate.mean, estimate.n_eff) == (3.0, 4.0)
    assert estimate.error == pytest.approx(np.sqrt(14 / 3 / 4))
    assert Estimate.of([1.0]).error == np.inf
    assert repr(Estimate(0.5, 0.01, 100.0)) == "0.5 +- 0.01 (n_eff = 100)"


def test_blocking_sees_the_correlations():
    # For memory a, the variance of the mean is (1 + a)/(1 - a) times that of independent samples of one variance.
    rng = np.random.default_rng(1)
    series = autoregressive(rng, 2**15, 0.9)
    exact = np.sqrt(1 / (1 - 0.9) ** 2 / series.size)
    estimate = blocking(series)
    assert estimate.error == pytest.approx(exact, rel=0.25)
    assert estimate.n_eff == pytest.approx(series.size * (1 - 0.9) / (1 + 0.9), rel=0.5)
    assert estimate.error > 3 * Estimate.of(series).error


def test_blocking_at_the_ends():
    """A series that never changes tells nothing of its error; its scale is of no account; no number is no number."""
    for frozen in (np.full(2000, 20.0), [3.0]):
        assert (blocking(frozen).error, blocking(frozen).n_eff) == (np.inf, 1.0)
    series = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    expected, tau = blocking(series), autocorrelation_time(series)
    for scale in (2.0**-700, 2.0**1000):
        estimate = blocking(scale * series)
        assert (estimate.mean / scale, estimate.error / scale) == (expected.mean, expected.error)
        assert estimate.n_eff == expected.n_eff
        assert autocorrelation_time(scale * series) == tau
    for function in (blocking, autocorrelation_time):
        for wrong in ([], np.ones((2, 2))):
            with pytest.raises(InputError, match=r"^series: got shape .*\.$"):
                function(wrong)
        for wrong in ([1.0, np.nan], [np.inf, 1.0]):
            with pytest.raises(
                InputError, match=r"^series: got entries that are .*; allowed: finite numbers\.$"
            ):
                function(wrong)


def test_the_extrapolated_threshold_is_covered_by_its_error():
    rng = np.random.default_rng(2)
    loads = np.linspace(1.3, 1.8, 21)
    fits = [
        finite_size_threshold(
            loads, SIZES, outcomes(rng, 60, loads), exponent=EXPONENT, rng=k, n_bootstrap=200
        )
        for k in range(60)
    ]
    pulls = np.array([(fit.threshold.mean - LIMIT) / fit.threshold.error for fit in fits])
    # 60 standard normal numbers: bounds at 4 standard errors of their mean and of their mean square.
    assert abs(pulls.mean()) < 4 / np.sqrt(60)
    assert 1 - 4 * np.sqrt(2 / 60) < np.mean(pulls**2) < 1 + 4 * np.sqrt(2 / 60)
    assert np.mean([fit.chi2 for fit in fits]) < 1 + 4 * np.sqrt(2 / 60)


def test_the_crossings_and_widths_are_those_of_the_rates():
    loads = np.linspace(1.1, 2.0, 91)
    successes = outcomes(np.random.default_rng(3), 4000, loads, noise="logistic")
    fit = finite_size_threshold(loads, SIZES, successes, exponent=EXPONENT, rng=0, n_bootstrap=50)
    assert np.all(np.abs(fit.crossings - LIMIT - AMPLITUDE * SIZES**-EXPONENT) < 4 * fit.errors)
    # The quartiles of a logistic distribution of scale s lie at -s ln 3 and s ln 3.
    assert np.allclose(fit.widths, 2 * np.log(3) * SIZES**-0.5, rtol=4 / np.sqrt(4000))
    assert fit.amplitude == pytest.approx(AMPLITUDE, rel=0.2)
    data = fit.to_dataset()
    assert data["crossing"].dims == ("N",)
    assert float(data["threshold_error"]) == fit.threshold.error
    assert "N to infinity" in repr(fit)


def test_errors_resample_whole_instances():
    # A finer grid only repeats what an instance has said: the error must stay, where independent points would halve it.
    rng = np.random.default_rng(4)
    fine = np.linspace(1.3, 1.8, 161)
    successes = outcomes(rng, 100, fine)
    errors = [
        finite_size_threshold(fine[::step], SIZES, successes[:, ::step], exponent=1.0, rng=0).threshold.error
        for step in (1, 4)
    ]
    assert errors[0] == pytest.approx(errors[1], rel=0.2)


def test_a_rise_within_one_step_is_uncertain_by_the_step():
    loads = np.array([1.0, 1.4, 1.8, 2.2])
    fit = finite_size_threshold(
        loads, SIZES, outcomes(np.random.default_rng(5), 20, loads, spread=0.01), exponent=EXPONENT, rng=0
    )
    assert np.all(fit.errors >= 0.4 / np.sqrt(12))
    assert abs(fit.threshold.mean - LIMIT) < 4 * fit.threshold.error


def test_realised_loads_may_differ_from_size_to_size():
    loads = np.linspace(1.3, 1.8, 21)
    shifted = loads + np.array([0.02, 0.01, 0.0])[:, None]
    successes = np.array([outcomes(np.random.default_rng(6), 500, row, sizes=[N])[0]
                          for row, N in zip(shifted, SIZES, strict=True)])  # fmt: skip
    fit = finite_size_threshold(shifted, SIZES, successes, exponent=EXPONENT, rng=0)
    assert abs(fit.threshold.mean - LIMIT) < 4 * fit.threshold.error


def test_the_order_of_the_loads_does_not_matter():
    loads = np.array([1.0, 1.4, 1.8, 2.2])
    successes = outcomes(np.random.default_rng(5), 20, loads, spread=0.01)
    order = [2, 0, 3, 1]
    fits = [
        finite_size_threshold(x, SIZES, y, exponent=EXPONENT, rng=0)
        for x, y in ((loads, successes), (loads[order], successes[:, order]))
    ]
    assert fits[0].threshold == fits[1].threshold
    assert np.array_equal(fits[0].errors, fits[1].errors)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"exponent": 0.0}, "exponent"),
        ({"rng": None}, "rng"),
        ({"sizes": SIZES[:2]}, "successes"),
        ({"successes": np.full((3, 21, 5), 0.5)}, "successes"),
        ({"successes": np.full((3, 21, 5), np.nan)}, "successes"),
        ({"successes": np.ones((3, 21, 5))}, "successes"),
        ({"successes": np.ones((3, 21, 1))}, "successes"),
        (
            {
                "successes": np.where(
                    np.arange(21)[:, None] == 9, np.arange(5) % 2, np.full((3, 21, 5), np.nan)
                )
            },
            "successes",
        ),
        ({"successes": np.full((3, 21, 5), np.inf)}, "successes"),
        ({"successes": np.broadcast_to(np.arange(5) % 2, (3, 21, 5))}, "successes"),
        ({"loads": np.full(21, np.nan)}, "loads"),
        ({"loads": np.linspace(1.3, 1.8, 20)}, "loads"),
        ({"level": 0.0}, "level"),
        ({"level": 1}, "level"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(change, field):
    loads = np.linspace(1.3, 1.8, 21)
    arguments = {
        "loads": loads,
        "sizes": SIZES,
        "successes": outcomes(np.random.default_rng(7), 5, loads),
        "exponent": 1.0,
        "rng": 0,
    }
    with pytest.raises(InputError, match=rf"^{field}: got .* allowed: .*\.$"):
        finite_size_threshold(**(arguments | change))


def test_what_is_missing_is_as_if_it_had_never_been_there():
    loads = np.linspace(1.3, 1.8, 21)
    successes = outcomes(np.random.default_rng(8), 30, loads)
    options = {"exponent": EXPONENT, "rng": 0}
    fit = finite_size_threshold(loads, SIZES, successes, **options)
    # Loads that no size has, with or without a value; instances that no load has.
    holes = np.insert(successes, [3, 9, 9], np.nan, axis=1)
    for values in ([1.35, 1.5, 9.0], [1.35, np.nan, np.nan]):
        with_holes = np.insert(loads, [3, 9, 9], values)
        assert finite_size_threshold(with_holes, SIZES, holes, **options).threshold == fit.threshold
    failed = np.insert(successes, 7, np.nan, axis=2)
    assert finite_size_threshold(loads, SIZES, failed, **options).threshold == fit.threshold
    # Every size with loads of its own.
    own = np.full((3, 63, 30), np.nan)
    for k in range(3):
        own[k, 21 * k : 21 * (k + 1)] = successes[k]
    fit_of_own = finite_size_threshold(np.tile(loads, 3), SIZES, own, **options)
    assert fit_of_own.threshold == fit.threshold


def test_instances_that_miss_here_and_there_count_where_they_are():
    loads = np.linspace(1.3, 1.8, 21)
    successes = outcomes(np.random.default_rng(9), 2000, loads)
    thinned = np.where(np.random.default_rng(10).random(successes.shape) < 0.5, np.nan, successes)
    fits = [
        finite_size_threshold(loads, SIZES, y, exponent=EXPONENT, rng=0, n_bootstrap=100)
        for y in (successes, thinned)
    ]
    assert np.all(np.abs(fits[0].crossings - fits[1].crossings) < 4 * fits[1].errors)
    # Half of the loads say nearly what all of them say of an instance.
    assert np.all(fits[1].errors < 1.3 * fits[0].errors)
    assert fits[1].threshold.n_eff == 2000


def test_other_levels_are_quantiles_of_the_thresholds():
    loads = np.linspace(1.1, 2.0, 91)
    successes = outcomes(np.random.default_rng(11), 4000, loads, noise="logistic")
    for level in (0.2, 0.5, 0.7):
        shift = np.log(level / (1 - level)) * SIZES**-0.5
        for y, share in ((successes, level), (1 - successes, 1 - level)):
            fit = finite_size_threshold(
                loads, SIZES, y, exponent=EXPONENT, rng=0, n_bootstrap=50, level=share
            )
            assert np.all(
                np.abs(fit.crossings - LIMIT - AMPLITUDE * SIZES**-EXPONENT - shift) < 4 * fit.errors
            )
            assert fit.level == share
            assert float(fit.to_dataset()["level"]) == share


def test_steps_that_err_alike_at_all_sizes_are_not_averaged():
    # All crossings lie in one step: eight sizes know no more than one.
    sizes = 1000 * 2 ** np.arange(8)
    loads = np.array([1.0, 1.3, 1.6, 1.9])
    successes = np.broadcast_to((loads > LIMIT)[:, None], (8, 4, 10))
    fit = finite_size_threshold(loads, sizes, successes, exponent=EXPONENT, rng=0)
    assert fit.threshold.mean == pytest.approx(1.45)
    assert fit.threshold.error == pytest.approx(0.3 / np.sqrt(12))


@pytest.mark.parametrize("n_instances", [2, 4, 30])
def test_one_outcome_for_all_instances_has_the_error_of_the_step(n_instances):
    loads = np.array([1.0, 1.4, 1.8, 2.2])
    successes = np.broadcast_to((loads > LIMIT)[:, None], (3, 4, n_instances))
    fit = finite_size_threshold(loads, SIZES, successes, exponent=EXPONENT, rng=0)
    assert np.allclose(fit.crossings, 1.6)
    assert np.allclose(fit.errors, 0.4 / np.sqrt(12))


@pytest.mark.parametrize("gap", [1.0, 1e-2, 1e-3, 1e-4])
def test_the_fit_of_a_jump_is_known_at_every_scale(gap):
    # With n trials at each side of a jump, Firth's penalty makes the rates (n + 1/2)/(n + 1) and the rest to one.
    n = 1000.0
    crossing, width = logistic_fit([-gap / 2, gap / 2], [[0, n]], [[n, n]])
    assert crossing[0] == pytest.approx(0, abs=1e-9)
    assert width[0] / gap == pytest.approx(np.log(3) / np.log(2 * n + 1), rel=1e-6)
    # Points far away take nothing from it, though a curve as wide as they are is a maximum too.
    far, n = [-100 * gap, -gap / 2, gap / 2, 100 * gap], 30.0
    crossing, width = logistic_fit(far, [[n, n, 0, 0]], [[n, n, n, n]])
    assert crossing[0] == pytest.approx(0, abs=1e-9)
    assert width[0] / gap == pytest.approx(-np.log(3) / np.log(2 * n + 1), rel=1e-3)


@pytest.mark.parametrize(
    "case",
    [
        {"seed": 1},
        {"seed": 2, "level": 0.3, "falls": True, "missing": 0.3},
        {"seed": 3, "level": 0.3, "spread": 0.01},
        {"seed": 4, "spread": 10.0},
    ],
    ids=str,
)
def test_thresholds_are_covered_by_their_errors(case):
    values, _, _ = pulls(60, n_loads=31, **case)
    check_coverage(values, resolved=case.get("spread", 1.0) >= 1)


@pytest.mark.validation
@pytest.mark.parametrize("case", CASES, ids=str)
def test_thresholds_are_covered_everywhere(case):
    values, _, _ = pulls(200, n_loads=31, **case)
    check_coverage(values, resolved=case.get("spread", 1.0) >= 1)


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9, 0.97])
def test_autocorrelation_time_of_an_autoregressive_series(a):
    """rho = a^t, tau = (1 + a)/(2 - 2a): twenty series, their errors as large as they say."""
    rng = np.random.default_rng(int(100 * a))
    exact, found = (1 + a) / (2 - 2 * a), []
    for _ in range(20):
        series = lfilter([1], [1, -a], rng.standard_normal(20_000 + 400))[400:]
        found.append(autocorrelation_time(series))
    z = np.array([(one.mean - exact) / one.error for one in found])
    assert abs(z.mean()) < 4 / np.sqrt(20) + 0.2  # the window leaves e^-5 out, and the mean takes 2 tau/n
    assert 0.4 < z.std() < 1.8
    assert found[0].n_eff == pytest.approx(20_000 / (2 * found[0].mean))


def test_autocorrelation_time_at_the_ends():
    assert autocorrelation_time([3.0]).mean == 0.5
    assert autocorrelation_time(np.ones(50)).n_eff == 1
    assert autocorrelation_time(np.ones(50)).error == np.inf
    assert 0 < autocorrelation_time([1.0, -1.0] * 500).mean < 0.5
    assert np.isfinite(autocorrelation_time([0.0, 1.0]).mean)
