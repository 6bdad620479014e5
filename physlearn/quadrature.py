"""Gaussian measures and the functions of the normal tail, stable from one end of the line to the other."""

import math
from collections.abc import Callable, Iterable

import numpy as np

from physlearn.inputs import number, reject

_SQRT2 = np.sqrt(2.0)
_CROSSOVER = 8.0
_DEPTH = 18  # from _CROSSOVER on, this many terms of the continued fraction give all digits

# Gauss-Legendre rule of each panel; the last rows of the transform give the Legendre coefficients that tell whether
# the panel is resolved.
_ORDER = 20
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_ORDER)
_DEGREES = np.arange(_ORDER)
_TRANSFORM = (
    np.polynomial.legendre.legvander(_NODES, _ORDER - 1) * _WEIGHTS[:, None] * (_DEGREES + 0.5)
).T  # (degree, node)

_STEP = 1.5
_RATIO = 3.0
_MAX_PANELS = 240
# Where rounding keeps more panels than this from being resolved, bisecting goes on for nothing.
_MAX_LEVELS = 60
_MAX_ROUGH = 4000
_NEGLIGIBLE = 80.0


def G(x):
    r"""Standard normal density, exp(-x^2/2)/sqrt(2 pi)."""
    return np.exp(-np.square(x) / 2) / np.sqrt(2 * np.pi)


def H(x):
    r"""Gaussian tail probability, H(x) = \int_x^\infty Dz = erfc(x/sqrt 2)/2."""
    from scipy.special import ndtr

    return ndtr(-np.asarray(x))


def log_H(x):
    """Natural logarithm of `H`, without underflow for large x."""
    from scipy.special import log_ndtr

    return log_ndtr(-np.asarray(x))


def G_over_H(x):
    r"""G(x)/H(x) = sqrt(2/pi)/erfcx(x/sqrt 2): zero far left, x + 1/x - ... far right."""
    from scipy.special import erfcx

    return np.sqrt(2 / np.pi) / erfcx(np.asarray(x) / _SQRT2)


def G_over_H_excess(x):
    """G(x)/H(x) - x > 0, without the cancellation at large x (Laplace's continued fraction there)."""
    x = np.asarray(x, dtype=float)
    near = np.minimum(x, _CROSSOVER)
    excess = np.asarray(G_over_H(near) - near)
    far = x > _CROSSOVER
    if far.any():
        right = x[far]
        tail = right
        for k in range(_DEPTH, 1, -1):
            tail = right + k / tail
        excess[far] = 1 / tail
    return excess


def breakpoints(features: Iterable[tuple[float, float]] = (), reach: float = 12.0) -> np.ndarray:
    r"""Ends of the panels of a composite rule on (-reach, reach).

    Parameters
    ----------
    features : iterable of (position, width)
        Where the integrand changes quickly, and over which distance: the panels start at `position` with twice the
        `width` and grow geometrically away from it, so that widths of 1e-150 cost a few hundred panels. A width of
        zero is a jump or a kink between smooth pieces.
    reach : float
        Half of the range; features outside extend it, within reason (the Gaussian decides there).

    Returns
    -------
    ndarray, shape (n_panels + 1,)
        Increasing.
    """
    features = [(position, width) for position, width in features if abs(position) < 2 * reach + 12]
    # A feature in the tail may hold all of the integral: go on to ten standard deviations beyond it.
    reach = max([reach, *(abs(position) + 10 for position, _ in features)])
    step = max(_STEP, 2 * reach / _MAX_PANELS)
    ends: list[np.ndarray] = [np.linspace(-reach, reach, math.ceil(2 * reach / step) + 1)]
    for position, width in features:
        ends.append(np.array([position]))
        if 0 < 2 * width < step:
            count = math.ceil(math.log(step / (2 * width)) / math.log(_RATIO))
            offsets = 2 * width * _RATIO ** np.arange(count + 1)
            ends += [position - offsets, position + offsets]
    points = np.unique(np.concatenate(ends))
    return points[(points >= -reach) & (points <= reach)]


def expectation(
    function: Callable[[np.ndarray], np.ndarray],
    features: Iterable[tuple[float, float]] = (),
    *,
    reach: float = 12.0,
    log_density: Callable[[np.ndarray], np.ndarray] | None = None,
    tolerance: float = 1e-12,
) -> np.ndarray:
    r"""Gaussian expectation :math:`\int Dz\, e^{\ell(z)} f(z)` of a vector-valued function.

    Composite Gauss-Legendre panels of 20 nodes, graded towards the `features`; a panel whose last Legendre
    coefficients say that it is not resolved is bisected, until the estimated error is below `tolerance` times the
    integral of abs(f), for each component.

    Parameters
    ----------
    function : callable
        f: takes z of shape (n,), returns shape (..., n).
    features : iterable of (position, width)
        As in `breakpoints`.
    reach : float
        Half of the range in z; at least 12 for functions of any polynomial growth.
    log_density : callable, optional
        l(z), a weight in logarithmic form: it may be huge where the Gaussian is tiny.
    tolerance : float

    Returns
    -------
    ndarray, shape (...)
    """
    points = breakpoints(features, reach)
    if log_density is not None:
        points = _trimmed(points, log_density)
    left, width = points[:-1], np.diff(points)
    total, scale = np.array(0.0), np.array(0.0)
    for level in range(_MAX_LEVELS):
        integral, magnitude, error = _panels(function, log_density, left, width)
        bound = tolerance * (scale + magnitude.sum(axis=-1))
        # Sums over panels of errors each a hundredth of the bound stay below it for all panel numbers met here.
        rough = (error > 0.01 * bound[..., None]).reshape(-1, len(left)).any(axis=0)
        rough &= width > 4e-16 * np.abs(left)
        total = total + integral[..., ~rough].sum(axis=-1)
        scale = scale + magnitude[..., ~rough].sum(axis=-1)
        if not rough.any() or rough.sum() > _MAX_ROUGH or level == _MAX_LEVELS - 1:
            total = total + integral[..., rough].sum(axis=-1)
            break
        half = width[rough] / 2
        left = np.concatenate([left[rough], left[rough] + half])
        width = np.concatenate([half, half])
    return total


def nodes(
    features: Iterable[tuple[float, float]] = (),
    *,
    reach: float = 12.0,
    log_density: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights, shape (n,) each, of a composite rule that resolves the measure.

    For functions that must be evaluated at all nodes at once; their own features have to be among the `features`.
    """
    points = breakpoints(features, reach)
    if log_density is not None:
        points = _trimmed(points, log_density)
    left, width = points[:-1], np.diff(points)
    for _ in range(_MAX_LEVELS):
        _, magnitude, error = _panels(np.ones_like, log_density, left, width)
        rough = error > 1e-14 * magnitude.sum()
        if not rough.any() or len(left) > _MAX_ROUGH:
            break
        half = width[rough] / 2
        left = np.concatenate([left[~rough], left[rough], left[rough] + half])
        width = np.concatenate([width[~rough], half, half])
    z = (left[:, None] + width[:, None] * (_NODES + 1) / 2).ravel()
    return z, (width[:, None] / 2 * _WEIGHTS).ravel() * _density(z, log_density)


def _density(z, log_density):
    exponent = -np.square(z) / 2
    if log_density is not None:
        exponent = exponent + log_density(z)
    return np.exp(exponent) / math.sqrt(2 * math.pi)


def _trimmed(points, log_density):
    """The points without those far outside where the weight is negligible against its maximum."""
    exponent = log_density(points) - np.square(points) / 2
    kept = np.flatnonzero(exponent > exponent.max() - _NEGLIGIBLE)
    return points[max(kept[0] - 1, 0) : kept[-1] + 2]


def _panels(function, log_density, left, width):
    """Integral, integral of the absolute value and estimated error of each panel: shapes (..., n_panels)."""
    z = (left[:, None] + width[:, None] * (_NODES + 1) / 2).ravel()
    values = function(z) * _density(z, log_density)
    values = values.reshape(*values.shape[:-1], len(left), _ORDER)
    half = width / 2
    size = np.abs(values)
    integral = values @ _WEIGHTS * half
    magnitude = size @ _WEIGHTS * half
    # For an analytic function the coefficients fall geometrically, and the rule's error is that of twice the degree.
    largest = size.max(axis=-1)
    last = np.abs(values @ _TRANSFORM[-3:].T).max(axis=-1)
    ratio = np.divide(last, largest, out=np.zeros_like(last), where=largest > 0)
    return integral, magnitude, largest * width * ratio**1.6


def misclassification(channel, overlap: float, variance: float = 1.0) -> float:
    r"""Probability that a student at normalised `overlap` with the teacher answers a new pattern wrongly.

    .. math:: \epsilon = \int Dz \sum_{y \ne \hat y(\sqrt{\rho} z)} Z_{out}(y, R \sqrt{\rho} z, (1 - R^2) \rho)

    with R the overlap, rho the variance of the teacher's field and y-hat the channel's `predict`: the labels are
    drawn from the channel, the student's field has the same variance. For the noise-free sign this is arccos(R)/pi.

    Parameters
    ----------
    channel : Channel
        The teacher's, with P(y|h) summing to one.
    overlap : float
        -1 to 1.
    variance : float
        rho, one for weights with w.w = N.
    """
    if not hasattr(channel, "is_sign"):
        raise reject("channel", channel, "a Channel such as Threshold()")
    overlap = number("overlap", overlap, at_least=-1 - 1e-9, at_most=1 + 1e-9)
    overlap = min(max(overlap, -1.0), 1.0)
    if channel.is_sign:
        return math.acos(overlap) / math.pi
    rest = max((1 - overlap) * (1 + overlap), 1e-30)
    labels = np.array(channel.labels, dtype=float)[:, None]
    deviation = math.sqrt(variance)

    def wrong(z):
        probability = np.exp(channel.log_partition(labels, overlap * deviation * z, rest * variance))
        return np.where(labels != channel.predict(deviation * z), probability, 0.0).sum(axis=0)

    width = math.sqrt(rest)
    features = [(edge / deviation, width) for edge in (0.0, *channel.edges)]
    if overlap:
        features += [(edge / (deviation * overlap), width / abs(overlap)) for edge in channel.edges]
    return float(expectation(wrong, features))
