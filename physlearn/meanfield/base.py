"""How saddle points are found and checked, whatever the potential."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from physlearn.inputs import InputError, member, number, reject
from physlearn.results import SaddlePoint

# How many plain iterations a Newton step may be worth, and how far any step goes: it then cannot jump over the first
# fixed point on its way.
_REACH = 10.0
_STRIDE = 1.0
_DIFFERENCE = 1e-6
# How many steps, and how long ones, lead to a fixed point that is known to be near.
_NEARBY_STEPS = 12
_NEARBY = 0.5
# A residual below the tolerance whose root is no nearer than this vanishes at infinity only.
_FAR = 1e-2
# A slope that falls by less than this counts as rising: it has converged.
_FLAT = 1e-4
# Step of the differences of potentials, as a fraction of the distance over which these change.
_FRACTION = 0.05
# Rounding error of a potential of order one.
_ROUNDING = 8 * 2.2e-16
# Weights of the differences at 1, 2, 3, 4 steps: of eighth order, so that steps are large against the rounding.
_CENTRAL = (4 / 5, -1 / 5, 4 / 105, -1 / 280)


class OutsideDomain(InputError):
    """Raised where a function has no answer at parameters that are fine by themselves; in a curve, such a point has
    `Status.NO_SOLUTION`."""


class Potential(Protocol):
    """A free entropy as a function of its order parameters and conjugates, all independent."""

    def __call__(self, values: dict[str, float]) -> float:
        """The potential at `values`, by name."""

    def steps(self, values: dict[str, float]) -> dict[str, float]:
        """For each variable, the distance over which the potential changes: differences use a fraction of it."""


@dataclass(frozen=True)
class FixedPoint:
    """Where an iteration ended.

    Attributes
    ----------
    x : ndarray, shape (n,)
    residual : float
        Largest entry of abs(update(x) - x), relative to max(1, abs(x)).
    converged : bool
    escaped : bool
        The update sent a variable to infinity.
    n_updates : int
    """

    x: np.ndarray
    residual: float
    converged: bool
    escaped: bool
    n_updates: int


def extremize(
    update: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    tolerance: float = 1e-11,
    max_updates: int = 4000,
) -> FixedPoint:
    """The fixed point of `update` that its plain iteration from `start` would reach.

    Newton's method with finite differences, held back: a step goes the way of the plain iteration, is worth at most
    ten of its steps (more where the residual flattens on approach, as it does before a fixed point), and is halved
    where it turns the residual round. A plain iteration that approaches from one side never passes a fixed point;
    near a spinodal the residual is convex, so that Newton's step stays on that side too. On a stretch where the
    residual does not change, a variable drifting to infinity, the steps double.

    Parameters
    ----------
    update : callable
        x of shape (n,) to its new value, in variables of order one (logarithms). Infinite entries say that x is
        outside of the domain, and which way a variable runs away.
    start : ndarray, shape (n,)
    tolerance : float
        Bound of the residual.
    max_updates : int

    Returns
    -------
    FixedPoint
    """
    x = np.array(start, dtype=float)
    image = update(x)
    count, reach, calm, before = 1, _REACH, 0, math.inf
    while True:
        if not np.isfinite(image).all():
            return FixedPoint(x, math.inf, False, True, count)
        residual = image - x
        size = float(np.max(np.abs(residual)))
        if size == 0 or count >= max_updates:
            return FixedPoint(x, size, size <= tolerance, False, count)
        if count < 3:
            step, slope, limited = residual * min(1.0, _STRIDE / np.linalg.norm(residual)), math.inf, False
        else:
            slopes = jacobian(update, x, image)
            count += len(x)
            slope = float(residual @ slopes @ residual / (residual @ residual))
            reach = min(2 * reach, 1e12) if slope > before - _FLAT else _REACH
            step, distance = _step(residual, slopes, reach, math.inf if calm >= 3 else _STRIDE)
            limited = distance > (1 + 1e-9) * np.linalg.norm(step)
            if size <= tolerance:
                return FixedPoint(x, size, True, distance > _FAR, count)
        x, image, tried = _advance(update, x, residual, step)
        count += tried
        change = float(np.max(np.abs(image - x))) - size
        calm = calm + 1 if limited and abs(change) < 0.1 * size else 0
        before = slope


def _advance(update, x, residual, step):
    """The next point, its image and the number of updates it took: `step`, halved where it overshoots."""
    size = np.max(np.abs(residual))
    tried = 0
    while tried < 12:
        tried += 1
        trial = x + step
        image = update(trial)
        if np.isfinite(image).all():
            if (image - trial) @ residual >= 0 or np.max(np.abs(image - trial)) <= 0.5 * size:
                break
        elif tried >= 4 and np.sign(image[np.isinf(image)]) @ residual[np.isinf(image)] > 0:
            break
        step = step / 2
    return trial, image, tried


def jacobian(update: Callable[[np.ndarray], np.ndarray], x: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Derivatives of `update`(x) = `image`, by differences: entry (i, j) is that of its i-th component in x_j."""
    columns = []
    for i in range(len(x)):
        shifted = x.copy()
        shifted[i] += _DIFFERENCE
        columns.append((update(shifted) - image) / (shifted[i] - x[i]))
    return np.array(columns).T


def _step(residual, jacobian, reach, stride):
    """Newton's step, held back mode by mode, and the distance of the root that it sees.

    Along an eigenvector of the Jacobian with eigenvalue mu, Newton's step is the residual over 1 - mu. Where that
    points backwards (mu > 1: the plain iteration runs away from a fixed point behind it) it is turned round; and it is
    never more than `reach` residuals of the same mode, nor in all longer than `stride`.
    """
    plain = np.linalg.norm(residual)
    if not np.isfinite(jacobian).all():
        return residual * min(1.0, stride / plain), plain
    values, vectors = np.linalg.eig(np.eye(len(residual)) - jacobian)
    try:
        modes = np.linalg.solve(vectors, residual)
    except np.linalg.LinAlgError:
        return residual * min(1.0, stride / plain), plain
    values = np.where(np.abs(values) < 1e-100, 1e-100, values)
    distance = np.linalg.norm((vectors @ (modes / values)).real)
    backwards = values.real < 0
    factors = np.minimum(1, reach * np.abs(values)) / np.where(backwards, -values.conj(), values)
    step = (vectors @ (factors * modes)).real
    if backwards.any() and step @ residual <= 0:
        step = residual
    length = np.linalg.norm(step)
    return step * min(1.0, stride / length), distance


def newton_nearby(
    update: Callable[[np.ndarray], np.ndarray], x: np.ndarray, tolerance: float
) -> FixedPoint | None:
    """Newton's method for as long as every step at least halves the residual and none is long; else None.

    From a neighbour on the same branch it does, so that it does not leave the branch.
    """
    image, before = update(x), math.inf
    for k in range(_NEARBY_STEPS):
        residual = image - x
        size = float(np.max(np.abs(residual)))
        if size <= tolerance:
            return FixedPoint(x, size, True, False, k)
        if not size < 0.5 * before:
            return None
        matrix = np.eye(len(x)) - jacobian(update, x, image)
        try:
            step = np.linalg.solve(matrix, residual)
        except np.linalg.LinAlgError:
            return None
        if not np.max(np.abs(step)) < _NEARBY:
            return None
        x = x + step
        image, before = update(x), size
    return None


def check_stationary(point: SaddlePoint, tolerance: float = 1e-6) -> float:
    """Check that the gradient of the free entropy vanishes at a saddle point, by finite differences.

    Order parameters and conjugates are moved one by one, all others fixed. A difference over a distance h cannot
    tell a derivative better than eps abs(phi)/h, with eps the rounding error: where the potential changes over
    distances as short as 1 - r^2/q near one, that much is allowed on top of the tolerance, and the check is weaker.

    Parameters
    ----------
    point : SaddlePoint
        Any that carries its `potential`, with finite order parameters and conjugates.
    tolerance : float
        Bound of each derivative, relative to max(1, the largest conjugate).

    Returns
    -------
    float
        The largest derivative found, in these units.

    Raises
    ------
    ArithmeticError
        If one is above the tolerance.
    InputError
        If the point has no gradient: no solution, or an overlap of one.

    References
    ----------
    theory/binary-perceptron/derivation.md (RS.7); theory/teacher-student-perceptron/derivation.md (RS.3).
    """
    member("point", point, SaddlePoint, "a SaddlePoint, such as replica_symmetric(model) returns")
    tolerance = number("tolerance", tolerance, above=0)
    values = {**point.order_parameters, **point.conjugates}
    if point.potential is None or not all(
        math.isfinite(value) for value in [*values.values(), point.free_entropy]
    ):
        raise reject(
            "point",
            f"status {point.status.name} with an overlap of {point.order_parameters.get('overlap', math.nan):g}",
            "points with a potential and finite order parameters and conjugates",
        )
    scale = max([1.0, *(abs(value) for value in point.conjugates.values())])
    steps = point.potential.steps(values)
    if not all(step > 0 for step in steps.values()):
        raise reject("point", point.order_parameters, "overlaps that two replicas and the teacher can have")
    slopes = {name: _derivative(point.potential, values, name, step) / scale for name, step in steps.items()}
    rounding = _ROUNDING * max(scale, abs(point.free_entropy)) / scale / _FRACTION
    excess = {name: abs(slope) - rounding / steps[name] for name, slope in slopes.items()}
    name = max(excess, key=lambda name: excess[name])
    if not excess[name] <= tolerance:
        raise ArithmeticError(
            f"The free entropy of {point.model} is not stationary: its derivative with respect to {name} is "
            f"{slopes[name]:.3g} of the largest conjugate, above {tolerance:g}."
        )
    return max(abs(slope) for slope in slopes.values())


def _derivative(potential, values, name, step):
    """Central derivative of eighth order; a forward one where the variable is too near zero, the edge of its domain."""
    x = values[name]
    if abs(x) < len(_CENTRAL) * _FRACTION * step and "teacher" not in name:
        step *= 0.1 * _FRACTION
        f = [potential({**values, name: x + k * step}) for k in range(5)]
        return (-25 * f[0] + 48 * f[1] - 36 * f[2] + 16 * f[3] - 3 * f[4]) / (12 * step)
    step *= _FRACTION
    slope = 0.0
    for k, weight in enumerate(_CENTRAL, 1):
        right, left = x + k * step, x - k * step
        difference = potential({**values, name: right}) - potential({**values, name: left})
        slope += weight * 2 * k * difference / (right - left)  # with the distance as rounded
    return slope
