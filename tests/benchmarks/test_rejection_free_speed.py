"""Time per accepted flip at low temperature: rejection-free against Metropolis, and against the n-fold way.

All go on from one configuration, annealed to beta = 4. The n-fold way here keeps the energy changes of all sites from
flip to flip, adding and subtracting the patterns that come to and leave an edge, and counts every class.
``make bench``.
"""

import math

import numpy as np
import pytest
from numba import njit

from physlearn.kernels.bits import increment, straddling
from physlearn.kernels.rejection_free import ALL, FLIPS, NONE, ONE, first_one, wait_reals, wait_signs, waiting
from physlearn.models import Perceptron
from physlearn.models.schedules import linear
from physlearn.solvers import Metropolis, RejectionFree, SimulatedAnnealing, solve

N, BETA = 1001, 4.0
CASES = [("binary", 0.3), ("binary", 0.5), ("binary", 0.8), ("gaussian", 0.3), ("gaussian", 0.5)]
ROUNDS = 20


@njit
def n_fold_way(
    columns, planes, valid, edges, signs, masks, rows, sums, before, weights, counts, beta, n, rng
):
    """Do n flips; rows are int8 (P, N), sums int16 (n_edges, N) of the rows in each mask. Returns the proposals."""
    sizes, changes = np.zeros((edges.size, 2), np.int64), np.zeros(weights.size, np.int16)
    numbers, n_proposals = np.zeros(rows.shape[0] + 1, np.int64), 0
    for _ in range(n):
        changes[:] = 0
        for e in range(edges.size):
            straddling(planes, valid, edges[e] + counts[FLIPS], masks, sizes, e)
            for x in range(masks.shape[1]):
                word = masks[e, x] ^ before[e, x]
                while word != NONE:
                    mu = 64 * x + first_one(word)
                    sign = 1 if masks[e, x] >> np.uint64(mu % 64) & ONE else -1
                    for i in range(weights.size):
                        sums[e, i] += np.int16(sign * rows[mu, i])
                    word &= word - ONE
                before[e, x] = masks[e, x]
            shift, sign = np.int16(sizes[e, 1] - 2 * sizes[e, 0]), np.int16(signs[e])
            for i in range(weights.size):
                changes[i] += np.int16(sign * ((shift + np.int16(weights[i]) * sums[e, i]) >> 1))
        numbers[:] = 0
        for i in range(weights.size):
            numbers[max(changes[i], 0)] += 1
        rate = 0.0
        for k in range(numbers.size):
            if numbers[k]:
                rate += numbers[k] * math.exp(-beta * k)
        n_proposals += waiting(rate / weights.size, rng.random())
        target, k = rng.random() * rate, 0
        while k < numbers.size - 1 and target >= numbers[k] * math.exp(-beta * k):
            target -= numbers[k] * math.exp(-beta * k)
            k += 1
        rank, i = min(int(target * math.exp(beta * k)), numbers[k] - 1), 0
        while rank > 0 or max(changes[i], 0) != k:
            rank -= max(changes[i], 0) == k
            i += 1
        increment(planes, 1, columns, i, ALL if weights[i] > 0 else NONE)
        weights[i] = -weights[i]
        counts[0] += changes[i]
        counts[FLIPS] += 1
    return n_proposals


def start(patterns, alpha):
    """An instance, the configuration after annealing and a while at BETA, and the acceptance rate there."""
    instance = Perceptron(alpha, patterns=patterns).sample(N, 1)
    n_sweeps = 2000 if patterns == "binary" else 300
    schedule = (*linear(0.1, BETA, 50), *[BETA] * 50)
    annealed = SimulatedAnnealing(n_sweeps, schedule)
    object.__setattr__(annealed, "_stops_at_solution", False)  # a solution is as good a state as any
    weights = solve(instance, annealed, 2).state.weights
    solver = RejectionFree(BETA, 10_000, 10_000)
    state = placed(solver, instance, weights)
    state = solver.sweep(instance, state, np.random.default_rng(3))
    _, accepted, proposals = state.record[0][0]
    return instance, state.weights, accepted / proposals


def placed(solver, instance, weights):
    """A state of the solver at the given weights."""
    from physlearn.solvers import rejection_free

    state = solver.init(instance, np.random.default_rng(1))
    prepare = rejection_free._signs if instance.patterns.dtype == np.int8 else rejection_free._reals
    state.weights = weights.copy()
    state.layout = prepare(instance, state.weights)
    state.counts[:] = instance.model.energy(instance, weights), 0, 0
    return state


@pytest.fixture(scope="module")
def table():
    rows = {}
    yield rows
    print(f"\n\nTime per accepted flip at beta = {BETA:g}, N = {N}, in us (ratio to rejection-free):")
    for (patterns, alpha), times in rows.items():
        own = times["rejection-free"]
        others = ", ".join(
            f"{name} {time:.4g} ({time / own:.3g}x)"
            for name, time in times.items()
            if name not in ("rejection-free", "rate")
        )
        print(
            f"{patterns:>9} alpha = {alpha}: {own:.3g}, {others}; {times['rate']:.2g} of proposals accepted"
        )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_time_per_accepted_flip(benchmark, table, case):
    """Metropolis by its time per proposal over the acceptance rate of the same stretch of time."""
    from time import perf_counter

    instance, weights, rate = start(*case)
    signs, rng = case[0] == "binary", np.random.default_rng(4)
    state = placed(RejectionFree(BETA, 1), instance, weights)
    kernel = wait_signs if signs else wait_reals
    n_proposals = np.array([int(2000 / max(rate, 1e-9))])
    spent, flips, passed = [], 0, 0

    def rejection_free():
        record, before = np.zeros((1, 3), np.int64), perf_counter()
        kernel(*state.layout, state.weights, state.counts, BETA, n_proposals, record, rng)
        return perf_counter() - before, *record[0, 1:]

    rejection_free()
    benchmark.pedantic(lambda: spent.append(rejection_free()), rounds=ROUNDS)
    times = {"rejection-free": min(time / n for time, n, _ in spent if n > 200) * 1e6}
    flips, passed = (sum(row[k] for row in spent) for k in (1, 2))
    solver = Metropolis(BETA, 10**6, sweeps_per_record=200 if signs else 10)
    walk = solver.init(instance, np.random.default_rng(1))
    proposals = []
    for _ in range(ROUNDS):
        before = perf_counter()
        walk = solver.sweep(instance, walk, rng)
        proposals.append((perf_counter() - before) / (solver.sweeps_per_record * N))
    times |= {"Metropolis": min(proposals) * passed / flips * 1e6, "rate": flips / passed}
    if signs:
        state = placed(RejectionFree(BETA, 1), instance, weights)
        columns, planes, valid, edges, kinds, masks = state.layout[:6]
        sums, none = np.zeros((edges.size, N), np.int16), np.zeros_like(masks)
        arguments = (columns, planes, valid, edges, kinds, masks, instance.gauged, sums, none)
        spent = []
        for _ in range(ROUNDS):
            before = perf_counter()
            n_fold_way(*arguments, state.weights, state.counts, BETA, 2000, rng)
            spent.append((perf_counter() - before) / 2000)
        times["n-fold way"] = min(spent) * 1e6
        assert state.counts[0] == instance.model.energy(instance, state.weights)
    table[case] = times
    assert times["Metropolis"] > 0
