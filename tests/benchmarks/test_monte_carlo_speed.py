"""Time per proposal of the Metropolis kernel, against a compiled scan of all patterns and against NumPy.

All start from the same configuration, annealed to the inverse temperature at which they are timed, and go on from
there: acceptance is what it is in that state (at beta = 2 and N = 10001 a glass: next to nothing). A second table has
other energies, tethers, replicas and committees against the errors of one perceptron, where
other energies accept more, and against a compiled scan of all patterns with the same energy and fields; a third the
whole of an annealing. ``make bench``.
"""

import math
from time import perf_counter

import numpy as np
import pytest
from numba import njit

from physlearn.kernels.metropolis import ACCEPTED, SWEEPS, sweep, work_space
from physlearn.models import Committee, Perceptron, Replicated, Tethered
from physlearn.models.energies import CrossEntropy, Errors, Linear
from physlearn.models.schedules import linear
from physlearn.random import generator
from physlearn.solvers import ReplicatedAnnealing, SimulatedAnnealing

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


@njit
def coupled_scan(columns, sums, threshold, is_linear, weights, coupling, tether, beta, n_proposals, rng):
    """The same for replicas with a tether, (n_replicas, N), in turn: of the errors, or of the distances to the edge."""
    n_replicas, N = weights.shape
    root = math.sqrt(N)
    for _ in range(n_proposals // n_replicas):
        for a in range(n_replicas):
            i = int(rng.random() * N)
            push, cost = -2 * weights[a, i], 2 * weights[a, i] * tether[i]
            for b in range(n_replicas):
                if b != a:
                    cost += 2 * coupling * weights[a, i] * weights[b, i]
            if is_linear:
                distance = 0
                for mu in range(sums.shape[1]):
                    s = sums[a, mu]
                    distance += min(s, 0) - min(s + push * columns[i, mu], 0)
                change = distance / root
            else:
                errors = 0
                for mu in range(sums.shape[1]):
                    s = sums[a, mu]
                    errors += (s + push * columns[i, mu] < threshold) - (s < threshold)
                change = float(errors)
            if rng.random() < math.exp(-beta * change - cost):
                for mu in range(sums.shape[1]):
                    sums[a, mu] += push * columns[i, mu]
                weights[a, i] = -weights[a, i]


def annealed(patterns, N, P, beta):
    """An instance, and a walk on it annealed to `beta` in 2000 sweeps (200 for real patterns)."""
    instance = Perceptron(P / N, patterns=patterns).sample(N, 1)
    return instance, settled(instance, Errors(), beta, 2000 if patterns == "binary" else 200)


def settled(instance, energy, beta, n_sweeps):
    """A walk annealed to `beta`, on an instance with or without replicas."""
    rng, schedule = generator(2), (*linear(0.1, beta, 50), *[beta] * 50)
    solver = SimulatedAnnealing(n_sweeps, schedule, n_sweeps, energy)
    return solver.sweep(instance, solver.init(instance, rng), rng)


def rounds(instance, energy, walk, beta, n_sweeps):
    """A function that does so many sweeps with the kernel alone, and returns the flips accepted."""
    solver, record = SimulatedAnnealing(n_sweeps, (beta,), energy=energy), np.zeros((n_sweeps, 5))
    fields = solver._fields(instance, 0, n_sweeps)
    arguments = (walk.system, walk.weights.reshape(-1, instance.N), walk.best, walk.counts, walk.energies)
    work, rng = work_space(instance.N, fields), generator(3)

    def run():
        record[:] = 0
        walk.counts[SWEEPS] = 1  # nothing is computed afresh, which is due once in 64 sweeps
        sweep(*arguments, walk.errors, np.full(n_sweeps, beta), fields, False, work, record, rng)
        return record[:, ACCEPTED].sum()

    return run


def prepared(implementation, case):
    """A function that runs one round and returns the flips accepted; and the proposals of a round."""
    patterns, N, P, beta = case
    instance, walk = annealed(*case)
    rng = generator(3)
    if implementation == "kernel":
        n_sweeps = -(-20_000 // N)
        return rounds(instance, Errors(), walk, beta, n_sweeps), n_sweeps * N
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


PLAIN = Perceptron(0.5)
VARIANTS = {
    "errors": (PLAIN, Errors()),
    "errors, tether": (PLAIN, Errors()),
    "errors, 3 replicas": (Replicated(PLAIN, 3, 0.1), Errors()),
    "errors, 7 replicas, centre": (Replicated(PLAIN, 7, 0.1, "centre"), Errors()),
    "linear": (PLAIN, Linear()),
    "linear, tether": (PLAIN, Linear()),
    "linear, 3 replicas": (Replicated(PLAIN, 3, 0.1), Linear()),
    "cross-entropy": (PLAIN, CrossEntropy()),
    "committee K = 3": (Committee(0.5), Errors()),
    "committee K = 3, linear": (Committee(0.5), Linear()),
    "tree K = 7": (Committee(0.5, 7, True), Errors()),
}


def sample(name):
    model, energy = VARIANTS[name]
    instance = model.sample(1001 if model.n_hidden != 3 else 1005, 1)
    if "tether" in name:
        instance = Tethered(instance, np.ones(instance.N), 0.1)
    return instance, energy


COLDER = 30  # beta of linear energies, which change by some 2/sqrt N where an error is one
SCANNED = ("errors", "errors, tether", "errors, 3 replicas", "linear", "linear, tether", "linear, 3 replicas")


def scan_time(instance, energy, walk, beta):
    """Nanoseconds of a proposal by `coupled_scan`, from where the walk is."""
    model = instance.model
    weights = walk.weights.reshape(-1, instance.N).copy()
    sums = (weights.astype(float) @ instance.gauged.T).astype(np.int16)
    coupling = model.coupling if isinstance(model, Replicated) else 0.0
    tether = np.zeros(instance.N) if instance.external is None else instance.external
    columns, is_linear, spent = np.ascontiguousarray(instance.gauged.T), energy == Linear(), []
    for n in (len(weights), *[3000] * 10):
        before = perf_counter()
        coupled_scan(columns, sums, np.int16(1), is_linear, weights, coupling, tether, beta, n, generator(3))
        spent.append((perf_counter() - before) / n * 1e9)
    return min(spent[1:])


@pytest.fixture(scope="module")
def scans():
    return {}


@pytest.fixture(scope="module")
def ratios(scans):
    rows = {}
    yield rows
    print(
        "\n\nMetropolis, N = 1001, P = 500, +-1 patterns, ns per proposal (ratio to the errors of one perceptron):"
    )
    print(f"(beta = {2 * COLDER} and {COLDER // 2} for linear energies)")
    print(f"{'':>28}{'beta = 2':>20}{'accepted':>10}{'beta = 0.5':>20}{'accepted':>10}")
    for name in VARIANTS:
        cells = ""
        for beta in (2.0, 0.5):
            time, rate = rows[name, beta]
            cells += f"{time:>10.1f} ({time / rows['errors', beta][0]:6.2f}x){rate:>10.1%}"
        print(f"{name:>28}{cells}")
    print("\nThe same by a compiled scan of all patterns (ratio to the kernel):")
    for name in SCANNED:
        cells = "".join(
            f"{scans[name, beta]:>10.1f} ({scans[name, beta] / rows[name, beta][0]:6.2f}x){'':>10}"
            for beta in (2.0, 0.5)
        )
        print(f"{name:>28}{cells}")


@pytest.mark.parametrize("beta", [2.0, 0.5])
@pytest.mark.parametrize("name", VARIANTS)
def test_time_per_proposal_of_variants(benchmark, ratios, scans, name, beta):
    instance, energy = sample(name)
    own = beta * (COLDER if energy == Linear() else 1)
    walk = settled(instance, energy, own, 200)
    if name in SCANNED:
        scans[name, beta] = scan_time(instance, energy, walk, own)
    n_proposals = 20 * instance.N * len(walk.errors)
    run, accepted = rounds(instance, energy, walk, own, 20), []
    run()
    benchmark.pedantic(lambda: accepted.append(run()), rounds=ROUNDS)
    rate = np.mean(accepted) / n_proposals
    assert 0 <= rate <= 1
    ratios[name, beta] = benchmark.stats.stats.min / n_proposals * 1e9, rate


@pytest.fixture(scope="module")
def annealings():
    rows = {}
    yield rows
    plain = rows["annealing"]
    print("\n\nAnnealing, N = 1001, P = 800, 300 sweeps from beta = 0.2 to 3, us per sweep and replica:")
    for name, time in rows.items():
        print(f"{name:>28} {time:>8.1f} ({time / plain:.2f}x)")


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("annealing", SimulatedAnnealing(300)),
        ("annealing of 3 replicas", ReplicatedAnnealing(300)),
        ("of 7, towards a centre", ReplicatedAnnealing(300, n_replicas=7, attraction="centre")),
    ],
)
def test_time_per_sweep_of_annealing(benchmark, annealings, name, solver):
    instance = Perceptron(0.8).sample(1001, 1)

    def run():
        rng = generator(4)
        state = solver.init(instance, rng)
        while solver.status(instance, state) is None:
            state = solver.sweep(instance, state, rng)
        return state

    state = run()
    benchmark.pedantic(run, rounds=40)
    annealings[name] = benchmark.stats.stats.min / state.n_sweeps / len(state.errors) * 1e6
