r"""Averages over the measure of clones: how n_replicas weights, or fields, behave that share a Gaussian mean.

For every point of the outer integral the inner one is over z with the density exp(-z^2/2 + n l(x + sigma z)), n the
number of clones and l the logarithm of a partition function. For fields, panels of Gauss and Legendre's rule are laid
from left to right, as narrow as the nearest feature (the edge of a constraint, the maximum of the density) asks for;
for weights, equidistant points do. Powers are never formed, only their logarithms, so that no number of clones
overflows. With infinitely many clones the density is a point, its maximum.
"""

import math

import numpy as np
from numba import njit

from physlearn.kernels.special import G_over_H, erfcx, exp, tanh_and_sech2

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_SQRT_HALF = 0.7071067811865476
_SQRT_2_OVER_PI = 0.7978845608028654
_REACH = 9.0
_NEGLIGIBLE = 45.0
_PANEL = 1.0
_STEP = 0.6
_FINE = 0.25
_NEAR = 8.0  # widths within which an edge, or tanh, is not yet flat
_CROSSOVER = 8.0
_DEPTH = 18  # from _CROSSOVER on, this many terms of the continued fraction give all digits
_MAX_NEWTON = 100


@njit(cache=True, nogil=True, error_model="numpy")
def _half_line(x):
    """ln H(x), G(x)/H(x) and G(x)/H(x) - x."""
    size = abs(x) * _SQRT_HALF
    tail = 0.5 * erfcx(size)
    log_tail = -size * size + math.log(tail) if x > 0 else math.log1p(-exp(-size * size) * tail)
    if x <= _CROSSOVER:
        ratio = G_over_H(x) if x > -37.0 else 0.0
        return log_tail, ratio, ratio - x
    excess = x
    for k in range(_DEPTH, 1, -1):
        excess = x + k / excess
    return log_tail, x + 1.0 / excess, 1.0 / excess


@njit(cache=True, nogil=True, error_model="numpy")
def _window(mean, width, half_width):
    """ln P(abs(h) < K) of a normal field h, with two derivatives with respect to its mean."""
    size = abs(mean)
    near, far = (half_width - size) / width, (half_width + size) / width
    decay = exp(-0.5 * (far * far - near * near))
    if near > 0:
        missing = exp(-0.5 * near * near) * 0.5 * (erfcx(near * _SQRT_HALF) + decay * erfcx(far * _SQRT_HALF))
        share = 1.0 - missing
        log_share = math.log1p(-missing)
        peak = exp(-0.5 * near * near) * 0.5 * _SQRT_2_OVER_PI / share
    else:
        share = 0.5 * (erfcx(-near * _SQRT_HALF) - decay * erfcx(far * _SQRT_HALF))
        log_share = -0.5 * near * near + math.log(share)
        peak = 0.5 * _SQRT_2_OVER_PI / share
    force = -peak * (1.0 - decay) / width
    curvature = -peak * (near + far * decay) / (width * width) - force * force
    return log_share, (force if mean >= 0 else -force), curvature


@njit(cache=True, nogil=True, error_model="numpy")
def _constraint(mean, width, edge, is_window):
    """ln Z_out, g and its derivative: of h > edge, or of abs(h) < edge."""
    if is_window:
        return _window(mean, width, edge)
    log_share, ratio, excess = _half_line((edge - mean) / width)
    return log_share, ratio / width, -ratio * excess / (width * width)


@njit(cache=True, nogil=True, error_model="numpy")
def _pulled(mean, spread, width, edge, is_window):
    """The field x = mean + spread g(x) at which the density of the clones is largest; g falls, so that it is one."""
    x = mean
    low, high = -np.inf, np.inf
    for _ in range(_MAX_NEWTON):
        _, force, curvature = _constraint(x, width, edge, is_window)
        excess = mean + spread * force - x
        if excess > 0:
            low = x
        else:
            high = x
        step = excess / (1.0 - spread * curvature)
        following = x + step
        if not (low <= following <= high):
            following = 0.5 * (low + high)
        if abs(following - x) <= 4e-16 * (abs(x) + width):
            return following
        x = following
    return x


@njit(cache=True, nogil=True, error_model="numpy")
def _panel(distance, width):
    """How wide a panel may be that starts at this distance from a feature of this width."""
    return width if distance < _NEAR * width else max(width, 0.4 * distance)


@njit(cache=True, nogil=True, error_model="numpy")
def constrained_fields(means, spread, variance, edge, is_window, n_replicas, out):
    r"""Fields of clones under a constraint, around each of the means.

    The clones' fields are x + sigma z + sqrt(V) u_a, with z common and sigma^2 = D/n.

    Parameters
    ----------
    means : ndarray of float64, shape (n,)
        x.
    spread, variance : float64
        D = n (q1 - q0) >= 0 and V = 1 - q1 > 0; D is infinite for a window seen by infinitely many clones.
    edge : float64
        The margin, or the half-width of a window.
    is_window : bool
    n_replicas : float64
        At least one, or infinite.
    out : ndarray of float64, shape (6, n)
        Set to (1/n) ln of the clones' partition function; to the means over z of ln Z_out and of its derivative g;
        to n times the variance of g; to the means of g' and of g'^2.
    """
    width = math.sqrt(variance)
    for i in range(means.size):
        if spread == np.inf:  # nothing holds the field back from the middle of a window
            top, force, curvature = _constraint(0.0, width, edge, is_window)
            out[0, i], out[1, i], out[2, i], out[3, i] = top, top, 0.0, -curvature
            out[4, i], out[5, i] = curvature, curvature * curvature
            continue
        mode = _pulled(means[i], spread, width, edge, is_window) if spread > 0 else means[i]
        top, force, curvature = _constraint(mode, width, edge, is_window)
        if spread == 0 or n_replicas == np.inf:
            # -z^2/2 at the maximum is -D g^2/2
            out[0, i] = top - 0.5 * spread * force * force
            out[1, i], out[2, i] = top, force
            out[3, i] = spread * curvature * curvature / (1.0 - spread * curvature)
            out[4, i], out[5, i] = curvature, curvature * curvature
            continue
        sigma = math.sqrt(spread / n_replicas)
        centre = (mode - means[i]) / sigma
        peak = -0.5 * centre * centre + n_replicas * top
        sharp = 1.0 / math.sqrt(1.0 - spread * curvature)
        upper, lower = (edge - means[i]) / sigma, (-edge - means[i]) / sigma
        blurred = width / sigma
        total, s_log, s_force, s_force2, s_curvature, s_curvature2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        left, end = centre - _REACH, centre + _REACH
        while left < end:
            step = min(_PANEL, _panel(abs(left - centre), sharp), _panel(abs(left - upper), blurred))
            if is_window:
                step = min(step, _panel(abs(left - lower), blurred))
            right = left + step
            # The density falls on both sides of its maximum: whole panels are left out, or all that follow.
            nearest = right if right < centre else left
            if right < centre or left > centre:
                value = _constraint(means[i] + sigma * nearest, width, edge, is_window)[0]
                if n_replicas * value - 0.5 * nearest * nearest < peak - _NEGLIGIBLE:
                    if left > centre:
                        break
                    left = right
                    continue
            for k in range(_NODES.size):
                z = left + 0.5 * step * (_NODES[k] + 1.0)
                value, slope, bend = _constraint(means[i] + sigma * z, width, edge, is_window)
                weight = _WEIGHTS[k] * step * exp(n_replicas * value - 0.5 * z * z - peak)
                total += weight
                s_log += weight * (value - top)
                s_force += weight * (slope - force)
                s_force2 += weight * (slope - force) ** 2
                s_curvature += weight * bend
                s_curvature2 += weight * bend * bend
            left = right
        shift = s_force / total
        # dz/sqrt(2 pi), and the rule's panels are two long
        out[0, i] = (peak + math.log(total * 0.25 * _SQRT_2_OVER_PI)) / n_replicas
        out[1, i] = top + s_log / total
        out[2, i] = force + shift
        out[3, i] = n_replicas * (s_force2 / total - shift * shift)
        out[4, i] = s_curvature / total
        out[5, i] = s_curvature2 / total


@njit(cache=True, nogil=True, error_model="numpy")
def _log_2cosh(x):
    return abs(x) + math.log1p(exp(-2.0 * abs(x)))


@njit(cache=True, nogil=True, error_model="numpy")
def _magnetised(field, spread):
    """The field b = field + spread tanh(b) on the side of `field`, at which the density of the clones is largest."""
    sign = 1.0 if field >= 0 else -1.0
    size = abs(field)
    b = size + spread  # from above Newton's method on a concave function goes down to its largest root
    for _ in range(_MAX_NEWTON):
        mean, rest = tanh_and_sech2(b)
        slope = 1.0 - spread * rest
        if slope <= 0:
            break
        following = b - (b - size - spread * mean) / slope
        if abs(following - b) <= 4e-16 * (1e-300 + abs(b)):
            b = following
            break
        b = following
    return sign * max(b, size)


@njit(cache=True, nogil=True, error_model="numpy")
def binary_weights(fields, spread, n_replicas, out):
    r"""Weights +-1 of clones, around each of the fields.

    All clones have the field B = x + tau z, with tau^2 = D/n.

    Parameters
    ----------
    fields : ndarray of float64, shape (n,)
        x.
    spread : float64
        D = n (q1_hat - q0_hat) >= 0.
    n_replicas : float64
        At least one, or infinite.
    out : ndarray of float64, shape (6, n)
        Set to (1/n) ln of the clones' partition function; to the means over z of ln 2 cosh B and of tanh B; to n
        times the variance of tanh B; to the means of sech^2 B and of sech^4 B.
    """
    for i in range(fields.size):
        mode = _magnetised(fields[i], spread)
        top = _log_2cosh(mode)
        mean, rest = tanh_and_sech2(mode)
        if spread == 0 or n_replicas == np.inf:
            out[0, i] = top - 0.5 * spread * mean * mean
            out[1, i], out[2, i] = top, mean
            out[3, i] = spread * rest * rest / (1.0 - spread * rest)
            out[4, i], out[5, i] = rest, rest * rest
            continue
        # The integrand is analytic up to the zeros of cosh, at a distance pi/(2 tau) from the real line: the error of
        # equidistant points is below exp(-pi^2/(tau step)).
        tau = math.sqrt(spread / n_replicas)
        peak = n_replicas * (top - 0.5 * spread * mean * mean)
        step = min(_STEP, _FINE / tau)
        n_steps = int((n_replicas * tau + _REACH) / step) + 1
        total, s_log, s_mean, s_mean2, s_rest, s_rest2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(-n_steps, n_steps + 1):
            z = k * step
            b = fields[i] + tau * z
            value = _log_2cosh(b)
            exponent = n_replicas * value - 0.5 * z * z - peak
            if exponent < -_NEGLIGIBLE:
                continue
            slope, bend = tanh_and_sech2(b)
            weight = step * exp(exponent)
            total += weight
            s_log += weight * (value - top)
            s_mean += weight * (slope - mean)
            s_mean2 += weight * (slope - mean) ** 2
            s_rest += weight * bend
            s_rest2 += weight * bend * bend
        shift = s_mean / total
        out[0, i] = (peak + math.log(total * 0.5 * _SQRT_2_OVER_PI)) / n_replicas
        out[1, i] = top + s_log / total
        out[2, i] = mean + shift
        out[3, i] = n_replicas * (s_mean2 / total - shift * shift)
        out[4, i] = s_rest / total
        out[5, i] = s_rest2 / total


@njit(cache=True, nogil=True, error_model="numpy")
def binary_weights_summed(fields, spread, log_binomials, out):
    r"""`binary_weights` for a whole number of clones, as a sum over the values of their sum.

    .. math:: \int Dz\, [2 \cosh(x + \tau z)]^n = \sum_S \binom{n}{(n + S)/2} e^{S x + \tau^2 S^2/2}

    Parameters
    ----------
    fields : ndarray of float64, shape (m,)
    spread : float64
    log_binomials : ndarray of float64, shape (n + 1,)
        Logarithms of the binomial coefficients; n at least two.
    out : ndarray of float64, shape (6, m)
        Rows 0, 2, 3 and 4 are set; the others are not means over S alone.
    """
    n = log_binomials.size - 1
    for i in range(fields.size):
        largest = -np.inf
        for k in range(n + 1):
            S = 2.0 * k - n
            largest = max(largest, log_binomials[k] + S * fields[i] + 0.5 * spread / n * S * S)
        total, first, unequal = 0.0, 0.0, 0.0
        for k in range(n + 1):
            S = 2.0 * k - n
            weight = exp(log_binomials[k] + S * fields[i] + 0.5 * spread / n * S * S - largest)
            total += weight
            first += weight * S
            unequal += weight * (n - S) * (n + S)
        mean, rest = first / total / n, unequal / total / (n * (n - 1.0))
        out[0, i] = (largest + math.log(total)) / n
        out[2, i] = mean
        out[3, i] = n * ((1.0 - mean) * (1.0 + mean) - rest)
        out[4, i] = rest
