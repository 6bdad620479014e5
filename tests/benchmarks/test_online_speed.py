"""Time per sweep of SBPI against the same sweep in NumPy, and where it goes; and instances solved on two cores.

``make bench``. A sweep presents P patterns: for each a sum of N signs (an exclusive or and a count of bits), and for
those that are wrong or barely right N additions. The least time a sweep can take is told by the two primitives alone,
run on the same data from the first-level cache.
"""

import time

import numpy as np
import pytest
from numba import njit

from physlearn import Committee, Perceptron, Scan
from physlearn.kernels.hidden import overlap, packed_rows, padded, push
from physlearn.kernels.online import learn
from physlearn.random import generator
from physlearn.solvers import SBPI, ReplicatedSGD, solve, solve_task

CASES = [(1001, 600), (10001, 6000)]
ROUNDS = 40
N_INSTANCES = 64


@njit
def sums_alone(patterns, weights, n, n_times):
    total = 0
    for _ in range(n_times):
        for mu in range(patterns.shape[0]):
            total += overlap(patterns, mu, weights, 0, n)
    return total


@njit
def pushes_alone(patterns, hidden, weights, top, n_times):
    for k in range(n_times):
        push(patterns, k % patterns.shape[0], hidden, weights, 0, top, np.uint64(0))


def numpy_sweep(x, h, top, rng):
    """One sweep of the rule, written plainly; returns the presentations that were wrong and that reinforced."""
    wrong = reinforced = 0
    for mu in rng.permutation(len(x)):
        w = np.sign(h)
        total = int(x[mu] @ w)
        if total <= 0:
            wrong += 1
            h[:] = np.clip(h + 2 * x[mu], -top, top)
        elif total <= 1 and rng.random() < 0.4:
            reinforced += 1
            h[:] = np.clip(h + 2 * x[mu] * (x[mu] * w > 0), -top, top)
    energy = np.count_nonzero(x @ np.sign(h) <= 0)
    return energy, wrong, reinforced


def learning(N, P, n_sweeps):
    """A state after some sweeps, as the kernel wants it: a run that goes on at this load, with errors to learn from."""
    instance, rng = Perceptron(P / N).sample(N, 1), generator(2)
    solver = SBPI(n_sweeps, sweeps_per_record=n_sweeps)
    return instance, solver.sweep(instance, solver.init(instance, rng), rng)


@pytest.fixture(scope="module")
def table():
    rows = {}
    yield rows
    print("\n\nSBPI at load 0.6, from the 5th sweep on:")
    for name, text in rows.items():
        print(f"  {name:<56} {text}")


TIMES = {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_time_per_sweep(benchmark, table, case):
    N, P = case
    _, state = learning(N, P, 5)
    patterns, weights, best = state.layout
    top = np.int16(SBPI().largest_state(N))
    order, n_sweeps, counted = np.empty(P, dtype=np.int64), 10, []

    def fresh():
        counts, record = np.array([P, 0, 0, 1]), np.zeros((n_sweeps, 3), dtype=np.int64)
        copies = state.hidden.copy(), weights.copy(), best.copy()
        counted.append(record)
        rest = (order, N, top, 0.5, 2.0, 0.4, False, 0.0, counts, record, generator(3))
        return (patterns, 1, *copies, *rest), {}

    benchmark.pedantic(learn, setup=fresh, rounds=ROUNDS, warmup_rounds=1)
    assert counted[-1][-1, 1] > 0  # not solved on the way, or it would have stopped
    pushes = counted[-1][:, 1:].sum() / n_sweeps
    sweep = benchmark.stats.stats.min / n_sweeps
    TIMES[case] = sweep, pushes
    table[f"sweep, N = {N}, P = {P}"] = (
        f"{sweep * 1e6:.2f} us ({1 / sweep:,.0f} a second), {sweep / N / P * 1e9:.4f} ns a synapse presented, "
        f"{pushes / P:.1%} of the presentations push"
    )


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("what", ["sums", "pushes"])
def test_primitives_alone(benchmark, table, case, what):
    N, P = case
    x = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), size=(min(P, 600), N))
    patterns, hidden = packed_rows(x), np.full((1, padded(N)), -1, dtype=np.int16)
    weights, n_times = packed_rows(hidden), 20 if what == "sums" else 12_000
    run = (
        (lambda: sums_alone(patterns, weights, N, n_times))
        if what == "sums"
        else (lambda: pushes_alone(patterns, hidden, weights, np.int16(55), n_times))
    )
    run()
    benchmark.pedantic(run, rounds=ROUNDS)
    each = benchmark.stats.stats.min / (n_times * len(x) if what == "sums" else n_times)
    table[f"{what} alone, N = {N}"] = f"{each * 1e9:.1f} ns each, {each / N * 1e9:.4f} ns a synapse"
    sweep, pushes = TIMES[case]
    TIMES[case, what] = each * (2 * P if what == "sums" else pushes)  # each sweep ends by counting the errors
    if (case, "sums") in TIMES and (case, "pushes") in TIMES:
        least = TIMES[case, "sums"] + TIMES[case, "pushes"]
        table[f"sweep over its primitives, N = {N}"] = f"{sweep / least:.2f}"


def test_numpy_sweep(benchmark, table):
    case = N, P = CASES[0]
    instance, state = learning(N, P, 5)
    x, top, rng = instance.gauged.astype(np.int64), SBPI().largest_state(N), generator(3)
    start = state.hidden[0, :N].astype(np.int64)
    benchmark.pedantic(lambda h: numpy_sweep(x, h, top, rng), setup=lambda: ((start.copy(),), {}), rounds=10)
    mean = benchmark.stats.stats.min
    table[f"sweep in NumPy, N = {N}, P = {P}"] = (
        f"{mean * 1e3:.2f} ms, {mean / TIMES[case][0]:.0f} times the kernel's"
    )


def test_time_to_solve(benchmark, table):
    """All that `solve` does, for ten instances of load 0.6."""
    instances = [Perceptron(0.6).sample(1001, seed) for seed in range(10)]
    found = []
    benchmark.pedantic(
        lambda: found.append([solve(instance, SBPI(), 1) for instance in instances]),
        rounds=5,
        warmup_rounds=1,
    )
    assert all(result.solved for result in found[-1])
    sweeps = np.mean([result.n_sweeps for result in found[-1]])
    each = benchmark.stats.stats.min / len(instances)
    table["solve, N = 1001, load 0.6"] = f"{each * 1e3:.2f} ms for {sweeps:.0f} sweeps"


def test_time_per_sweep_of_replicas(benchmark, table):
    instance = Committee(802 / 1605, n_hidden=5).sample(1605, 1)
    solver = ReplicatedSGD(n_sweeps=50, sweeps_per_record=50)
    rng = generator(1)
    benchmark.pedantic(
        lambda state: solver.sweep(instance, state, rng),
        setup=lambda: ((solver.init(instance, rng),), {}),
        rounds=8,
        warmup_rounds=1,
    )
    each = benchmark.stats.stats.min / 50
    table["sweep of 7 replicas, K = 5, N = 1605, P = 802"] = f"{each * 1e6:.0f} us"


@pytest.mark.parametrize("load", [0.65, 0.75])
def test_instances_keep_two_cores_busy(benchmark, table, tmp_path, load):
    """The share of two workers' time that goes into tasks; a core that others use counts as busy with them.

    By the time of the clock in each task, which is that of the processor where nothing else runs; both are printed.
    """
    folders = iter(range(1000))
    point = {"model": Perceptron(load), "solver": SBPI(n_sweeps=5_000), "N": 1001}

    def run():
        scan = Scan(timed_task, {"alpha": [load]}, point, instances=N_INSTANCES, seed=1)
        return scan.run(tmp_path / str(next(folders)), n_jobs=2)

    run()  # starts the workers, which compile or load what is compiled
    results = []
    benchmark.pedantic(lambda: results.append(run()), rounds=3)
    data = results[int(np.argmin(benchmark.stats.stats.data))]
    total = benchmark.stats.stats.min
    wall, cpu = (float(data[name].sum()) for name in ("elapsed", "processor"))
    table[f"two cores busy, {N_INSTANCES} instances of N = 1001, load {load}"] = (
        f"{wall / 2 / total:.1%}, by processor time {cpu / 2 / total:.1%} "
        f"({cpu * 1e3 / N_INSTANCES:.1f} ms a task, {total:.2f} s in all, {float(data['solved'].mean()):.0%} solved)"
    )


def timed_task(point, streams):
    """`solve_task`, with the times it took by the clock and on the processor."""
    clock, processor = time.perf_counter(), time.thread_time()
    steps = solve_task(point, streams)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            spent = {"elapsed": time.perf_counter() - clock, "processor": time.thread_time() - processor}
            return {**end.value, **spent}
