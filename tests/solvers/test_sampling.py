"""Every sampler of every model and energy draws from the measure it claims, counted out on all configurations."""

import itertools
import zlib

import numpy as np
import pytest
from catalogue import ALL_MODELS
from scipy import stats

from physlearn.estimates import autocorrelation_time
from physlearn.models import Committee, Instance, Replicated, Tethered
from physlearn.models.energies import CrossEntropy, Errors, Linear
from physlearn.solvers import (
    Metropolis,
    ParallelTempering,
    RejectionFree,
    ReplicatedAnnealing,
    SimulatedAnnealing,
    ThermodynamicIntegration,
    solve,
)
from physlearn.solvers.enumeration import unpacked
from physlearn.solvers.replicas import attraction

FALSE_ALARM = 1e-4
ENERGIES = [Errors(), Linear(), CrossEntropy(0.7)]
SINGLE = ["storage", "storage, gaussian", "storage, margin", "symmetric", "band", "band, gaussian"]
COMMITTEES = ["committee", "committee, gaussian", "tree, teacher", "tree, gaussian"]
BETA, COUPLING, N_SAMPLES = 0.7, 0.25, 6000
COUNTED = {}


def drawn(model, P, N=12):
    """Ties are violated: even numbers of +-1 weights, which `Model.sample` refuses, are counted like any others."""
    rng = np.random.default_rng(7)
    model = ALL_MODELS[model].with_alpha(P / N)
    shape = (P, model.n_inputs(N))
    patterns = rng.choice([-1, 1], size=shape) if model.patterns == "binary" else rng.standard_normal(shape)
    return Instance(patterns, rng.choice([-1, 1], size=P), model=model)


def tethered(instance):
    return Tethered(instance, np.where(np.arange(instance.N) % 3 == 0, 1, -1), 0.3)


def energies(instance, energy):
    """Of all 2^N configurations, in binary order; counted once for each instance."""
    key = (zlib.crc32(instance.gauged), repr(instance.model), energy)
    if key not in COUNTED:
        configurations = unpacked(np.arange(2**instance.N), instance.N)
        COUNTED[key] = np.array([energy.total(instance, w) for w in configurations])
    return COUNTED[key]


def log_weights(instance, energy, beta):
    """-beta E + external.w of all 2^N configurations, in binary order."""
    external = np.zeros(instance.N) if instance.external is None else instance.external
    return unpacked(np.arange(2**instance.N), instance.N) @ external - beta * energies(instance, energy)


def together(distances, N, coupling, kind):
    """Log of the weight that two coupled replicas have for their distance, as `Replicated` states it."""
    if kind == "pairs":
        return coupling * (N - 2 * distances)
    # Sites where both are the same have c.(w + w') = +-2, the others 0.
    return (N - distances) * np.log(2 * np.cosh(2 * coupling)) + distances * np.log(2)


def samples(instance, make):
    """Configurations as integers, shape (n, n_replicas), so far apart that no weight remembers the one before.

    `make` gives a solver of so many sweeps, so many to a record.
    """
    rng = np.random.default_rng(11)
    pilot = make(4000, 1)
    state, series = pilot.init(instance, rng), []
    for _ in range(4000):
        state = pilot.sweep(instance, state, rng)
        series.append(state.weights.ravel().copy())
    series = np.array(series[400:], dtype=float)
    times = [autocorrelation_time(column).mean for column in series.T]
    times.append(autocorrelation_time(np.concatenate(state.steps)[400:, 0]).mean)
    thinning = int(np.ceil(8 * max(times)))
    solver = make(N_SAMPLES * thinning, thinning)
    state = solver.init(instance, rng)
    for _ in range(3):
        state = pilot.sweep(instance, state, rng)
    state.counts[2] = 0
    powers, found = 1 << np.arange(instance.N), []
    for _ in range(N_SAMPLES):
        state = solver.sweep(instance, state, rng)
        found.append((np.atleast_2d(state.weights) > 0) @ powers)
    return np.array(found)


def assert_follows(counts, probabilities):
    """Chi squared of the cells visited; rare cells are pooled."""
    expected = counts.sum() * probabilities
    rare = expected < 15
    observed, expected = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
    if expected[-1] < 15:
        observed, expected = observed[:-1], expected[:-1]
    assert len(observed) > 20
    assert stats.chi2.sf(np.sum((observed - expected) ** 2 / expected), len(observed) - 1) > FALSE_ALARM


def assert_mean(values, exact, variance):
    """Which sees a temperature or a coupling that is ten per cent wrong, as chi squared of many cells does not."""
    assert abs(np.mean(values) - exact) < 4.5 * np.sqrt(variance / len(values))


def levels(weights, n):
    """Which of n ranges of log weights, about equally probable, a configuration is in."""
    order = np.argsort(weights, kind="stable")
    cumulative = np.cumsum(np.exp(weights[order] - weights.max()))
    level = np.empty(weights.size, dtype=int)
    level[order] = np.minimum(n * cumulative / cumulative[-1], n - 1)
    return level


def assert_drawn_from(found, weights):
    """Mean log weight; chi squared of all but the last four weights, and of those with the log weight of the whole."""
    probabilities = np.exp(weights - weights.max())
    probabilities /= probabilities.sum()
    mean = probabilities @ weights
    assert_mean(weights[found], mean, probabilities @ (weights - mean) ** 2)
    states = np.arange(weights.size)
    for cell in (
        states & (weights.size // 16 - 1),
        levels(weights, 16) * 16 + states // (weights.size // 16),
    ):
        expected = np.bincount(cell, probabilities)
        assert_follows(np.bincount(cell[found], minlength=expected.size), expected)


def assert_pairs_drawn_from(found, weights, coupling, kind):
    """Chi squared of the distance of two replicas, with the range of log weights that either is in.

    With f_a the weights of range a and F the Walsh-Hadamard transform, the pairs c, c + u (modulo 2) of ranges a and b
    weigh F^-1[F f_a F f_b](u) together, and their distance is the number of bits in u.
    """
    N, n = weights.size.bit_length() - 1, 5
    level, bits = levels(weights, n), np.bitwise_count(np.arange(weights.size)).astype(int)
    single, sites = np.exp(weights - weights.max()), tuple(range(1, N + 1))
    parts = np.where(level == np.arange(n)[:, None], single, 0.0).reshape(n, *[2] * N)
    parts = np.fft.fftn(parts, axes=sites).real
    expected = np.zeros((n, n, N + 1))
    for a, b in np.ndindex(n, n):
        expected[a, b] = np.bincount(bits, np.fft.ifftn(parts[a] * parts[b]).real.ravel())
    attracted = together(np.arange(N + 1), N, coupling, kind)
    expected = np.maximum(expected, 0) * np.exp(attracted - attracted.max())
    distances = bits[found[:, 0] ^ found[:, 1]]
    probabilities = expected.sum(axis=(0, 1)) / expected.sum()
    mean = probabilities @ np.arange(N + 1)
    assert_mean(distances, mean, probabilities @ (np.arange(N + 1) - mean) ** 2)
    cell = (level[found[:, 0]] * n + level[found[:, 1]]) * (N + 1) + distances
    assert_follows(np.bincount(cell, minlength=expected.size), expected.ravel() / expected.sum())


@pytest.mark.parametrize("model", [*SINGLE, *COMMITTEES])
@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
@pytest.mark.parametrize("tether", [False, True])
def test_metropolis(model, energy, tether):
    instance = drawn(model, 7)
    instance = tethered(instance) if tether else instance

    def make(n_sweeps, each):
        return Metropolis(BETA, n_sweeps, each, energy=energy)

    assert_drawn_from(samples(instance, make)[:, 0], log_weights(instance, energy, BETA))


ONE_OF_EACH_KIND = ("storage, margin", "band, gaussian", "committee", "tree, gaussian")


@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
@pytest.mark.parametrize(
    ("model", "beta", "tether"),
    [
        *((model, BETA, True) for model in (*SINGLE, *COMMITTEES)),
        *((model, 2.0, False) for model in ONE_OF_EACH_KIND),
    ],
)
def test_rejection_free(model, energy, beta, tether):
    instance = drawn(model, 7)
    instance = tethered(instance) if tether else instance

    def make(n_sweeps, each):
        return RejectionFree(beta, n_sweeps, each, energy=energy)

    assert_drawn_from(samples(instance, make)[:, 0], log_weights(instance, energy, beta))


@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
@pytest.mark.parametrize("kind", ["pairs", "centre"])
@pytest.mark.parametrize(
    ("model", "solver"),
    [
        ("storage", Metropolis),
        ("symmetric", Metropolis),
        ("storage, gaussian", Metropolis),
        ("storage", RejectionFree),
        ("storage, gaussian", RejectionFree),
    ],
)
def test_two_replicas(model, solver, energy, kind):
    check_two_replicas(model, solver, energy, kind)


@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
@pytest.mark.parametrize(
    ("model", "solver"),
    [("committee", Metropolis), ("tree, gaussian", Metropolis), ("committee", RejectionFree)],
)
def test_two_replicas_of_a_committee(model, solver, energy):
    check_two_replicas(model, solver, energy, "pairs")


def check_two_replicas(model, solver, energy, kind):
    instance = tethered(drawn(model, 4))
    instance.model = Replicated(instance.model, 2, COUPLING, kind)

    def make(n_sweeps, each):
        return solver(BETA, n_sweeps, each, energy=energy)

    assert_pairs_drawn_from(samples(instance, make), log_weights(instance, energy, BETA), COUPLING, kind)


def tempered(instance, beta, energy):
    """The coldest configurations of a tempering, as integers, shape (n, n_replicas), some autocorrelation times apart.

    The ladder does not change any more when they begin.
    """
    rng, powers, found = np.random.default_rng(12), 1 << np.arange(instance.N), []
    pilot = solve(
        instance, ParallelTempering(beta, 3000, n_replicas=3, sweeps_per_swap=1, energy=energy), rng
    )
    thinning = int(np.ceil(8 * pilot.autocorrelation_time.mean))
    n = N_SAMPLES // 2
    solver = ParallelTempering(
        beta,
        (n + 50) * thinning,
        n_replicas=3,
        sweeps_per_swap=1,
        sweeps_per_record=thinning,
        burn_in=50 / (n + 50),
        energy=energy,
    )
    state = solver.init(instance, rng)
    while solver.status(instance, state) is None:
        state = solver.sweep(instance, state, rng)
        if state.n_sweeps > state.burn_in:
            found.append((np.atleast_2d(state.weights) > 0) @ powers)
    return np.array(found)


@pytest.mark.parametrize(
    ("model", "energy", "tether"),
    [
        *itertools.product(["storage"], ENERGIES, [False, True]),
        ("band, gaussian", Linear(), True),
        ("committee", CrossEntropy(0.7), True),
    ],
    ids=repr,
)
def test_parallel_tempering(model, energy, tether):
    """At a temperature where a swap brings what a walk alone would seldom find."""
    instance, beta = drawn(model, 7), 1.5
    instance = tethered(instance) if tether else instance
    found = tempered(instance, beta, energy)
    assert_drawn_from(found[:, 0], log_weights(instance, energy, beta))


@pytest.mark.parametrize("kind", ["pairs", "centre"])
@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
def test_parallel_tempering_of_two_replicas(energy, kind):
    """In a tether: neither that nor their attraction is part of the energy that swaps are accepted by."""
    instance = tethered(drawn("storage", 4))
    instance.model = Replicated(instance.model, 2, COUPLING, kind)
    found = tempered(instance, 1.5, energy)
    assert_pairs_drawn_from(found, log_weights(instance, energy, 1.5), COUPLING, kind)


@pytest.mark.parametrize("kind", ["pairs", "centre"])
@pytest.mark.parametrize("energy", [Errors(), Linear()], ids=repr)
def test_annealing_at_rest(energy, kind):
    """On an instance without solutions, with schedules that do not change, annealing samples."""
    drawn_one = drawn("storage", 6)
    labels = np.append(drawn_one.labels, -drawn_one.labels[:1])
    instance = Instance(np.vstack([drawn_one.patterns, drawn_one.patterns[:1]]), labels)
    assert instance.contradiction

    def plain(n_sweeps, each):
        return SimulatedAnnealing(n_sweeps, (BETA,), each, energy)

    def replicated(n_sweeps, each):
        return ReplicatedAnnealing(n_sweeps, (BETA,), each, energy, 2, (COUPLING,), kind)

    weights = log_weights(instance, energy, BETA)
    assert_drawn_from(samples(instance, plain)[:, 0], weights)
    assert_pairs_drawn_from(samples(instance, replicated), weights, COUPLING, kind)


@pytest.mark.parametrize("kind", ["pairs", "centre"])
def test_the_field_of_the_others(kind):
    """Its definition: the ratio of the weights of w = +1 and -1 of one replica is e^{2h}, the others given."""
    gamma = 0.37
    for others in itertools.product([-1, 1], repeat=4):
        weights = []
        for w in (1, -1):
            spins = (w, *others)
            if kind == "pairs":
                weights.append(np.exp(gamma * sum(a * b for a, b in itertools.combinations(spins, 2))))
            else:
                weights.append(sum(np.exp(gamma * c * sum(spins)) for c in (-1, 1)))
        assert attraction(gamma, sum(others), kind) == pytest.approx(np.log(weights[0] / weights[1]) / 2)
    assert np.isfinite(attraction(1e4, np.arange(-6, 7), kind)).all()


@pytest.mark.parametrize("kind", ["pairs", "centre"])
@pytest.mark.parametrize("n_replicas", [2, 3])
def test_averages_over_replicas(kind, n_replicas):
    """Mean energy, cost and overlap, within their own errors, against all configurations of all replicas."""
    energy, N = Linear(), 4 if n_replicas == 3 else 5
    rng = np.random.default_rng(5)
    instance = tethered(Instance(rng.choice([-1, 1], size=(4, N)), np.ones(4)))
    single = log_weights(instance, energy, BETA)
    configurations = unpacked(np.arange(2**N), N).astype(int)
    indices = np.indices((2**N,) * n_replicas).reshape(n_replicas, -1)
    total = configurations[indices].sum(axis=0)  # (states, N)
    if kind == "pairs":
        coupled = COUPLING * ((total**2).sum(axis=1) - n_replicas * N) / 2
    else:
        coupled = np.log(2 * np.cosh(COUPLING * total)).sum(axis=1)
    weight = single[indices].sum(axis=0) + coupled
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    overlap = ((total**2).sum(axis=1) - n_replicas * N) / (N * n_replicas * (n_replicas - 1))
    errors = np.array([instance.model.energy(instance, w) for w in configurations])
    costs = np.array([energy.total(instance, w) for w in configurations])
    exact = {
        "overlap": weight @ overlap,
        "mean_energy": weight @ errors[indices].mean(axis=0),
        "mean_cost": weight @ costs[indices].mean(axis=0),
    }
    instance.model = Replicated(instance.model, n_replicas, COUPLING, kind)
    result = solve(instance, Metropolis(BETA, 60_000, 1000, energy=energy), 3)
    for name, value in exact.items():
        estimate = getattr(result, name)
        assert abs(estimate.mean - value) < 4.5 * estimate.error, name
        assert estimate.error < 0.02
    assert result.state.weights.shape == (n_replicas, N)
    best = result.state.errors.argmin()
    np.testing.assert_array_equal(result.weights, result.state.weights[best])
    w = result.state.weights.astype(int)
    pairs = [w[a] @ w[b] / N for a, b in itertools.combinations(range(n_replicas), 2)]
    assert result.trace.overlap[-1] == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("energy", [Errors(), Linear()], ids=repr)
def test_mean_energies_are_those_of_one_replica(energy):
    """By every sampler, of two coupled replicas in a tether, against all pairs of configurations."""
    instance = tethered(drawn("storage", 6, N=5))
    one, c = log_weights(instance, energy, BETA), np.arange(32)
    weights = np.exp(
        one[:, None] + one + together(np.bitwise_count(c[:, None] ^ c).astype(int), 5, COUPLING, "pairs")
    )
    values = energies(instance, energy)
    exact = weights.sum(axis=1) @ values / weights.sum()
    instance.model = Replicated(instance.model, 2, COUPLING, "pairs")
    for solver in (
        Metropolis(BETA, 20_000, 100, energy=energy),
        RejectionFree(BETA, 20_000, 5, energy=energy),
        ParallelTempering(BETA, 10_000, n_replicas=2, energy=energy),
        ThermodynamicIntegration(BETA, 10_000, 5, energy=energy),
    ):
        result = solve(instance, solver, 3)
        found = result.mean_energy if isinstance(energy, Errors) else result.mean_cost
        assert abs(found.mean - exact) < 4.5 * found.error
        assert found.error < exact / 50


def test_uncoupled_replicas_are_independent_walks():
    """Their mean energy is that of one, their overlap that of two independent ones."""
    instance = tethered(drawn("storage", 8, N=9))
    weights = np.exp(log_weights(instance, Errors(), BETA))
    weights /= weights.sum()
    magnetisation = weights @ unpacked(np.arange(512), 9)
    instance.model = Replicated(instance.model, 3, 0.0)
    result = solve(instance, Metropolis(BETA, 40_000, 1000), 3)
    assert abs(result.overlap.mean - np.mean(magnetisation**2)) < 4.5 * result.overlap.error


def test_strong_coupling_brings_replicas_together():
    instance = Committee(0.2).sample(3 * 21, 1)
    instance.model = Replicated(instance.model, 3, 4.0)
    result = solve(instance, Metropolis(0.1, 400, 10), 3)
    assert result.overlap.mean > 0.95
