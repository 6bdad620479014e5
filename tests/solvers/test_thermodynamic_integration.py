"""Entropies by thermodynamic integration, against enumeration and exact limits; and its refusals."""

import math

import numpy as np
import pytest
from catalogue import ALL_MODELS
from scipy import integrate, stats

from physlearn.estimates import Estimate
from physlearn.inputs import InputError
from physlearn.models import Instance, Perceptron, Replicated, SymmetricPerceptron, Tethered
from physlearn.models.energies import CrossEntropy, Linear
from physlearn.results import Status
from physlearn.solvers import Enumeration, ThermodynamicIntegration, ThermodynamicIntegrationResult, solve
from physlearn.solvers.enumeration import unpacked
from physlearn.solvers.thermodynamic_integration import integrals, nodes

FALSE_ALARM = 1e-4
BOUND = stats.norm.isf(FALSE_ALARM / 2) + 0.6  # the errors themselves are known to some fifteen per cent


def energies_of(instance):
    """The energies of all 2^N configurations, and how many have each."""
    N = instance.N
    configurations = 2 * ((np.arange(2**N)[:, None] >> np.arange(N)) & 1).astype(np.float32) - 1
    stabilities = configurations @ instance.gauged.T.astype(np.float32) / np.sqrt(N)
    lower, upper = instance.model.channel.bounds
    energies = np.count_nonzero((stabilities <= lower) | (stabilities >= upper), axis=1)
    return np.unique(energies, return_counts=True)


def thermodynamics(values, multiplicities, beta, N):
    """(1/N) ln Z, entropy per weight and mean energy."""
    weights = multiplicities * np.exp(-beta * values)
    mean = weights @ values / weights.sum()
    return np.log(weights.sum()) / N, np.log(weights.sum()) / N + beta * mean / N, mean


@pytest.mark.parametrize(
    ("model", "N", "P", "beta"),
    [
        (Perceptron(1.0), 15, 9, 1.0),
        (Perceptron(1.0), 17, 20, 1.0),
        (Perceptron(1.0, patterns="gaussian"), 15, 9, 1.0),
        (SymmetricPerceptron(1.0), 15, 12, 2.0),
        (ALL_MODELS["band"], 15, 8, 1.5),
    ],
    ids=repr,
)
def test_against_enumeration(model, N, P, beta):
    """At `beta` and at all nodes; the errors of ten runs are neither too small nor too large."""
    instance = model.with_alpha(P / N).sample(N, 3)
    values, multiplicities = energies_of(instance)
    solver, z = ThermodynamicIntegration(beta, 1500, n_nodes=9), []
    expected = thermodynamics(values, multiplicities, beta, N)
    for seed in range(10):
        result = solve(instance, solver, seed)
        assert result.status is Status.CONVERGED
        found = (result.free_entropy, result.entropy, result.mean_energy)
        z.append([(f.mean - e) / f.error for f, e in zip(found, expected, strict=True)])
        assert max(abs(score) for score in z[-1]) < BOUND
    assert (np.sum(np.square(z), axis=0) < stats.chi2.isf(FALSE_ALARM, 10) * 1.3).all()
    assert np.mean(np.square(z)[:, 2]) > 0.1
    for beta_k, s, phi in zip(result.betas, result.entropies, result.free_entropies, strict=True):
        exact = thermodynamics(values, multiplicities, beta_k, N)
        assert abs(s.mean - exact[1]) <= BOUND * s.error + 1e-12
        assert abs(phi.mean - exact[0]) <= BOUND * phi.error + 1e-12
    assert result.entropies[0].mean == math.log(2)


def test_number_of_solutions():
    """At large beta Z counts solutions: N phi = ln(n_0 + n_1 e^-beta + ...)."""
    instance, beta = Perceptron(8 / 21).sample(21, 3), 7.0
    exact = solve(instance, Enumeration(), 1)
    result = solve(instance, ThermodynamicIntegration(beta, 3000), 2)
    assert result.status is Status.CONVERGED
    assert result.free_entropy.error < 3e-3
    # flips of single weights out of a solution: the next level has not 21 times as many
    assert result.free_entropy.mean + BOUND * result.free_entropy.error > exact.entropy
    excess = math.log1p(21 * math.exp(-beta)) / 21
    assert result.free_entropy.mean - BOUND * result.free_entropy.error < exact.entropy + excess
    assert abs(result.entropy.mean - exact.entropy) < BOUND * result.entropy.error + excess * (1 + beta)
    assert result.solved


@pytest.mark.parametrize("model", [Perceptron(1.0, margin=0.4), SymmetricPerceptron(1.0)], ids=repr)
def test_a_single_pattern(model):
    """Z = 2^N (p + (1 - p) e^-beta), with p the share of the binomial distribution that satisfies the pattern."""
    N, beta = 101, 2.0
    instance = model.with_alpha(1 / N).sample(N, 1)
    lower, upper = model.channel.bounds
    sums = np.arange(-N, N + 1, 2)
    inside = (sums / np.sqrt(N) > lower) & (sums / np.sqrt(N) < upper)
    p = stats.binom.pmf((sums[inside] + N) // 2, N, 0.5).sum()
    Z = p + (1 - p) * np.exp(-beta)
    energy = (1 - p) * np.exp(-beta) / Z
    result = solve(instance, ThermodynamicIntegration(beta, 2000, n_nodes=9), 1)
    assert result.status is Status.CONVERGED
    assert abs(result.free_entropy.mean - math.log(2) - np.log(Z) / N) < BOUND * result.free_entropy.error
    s = math.log(2) + (np.log(Z) + beta * energy) / N
    assert abs(result.entropy.mean - s) < BOUND * result.entropy.error
    assert result.entropy.error < 1e-3


def test_no_pattern():
    instance = Instance(np.zeros((0, 9)), np.zeros(0), model=Perceptron(1.0, patterns="gaussian"))
    result = solve(instance, ThermodynamicIntegration(2.0, 50), 1)
    assert (result.entropy.mean, result.entropy.error) == (math.log(2), 0.0)


@pytest.mark.parametrize("n", [5, 9, 17])
def test_integrals_of_polynomials_are_exact(n):
    """Up to degree n - 1 through all nodes, (n - 1)/2 through every second one; weights of the rule are positive."""
    betas = nodes(3.0, n)
    assert (betas[0], betas[-1]) == (0, 3)
    full, half = integrals(betas)
    for degree in range(n):
        exact = (betas / 3) ** (degree + 1) * 3 / (degree + 1)
        np.testing.assert_allclose(full @ (betas / 3) ** degree, exact, atol=1e-12)
        if degree <= (n - 1) // 2:
            np.testing.assert_allclose(half @ (betas / 3) ** degree, exact, atol=1e-12)
    assert (full[-1] > 0).all()
    assert (half[:, 1::2] == 0).all()
    smooth = full @ np.exp(-betas)
    bound = 3 * 4 * (3 / 4) ** n / math.factorial(n)  # interval, and polynomial with zeros at the nodes
    np.testing.assert_allclose(smooth, 1 - np.exp(-betas), rtol=0, atol=bound + 1e-13)
    assert full[-1] @ np.sqrt(1 + betas) == pytest.approx(
        integrate.quad(lambda x: np.sqrt(1 + x), 0, 3)[0], rel=1e-4
    )


def test_errors_are_propagated():
    """By noise of known size in the mean energies of five nodes, and by a curve that five nodes do not follow."""
    betas, N, rng = nodes(2.0, 5), 10, np.random.default_rng(1)

    def result(means, error):
        made = object.__new__(ThermodynamicIntegrationResult)
        state = {"nodes": betas, "N": N, "start": math.log(2), "alignments": []}
        object.__setattr__(made, "state", type("State", (), state))
        estimates = [Estimate(mean, error, 100.0) for mean in means]
        made.__dict__.update(walks=(estimates, estimates), energies=estimates)
        return made

    smooth, sigma = 5 * np.exp(-betas / 4), 0.1
    noisy = [result(smooth + sigma * rng.standard_normal(5), sigma) for _ in range(2000)]
    entropies = np.array([one._along(1.0)[-1].mean for one in noisy])
    stated = np.array([one._along(1.0)[-1].error for one in noisy])
    assert entropies.std() == pytest.approx(stated.min(), rel=0.1)
    assert np.sqrt(np.mean(stated**2)) < 1.7 * entropies.std()
    sharp = result(5 / (1 + np.exp(8 * (betas - 0.7))), 0.0)
    exact = np.log(2) - integrate.quad(lambda x: 5 / (1 + np.exp(8 * (x - 0.7))), 0, 2)[0] / N
    phi = sharp._along(0.0)[-1]
    assert 0 < abs(phi.mean - exact) < phi.error


def test_a_glass_is_refused():
    """Two walks caught at different energies say nothing of the entropy; where they still agree is told."""
    instance = Perceptron(0.8).sample(301, 1)
    result = solve(instance, ThermodynamicIntegration(5.0, 200), 1)
    assert result.status is Status.NOT_EQUILIBRATED
    assert math.isnan(result.entropy.mean)
    assert math.isnan(result.free_entropy.mean)
    assert result.disagreement > 5
    assert 0 < result.beta_equilibrated < 5
    assert "raise the number of sweeps" in repr(result)
    hot = solve(instance, ThermodynamicIntegration(0.5, 200), 1)
    assert hot.status is Status.CONVERGED
    assert 0 < hot.disagreement < 5
    assert hot.beta_equilibrated == 0.5
    assert 0 < hot.entropy.mean < math.log(2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("beta", [1.0, 1e100])
@pytest.mark.parametrize("sweeps", [1, 2, 50])
def test_too_few_sweeps_say_nothing(beta, sweeps):
    """In silence, at any temperature; two walks caught at different energies claim no error of their mean."""
    instance = Tethered(Perceptron(0.8).sample(11, 1), np.ones(11), 50.0 if beta > 1 else 0.1)
    result = solve(instance, ThermodynamicIntegration(beta, sweeps, 5), 1)
    assert result.status is Status.NOT_EQUILIBRATED or sweeps == 50
    for a, b, energy in zip(*result.walks, result.energies, strict=True):
        if a.mean != b.mean or sweeps == 1:
            assert energy.error > 0


def test_each_walk_visits_every_node():
    """One cools, the other heats: their energies come from the temperatures they are filed under."""
    instance = Perceptron(0.8).sample(101, 1)
    result = solve(instance, ThermodynamicIntegration(1.0, 400, n_nodes=9), 1)
    np.testing.assert_array_equal(result.trace.beta, result.betas)
    assert result.n_sweeps == 9 * 400
    cooling, heating = ([energy.mean for energy in walk] for walk in result.walks)
    times = [time.mean for time in result.autocorrelation_times]
    assert times[0] < 2 < times[-1] == result.autocorrelation_time.mean
    for walk in (cooling, heating):
        assert walk[0] > walk[4] + 3 > walk[8] + 6
    assert cooling != heating
    data = result.to_dataset()
    assert data["entropy_at_beta"].dims == ("beta",)
    assert float(data["entropy_at_beta"][-1]) == result.entropy.mean


@pytest.mark.parametrize(
    ("model", "n_replicas", "kind"),
    [("storage", 1, ""), ("storage, gaussian", 1, ""), ("storage", 2, "pairs"), ("storage", 2, "centre")],
)
def test_entropies_in_fields(model, n_replicas, kind):
    """With a tether, and of two coupled replicas: all 2^11 or 2^12 configurations, within the errors of six runs."""
    beta, size = 1.5, 12 // n_replicas - (n_replicas == 1)
    rng = np.random.default_rng(4)
    model = ALL_MODELS[model]
    patterns = rng.choice([-1, 1], (8, size)) if model.patterns == "binary" else rng.normal(size=(8, size))
    instance = Tethered(
        Instance(patterns, np.ones(8), model=model), np.where(rng.random(size) < 0.3, -1, 1), 0.4
    )
    w = unpacked(np.arange(2**size), size).astype(int)
    log_weights = w @ instance.external - beta * np.array([model.energy(instance, one) for one in w])
    if n_replicas == 2:
        log_weights = log_weights[:, None] + log_weights
        if kind == "pairs":
            log_weights += 0.3 * w @ w.T
        else:
            same = (size + w @ w.T) / 2
            log_weights += same * np.log(2 * np.cosh(0.6)) + (size - same) * np.log(2)
        instance.model = Replicated(model, 2, 0.3, kind)
    log_Z = np.logaddexp.reduce(log_weights.ravel())
    p = np.exp(log_weights - log_Z)
    exact = {"entropy": -np.sum(p * (log_weights - log_Z)), "free_entropy": log_Z}
    results = [solve(instance, ThermodynamicIntegration(beta, 1500, 9), seed) for seed in range(6)]
    for name, value in exact.items():
        found = [getattr(result, name) for result in results]
        errors = np.array([estimate.error for estimate in found])
        off = np.array([estimate.mean for estimate in found]) - value / (n_replicas * size)
        assert abs(off.mean()) < 4 * np.sqrt(np.sum(errors**2)) / len(off), name
        assert np.sum((off / errors) ** 2) < stats.chi2.isf(1e-4, len(off)), name
        assert errors.max() < 0.02


def test_uncoupled_replicas_have_the_entropy_of_one():
    instance = Perceptron(0.7).sample(21, 1)
    alone = solve(instance, ThermodynamicIntegration(1.0, 2000, 9), 1)
    instance.model = Replicated(instance.model, 3, 0.0)
    together = solve(instance, ThermodynamicIntegration(1.0, 2000, 9), 2)
    for name in ("entropy", "free_entropy"):
        first, second = getattr(alone, name), getattr(together, name)
        assert abs(first.mean - second.mean) < 4.5 * np.hypot(first.error, second.error)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: ThermodynamicIntegration(0.0, 10),
            r"beta: got 0\.0; allowed: a finite number > 0 and <= 1e\+100\.",
        ),
        (
            lambda: ThermodynamicIntegration(1.0, 0),
            r"sweeps_per_node: got 0; allowed: an integer >= 1 and <= 1000000\.",
        ),
        (lambda: ThermodynamicIntegration(1.0, 10, 6), r"n_nodes: got 6; allowed: odd numbers\."),
        (
            lambda: ThermodynamicIntegration(1.0, 10, 3),
            r"n_nodes: got 3; allowed: an integer >= 5 and <= 201\.",
        ),
    ],
)
def test_bad_recipes_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        make()


def test_a_state_belongs_to_its_recipe():
    instance = Perceptron(0.8).sample(11, 1)
    state = solve(instance, ThermodynamicIntegration(1.0, 10, 5), 1).state
    with pytest.raises(
        InputError, match=r"^state: got walks to beta = 1 over 5 nodes of 10 sweeps; allowed: "
    ):
        solve(instance, ThermodynamicIntegration(1.0, 20, 5), 1, state=state)
    for energy in (Linear(), CrossEntropy(2.0)):
        with pytest.raises(InputError, match=r"^state: got a walk of Errors\(\) with 1 replica; allowed: "):
            solve(instance, ThermodynamicIntegration(1.0, 10, 5, energy=energy), 1, state=state)
