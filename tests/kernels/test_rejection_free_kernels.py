"""The rejection-free kernels: equal to their Python source bit for bit, and right about every energy change."""

import math

import numpy as np
import pytest
from catalogue import ALL_MODELS

from physlearn.kernels.bits import BLOCK, straddling
from physlearn.kernels.rejection_free import (
    LONGEST,
    REFRESH,
    change_of_reals,
    changes_as_planes,
    classes,
    counter,
    first_one,
    least_changes,
    member,
    ones,
    wait_reals,
    wait_signs,
    waiting,
)
from physlearn.models import Instance
from physlearn.solvers import RejectionFree

MODELS = ["storage", "storage, gaussian", "symmetric", "band", "band, gaussian"]


def instance_of(model, P, N=15):
    model = ALL_MODELS[model]
    instance = model.with_alpha(40).sample(N, 1)
    return Instance(instance.patterns[:P], instance.labels[:P], model=model)


def run(kernel, model, P, beta):
    instance = instance_of(model, P)
    state = RejectionFree(beta, n_sweeps=1).init(instance, np.random.default_rng(2))
    record, rng = np.zeros((6, 3), dtype=np.int64), np.random.default_rng(3)
    arguments = (*state.layout, state.weights, state.counts)
    kernel(*arguments, beta, np.array([0, 1, 7, 30, 60, 100]), record, rng)
    assert state.counts[0] == instance.model.energy(instance, state.weights)
    return *arguments, record, rng.random()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("P", "beta"), [(0, 1.0), (7, 0.0), (40, 0.7), (520, 0.3)])
def test_kernel_is_its_python_source(model, P, beta):
    kernel = wait_reals if ALL_MODELS[model].patterns == "gaussian" else wait_signs
    for compiled, plain in zip(run(kernel, model, P, beta), run(kernel.py_func, model, P, beta), strict=True):
        np.testing.assert_array_equal(compiled, plain)


def energy_changes(instance, w):
    energy, model = instance.model.energy(instance, w), instance.model
    flipped = [np.where(np.arange(instance.N) == i, -w, w) for i in range(instance.N)]
    return np.array([model.energy(instance, other) - energy for other in flipped])


@pytest.mark.parametrize("model", ["storage", "storage, margin", "symmetric", "band"])
@pytest.mark.parametrize(("P", "N"), [(0, 15), (1, 15), (30, 15), (600, 17), (40, 521)])
def test_changes_and_classes_of_signs(model, P, N):
    """Bit-sliced energy changes are those of the model; classes hold each site once; the rate is their sum."""
    instance = instance_of(model, P, N)
    beta = 1.3
    state = RejectionFree(beta, 1).init(instance, np.random.default_rng(5))
    _, planes, valid, edges, signs, masks, rows, sites, up, space = state.layout
    sizes = np.zeros((edges.size, 2), np.int64)
    for e in range(edges.size):
        straddling(planes, valid, int(edges[e]), masks, sizes, e)
    n_planes = max(1, int(sizes[:, 1].sum()).bit_length())
    changes = space[: sites.size * n_planes].reshape(-1, n_planes, BLOCK)
    offset = changes_as_planes(rows, up, signs, masks, sizes, changes)
    expected = energy_changes(instance, state.weights)
    assert [counter(changes, i) - offset for i in range(N)] == expected.tolist()
    chances = np.exp(-beta * np.arange(17))
    classed, numbers = np.zeros((17, sites.size), np.uint64), np.zeros(16, np.int64)
    classed[16] = sites
    n, rest, rate = classes(changes, offset, chances, N, classed, numbers)
    found = [[member(classed[k], rank) for rank in range(numbers[k])] for k in range(n)]
    left = [member(classed[16], rank) for rank in range(rest)]
    assert sorted(sum(found, left)) == list(range(N))
    for k in range(n):
        assert set(np.maximum(expected[found[k]], 0)) <= {k}
    assert (expected[left] >= n).all()
    assert rate == pytest.approx(numbers[:n] @ chances[:n] + rest * chances[n], rel=1e-12)
    assert rest * chances[n] <= 0.1 * rate


@pytest.mark.parametrize("model", ["storage, gaussian", "band, gaussian"])
@pytest.mark.parametrize("P", [0, 1, 30, 300])
def test_changes_of_reals(model, P):
    """Each by itself, all at once, and from below without the patterns that are satisfied by far."""
    instance = instance_of(model, P)
    state = RejectionFree(1.0, 1).init(instance, np.random.default_rng(5))
    columns, rows, reach, near, bounds, sums, pushes, changes = state.layout
    expected = energy_changes(instance, state.weights)
    each = [change_of_reals(columns, bounds, sums, pushes[i], i) for i in range(instance.N)]
    assert each == expected.tolist()
    least_changes(rows, reach, reach, bounds, sums, pushes, changes)
    assert changes.tolist() == expected.tolist()
    least_changes(rows, reach, near, bounds, sums, pushes, changes)
    assert (changes <= expected).all()
    assert P < 300 or (changes < expected).any()


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
        assert ones(np.uint64(word)) == word.bit_count()
        assert first_one(np.uint64(word)) == (word & -word).bit_length() - 1


def test_real_stabilities_are_refreshed():
    """Whatever rounding has done to the running sums is gone at the next refresh."""
    instance = instance_of("storage, gaussian", 30)
    state = RejectionFree(0.0, 1).init(instance, np.random.default_rng(1))
    state.counts[1] = REFRESH * instance.N - 1
    state.layout[5][:] += 3.0
    record = np.zeros((1, 3), dtype=np.int64)
    arguments = (*state.layout, state.weights, state.counts)
    wait_reals(*arguments, 0.0, np.array([1]), record, np.random.default_rng(1))
    assert state.counts[1] == REFRESH * instance.N
    assert state.counts[0] == instance.model.energy(instance, state.weights)
    np.testing.assert_allclose(state.layout[5], state.weights @ instance.gauged.T, atol=1e-12)
