"""The rejection-free kernels: equal to their Python source bit for bit, and never below the chance of a flip."""

import copy
import math

import numpy as np
import pytest
from catalogue import ALL_MODELS

from physlearn.kernels import chances, flips
from physlearn.kernels.chances import Listed
from physlearn.kernels.classes import N_CLASSES, first_one, member
from physlearn.kernels.rejection_free import LONGEST, REFRESH, wait, waiting, work_space
from physlearn.models import Instance, Replicated, Tethered
from physlearn.models.energies import CrossEntropy, Errors, Linear
from physlearn.solvers import RejectionFree

MODELS = ["storage", "storage, margin", "symmetric", "band", "storage, gaussian", "band, gaussian"]
COMMITTEES = ["committee", "tree, teacher", "tree, gaussian", "committee, gaussian"]
ENERGIES = [Errors(), Linear(), CrossEntropy(0.7)]


def instance_of(model, P, N=15, tethered=False, n_replicas=1):
    model = ALL_MODELS[model]
    instance = model.with_alpha(40).sample(N, 1)
    instance = Instance(instance.patterns[:P], instance.labels[:P], model=model)
    if tethered:
        instance = Tethered(instance, np.linspace(-1, 1, instance.N), 0.9)
    if n_replicas > 1:
        instance.model = Replicated(model, n_replicas, 0.3)
    return instance


def run(kernel, instance, solver, state, n_sweeps):
    state = copy.deepcopy(state)
    record, rng = np.zeros(5), np.random.default_rng(3)
    pull, tether = solver._doubled_fields(instance)
    work = work_space(len(state.errors), instance.N, tether.size > 0)
    weights, beta = state.weights.reshape(-1, instance.N), solver.beta
    arguments = (state.system, state.bound, weights, state.best, state.counts, state.flipped, state.waits)
    for _ in range(2):
        kernel(*arguments, state.energies, state.errors, beta, pull, tether, n_sweeps, work, record, rng)
    assert_rates(state.bound, work[-1])
    return vars(state), record, rng.random()


def assert_rates(bound, rates):
    """Each replica waits at the sum of its bounds, also where others have changed its fields."""
    if isinstance(bound, Listed):
        expected = bound.chances.sum(axis=1)
    else:
        numbers = bound.numbers
        expected = [
            own[:n] @ bound.chances[:n] + own[N_CLASSES] * bound.chances[n]
            for own, n in zip(numbers, bound.counted, strict=True)
        ]
        assert (np.bitwise_count(bound.classed).sum(axis=2)[:, N_CLASSES] == numbers[:, N_CLASSES]).all()
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "energy", "P", "beta", "fields"),
    [
        ("storage", Errors(), 0, 1.0, False),
        ("storage", Errors(), 40, 0.7, False),
        ("symmetric", Errors(), 520, 0.3, True),
        ("storage, margin", Linear(), 40, 3.0, True),
        ("committee", Errors(), 40, 1.0, True),
        ("committee", Linear(), 40, 4.0, False),
        ("tree, teacher", CrossEntropy(0.7), 40, 4.0, True),
        ("storage, gaussian", Errors(), 40, 0.7, True),
        ("band, gaussian", Errors(), 70, 0.7, False),
        ("tree, gaussian", Errors(), 40, 1.0, False),
        ("storage, gaussian", Linear(), 40, 4.0, True),
        ("storage", CrossEntropy(0.7), 40, 4.0, True),
    ],
    ids=str,
)
def test_kernel_is_its_python_source(model, energy, P, beta, fields):
    instance = instance_of(model, P, tethered=fields, n_replicas=3 if fields else 1)
    solver = RejectionFree(beta, n_sweeps=1, energy=energy)
    state = solver.init(instance, np.random.default_rng(2))
    compiled, plain = (run(kernel, instance, solver, state, 4) for kernel in (wait, wait.py_func))
    np.testing.assert_equal(compiled, plain)
    weights = np.atleast_2d(compiled[0]["weights"])
    assert compiled[0]["errors"].tolist() == [instance.model.energy(instance, w) for w in weights]
    np.testing.assert_allclose(
        compiled[0]["energies"], [energy.total(instance, w) for w in weights], atol=1e-10
    )


def surveyed(instance, energy, beta):
    """State, energy changes of all weights, their field costs, the rate, and the bound that each is drawn with."""
    solver = RejectionFree(beta, 1, energy=energy)
    state = solver.init(instance, np.random.default_rng(5))
    w, system, bound = state.weights, flips.replica(state.system, 0), state.bound
    flips.refresh(system, w)
    costs = np.zeros(0) if instance.external is None else 2 * w * instance.external
    for i in range(instance.N):
        chances.mark(bound, 0, i, w[i], costs[i] if costs.size else 0.0)
    rate = chances.survey(system, bound, 0, w, beta, costs)
    here = energy.total(instance, w)
    others = np.where(np.eye(instance.N, dtype=bool), -w, w)
    changes = np.array([energy.total(instance, other) - here for other in others])
    return state, changes, costs if costs.size else np.zeros(instance.N), rate


def drawn_with(bound, N, rate):
    """The bound of each weight, by walking along the line of all bounds."""
    found, target = {}, 0.0
    while target < rate * (1 - 1e-12):
        i, limit = chances.pick(bound, 0, target + 1e-13 * rate)
        found.setdefault(i, limit)
        target += limit
    assert sorted(found) == list(range(N))
    return np.array([found[i] for i in range(N)])


@pytest.mark.parametrize("model", [*MODELS, *COMMITTEES])
@pytest.mark.parametrize("energy", ENERGIES, ids=repr)
@pytest.mark.parametrize(
    ("P", "N", "tether"), [(0, 15, True), (1, 15, False), (60, 15, True), (60, 69, False)]
)
def test_no_chance_is_above_its_bound(model, energy, P, N, tether):
    """Bounds add up to the rate, each weight has one, and it is at least min(1, e^{-beta dE - field cost})."""
    beta = 1.3
    instance = instance_of(model, P, N, tether)
    state, changes, costs, rate = surveyed(instance, energy, beta)
    limits = drawn_with(state.bound, N, rate)
    true = np.minimum(1, np.exp(-beta * changes - costs))
    assert rate == pytest.approx(limits.sum(), rel=1e-9)
    assert (limits >= true * (1 - 1e-9)).all()
    if isinstance(state.bound, Listed):
        np.testing.assert_allclose(limits, true, rtol=1e-9)
        return
    assert rate < 3 * true.sum() + 1  # they are of use, too
    if isinstance(energy, Errors) and ALL_MODELS[model].patterns == "binary" and not tether:
        n = state.bound.counted[0]
        counted = np.maximum(changes, 0) < n
        np.testing.assert_allclose(limits[counted], true[counted], rtol=1e-12)
        assert state.bound.numbers[0, N_CLASSES] * state.bound.chances[n] <= 0.1 * rate


@pytest.mark.parametrize(("model", "energy"), [("committee", Errors()), ("storage, gaussian", Linear())])
def test_a_weight_is_moved_to_its_new_chance(model, energy):
    instance = instance_of(model, 60, 69)
    state, _, _, rate = surveyed(instance, energy, 1.3)
    limits = drawn_with(state.bound, 69, rate)
    for i, chance in ((3, 1.0), (68, 1e-3), (30, 0.2), (3, 1e-9)):
        rate = chances.place(state.bound, 0, i, chance)
        moved = drawn_with(state.bound, 69, rate)
        assert moved[i] >= chance
        limits[i] = moved[i]
        np.testing.assert_allclose(moved, limits)
        assert rate == pytest.approx(limits.sum(), rel=1e-9)


def test_waiting_times_are_geometric():
    """P(steps > n) = (1 - p)^n: the quantile u of the steps is where this falls to 1 - u."""
    for chance in (0.9, 0.1, 1e-3, 1e-9):
        for u in (0.0, 0.3, 0.9, 1 - 1e-12):
            steps = waiting(chance, u)
            longer, as_long = (math.exp((steps - k) * math.log1p(-chance)) for k in (0, 1))
            assert longer <= (1 - u) * (1 + 1e-9)
            assert as_long >= (1 - u) * (1 - 1e-9)
    assert waiting(1.0, 0.999) == waiting(2.0, 0.0) == 1
    assert waiting(0.0, 0.5) == waiting(1e-300, 0.5) == LONGEST


def test_bits():
    for word in (1, 6, 1 << 63, (1 << 64) - 1, 0x8000000000000100):
        assert first_one(np.uint64(word)) == (word & -word).bit_length() - 1
    bits = np.array([0b1010, 0, 0b1], dtype=np.uint64)
    assert [member(bits, rank) for rank in range(4)] == [1, 3, 128, -1]


def test_real_stabilities_are_refreshed():
    """Whatever rounding has done to the running sums is gone at the next refresh."""
    instance = instance_of("storage, gaussian", 30)
    solver = RejectionFree(0.0, 1)
    state = solver.init(instance, np.random.default_rng(1))
    state.flipped[0] = REFRESH * instance.N - 1
    flips.refresh(flips.replica(state.system, 0), state.weights)
    state.system.sums[:] += 3.0
    state = solver.sweep(instance, state, np.random.default_rng(1))
    assert state.flipped[0] > REFRESH * instance.N
    np.testing.assert_allclose(state.system.sums[0, 0], state.weights @ instance.gauged.T, atol=1e-12)
