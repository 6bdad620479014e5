"""Products of a pattern matrix with a vector; +-1 patterns as bits, 64 to a word.

A sum of signs times numbers over 64 columns needs 8 additions instead of 64: one byte of signs selects one
of 256 sums of 8 numbers, tabulated beforehand (2 KB a table, so that the 8 tables of a word stay in the
first-level cache). Each output is summed in one fixed order: the answer depends neither on the number of
threads nor on the machine.
"""

import numpy as np
from numba import njit

from physlearn.kernels.threads import in_slices

# Below this number of matrix entries a thread costs more than it saves.
_WORTH_A_THREAD = 4_000_000


@njit(cache=True, nogil=True)
def pack_columns(patterns, words, first, last):
    """Set ``words[c, mu]``, mu from `first` to `last`, to the signs of columns 64 c ... 64 c + 63 of row mu."""
    n_columns = patterns.shape[1]
    for mu in range(first, last):
        for c in range(words.shape[0]):
            word = np.uint64(0)
            for bit in range(min(64, n_columns - 64 * c)):
                word |= np.uint64(patterns[mu, 64 * c + bit] > 0) << np.uint64(bit)
            words[c, mu] = word


@njit(cache=True, nogil=True)
def pack_rows(patterns, words, first, last):
    """Set ``words[r, i]``, r from `first` to `last`, to the signs of rows 64 r ... 64 r + 63 in column i."""
    n_rows, n_columns = patterns.shape
    for r in range(first, last):
        for i in range(n_columns):
            words[r, i] = 0
        for bit in range(min(64, n_rows - 64 * r)):
            for i in range(n_columns):
                words[r, i] |= np.uint64(patterns[64 * r + bit, i] > 0) << np.uint64(bit)


@njit(cache=True, nogil=True)
def signed_sums(words, vector, sums, first, last):
    """Set ``sums[k]``, for k from `first` to `last`, to the sum over j of sign_jk vector[j].

    Bit b of ``words[c, k]`` is sign 64 c + b; bits beyond the end of `vector` are ignored.
    """
    byte = np.uint64(255)
    tables = np.empty((8, 256))
    for k in range(first, last):
        sums[k] = 0.0
    for c in range(words.shape[0]):
        for part in range(8):
            start = 64 * c + 8 * part
            total = 0.0
            for j in range(start, min(start + 8, vector.size)):
                total -= vector[j]
            tables[part, 0] = total
            for bit in range(8):
                twice = 2 * vector[start + bit] if start + bit < vector.size else 0.0
                for below in range(1 << bit):
                    tables[part, below + (1 << bit)] = tables[part, below] + twice
        for k in range(first, last):
            word = words[c, k]
            sums[k] += (
                (tables[0, word & byte] + tables[1, (word >> np.uint64(8)) & byte])
                + (tables[2, (word >> np.uint64(16)) & byte] + tables[3, (word >> np.uint64(24)) & byte])
            ) + (
                (tables[4, (word >> np.uint64(32)) & byte] + tables[5, (word >> np.uint64(40)) & byte])
                + (tables[6, (word >> np.uint64(48)) & byte] + tables[7, word >> np.uint64(56)])
            )


def pack(patterns):
    """The signs of +-1 `patterns`, shape (P, N), as bits in two layouts, 2 P N/8 bytes together.

    Returns
    -------
    columns, rows : ndarray of uint64, shapes (N/64, P) and (P/64, N), rounded up
        ``packed_products(columns, w)`` is patterns @ w, and ``packed_products(rows, g)`` is g @ patterns.
    """
    P, N = patterns.shape
    columns, rows = np.empty((-(-N // 64), P), dtype=np.uint64), np.empty((-(-P // 64), N), dtype=np.uint64)
    _shared(lambda first, last: pack_columns(patterns, columns, first, last), P, P * N)
    _shared(lambda first, last: pack_rows(patterns, rows, first, last), len(rows), P * N)
    return columns, rows


def packed_products(words, vector):
    """Product of packed signs (see `pack`) with a float64 `vector`; exact where its entries are integers."""
    sums = np.empty(words.shape[1])
    _shared(lambda first, last: signed_sums(words, vector, sums, first, last), sums.size, 64 * words.size)
    return sums


def products(patterns, w):
    """The fields patterns @ w, shape (P,), as float64; exact for +-1 patterns (int8) and integer weights."""
    w = np.ascontiguousarray(w, dtype=np.float64)
    if patterns.dtype != np.int8:
        return patterns @ w
    P, N = patterns.shape
    sums = np.empty(P)

    def work(first, last):
        words = np.empty((-(-N // 64), last - first), dtype=np.uint64)
        pack_columns(patterns[first:last], words, 0, last - first)
        signed_sums(words, w, sums[first:last], 0, last - first)

    _shared(work, P, P * N)
    return sums


def _shared(work, n_items, n_entries):
    if n_entries < _WORTH_A_THREAD:
        work(0, n_items)
    else:
        in_slices(work, n_items)
