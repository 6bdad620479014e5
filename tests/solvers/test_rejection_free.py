"""Dynamics without rejections: the Gibbs measure, and the law of Metropolis."""

import numpy as np
import pytest
from catalogue import ALL_MODELS
from scipy import stats

from physlearn.inputs import InputError
from physlearn.kernels.metropolis import ACCEPTED, ERRORS, PROPOSALS
from physlearn.models import Instance, Perceptron, Replicated, Tethered
from physlearn.models.energies import Errors, Linear
from physlearn.results import Status
from physlearn.solvers import Metropolis, RejectionFree, solve

N = 9
FALSE_ALARM = 1e-4
MODELS = ["storage, margin", "storage, gaussian", "symmetric, narrow", "band", "committee", "tree, gaussian"]


def exact(model, P, beta, N=N):
    """An instance, the energies of its 2^N configurations in binary order, and their Gibbs weights."""
    model = ALL_MODELS[model].with_alpha(P / N)
    instance = model.sample(N, 7)
    configurations = 2 * ((np.arange(2**N)[:, None] >> np.arange(N)) & 1) - 1
    energies = np.array([model.energy(instance, w) for w in configurations])
    boltzmann = np.exp(-beta * energies)
    return instance, energies, boltzmann / boltzmann.sum()


@pytest.mark.parametrize("model", ["storage", "storage, gaussian", "band"])
def test_time_spent_in_each_configuration(model):
    """Seen at equal intervals, N = 5 weights are in each configuration as often as it weighs, within the scatter."""
    beta, n_runs, n_sweeps = 2.0, 12, 2000
    instance, _, probabilities = exact(model, 8, beta, N=5)
    occupied = np.zeros((n_runs, 32))
    for run in range(n_runs):
        solver, rng = RejectionFree(beta, n_sweeps, 1), np.random.default_rng(run)
        state = solver.init(instance, rng)
        for _ in range(n_sweeps):
            state = solver.sweep(instance, state, rng)
            occupied[run, (state.weights > 0) @ (1 << np.arange(5))] += 1
    shares = occupied / n_sweeps
    error = shares.std(axis=0, ddof=1) / np.sqrt(n_runs)
    z = (shares.mean(axis=0) - probabilities) / np.maximum(error, 3e-4)
    assert np.abs(z).max() < stats.t.isf(FALSE_ALARM / 64, n_runs - 1)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("beta", [0.0, 0.7, 2.0])
def test_mean_energy_and_its_error(model, beta):
    """Mean and error of twenty chains, at low temperature long ones: their z-scores are those of a normal variable."""
    instance, energies, probabilities = exact(model, 12, beta)
    solver = RejectionFree(beta, 20_000 if beta > 1 else 5000, 20)
    chains = [solve(instance, solver, seed).mean_energy for seed in range(20)]
    z = np.array([(chain.mean - probabilities @ energies) / chain.error for chain in chains])
    low, high = stats.chi2.ppf([FALSE_ALARM, 1 - FALSE_ALARM], len(z))
    # errors from few effective samples are uncertain themselves: a t distribution's variance
    spread = np.mean([chain.n_eff / (chain.n_eff - 2) for chain in chains if chain.n_eff > 4])
    assert low < z @ z / max(spread, 1) < high
    pooled = np.mean([chain.mean for chain in chains]) - probabilities @ energies
    error = np.sqrt(np.mean([chain.error**2 for chain in chains]) / len(chains))
    assert abs(pooled) < stats.norm.isf(FALSE_ALARM / 2) * error


@pytest.mark.parametrize("model", ["storage", "symmetric, narrow", "storage, gaussian"])
def test_the_law_is_that_of_metropolis(model):
    """The same acceptance rate, and the same autocorrelation of the energy from sweep to sweep."""
    beta, n_sweeps, n_runs = 1.5, 3000, 12
    instance, energies, probabilities = exact(model, 10, beta)
    flipped = np.arange(2**N)[:, None] ^ (1 << np.arange(N))
    accepted = np.exp(-beta * np.maximum(0, energies[flipped] - energies[:, None])).mean(axis=1)
    rates, correlations = [], {RejectionFree: [], Metropolis: []}
    for kind, found in correlations.items():
        for seed in range(n_runs):
            result = solve(instance, kind(beta, n_sweeps, sweeps_per_record=1), seed)
            series = result.trace.energy[n_sweeps // 5 :] - probabilities @ energies
            found.append(np.mean(series[1:] * series[:-1]))
            if kind is RejectionFree:
                rates.append(result.acceptance_rate)
    assert stats.ttest_1samp(rates, probabilities @ accepted).pvalue > FALSE_ALARM
    assert stats.ttest_ind(*correlations.values(), equal_var=False).pvalue > FALSE_ALARM


@pytest.mark.parametrize("kind", ["pairs", "centre"])
def test_so_it_is_with_replicas_and_a_tether(kind):
    """Energy and overlap of three replicas, and their change from sweep to sweep, are those of Metropolis."""
    instance = Tethered(ALL_MODELS["storage"].with_alpha(1.2).sample(N, 7), np.ones(N), 0.2)
    instance.model = Replicated(instance.model, 3, 0.3, kind)
    found = {RejectionFree: [], Metropolis: []}
    for solver, values in found.items():
        for seed in range(12):
            result = solve(instance, solver(1.2, 2500, sweeps_per_record=1), seed)
            energy, overlap = (getattr(result.trace, name)[500:] for name in ("energy", "overlap"))
            moved = [np.mean(np.diff(series) ** 2) for series in (energy, overlap)]
            values.append([energy.mean(), overlap.mean(), result.acceptance_rate, *moved])
    for first, second in zip(*(np.array(values).T for values in found.values()), strict=True):
        assert stats.ttest_ind(first, second, equal_var=False).pvalue > FALSE_ALARM


def test_averages_over_time_are_those_of_the_walk():
    """Of three replicas with a linear energy: the averages of records of a sweep are near those at their ends."""
    instance = Perceptron(0.8).sample(21, 1)
    instance.model = Replicated(instance.model, 3, 0.2)
    result = solve(instance, RejectionFree(1.0, 4000, 1, energy=Linear()), 1)
    trace, state = result.trace, result.state
    assert result.mean_cost.mean == pytest.approx(trace.cost[800:].mean() / 3, rel=0.02)
    assert result.mean_energy.mean == pytest.approx(trace.energy[800:].mean() / 3, rel=0.02)
    w = state.weights.astype(int)
    now = np.mean([w[a] @ w[b] for a, b in ((0, 1), (0, 2), (1, 2))]) / 21
    assert trace.overlap[-1] == pytest.approx(now, abs=1e-12)
    assert result.overlap.mean == pytest.approx(trace.mean_overlap[800:].mean(), rel=1e-9)
    assert result.overlap.mean == pytest.approx(trace.overlap[800:].mean(), rel=0.02)
    assert state.flipped.sum() == state.counts[1]


def test_records_are_averages_over_time():
    """Every record counts all its proposals, also those of which none was accepted."""
    instance = Perceptron(0.5).sample(101, 1)
    result = solve(instance, RejectionFree(6.0, 20_000, 100, burn_in=0.5), 1)
    rows = np.concatenate(result.state.steps)
    assert (rows[:, PROPOSALS] == 100 * 101).all()
    np.testing.assert_allclose(result.trace.mean_energy, rows[:, ERRORS] / rows[:, PROPOSALS])
    idle = rows[1:, ACCEPTED] == 0
    assert idle.any()
    np.testing.assert_array_equal(result.trace.mean_energy[1:][idle], result.trace.energy[:-1][idle])
    assert result.mean_energy.mean == pytest.approx(result.trace.mean_energy[100:].mean(), rel=1e-12)
    assert result.acceptance_rate == pytest.approx(result.trace.acceptance_rate[100:].mean(), rel=1e-12)
    assert result.state.counts[1] == rows[:, ACCEPTED].sum() == result.state.flipped.sum()


def test_autocorrelation_times_are_those_of_metropolis():
    """In sweeps: as long as they are shorter than it, of records of any length."""
    instance = Perceptron(0.8).sample(51, 0)
    tau = solve(instance, Metropolis(2.5, 40_000), 1).autocorrelation_time
    assert tau.mean > 20
    for per_record in (1, 4):
        found = solve(instance, RejectionFree(2.5, 40_000, per_record), 2).autocorrelation_time
        assert abs(found.mean - tau.mean) < 4.5 * np.hypot(found.error, tau.error)
        assert found.error < 0.3 * found.mean


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("energy", [Errors(), Linear()], ids=repr)
def test_the_scale_of_real_patterns_is_of_no_account(energy):
    """Also where their squares leave the range of doubles; the linear energy has their units, and at rest beta = 0."""
    beta, results = float(isinstance(energy, Errors)), []
    patterns = np.random.default_rng(1).normal(size=(9, 11))
    for scale in (1.0, 2.0**530):
        instance = Instance(patterns * scale, np.ones(9), model=Perceptron(9 / 11, patterns="gaussian"))
        results.append(solve(instance, RejectionFree(beta, 200, energy=energy), 1))
    np.testing.assert_array_equal(results[0].weights, results[1].weights)
    assert results[0].mean_energy == results[1].mean_energy


def test_the_same_walk_however_it_is_recorded():
    """What is still to be waited for at the end of a record is not drawn anew."""
    instance = Perceptron(0.6).sample(51, 1)
    ends = [solve(instance, RejectionFree(3.0, 600, per_record), 1) for per_record in (1, 7, 600)]
    for end in ends[1:]:
        np.testing.assert_array_equal(end.weights, ends[0].weights)
        assert end.state.counts.tolist() == ends[0].state.counts.tolist()


def test_a_walk_goes_on_at_its_own_temperature():
    instance = Perceptron(0.8).sample(41, 0)
    state = solve(instance, RejectionFree(0.5, 20), 1).state
    with pytest.raises(InputError, match=r"^state: got a walk at beta = 0\.5; allowed: walks at .* = 2\.$"):
        solve(instance, RejectionFree(2.0, 40), 1, state=state)


def test_frozen_time_passes_at_no_cost():
    """At a beta where no flip can be expected, 10^12 sweeps end at once; at zero energy the walk is SOLVED."""
    instance = Perceptron(2.0).sample(21, 1)
    result = solve(instance, RejectionFree(1e4, 10**12, 10**10), 1)
    assert result.n_sweeps == 10**12
    assert result.status is Status.COMPLETED
    assert np.ptp(result.trace.energy[10:]) == 0
    assert solve(Perceptron(0.1).sample(51, 1), RejectionFree(5.0, 2000), 1).status is Status.SOLVED


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RejectionFree(-1, 10), r"beta: got -1; allowed: a finite number >= 0\."),
        (lambda: RejectionFree(1, 0), r"n_sweeps: got 0; allowed: an integer >= 1 and <= 10{18}\."),
        (lambda: RejectionFree(1, 10, 0), r"sweeps_per_record: got 0; allowed: an integer >= 1\."),
        (
            lambda: RejectionFree(1, 10, burn_in=1),
            r"burn_in: got 1; allowed: a finite number >= 0 and < 1\.",
        ),
        (
            lambda: solve(Perceptron(1.0).sample(9, 1), RejectionFree(1, 10**18, 10**18), 1),
            r"sweeps_per_record: got 10{18}; allowed: at most \d+ at this size\.",
        ),
    ],
)
def test_bad_recipes_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        make()
