"""Time per message of belief propagation against the same sweep in NumPy, and of a whole focusing run; on one thread.

Special functions are timed against NumPy's or SciPy's, and against the plain ones of numba. ``make bench``.
"""

import math
import time

import numba
import numpy as np
import pytest
from scipy import special as scipy_special

from physlearn.kernels import special
from physlearn.kernels.threads import one_thread
from physlearn.models import Perceptron, SymmetricPerceptron
from physlearn.models.protocols import StandardReinforcement
from physlearn.models.schedules import linear
from physlearn.solvers import (
    BeliefPropagation,
    FocusingBP,
    ReinforcedBP,
    messages,
    solve,
)

N = 1001
REFERENCES = {
    "exp": (np.exp, math.exp),
    "tanh": (np.tanh, math.tanh),
    "atanh": (np.arctanh, math.atanh),
    "log": (np.log, math.log),
    "erf": (scipy_special.erf, math.erf),
    "G_over_H": (lambda x: np.sqrt(2 / np.pi) / scipy_special.erfcx(x / np.sqrt(2)), None),
}


def best(function, rounds=30):
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def plain(function):
    """The same loop with numba's own function, one call an element."""

    @numba.njit
    def each(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return each


@pytest.mark.parametrize("name", REFERENCES)
def test_special_functions(benchmark, name):
    x = np.random.default_rng(1).uniform(0.01, 0.99, 4096)
    out, (vector, scalar) = np.empty_like(x), REFERENCES[name]
    own, other = best(lambda: getattr(special, f"each_{name}")(x, out), 200), best(lambda: vector(x), 200)
    text = f"{name:>9}: {1e9 * own / x.size:5.2f} ns; NumPy or SciPy {1e9 * other / x.size:5.2f} ({other / own:4.1f}x)"
    if scalar is not None:
        each = plain(scalar)
        scalars = best(lambda: each(x, out), 200)
        text += f"; numba's {1e9 * scalars / x.size:5.2f} ({scalars / own:4.1f}x)"
    print(text)
    benchmark.pedantic(getattr(special, f"each_{name}"), (x, out), rounds=20)


def numpy_sweep(X, u, h, floor=1.0):
    """Messages of a threshold by NumPy and SciPy on float64 patterns."""
    cavity = np.tanh(h - u)
    own, variance = X * cavity, 1 - cavity**2
    centre = own.sum(axis=1, keepdims=True) - own
    width = np.sqrt(np.maximum(variance.sum(axis=1, keepdims=True) - variance, floor))
    first, second = (scipy_special.log_ndtr((centre + sign * X) / width) for sign in (1, -1))
    return (first - second) / 2


@pytest.mark.parametrize(
    "model", [Perceptron(0.5), Perceptron(0.5, patterns="gaussian"), SymmetricPerceptron(0.5)]
)
def test_sweep(benchmark, model):
    instance, solver = model.sample(N, 1), BeliefPropagation(start=0.5)
    state, rng = solver.init(instance, np.random.default_rng(1)), np.random.default_rng(1)
    for _ in range(3):
        state = solver.sweep(instance, state, rng)
    n_edges = state.messages.size
    with one_thread():
        own = best(lambda: messages.advance(instance, state, "gaussian", 0.0))
    both = best(lambda: messages.advance(instance, state, "gaussian", 0.0))
    X = instance.gauged.astype(np.float64)
    other = best(lambda: numpy_sweep(X, state.messages, state.field).sum(axis=0), 5)
    print(
        f"{model}: {1e9 * own / n_edges:.2f} ns a message on one thread ({1 / own:.0f} sweeps/s), "
        f"{1e9 * both / n_edges:.2f} on {numba.get_num_threads()} ({own / both:.2f}x); "
        f"NumPy (threshold) {1e9 * other / n_edges:.1f} ({other / own:.0f}x)"
    )
    benchmark.pedantic(messages.advance, (instance, state, "gaussian", 0.0), rounds=10)


RUNS = {
    "fBP, 101 steps": FocusingBP(StandardReinforcement(linear(0, 0.99, 101)), stop=False),
    "fBP, 101 steps of one sweep": FocusingBP(
        StandardReinforcement(linear(0, 0.99, 101)), n_iterations=1, stop=False
    ),
    "rBP": ReinforcedBP(),
}


@pytest.mark.parametrize("name", RUNS)
def test_whole_runs(benchmark, name):
    instance = Perceptron(0.5).sample(N, 1)
    benchmark.pedantic(solve, (instance, RUNS[name], 1), rounds=1)
    for threads in ("one thread", "all threads"):
        start = time.perf_counter()
        if threads == "one thread":
            with one_thread():
                result = solve(instance, RUNS[name], 1)
        else:
            result = solve(instance, RUNS[name], 1)
        seconds = time.perf_counter() - start
        each = 1e9 * seconds / result.n_sweeps / instance.P / instance.N
        print(
            f"{name}, N = {N}, alpha = 0.5, {threads}: {result.status.name} after {result.n_sweeps} sweeps, "
            f"{seconds:.2f} s, {each:.1f} ns a message and sweep"
        )
