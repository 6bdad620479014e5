"""The vectorising special functions against SciPy and mpmath, on the whole line."""

import mpmath
import numpy as np
import pytest
from scipy import special as scipy_special

from physlearn.kernels import special

RNG = np.random.default_rng(1)
TINY = 10.0 ** RNG.uniform(-290, 0, 400)
LINE = {
    "exp": np.concatenate([RNG.uniform(-708, 709.7, 2000), RNG.uniform(-1, 1, 500), -TINY, TINY]),
    "tanh": np.concatenate(
        [RNG.uniform(-25, 25, 2000), RNG.uniform(-1, 1, 500), TINY, -TINY, [0, 400, 1e300]]
    ),
    "atanh": np.concatenate([RNG.uniform(-1, 1, 1000), 1 - 10 ** RNG.uniform(-15, 0, 300), -TINY[TINY < 1]]),
    "log": np.concatenate([RNG.uniform(0.5, 2, 1000), 10 ** RNG.uniform(-307, 307, 1000), [1.0]]),
    "erf": np.concatenate([RNG.uniform(-7, 7, 2000), TINY, -TINY, [0, 1e10]]),
    "G_over_H": np.concatenate([RNG.uniform(-36, 60, 2000), TINY, -TINY, [0, 1e4, 1e150]]),
}
DIGITS = {
    "exp": mpmath.exp,
    "tanh": mpmath.tanh,
    "atanh": mpmath.atanh,
    "log": mpmath.log,
    "erf": mpmath.erf,
    "G_over_H": lambda x: mpmath.npdf(x) / (mpmath.erfc(x / mpmath.sqrt(2)) / 2),
}
SCIPY = {
    "exp": np.exp,
    "tanh": np.tanh,
    "atanh": np.arctanh,
    "log": np.log,
    "erf": scipy_special.erf,
    "G_over_H": lambda x: np.sqrt(2 / np.pi) / scipy_special.erfcx(x / np.sqrt(2)),
}


def relative(values, expected):
    return np.abs(values - expected) / np.where(expected == 0, 1, np.abs(expected))


@pytest.mark.parametrize("name", LINE)
def test_relative_error_is_below_1e12(name):
    x = LINE[name]
    values = np.empty_like(x)
    getattr(special, f"each_{name}")(x, values)
    with np.errstate(all="ignore"):
        assert relative(values, SCIPY[name](x)).max() < 1e-12
    few = x[np.abs(x) < 1e3][::20]
    with mpmath.workdps(40):
        expected = np.array([float(DIGITS[name](mpmath.mpf(float(point)))) for point in few])
    getattr(special, f"each_{name}")(few, values[: few.size])
    assert relative(values[: few.size], expected).max() < 1e-12


@pytest.mark.parametrize("name", LINE)
def test_compiled_functions_equal_their_source_bit_for_bit(name):
    x = np.concatenate([LINE[name][::97], LINE[name][-3:]])
    compiled = np.empty_like(x)
    getattr(special, f"each_{name}")(x, compiled)
    plain = np.array([getattr(special, name).py_func(np.float64(point)) for point in x])
    np.testing.assert_array_equal(compiled, plain)


def test_ends_of_the_line():
    x = np.array([-np.inf, -1e4, -720.0, 720.0, np.inf, np.nan])
    out = np.empty_like(x)
    special.each_exp(x, out)
    np.testing.assert_array_equal(out, [0, 0, 0, np.inf, np.inf, np.nan])
    special.each_tanh(x, out)
    np.testing.assert_array_equal(out, [-1, -1, -1, 1, 1, np.nan])
    special.each_erf(x, out)
    np.testing.assert_array_equal(out[:5], [-1, -1, -1, 1, 1])
    special.each_G_over_H(np.array([-1e3, -50.0, 0.0]), out[:3])
    assert out[:3].tolist() == [0, 0, pytest.approx(np.sqrt(2 / np.pi), rel=1e-15)]


def test_the_variance_has_no_cancellation():
    for x in (0.0, 0.3, -2.0, 10.0, -19.0, 150.0):
        mean, variance = special.tanh_and_sech2(x)
        with mpmath.workdps(40):
            expected = float(mpmath.sech(mpmath.mpf(x)) ** 2)
        assert variance == pytest.approx(expected, rel=1e-12)
        assert mean == pytest.approx(np.tanh(x), rel=1e-14)
