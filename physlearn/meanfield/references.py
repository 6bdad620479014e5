"""What constrained replicas are constrained to: typical solutions of a margin, or the teacher."""

from typing import NamedTuple

from physlearn.inputs import choice, number, reject
from physlearn.meanfield.margins import check_margin, maximal_margin, typical_solution
from physlearn.models import Model, Teacher


class Reference(NamedTuple):
    """What the reference is drawn from, at its own replica-symmetric saddle point.

    Attributes
    ----------
    margin : float
        kappa-tilde.
    overlap, teacher_overlap : float
        q-tilde and r-tilde.
    overlap_conjugate, teacher_overlap_conjugate : float
    entropy : float
    """

    margin: float
    overlap: float
    teacher_overlap: float
    overlap_conjugate: float
    teacher_overlap_conjugate: float
    entropy: float


# The teacher is like a solution drawn before the patterns, which it then leaves as they are: its own group is empty.
_TEACHER = Reference(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def reference_of(model: Model, margin: float | str | None, kind: str) -> Reference:
    """The reference that a caller names, or the sentence why there is none."""
    choice("reference", kind, ("typical", "teacher"))
    if kind == "teacher":
        if model.teacher_channel is None:
            raise reject("reference", kind, "'typical', since nobody teaches in a storage problem")
        if margin is not None:
            raise reject("reference_margin", margin, "none around the teacher, who has no margin of its own")
        return _TEACHER
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
    )
