"""Messages against sums written plainly, and the same whatever shares the work."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import log_ndtr

from physlearn.kernels import belief_propagation as kernels
from physlearn.models import Window

INF = math.inf


def problem(P, N, scale, patterns="binary", n_hidden=1, shared=True, seed=1):
    rng = np.random.default_rng([P, N, seed])
    D = N // n_hidden if shared else N
    X = rng.choice([-1, 1], size=(P, D)).astype(np.int8)
    X = X if patterns == "binary" else rng.standard_normal((P, D))
    return X, scale * rng.standard_normal((P, N)) / 5, scale * rng.standard_normal(N)


def sweep(X, messages, field, bounds, *, n_hidden=1, kept=0.0, slices=1, function=kernels.sweep_gaussian):
    """New messages, their totals by block and the largest changes."""
    messages = messages.copy()
    n_blocks = -(-len(X) // kernels.ROWS)
    totals, changes = np.empty((n_blocks, field.size)), np.empty(n_blocks)
    ends = [n_blocks * k // slices for k in range(slices + 1)]
    largest = np.abs(X).max(axis=1).astype(np.float64)
    for first, last in itertools.pairwise(ends):
        function(
            X, largest, n_hidden, messages, field, np.array(bounds), 1.0, kept, totals, changes, first, last
        )
    return messages, totals, changes


def plain_sums(X, messages, field):
    """Mean and variance of each sum without weight i, shape (P, N)."""
    X = X.astype(np.float64)
    mean = np.tanh(field - messages)
    variance = 1 / np.cosh(field - messages) ** 2
    rest = 1 - np.eye(field.size)
    return (X * mean) @ rest, np.maximum((X**2 * variance) @ rest, 1.0)


@pytest.mark.parametrize("patterns", ["binary", "gaussian"])
@pytest.mark.parametrize("N", [5, 63, 200, 700])
@pytest.mark.parametrize("scale", [0.0, 0.3, 1.5, 6.0])
def test_threshold_messages_are_ratios_of_tails(patterns, N, scale):
    """Small and large variances: with and without the expansion that serves all edges of a pattern."""
    X, messages, field = problem(20, N, scale, patterns)
    bound = 0.3 * math.sqrt(N)
    new, totals, changes = sweep(X, messages, field, (bound, INF))
    mean, variance = plain_sums(X, messages, field)
    width = np.sqrt(variance)
    expected = (log_ndtr((mean + X - bound) / width) - log_ndtr((mean - X - bound) / width)) / 2
    np.testing.assert_allclose(new, np.clip(expected, -30, 30), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(totals.sum(axis=0), new.sum(axis=0), atol=1e-12 * np.abs(new).sum())
    assert changes.max() == np.abs(new - messages).max()


@pytest.mark.parametrize("N", [5, 200, 700])
@pytest.mark.parametrize("scale", [0.3, 1.5, 6.0])
@pytest.mark.parametrize("half_width", [0.3, 1.0])
def test_window_messages_are_ratios_of_differences(N, scale, half_width):
    X, messages, field = problem(20, N, scale)
    half = half_width * math.sqrt(N)
    new, _, _ = sweep(X, messages, field, (-half, half))
    mean, variance = plain_sums(X, messages, field)
    logs = [Window(half).log_partition(1.0, mean + sign * X, variance) for sign in (1, -1)]
    np.testing.assert_allclose(new, np.clip((logs[0] - logs[1]) / 2, -30, 30), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("noise", [0.0, 1e-9, 0.03, 2.0])
def test_the_expansion_is_the_function(noise):
    """Edge by edge, where one expansion does and where each argument is computed by itself."""
    X, _, field = problem(1, 400, 0.7)
    mean, variance = np.tanh(field), 1 / np.cosh(field) ** 2
    row, new, series = X[0], np.empty((2, 400)), np.empty((2, 12))
    for centre in (-60.0, -9.0, 0.0, 25.0, 120.0):
        arguments = (row, mean, variance, centre, variance.sum(), np.array([3.0, INF]))
        expanded = kernels.edges(*arguments, 1.0, noise, 1.0, series, new[0])
        total = variance.sum() - variance
        tails = [
            np.logaddexp(
                log_ndtr((centre - row * mean + s * row - 3) / np.sqrt(total)), np.log(noise or 1e-320)
            )
            for s in (1, -1)
        ]
        np.testing.assert_allclose(new[0], (tails[0] - tails[1]) / 2, rtol=1e-8, atol=1e-12)
        assert expanded or noise > 0


@pytest.mark.parametrize("shared", [True, False])
def test_committee_messages_are_sums_over_votes(shared):
    """All 2^K votes of the units, for the messages to one unit."""
    K, D = 3, 9
    X, messages, field = problem(7, K * D, 0.8, n_hidden=K, shared=shared)
    new, _, _ = sweep(X, messages, field, (0.0, INF), n_hidden=K)
    for mu, k, i in itertools.product(range(7), range(K), range(D)):
        agree = []
        for j in range(K):
            part = slice(j * D, (j + 1) * D)
            x = (X[mu] if shared else X[mu, part]).astype(float)
            mean = np.tanh(field[part] - messages[mu, part])
            centre, width2 = x @ mean, (1 - mean**2).sum()
            if j == k:
                centre, width2 = centre - x[i] * mean[i], max(width2 - 1 + mean[i] ** 2, 1.0)
            agree.append([(centre + s * x[i] * (j == k)) / math.sqrt(max(width2, 1.0)) for s in (1, -1)])
        total = [0.0, 0.0]
        for votes in itertools.product((0, 1), repeat=K):
            if sum(votes) > K / 2:
                for s in (0, 1):
                    total[s] += math.prod(
                        math.exp(log_ndtr(agree[j][s] if votes[j] else -agree[j][s])) for j in range(K)
                    )
        assert new[mu, k * D + i] == pytest.approx(math.log(total[0] / total[1]) / 2, abs=1e-10)


@pytest.mark.parametrize("slices", [2, 3])
def test_messages_do_not_depend_on_who_computes_them(slices):
    X, messages, field = problem(75, 60, 0.5)
    for one, other in zip(
        sweep(X, messages, field, (0.0, INF), kept=0.3),
        sweep(X, messages, field, (0.0, INF), kept=0.3, slices=slices),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_damping_keeps_some_of_the_old_messages():
    X, messages, field = problem(20, 31, 0.5)
    new, _, change = sweep(X, messages, field, (0.0, INF))
    mixed, totals, same = sweep(X, messages, field, (0.0, INF), kept=0.3)
    np.testing.assert_allclose(mixed, 0.7 * new + 0.3 * messages, rtol=1e-14)
    np.testing.assert_allclose(totals.sum(axis=0), mixed.sum(axis=0), atol=1e-13)
    np.testing.assert_array_equal(change, same)


@pytest.mark.parametrize(
    ("N", "n_hidden", "bounds"), [(70, 1, (0.0, INF)), (9, 3, (0.0, INF)), (40, 1, (-5.0, 5.0))]
)
def test_gaussian_sweep_equals_its_source_bit_for_bit(N, n_hidden, bounds):
    X, messages, field = problem(3, N, 0.5, n_hidden=n_hidden)
    compiled = sweep(X, messages, field, bounds, n_hidden=n_hidden)
    plain = sweep(X, messages, field, bounds, n_hidden=n_hidden, function=kernels.sweep_gaussian.py_func)
    for one, other in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(one, other)


PIECES = {
    "cavity": lambda u, h, X: (h, u[0], np.empty(9), np.empty(9)),
    "sums": lambda u, h, X: (X[0], h, h**2, np.empty((2, 64))),
    "expand_beyond": lambda u, h, X: (0.7, 0.1, np.empty(12)),
    "expand_between": lambda u, h, X: (0.7, 1.9, np.empty(12), np.empty(12)),
    "edges": lambda u, h, X: (
        X[0], np.tanh(h), 1 - np.tanh(h) ** 2, 0.3, 4.0, np.array([0.0, INF]), 1.0, 0.2, 1.0,
        np.zeros((2, 12)), np.empty(9),
    ),
    "accept": lambda u, h, X: (u[1], 0.25, u[0].copy(), h.copy(), np.zeros(9)),
    "vote_noise": lambda u, h, X: (np.array([0.2, 0.9, 0.5]), np.empty(3)),
    "cavity_sums": lambda u, h, X: (X, 1, u, h, np.empty((3, 1)), np.empty((3, 1)), 0, 3),
    "log_cosh_sums": lambda u, h, X: (u, h, np.empty(3), 0, 3),
    "_agreeing": lambda u, h, X: (X[0], h, u[0], np.empty((2, 9))),
    "_forward": lambda u, h, X: (np.stack([(1 + np.tanh(h)) / 2, (1 - np.tanh(h)) / 2]), np.zeros((10, 10))),
    "_backward": lambda u, h, X: (
        np.full((2, 9), 0.5), np.tri(10), np.arange(10.0), np.empty(10), np.empty(9), X[0],
    ),
    "sweep_exact": lambda u, h, X: (
        X, np.tile(np.arange(10) > 4.0, (2, 1)) * 1.0, np.zeros(3, np.int8), 1, u.copy(), h, 0.2,
        np.empty((1, 9)), np.empty(1), np.empty(3), 0, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
def test_kernels_equal_their_source_bit_for_bit(name):
    X, u, h = problem(3, 9, 0.5)
    (compiled, plain), function = (PIECES[name](u, h, X) for _ in range(2)), getattr(kernels, name)
    assert function(*compiled) == function.py_func(*plain)
    for one, other in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(one, other)
