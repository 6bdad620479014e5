"""Time per iteration of AMP against the same iteration in NumPy on float64 patterns; and of enumeration.

NumPy's products run on all cores, as those of the package do. ``make bench``; for a fair NumPy, without variables such
as OPENBLAS_CORETYPE that hold its BLAS back.
"""

import numpy as np
import pytest

from physlearn.kernels.patterns import packed_products
from physlearn.models import Instance, Perceptron, Teacher
from physlearn.quadrature import G_over_H, G_over_H_excess
from physlearn.solvers import AMP, Enumeration
from physlearn.solvers.enumeration import unpacked

SIZES = [1001, 4001, 10001]
WHAT = ["product", "product, transposed", "iteration"]
ROUNDS = 12


def numpy_iteration(patterns, labels, a, v, g):
    """One iteration for the binary teacher-student perceptron, written plainly."""
    N = len(a)
    V = v.mean()
    omega = patterns @ a / np.sqrt(N) - V * g
    x = -labels * omega / np.sqrt(V)
    g = labels * G_over_H(x) / np.sqrt(V)
    A = (G_over_H(x) * G_over_H_excess(x)).sum() / V / N
    B = g @ patterns / np.sqrt(N) + A * a
    a = np.tanh(B)
    return a, 1 - a**2, g


@pytest.fixture(scope="module")
def table():
    rows = {}
    yield rows
    print("\n\nAMP, N = P, +-1 patterns, ms (ratio of NumPy to the package):")
    print(f"{'N':>6} {'':>20} {'package':>9} {'NumPy float64':>22}")
    for N in SIZES:
        for what in WHAT:
            own, other = rows["package", N, what], rows["NumPy", N, what]
            print(f"{N:>6} {what:>20} {1e3 * own:>9.3f} {1e3 * other:>12.3f} ({other / own:4.1f}x)")


@pytest.mark.parametrize("N", SIZES)
@pytest.mark.parametrize("implementation", ["package", "NumPy"])
@pytest.mark.parametrize("what", WHAT)
def test_message_passing(benchmark, table, implementation, N, what):
    instance, solver, rng = Perceptron(1.0, rule=Teacher()).sample(N, 1), AMP(), np.random.default_rng(2)
    state = solver.init(instance, rng)
    for _ in range(3):
        state = solver.sweep(instance, state, rng)
    a, v, g = state.mean, state.variance, state.gradient
    if implementation == "package":
        columns, rows = instance.packed
        functions = (
            lambda: packed_products(columns, a),
            lambda: packed_products(rows, g),
            lambda: solver.sweep(instance, state, rng).mean,
        )
    else:
        patterns, labels = instance.patterns.astype(np.float64), instance.labels.astype(np.float64)
        functions = (
            lambda: patterns @ a,
            lambda: g @ patterns,
            lambda: numpy_iteration(patterns, labels, a, v, g)[0],
        )
        np.testing.assert_allclose(
            functions[2](), solver.sweep(instance, state, rng).mean, rtol=1e-9, atol=1e-12
        )
    run = functions[WHAT.index(what)]
    assert np.isfinite(run()).all()
    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    table[implementation, N, what] = benchmark.stats.stats.min


def numpy_enumeration(gauged, chunk=1 << 16):
    """All configurations by products of matrices, in float32, where they are exact."""
    N = gauged.shape[1]
    columns = gauged.T.astype(np.float32)
    return sum(
        np.count_nonzero(
            (unpacked(np.arange(start, start + chunk), N).astype(np.float32) @ columns > 0).all(axis=1)
        )
        for start in range(0, 1 << N, chunk)
    )


@pytest.fixture(scope="module")
def seconds():
    rows = {}
    yield rows
    print(
        f"\n\nEnumeration, P = 20, s (NumPy at N = 20; the package at N = 26 is {rows['package', 26]:.3f}):"
    )
    own, other = rows["package", 20], rows["NumPy", 20]
    print(f"    N = 20: package {own:.4f}, NumPy {other:.4f} ({other / own:.0f}x)")


@pytest.mark.parametrize(("implementation", "N"), [("package", 20), ("NumPy", 20), ("package", 26)])
def test_enumeration(benchmark, seconds, implementation, N):
    rng = np.random.default_rng(1)
    instance = Instance(rng.choice([-1, 1], size=(20, N)), rng.choice([-1, 1], size=20))
    solver = Enumeration()

    def run():
        return solver.sweep(instance, solver.init(instance, rng), rng).n_solutions

    if implementation == "NumPy":
        assert numpy_enumeration(instance.gauged) == run()
        benchmark.pedantic(lambda: numpy_enumeration(instance.gauged), rounds=3)
    else:
        assert run() >= 0
        benchmark.pedantic(run, rounds=5)
    seconds[implementation, N] = benchmark.stats.stats.min
