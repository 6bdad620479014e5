"""Bit-sliced counters: packed, counted and incremented as integers are."""

import numpy as np
import pytest
from numba import njit

from physlearn.kernels import bits

SIZES = [0, 1, 63, 64, 511, 512, 513, 1700]


@njit
def compiled_common_bits(columns, row, masks, index):
    return bits.common_bits(columns, row, masks, index)


@njit
def compiled_increment(planes, first_plane, columns, row, flip):
    bits.increment(planes, first_plane, columns, row, flip)


@njit
def compiled_straddling(planes, valid, value, masks, sizes, index):
    bits.straddling(planes, valid, value, masks, sizes, index)


@njit
def compiled_popcount(word):
    return bits.popcount(word)


@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 1, 0x123456789ABCDEF])
def test_popcount(word):
    assert bits.popcount(np.uint64(word)) == compiled_popcount(np.uint64(word)) == word.bit_count()


def unpacked(words, P):
    return np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")[:P].astype(bool)


def counters(planes, P):
    digits = [unpacked(planes[:, k].ravel(), P).astype(int) << k for k in range(planes.shape[1])]
    return np.sum(digits, axis=0)


@pytest.mark.parametrize("P", SIZES)
def test_columns_are_the_signs_and_padding_is_zero(P):
    signs = np.random.default_rng(P).choice(np.array([-1, 1], dtype=np.int8), size=(P, 5))
    columns = bits.columns_as_bits(signs)
    assert columns.shape == (5, 8 * bits.n_blocks(P))
    assert columns.ctypes.data % 64 == 0
    for i in range(5):
        np.testing.assert_array_equal(unpacked(columns[i], P), signs[:, i] > 0)
    assert np.bitwise_count(columns).sum() == np.count_nonzero(signs > 0)


@pytest.mark.parametrize("P", SIZES)
@pytest.mark.parametrize("common_bits", [bits.common_bits, compiled_common_bits])
def test_common_bits_counts_common_bits(P, common_bits):
    rng = np.random.default_rng(P)
    first, second = rng.random((P, 3)) < 0.5, rng.random((P, 2)) < 0.5
    count = common_bits(bits.columns_as_bits(first), 2, bits.columns_as_bits(second), 1)
    assert count == np.count_nonzero(first[:, 2] & second[:, 1])


@pytest.mark.parametrize("P", SIZES)
@pytest.mark.parametrize("increment", [bits.increment, compiled_increment])
def test_increment_adds_to_the_chosen_counters(P, increment):
    """Modulo 2**n_planes, to the patterns in the column, or with the flip to all the others."""
    rng = np.random.default_rng(P)
    values, chosen = rng.integers(0, 32, size=P), rng.random((P, 4)) < 0.5
    planes, columns = bits.counters_as_planes(values, 5), bits.columns_as_bits(chosen)
    np.testing.assert_array_equal(counters(planes, P), values)
    increment(planes, 1, columns, 3, np.uint64(0))
    np.testing.assert_array_equal(counters(planes, P), (values + 2 * chosen[:, 3]) % 32)
    increment(planes, 0, columns, 1, ~np.uint64(0))
    np.testing.assert_array_equal(counters(planes, P), (values + 2 * chosen[:, 3] + ~chosen[:, 1]) % 32)


@pytest.mark.parametrize("P", SIZES)
@pytest.mark.parametrize("straddling", [bits.straddling, compiled_straddling])
@pytest.mark.parametrize("value", [0, 1, 7, 15, 16, 23, 1023])
def test_straddling_finds_the_two_values(P, straddling, value):
    values = np.random.default_rng(P).integers(0, 16, size=P)
    valid = bits.columns_as_bits(np.ones((P, 1), dtype=bool))
    masks = np.full((2, valid.shape[1]), 77, dtype=np.uint64)
    sizes = np.full((2, 2), 77)
    straddling(bits.counters_as_planes(values, 4), valid, value, masks, sizes, 1)
    found = np.isin(values, [(value - 1) % 16, value % 16])
    np.testing.assert_array_equal(unpacked(masks[1], P), found)
    assert np.bitwise_count(masks[1]).sum() == found.sum()
    assert sizes.tolist() == [[77, 77], [np.count_nonzero(values == (value - 1) % 16), found.sum()]]
    assert (masks[0] == 77).all()
