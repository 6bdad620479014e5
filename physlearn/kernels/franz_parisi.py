r"""The integrals of the Franz-Parisi entropy: planes of nodes, graded towards where an integrand changes quickly.

A field that all references share is x, what one reference has of its own is z; a constrained replica's field is
c0 x + c1 z + e v + sqrt(V) u with v of its own group and u of its own, and the teacher's field, of variance one, has
covariance `shared` with x and `own` with v. Along x functions are smooth, so that equal steps (a trapezoidal rule)
converge exponentially; along y = (c1 z + e v)/sqrt(c1^2 + e^2) Gauss-Legendre panels are graded towards the kink of
ln H and the step at the reference's margin. theory/local-entropy/derivation.md (FP.5)-(FP.13).
"""

import math

import numpy as np
from numba import njit

from physlearn.kernels.special import G_over_H, erfcx, exp, log, tanh, tanh_and_sech2

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_FOUR, _FOUR_WEIGHTS = np.polynomial.legendre.leggauss(4)
_EIGHT, _EIGHT_WEIGHTS = np.polynomial.legendre.leggauss(8)
_SIXTEEN, _SIXTEEN_WEIGHTS = np.polynomial.legendre.leggauss(16)
_REACH = 9.0
_TAIL = 80.0  # e^-40 of the maximum is left out
_PANEL = 1.5
_FINEST = 0.02
_MOST = 20000  # nodes of a line
_SQRT_HALF = 0.7071067811865476
_NORMAL = 0.3989422804014327  # 1/sqrt(2 pi)
_TWO_PI = 6.283185307179586
_LN2 = 0.6931471805599453


@njit(forceinline=True, error_model="numpy")
def _split_H(x):
    """H(x) as a factor and a logarithm, such that neither underflows."""
    size = abs(x)
    tail = 0.5 * erfcx(size * _SQRT_HALF)
    square = 0.5 * x * x
    near = 1.0 - tail * exp(-square)
    return (tail, -square) if x > 0 else (near, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def graded(low, high, first, first_width, second, second_width, y, weight):
    """Nodes and weights on (low, high), panels growing away from two features; returns their number."""
    count = 0
    left = low
    while left < high and count + 10 <= _MOST:
        width = _PANEL
        for k in range(2):
            ahead = (first if k == 0 else second) - left
            near = 2 * (first_width if k == 0 else second_width)
            grown = 0.5 * ahead if ahead > 0 else -ahead
            width = min(width, max(near, grown))
        if left + 1.2 * width > high:
            width = high - left
        for i in range(10):
            y[count + i] = left + 0.5 * width * (1 + _NODES[i])
            weight[count + i] = 0.5 * width * _WEIGHTS[i]
        count += 10
        left += width
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _bivariate(a, rho, s, teacher, log_a, y, mass, rest, count):
    """Twice P(z > a, teacher's field > 0): `mass` H(b) becomes 2 H(b) H(k), and `rest` is set to what is to be added.

    Plackett's integral over the correlation, sin(theta) from 0 to R; the number of angles grows with R.
    """
    deviation, R = teacher[3], teacher[2]
    n = 0 if R == 0.0 else (4 if abs(R) < 0.02 else (8 if abs(R) < 0.2 else 16))
    nodes, weights = (
        (_FOUR, _FOUR_WEIGHTS)
        if n == 4
        else ((_EIGHT, _EIGHT_WEIGHTS) if n == 8 else (_SIXTEEN, _SIXTEEN_WEIGHTS))
    )
    angle = math.asin(R)
    for i in range(count):
        factor, log_factor = _split_H(-(teacher[0] + teacher[1] * y[i]) / deviation)
        mass[i] *= 2 * factor * exp(log_factor)
        rest[i] = 0.0
    for j in range(n):
        sine = math.sin(0.5 * angle * (1 + nodes[j]))
        half = 0.5 / (1 - sine * sine)
        part = weights[j] * angle / _TWO_PI
        for i in range(count):
            b = (a - rho * y[i]) / s
            k = -(teacher[0] + teacher[1] * y[i]) / deviation
            exponent = -half * (b * b + k * k - 2 * b * k * sine)
            rest[i] += part * exp(exponent - 0.5 * y[i] * y[i] - log_a)


@njit(cache=True, nogil=True, error_model="numpy")
def _slice(a, rho, s, shift, slope, root_V, teacher, y, weight, count, out):
    """Sums over y at one x: mass, ln H, g^2, g, g times the teacher's density at zero, (dg)^2.

    The replica's field is `shift` + `slope` y; `teacher` holds mean at y = 0, slope in y, correlation of the
    teacher's field with z given y (sign reversed), and its deviation; deviation zero is no teacher.
    """
    factor_a, log_a = _split_H(a)
    deviation, R = teacher[3], teacher[2]
    root = math.sqrt(1 - R * R)
    logs, g, curve, mass, edge = out[0], out[1], out[2], out[3], out[4]
    for i in range(count):
        argument = (shift - slope * y[i]) / root_V
        factor, log_factor = _split_H(argument)
        logs[i] = log(factor) + log_factor
        hazard = G_over_H(argument)
        g[i] = hazard / root_V
        curve[i] = hazard * (hazard - argument) / (root_V * root_V)
        b = (a - rho * y[i]) / s
        factor, log_factor = _split_H(b)
        outside = -0.5 * y[i] * y[i] - log_a
        mass[i] = _NORMAL * weight[i] * factor * exp(outside + log_factor) / factor_a
        edge[i] = 0.0
    if deviation > 0:
        _bivariate(a, rho, s, teacher, log_a, y, mass, edge, count)
        for i in range(count):
            mass[i] += _NORMAL / factor_a * weight[i] * edge[i]
            k = -(teacher[0] + teacher[1] * y[i]) / deviation
            factor, log_factor = _split_H(((a - rho * y[i]) / s - R * k) / root)
            scale = 2 * _NORMAL * _NORMAL / (factor_a * deviation) * weight[i]
            edge[i] = scale * factor * exp(log_factor - 0.5 * (y[i] * y[i] + k * k) - log_a)
    sums = np.zeros(6)
    for i in range(count):
        sums[0] += mass[i]
        sums[1] += mass[i] * logs[i]
        sums[2] += mass[i] * g[i] * g[i]
        sums[3] += mass[i] * g[i]
        sums[4] += edge[i] * g[i]
        sums[5] += mass[i] * curve[i] * curve[i]
    return sums


@njit(cache=True, nogil=True, error_model="numpy")
def _on_margin(at, e, root_V, mean, own, spread, fineness, y, weight):
    """E g where the reference is on its margin, z = a: a replica is `at` - e v from its own; spread 0: no teacher."""
    kink, width = (at / e, fineness * root_V / e) if e > 1e-8 else (1e9, 1.0)
    count = graded(-_REACH, _REACH, kink, width, 1e9, 1.0, y, weight)
    total = 0.0
    for i in range(count):
        value = weight[i] * exp(-0.5 * y[i] * y[i]) * G_over_H((at - e * y[i]) / root_V)
        if spread > 0:
            factor, log_factor = _split_H(-(mean + own * y[i]) / spread)
            value *= 2 * factor * exp(log_factor)
        total += value
    return _NORMAL / root_V * total


@njit(cache=True, nogil=True, error_model="numpy")
def energetic(kappa, kappa_reference, q_reference, V, c0, c1, e, shared, own, has_teacher, fineness):
    """Energetic part and its derivatives, as an array of seven.

    Parameters
    ----------
    kappa, kappa_reference, q_reference : float
    V, c0, c1, e : float
        Variance and projections of a replica's field.
    shared, own : float
        Covariance of the teacher's field with x and with v; ignored without a teacher.
    has_teacher : bool
    fineness : float
        One; smaller makes all steps finer.

    Returns
    -------
    ndarray, shape (7,)
        The measure's mass (one), E ln H, E g^2, E g g_reference, derivative in the teacher's overlap, E (dg)^2, and
        derivative in the overlap with the reference.
    """
    total = np.zeros(7)
    free = math.sqrt(1 - q_reference)
    root_V = math.sqrt(V)
    D = math.sqrt(c1 * c1 + e * e)
    constant = D < 1e-11  # a replica's field then is that of all references
    rho, s = (0.0, 1.0) if constant else (c1 / D, max(e / D, 1e-9))
    D = 0.0 if constant else D
    spread = math.sqrt(max(1 - shared * shared - own * own, 1e-300)) if has_teacher else 1.0
    sensitive = math.sqrt(q_reference) / free
    if has_teacher:
        sensitive = max(sensitive, abs(shared) / spread)
    step = max(min(0.4, 0.5 / max(sensitive, 1e-300)), _FINEST) * fineness
    n = math.ceil(_REACH / step) if q_reference > 0 else 0
    teacher = np.zeros(4)
    y, weight, out = np.empty(_MOST), np.empty(_MOST), np.empty((5, _MOST))
    for i in range(-n, n + 1):
        x = i * step
        outer = step * _NORMAL * exp(-0.5 * x * x) if n > 0 else 1.0
        a = (kappa_reference - math.sqrt(q_reference) * x) / free
        high = math.sqrt(max(a, 0.0) ** 2 + _TAIL)
        low = max(a, -_REACH)
        ends = min(rho * low, rho * high) - _REACH * s, max(rho * low, rho * high) + _REACH * s
        bottom, top = (ends[0], ends[1]) if a > 0 else (max(ends[0], -_REACH), min(ends[1], _REACH))
        shift = kappa - c0 * x
        kink, kink_width = (shift / D, fineness * root_V / D) if D > 1e-8 else (1e9, 1.0)
        cut, cut_width = (a / rho, fineness * s / abs(rho)) if abs(rho) > 1e-8 else (1e9, 1.0)
        count = graded(bottom, top, kink, kink_width, cut, cut_width, y, weight)
        if has_teacher:
            deviation = math.sqrt(spread * spread + (own * rho) ** 2)
            teacher[0], teacher[1] = shared * x, own * s
            teacher[2], teacher[3] = -own * rho / deviation, deviation
        sums = _slice(a, rho, s, shift, D, root_V, teacher, y, weight, count, out)
        hazard = G_over_H(a) / free
        for k in range(3):
            total[k] += outer * sums[k]
        total[3] += outer * sums[3] * hazard
        total[4] += outer * sums[4]
        total[5] += outer * sums[5]
        at = shift - c1 * a
        own_spread = spread if has_teacher else 0.0
        total[6] += (
            outer * hazard * _on_margin(at, e, root_V, shared * x, own, own_spread, fineness, y, weight)
        )
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def energetic_single(kappa, kappa_reference, S, V, delta, fineness):
    """`energetic` around the single solution of the largest margin, of which all references are copies.

    Its field is x above its margin, and its margin where x is below; a replica's field is S times that, minus
    `delta` times what x lacks, plus e v and its own.

    Parameters
    ----------
    kappa, kappa_reference : float
    S, V, delta : float
        Overlap with the reference, variance 1 - q, and the response (t - q_reference S)/(1 - q_reference).
    fineness : float

    Returns
    -------
    ndarray, shape (7,)
        As of `energetic`, with E g max(kappa_reference - x, 0) in the place of E g g_reference.
    """
    total = np.zeros(7)
    root_V, e = math.sqrt(V), math.sqrt(max(1 - V - S * S, 0.0))
    D = max(e, 1e-9)
    x, outer = np.empty(_MOST), np.empty(_MOST)
    y, inner = np.empty(_MOST), np.empty(_MOST)
    for side in range(2):
        low, high = (
            (-_REACH, kappa_reference) if side == 0 else (kappa_reference, max(_REACH, kappa_reference))
        )
        slope = delta if side == 0 else S
        spread = math.sqrt(V + e * e) / max(abs(slope), 1e-9)
        at = kappa_reference - (S * kappa_reference - kappa) / slope if abs(slope) > 1e-9 else 1e9
        if side == 1:
            at = kappa / S if abs(S) > 1e-9 else 1e9
        count = graded(low, high, at, fineness * spread, kappa_reference, fineness, x, outer)
        for i in range(count):
            lack = max(kappa_reference - x[i], 0.0)
            own = max(kappa_reference, x[i])
            shift = kappa - S * own + delta * lack
            n = graded(-_REACH, _REACH, shift / D, fineness * root_V / D, 1e9, 1.0, y, inner)
            for k in range(n):
                argument = (shift - e * y[k]) / root_V
                factor, log_factor = _split_H(argument)
                hazard = G_over_H(argument)
                g = hazard / root_V
                curve = hazard * (hazard - argument) / V
                weight = outer[i] * inner[k] * exp(-0.5 * (x[i] * x[i] + y[k] * y[k])) / _TWO_PI
                total[0] += weight
                total[1] += weight * (log(factor) + log_factor)
                total[2] += weight * g * g
                total[3] += weight * g * lack
                total[5] += weight * curve * curve
                total[6] += weight * (g * own + S * curve)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def entropic(q_hat, projection, tilt, bias, reference_hat, reference_bias, fineness):
    """Entropic part and its moments, as an array of six.

    Parameters
    ----------
    q_hat, projection : float
        The field of a replica has variance q_hat, and covariance `projection` with the references' normal x.
    tilt, bias : float
        What it has of the reference's weight, S_hat - t_hat, and of the teacher's, r_hat.
    reference_hat, reference_bias : float
        The references' q_hat and r_hat.
    fineness : float

    Returns
    -------
    ndarray, shape (6,)
        E ln 2cosh, V = E(1 - m^2), t, S, r, E(1 - m^2)^2.
    """
    total = np.zeros(6)
    root = math.sqrt(q_hat)
    along = projection / root
    across = math.sqrt(max(1 - along * along, 0.0))
    slope = math.sqrt(reference_hat)
    step = min(0.4, 0.28 / max(slope * across, 1e-300)) * fineness
    n = math.ceil(_REACH / step)
    y, weight, first, second = np.empty(_MOST), np.empty(_MOST), np.empty(_MOST), np.empty(_MOST)
    width = fineness * min(0.5 / root, 0.5 / max(slope * along, 1e-300))
    count = graded(-_REACH, _REACH, (-tilt - bias) / root, width, (tilt - bias) / root, width, y, weight)
    for i in range(count):
        first[i] = second[i] = 0.0
    for k in range(2 * n + 1):
        x = (k - n) * step
        part = step * _NORMAL * exp(-0.5 * x * x)
        off = slope * across * x + reference_bias
        for i in range(count):
            value = tanh(off + slope * along * y[i])
            first[i] += part * value
            second[i] += part * value * value
    for i in range(count):
        w = 0.5 * _NORMAL * weight[i] * exp(-0.5 * y[i] * y[i])
        for sign in (-1.0, 1.0):
            field = root * y[i] + sign * tilt + bias
            m, rest = tanh_and_sech2(field)
            share = w * (1 + sign * first[i])
            size = abs(field)
            total[0] += share * (size + log(1.0 + exp(-2 * size)))
            total[1] += share * rest
            total[2] += w * (first[i] + sign * second[i]) * m
            total[3] += share * sign * m
            total[4] += share * m
            total[5] += share * rest * rest
    return total
