"""Time per proposal of the Metropolis kernels, against a compiled scan of all patterns and against NumPy.

All start from the same configuration, annealed to the inverse temperature at which they are timed, and go on from
there: acceptance is what it is in that state (at beta = 2 and N = 10001 a glass: next to nothing). ``make bench``.
"""

import math

import numpy as np
import pytest
from numba import njit

from physlearn.kernels.metropolis import sweep_reals, sweep_signs
from physlearn.models import Perceptron
from physlearn.models.schedules import linear
from physlearn.random import generator
from physlearn.solvers import SimulatedAnnealing

CASES = [
    ("binary", 1001, 500, 2.0),
    ("binary", 1001, 500, 0.5),
    ("binary", 10001, 5000, 2.0),
    ("binary", 10001, 5000, 0.5),
    ("gaussian", 1001, 500, 2.0),
]
IMPLEMENTATIONS = ["kernel", "compiled scan", "NumPy"]
ROUNDS = 60  # of a millisecond or so, short enough to find one that nothing else on the machine disturbs


def scan(columns, sums, threshold, weights, beta, n_proposals, rng):
    """The same proposals the plain way: all P sums at each; returns the flips accepted."""
    accepted = 0
    for _ in range(n_proposals):
        i = int(rng.random() * weights.size)
        push = -2 * weights[i]
        change = 0
        for mu in range(sums.size):
            change += (sums[mu] + push * columns[i, mu] < threshold) - (sums[mu] < threshold)
        if change <= 0 or rng.random() < math.exp(-beta * change):
            for mu in range(sums.size):
                sums[mu] += push * columns[i, mu]
            weights[i] = -weights[i]
            accepted += 1
    return accepted


def array_scan(columns, sums, threshold, weights, beta, n_proposals, rng):
    """The same in NumPy."""
    accepted = 0
    for _ in range(n_proposals):
        i = int(rng.random() * weights.size)
        moved = sums - 2 * weights[i] * columns[i]
        change = np.count_nonzero(moved < threshold) - np.count_nonzero(sums < threshold)
        if change <= 0 or rng.random() < math.exp(-beta * change):
            sums[:] = moved
            weights[i] = -weights[i]
            accepted += 1
    return accepted


compiled_scan = njit(scan)


def annealed(patterns, N, P, beta):
    """An instance, and a walk on it annealed to `beta` in 2000 sweeps (200 for real patterns)."""
    instance = Perceptron(P / N, patterns=patterns).sample(N, 1)
    n_sweeps, rng = 2000 if patterns == "binary" else 200, generator(2)
    schedule = (*linear(0.1, beta, 50), *[beta] * 50)
    solver = SimulatedAnnealing(n_sweeps, schedule, sweeps_per_record=n_sweeps)
    return instance, solver.sweep(instance, solver.init(instance, rng), rng)


def prepared(implementation, case):
    """A function that runs one round and returns the flips accepted; and the proposals of a round."""
    patterns, N, P, beta = case
    instance, walk = annealed(*case)
    rng = generator(3)
    if implementation == "kernel":
        n_sweeps = -(-20_000 // N)
        kernel, record = (
            sweep_signs if patterns == "binary" else sweep_reals,
            np.zeros((n_sweeps, 3), np.int64),
        )
        arguments = (
            *walk.layout,
            walk.weights,
            walk.best,
            walk.counts,
            np.full(n_sweeps, beta),
            False,
            record,
            rng,
        )

        def run():
            walk.counts[3] = 1  # no refresh of real stabilities, which is due once in 64 sweeps
            kernel(*arguments)
            return record[:, 1].sum()

        return run, n_sweeps * N
    columns = np.ascontiguousarray(instance.gauged.T)
    kind = np.int16 if patterns == "binary" else np.float64
    sums = (instance.gauged.astype(float) @ walk.weights).astype(kind)
    threshold = kind(1 if patterns == "binary" else 0)
    n_proposals = 100 if implementation == "NumPy" else 5_000_000 // P
    function = array_scan if implementation == "NumPy" else compiled_scan
    return lambda: function(columns, sums, threshold, walk.weights, beta, n_proposals, rng), n_proposals


@pytest.fixture(scope="module")
def table():
    rows = {}
    yield rows
    print("\n\nMetropolis, ns per proposal (ratio to the kernel):")
    print(
        f"{'patterns':>9} {'N':>6} {'P':>5} {'beta':>5} {'accepted':>9} {'kernel':>8}"
        f"{'compiled scan':>19}{'NumPy':>19}"
    )
    for case, times in rows.items():
        own, accepted = times["kernel"]
        others = "".join(
            f" {times[name][0]:>10.0f} ({times[name][0] / own:4.0f}x)" for name in IMPLEMENTATIONS[1:]
        )
        print(f"{case[0]:>9} {case[1]:>6} {case[2]:>5} {case[3]:>5} {accepted:>9.2%} {own:>8.1f} {others}")


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_time_per_proposal(benchmark, table, implementation, case):
    run, n_proposals = prepared(implementation, case)
    run()
    accepted = []
    benchmark.pedantic(lambda: accepted.append(run()), rounds=ROUNDS)
    rate = np.sum(accepted) / n_proposals / len(accepted)
    assert 0 <= rate <= 1
    table.setdefault(case, {})[implementation] = benchmark.stats.stats.min / n_proposals * 1e9, rate
