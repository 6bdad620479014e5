"""The largest margin at which a load can be stored, or learned."""

import math
from functools import lru_cache

from physlearn.inputs import member, number, reject
from physlearn.meanfield.base import OutsideDomain
from physlearn.meanfield.capacities import capacity, gardner_capacity
from physlearn.meanfield.replica import replica_symmetric
from physlearn.models import Binary, Model, Perceptron, Prior, Spherical, Storage, Teacher, Threshold
from physlearn.quadrature import log_H
from physlearn.results import SaddlePoint

# Tolerance of an entropy's sign, and the overlap of students that are the teacher.
_SIGN = 1e-9
_PERFECT = 1 - 1e-9
_LOWEST = -30.0
BINARY = Binary()


def maximal_margin(model: Model | float) -> float:
    r"""Largest margin of the solutions at a load: the inverse of `capacity`.

    Where the replica-symmetric entropy of binary weights vanishes; on the sphere that of Gardner's capacity (where it
    is negative, an upper bound); with a teacher the margin is in the direction of the teacher's labels.

    Parameters
    ----------
    model : Model or float
        Perceptron with binary weights, or with spherical ones and random labels, whose own margin is ignored; or the
        load of a storage problem with binary weights.

    Returns
    -------
    float
        kappa_max(alpha): negative beyond the capacity at margin zero.

    Raises
    ------
    InputError
        If the model is of another kind, or the load is so large that the margin is below -30.

    References
    ----------
    theory/local-entropy/derivation.md (MM.1), (SF.5); Krauth & Mezard 1989; Gardner 1988.
    """
    if not isinstance(model, Model):
        return _largest(number("model", model, above=0), False)
    check_weights(model)
    if isinstance(model.prior, Spherical):
        return _largest_on_sphere(model.alpha)
    return _largest(model.alpha, isinstance(model.rule, Teacher))


def check_weights(model: Model) -> None:
    """Raise unless `check_binary` accepts the model, or it has spherical weights and the labels of chance."""
    member("model", model, Model, "a Model such as Perceptron(alpha)")
    spherical = (
        model.is_single and isinstance(model.prior, Spherical) and isinstance(model.channel, Threshold)
    )
    if not (spherical and model.teacher_channel is None):
        check_binary(model)


def check_binary(model: Model) -> None:
    """Raise unless the model is a perceptron with binary weights, with the labels of chance or of such a teacher."""
    member("model", model, Model, "a Model such as Perceptron(alpha)")
    if not (
        model.is_single
        and isinstance(model.prior, Binary)
        and isinstance(model.channel, Threshold)
        and model.teacher_channel in (None, Threshold(0.0))
    ):
        raise reject(
            "model",
            model,
            "perceptrons with binary weights: Perceptron(alpha, margin, rule=Teacher()) or Storage()",
        )


@lru_cache(maxsize=4096)
def typical_solution(alpha: float, margin: float, has_teacher: bool, prior: Prior = BINARY) -> SaddlePoint:
    """The replica-symmetric point of solutions of this margin."""
    rule = Teacher() if has_teacher else Storage()
    return replica_symmetric(Perceptron(alpha, margin=margin, prior=prior, rule=rule))


def exists(alpha: float, margin: float, has_teacher: bool) -> bool:
    """Whether there are solutions of this margin, and more than the teacher."""
    return _entropy(alpha, margin, has_teacher) >= -_SIGN


def largest_load(margin: float, has_teacher: bool) -> float:
    """The load up to which there are solutions of this margin, and more than the teacher."""
    from scipy.optimize import brentq

    if not has_teacher:
        return capacity(Binary(), margin)
    high = 1.0
    while _entropy(high, margin, True) > 0:
        high *= 2
    low = high / 2
    while not _entropy(low, margin, True) > 0:
        low /= 2
    return float(brentq(lambda alpha: _entropy(alpha, margin, True), low, high, xtol=1e-12))


def check_margin(model: Model, margin: float, field: str) -> None:
    """Raise, of `field`, unless solutions of this margin exist at the model's load."""
    has_teacher = isinstance(model.rule, Teacher)
    if exists(model.alpha, margin, has_teacher):
        return
    largest = maximal_margin(model)
    if field == "alpha":
        most = f"loads up to {largest_load(margin, has_teacher):.6g} at margin {margin:g}"
        teacher = " beside the teacher (reference='teacher' is one)" if has_teacher else ""
        raise OutsideDomain(
            f"alpha: got {model.alpha:g}, where no solution of margin {margin:g} exists{teacher}; allowed: margins up "
            f"to {largest:.6g} at this load, and {most}."
        )
    raise OutsideDomain(
        f"{field}: got {margin:g}; allowed: margins up to {largest:.9g}, the largest at load {model.alpha:g}."
    )


def _entropy(alpha: float, margin: float, has_teacher: bool) -> float:
    point = typical_solution(alpha, margin, has_teacher)
    if math.isnan(point.entropy) or point.overlap > _PERFECT:
        return -1.0
    return point.entropy


@lru_cache(maxsize=4096)
def _largest_on_sphere(alpha: float) -> float:
    from scipy.optimize import brentq

    def excess(margin):
        return math.log(gardner_capacity(margin) / alpha)

    low, high = -1.0, 1.0
    while excess(high) > 0:
        high *= 2
    while excess(low) < 0:
        low *= 1.5
        if low < _LOWEST:
            raise reject("model", alpha, f"loads at which the largest margin is above {_LOWEST:g}")
    return float(brentq(excess, low, high, xtol=1e-14, rtol=1e-15))


@lru_cache(maxsize=4096)
def _largest(alpha: float, has_teacher: bool) -> float:
    from scipy.optimize import brentq

    # Jensen: a constraint costs at least -ln H(kappa) of entropy; knowing the teacher is worth a factor of two.
    gain = math.log(2) if has_teacher else 0.0

    def bound(margin):
        return math.log(2) + alpha * (float(log_H(margin)) + gain)

    high = 1.0
    while bound(high) > 0:
        high *= 1.5
    low = 0.0
    while low > _LOWEST and not _entropy(alpha, low, has_teacher) > 0:
        high, low = low, low - 0.5
    if low <= _LOWEST:
        raise reject("model", alpha, f"loads at which the largest margin is above {_LOWEST:g}")
    return float(
        brentq(lambda margin: _entropy(alpha, margin, has_teacher), low, high, xtol=1e-13, rtol=1e-14)
    )
