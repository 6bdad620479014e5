"""The kernels of on-line rules and of replicated descent are their Python source, bit for bit."""

import copy

import numpy as np
import pytest
from catalogue import ALL_MODELS, sized

from physlearn.kernels import gradient, online
from physlearn.solvers import SBPI, PerceptronRule, ReplicatedSGD

MODELS = ["storage", "storage, gaussian, margin", "committee", "committee, gaussian", "tree, teacher"]
RULES = {"SBPI": SBPI(n_sweeps=2, n_states=4), "PerceptronRule": PerceptronRule(n_sweeps=2, n_states=4)}


def run(monkeypatch, module, name, kernel, solver, instance):
    """The solver's two sweeps with this kernel: its state, and the next random number."""
    monkeypatch.setattr(module, name, kernel)
    rng = np.random.default_rng(3)
    state = solver.init(instance, rng)
    state = solver.sweep(instance, state, rng)
    return copy.deepcopy(vars(state)), rng.random()


def assert_same(first, second):
    np.testing.assert_equal(first[0], second[0])
    assert first[1] == second[1]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rule", RULES)
def test_learning_is_its_python_source(monkeypatch, model, rule):
    import physlearn.solvers.online as solvers

    model, solver = ALL_MODELS[model].with_alpha(1.5), RULES[rule]
    instance = model.sample(sized(model, 15), 1)
    kernel = online.learn
    compiled = run(monkeypatch, solvers, "learn", kernel, solver, instance)
    for helper in ("shuffle", "nearest", "violations", "length"):
        monkeypatch.setattr(online, helper, getattr(online, helper).py_func)
    assert_same(compiled, run(monkeypatch, solvers, "learn", kernel.py_func, solver, instance))
    assert compiled[0]["record"][0][:, 1].min() > 0


@pytest.mark.parametrize("model", MODELS)
def test_descent_is_its_python_source(monkeypatch, model):
    import physlearn.solvers.gradient as solvers

    model, solver = ALL_MODELS[model].with_alpha(1.5), ReplicatedSGD(3, batch=4, n_sweeps=2, same_start=False)
    instance = model.sample(sized(model, 15), 1)
    kernel = gradient.descend
    compiled = run(monkeypatch, solvers, "descend", kernel, solver, instance)
    for helper in ("shuffle", "nearest", "violations", "slope", "follow"):
        monkeypatch.setattr(gradient, helper, getattr(gradient, helper).py_func)
    assert_same(compiled, run(monkeypatch, solvers, "descend", kernel.py_func, solver, instance))


def test_a_shuffle_reaches_every_order_alike():
    """Chi squared of 12000 permutations of four in 24 cells."""
    rng, order, counts = np.random.default_rng(0), np.empty(4, dtype=np.int64), np.zeros(256)
    for _ in range(12_000):
        online.shuffle(order, rng)
        assert sorted(order) == [0, 1, 2, 3]
        counts[order @ 4 ** np.arange(4)] += 1
    seen = counts[counts > 0]
    assert len(seen) == 24
    assert np.sum((seen - 500) ** 2 / 500) < 60  # of 23 degrees of freedom: false alarm 4e-5


def test_following_the_centre_is_its_equation():
    """(C.3) of the derivation, in arrays: a step along the slope, then one towards the centre of all signs."""
    rng = np.random.default_rng(5)
    y, K, n, rate, attraction, correction = 5, 3, 40, 2.0, 0.75, 0.6
    hidden = rng.standard_normal((y, K, n)) * 3
    signs = np.where(hidden > 0, 1, -1)
    total, steepest = signs.sum(axis=0), rng.integers(-2, 3, size=(K, n)).astype(float)
    pull = rng.standard_normal(2 * y + 1)
    h = hidden[2] + rate * steepest
    w = np.where(h > 0, 1, -1)
    expected = h + attraction * (pull[total - signs[2] + w + y] - correction * w)
    gradient.follow(hidden[2], total, steepest, rate, attraction, pull, correction)
    np.testing.assert_allclose(hidden[2], expected, rtol=1e-14)
    np.testing.assert_array_equal(total, np.where(hidden > 0, 1, -1).sum(axis=0))
    assert (np.where(expected > 0, 1, -1) != w).any()
