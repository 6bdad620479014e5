"""Products with packed signs: exact where they can be, and the same whatever shares the work."""

import numpy as np
import pytest

from physlearn.kernels import patterns as kernels
from physlearn.kernels import threads
from physlearn.models.priors import random_signs

SHAPES = [(1, 1), (0, 5), (3, 64), (65, 63), (70, 130), (129, 201)]


def signs(P, N):
    return random_signs(P, N, np.random.default_rng([P, N]))


def use_threads(monkeypatch, number):
    """Share even the smallest products among this many threads, whatever the machine has."""
    monkeypatch.setattr(kernels, "_WORTH_A_THREAD", 0)
    monkeypatch.setattr(threads.numba, "get_num_threads", lambda: number)


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_bits_are_the_signs(shape):
    P, N = shape
    patterns = signs(P, N)
    columns, rows = kernels.pack(patterns)
    bits = np.unpackbits(columns.T.copy().view(np.uint8), axis=1, bitorder="little")[:, :N]
    np.testing.assert_array_equal(2 * bits.astype(np.int8) - 1, patterns)
    bits = np.unpackbits(rows.T.copy().view(np.uint8), axis=1, bitorder="little").reshape(N, -1)[:, :P]
    np.testing.assert_array_equal(2 * bits.astype(np.int8) - 1, patterns.T)


@pytest.mark.parametrize("shape", [(65, 63), (70, 130)])
def test_kernels_equal_their_source_bit_for_bit(shape):
    P, N = shape
    patterns, vector = signs(P, N), np.random.default_rng(1).standard_normal(N)
    columns = np.zeros((-(-N // 64), P), dtype=np.uint64)
    rows = np.zeros((-(-P // 64), N), dtype=np.uint64)
    for kernel, words in ((kernels.pack_columns, columns), (kernels.pack_rows, rows)):
        last = P if words is columns else len(rows)
        plain = np.zeros_like(words)
        kernel(patterns, words, 0, last)
        kernel.py_func(patterns, plain, 0, last)
        np.testing.assert_array_equal(words, plain)
    sums, plain = np.empty(P), np.empty(P)
    kernels.signed_sums(columns, vector, sums, 0, P)
    kernels.signed_sums.py_func(columns, vector, plain, 0, P)
    np.testing.assert_array_equal(sums, plain)


@pytest.mark.parametrize("shape", [*SHAPES, (300, 2049)])
def test_products_of_real_vectors(shape):
    P, N = shape
    patterns, rng = signs(P, N), np.random.default_rng(1)
    w, g = rng.standard_normal(N), rng.standard_normal(P)
    columns, rows = kernels.pack(patterns)
    exact = patterns.astype(np.longdouble)
    for product, expected, vector in (
        (kernels.packed_products(columns, w), exact @ w, w),
        (kernels.packed_products(rows, g), g @ exact, g),
        (kernels.products(patterns, w), exact @ w, w),
    ):
        assert product.shape == expected.shape
        assert np.abs(product - expected).max(initial=0) <= 1e-14 * np.abs(vector).sum()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float64])
def test_products_with_integers_are_exact(shape, dtype):
    patterns = signs(*shape)
    w = np.random.default_rng(2).integers(-100, 100, size=shape[1]).astype(dtype)
    np.testing.assert_array_equal(
        kernels.products(patterns, w), patterns.astype(np.int64) @ w.astype(np.int64)
    )


def test_products_with_real_patterns():
    rng = np.random.default_rng(3)
    patterns, w = rng.standard_normal((20, 31)), rng.standard_normal(31)
    np.testing.assert_allclose(kernels.products(patterns, w), patterns @ w, rtol=1e-12)


@pytest.mark.parametrize("number", [2, 3, 7])
def test_threads_change_no_bit(monkeypatch, number):
    patterns, rng = signs(203, 457), np.random.default_rng(4)
    w, g = rng.standard_normal(457), rng.standard_normal(203)

    def everything():
        columns, rows = kernels.pack(patterns)
        answers = (kernels.packed_products(columns, w), kernels.packed_products(rows, g))
        return (columns, rows, *answers, kernels.products(patterns, w))

    use_threads(monkeypatch, 1)
    alone = everything()
    use_threads(monkeypatch, number)
    for one, several in zip(alone, everything(), strict=True):
        np.testing.assert_array_equal(one, several)


@pytest.mark.parametrize(("n_items", "number"), [(0, 2), (1, 2), (2, 2), (10, 3), (7, 1)])
def test_slices_cover_everything_once(monkeypatch, n_items, number):
    use_threads(monkeypatch, number)
    seen = np.zeros(n_items, dtype=int)

    def work(first, last):
        seen[first:last] += 1

    threads.in_slices(work, n_items)
    assert (seen == 1).all()


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_in_any_thread_is_raised(monkeypatch, failing):
    use_threads(monkeypatch, 2)

    def work(first, last):
        if first // 5 == failing:
            raise ArithmeticError("here")

    with pytest.raises(ArithmeticError, match="here"):
        threads.in_slices(work, 10)


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (6, 513), (0, 4), (7, 31)])
def test_sums_of_real_patterns(monkeypatch, shape):
    P, N = shape
    rng = np.random.default_rng(5)
    patterns, a, v = rng.standard_normal((P, N)), rng.standard_normal(N), rng.random(N)
    g, c = rng.standard_normal(P), rng.random(P)
    rows, columns = kernels.sums_of_rows(patterns, a, v), kernels.sums_of_columns(patterns, g, c)
    expected = (patterns @ a, patterns**2 @ v, g @ patterns, c @ patterns**2)
    for found, other in zip((*rows, *columns), expected, strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-12, atol=1e-12)
    for kernel, arguments, size, answers in (
        (kernels.row_sums, (patterns, a, v), P, rows),
        (kernels.column_sums, (patterns, g, c), N, columns),
    ):
        plain = np.empty((2, size))
        kernel.py_func(*arguments, *plain, 0, size)
        np.testing.assert_array_equal(plain, answers)
    use_threads(monkeypatch, 3)
    several = (*kernels.sums_of_rows(patterns, a, v), *kernels.sums_of_columns(patterns, g, c))
    for one, shared in zip((*rows, *columns), several, strict=True):
        np.testing.assert_array_equal(one, shared)
