"""Weights with hidden states: what the steps do, in both layouts, equal with and without the compiler."""

import numpy as np
import pytest
from numba import njit

from physlearn.kernels import hidden as steps

SIZES = [1, 5, 63, 64, 65, 512, 700]


@njit
def compiled_overlap(patterns, row, weights, unit, n):
    return steps.overlap(patterns, row, weights, unit, n)


@njit
def compiled_hidden_overlap(patterns, row, hidden, unit, n):
    return steps.hidden_overlap(patterns, row, hidden, unit, n)


@njit
def compiled_push(patterns, row, hidden, weights, unit, top, spared):
    steps.push(patterns, row, hidden, weights, unit, top, spared)


@njit
def compiled_take_signs(hidden, weights, unit, n):
    steps.take_signs(hidden, weights, unit, n)


def drawn(n, layout, top=9):
    """Gauged patterns (3, n) plainly and in their layout, hidden states (2, n) and weights in theirs."""
    rng = np.random.default_rng(n)
    states = 2 * rng.integers(-(top + 1) // 2, (top + 1) // 2, size=(2, n)) + 1
    if layout == "reals":
        x = rng.standard_normal((3, n))
        return x, x, states.astype(float), np.where(states > 0, 1.0, -1.0)
    x = rng.choice([-1, 1], size=(3, n))
    padded = np.full((2, steps.padded(n)), -1, dtype=np.int16)
    padded[:, :n] = states
    return x, steps.packed_rows(x), padded, steps.packed_rows(padded)


layouts = pytest.mark.parametrize("layout", ["signs", "reals"])


@layouts
@pytest.mark.parametrize("n", SIZES)
def test_overlaps_are_sums_over_the_weights(n, layout):
    x, patterns, hidden, weights = drawn(n, layout)
    w = np.where(hidden[:, :n] > 0, 1, -1)
    np.testing.assert_array_equal(steps.signs(weights, n), w)
    for row, unit in ((0, 1), (2, 0)):
        for overlap in (steps.overlap, compiled_overlap):
            assert overlap(patterns, row, weights, unit, n) == pytest.approx(x[row] @ w[unit], rel=1e-12)
        both = [
            step(patterns, row, hidden, unit, n) for step in (steps.hidden_overlap, compiled_hidden_overlap)
        ]
        assert both[0] == both[1] == pytest.approx(x[row] @ hidden[unit, :n].astype(float), rel=1e-12)


@layouts
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("spared", [0, 2**64 - 1])
def test_a_push_moves_the_states_and_their_signs(n, layout, spared):
    """By twice the pattern, only where it agrees if the others are spared, and never beyond the largest state."""
    x, patterns, hidden, weights = drawn(n, layout)
    top = hidden.dtype.type(9)
    w = np.where(hidden[:, :n] > 0, 1, -1)
    moves = np.full(n, True) if spared == 0 else x[2] * w[1] > 0
    expected = np.clip(hidden[1, :n] + 2 * x[2] * moves, -9, 9)
    assert (np.abs(hidden[1, :n] + 2 * x[2]) > 9).any() or n < 63
    for push in (steps.push, compiled_push):
        states, signs = hidden.copy(), weights.copy()
        push(patterns, 2, states, signs, 1, top, np.uint64(spared))
        np.testing.assert_array_equal(states[1, :n], expected)
        np.testing.assert_array_equal(states[0], hidden[0])
        np.testing.assert_array_equal(steps.signs(signs, n), np.where(states[:, :n] > 0, 1, -1))
        assert spared == 0 or (signs == weights).all()
        if layout == "signs":
            np.testing.assert_array_equal(signs, steps.packed_rows(states))
            assert (states[:, n:] < 0).all()


@layouts
@pytest.mark.parametrize("n", SIZES)
def test_signs_are_taken(n, layout):
    _, _, _, weights = drawn(n, layout)
    values = np.random.default_rng(1).standard_normal((2, n))
    values[0, 0] = 0.0  # not positive
    for take in (steps.take_signs, compiled_take_signs):
        taken = weights.copy()
        take(values, taken, 0, n)
        np.testing.assert_array_equal(steps.signs(taken, n)[0], np.where(values[0] > 0, 1, -1))
        np.testing.assert_array_equal(taken[1], weights[1])
