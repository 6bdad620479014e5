"""Shapes of the Franz-Parisi curve: whether a reference is isolated, and when the curve stops to be monotonic."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from physlearn.inputs import InputError, reject
from physlearn.meanfield.constrained import at_distance
from physlearn.meanfield.margins import check_binary, largest_load
from physlearn.meanfield.references import Reference, reference_of
from physlearn.models import Model, Teacher
from physlearn.results import SaddlePoint, Status

# Distances that a curve is looked at on; below the smallest, its form at d -> 0 is known.
_SMALLEST = 1e-6
_PER_DECADE = 8
_ABSENT = (Status.NO_SOLUTION, Status.NOT_CONVERGED)
_SHARE = 0.05


def is_isolated(
    model: Model, reference_margin: float | str | None = None, *, reference: str = "typical"
) -> bool:
    r"""Whether a gap without solutions surrounds a reference.

    A reference whose stabilities reach down to the margin asked for, kappa-tilde <= kappa, always is isolated: a
    fraction sqrt d of its constraints is lost at distance d, against an entropy -d ln d. Beyond, it is where the local
    entropy is negative somewhere between zero and its maximum.

    Parameters
    ----------
    model : Model
    reference_margin : float or "maximal", optional
    reference : {"typical", "teacher"}
        As in `franz_parisi`.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        As `franz_parisi`.

    References
    ----------
    theory/local-entropy/derivation.md (SD.1)-(SD.3); Huang & Kabashima 2014.
    """
    check_binary(model)
    source = reference_of(model, reference_margin, reference)
    if source.margin <= model.channel.margin:
        return True
    return any(point.status in _ABSENT or point.local_entropy < 0 for point in _rising(_walk(model, source)))


def isolation_distance(
    model: Model, reference_margin: float | str | None = None, *, reference: str = "typical"
) -> float:
    r"""Distance from a reference below which the local entropy is negative: the width of its energetic barrier.

    Parameters
    ----------
    model : Model
    reference_margin : float or "maximal", optional
    reference : {"typical", "teacher"}
        As in `franz_parisi`.

    Returns
    -------
    float
        The largest zero of phi(d) on this side of its maximum; zero where there is none above d = 1e-6, and 1/2 where
        the whole curve is negative.

    Raises
    ------
    InputError
        As `franz_parisi`.

    References
    ----------
    theory/local-entropy/derivation.md (SD.2).
    """
    from scipy.optimize import brentq

    check_binary(model)
    source = reference_of(model, reference_margin, reference)
    rising = _rising(_walk(model, source))
    if not rising or not rising[0].local_entropy > 0:
        return 0.5
    for outer, inner in pairwise(rising):
        if inner.status in _ABSENT or inner.local_entropy < 0:
            if inner.status in _ABSENT:
                return _distance(outer)
            return float(
                brentq(
                    lambda d, near=outer: at_distance(model, source, d, reference, near).local_entropy,
                    _distance(inner),
                    _distance(outer),
                    rtol=1e-12,
                )
            )
    return 0.0


def slope_minimum(
    model: Model, reference_margin: float | str | None = None, *, reference: str = "typical"
) -> tuple[float, float]:
    r"""The smallest slope of the local entropy between d = 0 and its maximum, and the distance where it is.

    Parameters
    ----------
    model : Model
    reference_margin : float or "maximal", optional
    reference : {"typical", "teacher"}
        As in `franz_parisi`.

    Returns
    -------
    slope, distance : float
        Of the lowest local minimum of d phi/dd; the curve is monotonic where it is positive. (inf, nan) where the
        slope has no local minimum and so falls from infinity to zero at the maximum; minus infinity where the curve
        breaks off, or falls towards d = 0.

    References
    ----------
    theory/local-entropy/derivation.md (SD.4).
    """
    from scipy.optimize import minimize_scalar

    check_binary(model)
    source = reference_of(model, reference_margin, reference)
    rising = _rising(_walk(model, source))
    if source.margin <= model.channel.margin or any(point.status in _ABSENT for point in rising):
        return -math.inf, math.nan
    slopes = np.array([point.local_entropy_slope for point in rising])
    dips = [k for k in range(1, len(rising) - 1) if slopes[k] <= min(slopes[k - 1], slopes[k + 1])]
    if not dips:
        return math.inf, math.nan
    k = min(dips, key=lambda k: slopes[k])
    near, best = rising[k], None

    def slope(u):
        return at_distance(model, source, math.exp(u), reference, near).local_entropy_slope

    ends = math.log(_distance(rising[k + 1])), math.log(_distance(rising[k - 1]))
    best = minimize_scalar(slope, bounds=ends, method="bounded", options={"xatol": 1e-6})
    return float(best.fun), math.exp(float(best.x))


def is_monotonic(
    model: Model, reference_margin: float | str | None = None, *, reference: str = "typical"
) -> bool:
    """Whether the local entropy rises with the distance all the way from zero to its maximum.

    Parameters
    ----------
    model : Model
    reference_margin : float or "maximal", optional
    reference : {"typical", "teacher"}
        As in `franz_parisi`.

    Returns
    -------
    bool
        Never around references whose margin is not above the model's.

    Raises
    ------
    InputError
        As `franz_parisi`.

    References
    ----------
    theory/local-entropy/derivation.md (SD.4).
    """
    return slope_minimum(model, reference_margin, reference=reference)[0] > 0


def loss_of_monotonicity(model: Model, reference_margin: float | str = "maximal") -> float:
    r"""The load at which the local entropy around typical solutions of a margin stops to rise with the distance.

    .. math:: \alpha: \quad \min_d \phi'(d) = 0 = \phi'(d_*) = \phi''(d_*)

    over the distances below the maximum of phi. Around the solutions of maximal margin this is an estimate of where
    algorithms that look for dense regions stop to find solutions.

    Parameters
    ----------
    model : Model
        Its load is ignored.
    reference_margin : float or "maximal"
        kappa-tilde, above the model's margin.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the model is of another kind, the margin is not above the model's (such references are isolated at all
        loads), or the curve is monotonic, or is not, at all loads where the reference exists.

    References
    ----------
    theory/local-entropy/derivation.md (SD.4); Baldassi, Lauditi, Malatesta, Perugini & Zecchina 2021.
    """
    from scipy.optimize import brentq

    check_binary(model)
    kappa = model.channel.margin
    reference_of(model.with_alpha(1e-3), reference_margin, "typical")
    if not isinstance(reference_margin, str) and reference_margin <= kappa:
        raise reject(
            "reference_margin",
            reference_margin,
            f"margins above the model's {kappa:g}, since others are isolated",
        )
    has_teacher = isinstance(model.rule, Teacher)
    needed = kappa if isinstance(reference_margin, str) else float(reference_margin)
    limit = largest_load(needed, has_teacher)

    def steepness(alpha):
        slope, _ = slope_minimum(replace(model, alpha=alpha), reference_margin)
        return math.copysign(min(abs(slope), 1.0), slope)

    before: float | None = None
    first: float | None = None
    for share in np.arange(1 - 1e-7, 0.0, -_SHARE):
        alpha = float(share * limit)
        if steepness(alpha) > 0:
            first = alpha
            break
        before = alpha
    if before is None or first is None:
        found = "monotonic" if before is None else "not monotonic"
        raise InputError(
            f"reference_margin: got {reference_margin}, around which the local entropy is {found} at all loads; "
            "allowed: margins at which it stops to be."
        )
    return float(brentq(steepness, first, before, xtol=1e-7))


def _distance(point: SaddlePoint) -> float:
    return (1 - point.reference_overlap) / 2


def _walk(model: Model, source: Reference) -> list[SaddlePoint]:
    """Points of a curve from d = 1/2 downwards, each continued from the one before."""
    count = math.ceil(_PER_DECADE * math.log10(0.1 / _SMALLEST))
    distances = np.concatenate([np.linspace(0.5, 0.1, 9), np.geomspace(0.1, _SMALLEST, count + 1)[1:]])
    points: list[SaddlePoint] = []
    for d in distances:
        points.append(at_distance(model, source, float(d), "typical", points[-1] if points else None))
        if points[-1].status in _ABSENT:
            break
    return points


def _rising(points: list[SaddlePoint]) -> list[SaddlePoint]:
    """Those below the maximum at largest distance: from the first with a positive slope on."""
    for k, point in enumerate(points):
        if point.status not in _ABSENT and point.local_entropy_slope > 0:
            return points[k:]
    return []
