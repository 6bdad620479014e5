"""Loads at which clones stop existing at some overlap, and at which their entropy stops falling with it."""

import math
from dataclasses import replace

import numpy as np

from physlearn.inputs import reject
from physlearn.meanfield.clones import check_model, check_replicas, replicated_entropy, typical_point
from physlearn.models import Model
from physlearn.results import SaddlePoint, Status

# Curves are first looked at on this grid of -ln((1 - q1)/(1 - q)), with q the typical overlap.
_GRID_STEP = 0.6
_GRID = _GRID_STEP * np.arange(1, 15)
_MAX_STEPS = 30
# Of the load: relative. Of ln(1 - q1): where phi is stationary its error is the square.
_TOLERANCE = 1e-9
_PLACE = 1e-5
# A slope below it is none: phi is stationary to its square.
_LEVEL = 1e-8
_MOST_CLONES = 40


def overlap_gap_threshold(model: Model, n_replicas: float | None = None) -> float:
    r"""Load above which there are overlaps that no `n_replicas` solutions have with each other.

    .. math:: S_{loc}(n, q_1; \alpha) = 0, \qquad \partial_{q_1} S_{loc} = 0

    at the lowest minimum of the curve between the typical overlap and one.

    Parameters
    ----------
    model : Perceptron or SymmetricPerceptron
        Of binary weights. Its own alpha is ignored.
    n_replicas : float, optional
        Number of clones, at least two; infinitely many make no gap. By default the smallest of the loads of 2, 3,
        4, ... clones: it falls at first, and its rise beyond is an artefact of replica symmetry.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the model or `n_replicas` is not of these kinds, or the curve has no minimum.

    References
    ----------
    theory/replicated-entropy/derivation.md (OG.1), (OG.2); Malatesta, Passalacqua & Zecchina 2026.
    """
    check_model(model)
    if n_replicas is not None:
        n = check_replicas(n_replicas)
        if not 2 <= n < math.inf:
            raise reject("n_replicas", n_replicas, "a finite number >= 2, or None for the best")
        return _gap(model, n)
    best = math.inf
    for n in range(2, _MOST_CLONES):
        threshold = _gap(model, n)
        if threshold > best:
            break
        best = threshold
    return best


def clone_transition(model: Model, n_replicas: float = math.inf) -> float:
    r"""Load at which the entropy of clones against their overlap loses its monotonicity.

    The load where the largest slope :math:`\partial_{q_1} S_{loc}`, at a maximum inside the curve, vanishes. Of a
    finite number of clones the entropy rises on the last way to q1 = 1, where they are one, at every load: what counts
    is a maximum of the slope before.

    Parameters
    ----------
    model : Perceptron or SymmetricPerceptron
        Of binary weights. Its own alpha is ignored.
    n_replicas : float
        Above one; infinite by default.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the model or `n_replicas` is not of these kinds, or the slope has no maximum.

    References
    ----------
    theory/replicated-entropy/derivation.md (OG.3); Baldassi, Ingrosso, Lucibello, Saglietti & Zecchina 2015.
    """
    check_model(model)
    n = check_replicas(n_replicas)
    if n <= 1:
        raise reject("n_replicas", n_replicas, "a number > 1, or math.inf")
    path = _Path(model, n)
    alpha = 0.9 * _vanishing_entropy(model)
    grid = path.grid(alpha)
    slopes = [path(alpha, u).local_entropy_slope for u in grid]
    top = next((k for k in range(1, len(grid) - 1) if slopes[k - 1] < slopes[k] > slopes[k + 1]), None)
    if top is None:
        raise reject("n_replicas", n_replicas, "numbers of clones whose entropy has a point of inflection")
    place = grid[top]

    def highest(load):
        nonlocal place
        place, value = _maximum(path, load, place)
        return value

    return _secant(highest, alpha)


def _gap(model: Model, n: float) -> float:
    path = _Path(model, n)
    alpha = 0.93 * _vanishing_entropy(model)
    grid = path.grid(alpha)
    points = [path(alpha, u) for u in grid]
    inside = range(1, len(grid) - 1)
    lows = [
        k
        for k in inside
        if points[k - 1].local_entropy > points[k].local_entropy < points[k + 1].local_entropy
    ]
    if not lows:
        raise reject("n_replicas", n, "numbers of clones whose entropy has a minimum against their overlap")
    place = grid[min(lows, key=lambda k: points[k].local_entropy)]
    for _ in range(_MAX_STEPS):
        place, point = _minimum(path, alpha, place)
        step = point.local_entropy / path.load_derivative(point)
        alpha -= step
        if abs(step) < _TOLERANCE * alpha:
            return alpha
    raise ArithmeticError(
        f"The overlap gap of {n:g} clones of {model} was not found: it stopped at {alpha:g}."
    )


class _Path:
    """Saddle points at (load, u = -ln(1 - q1)), each started from the one before."""

    def __init__(self, model: Model, n_replicas: float) -> None:
        self.model, self.n_replicas = model, n_replicas
        self.previous: SaddlePoint | None = None

    def grid(self, alpha: float) -> np.ndarray:
        typical = typical_point(replace(self.model, alpha=alpha))
        return _GRID - math.log1p(-typical.overlap)

    def __call__(self, alpha: float, u: float) -> SaddlePoint:
        model = replace(self.model, alpha=float(alpha))
        point = replicated_entropy(model, self.n_replicas, -math.expm1(-u), start=self.previous)
        held = point.status is not Status.NO_SOLUTION and point.branch != "unheld"
        self.previous = point if held else None
        return point

    @staticmethod
    def load_derivative(point: SaddlePoint) -> float:
        """dphi/dalpha, the mean logarithm of the share of the fields: all else is stationary."""
        values = {**point.order_parameters, **point.conjugates}
        order, _ = point.potential.groups(values)
        (outer,) = point.potential.equations(values).fields(order, lambda rows, z: rows[:1])
        return float(outer)


def _minimum(path: _Path, alpha: float, place: float) -> tuple[float, SaddlePoint]:
    """Where the slope changes from falling to rising near `place`, and the point there."""
    from scipy.optimize import brentq

    # Remembered, since rounding may turn the sign of one that is asked for twice.
    known: dict[float, float] = {}

    def slope(u):
        if u not in known:
            known[u] = path(alpha, u).local_entropy_slope
        return known[u]

    step, value = 0.05, slope(place)
    while abs(value) > _LEVEL:
        other = place - math.copysign(step, value)
        following = slope(other)
        if following * value < 0:
            place = float(brentq(slope, *sorted((place, other)), xtol=_PLACE))
            break
        place, value, step = other, following, 2 * step
    return place, path(alpha, place)


def _maximum(path: _Path, alpha: float, place: float) -> tuple[float, float]:
    """Where the slope is largest near `place`, and how large."""
    from scipy.optimize import minimize_scalar

    nearest = path.grid(alpha)[0] - _GRID[0]
    found = minimize_scalar(
        lambda u: -path(alpha, u).local_entropy_slope,
        bounds=(max(place - _GRID_STEP, nearest), place + _GRID_STEP),
        method="bounded",
        options={"xatol": _PLACE},
    )
    return float(found.x), -float(found.fun)


def _secant(function, start: float) -> float:
    """The zero of an increasing function of the load."""
    from scipy.optimize import root_scalar

    found = root_scalar(function, x0=start, x1=0.995 * start, method="secant", xtol=_TOLERANCE * start)
    if not found.converged:
        raise ArithmeticError(f"No load was found at which the slope vanishes: the last was {found.root:g}.")
    return float(found.root)


def _vanishing_entropy(model: Model) -> float:
    """The load at which the replica-symmetric entropy vanishes: no threshold of clones lies above."""
    from scipy.optimize import brentq

    def entropy(alpha):
        point = typical_point(replace(model, alpha=alpha))
        perfect = point.status is Status.NO_SOLUTION or point.overlap == 1
        return -1.0 if perfect else point.entropy

    high = 1.0
    while entropy(high) > 0:
        high *= 2
    low = high / 2
    while entropy(low) <= 0:
        low /= 2
    return float(brentq(entropy, low, high, xtol=1e-4 * low))
