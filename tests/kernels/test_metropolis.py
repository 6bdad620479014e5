"""The Metropolis kernels: equal to their Python source bit for bit, with and without the compiler."""

import os
import subprocess
import sys

import numpy as np
import pytest
from catalogue import ALL_MODELS

from physlearn.kernels.metropolis import REFRESH, sweep_reals, sweep_signs
from physlearn.models import Instance
from physlearn.solvers import Metropolis, SimulatedAnnealing, solve

MODELS = ["storage", "storage, gaussian", "symmetric", "band", "band, gaussian"]


def run(kernel, model, P, stop):
    model, solver = ALL_MODELS[model], Metropolis(beta=1.0, n_sweeps=1)
    instance = model.with_alpha(40).sample(15, 1)
    instance = Instance(instance.patterns[:P], instance.labels[:P], model=model)
    state = solver.init(instance, np.random.default_rng(2))
    record, rng = np.zeros((REFRESH + 6, 3), dtype=np.int64), np.random.default_rng(3)
    betas = np.linspace(0, 2, len(record))
    arguments = (*state.layout, state.weights, state.best, state.counts)
    begun = kernel(*arguments, betas, stop, record, rng)
    return begun, *arguments, record, rng.random()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("P", "stop"), [(0, False), (7, True), (40, False), (520, False)])
def test_kernel_is_its_python_source(model, P, stop):
    kernel = sweep_reals if ALL_MODELS[model].patterns == "gaussian" else sweep_signs
    for compiled, plain in zip(run(kernel, model, P, stop), run(kernel.py_func, model, P, stop), strict=True):
        np.testing.assert_array_equal(compiled, plain)


def test_kernels_run_without_the_compiler():
    script = """
from physlearn import Perceptron, SimulatedAnnealing, solve

for patterns in ("binary", "gaussian"):
    result = solve(Perceptron(0.7, patterns=patterns).sample(31, 1), SimulatedAnnealing(20, (0.5, 2.0)), 2)
    print(result.energy, result.n_sweeps, result.acceptance_rate, result.weights.tolist())
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    plain = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    for model, line in zip(("storage", "storage, gaussian"), plain.stdout.splitlines(), strict=True):
        instance = ALL_MODELS[model].with_alpha(0.7).sample(31, 1)
        result = solve(instance, SimulatedAnnealing(20, (0.5, 2.0)), 2)
        expected = f"{result.energy} {result.n_sweeps} {result.acceptance_rate} {result.weights.tolist()}"
        assert line == expected
