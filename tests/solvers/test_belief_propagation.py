"""Belief propagation against enumeration where it is exact, and against itself written with plain sums elsewhere."""

import itertools
import math

import numpy as np
import pytest
from catalogue import ALL_MODELS, Band, Probit
from scipy.optimize import brentq

from physlearn import replica_symmetric
from physlearn.inputs import InputError
from physlearn.models import (
    Committee,
    GeneralizedLinear,
    Instance,
    Perceptron,
    SymmetricPerceptron,
    Teacher,
    Tethered,
    Threshold,
)
from physlearn.results import Status
from physlearn.solvers import (
    BeliefPropagation,
    Enumeration,
    ReinforcedBP,
    messages,
    solve,
)

EXACT = BeliefPropagation(messages="exact", tolerance=1e-12)


def configurations(N):
    return np.array(list(itertools.product((-1, 1), repeat=N)))


def by_enumeration(instance):
    """ln Z and the means, from all configurations, with the external field."""
    W = configurations(instance.N)
    solutions = np.array([instance.model.energy(instance, w) == 0 for w in W])
    external = np.zeros(instance.N) if instance.external is None else instance.external
    weight = solutions * np.exp(W @ external)
    return math.log(weight.sum()), weight @ W / weight.sum()


@pytest.mark.parametrize(
    "model",
    [
        Perceptron(1 / 11),
        Perceptron(1 / 11, margin=0.7),
        SymmetricPerceptron(1 / 11, half_width=0.8),
        GeneralizedLinear(1 / 11, channel=Band()),
        Committee(1 / 9, n_hidden=3, tree=True),
        Committee(1 / 5, n_hidden=5, tree=True),
        Committee(1 / 9, n_hidden=3),
    ],
    ids=str,
)
@pytest.mark.parametrize("field", [0.0, 0.4])
def test_a_single_pattern_is_exact(model, field):
    """The factor graph is then a tree (also of units that share inputs: each has weights of its own)."""
    N = round(1 / model.alpha)
    for seed in range(3):
        instance = model.sample(N, seed)
        if field:
            reference = np.random.default_rng(seed).choice([-1, 1], size=N)
            instance = Tethered(instance, reference, field)
        log_Z, means = by_enumeration(instance)
        result = solve(instance, EXACT, seed)
        assert result.status is Status.CONVERGED
        assert result.free_entropy == pytest.approx(log_Z / N, abs=1e-12)
        np.testing.assert_allclose(result.magnetisations, means, atol=1e-12)
        external = np.zeros(N) if instance.external is None else instance.external
        assert result.entropy == pytest.approx((log_Z - external @ means) / N, abs=1e-12)
        if field:
            assert result.tether_overlap == pytest.approx(reference @ means / N, abs=1e-12)
            assert result.distance == pytest.approx((1 - result.tether_overlap) / 2)


def test_random_first_fields_are_forgotten():
    """Also strong ones that satisfy the pattern for sure, so that its first messages vanish."""
    for seed in range(12):
        instance = Perceptron(1 / 9).sample(9, seed)
        result = solve(instance, BeliefPropagation(messages="exact", start=1000.0), seed)
        assert result.status is Status.CONVERGED
        np.testing.assert_allclose(result.magnetisations, by_enumeration(instance)[1], atol=1e-9)


def test_a_tree_of_many_patterns_is_exact():
    """One weight with any number of patterns, each of which says nothing or the same."""
    for P in (1, 4):
        instance = Instance(np.ones((P, 1)), np.ones(P))
        result = solve(instance, EXACT, 1)
        assert result.magnetisations[0] == pytest.approx(1, abs=1e-12)
        assert result.free_entropy == pytest.approx(0, abs=1e-12)
        assert result.energy == 0


def test_no_patterns_at_all():
    instance = Instance(np.ones((0, 7)), np.ones(0))
    for solver in (BeliefPropagation(), EXACT):
        result = solve(instance, solver, 1)
        assert result.status is Status.CONVERGED
        assert result.entropy == pytest.approx(math.log(2), abs=1e-14)
    assert solve(instance, ReinforcedBP(), 1).status is Status.SOLVED


def plain_messages(instance, table, n_sweeps):
    """Exact messages from full sums over all configurations, kept in dictionaries; the Bethe free entropy too."""
    P, N, X = instance.P, instance.N, instance.patterns.astype(int)
    W = configurations(N)
    allowed = {mu: np.array([table(mu, int(s)) for s in W @ X[mu]]) for mu in range(P)}
    u = {(mu, i): 0.0 for mu in range(P) for i in range(N)}
    for _ in range(n_sweeps):
        h = [sum(u[mu, i] for mu in range(P)) for i in range(N)]
        new, logs = {}, []
        for mu in range(P):
            cavity = [h[i] - u[mu, i] for i in range(N)]
            factors = np.array([[1 / (1 + math.exp(-2 * w * c)) for c in cavity] for w in (-1, 1)])
            each = np.where(W > 0, factors[1], factors[0])
            weight = allowed[mu] * each.prod(axis=1)
            logs.append(math.log(weight.sum()))
            for i in range(N):
                up, down = ((weight / each[:, i])[W[:, i] == w].sum() for w in (1, -1))
                new[mu, i] = math.log(up / down) / 2
        phi = sum(logs) + sum(math.log(2 * math.cosh(x)) for x in h)
        for (_, i), value in u.items():
            mean = math.tanh(h[i] - value)
            phi -= math.log(2 * math.cosh(value)) + math.log((1 + mean * math.tanh(value)) / 2)
        u = new
    return u, phi / N


@pytest.mark.parametrize(
    "model",
    [
        Perceptron(0.4),
        Perceptron(0.25, margin=0.4),
        SymmetricPerceptron(0.4),
        ALL_MODELS["labelled window, teacher"],
    ],
    ids=str,
)
def test_exact_messages_are_full_sums(model):
    """On a loopy graph: any channel, also one whose labels are not a sign."""
    N = 9
    instance = model.sample(N, 1)

    def table(mu, s):
        y = int(instance.labels[mu])
        if model.energy_refusal is None:
            return float(model.channel.bounds[0] < y * s / math.sqrt(N) < model.channel.bounds[1])
        logs = model.channel.log_partition(np.float64(y), np.array([s / math.sqrt(N)]), 1e-30)
        return math.exp(logs[0])

    with np.errstate(all="ignore"):
        plain, phi = plain_messages(instance, table, 40)
    result = solve(instance, BeliefPropagation(messages="exact", tolerance=1e-13, n_iterations=40), 1)
    assert result.free_entropy == pytest.approx(phi, abs=1e-9)
    assert phi > 0 or model.teacher_channel
    for (mu, i), value in plain.items():
        assert result.state.messages[mu, i] == pytest.approx(value, abs=1e-8)


@pytest.fixture(scope="module")
def known():
    """The instance of seed 3 whose 2879 solutions are known."""
    rng = np.random.default_rng(3)
    return Instance(rng.choice([-1, 1], size=(8, 21)), rng.choice([-1, 1], size=8))


def test_bethe_entropies_of_the_known_instance(known):
    """The published 0.365839 is that of Gaussian messages; exact ones give 0.364371, the truth is 0.379295."""
    exact = solve(known, Enumeration(), 1)
    assert exact.n_solutions == 2879
    assert exact.entropy == pytest.approx(0.379295, abs=1e-6)
    gaussian = solve(known, BeliefPropagation(), 1)
    assert gaussian.status is Status.CONVERGED
    assert gaussian.entropy == pytest.approx(0.365839, abs=1e-5)
    assert solve(known, EXACT, 1).entropy == pytest.approx(0.364371497, abs=1e-8)
    means = exact.configurations().mean(axis=0)
    for result in (gaussian, solve(known, EXACT, 1)):
        assert np.corrcoef(means, result.magnetisations)[0, 1] > 0.95


@pytest.mark.parametrize("messages", ["gaussian", "exact"])
def test_what_cannot_be_satisfied_is_told(messages):
    """A load beyond the capacity, and a tether that leaves a pattern no way to be satisfied."""
    solver = BeliefPropagation(messages=messages, damping=0.5)
    beyond = solve(Perceptron(0.9).sample(101, 1), solver, 1)
    assert beyond.status is Status.UNPHYSICAL
    assert beyond.entropy < -2 / 101
    forced = Tethered(Instance(np.ones((1, 5)), [1]), -np.ones(5), 1e6)
    assert solve(forced, solver, 1).status is Status.UNPHYSICAL
    # With a teacher there is a solution, though the fixed point without knowledge of it counts none.
    metastable = solve(Perceptron(1.4, rule=Teacher()).sample(101, 1), BeliefPropagation(damping=0.5), 1)
    assert metastable.status in (Status.CONVERGED, Status.NOT_CONVERGED)


def test_a_count_barely_below_one_does_not_exclude_a_solution():
    """Bethe leaves out terms of order one in N s: UNPHYSICAL with the only solution there is in hand."""
    rng = np.random.default_rng([18, 32])
    instance = Instance(rng.choice([-1, 1], size=(18, 21)), rng.choice([-1, 1], size=18))
    assert solve(instance, Enumeration(), 1).n_solutions == 1
    result = solve(instance, BeliefPropagation(damping=0.5), 1)
    assert -2 < 21 * result.entropy < 0
    assert result.status is Status.UNPHYSICAL
    assert result.solved == 1


def test_the_free_entropy_is_stationary():
    """Its derivative by the external field is the magnetisation, though each message depends on the field."""
    instance = Perceptron(0.5).sample(101, 1)
    reference, step = np.random.default_rng(1).choice([-1, 1], size=101), 1e-4
    for solver in (BeliefPropagation(tolerance=1e-13), BeliefPropagation(messages="exact", tolerance=1e-13)):
        at = {
            shift: solve(Tethered(instance, reference, 0.3 + shift), solver, 1)
            for shift in (-step, 0.0, step)
        }
        slope = (at[step].free_entropy - at[-step].free_entropy) / (2 * step)
        # Gaussian messages leave out that a field changes the others' variances: stationary only to O(1/N).
        allowed = 1e-7 if solver.messages == "exact" else 2e-3
        assert slope == pytest.approx(at[0.0].tether_overlap, abs=allowed)


def test_many_weights_follow_the_replica_symmetric_theory():
    model = Perceptron(0.5)
    results = [solve(model.sample(1001, seed), BeliefPropagation(), 1) for seed in range(8)]
    theory = replica_symmetric(model)
    for name, expected in (("entropy", theory.entropy), ("overlap", theory.overlap)):
        values = np.array([getattr(result, name) for result in results])
        assert abs(values.mean() - expected) < 5 * values.std(ddof=1) / math.sqrt(8) + 2 / 1001


def local_entropy(seed, distance=0.2):
    """With the tether that brings the means to this distance."""
    instance = Perceptron(0.5, rule=Teacher()).sample(1001, seed)
    found = {}

    def excess(field):
        found[field] = solve(
            Tethered(instance, instance.teacher, field), BeliefPropagation(tolerance=1e-6), 1
        )
        return found[field].distance - distance

    result = found[brentq(excess, 0.2, 0.8, xtol=1e-4)]
    assert result.status is Status.CONVERGED
    return result.entropy


def test_local_entropy_around_the_teacher():
    """By Legendre transform: 0.311335 in theory, 0.3110 +- 0.005 published for four instances."""
    values = np.array([local_entropy(seed) for seed in range(4)])
    assert abs(values.mean() - 0.3110) < 0.005
    assert abs(values.mean() - 0.311335) < 5 * values.std(ddof=1) / 2 + 2 / 1001


@pytest.mark.parametrize("name", ["storage, margin", "symmetric", "band", "storage, gaussian"])
def test_gaussian_messages_through_the_general_channel_are_the_same(name, monkeypatch):
    """The compiled kernels for intervals, and log Z_out of the channel itself."""
    instance = ALL_MODELS[name].sample(51, 1)
    solver = BeliefPropagation(n_iterations=4, start=0.3)
    fast = solve(instance, solver, 1)
    monkeypatch.setattr(messages, "interval", lambda channel: None)
    slow = solve(instance, solver, 1)
    assert "entropy" not in slow.observables
    np.testing.assert_allclose(fast.state.messages, slow.state.messages, rtol=1e-6, atol=1e-8)
    assert fast.free_entropy == pytest.approx(slow.free_entropy, abs=1e-8)


def test_intervals_are_recognised():
    from physlearn.models.channels import interval

    assert interval(Threshold(0.2)) == (0.2, math.inf)
    assert interval(Band(-0.6, 1.3)) == (-0.6, 1.3)
    assert interval(SymmetricPerceptron(1.0, half_width=0.4).channel) == (-0.4, 0.4)
    assert interval(Probit()) is None
    assert interval(ALL_MODELS["labelled window, teacher"].channel) is None


def test_the_residual_is_that_of_the_last_sweep():
    """It falls again after it has risen, and is the change of the messages in that sweep alone."""
    instance = Perceptron(0.5).sample(201, 1)
    solver, rng = BeliefPropagation(), np.random.default_rng(1)
    state, residuals = solver.init(instance, rng), []
    for _ in range(8):
        before = state.messages.copy()
        state = solver.sweep(instance, state, rng)
        residuals.append(state.residual)
        assert state.residual == np.abs(state.messages - before).max()
    assert residuals[1] > residuals[0] > residuals[-1]


@pytest.mark.parametrize("solver", [BeliefPropagation(n_iterations=2), BeliefPropagation(n_iterations=0)])
def test_too_few_sweeps_are_told(solver):
    assert solve(Perceptron(0.5).sample(51, 1), solver, 1).status is Status.NOT_CONVERGED


def test_reinforcement_finds_solutions():
    """Both versions, on perceptrons of both kinds of patterns, a window, and committees."""
    cases = [
        (Perceptron(0.5).sample(301, 1), ReinforcedBP(rate=3e-3)),
        (Perceptron(0.4).sample(301, 1), ReinforcedBP(rate=3e-3, version="probability")),
        (Perceptron(0.4, patterns="gaussian").sample(301, 2), ReinforcedBP(rate=3e-3)),
        (SymmetricPerceptron(0.6).sample(301, 3), ReinforcedBP(rate=1e-2)),
        (Committee(0.3, tree=True).sample(303, 4), ReinforcedBP(rate=3e-3)),
        (Perceptron(0.3).sample(51, 1), ReinforcedBP(messages="exact", rate=1e-2)),
    ]
    for instance, solver in cases:
        result = solve(instance, solver, 1)
        assert result.status is Status.SOLVED, (instance, result)
        assert result.energy == 0
        np.testing.assert_allclose(
            result.trace.reinforcement, 1 - (1 - solver.rate) ** np.arange(len(result.trace))
        )


@pytest.mark.validation
@pytest.mark.parametrize("alpha", [0.6, 0.65, 0.7])
def test_reinforcement_solves_large_instances(alpha):
    for seed in range(3):
        assert solve(Perceptron(alpha).sample(1001, seed), ReinforcedBP(), seed).status is Status.SOLVED


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"messages": "laplace"}, r"messages: got 'laplace'; allowed: one of 'gaussian', 'exact'"),
        ({"damping": 1.0}, r"damping: got 1\.0; allowed: a finite number >= 0 and < 1"),
        ({"tolerance": 0}, r"tolerance: got 0; allowed: a finite number > 0"),
        ({"start": math.nan}, r"start: got nan; allowed"),
        ({"n_iterations": 1.5}, r"n_iterations: got 1\.5; allowed: an integer >= 0"),
    ],
)
def test_bad_recipes_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(InputError, match=rf"^{sentence}"):
        BeliefPropagation(**arguments)


def test_exact_messages_need_integers():
    refused = EXACT.supports(ALL_MODELS["storage, gaussian"])
    assert refused == (
        "BeliefPropagation with exact messages needs patterns of -1 and +1, so that sums are integers."
    )


@pytest.mark.validation
def test_seven_units_that_share_their_inputs_are_solved_by_reinforcement():
    """With damping; without, all units overshoot together."""
    instance = Committee(0.2, n_hidden=7).sample(7 * 1001, 1)
    result = solve(instance, ReinforcedBP(rate=0.01, damping=0.5, start=0.3, n_iterations=500), 1)
    assert result.status is Status.SOLVED
    undamped = solve(instance, ReinforcedBP(rate=0.01, start=0.3, n_iterations=50), 1)
    assert undamped.energy > 0.4 * instance.P
