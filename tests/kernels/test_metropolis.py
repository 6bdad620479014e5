"""The Metropolis kernel: equal to its Python source bit for bit for each of its systems, without the compiler too."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
from catalogue import ALL_MODELS

from physlearn.kernels import flips
from physlearn.kernels.metropolis import REFRESH, SWEEPS, sweep, work_space
from physlearn.models import Committee, Instance, Perceptron, Tethered
from physlearn.models.energies import CrossEntropy, Errors, Linear
from physlearn.solvers import Metropolis, ReplicatedAnnealing, SimulatedAnnealing, solve

MODELS = [
    "storage",
    "storage, gaussian",
    "symmetric",
    "band",
    "band, gaussian",
    "committee",
    "tree, gaussian",
]
ENERGIES = [Errors(), Linear(), CrossEntropy(0.7)]


def prepared(model, P, energy, tethered=False):
    model = ALL_MODELS[model]
    instance = model.with_alpha(60).sample(9 if model.n_hidden > 1 else 15, 1)
    instance = Instance(instance.patterns[:P], instance.labels[:P], model=model)
    if tethered:
        instance = Tethered(instance, np.linspace(-1, 1, instance.N), 1.0)
    solver = Metropolis(beta=1.0, n_sweeps=1, energy=energy)
    return instance, solver, solver.init(instance, np.random.default_rng(2))


def run(kernel, instance, solver, state, n_sweeps, stop):
    state = copy.deepcopy(state)
    record, rng = np.zeros((n_sweeps, 5)), np.random.default_rng(3)
    betas = np.linspace(0, 2, n_sweeps)
    fields = solver._fields(instance, 0, n_sweeps)
    begun = kernel(
        state.system,
        state.weights[None],
        state.best,
        state.counts,
        state.energies,
        state.errors,
        betas,
        fields,
        stop,
        work_space(instance.N, fields),
        record,
        rng,
    )
    return begun, vars(state), record, rng.random()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("P", "stop", "n_sweeps"), [(0, False, 3), (7, True, 9), (520, False, 2)])
def test_kernel_is_its_python_source(model, P, stop, n_sweeps):
    case = prepared(model, P, Errors())
    compiled, plain = (run(kernel, *case, n_sweeps, stop) for kernel in (sweep, sweep.py_func))
    np.testing.assert_equal(compiled, plain)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
def test_so_it_is_for_other_energies_and_tethers(model, energy):
    for P in (7, 70):
        case = prepared(model, P, energy, tethered=True)
        case[-1].counts[SWEEPS] = REFRESH  # as after many sweeps: all is to be computed afresh
        compiled, plain = (run(kernel, *case, 2, False) for kernel in (sweep, sweep.py_func))
        np.testing.assert_equal(compiled, plain)


def test_so_it_is_for_replicas():
    instance = Perceptron(0.9).sample(15, 1)
    solver = ReplicatedAnnealing(n_sweeps=9, schedule=(0.5,), coupling_schedule=(0.1, 0.4, 1.0))
    state = solver.init(instance, np.random.default_rng(2))
    fields = solver._fields(instance, 0, 9)

    def end(kernel):
        one, record = copy.deepcopy(state), np.zeros((9, 5))
        arguments = (one.system, one.weights, one.best, one.counts, one.energies, one.errors, np.full(9, 0.5))
        rng = np.random.default_rng(3)
        kernel(*arguments, fields, False, work_space(15, fields), record, rng)
        return vars(one), record

    np.testing.assert_equal(end(sweep), end(sweep.py_func))


@pytest.mark.parametrize("model", [*MODELS, "storage, margin", "tree, teacher"])
@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
@pytest.mark.parametrize("P", [5, 90])
def test_energy_changes_are_differences_of_energies(model, energy, P):
    """Of every weight, in Python, from a random configuration and from one after some flips."""
    instance, _, state = prepared(model, P, energy)
    system, weights = flips.replica(state.system, 0), state.weights
    flips.refresh(system, weights)
    rng = np.random.default_rng(4)
    for _ in range(3):
        here, errors = energy.total(instance, weights), instance.model.energy(instance, weights)
        for i in range(instance.N):
            moved = weights.copy()
            moved[i] *= -1
            change = flips.change(system, i, np.int64(weights[i]))
            assert change == pytest.approx(energy.total(instance, moved) - here, abs=1e-10)
        i = rng.integers(instance.N)
        w = np.int64(weights[i])
        found = flips.flip(system, i, w, flips.change(system, i, w))
        weights[i] = -w
        assert found == instance.model.energy(instance, weights) - errors
    energy_again, n_errors = flips.refresh(system, weights)
    if n_errors >= 0:
        assert energy_again == pytest.approx(energy.total(instance, weights), abs=1e-10)
        assert n_errors == instance.model.energy(instance, weights)


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
@pytest.mark.parametrize("size", [4, 5])
def test_more_units_and_even_ones(tree, energy, size):
    """Five units, whose ranks matter; an even number of weights each, where fields may vanish."""
    model, rng = Committee(1.0, 5, tree), np.random.default_rng(size)
    patterns = rng.choice([-1, 1], size=(200, 5 * size if tree else size))
    instance = Instance(patterns, rng.choice([-1, 1], size=200), model=model)
    state = Metropolis(0.5, 9, energy=energy).init(instance, rng)
    system, weights = flips.replica(state.system, 0), state.weights
    flips.refresh(system, weights)
    for i in rng.integers(instance.N, size=20):
        before, w = energy.total(instance, weights), np.int64(weights[i])
        change = flips.change(system, i, w)
        flips.flip(system, i, w, change)
        weights[i] = -w
        assert change == pytest.approx(energy.total(instance, weights) - before, abs=1e-10)


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
