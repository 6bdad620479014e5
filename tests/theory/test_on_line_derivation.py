"""theory/on-line-learning/derivation.md, step by step, against the flips and differences of the tests' own."""

import math
from itertools import product

import numpy as np
import pytest

from physlearn.kernels import gradient
from physlearn.kernels.hidden import packed_rows
from physlearn.models import Committee, Instance, Perceptron
from physlearn.solvers import BPI, ReplicatedSGD


def configurations(n):
    return np.array(list(product((-1, 1), repeat=n)))


def cost(model, x, w):
    """(E.1) or (E.2) for one gauged pattern x and weights w of K units."""
    K = model.n_hidden
    n = w.shape[1]
    sigma = next(
        s
        for s in range(-n, n + 3, 2)
        if s / np.sqrt(n) > model.channel.bounds[0]  # the smallest sum that satisfies
    )
    sums = np.sort((x.reshape(-1, n) * w).sum(axis=1))[::-1]
    missing = (K + 1) // 2 - np.count_nonzero(sums >= sigma)
    return sum((sigma - s) // 2 for s in sums[sums < sigma][: max(0, missing)])


def warnings(model, x, w):
    """(W.1): what turning each weight costs, by the cost of the two configurations."""
    told = np.zeros_like(w)
    for k, i in np.ndindex(w.shape):
        ends = []
        for value in (-1, 1):
            turned = w.copy()
            turned[k, i] = value
            ends.append(cost(model, x, turned))
        told[k, i] = ends[0] - ends[1]
    return told


def presented(model, x, h):
    """What one presentation of a single gauged pattern to BPI moves the hidden states by."""
    instance = Instance(x[None], [1], model=model)
    solver, rng = BPI(1, n_states=100), np.random.default_rng(0)
    state = solver.init(instance, rng)
    K, n = h.shape
    state.hidden[:, :n] = h
    signs = np.where(h > 0, 1, -1)
    state.layout[1][:] = packed_rows(state.hidden)
    assert (state.weights.reshape(K, n) == signs).all()
    solver.sweep(instance, state, rng)
    return state.hidden[:, :n] - h


CASES = [
    (Perceptron(1.0), 1, 7),
    (Perceptron(1.0, margin=0.7), 1, 7),
    (Perceptron(1.0, margin=-0.6), 1, 7),
    (Committee(1.0, n_hidden=3), 3, 3),
    (Committee(1.0, n_hidden=3, tree=True), 3, 3),
    (Committee(1.0, n_hidden=5), 5, 1),
]


@pytest.mark.parametrize(("model", "K", "n"), CASES, ids=repr)
def test_the_cost_is_the_fewest_flips(model, K, n):
    """Of all configurations that satisfy a pattern, by the model's energy, the nearest."""
    rng = np.random.default_rng(0)
    every = configurations(K * n)
    for _ in range(3):
        x = rng.choice([-1, 1], size=model.n_inputs(K * n))
        instance = Instance(x[None], [1], model=model)
        right = np.array([w for w in every if model.energy(instance, w) == 0])
        for w in every[:: max(1, len(every) // 64)]:
            nearest = np.min((right != w).sum(axis=1))
            assert cost(model, x, w.reshape(K, n)) == nearest


@pytest.mark.parametrize(("model", "K", "n"), CASES[:3], ids=repr)
def test_a_presentation_adds_the_warnings(model, K, n):
    """(R.1) with (W.1), for all weights of a perceptron; the window is one flip wide, as by default."""
    rng = np.random.default_rng(1)
    x = rng.choice([-1, 1], size=n)
    moved = 0
    for w in configurations(n):
        h = w.reshape(1, n) * (2 * rng.integers(0, 10, size=(1, n)) + 1)
        told = warnings(model, x, w.reshape(1, n))
        np.testing.assert_array_equal(presented(model, x, h), 2 * told)
        moved += told.any()
    assert moved > 10


@pytest.mark.parametrize(("model", "K", "n"), [*CASES[3:], (Committee(1.0, n_hidden=3), 3, 5)], ids=repr)
def test_a_presentation_to_a_committee_adds_warnings(model, K, n):
    """All of them where the pattern is right; where it is wrong, those of the units that come nearest."""
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(200):
        w = rng.choice([-1, 1], size=(K, n))
        x = rng.choice([-1, 1], size=model.n_inputs(K * n))
        h = w * (2 * rng.integers(0, 10, size=(K, n)) + 1)
        told, moved = warnings(model, x, w), presented(model, x, h) // 2
        sums = (x.reshape(-1, n) * w).sum(axis=1)
        missing = (K + 1) // 2 - np.count_nonzero(sums > 0)
        if missing <= 0:
            np.testing.assert_array_equal(moved, told)
        else:
            pushed = moved.any(axis=1)
            assert pushed.sum() == missing
            assert (sums[pushed] < 0).all()
            others = sums[~pushed & (sums < 0)]
            assert not others.size or sums[pushed].min() >= others.max()
            np.testing.assert_array_equal(moved[pushed], np.broadcast_to(x.reshape(-1, n), (K, n))[pushed])
            assert (np.sum(told * moved, axis=1)[pushed] > 0).all()
        seen.add((missing > 0, bool(moved.any())))
    assert seen == {(False, False), (False, True), (True, True)}


@pytest.mark.parametrize("tree", [False, True])
def test_the_slope_of_the_cost(tree):
    """(E.3), summed over a batch as replicated descent does, against finite differences of (E.2) for real patterns."""
    rng = np.random.default_rng(3)
    K, n, P, step = 5, 7, 40, 1e-6
    w = rng.choice([-1.0, 1.0], size=(K, n))
    x = rng.standard_normal((P, K if tree else 1, n))

    def total(w):
        sums = np.sort((x * w).sum(axis=2), axis=1)[:, ::-1]
        missing = (K + 1) // 2 - np.count_nonzero(sums > 0, axis=1)
        return sum(-s[s <= 0][: max(0, m)].sum() / 2 for s, m in zip(sums, missing, strict=True))

    slope = np.zeros((K, n))
    for k, i in np.ndindex(K, n):
        moved = np.zeros((K, n))
        moved[k, i] = step
        slope[k, i] = -(total(w + moved) - total(w - moved)) / (2 * step)
    rows, found = x.reshape(-1, n), np.empty((K, n))
    arguments = (np.arange(P), np.zeros(K), np.zeros(K), found)
    gradient.slope(rows, rows, K if tree else 1, w, n, 0.0, *arguments)
    assert np.abs(slope).max() > 1
    np.testing.assert_allclose(found / 2, slope, atol=1e-6)


@pytest.mark.parametrize("N", [5, 11, 1001])
def test_the_share_of_barely_right_patterns(N):
    share = math.comb(N, (N + 1) // 2) / 2**N
    assert share == pytest.approx(
        np.sqrt(2 / (np.pi * N)) * (1 - 3 / (4 * N) + 25 / (32 * N**2)), rel=1 / N**3
    )
    if N == 11:
        sums = configurations(N).sum(axis=1)
        assert np.mean(sums == 1) == share


def test_the_first_sweep_meets_that_share():
    """(N.1) in the solver: random weights that no error moves (every pattern is right), reinforced where S = 1."""
    N, P = 101, 40_000
    rng = np.random.default_rng(4)
    teacher = rng.choice([-1, 1], size=N)
    patterns = rng.choice(np.array([-1, 1], dtype=np.int8), size=(P, N))
    labels = np.where(patterns @ teacher > 0, 1, -1)
    instance = Instance(patterns, labels)
    solver = BPI(1)
    state = solver.init(instance, rng)
    state.hidden[0, :N] = teacher
    state.layout[1][:] = packed_rows(state.hidden)
    solver.sweep(instance, state, rng)
    energy, wrong, reinforced = state.record[0][0]
    share = 2 * math.comb(N, (N + 1) // 2) / 2**N  # right patterns have S > 0
    assert (energy, wrong) == (0, 0)
    assert abs(reinforced / P - share) < 4.5 * np.sqrt(share / P)


@pytest.mark.parametrize("y", [2, 3, 7])
def test_the_forces_of_the_centre_are_slopes(y):
    """(C.2) and (C.4) by finite differences; the cut-off force is (C.2) where that is small."""
    s, gamma, step = np.arange(-y, y + 1), 0.3, 1e-6
    forces = {
        update: ReplicatedSGD(y, coupling=gamma - 0.01, coupling_step=0.01, update=update).forces(1, 2)
        for update in ("simple", "hard", "corrected", "continuous")
    }

    def potential(t):
        return np.log(2 * np.cosh(gamma * t)) / gamma

    slope = (potential(s + step) - potential(s - step)) / (2 * step)
    for update in ("simple", "corrected"):
        assert forces[update][0].shape == (1, 2 * y + 1)
        np.testing.assert_allclose(forces[update][0][0], slope, atol=1e-9)
    np.testing.assert_allclose(forces["hard"][0][0], np.clip(gamma * s, -1, 1), atol=1e-12)
    assert forces["corrected"][1] == pytest.approx(forces["corrected"][0][0, -1], abs=1e-15)
    rng = np.random.default_rng(y)
    w = rng.choice([-1, 1], size=y).astype(float)

    def distance(w):
        grid = np.linspace(-1.5, 1.5, 600_001)
        return np.min(sum((v - grid) ** 2 for v in w)) / 2

    for a in range(y):
        moved = np.zeros(y)
        moved[a] = 1e-3
        slope = -(distance(w + moved) - distance(w - moved)) / 2e-3
        assert forces["continuous"][0][0, int(w.sum()) + y] - w[a] == pytest.approx(slope, abs=1e-5)
