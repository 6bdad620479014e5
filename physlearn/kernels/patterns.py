"""Products of a pattern matrix with a vector; +-1 patterns as bits, 64 to a word.

A sum of signs times numbers over 64 columns needs 8 additions instead of 64: one byte of signs selects one
of 256 sums of 8 numbers, tabulated beforehand (2 KB a table, so that the 8 tables of a word stay in the
first-level cache). Every output is summed in one fixed order: the answer depends neither on the number of
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


@njit(cache=True, nogil=True)
def row_sums(patterns, means, variances, sums, squares, first, last):
    """Sums over the columns, for rows `first` to `last` of real patterns.

    ``sums[mu]`` is that of x means[i], ``squares[mu]`` that of x^2 variances[i], with x = patterns[mu, i].
    """
    n_columns = patterns.shape[1]
    partial = np.empty((2, 256))
    for mu in range(first, last):
        partial[:] = 0.0
        for start in range(0, n_columns, 256):
            row = patterns[mu, start : start + 256]
            a, v = means[start : start + 256], variances[start : start + 256]
            for k in range(row.size):
                partial[0, k] += row[k] * a[k]
                partial[1, k] += row[k] * row[k] * v[k]
        half = 128
        while half:
            for k in range(half):
                partial[0, k] += partial[0, k + half]
                partial[1, k] += partial[1, k + half]
            half //= 2
        sums[mu], squares[mu] = partial[0, 0], partial[1, 0]


@njit(cache=True, nogil=True)
def column_sums(patterns, gradient, weights, sums, squares, first, last):
    """As `row_sums`, over the rows: of x gradient[mu] and x^2 weights[mu], for columns `first` to `last`."""
    n_rows = patterns.shape[0]
    for start in range(first, last, 512):
        end = min(last, start + 512)
        y, z = sums[start:end], squares[start:end]
        y[:] = 0.0
        z[:] = 0.0
        for mu in range(0, n_rows - n_rows % 4, 4):
            g0, g1, g2, g3 = gradient[mu], gradient[mu + 1], gradient[mu + 2], gradient[mu + 3]
            c0, c1, c2, c3 = weights[mu], weights[mu + 1], weights[mu + 2], weights[mu + 3]
            x0, x1 = patterns[mu, start:end], patterns[mu + 1, start:end]
            x2, x3 = patterns[mu + 2, start:end], patterns[mu + 3, start:end]
            for i in range(y.size):
                y[i] += (g0 * x0[i] + g1 * x1[i]) + (g2 * x2[i] + g3 * x3[i])
                z[i] += (c0 * x0[i] * x0[i] + c1 * x1[i] * x1[i]) + (c2 * x2[i] * x2[i] + c3 * x3[i] * x3[i])
        for mu in range(n_rows - n_rows % 4, n_rows):
            x0 = patterns[mu, start:end]
            for i in range(y.size):
                y[i] += gradient[mu] * x0[i]
                z[i] += weights[mu] * x0[i] * x0[i]


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


def sums_of_rows(patterns, means, variances):
    """patterns @ means and patterns^2 @ variances, each of shape (P,), for real patterns in one pass."""
    sums, squares = np.empty((2, patterns.shape[0]))

    def work(first, last):
        row_sums(patterns, means, variances, sums, squares, first, last)

    _shared(work, sums.size, patterns.size)
    return sums, squares


def sums_of_columns(patterns, gradient, weights):
    """gradient @ patterns and weights @ patterns^2, each of shape (N,), for real patterns in one pass."""
    sums, squares = np.empty((2, patterns.shape[1]))

    def work(first, last):
        column_sums(patterns, gradient, weights, sums, squares, first, last)

    _shared(work, sums.size, patterns.size)
    return sums, squares


def _shared(work, n_items, n_entries):
    if n_entries < _WORTH_A_THREAD:
        work(0, n_items)
    else:
        in_slices(work, n_items)
