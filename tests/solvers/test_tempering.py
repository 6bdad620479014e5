"""Parallel tempering: the Gibbs measure at every temperature, the ladder, round trips."""

import math

import numpy as np
import pytest
from catalogue import ALL_MODELS
from scipy import stats

from physlearn.inputs import InputError
from physlearn.models import Perceptron, SymmetricPerceptron
from physlearn.models.energies import Linear
from physlearn.results import Status
from physlearn.solvers import ParallelTempering, expected_swap_rate, solve
from physlearn.solvers.tempering import equal_steps, expected_separation

FALSE_ALARM = 1e-4


def exact(model, N, P, seed=7):
    """An instance, the energies of its 2^N configurations in binary order."""
    instance = model.with_alpha(P / N).sample(N, seed)
    configurations = 2 * ((np.arange(2**N)[:, None] >> np.arange(N)) & 1) - 1
    stabilities = configurations @ instance.gauged.T / np.sqrt(N)
    lower, upper = model.channel.bounds
    return instance, np.count_nonzero((stabilities <= lower) | (stabilities >= upper), axis=1)


def moments(energies, beta):
    weights = np.exp(-beta * (energies - energies.min()))
    weights /= weights.sum()
    mean = weights @ energies
    return mean, weights @ (energies - mean) ** 2


@pytest.mark.parametrize("model", ["storage", "storage, gaussian", "symmetric, narrow"])
def test_mean_energies_at_all_temperatures(model):
    """z-scores of six runs at every place of the ladder; the ends of which are those asked for."""
    instance, energies = exact(ALL_MODELS[model], 13, 16)
    z = []
    for seed in range(6):
        result = solve(instance, ParallelTempering(3.0, 2000, n_replicas=5), seed)
        assert result.betas[[0, -1]].tolist() == [0.1, 3.0]
        assert (np.diff(result.betas) > 0).all()
        means = [moments(energies, beta)[0] for beta in result.betas]
        z.append([(e.mean - mean) / e.error for e, mean in zip(result.energies, means, strict=True)])
        assert result.mean_energy == result.energies[-1]
    z = np.array(z)
    assert np.abs(z).max() < stats.t.isf(FALSE_ALARM / z.size / 2, 20)
    # Temperatures of a run are correlated through the swaps: each place by itself. Its errors are known to a tenth.
    assert (np.sum(z**2, axis=0) < stats.chi2.isf(FALSE_ALARM, len(z)) * 1.3).all()


def test_coldest_replica_follows_the_gibbs_measure():
    """Chi squared of 4000 samples in 512 cells (rare ones pooled): configurations, not energies only."""
    instance, energies = exact(ALL_MODELS["band"], 9, 12)
    beta, n = 1.5, 4000
    solver = ParallelTempering(beta, (n + 40) * 10, n_replicas=3, sweeps_per_swap=2, sweeps_per_record=10)
    rng = np.random.default_rng(1)
    state, counts = solver.init(instance, rng), np.zeros(512)
    for k in range(n + 40):
        state = solver.sweep(instance, state, rng)
        counts[(state.weights > 0) @ (1 << np.arange(9))] += k >= 40
    probabilities = np.exp(-beta * energies)
    probabilities /= probabilities.sum()
    rare = n * probabilities < 8
    observed = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(n * probabilities[~rare], n * probabilities[rare].sum())
    assert len(observed) > 30
    assert stats.chi2.sf(np.sum((observed - expected) ** 2 / expected), len(observed) - 1) > FALSE_ALARM


def test_swap_rates_are_those_of_the_exact_distributions():
    """The mean of min(1, exp(dbeta dE)) over independent energies at both temperatures."""
    instance, energies = exact(ALL_MODELS["storage"], 13, 16)
    result = solve(instance, ParallelTempering(2.5, 12_000, n_replicas=4), 3)
    values, multiplicities = np.unique(energies, return_counts=True)
    weights = [multiplicities * np.exp(-beta * values) for beta in result.betas]
    n = result.state.swaps[0]
    for k, rate in enumerate(result.swap_rates):
        cold, hot = weights[k + 1] / weights[k + 1].sum(), weights[k] / weights[k].sum()
        exponents = (result.betas[k + 1] - result.betas[k]) * (values[:, None] - values)
        expected = cold @ np.minimum(1, np.exp(exponents)) @ hot
        assert rate == pytest.approx(expected, abs=4.5 * 0.5 * math.sqrt(4 / n[k]))


def test_the_ladder_makes_swap_rates_equal():
    """The rates of an even ladder differ by more than those of the one found."""
    instance = Perceptron(0.7).sample(201, 2)
    result = solve(instance, ParallelTempering(2.5, 4000, n_replicas=7), 1)
    rates = result.swap_rates
    assert result.highest_swap_rate - result.lowest_swap_rate < 0.15
    assert rates.max() == result.highest_swap_rate
    even = np.linspace(0.1, 2.5, 7)
    deviations = np.std(result.state.kept, axis=0)
    steps = np.diff(even) * np.interp((even[1:] + even[:-1]) / 2, result.betas, deviations)
    uneven = [expected_swap_rate(step) for step in steps]
    assert max(uneven) - min(uneven) > 2 * (rates.max() - rates.min())


def test_as_many_replicas_as_the_swap_rate_needs():
    instance = SymmetricPerceptron(1.0).sample(301, 2)
    few, many = (solve(instance, ParallelTempering(1.5, 1200, swap_rate=rate), 1) for rate in (0.2, 0.6))
    assert few.n_replicas < many.n_replicas
    for result, rate in ((few, 0.2), (many, 0.6)):
        # one replica more or less, and what the pilot did not see
        assert np.mean(result.swap_rates) == pytest.approx(rate, abs=0.15)


def test_expected_swap_rate_of_normal_energies():
    """erfc(separation/2) against the mean over two normal variables."""
    z, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    for separation in (0.0, 0.3, 1.2, 2.5):
        x = -(separation**2) + separation * (z[:, None] - z)
        mean = weights @ np.minimum(1, np.exp(x)) @ weights
        assert expected_swap_rate(separation) == pytest.approx(mean, abs=2e-3)
        assert expected_separation(expected_swap_rate(separation)) == pytest.approx(separation, abs=1e-12)


def test_equal_steps():
    betas = np.array([0.0, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(equal_steps(betas, np.array([2.0, 1.0, 1.0]), 5), [0, 0.5, 1, 2, 4])
    np.testing.assert_allclose(equal_steps(betas, np.zeros(3), 5), [0, 1, 2, 3, 4])
    assert (np.diff(equal_steps(betas, np.array([1.0, 0.0, 0.0]), 9)) > 0).all()


def test_round_trips_are_counted():
    """Against the paths of all replicas, followed from outside, swap by swap."""
    instance = Perceptron(1.0).sample(31, 2)
    solver = ParallelTempering(1.5, 3000, n_replicas=3, sweeps_per_swap=2, sweeps_per_record=2, burn_in=0.1)
    rng, paths = np.random.default_rng(3), []
    state = solver.init(instance, rng)
    while solver.status(instance, state) is None:
        state = solver.sweep(instance, state, rng)
        if state.n_sweeps > state.burn_in:
            paths.append(np.argsort(state.names))
    n_trips = 0
    for path in np.array(paths).T:
        ends = [place for place in path if place in (0, 2)]
        ends = [place for place, before in zip(ends, [None, *ends], strict=False) if place != before]
        n_trips += max(0, ends.count(0) - 1)
    assert n_trips == state.n_round_trips > 50
    observables = solver.observables(instance, state)
    assert observables["round_trip_time"].mean == pytest.approx(3 * 2700 / n_trips)
    assert sorted(state.names) == [0, 1, 2]


def test_without_a_round_trip_nothing_is_in_equilibrium():
    result = solve(Perceptron(1.0).sample(201, 1), ParallelTempering(5.0, 60, n_replicas=8), 1)
    assert result.status is Status.NOT_EQUILIBRATED
    assert (result.n_round_trips, result.round_trip_time.mean) == (0, math.inf)
    assert result.equilibrated == 0
    solved = solve(Perceptron(0.3).sample(101, 1), ParallelTempering(6.0, 400), 1)
    assert (solved.status, solved.n_round_trips, solved.equilibrated) == (Status.SOLVED, 0, 0)
    assert solve(Perceptron(1.0).sample(31, 2), ParallelTempering(1.5, 3000), 1).equilibrated == 1


def test_it_solves_and_stops_if_asked():
    """Where the walk at the coldest temperature alone is trapped."""
    instance = Perceptron(0.6).sample(51, 4)
    result = solve(instance, ParallelTempering(4.0, 20_000, stop_at_solution=True), 1)
    assert result.status is Status.SOLVED
    assert result.energy == result.trace.lowest_energy[-1] == 0
    assert result.n_sweeps < 20_000
    going_on = solve(instance, ParallelTempering(4.0, 1000), 1)
    assert going_on.n_sweeps == 1000


def test_autocorrelation_times():
    """Of independent energies 1/2: at beta near zero a sweep of N flips forgets nearly all."""
    instance = Perceptron(1.0).sample(101, 2)
    result = solve(instance, ParallelTempering(2.0, 4000, beta_min=0.01), 1)
    times = result.autocorrelation_times
    assert times[0].mean == pytest.approx(0.5, abs=0.2)
    assert times[-1].mean > 2
    assert result.autocorrelation_time == times[-1]
    assert result.mean_energy.n_eff == pytest.approx(times[-1].n_eff, rel=0.3)
    data = result.to_dataset()
    assert float(data["autocorrelation_time_at_beta"][-1]) == float(data["autocorrelation_time"])


def test_resumed_with_more_sweeps():
    """The ladder is kept: a run resumed to a total is the one whose burn-in was fixed by its first part."""
    instance = Perceptron(0.8).sample(41, 0)
    first = solve(instance, ParallelTempering(2.0, 400, n_replicas=4), 1)
    second = solve(instance, ParallelTempering(2.0, 800, n_replicas=4), 2, state=first.state)
    assert second.n_sweeps == 800
    np.testing.assert_array_equal(second.betas, first.betas)
    assert second.state.burn_in == 120
    assert len(second.state.kept) == 680
    with pytest.raises(InputError, match=r"^state: got walks from beta = 0\.1 to 2; allowed: walks from"):
        solve(instance, ParallelTempering(3.0, 800, n_replicas=4), 2, state=first.state)


def test_a_state_belongs_to_its_recipe():
    instance = Perceptron(0.8).sample(41, 0)
    state = solve(instance, ParallelTempering(2.0, 100, n_replicas=4), 1).state
    with pytest.raises(
        InputError, match=r"^state: got a walk of Errors\(\) with 1 replica; allowed: .* Linear\(\)"
    ):
        solve(instance, ParallelTempering(2.0, 200, n_replicas=4, energy=Linear()), 2, state=state)
    with pytest.raises(
        InputError,
        match=r"^state: got a ladder of 4 temperatures; allowed: ladders of this solver's n_replicas = 5\.$",
    ):
        solve(instance, ParallelTempering(2.0, 200, n_replicas=5), 2, state=state)
    assert solve(instance, ParallelTempering(2.0, 200), 2, state=state).n_replicas == 4


def test_dataset_has_the_ladder():
    result = solve(Perceptron(0.8).sample(41, 0), ParallelTempering(2.0, 400, n_replicas=4), 1)
    data = result.to_dataset()
    assert data["energy_at_beta"].dims == ("beta",)
    np.testing.assert_array_equal(data["beta"], result.betas)
    assert float(data["energy_at_beta"][-1]) == float(data["mean_energy"])
    assert data["swap_rate"].shape == (3,)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ParallelTempering(0, 10), r"beta_max: got 0; allowed: a finite number > 0\."),
        (
            lambda: ParallelTempering(1.0, 10, beta_min=1.0),
            r"beta_min: got 1\.0; allowed: inverse temperatures below beta_max = 1\.",
        ),
        (
            lambda: ParallelTempering(1.0, 10, n_replicas=1),
            r"n_replicas: got 1; allowed: an integer >= 2 and <= 1000\.",
        ),
        (
            lambda: ParallelTempering(1.0, 10**13, sweeps_per_swap=10**13),
            r"sweeps_per_swap: got 10{13}; allowed: an integer >= 1 and <= 1000000\.",
        ),
        (
            lambda: ParallelTempering(1.0, 10, swap_rate=1),
            r"swap_rate: got 1; allowed: a finite number > 0 and < 1\.",
        ),
        (
            lambda: ParallelTempering(1.0, 10, stop_at_solution="no"),
            r"stop_at_solution: got 'no'; allowed: one of False, True\.",
        ),
    ],
)
def test_bad_recipes_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        make()
