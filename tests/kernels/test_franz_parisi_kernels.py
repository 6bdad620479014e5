"""The integrals of the Franz-Parisi entropy: equal without the compiler, to finer steps, and to plain sums."""

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr

from physlearn.kernels.franz_parisi import energetic, energetic_single, entropic, graded

# kappa, kappa_reference, q_reference, V, c0, c1, e, shared, own, has_teacher: near and far, with and without a margin,
# projections of either sign, the degenerate point, the teacher as reference, and references in the tail.
FIELDS = {
    "far": (0.0, 0.0, 0.32, 0.6, 0.4, -0.2, 0.45, 0.0, 0.0, False),
    "near": (0.0, 0.0, 0.32, 0.05, 0.53, 0.78, 0.2, 0.0, 0.0, False),
    "nearest": (0.0, 0.05, 0.32, 2e-3, 0.565, 0.822, 0.03, 0.0, 0.0, False),
    "degenerate": (0.0, 0.0, 0.32, 0.68, 0.5656854249492381, 0.0, 0.0, 0.0, 0.0, False),
    "tail": (0.0, 3.3, 0.86, 0.2, 0.75, 0.4, 0.2, 0.0, 0.0, False),
    "taught": (0.1, 0.3, 0.32, 0.3, 0.4, 0.5, 0.4, 0.45, 0.15, True),
    "strongly taught": (0.0, 0.3, 0.32, 0.3, 0.4, 0.5, 0.4, 0.45, -0.7, True),
    "teacher": (0.0, 0.0, 0.0, 0.1, 0.0, 0.9, 0.3, 0.0, 0.0, False),
}
# q_hat, projection, tilt, bias, reference_hat, reference_bias
WEIGHTS = {
    "far": (0.9, 0.6, 0.4, 0.0, 0.7, 0.0),
    "near": (40.0, 0.5, 4.0, 0.0, 2.5, 0.0),
    "taught": (2.0, 0.6, 0.8, 0.5, 0.7, 0.4),
    "references known": (1.5, 1.1, -0.5, 0.2, 36.0, 0.3),
    "teacher": (1.3, 0.0, 0.7, 0.0, 0.0, 0.0),
    "degenerate": (0.7, 0.7**0.5, 0.0, 0.0, 0.7, 0.0),
}


def normal(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("name", ["near", "taught", "degenerate"])
def test_energetic_equals_its_source(name):
    arguments = (*FIELDS[name], 2.0)
    np.testing.assert_array_equal(energetic(*arguments), energetic.py_func(*arguments))


@pytest.mark.parametrize("name", ["near", "taught"])
def test_entropic_equals_its_source(name):
    arguments = (*WEIGHTS[name], 4.0)
    np.testing.assert_array_equal(entropic(*arguments), entropic.py_func(*arguments))


SINGLE = [(-0.2, 0.4, 0.7, 0.3, 0.25), (0.0, 0.0, 0.99, 0.01, 0.1), (-0.5, -0.24, 0.0, 0.6, -0.3)]


@pytest.mark.parametrize("arguments", SINGLE)
def test_energetic_single_equals_its_source(arguments):
    np.testing.assert_array_equal(
        energetic_single(*arguments, 4.0), energetic_single.py_func(*arguments, 4.0)
    )


@pytest.mark.parametrize("arguments", SINGLE)
def test_energetic_single_does_not_depend_on_the_steps(arguments):
    coarse, fine = energetic_single(*arguments, 1.0), energetic_single(*arguments, 0.4)
    np.testing.assert_allclose(coarse, fine, rtol=2e-11, atol=1e-13)
    assert coarse[0] == pytest.approx(1, abs=1e-11)


def test_graded_panels_cover_the_line_once():
    y, weight = np.empty(20000), np.empty(20000)
    count = graded(-9.0, 9.0, 0.3, 1e-7, 4.0, 0.1, y, weight)
    assert graded.py_func(-9.0, 9.0, 0.3, 1e-7, 4.0, 0.1, np.empty(20000), np.empty(20000)) == count < 1500
    assert np.all(np.diff(y[:count]) > 0)
    assert weight[:count].sum() == pytest.approx(18, rel=1e-14)
    lorentzian = 1e-7 / (1e-14 + (y[:count] - 0.3) ** 2)
    assert weight[:count] @ lorentzian == pytest.approx(np.arctan(8.7e7) + np.arctan(9.3e7), rel=1e-6)


@pytest.mark.parametrize("name", FIELDS)
def test_energetic_does_not_depend_on_the_steps(name):
    coarse, fine = energetic(*FIELDS[name], 1.0), energetic(*FIELDS[name], 0.4)
    np.testing.assert_allclose(coarse, fine, rtol=2e-11, atol=1e-13)
    assert coarse[0] == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize("name", WEIGHTS)
def test_entropic_does_not_depend_on_the_steps(name):
    np.testing.assert_allclose(
        entropic(*WEIGHTS[name], 1.0), entropic(*WEIGHTS[name], 0.4), rtol=2e-12, atol=1e-13
    )


@pytest.mark.parametrize("name", ["far", "near", "taught", "strongly taught"])
def test_energetic_equals_a_sum_over_the_fields_themselves(name):
    """Over x, v and the reference's own z > a, all independent, with the teacher's probability given x and v."""
    kappa, kappa_reference, q, V, c0, c1, e, shared, own, has_teacher = FIELDS[name]
    grid = np.linspace(-7.5, 7.5, 101)
    x, v = grid[:, None, None], grid[None, :, None]
    nodes, weights = np.polynomial.legendre.leggauss(80)
    a = (kappa_reference - np.sqrt(q) * x) / np.sqrt(1 - q)
    low = np.maximum(a, -8.0)
    z = low + 0.5 * (1 + nodes) * (8 - low)
    measure = (
        normal(x) * normal(v) * normal(z) * weights * 0.5 * (8 - low) / ndtr(-a) * (grid[1] - grid[0]) ** 2
    )
    if has_teacher:
        measure = 2 * measure * ndtr((shared * x + own * v) / np.sqrt(1 - shared**2 - own**2))
    argument = (kappa - c0 * x - c1 * z - e * v) / np.sqrt(V)
    g = np.exp(-(argument**2) / 2 - log_ndtr(-argument)) / np.sqrt(2 * np.pi * V)
    hazard = normal(a) / ndtr(-a) / np.sqrt(1 - q)
    found = energetic(*FIELDS[name], 1.0)
    sums = [measure, measure * log_ndtr(-argument), measure * g**2, measure * g * hazard]
    np.testing.assert_allclose(found[:4], [part.sum() for part in sums], rtol=1e-6)


@pytest.mark.parametrize("name", WEIGHTS)
def test_entropic_equals_a_sum_over_the_fields_themselves(name):
    q_hat, projection, tilt, bias, reference_hat, reference_bias = WEIGHTS[name]
    grid = np.linspace(-8, 8, 1601)
    x, y = grid[:, None], grid[None, :]
    measure = normal(x) * normal(y) * (grid[1] - grid[0]) ** 2
    T = np.tanh(np.sqrt(reference_hat) * x + reference_bias)
    expected = np.zeros(6)
    for w in (-1, 1):
        field = projection * x + np.sqrt(max(q_hat - projection**2, 0)) * y + tilt * w + bias
        m, share = np.tanh(field), measure * (1 + w * T) / 2
        values = (np.logaddexp(field, -field), 1 - m**2, m * T, w * m, m, (1 - m**2) ** 2)
        expected += [(share * value).sum() for value in values]
    np.testing.assert_allclose(entropic(*WEIGHTS[name], 1.0), expected, rtol=1e-10, atol=1e-12)


def test_a_teacher_who_knows_nothing_is_no_teacher():
    near = FIELDS["near"]
    taught = energetic(*near[:7], 0.0, 0.0, True, 1.0)
    np.testing.assert_allclose(
        taught[[0, 1, 2, 3, 5, 6]], energetic(*near, 1.0)[[0, 1, 2, 3, 5, 6]], rtol=1e-12
    )
