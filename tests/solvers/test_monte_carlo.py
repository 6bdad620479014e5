"""Monte Carlo samples the measure it claims, against all configurations of small instances."""

import numpy as np
import pytest
from catalogue import ALL_MODELS
from scipy import stats

from physlearn.inputs import InputError
from physlearn.kernels.metropolis import REFRESH
from physlearn.models import Committee, Instance, Perceptron, Replicated, SymmetricPerceptron, Teacher
from physlearn.models.energies import CrossEntropy, Linear
from physlearn.models.schedules import geometric, linear
from physlearn.results import Status
from physlearn.solvers import Metropolis, RejectionFree, ReplicatedAnnealing, SimulatedAnnealing, solve

N = 9
FALSE_ALARM = 1e-4
MODELS = [
    "storage",
    "storage, margin",
    "storage, gaussian",
    "teacher",
    "symmetric",
    "symmetric, narrow",
    "probit, teacher",
    "band",
    "band, gaussian",
]


def exact(model, P, beta, N=N):
    """An instance, the energies of its 2^N configurations in binary order, and their Gibbs weights."""
    model = ALL_MODELS[model].with_alpha(P / N)
    instance = model.sample(N, 7)
    configurations = 2 * ((np.arange(2**N)[:, None] >> np.arange(N)) & 1) - 1
    stabilities = configurations @ (instance.labels[:, None] * instance.patterns).T / np.sqrt(N)
    lower, upper = model.channel.bounds
    energies = np.count_nonzero((stabilities <= lower) | (stabilities >= upper), axis=1)
    boltzmann = np.exp(-beta * energies)
    return instance, energies, boltzmann / boltzmann.sum()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("P", "beta"), [(6, 1.0), (14, 0.5)])
def test_samples_follow_the_gibbs_measure(model, P, beta):
    """Chi squared of 12000 samples, thinned to one in ten sweeps, in 512 cells (rare ones pooled)."""
    instance, _, probabilities = exact(model, P, beta)
    n, thinning = 12_000, 10
    solver, rng = (
        Metropolis(beta, n_sweeps=(n + 1) * thinning, sweeps_per_record=thinning),
        np.random.default_rng(P),
    )
    state = solver.sweep(instance, solver.init(instance, rng), rng)
    counts = np.zeros(2**N)
    for _ in range(n):
        state = solver.sweep(instance, state, rng)
        counts[(state.weights > 0) @ (1 << np.arange(N))] += 1
    rare = n * probabilities < 8
    observed, expected = counts[~rare], n * probabilities[~rare]
    if rare.any():
        observed, expected = (
            np.append(observed, counts[rare].sum()),
            np.append(expected, n * probabilities[rare].sum()),
        )
    assert len(observed) > 50
    assert stats.chi2.sf(np.sum((observed - expected) ** 2 / expected), len(observed) - 1) > FALSE_ALARM


@pytest.mark.parametrize("model", MODELS)
def test_mean_energy_and_its_error(model):
    """Mean and error of twenty chains: their z-scores are those of a normal variable."""
    beta = 0.7
    instance, energies, probabilities = exact(model, 12, beta, N=11)
    chains = [solve(instance, Metropolis(beta, 4000), seed).mean_energy for seed in range(20)]
    z = np.array([(chain.mean - probabilities @ energies) / chain.error for chain in chains])
    low, high = stats.chi2.ppf([FALSE_ALARM, 1 - FALSE_ALARM], len(z))
    assert low < z @ z < high
    pooled = np.mean([chain.mean for chain in chains]) - probabilities @ energies
    error = np.sqrt(np.mean([chain.error**2 for chain in chains]) / len(chains))
    assert abs(pooled) < stats.norm.isf(FALSE_ALARM / 2) * error


@pytest.mark.parametrize("kind", ["binary", "gaussian"])
@pytest.mark.parametrize("N", [6, 8])
def test_both_parities_are_visited_at_infinite_temperature(kind, N):
    """At beta = 0 every flip is accepted: a sweep of even length would never leave the start's parity."""
    rng = np.random.default_rng(N)
    model = Perceptron(1 / N, patterns=kind)
    instance = Instance(rng.choice([-1, 1], size=(1, N)), [1], model=model)
    configurations = 2 * ((np.arange(2**N)[:, None] >> np.arange(N)) & 1) - 1
    energies = np.array([model.energy(instance, w) for w in configurations])
    parity = (configurations > 0).sum(axis=1) % 2
    means = [energies[parity == p].mean() for p in (0, 1)]
    estimate = solve(instance, Metropolis(0.0, 20_000), 1).mean_energy
    assert abs(means[0] - means[1]) > 20 * estimate.error
    assert abs(estimate.mean - energies.mean()) < stats.norm.isf(FALSE_ALARM / 2) * estimate.error


def test_energy_fluctuates_as_it_should():
    """Var E = -d<E>/d beta, and the acceptance rate is <min(1, e^{-beta dE})>, both over all configurations."""
    beta, n = 0.8, 40_000
    instance, energies, probabilities = exact("storage", 14, beta)
    result = solve(instance, Metropolis(beta, n, sweeps_per_record=1), 3)
    flipped = np.arange(2**N)[:, None] ^ (1 << np.arange(N))
    accepted = np.exp(-beta * np.maximum(0, energies[flipped] - energies[:, None])).mean(axis=1)
    assert result.acceptance_rate == pytest.approx(probabilities @ accepted, abs=4 / np.sqrt(n))
    sampled = result.trace.energy[n // 5 :]
    mean = probabilities @ energies
    variance = probabilities @ (energies - mean) ** 2
    kurtosis = probabilities @ (energies - mean) ** 4 / variance**2
    error = variance * np.sqrt((kurtosis - 1) / result.mean_energy.n_eff)
    assert abs(np.var(sampled) - variance) < 4.5 * error


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "model",
    [
        Perceptron(0.2),
        Perceptron(0.2, patterns="gaussian"),
        Perceptron(0.2, margin=0.1),
        Perceptron(0.2, rule=Teacher()),
        SymmetricPerceptron(0.2),
    ],
    ids=repr,
)
def test_annealing_solves_easy_instances(model, seed):
    result = solve(model.sample(201, seed), SimulatedAnnealing(), seed)
    assert result.status is Status.SOLVED
    assert result.energy == 0
    assert result.n_sweeps < 1000


def test_annealing_returns_the_lowest_energy_it_met():
    """On an instance beyond capacity the run is COMPLETED, its weights no worse than any record."""
    solver = SimulatedAnnealing(n_sweeps=300, schedule=(0.5,), sweeps_per_record=1)
    result = solve(Perceptron(1.5).sample(101, 1), solver, 2)
    assert result.status is Status.COMPLETED
    assert result.n_sweeps == 300
    assert 0 < result.energy <= result.trace.energy.min()
    assert result.energy < result.trace.energy[-1]


def test_annealing_follows_its_schedule():
    solver = SimulatedAnnealing(n_sweeps=7, schedule=iter([0.5, 1.0, 3.0]), sweeps_per_record=1)
    assert solver.schedule == (0.5, 1.0, 3.0)
    result = solve(Perceptron(3.0).sample(51, 0), solver, 0)
    assert result.trace.beta.tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 3.0, 3.0]
    assert linear(0, 1, 3) == (0.0, 0.5, 1.0)
    assert geometric(1, 4, 3) == pytest.approx((1.0, 2.0, 4.0))


def test_resumed_metropolis_reaches_the_longer_total():
    """The averages of a run resumed with more sweeps are over all of them, not over the rest."""
    instance = Perceptron(0.8, patterns="gaussian").sample(41, 0)
    rng = np.random.default_rng(1)
    first = solve(instance, Metropolis(0.5, 133), rng)
    second = solve(instance, Metropolis(0.5, 400), rng, state=first.state)
    whole = solve(instance, Metropolis(0.5, 400), 1)
    assert second.observables == whole.observables
    assert second.n_sweeps == 400
    assert second.trace.sweep.tolist() == list(range(140, 401, 10))
    np.testing.assert_array_equal(second.weights, whole.weights)


@pytest.mark.parametrize("n_sweeps", [20, 40])
def test_a_walk_goes_on_at_its_own_temperature(n_sweeps):
    """Else its averages would be over sweeps at both."""
    instance = Perceptron(0.8).sample(41, 0)
    state = solve(instance, Metropolis(0.5, 20), 1).state
    with pytest.raises(
        InputError, match=r"^state: got a walk at beta = 0\.5; allowed: walks at .* beta = 2\.$"
    ):
        solve(instance, Metropolis(2.0, n_sweeps), 1, state=state)


def test_a_walk_goes_on_with_its_own_energy_and_replicas():
    instance = Perceptron(0.8).sample(41, 0)
    state = solve(instance, Metropolis(0.5, 20), 1).state
    with pytest.raises(InputError, match=r"^state: got a walk of Errors\(\) with 1 replica; allowed: .*\.$"):
        solve(instance, Metropolis(0.5, 40, energy=Linear()), 1, state=state)
    state = solve(instance, ReplicatedAnnealing(20), 1).state
    with pytest.raises(InputError, match=r"^state: got a walk of Errors\(\) with 3 replicas; allowed: .*\.$"):
        solve(instance, ReplicatedAnnealing(40, n_replicas=5), 1, state=state)
    with pytest.raises(
        InputError,
        match=r"^state: got an attraction of 'pairs'; allowed: this solver's attraction of 'centre'\.$",
    ):
        solve(instance, ReplicatedAnnealing(40, attraction="centre"), 1, state=state)


@pytest.mark.parametrize("energy", [Linear(), CrossEntropy(2.0)], ids=repr)
@pytest.mark.parametrize("model", [Perceptron(0.4), Committee(0.3), Committee(0.3, tree=True)], ids=repr)
def test_smoother_energies_anneal_further(model, energy):
    """At these loads the number of errors traps the walk (0.4 for the perceptron); distances guide it."""
    N = 151 if model.n_hidden == 1 else 153
    instance = model.sample(N, 2)
    result = solve(instance, SimulatedAnnealing(300, linear(1, 60, 100), energy=energy), 1)
    assert result.energy <= solve(instance, SimulatedAnnealing(300), 1).energy
    assert result.trace.cost[-1] < result.trace.cost[0]


def test_replicas_come_together_along_a_schedule():
    solver = ReplicatedAnnealing(200, (1.0,), coupling_schedule=linear(0, 2, 20), sweeps_per_record=10)
    result = solve(Perceptron(1.2).sample(101, 1), solver, 2)
    assert result.trace.coupling.tolist() == pytest.approx(linear(0, 2, 20))
    assert abs(result.trace.overlap[0]) < 0.4
    assert result.trace.overlap[-1] > 0.9
    assert result.state.weights.shape == (3, 101)
    assert result.energy <= result.trace.energy.min() / 3


def test_a_solution_in_any_replica_ends_the_annealing():
    result = solve(Perceptron(0.2).sample(201, 1), ReplicatedAnnealing(), 2)
    assert result.status is Status.SOLVED
    assert result.energy == 0
    fixed = Replicated(Perceptron(0.2), 3, 0.05)
    assert solve(fixed.sample(201, 1), SimulatedAnnealing(), 2).status is Status.SOLVED


def test_the_autocorrelation_time_tells_the_error():
    """n_eff by blocking and n/(2 tau) agree within what either is known to."""
    result = solve(Perceptron(0.8).sample(101, 0), Metropolis(0.5, 20_000), 1)
    tau, energy = result.autocorrelation_time, result.mean_energy
    assert tau.n_eff / energy.n_eff == pytest.approx(1, abs=0.3)
    assert 0.5 < tau.mean < 100
    assert tau.error < 0.2 * tau.mean


@pytest.mark.parametrize("solver", [Metropolis, RejectionFree])
def test_a_frozen_walk_claims_no_error(solver):
    """At beta = 30 it stays where it fell; without a pattern every configuration has the energy zero."""
    result = solve(Perceptron(0.9).sample(101, 1), solver(30.0, 2000, 10), 1)
    assert result.mean_energy.mean > 0
    assert (result.mean_energy.error, result.mean_energy.n_eff) == (np.inf, 1.0)
    empty = Instance(np.zeros((0, 9)), np.zeros(0), model=Perceptron(1.0, patterns="gaussian"))
    result = solve(empty, solver(1.0, 200, 10), 1)
    assert (result.mean_energy.mean, result.mean_energy.error) == (0.0, 0.0)


def test_averages_are_taken_after_the_burn_in():
    result = solve(Perceptron(0.8).sample(41, 0), Metropolis(1.0, 50, sweeps_per_record=1, burn_in=0.3), 1)
    assert result.mean_energy.mean == pytest.approx(result.trace.energy[15:].mean(), rel=1e-12)
    assert result.acceptance_rate == pytest.approx(result.trace.acceptance_rate[15:].mean(), rel=1e-12)
    assert result.mean_energy.mean != pytest.approx(result.trace.energy.mean(), rel=1e-6)


def test_real_stabilities_are_refreshed():
    """Whatever rounding has done to the running sums is gone at the next refresh."""
    instance, rng = Perceptron(0.8, patterns="gaussian").sample(41, 0), np.random.default_rng(1)
    state = Metropolis(0.5, REFRESH).init(instance, rng)
    state = Metropolis(0.5, REFRESH, sweeps_per_record=REFRESH).sweep(instance, state, rng)
    state.system.sums[:] += 3.0
    state = Metropolis(0.5, REFRESH + 1, sweeps_per_record=REFRESH + 1).sweep(instance, state, rng)
    assert state.n_sweeps == REFRESH + 1
    assert state.energy == instance.model.energy(instance, state.weights)


def test_margins_on_the_lattice_are_decided_as_by_the_model():
    """With the margin at a value the stabilities can take, equality is a violation, whatever rounding says."""
    rng = np.random.default_rng(0)
    for N, k in ((9, 3), (11, 1), (15, 5), (25, 5), (27, 3)):
        for kind in ("binary", "gaussian"):
            patterns = rng.choice([-1, 1], size=(3 * N, N)) * (1 if kind == "binary" else 1.0)
            model = Perceptron(3.0, margin=k / np.sqrt(N), patterns=kind)
            instance = Instance(patterns, np.ones(3 * N), model=model)
            solver, rng = Metropolis(0.3, 100, sweeps_per_record=1), np.random.default_rng(N)
            state = solver.init(instance, rng)
            for _ in range(100):
                state = solver.sweep(instance, state, rng)
                assert state.energy == model.energy(instance, state.weights)


def test_structured_patterns_may_reach_any_stability():
    """All patterns equal: the counters run through their whole range without wrapping into the edge."""
    for N in (7, 8, 15, 16, 63):
        instance = Instance(np.ones((70, N)), np.ones(70), model=Perceptron(70 / N, margin=-0.5))
        solver, rng = Metropolis(0.0, 200, sweeps_per_record=1), np.random.default_rng(N)
        state = solver.init(instance, rng)
        for _ in range(200):
            state = solver.sweep(instance, state, rng)
            assert state.energy == instance.model.energy(instance, state.weights)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Metropolis(-1, 10), r"beta: got -1; allowed: a finite number >= 0\."),
        (lambda: Metropolis(float("nan"), 10), r"beta: got nan; allowed: a finite number >= 0\."),
        (lambda: Metropolis(1, 0), r"n_sweeps: got 0; allowed: an integer >= 1 and <= 10{18}\."),
        (lambda: Metropolis(1, 10.0), r"n_sweeps: got 10\.0; allowed: an integer >= 1 and <= 10{18}\."),
        (lambda: Metropolis(1, 10, 0), r"sweeps_per_record: got 0; allowed: an integer >= 1\."),
        (lambda: Metropolis(1, 10, burn_in=1), r"burn_in: got 1; allowed: a finite number >= 0 and < 1\."),
        (
            lambda: SimulatedAnnealing(10, ()),
            r"schedule: got \(\); allowed: a sequence of inverse temperatures, at least one\.",
        ),
        (
            lambda: SimulatedAnnealing(10, 2.0),
            r"schedule: got 2\.0; allowed: a sequence of inverse temperatures, at least one\.",
        ),
        (
            lambda: ReplicatedAnnealing(10, n_replicas=1),
            r"n_replicas: got 1; allowed: an integer >= 2 and <= 1000\.",
        ),
        (
            lambda: ReplicatedAnnealing(10, coupling_schedule=()),
            r"coupling_schedule: got \(\); allowed: a sequence of couplings, at least one\.",
        ),
        (
            lambda: ReplicatedAnnealing(10, attraction="all"),
            r"attraction: got 'all'; allowed: one of 'pairs', 'centre'\.",
        ),
        (lambda: SimulatedAnnealing(10, (1, -1)), r"schedule: got -1; allowed: a finite number >= 0\."),
        (
            lambda: SimulatedAnnealing(10, (1.0, 0.5)),
            r"schedule: got \(1\.0, 0\.5\); allowed: inverse temperatures that never decrease\.",
        ),
        (
            lambda: ReplicatedAnnealing(10, coupling_schedule=(1.0, 0.5)),
            r"coupling_schedule: got \(1\.0, 0\.5\); allowed: couplings that never decrease\.",
        ),
        (lambda: Metropolis(10**400, 10), r"beta: got 10{76}\.\.\.; allowed: a finite number >= 0\."),
        (lambda: Metropolis(1, 10**30), r"n_sweeps: got 10{30}; allowed: an integer >= 1 and <= 10{18}\."),
        (
            lambda: solve(Perceptron(1.0).sample(9, 1), Metropolis(1, 10**13, 10**13), 1),
            r"sweeps_per_record: got 10{13}; allowed: at most 10{7} at this size\.",
        ),
        (
            lambda: ReplicatedAnnealing(10, n_replicas=10**9),
            r"n_replicas: got 10{9}; allowed: an integer >= 2 and <= 1000\.",
        ),
        (lambda: SimulatedAnnealing(10, ("hot",)), r"schedule: got 'hot'; allowed: a finite number >= 0\."),
    ],
)
def test_bad_recipes_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        make()
