r"""Which typical solutions the segment connects without an error: a convex region, and its kernel.

With margins below zero solutions are no convex set. On a segment between stabilities of at least kappa_1 and kappa_2
the lowest is, normalised, ((1 - p) kappa_1 + p kappa_2)/c(p), and typical solutions do reach it: the segment is free of
errors where this never is below kappa. Source: theory/linear-mode-connectivity/derivation.md.
"""

import math
import warnings
from collections.abc import Callable

from physlearn.inputs import reject
from physlearn.meanfield.base import OutsideDomain
from physlearn.meanfield.capacities import capacity
from physlearn.meanfield.connectivity import check_perceptron, existing_margin, pair_of
from physlearn.meanfield.margins import maximal_margin
from physlearn.models import Binary, Perceptron, Teacher

_TOLERANCE = 1e-13
# Spherical solutions of margins within this of the largest are one, to the digits of their overlap.
_NEAREST = 1e-3
_LOWEST = -30.0


def is_linearly_connected(
    model: Perceptron, first_margin: float | str | None = None, second_margin: float | str | None = None
) -> bool:
    """Whether the segment between two independent typical solutions violates no constraint (of any finite fraction).

    Parameters
    ----------
    model : Perceptron
        Its margin kappa is what is asked of the weights on the segment, normalised.
    first_margin, second_margin : float or "maximal", optional
        As in `linear_connectivity`.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        As `linear_connectivity`.

    References
    ----------
    theory/linear-mode-connectivity/derivation.md (SS.2); Annesi et al. 2023.
    """
    check_perceptron(model)
    first = existing_margin(model, "first_margin", first_margin)
    second = existing_margin(model, "second_margin", second_margin)
    pair = pair_of(model.alpha, (first, second), isinstance(model.rule, Teacher), model.prior)
    return _lowest_field(first, second, pair.overlap) >= model.margin


def _lowest_field(first: float, second: float, overlap: float) -> float:
    """The least of ((1 - p) kappa_1 + p kappa_2)/c(p): at an end, or where its derivative vanishes."""
    if first >= overlap * second or second >= overlap * first:
        return min(first, second)
    squared = first**2 + second**2 - 2 * overlap * first * second
    return -math.sqrt(squared / ((1 - overlap) * (1 + overlap)))


def kernel_margin(model: Perceptron) -> float:
    r"""The margin from which on typical solutions are connected with the typical ones of the model's margin.

    .. math:: \kappa_\star = \kappa\, t(\kappa, \kappa_\star)

    Those beyond it are the kernel of a star: each sees all typical solutions.

    Parameters
    ----------
    model : Perceptron
        Of margin kappa < 0; at others solutions are a convex set.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the margin is not negative, or no solutions are connected with the typical ones.

    References
    ----------
    theory/linear-mode-connectivity/derivation.md (SS.3); Annesi et al. 2023.
    """
    has_teacher = isinstance(model.rule, Teacher)

    def excess(margin):
        pair = pair_of(model.alpha, (model.margin, margin), has_teacher, model.prior)
        return margin - model.margin * pair.overlap

    return _smallest(model, excess, "with the typical ones")


def convex_margin(model: Perceptron) -> float:
    r"""The margin from which on typical solutions are connected with each other.

    .. math:: \kappa_c = \kappa \sqrt{(1 + q(\kappa_c))/2}

    Parameters
    ----------
    model : Perceptron
        Of margin kappa < 0; at others solutions are a convex set.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the margin is not negative, or no typical solutions are connected with each other.

    References
    ----------
    theory/linear-mode-connectivity/derivation.md (SS.4); Annesi et al. 2023.
    """
    has_teacher = isinstance(model.rule, Teacher)

    def excess(margin):
        q = pair_of(model.alpha, (margin, margin), has_teacher, model.prior).first.overlap
        return margin - model.margin * math.sqrt((1 + q) / 2)

    return _smallest(model, excess, "with each other")


def _smallest(model: Perceptron, excess: Callable[[float], float], partner: str) -> float:
    """The first zero of `excess` above the model's margin, where it is negative."""
    from scipy.optimize import brentq

    check_perceptron(model)
    if model.margin >= 0:
        raise reject("margin", model.margin, "negative margins; at others all solutions are connected")
    existing_margin(model, "margin", None)
    highest = min(0.0, _largest(model))
    if excess(highest) < 0:
        raise OutsideDomain(
            f"alpha: got {model.alpha:g}, where no typical solutions of any margin are linearly connected {partner}; "
            "allowed: smaller loads."
        )
    found = float(brentq(excess, model.margin, highest, xtol=_TOLERANCE, rtol=_TOLERANCE))
    has_teacher = isinstance(model.rule, Teacher)
    pair = pair_of(model.alpha, (model.margin, found), has_teacher, model.prior)
    if min(pair.first.stability, pair.second.stability) < 0:
        warnings.warn(
            f"Replica symmetry is unstable at load {model.alpha:g} and margin {found:g}: the value is an estimate.",
            stacklevel=3,
        )
    return found


def _largest(model: Perceptron) -> float:
    """The largest margin at which the overlaps of typical solutions are told from one."""
    from scipy.optimize import brentq

    if isinstance(model.prior, Binary):
        return maximal_margin(model)
    if isinstance(model.rule, Teacher) or model.alpha < capacity(model.prior):
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        margin = brentq(lambda margin: capacity(model.prior, margin) - model.alpha, _LOWEST, 0.0)
    return float(margin) - _NEAREST
