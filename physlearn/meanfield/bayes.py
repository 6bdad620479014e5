"""Bayes-optimal learning from a teacher, its branches and the thresholds between them."""

import math

import numpy as np

from physlearn.inputs import InputError, choice, member, reject
from physlearn.meanfield.equations import Equations
from physlearn.meanfield.replica import solve_from
from physlearn.models import Model, Teacher
from physlearn.results import SaddlePoint

# Where the search for a transition ends: a first-order one lies before.
_MAX_LOAD = 1e4
_MIN_VARIANCE = 1e-30


def bayes_optimal(model: Model, branch: str = "uninformed") -> SaddlePoint:
    """Saddle point of a student who knows the teacher's prior and channel: q = r, q_hat = r_hat.

    Parameters
    ----------
    model : Model
        With a teacher, and a student matched to it.
    branch : {"uninformed", "informed", "dominant"}
        Reached from no knowledge of the teacher (what AMP finds), from full knowledge, or the one of larger free
        entropy (what exhaustive search finds); the point's `branch` then tells which that is.

    Returns
    -------
    SaddlePoint
        As from `replica_symmetric`. Where the teacher is all that is left, the overlap is that of the teacher with
        itself and the entropy that of one configuration: zero for priors that count, else the mean logarithm of the
        teacher's mass.

    Raises
    ------
    InputError
        If there is no teacher, or the student is not matched to it.

    References
    ----------
    theory/teacher-student-perceptron/derivation.md (N.1), (RS.3)-(RS.5); theory/spherical-perceptron/derivation.md
    (TS.1); Gyorgyi 1990; Barbier, Krzakala, Macris, Miolane & Zdeborova 2019.
    """
    equations = matched_equations(model)
    choice("branch", branch, ("uninformed", "informed", "dominant"))
    if branch == "informed":
        return solve_from(equations, equations.informed_start(), branch)
    uninformed = solve_from(equations, equations.natural_start(), "uninformed")
    if branch == "uninformed":
        return uninformed
    informed = solve_from(equations, equations.informed_start(), "informed")
    return informed if informed.free_entropy > uninformed.free_entropy + 1e-9 else uninformed


def matched_equations(model: Model) -> Equations:
    """The equations under Nishimori's identities, or the sentence why they do not hold."""
    member("model", model, Model, "a Model such as Perceptron(alpha, rule=Teacher())")
    if not isinstance(model.rule, Teacher) or model.teacher_channel is None:
        raise reject("rule", model.rule, "Teacher(), since without one there is nothing to infer")
    if model.channel != model.teacher_channel:
        raise InputError(
            f"model: got a student with {model.channel!r} of a teacher with {model.teacher_channel!r}; allowed: "
            "equal channels (margin=0), since only a matched student is Bayes-optimal: use replica_symmetric."
        )
    return Equations(model, matched=True)


def algorithmic_threshold(model: Model) -> float:
    """The load where the uninformed branch ends (spinodal): above it AMP finds the teacher; the model's is ignored.

    Along the branch alpha is a function of q_hat, alpha = q_hat/E[g^2]: the threshold is its first maximum. Where it
    falls from the start, the branch is q = 0 and ends where that becomes unstable.

    Parameters
    ----------
    model : Model
        With a teacher, and a student matched to it.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If there is no matched teacher, or the branch never ends: the transition is not of first order.

    References
    ----------
    theory/teacher-student-perceptron/derivation.md (RS.4), (RS.5); Barbier, Krzakala, Macris, Miolane & Zdeborova 2019.
    """
    from scipy.optimize import minimize_scalar

    equations = matched_equations(model)
    bracket = _first_maximum(equations)
    if bracket is None:
        start = equations.natural_start()
        loss = 1 - equations.at_load(1.0).stability(start, equations.conjugates(start))
        return 1 / loss
    best = minimize_scalar(
        lambda u: -equations.along(u)[0], bounds=bracket, method="bounded", options={"xatol": 1e-9}
    )
    return float(-best.fun)


def information_theoretic_threshold(model: Model) -> float:
    """The load where the informed branch becomes the one of larger free entropy; the model's own is ignored.

    For a noise-free binary student this is where the entropy of the uninformed branch vanishes.

    Parameters
    ----------
    model : Model
        With a teacher, and a student matched to it.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If there is no matched teacher, or no first-order transition.

    References
    ----------
    theory/teacher-student-perceptron/derivation.md (RS.3); Gyorgyi 1990; Barbier, Krzakala, Macris, Miolane &
    Zdeborova 2019.
    """
    from scipy.optimize import brentq

    end = algorithmic_threshold(model)

    def advantage(alpha):
        there = model.with_alpha(alpha)
        informed, uninformed = (bayes_optimal(there, branch) for branch in ("informed", "uninformed"))
        if math.isclose(informed.overlap, uninformed.overlap, rel_tol=1e-6):
            return -1.0  # below the informed branch's own end
        return informed.free_entropy - uninformed.free_entropy

    lower, upper = end / 20, end * (1 - 1e-9)
    gains = advantage(lower), advantage(upper)
    if not gains[0] < 0 < gains[1]:
        raise InputError(
            f"model: got {model!r}, whose informed branch gains {gains[0]:.3g} to {gains[1]:.3g} of free entropy "
            f"between the loads {lower:.4g} and {upper:.4g}; allowed: models where it takes the lead between."
        )
    return float(brentq(advantage, lower, upper, xtol=1e-11, rtol=1e-12))


def _first_maximum(equations: Equations) -> tuple[float, float] | None:
    """Two values of ln q_hat around the first maximum of the load; None where the load falls from the start."""
    before, last = -math.inf, -math.inf
    for u in np.arange(math.log(1e-5), math.log(1e6), 0.1):
        alpha, order, _ = equations.along(u)
        if alpha < last:
            return None if before == -math.inf else (u - 0.2, u)
        if alpha > _MAX_LOAD or order.variance < _MIN_VARIANCE * equations.norm2:
            break
        before, last = last, alpha
    raise InputError(
        f"model: got {equations.model!r}, whose overlap with the teacher grows continuously with the load; allowed: "
        "models with a first-order transition, such as Perceptron(alpha, prior=Binary(), rule=Teacher())."
    )
