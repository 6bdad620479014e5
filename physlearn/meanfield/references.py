"""References of the Franz-Parisi entropy: which solutions others are counted around."""

import math
from typing import NamedTuple

from physlearn.inputs import choice, number, reject
from physlearn.meanfield.base import OutsideDomain
from physlearn.meanfield.margins import check_margin, maximal_margin, typical_solution
from physlearn.meanfield.replica import replica_symmetric
from physlearn.models import GeneralizedLinear, Model, Spherical, Teacher, Threshold
from physlearn.quadrature import H
from physlearn.results import Status


class Reference(NamedTuple):
    """What the reference is drawn from, at its own replica-symmetric saddle point.

    Attributes
    ----------
    margin : float
        kappa-tilde.
    overlap, teacher_overlap : float
        q-tilde and r-tilde. An overlap of one is that of a single solution, at the end of its margins.
    overlap_conjugate, teacher_overlap_conjugate : float
        For a single solution the unit of the conjugates, one.
    entropy : float
    stability : float
        Of its own saddle point: negative where it breaks replica symmetry.
    """

    margin: float
    overlap: float
    teacher_overlap: float
    overlap_conjugate: float
    teacher_overlap_conjugate: float
    entropy: float
    stability: float = 1.0


# The teacher is like a solution drawn before the patterns, which it then leaves as they are: its own group is empty.
TEACHER = Reference(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def reference_of(model: Model, margin: float | str | None, kind: str) -> Reference:
    """The reference that a caller names, or the sentence why there is none."""
    choice("reference", kind, ("typical", "teacher"))
    if kind == "teacher":
        if model.teacher_channel is None:
            raise reject("reference", kind, "'typical', since nobody teaches in a storage problem")
        if margin is not None:
            raise reject("reference_margin", margin, "none around the teacher, who has no margin of its own")
        return TEACHER
    if isinstance(model.prior, Spherical):
        return _on_the_sphere(model, margin)
    if margin is None:
        value = model.channel.margin
    elif isinstance(margin, str):
        choice("reference_margin", margin, ("maximal",))
        value = maximal_margin(model)
    else:
        value = number("reference_margin", margin)
    check_margin(model, value, "alpha" if margin is None else "reference_margin")
    if value < model.channel.margin:
        check_margin(model, model.channel.margin, "alpha")
    has_teacher = isinstance(model.rule, Teacher)
    point = typical_solution(model.alpha, value, has_teacher)
    return Reference(
        value,
        point.overlap,
        point.teacher_overlap if has_teacher else 0.0,
        point.overlap_conjugate,
        point.teacher_overlap_conjugate if has_teacher else 0.0,
        point.entropy,
        point.stability,
    )


def _on_the_sphere(model: Model, margin: float | str | None) -> Reference:
    """A typical solution of this margin, or the single one of the largest."""
    if model.teacher_channel is not None:
        raise reject("model", model, "storage problems, where weights are on the sphere")
    kappa, largest = model.channel.margin, maximal_margin(model)
    if isinstance(margin, str):
        choice("reference_margin", margin, ("maximal",))
        margin = largest
    field = "alpha" if margin is None else "reference_margin"
    value = kappa if margin is None else number(field, margin)
    if max(value, kappa) > largest:
        raise OutsideDomain(
            f"{field}: got {model.alpha if field == 'alpha' else value:g}; allowed: margins up to {largest:.9g}, the "
            f"largest at load {model.alpha:g}, of the reference and of the solutions counted."
        )
    point = replica_symmetric(GeneralizedLinear(model.alpha, Threshold(value), model.prior))
    if value == largest or point.status is Status.NO_SOLUTION:
        # 1 - E GH'^2 alpha, where GH' is one up to the margin.
        stability = 1 - model.alpha * float(H(-value))
        return Reference(value, 1.0, 0.0, 1.0, 0.0, -math.inf, stability)
    q, q_hat = point.overlap, point.overlap_conjugate
    return Reference(value, q, 0.0, q_hat, 0.0, point.entropy, point.stability)
