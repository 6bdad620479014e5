r"""Exponentials, hyperbolic tangents, logarithms and the normal tail as arithmetic that vectorises by itself.

LLVM without Intel's vector library calls the C library's scalar functions, one element at a time. The functions here
have no branches and call nothing, so that loops over them become vector instructions; relative errors are below 1e-13
(see tests/kernels/test_special.py for each, on the whole line). Their polynomials interpolate at Chebyshev's nodes, of
values to 40 digits. A power of two is made by shifting bits: adding 1.5 2^52 to a number rounds it to an integer, which
the sum's last bits then hold.

Products and sums are not contracted, so that a result does not depend on the machine, and equals the `.py_func`'s.
"""

import numpy as np
from numba import njit

_ROUND = 6755399441055744.0  # 1.5 2^52
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238  # 32 bits, so that its multiples by exponents are exact
_LN2_LOW = 1.9082149292705877e-10
_SQRT2_HALF_BITS = 0x3FE6A09E667F3BCD
_ONE_BITS = 0x3FF0000000000000
_SQRT_HALF = 0.7071067811865476
_SQRT_2_OVER_PI = 0.7978845608028654
_TWO_OVER_SQRT_PI = 1.1283791670955126
_LARGEST = 709.782712893384  # the largest logarithm of a float64, and minus that of the smallest normal one
_SMALLEST = -708.3964185322641


@njit(forceinline=True, error_model="numpy")
def _shifted(x):
    """2^(k - 1) with k = round(x/ln 2), and expm1(x - k ln 2); x not far outside of -708 ... 709."""
    rounded = x * _LOG2_E + _ROUND
    k = rounded - _ROUND
    half_power = np.int64((np.float64(rounded).view(np.int64) + np.int64(1022)) << np.int64(52)).view(
        np.float64
    )
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (0.5000000000000001 + r * 0.1666666666664829) + r2 * (
        0.04166666666662413 + r * 0.008333333353728316
    )
    high = (0.001388888891721154 + r * 0.00019841208735306233) + r2 * (
        2.4801521299750923e-05 + r * 2.762511379931226e-06
    )
    return half_power, r + r2 * (low + r4 * (high + r4 * 2.7620086491464514e-07))


@njit(forceinline=True, error_model="numpy")
def exp(x):
    """e^x; zero where that is no normal number."""
    inside = x if x < 710.0 else 710.0
    inside = inside if inside > -709.0 else -709.0
    inside = x if x != x else inside
    half_power, rest = _shifted(inside)
    value = (half_power + half_power * rest) * 2.0
    value = 0.0 if x < _SMALLEST else value
    return np.inf if x > _LARGEST else value


@njit(forceinline=True, error_model="numpy")
def tanh_and_sech2(x):
    """tanh(x) and 1 - tanh(x)^2 = 4 e/(1 + e)^2 with e = exp(-2 |x|), without cancellation."""
    size = -2.0 * abs(x)
    size = -700.0 if size < -700.0 else size
    half_power, rest = _shifted(size)
    scaled = 2.0 * half_power
    below = scaled * rest + (scaled - 1.0)  # e - 1
    inverse = 1.0 / (2.0 + below)
    value = -below * inverse
    return (-value if x < 0 else value), 4.0 * (scaled + scaled * rest) * (inverse * inverse)


@njit(forceinline=True, error_model="numpy")
def tanh(x):
    """Hyperbolic tangent."""
    return tanh_and_sech2(x)[0]


@njit(forceinline=True, error_model="numpy")
def _atanh_series(s):
    """Half the logarithm of (1 + s)/(1 - s) for abs(s) <= 0.1716."""
    z = s * s
    z2 = z * z
    series = (0.3333333333333104 + z * 0.20000000005603252) + z2 * (
        (0.1428571206916208 + z * 0.11111431140054358) + z2 * (0.09070096901432996 + z * 0.08310908576429464)
    )
    return s + s * z * series


@njit(forceinline=True, error_model="numpy")
def _exponent(bits):
    """k such that the positive number with these bits is 2^k m, sqrt(1/2) <= m < sqrt 2, as a float and as 2^k."""
    shift = (bits - np.int64(_SQRT2_HALF_BITS)) & np.int64(-0x10000000000000)
    rounded = np.int64((shift >> np.int64(52)) + np.int64(0x4338000000000000)).view(np.float64)
    return rounded - _ROUND, np.int64(shift + np.int64(_ONE_BITS)).view(np.float64)


@njit(forceinline=True, error_model="numpy")
def log(x):
    """Natural logarithm of a positive normal number."""
    k, power = _exponent(np.float64(x).view(np.int64))
    s = (x - power) / (x + power)
    return k * _LN2_HIGH + (2.0 * _atanh_series(s) + k * _LN2_LOW)


@njit(forceinline=True, error_model="numpy")
def atanh(x):
    """Inverse hyperbolic tangent, abs(x) < 1."""
    size = abs(x)
    k, power = _exponent(np.float64((1.0 + size) / (1.0 - size)).view(np.int64))
    # s is exactly x where k = 0
    above, below = 1.0 + size, power * (1.0 - size)
    s = size if k == 0.0 else (above - below) / (above + below)
    value = 0.5 * k * _LN2_HIGH + (_atanh_series(s) + 0.5 * k * _LN2_LOW)
    return -value if x < 0 else value


@njit(forceinline=True, error_model="numpy")
def erfcx(x):
    """exp(x^2) erfc(x) for x >= 0: a polynomial in t = (x - 3)/(x + 3), divided by 1 + 2x."""
    inverse = 1.0 / ((x + 3.0) * (1.0 + 2.0 * x))
    t = (x - 3.0) * ((1.0 + 2.0 * x) * inverse)
    p = 4.753850893120821e-08 + t * 1.0346433476269066e-08
    p = p * t - 7.898498436546491e-08
    p = p * t - 5.061276758835549e-07
    p = p * t + 2.809247932358949e-07
    p = p * t + 3.340620572250462e-06
    p = p * t - 6.723107877502756e-07
    p = p * t - 2.0002234665689688e-05
    p = p * t + 4.9192451586483435e-06
    p = p * t + 0.00012505252621834297
    p = p * t - 0.00010514976075877727
    p = p * t - 0.0007798182066738429
    p = p * t + 0.0018886882651257164
    p = p * t + 0.0025293892660317734
    p = p * t - 0.023770514662452773
    p = p * t + 0.06830802759881013
    p = p * t - 0.11927366343144447
    p = p * t + 0.12964515869106003
    p = p * t - 0.047562294353053265
    p = p * t - 0.1356211061244227
    p = p * t + 1.253008058269728
    return p * ((x + 3.0) * inverse)


@njit(forceinline=True, error_model="numpy")
def erf(x):
    """Error function: a polynomial below one, 1 - exp(-x^2) erfcx(x) beyond."""
    size = abs(x)
    z = size if size < 1.0 else 1.0
    z = z * z
    p = 1.3720064546777686e-08 - z * 7.795898827002142e-10
    p = p * z - 1.6208483801871705e-07
    p = p * z + 1.6447424703317362e-06
    p = p * z - 1.492473690741966e-05
    p = p * z + 0.00012055294904839707
    p = p * z - 0.0008548325975389692
    p = p * z + 0.0052239776071164225
    p = p * z - 0.02686617064323777
    p = p * z + 0.11283791670945006
    p = p * z - 0.37612638903183543
    near = size * (p * z + _TWO_OVER_SQRT_PI)
    cut = size if size < 6.0 else 6.0
    far = 1.0 - exp(-cut * cut) * erfcx(cut)
    value = near if size < 1.0 else far
    return -value if x < 0 else value


@njit(forceinline=True, error_model="numpy")
def G_over_H(x):
    """G(x)/H(x), the inverse Mills ratio, for x > -37; to the left of that it is below 1e-297, and zero here."""
    size = abs(x) * _SQRT_HALF
    tail = erfcx(size)
    gauss = exp(-0.5 * x * x)
    left = _SQRT_2_OVER_PI * gauss / (2.0 - gauss * tail)
    right = _SQRT_2_OVER_PI / tail
    return left if x < 0 else right


@njit(cache=True, nogil=True, error_model="numpy")
def each_exp(x, out):
    """Set ``out`` to `exp` of each entry."""
    for i in range(x.size):
        out[i] = exp(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def each_tanh(x, out):
    """Set ``out`` to `tanh` of each entry."""
    for i in range(x.size):
        out[i] = tanh(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def each_atanh(x, out):
    """Set ``out`` to `atanh` of each entry."""
    for i in range(x.size):
        out[i] = atanh(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def each_log(x, out):
    """Set ``out`` to `log` of each entry."""
    for i in range(x.size):
        out[i] = log(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def each_erf(x, out):
    """Set ``out`` to `erf` of each entry."""
    for i in range(x.size):
        out[i] = erf(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def each_G_over_H(x, out):
    """Set ``out`` to `G_over_H` of each entry."""
    for i in range(x.size):
        out[i] = G_over_H(x[i])
