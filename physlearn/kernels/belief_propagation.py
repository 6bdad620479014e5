"""Messages of belief propagation from patterns to binary weights: Gaussian ones, and exact ones of small systems.

A message u says with which odds exp(2 u) a pattern wants a weight to be +1. Patterns are gauged (multiplied by their
labels), and all of them are updated from the same fields: none depends on another's new messages, so that threads
may share them. Sums over the patterns are those of fixed blocks, added in order: the answer depends neither on the
number of threads nor on the machine.
"""

import math

import numpy as np
from numba import njit

from physlearn.kernels.special import G_over_H, erfcx, exp, log, tanh_and_sech2

ROWS = 16
"""Patterns in a block."""

STRONGEST = 30.0
"""The largest message: odds of 1e26."""

FAINTEST = 1e-40
"""Probability below which no unit's vote is thought to be."""

FIRMEST = 18.0
"""The largest field of a weight that an exact message sees: beyond, small probabilities would multiply to zero."""

_LANES = 64
_SQRT_HALF = 0.7071067811865476
_ONE_OVER_SQRT_2PI = 0.3989422804014327
_DEGREE = 12


@njit(forceinline=True, error_model="numpy")
def _half_log(first, second):
    """Half the logarithm of the ratio of two masses, cut at `STRONGEST`."""
    first = first if first > 1e-300 else 1e-300
    second = second if second > 1e-300 else 1e-300
    u = 0.5 * log(first / second)
    u = u if u < STRONGEST else STRONGEST
    return u if u > -STRONGEST else -STRONGEST


@njit(forceinline=True, error_model="numpy")
def _tail(x, square):
    """exp(square/2) H(x), where square > 0 goes with x > 0 only, and is at most x^2."""
    right = 0.5 * exp(0.5 * (square - x * x)) * erfcx(abs(x) * _SQRT_HALF)
    left = 1.0 - right
    return left if x < 0.0 else right


@njit(forceinline=True, error_model="numpy")
def _beyond_odds(x, step, noise):
    """Half of ln [noise + H(x - step)]/[noise + H(x + step)]; in a tail both are multiplied by one large number."""
    first, second = x - step, x + step
    nearer = first if first < second else second
    nearer = nearer if nearer > 0.0 else 0.0
    square = nearer * nearer
    cut = square if square < 1400.0 else 1400.0
    extra = noise * exp(0.5 * cut) if noise > 0.0 else 0.0
    return _half_log(_tail(first, square) + extra, _tail(second, square) + extra)


@njit(forceinline=True, error_model="numpy")
def _between_odds(x, z, step):
    """Half of ln [H(x - step) - H(z - step)]/[H(x + step) - H(z + step)], x < z, seen from the nearer end."""
    turned = x + z < 0.0
    left, right = -z, -x
    x = left if turned else x
    z = right if turned else z
    turned_step = -step
    step = turned_step if turned else step
    first, second = x - step, x + step
    nearer = first if first < second else second
    nearer = nearer if nearer > 0.0 else 0.0
    square = nearer * nearer
    above = _tail(first, square) - _tail(z - step, square)
    below = _tail(second, square) - _tail(z + step, square)
    return _half_log(above, below)


@njit(cache=True, nogil=True, error_model="numpy")
def cavity(field, messages, mean, variance):
    """Set mean and variance of each weight in the absence of a pattern; all of shape (D,)."""
    for i in range(field.size):
        mean[i], variance[i] = tanh_and_sech2(field[i] - messages[i])


@njit(cache=True, nogil=True, error_model="numpy")
def sums(row, mean, variance, lanes):
    """Mean and variance of a unit's field times sqrt(D), summed in a fixed order over `lanes`, shape (2, 64)."""
    lanes[:] = 0.0
    first, second = lanes[0], lanes[1]
    for start in range(0, row.size, _LANES):
        x, a, v = row[start : start + _LANES], mean[start : start + _LANES], variance[start : start + _LANES]
        for k in range(x.size):
            first[k] += x[k] * a[k]
            second[k] += x[k] * x[k] * v[k]
    half = _LANES // 2
    while half:
        for k in range(half):
            first[k] += first[k + half]
            second[k] += second[k + half]
        half //= 2
    return first[0], second[0]


@njit(cache=True, nogil=True, error_model="numpy")
def expand_beyond(x, noise, f):
    """Taylor coefficients of ln [noise + H(x + d)] in d, from the first on: shape (_DEGREE,).

    A = G/(noise + H), minus its derivative, has A' = A^2 - (x + d) A, which gives each coefficient from those before.
    """
    f[0] = G_over_H(x)
    if noise > 0.0:
        f[0] = math.exp(-0.5 * x * x) * _ONE_OVER_SQRT_2PI / (noise + 0.5 * math.erfc(x * _SQRT_HALF))
    for n in range(_DEGREE - 1):
        total = -x * f[n]
        if n > 0:
            total -= f[n - 1]
        for k in range(n + 1):
            total += f[k] * f[n - k]
        f[n + 1] = total / (n + 1)
    for n in range(_DEGREE):
        f[n] = -f[n] / (n + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def expand_between(x, z, f, g):
    """Taylor coefficients of H(x + d)/M and -H(z + d)/M, M = H(x) - H(z), from the first on: shapes (_DEGREE,)."""
    near, far = (x, z) if x + z > 0.0 else (-z, -x)
    square = max(near, 0.0) ** 2
    mass = _tail(near, square) - _tail(far, square)
    for c, at in ((f, x), (g, z)):
        c[0] = math.exp(0.5 * (square - at * at)) * _ONE_OVER_SQRT_2PI / mass
        for n in range(_DEGREE - 1):
            c[n + 1] = -at * c[n] / (n + 1)
            if n > 0:
                c[n + 1] -= c[n - 1] / (n + 1)
        for n in range(_DEGREE):
            c[n] /= n + 1
    for n in range(_DEGREE):
        f[n] = -f[n]


@njit(forceinline=True, error_model="numpy")
def _horner(c, d):
    """The sum of c_n d^(n + 1)."""
    p = c[9] + d * (c[10] + d * c[11])
    p = c[6] + d * (c[7] + d * (c[8] + d * p))
    p = c[3] + d * (c[4] + d * (c[5] + d * p))
    return d * (c[0] + d * (c[1] + d * (c[2] + d * p)))


@njit(cache=True, nogil=True, error_model="numpy")
def edges(row, mean, variance, centre, width2, bounds, floor, noise, largest, series, new):
    """The messages of one pattern to the weights of one unit, from the sums over all of them, which lack one each.

    Where the sum of many weights is meant, an edge's arguments lie near those of the whole, around which one expansion
    does for all edges; its last terms say whether it does to 1e-12.

    Parameters
    ----------
    row, mean, variance : arrays (D,)
        Gauged pattern, and the weights' moments in its absence.
    centre, width2 : float
        Mean and variance of the sum of all of them.
    bounds : array (2,)
        The sum must lie between them.
    floor : float
        The least variance that the sum of the others is given.
    noise : float
        Weight of the sums that don't, over one minus it; zero where both bounds are finite.
    largest : float
        Largest absolute entry of the row.
    series : array (2, _DEGREE)
        Work space.
    new : array (D,)
        Set to the messages.

    Returns
    -------
    bool
        Whether one expansion did.
    """
    lower, upper = bounds[0], bounds[1]
    least = width2 - largest * largest
    if least > 8.0 * largest * largest and least > floor:
        scale = 1.0 / math.sqrt(width2)
        stretch = math.sqrt(width2 / least)
        reach = 2.0 * largest * scale * stretch
        x, z, f, g = (lower - centre) * scale, (upper - centre) * scale, series[0], series[1]
        if z == math.inf:
            expand_beyond(x, noise, f)
            if _last_terms(f, reach + abs(x) * (stretch - 1.0)) < 1e-12:
                _edges_beyond(row, mean, variance, centre, width2, lower, x, f, new)
                return True
        else:
            expand_between(x, z, f, g)
            reach += max(abs(x), abs(z)) * (stretch - 1.0)
            if max(_last_terms(f, reach), _last_terms(g, reach)) < 1e-12:
                _edges_between(row, mean, variance, centre, width2, lower, upper, x, z, f, g, new)
                return True
    for i in range(row.size):
        x = row[i] * 1.0
        width = width2 - x * x * variance[i]
        width = width if width > floor else floor
        new[i] = 1.0 / math.sqrt(width)
    if upper < math.inf:
        for i in range(row.size):
            x, scale = row[i] * 1.0, new[i]
            others = centre - x * mean[i]
            new[i] = _between_odds((lower - others) * scale, (upper - others) * scale, x * scale)
    elif noise > 0.0:
        for i in range(row.size):
            x, scale = row[i] * 1.0, new[i]
            new[i] = _beyond_odds((lower - (centre - x * mean[i])) * scale, x * scale, noise)
    else:
        for i in range(row.size):
            x, scale = row[i] * 1.0, new[i]
            new[i] = _beyond_odds((lower - (centre - x * mean[i])) * scale, x * scale, 0.0)
    return False


@njit(forceinline=True, error_model="numpy")
def _last_terms(c, reach):
    return abs(c[_DEGREE - 1]) * reach**_DEGREE + abs(c[_DEGREE - 2]) * reach ** (_DEGREE - 1)


@njit(forceinline=True, error_model="numpy")
def _unrolled(c):
    return c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11]


@njit(forceinline=True, error_model="numpy")
def _edges_beyond(row, mean, variance, centre, width2, lower, origin, f, new):
    c = _unrolled(f)
    for i in range(row.size):
        x = row[i] * 1.0
        scale = 1.0 / math.sqrt(width2 - x * x * variance[i])
        d = (lower - (centre - x * mean[i])) * scale - origin
        step = x * scale
        new[i] = 0.5 * (_horner(c, d - step) - _horner(c, d + step))


@njit(forceinline=True, error_model="numpy")
def _edges_between(row, mean, variance, centre, width2, lower, upper, left, right, f, g, new):
    a, b = _unrolled(f), _unrolled(g)
    for i in range(row.size):
        x = row[i] * 1.0
        scale = 1.0 / math.sqrt(width2 - x * x * variance[i])
        others = centre - x * mean[i]
        d, e = (lower - others) * scale - left, (upper - others) * scale - right
        step = x * scale
        above = 1.0 + (_horner(a, d - step) + _horner(b, e - step))
        below = 1.0 + (_horner(a, d + step) + _horner(b, e + step))
        new[i] = _half_log(above, below)


@njit(cache=True, nogil=True, error_model="numpy")
def accept(new, kept, messages, total, change):
    """Mix `kept` of the old messages into the new ones, add them to `total`, and widen the largest `change`."""
    for i in range(new.size):
        old = messages[i]
        difference = abs(new[i] - old)
        change[i] = difference if difference > change[i] else change[i]
        mixed = (1.0 - kept) * new[i] + kept * old
        messages[i] = mixed
        total[i] += mixed


@njit(cache=True, nogil=True, error_model="numpy")
def vote_noise(agree, noise):
    """What each unit's vote is worth among the others: the odds that the pattern is satisfied without it.

    With T+ and T- the probabilities of a majority where unit k agrees or not, its factor is
    T- + (T+ - T-) theta(field) ~ noise + theta, noise = T-/(T+ - T-).

    Parameters
    ----------
    agree, noise : arrays (K,)
        Probabilities that units agree; `noise` is set.

    Returns
    -------
    float
        T+ - T- for the last unit.
    """
    K = agree.size
    count = np.zeros(K + 1)
    for k in range(K):
        count[:] = 0.0
        count[0] = 1.0
        for j in range(K):
            if j != k:
                for n in range(K - 1, 0, -1):
                    count[n] = count[n] * (1.0 - agree[j]) + count[n - 1] * agree[j]
                count[0] *= 1.0 - agree[j]
        without = 0.0
        for n in range((K + 1) // 2, K):
            without += count[n]
        noise[k] = without / count[(K - 1) // 2]
    return count[(K - 1) // 2]


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_gaussian(
    patterns, largest, n_hidden, messages, field, bounds, floor, kept, totals, changes, first, last
):
    """New Gaussian messages of the patterns in blocks `first` to `last`, in place.

    Parameters
    ----------
    patterns : int8 or float64 array (P, n_inputs)
        Gauged; n_inputs = N, or N/K where units share their inputs.
    largest : float64 array (P,)
        Largest absolute entries of the patterns.
    n_hidden : int
        K; with one unit its sum must lie between the `bounds`, with more of them most must exceed the first.
    messages : float64 array (P, N)
    field : float64 array (N,)
        The weights' total fields.
    bounds, floor, kept
        See `edges` and `accept`.
    totals : float64 array (n_blocks, N)
        Set to the sums of the messages of each block.
    changes : float64 array (n_blocks,)
        Set to the largest change of a message in each block, before mixing.
    """
    P, N = messages.shape
    D = N // n_hidden
    shared = patterns.shape[1] == D
    mean, variance, new, change = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    lanes, centre, width2 = np.empty((2, _LANES)), np.empty(n_hidden), np.empty(n_hidden)
    agree, noise, series = np.empty(n_hidden), np.zeros(n_hidden), np.empty((2, _DEGREE))
    for block in range(first, last):
        total = totals[block]
        total[:] = 0.0
        change[:] = 0.0
        for mu in range(block * ROWS, min(P, (block + 1) * ROWS)):
            cavity(field, messages[mu], mean, variance)
            for k in range(n_hidden):
                a, b = k * D, (k + 1) * D
                row = patterns[mu] if shared else patterns[mu, a:b]
                centre[k], width2[k] = sums(row, mean[a:b], variance[a:b], lanes)
                if n_hidden > 1:
                    x = (bounds[0] - centre[k]) / math.sqrt(max(width2[k], floor))
                    agree[k] = min(max(0.5 * math.erfc(x * _SQRT_HALF), FAINTEST), 1.0 - 1e-16)
            if n_hidden > 1:
                vote_noise(agree, noise)
            for k in range(n_hidden):
                a, b = k * D, (k + 1) * D
                row = patterns[mu] if shared else patterns[mu, a:b]
                edges(
                    row, mean[a:b], variance[a:b], centre[k], width2[k], bounds, floor, noise[k], largest[mu],
                    series, new[a:b]
                )  # fmt: skip
            accept(new, kept, messages[mu], total, change)
        changes[block] = change.max()


@njit(cache=True, nogil=True, error_model="numpy")
def cavity_sums(patterns, n_hidden, messages, field, centre, width2, first, last):
    """Set means and variances of the units' sums, each (P, K), for patterns `first` to `last`: see `sweep_gaussian`."""
    N = field.size
    D = N // n_hidden
    shared = patterns.shape[1] == D
    mean, variance, lanes = np.empty(N), np.empty(N), np.empty((2, _LANES))
    for mu in range(first, last):
        cavity(field, messages[mu], mean, variance)
        for k in range(n_hidden):
            a, b = k * D, (k + 1) * D
            row = patterns[mu] if shared else patterns[mu, a:b]
            centre[mu, k], width2[mu, k] = sums(row, mean[a:b], variance[a:b], lanes)


@njit(cache=True, nogil=True, error_model="numpy")
def log_cosh_sums(messages, field, totals, first, last):
    """Set ``totals[mu]``, mu from `first` to `last`, to the sum over the weights of ln 2cosh(field - message)."""
    N = field.size
    terms = np.empty(N)
    for mu in range(first, last):
        u = messages[mu]
        for i in range(N):
            size = abs(field[i] - u[i])
            terms[i] = size + log(1.0 + exp(-2.0 * size))
        total = 0.0
        for i in range(N):
            total += terms[i]
        totals[mu] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _agreeing(row, field, messages, odds):
    """Set the probabilities (2, D) that each weight agrees with the pattern in its absence, and that it doesn't."""
    for i in range(row.size):
        size = row[i] * (field[i] - messages[i])
        size = min(max(size, -FIRMEST), FIRMEST)
        first = math.exp(-size)
        odds[0, i] = 1.0 / (1.0 + first * first)
        odds[1, i] = odds[0, i] * first * first


@njit(cache=True, nogil=True, error_model="numpy")
def _forward(odds, before):
    """Distribution of the number n of agreeing ones among the first i weights, ``before[i, n]``."""
    D = odds.shape[1]
    before[0, 0] = 1.0
    for i in range(D):
        before[i + 1, 0] = before[i, 0] * odds[1, i]
        before[i + 1, i + 1] = before[i, i] * odds[0, i]
        for n in range(1, i + 1):
            before[i + 1, n] = before[i, n - 1] * odds[0, i] + before[i, n] * odds[1, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _backward(odds, before, table, after, new, row):
    """The messages, where the pattern weighs n agreeing weights by ``table[n]``; returns the mean weight."""
    D = odds.shape[1]
    for n in range(D + 1):
        after[n] = table[n]
    for i in range(D - 1, -1, -1):
        agree, differ = 0.0, 0.0
        for n in range(i + 1):
            agree += before[i, n] * after[n + 1]
            differ += before[i, n] * after[n]
        new[i] = 0.0
        if agree > 0.0 or differ > 0.0:
            u = 0.5 * (math.log(max(agree, 1e-300)) - math.log(max(differ, 1e-300)))
            new[i] = row[i] * min(max(u, -STRONGEST), STRONGEST)
        for n in range(i + 1):
            after[n] = after[n + 1] * odds[0, i] + after[n] * odds[1, i]
    return after[0]


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_exact(
    patterns, tables, which, n_hidden, messages, field, kept, totals, changes, masses, first, last
):
    """As `sweep_gaussian`, with the exact distribution of the sums, by transfer matrices: P N^2/K operations.

    Parameters
    ----------
    patterns : int8 array (P, n_inputs)
        Gauged, -1 and +1.
    tables : float64 array (2, D + 1)
        Weight of a pattern n of whose D inputs agree with the weights; with hidden units, whether the unit then votes
        for its label.
    which : int8 array (P,)
        Row of `tables`.
    masses : float64 array (P,)
        Set to the mean weight Z_mu of each pattern under the old messages.
    """
    P, N = messages.shape
    D = N // n_hidden
    shared = patterns.shape[1] == D
    odds, new, change = np.empty((2, N)), np.empty(N), np.empty(N)
    before, after = np.zeros((n_hidden, D + 1, D + 1)), np.empty(D + 1)
    agree, noise, table = np.empty(n_hidden), np.zeros(n_hidden), np.empty(D + 1)
    for block in range(first, last):
        total = totals[block]
        total[:] = 0.0
        change[:] = 0.0
        for mu in range(block * ROWS, min(P, (block + 1) * ROWS)):
            for k in range(n_hidden):
                a, b = k * D, (k + 1) * D
                row = patterns[mu] if shared else patterns[mu, a:b]
                _agreeing(row, field[a:b], messages[mu, a:b], odds[:, a:b])
                _forward(odds[:, a:b], before[k])
                agree[k] = 0.0
                for n in range(D + 1):
                    agree[k] += before[k, D, n] * tables[which[mu], n]
            scale = 1.0
            if n_hidden > 1:
                for k in range(n_hidden):
                    agree[k] = min(max(agree[k], FAINTEST), 1.0 - 1e-16)
                scale = vote_noise(agree, noise)
            for k in range(n_hidden):
                a, b = k * D, (k + 1) * D
                row = patterns[mu] if shared else patterns[mu, a:b]
                for n in range(D + 1):
                    table[n] = noise[k] + tables[which[mu], n]
                mass = _backward(odds[:, a:b], before[k], table, after, new[a:b], row)
            masses[mu] = mass * scale
            accept(new, kept, messages[mu], total, change)
        changes[block] = change.max()
