"""Message passing against the theory that it realises, and against exact marginals."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
from catalogue import ALL_MODELS, Gaussian
from scipy.stats import norm

from physlearn import meanfield
from physlearn.inputs import InputError
from physlearn.models import (
    Channel,
    GeneralizedLinear,
    Instance,
    Perceptron,
    Spherical,
    SymmetricPerceptron,
    Teacher,
)
from physlearn.results import Status
from physlearn.solvers import AMP, Enumeration, solve

# Two-sided, 1e-4 each: normal, and Student's t for the few instances of a mean.
SIGMAS = {20: 4.9, 10: 6.6, 8: 7.1}


def check_mean(samples, expected, allowance):
    """The mean agrees within its own error, at a false alarm of 1e-4, plus an allowance."""
    samples = np.asarray(samples)
    error = samples.std(ddof=1) / math.sqrt(len(samples))
    assert abs(samples.mean() - expected) <= SIGMAS[len(samples)] * error + allowance


def runs(model, N, n_instances, solver=None):
    return [solve(model.sample(N, seed), solver or AMP(), seed) for seed in range(n_instances)]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.3])
def test_generalization_error_is_that_of_the_uninformed_branch(alpha):
    """Twenty instances, three standard errors, and 2/N: N times the bias is -1.4 +- 0.7 at most at these loads.

    (That was measured on 400 instances each at N = 201, 401 and 801.)
    """
    N, model = 2001, Perceptron(alpha, rule=Teacher())
    theory, results = meanfield.bayes_optimal(model), runs(model, N, 20)
    assert {result.status for result in results} == {Status.CONVERGED}
    for name in ("generalization_error_bayes", "generalization_error_amp"):
        errors = np.array([getattr(result, name) for result in results])
        allowed = 3 * errors.std(ddof=1) / math.sqrt(20) + 2 / N
        assert abs(errors.mean() - getattr(theory, name)) <= allowed
    assert all(result.generalization_error == result.generalization_error_amp for result in results)


@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_teacher_is_recovered_beyond_the_spinodal_and_kept(patterns):
    model, solver, N = (
        Perceptron(1.7, rule=Teacher(), patterns=patterns),
        AMP(),
        2001 if patterns == "binary" else 1001,
    )
    for seed in range(8):
        instance = model.sample(N, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = solve(instance, solver, seed)
            state = result.state
            for _ in range(30):
                state = solver.sweep(instance, state, np.random.default_rng(0))
        assert result.status is Status.CONVERGED
        assert result.recovered == 1
        assert result.energy == result.generalization_error_amp == 0
        assert result.generalization_error_bayes < 1e-7  # arccos(1 - rounding)
        np.testing.assert_array_equal(solver.weights(instance, state), instance.teacher)
        assert np.isfinite(state.field).all()


GAUSSIAN = Perceptron(1.0, rule=Teacher(), patterns="gaussian")


@pytest.mark.parametrize(
    ("model", "N"),
    [
        (Perceptron(1.0, rule=Teacher()), 5001),
        (Perceptron(1.7, rule=Teacher()), 5001),
        (Perceptron(1.0, rule=Teacher(), prior=Spherical()), 5001),
        (Perceptron(0.5), 5001),
        (ALL_MODELS["probit, teacher"], 5001),
        (GAUSSIAN, 1001),
        pytest.param(GAUSSIAN, 5001, marks=pytest.mark.validation),  # ten times 200 MB of patterns take 40 s
    ],
    ids=str,
)
def test_trajectory_is_state_evolution(model, N):
    """Sweep by sweep; the allowance of 10/N is for the bias of a finite size."""
    n_iterations = 10
    theory = meanfield.state_evolution(model, n_iterations)
    traces = [result.trace for result in runs(model, N, 10, AMP(n_iterations=n_iterations))]
    names = ("overlap", "teacher_overlap") if model.teacher_channel else ("overlap",)
    for name in names:
        for sweep in range(n_iterations):
            samples = [getattr(trace, name)[sweep] for trace in traces]
            check_mean(samples, getattr(theory, name)[sweep + 1], 10 / N)


@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_sweeps_are_the_written_out_equations(patterns):
    """For the binary perceptron: with G/H and tanh spelled out, entry by entry for Gaussian patterns."""
    instance = Perceptron(1.2, rule=Teacher(), patterns=patterns).sample(51, 1)
    X, y, N = instance.patterns.astype(np.float64), instance.labels, 51
    a, g = np.zeros(N), np.zeros(instance.P)
    solver, state = AMP(), AMP().init(instance, np.random.default_rng(0))
    for _ in range(5):
        V = X**2 @ (1 - a**2) / N
        M = X @ a / np.sqrt(N) - V * g
        x = -y * M / np.sqrt(V)
        g = y * norm.pdf(x) / norm.sf(x) / np.sqrt(V)
        slope = -(M / V) * g - g**2
        a = np.tanh(g @ X / np.sqrt(N) - a * (slope @ X**2) / N)
        state = solver.sweep(instance, state, np.random.default_rng(0))
        np.testing.assert_allclose(state.mean, a, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("model", "N"),
    [
        (Perceptron(0.3), 2001),
        (Perceptron(0.3, patterns="gaussian"), 501),
        (Perceptron(0.5, margin=0.1), 2001),
        (Perceptron(0.5, prior=Spherical()), 2001),
        (Perceptron(0.5, prior=Spherical(), patterns="gaussian"), 501),
        (SymmetricPerceptron(0.5), 2001),
    ],
    ids=str,
)
def test_storage_overlap_and_entropy_are_replica_symmetric(model, N):
    theory, results = meanfield.replica_symmetric(model), runs(model, N, 10)
    assert {result.status for result in results} == {Status.CONVERGED}
    check_mean([result.overlap for result in results], theory.overlap, 5 / N)
    check_mean([result.free_entropy for result in results], theory.free_entropy, 5 / N)


def test_norm_is_held_where_it_is_constrained():
    for patterns in ("binary", "gaussian"):
        state = solve(Perceptron(0.7, prior=Spherical(), patterns=patterns).sample(201, 1), AMP(), 1).state
        assert np.mean(state.mean**2 + state.variance) == pytest.approx(1, abs=1e-12)
        if patterns == "binary":
            precision = (1 + math.sqrt(1 + 4 * np.mean(state.field**2))) / 2
            assert state.precision == pytest.approx(precision, rel=1e-12)
        else:
            assert state.precision.std() > 1e-3


@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_free_norm_equals_the_constrained_one_for_gaussian_weights(patterns):
    """Bayes-optimal: the sphere and independent normal weights are the same ensemble for large N."""
    sphere = Perceptron(1.0, prior=Spherical(), rule=Teacher(), patterns=patterns).sample(1001, 1)
    model = GeneralizedLinear(1.0, prior=Gaussian(), rule=Teacher(), patterns=patterns)
    free = Instance(sphere.patterns, sphere.labels, sphere.teacher, model)
    one, other = solve(sphere, AMP(), 1), solve(free, AMP(), 1)
    assert one.status is other.status is Status.CONVERGED
    assert other.generalization_error == pytest.approx(one.generalization_error, abs=0.01)
    difference = one.state.mean - other.state.mean
    assert np.sqrt(np.mean(difference**2)) < 0.03
    assert one.overlap == pytest.approx(other.overlap, abs=0.03)


def marginal_error(model, N, P, seeds):
    """Root mean square difference between AMP's means and the exact ones; and the exact ones' own size."""
    squares, exact = [], []
    for seed in seeds:
        instance = model.with_alpha(P / N).sample(N, seed)
        truth = solve(instance, Enumeration(), seed).configurations().mean(axis=0)
        squares.append(np.mean((solve(instance, AMP(), seed).state.mean - truth) ** 2))
        exact.append(np.mean(truth**2))
    return math.sqrt(np.mean(squares)), math.sqrt(np.mean(exact))


@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_means_are_near_the_exact_ones_at_small_load(patterns):
    """AMP takes the field of a pattern for Gaussian and its correlations with other patterns for their average.

    The first costs a relative 1/N, the second P/N: with one pattern the means are right to 3 % at N = 21, with four
    to 10 %, and the error shrinks as N grows at fixed P.
    """
    model, seeds = Perceptron(1.0, rule=Teacher(), patterns=patterns), range(12)
    one, size = marginal_error(model, 21, 1, seeds)
    assert one < 0.03 * size
    four, size = marginal_error(model, 21, 4, seeds)
    assert one < four < 0.1 * size
    assert four < 0.6 * marginal_error(model, 9, 4, seeds)[0]


@pytest.mark.parametrize("model", ["storage", "teacher, gaussian", "spherical, teacher", "probit, teacher"])
def test_free_entropy_is_stationary_at_the_fixed_point_only(model):
    """Its derivatives by the means, their fields and the cavity means vanish; means stay on their sphere."""
    instance = ALL_MODELS[model].sample(201, 1)
    result = solve(instance, AMP(n_iterations=2000, tolerance=1e-12), 1)
    assert result.status is Status.CONVERGED
    rng = np.random.default_rng(2)
    for name in ("mean", "field", "cavity_mean"):
        at_rest = getattr(result.state, name)
        direction = rng.standard_normal(at_rest.shape)
        if name == "mean" and instance.model.prior.norm == "constrained":
            direction -= at_rest * (direction @ at_rest) / (at_rest @ at_rest)
        slopes = []
        for centre in (at_rest, 1.1 * at_rest):
            ends = []
            for step in (1e-5, -1e-5):
                moved = dataclasses.replace(result.state, **{name: centre + step * direction})
                ends.append(AMP().observables(instance, moved)["free_entropy"])
            slopes.append((ends[0] - ends[1]) / 2e-5)
        assert abs(slopes[0]) < 1e-7
        assert abs(slopes[1]) > 1e-5


@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
def test_channels_may_return_one_number_for_all_patterns(patterns):
    """Labels with Gaussian noise: the curvature is the same for all."""

    @dataclasses.dataclass(frozen=True)
    class Noisy(Channel):
        repeated: bool = False

        def log_partition(self, label, mean, variance):
            return -np.square(label - mean) / (2 * (1 + variance)) - np.log(2 * np.pi * (1 + variance)) / 2

        def gradient(self, label, mean, variance):
            return (label - mean) / (1 + variance)

        def curvature(self, label, mean, variance):
            return -1 / (1 + variance) * (np.ones(np.shape(mean)) if self.repeated else 1)

    results = []
    for repeated in (False, True):
        instance = GeneralizedLinear(1.5, Noisy(repeated), patterns=patterns).sample(101, 1)
        results.append(solve(instance, AMP(), 1))
    assert results[0].status is Status.CONVERGED
    np.testing.assert_array_equal(results[0].state.mean, results[1].state.mean)


@pytest.mark.parametrize("model", ["storage", "teacher", "teacher, gaussian", "spherical", "band"])
def test_damping_keeps_the_fixed_point(model):
    instance = ALL_MODELS[model].sample(501, 3)
    plain, damped = (solve(instance, AMP(tolerance=1e-10, damping=damping), 1) for damping in (0.0, 0.4))
    assert plain.status is damped.status is Status.CONVERGED
    np.testing.assert_allclose(damped.state.mean, plain.state.mean, atol=1e-8)
    assert abs(damped.trace.overlap[0] - plain.trace.overlap[0]) > 0.01


def test_damping_settles_an_instance_that_oscillates():
    instance = Perceptron(1.3, rule=Teacher()).sample(301, 2)
    assert solve(instance, AMP(), 1).status is Status.NOT_CONVERGED
    assert solve(instance, AMP(damping=0.5), 1).status is Status.CONVERGED


def test_symmetric_channel_leaves_the_means_at_zero():
    result = solve(SymmetricPerceptron(0.5).sample(301, 1), AMP(), 1)
    assert result.status is Status.CONVERGED
    assert result.overlap == 0
    assert set(np.unique(result.weights)) <= {-1, 1}


def test_weights_have_their_norm_even_where_the_means_vanish():
    model = Perceptron(1.0, prior=Spherical(), patterns="gaussian")
    result = solve(Instance(np.zeros((0, 50)), [], model=model), AMP(), 1)
    assert result.overlap == 0
    assert result.weights @ result.weights == pytest.approx(50)


def test_statuses_are_honest():
    instance = Perceptron(1.0, rule=Teacher()).sample(501, 1)
    stopped = solve(instance, AMP(n_iterations=5), 1)
    assert stopped.status is Status.NOT_CONVERGED
    assert len(stopped.trace) == stopped.n_sweeps == 5
    assert stopped.residual > AMP().tolerance
    finished = solve(instance, AMP(), 1, state=stopped.state)
    assert finished.status is Status.CONVERGED
    assert finished.residual < AMP().tolerance
    huge = Instance(1e200 * np.ones((3, 5)), [1, 1, -1], model=Perceptron(1.0, patterns="gaussian"))
    diverged = solve(huge, AMP(), 1)
    assert diverged.status is Status.DIVERGED
    assert np.isfinite(diverged.overlap)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n_iterations": 2.5}, r"^n_iterations: got 2\.5; allowed: an integer >= 0\.$"),
        ({"tolerance": 0}, r"^tolerance: got 0; allowed: a finite number > 0\.$"),
        ({"damping": 1.0}, r"^damping: got 1\.0; allowed: a finite number >= 0 and < 1\.$"),
        ({"damping": math.nan}, r"^damping: got nan"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        AMP(**arguments)
