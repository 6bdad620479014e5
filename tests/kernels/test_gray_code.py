"""The kernels of exact enumeration: equal to their Python source bit for bit, with and without the compiler."""

import os
import subprocess
import sys

import numpy as np
import pytest

from physlearn.kernels import enumeration as kernels
from physlearn.models import Perceptron
from physlearn.models.priors import random_signs
from physlearn.solvers import AMP, Enumeration, solve


@pytest.mark.parametrize(
    ("N", "P", "lowest", "width"), [(7, 5, 1, 6), (7, 3, -3, 6), (9, 16, -7, 16), (3, 0, 0, 0)]
)
def test_signs(N, P, lowest, width):
    gauged = random_signs(N, P, np.random.default_rng(1)) if P else np.zeros((N, 0), dtype=np.int8)
    low = min(N, 4)
    bitmaps = np.zeros((2, max(8, 2**N // 8)), dtype=np.uint8)
    kernels.enumerate_signs(gauged, lowest, width, low, bitmaps[0], 0, 2 ** (N - low))
    kernels.enumerate_signs.py_func(gauged, lowest, width, low, bitmaps[1], 0, 2 ** (N - low))
    np.testing.assert_array_equal(*bitmaps)
    assert bitmaps[0].any()


@pytest.mark.parametrize(("lower", "upper", "doubt"), [(0.0, np.inf, 1e-9), (-3.0, 3.0, 0.3)])
def test_reals(lower, upper, doubt):
    gauged = np.random.default_rng(2).standard_normal((7, 4))
    bitmaps, doubtful = np.zeros((2, 16), dtype=np.uint8), np.zeros((2, 16), dtype=np.uint8)
    for kernel, k in ((kernels.enumerate_reals, 0), (kernels.enumerate_reals.py_func, 1)):
        kernel(gauged, lower, upper, doubt, 4, bitmaps[k], doubtful[k], 0, 8)
    np.testing.assert_array_equal(*bitmaps)
    np.testing.assert_array_equal(*doubtful)
    assert bitmaps.any()
    assert not (bitmaps & doubtful).any()
    assert doubtful.any() == (doubt > 0.1)


@pytest.mark.parametrize("log_size", [0, 1, 5, 16])
def test_walsh_hadamard(log_size):
    values = np.random.default_rng(3).integers(0, 2, size=2**log_size).astype(np.int32)
    transform = values.copy()
    kernels.walsh_hadamard(transform)
    if log_size < 16:
        plain = values.copy()
        kernels.walsh_hadamard.py_func(plain)
        np.testing.assert_array_equal(transform, plain)
        u = np.arange(values.size, dtype=np.uint32)
        parity = np.bitwise_count(u[:, None] & u) & 1
        np.testing.assert_array_equal(transform, (1 - 2 * parity.astype(int)) @ values)
    kernels.walsh_hadamard(transform)  # its own inverse, but for the size
    np.testing.assert_array_equal(transform, values * values.size)


def test_power_by_weight():
    values = np.random.default_rng(4).integers(-(2**20), 2**20, size=128).astype(np.int32)
    power = np.zeros((2, 8), dtype=np.int64)
    kernels.power_by_weight(values, power[0])
    kernels.power_by_weight.py_func(values, power[1])
    np.testing.assert_array_equal(*power)
    weights = np.bitwise_count(np.arange(128, dtype=np.uint8))
    np.testing.assert_array_equal(power[0], [np.sum(values[weights == j].astype(int) ** 2) for j in range(8)])


def test_cluster_sizes():
    solutions = np.flatnonzero(np.random.default_rng(5).random(256) < 0.2).astype(np.uint32)
    bitmap = np.packbits(np.isin(np.arange(256), solutions), bitorder="little")
    sizes = np.zeros((2, solutions.size), dtype=np.uint32)
    for kernel, answer in ((kernels.cluster_sizes, sizes[0]), (kernels.cluster_sizes.py_func, sizes[1])):
        left = bitmap.copy()
        n_clusters = kernel(left, solutions, 8, np.empty_like(solutions), answer)
        assert not left.any()
        assert np.sum(answer[:n_clusters]) == solutions.size
    np.testing.assert_array_equal(*sizes)


def test_solvers_run_without_the_compiler():
    script = """
from physlearn import AMP, Enumeration, Perceptron, solve

for patterns in ("binary", "gaussian"):
    instance = Perceptron(0.5, patterns=patterns).sample(9, 1)
    result = solve(instance, Enumeration(), 2)
    print(result.solutions.tolist(), result.overlap_histogram().tolist(), result.clusters().tolist())
    print(solve(instance, AMP(n_iterations=3), 2).overlap)
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-c", script]
    plain = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    expected = []
    for patterns in ("binary", "gaussian"):
        instance = Perceptron(0.5, patterns=patterns).sample(9, 1)
        result = solve(instance, Enumeration(), 2)
        expected.append(
            " ".join(
                str(a.tolist()) for a in (result.solutions, result.overlap_histogram(), result.clusters())
            )
        )
        expected.append(str(solve(instance, AMP(n_iterations=3), 2).overlap))
    assert plain.stdout.splitlines() == expected
