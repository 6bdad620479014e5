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
from physlearn.kernels.classes import ONE, first_one
from physlearn.kernels.flips import ALL, NONE
from physlearn.kernels.metropolis import ACCEPTED, FLIPS, PROPOSALS
from physlearn.kernels.rejection_free import waiting
from physlearn.models import Committee, Perceptron, Replicated, Tethered
from physlearn.models.energies import CrossEntropy, Errors, Linear
from physlearn.models.schedules import linear
from physlearn.random import generator
from physlearn.solvers import Metropolis, RejectionFree, SimulatedAnnealing
from physlearn.solvers.systems import flips

N = 1001
GAUSSIAN = {"patterns": "gaussian"}
CASES = {  # model, energy, beta, sweeps of annealing
    "alpha = 0.3": (Perceptron(0.3), Errors(), 4.0, 2000),
    "alpha = 0.5": (Perceptron(0.5), Errors(), 4.0, 2000),
    "alpha = 0.8": (Perceptron(0.8), Errors(), 4.0, 2000),
    "gaussian, alpha = 0.3": (Perceptron(0.3, **GAUSSIAN), Errors(), 4.0, 300),
    "gaussian, alpha = 0.5": (Perceptron(0.5, **GAUSSIAN), Errors(), 4.0, 300),
    "tether of 0.1": (Perceptron(0.3), Errors(), 4.0, 1000),
    "3 replicas": (Replicated(Perceptron(0.3), 3, 0.1), Errors(), 4.0, 1000),
    "committee": (Committee(0.3), Errors(), 4.0, 1000),
    "committee, gaussian": (Committee(0.3, **GAUSSIAN), Errors(), 4.0, 200),
    "linear": (Perceptron(0.3), Linear(), 60.0, 1000),
    "linear, committee": (Committee(0.3), Linear(), 60.0, 500),
    "linear, gaussian": (Perceptron(0.3, **GAUSSIAN), Linear(), 120.0, 200),
    "cross-entropy": (Perceptron(0.3), CrossEntropy(), 200.0, 300),
    "cross-entropy, committee": (Committee(0.3), CrossEntropy(), 8.0, 500),
}
ROUNDS = 16


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


def start(name):
    """An instance, and the configurations after annealing."""
    model, energy, beta, n_sweeps = CASES[name]
    instance = model.sample(N if model.n_hidden == 1 else 1005, 1)
    if "tether" in name:
        instance = Tethered(instance, np.ones(N), 0.1)
    annealed = SimulatedAnnealing(n_sweeps, (*linear(0.1, beta, 50), *[beta] * 50), n_sweeps, energy)
    object.__setattr__(annealed, "_stops_at_solution", False)  # a solution is as good a state as any
    rng = generator(2)
    return instance, annealed.sweep(instance, annealed.init(instance, rng), rng).weights


def placed(solver, instance, weights):
    """A state of the solver at the given weights."""
    state = solver.init(instance, generator(1))
    state.weights = weights.copy()
    replicas = state.weights.reshape(-1, instance.N)
    state.system = flips(instance, solver.energy, replicas)
    state.errors[:] = [instance.model.energy(instance, w) for w in replicas]
    state.energies[:] = [solver.energy.total(instance, w) for w in replicas]
    return state


def rounds(solver, instance, state, rng):
    """CPU time, flips and proposals of each of some records: other work on the machine counts less."""
    from time import thread_time

    found = []
    for _ in range(ROUNDS):
        state.counts[2] = 0
        before = thread_time()
        state = solver.sweep(instance, state, rng)
        spent = thread_time() - before
        last = state.steps[-1]
        found.append((spent, last[:, ACCEPTED].sum(), last[:, PROPOSALS].sum()))
    return found


@pytest.fixture(scope="module")
def table():
    rows = {}
    yield rows
    print(f"\n\nTime per accepted flip, N = {N}, in us (ratio to rejection-free):")
    for name, times in rows.items():
        own = times["rejection-free"]
        others = ", ".join(
            f"{other} {time:.4g} ({time / own:.3g}x)"
            for other, time in times.items()
            if other not in ("rejection-free", "rate")
        )
        beta, rate = CASES[name][2], times["rate"]
        print(f"{name:>25}, beta = {beta:g}: {own:.3g}, {others}; {rate:.2g} of proposals accepted")


@pytest.mark.parametrize("name", CASES)
def test_time_per_accepted_flip(benchmark, table, name):
    """Metropolis by its time per proposal over the acceptance rate of the same stretch of time."""
    _, energy, beta, _ = CASES[name]
    instance, weights = start(name)
    rng = generator(4)
    solver = RejectionFree(beta, 10**15, 1000, energy=energy)
    state = solver.sweep(instance, placed(solver, instance, weights), rng)
    rate = max(state.steps[-1][0, ACCEPTED], 1) / state.steps[-1][0, PROPOSALS]
    n_sweeps = max(1, int(3000 / rate / instance.N / len(state.errors)))
    solver = RejectionFree(beta, 10**15, n_sweeps, energy=energy)
    own = benchmark.pedantic(lambda: rounds(solver, instance, state, rng), rounds=1)
    accepted, proposed = (sum(row[k] for row in own) for k in (1, 2))
    walker = Metropolis(beta, 10**6, 100 if energy == Errors() else 10, energy=energy)
    other = rounds(walker, instance, placed(walker, instance, state.weights), rng)
    table[name] = times = {
        "rejection-free": min(time / n for time, n, _ in own if n > 200) * 1e6,
        "Metropolis": min(time / n for time, _, n in other) * 1e6 * proposed / accepted,
        "rate": accepted / proposed,
    }
    if name.startswith("alpha"):
        times["n-fold way"] = n_fold_time(instance, placed(solver, instance, weights), beta, rng)
    assert times["Metropolis"] > 0


def n_fold_time(instance, state, beta, rng):
    """The same for the n-fold way."""
    from time import thread_time

    system, weights = state.system, state.weights
    planes, masks = system.planes[0], system.masks[0]
    sums, none = np.zeros((system.edges.size, instance.N), np.int16), np.zeros_like(masks)
    arguments = (system.columns, planes, system.valid, system.edges, system.coefficients, masks)
    state.counts[:] = state.errors[0], 0, 0
    spent = []
    for _ in range(ROUNDS):
        before = thread_time()
        n_fold_way(*arguments, instance.gauged, sums, none, weights, state.counts, beta, 2000, rng)
        spent.append((thread_time() - before) / 2000)
    assert state.counts[0] == instance.model.energy(instance, weights)
    return min(spent) * 1e6
