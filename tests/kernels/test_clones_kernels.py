"""The averages over clones: equal to their own Python, to sums over whole numbers, and to plain quadrature."""

import math

import numpy as np
import pytest
from scipy.special import log_ndtr, logsumexp, ndtr

from physlearn.kernels.clones import binary_weights, binary_weights_summed, constrained_fields

POINTS = np.linspace(-3.1, 2.7, 7)
LINE = np.linspace(-11, 11, 60001)


def rows(kernel, *arguments):
    out = np.full((6, len(POINTS)), np.nan)
    kernel(POINTS, *arguments, out)
    return out


def log_binomials(n):
    return np.array([math.log(math.comb(n, k)) for k in range(n + 1)])


@pytest.mark.parametrize("n", [1.0, 2.5, 40.0, math.inf])
@pytest.mark.parametrize("spread", [0.0, 0.3, 4.0])
def test_kernels_equal_their_python(n, spread):
    for kernel, arguments in [
        (binary_weights, (spread, n)),
        (constrained_fields, (spread, 0.1, 0.2, False, n)),
        (constrained_fields, (spread, 0.1, 0.7, True, n)),
    ]:
        np.testing.assert_array_equal(rows(kernel, *arguments), rows(kernel.py_func, *arguments))
    arguments = (spread, log_binomials(5))
    np.testing.assert_array_equal(
        rows(binary_weights_summed, *arguments), rows(binary_weights_summed.py_func, *arguments)
    )


@pytest.mark.parametrize("spread", [1e-6, 0.2, 1.0, 5.0, 40.0])
@pytest.mark.parametrize("n", [2, 3, 7, 50])
def test_weights_integrated_are_weights_summed(n, spread):
    integrated = rows(binary_weights, spread, float(n))[[0, 2, 3, 4]]
    summed = rows(binary_weights_summed, spread, log_binomials(n))[[0, 2, 3, 4]]
    np.testing.assert_allclose(integrated, summed, rtol=1e-11, atol=1e-12 * n)


def log_share(fields, V, edge, is_window):
    """ln Z_out, in a form of its own."""
    width = math.sqrt(V)
    if not is_window:
        return log_ndtr((fields - edge) / width)
    size = np.abs(fields)
    near, far = log_ndtr((edge - size) / width), log_ndtr((-edge - size) / width)
    return near + np.log1p(-np.exp(far - near))


@pytest.mark.parametrize("is_window", [False, True])
@pytest.mark.parametrize("V", [0.5, 0.01, 1e-3])
@pytest.mark.parametrize("n", [1.0, 2.0, 10.0, 300.0])
def test_fields_are_plain_integrals(n, V, is_window):
    """A line of points around the maximum of the density of each mean, which `np.argmax` finds."""
    spread, edge = 0.8, 0.6
    out = rows(constrained_fields, spread, V, edge, is_window, n)
    sigma = math.sqrt(spread / n)
    for i, mean in enumerate(POINTS):
        far = np.linspace(-80, 80, 20001)
        exponent = n * log_share(mean + sigma * far, V, edge, is_window) - far**2 / 2
        z = far[np.argmax(exponent)] + LINE
        x = mean + sigma * z
        value = log_share(x, V, edge, is_window)
        exponent = n * value - z**2 / 2
        weight = np.exp(exponent - logsumexp(exponent))
        step = z[1] - z[0]
        assert out[0, i] == pytest.approx(
            (logsumexp(exponent) + math.log(step / math.sqrt(2 * math.pi))) / n, rel=1e-9, abs=1e-11
        )
        assert out[1, i] == pytest.approx(weight @ value, rel=1e-8, abs=1e-11)
        h = 1e-4 * math.sqrt(V)
        up, down = (log_share(x + side * h, V, edge, is_window) for side in (1, -1))
        force, bend = (up - down) / (2 * h), (up - 2 * value + down) / h**2
        assert out[2, i] == pytest.approx(weight @ force, rel=1e-5, abs=1e-6)
        variance = n * (weight @ force**2 - (weight @ force) ** 2)
        assert out[3, i] == pytest.approx(variance, rel=1e-4, abs=1e-4)
        assert out[4, i] == pytest.approx(weight @ bend, rel=1e-4, abs=1e-3 / V)


def test_powers_of_many_clones_do_not_overflow():
    with np.errstate(all="raise"):
        for n in (50.0, 1e4):
            assert np.isfinite(rows(binary_weights, 30.0, n)).all()
            assert np.isfinite(rows(constrained_fields, 3.0, 1e-6, 1.0, False, n)).all()


def test_infinitely_many_clones_are_at_the_maximum():
    many, all_of_them = (
        rows(constrained_fields, 0.8, 0.1, 0.6, False, 1e7),
        rows(constrained_fields, 0.8, 0.1, 0.6, False, math.inf),
    )
    np.testing.assert_allclose(many, all_of_them, rtol=1e-5, atol=1e-6)
    # x = mean + D g(x), with g from SciPy
    width = math.sqrt(0.1)
    x = POINTS + 0.8 * all_of_them[2]
    g = np.exp(-(((0.6 - x) / width) ** 2) / 2) / math.sqrt(2 * math.pi) / ndtr((x - 0.6) / width) / width
    np.testing.assert_allclose(g, all_of_them[2], rtol=1e-10)
