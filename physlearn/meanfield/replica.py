"""Replica-symmetric saddle points, of storage and of learning from a teacher."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import member, number, reject
from physlearn.meanfield.base import FixedPoint, extremize
from physlearn.meanfield.equations import Conjugates, Equations, Order
from physlearn.meanfield.votes import CommitteeEquations
from physlearn.models import Committee, Model
from physlearn.quadrature import misclassification
from physlearn.results import SaddlePoint, Status

# Below it a q_hat that falls from step to step is on its way to zero.
_VANISHED = 1e-40
# A q_hat that tells a discrete weight, in units of its second moment.
_KNOWN = 1e4
# Tolerance of an entropy's sign: rounding near zero is not unphysical.
_SIGN = 1e-9


def replica_symmetric(model: Model, *, start: SaddlePoint | Mapping[str, float] | None = None) -> SaddlePoint:
    r"""Replica-symmetric saddle point of a model, storage or teacher, matched or not.

    The equations are those of `physlearn.meanfield.equations`.

    Parameters
    ----------
    model : Model
        A perceptron of any prior and channel; or a `Committee` that stores random labels, a tree of up to 7 units with
        binary weights, or of infinitely many units.
    start : SaddlePoint or mapping, optional
        Where to start: another saddle point, or values of ``overlap`` and, with a teacher, ``teacher_overlap``. By
        default the prior's own moments, as if no pattern had been seen.

    Returns
    -------
    SaddlePoint
        ``overlap`` (q) and, with a teacher, ``teacher_overlap`` (r); ``self_overlap`` (Q) for priors that do not fix
        it; their conjugates; generalization errors of a student drawn from the measure (``generalization_error``), of
        the barycentre (``generalization_error_bayes``) and of the weights that AMP would deploy
        (``generalization_error_amp``, their overlap with the teacher being ``estimator_overlap``). ``entropy`` equals
        ``free_entropy`` for hard constraints; for a soft channel it is that of the Gibbs measure, free_entropy minus
        alpha E ln P(y|h). `Status.NO_SOLUTION` (overlap one, NaN elsewhere) where the overlap runs to one,
        `Status.UNPHYSICAL` where weights are discrete and their entropy is below that of a single configuration
        (zero for priors that count, see `Prior`).

    Raises
    ------
    InputError
        If the model or the start is not of these kinds, or its channel is not finite somewhere.

    References
    ----------
    theory/binary-perceptron/derivation.md (RS.7), (RS.9)-(RS.12), (AT.3); theory/spherical-perceptron/derivation.md
    (RS.4)-(RS.6); theory/symmetric-perceptron/derivation.md (RS.1), (RS.2); with a teacher
    theory/teacher-student-perceptron/derivation.md (RS.3)-(RS.5); Gardner & Derrida 1988; Krauth & Mezard 1989.
    """
    member("model", model, Model, "a Model such as Perceptron(alpha)")
    equations = equations_of(model)
    order = equations.natural_start() if start is None else _order(equations, start)
    return solve_from(equations, order, "uninformed" if start is None else "continued")


def equations_of(model: Model) -> Equations:
    """The equations of a perceptron, or of a committee."""
    return CommitteeEquations(model) if isinstance(model, Committee) else Equations(model)


def solve_from(equations: Equations, order: Order, branch: str) -> SaddlePoint:
    """The saddle point that the iteration from these order parameters leads to."""
    conjugates = equations.conjugates(order)
    if conjugates.overlap == 0 and order.overlap == 0:
        return _trivial(equations, order, conjugates, branch)
    if equations.matched and math.isfinite(equations.atoms.log_mass):
        # From here on weights are known; larger fields would only cost digits.
        conjugates = conjugates._replace(overlap=min(conjugates.overlap, _KNOWN / equations.norm2))
    variables = _Variables(equations)
    end = extremize(variables.update, variables.pack(conjugates))
    if end.escaped and not variables.vanishes:
        return collapsed_point(equations, branch)
    if end.escaped:
        order = equations.natural_start()
        return _trivial(equations, order, equations.conjugates(order), branch)
    conjugates = variables.unpack(end.x)
    return _point(equations, equations.order(conjugates), conjugates, end, branch)


class _Variables:
    """The unknowns as one vector: ln q_hat; with an unmatched teacher asinh s - asinh sqrt q_hat; asinh A if "free".

    A matched student, s^2 = q_hat, so stays on a straight line where Newton's steps do not leave it.
    """

    def __init__(self, equations: Equations) -> None:
        self.equations = equations
        free = equations.model.prior.norm == "free"
        self.projected = equations.has_teacher and not equations.matched
        self.precise = free and not equations.matched
        self.vanishes = False

    def pack(self, conjugates: Conjugates) -> np.ndarray:
        entries = [math.log(max(conjugates.overlap, _VANISHED))]
        if self.projected:
            entries.append(math.asinh(conjugates.projection) - math.asinh(math.sqrt(conjugates.overlap)))
        if self.precise:
            entries.append(math.asinh(conjugates.precision))
        return np.array(entries)

    def unpack(self, x: np.ndarray) -> Conjugates:
        q_hat = math.exp(x[0])
        s = math.sqrt(q_hat) if self.equations.matched else 0.0
        if self.projected:
            s = math.sinh(x[1] + math.asinh(math.sqrt(q_hat)))
        precision = math.sinh(x[-1]) if self.precise else 0.0
        return self.equations.norm_precision(Conjugates(q_hat, s, precision))

    def update(self, x: np.ndarray) -> np.ndarray:
        if x[0] > 600:
            return self._away(x, np.inf)
        if x[0] <= math.log(_VANISHED):
            return self._away(x, -np.inf)
        order = self.equations.order(self.unpack(x))
        if order.variance < self.equations.collapsed:
            return self._away(x, np.inf)
        return self.pack(self.equations.conjugates(order))

    def _away(self, x, where):
        """The image of a point from where q_hat runs to zero or infinity."""
        self.vanishes = where < 0
        return np.concatenate([[where], x[1:]])


def _order(equations: Equations, start: Any) -> Order:
    """Order parameters from what a caller gives as a start."""
    if isinstance(start, SaddlePoint):
        if start.status is Status.NO_SOLUTION:
            return equations.natural_start()
        values: Mapping[str, float] = start.order_parameters
    else:
        values = member("start", start, Mapping, "a SaddlePoint, or a mapping such as {'overlap': 0.5}")
    unknown = set(values) - {"overlap", "teacher_overlap", "self_overlap"}
    if unknown or "overlap" not in values:
        raise reject("start", sorted(values), "'overlap' and optionally 'teacher_overlap' and 'self_overlap'")
    norm2 = number("start['self_overlap']", values.get("self_overlap", equations.norm2), above=0)
    q = number("start['overlap']", values["overlap"], at_least=0, at_most=norm2)
    V = max(norm2 - q, 1e-10 * norm2)
    if not equations.has_teacher:
        return Order(q, V, teacher_variance=equations.norm2)
    limit = math.sqrt(q * equations.norm2)
    r = number("start['teacher_overlap']", values.get("teacher_overlap", q), at_least=-limit, at_most=limit)
    c = r / math.sqrt(q) if q > 0 else 0.0
    return Order(q, V, r, c, max(equations.norm2 - c**2, 1e-10 * equations.norm2))


@dataclass(frozen=True)
class ReplicaSymmetricPotential:
    """The free entropy of a model as a function of all its order parameters and conjugates, by name."""

    model: Model

    def __call__(self, values: dict[str, float]) -> float:
        equations = equations_of(self.model)
        q, q_hat = values["overlap"], values["overlap_conjugate"]
        Q = values.get("self_overlap", 1.0)
        r, s, c = values.get("teacher_overlap", 0.0), 0.0, 0.0
        if equations.has_teacher:
            c = r / math.sqrt(q) if r else 0.0
            s = values["teacher_overlap_conjugate"] / math.sqrt(q_hat) if r else 0.0
        precision = values["self_overlap_conjugate"] + q_hat if "self_overlap_conjugate" in values else 0.0
        # rho - r^2/q from the differences, which are exact near one.
        rho = equations.norm2
        rest = ((rho - r) * (rho + r) - rho * (rho - q)) / q if r else rho
        order = Order(q, Q - q, r, c, rest)
        return equations.free_entropy(order, Conjugates(q_hat, s, precision))

    def steps(self, values: dict[str, float]) -> dict[str, float]:
        """The distances between the order parameters, which have to stay ordered, and the widths of the fields."""
        Q = values.get("self_overlap", 1.0)
        q, q_hat = values["overlap"], values["overlap_conjugate"]
        precision = values["self_overlap_conjugate"] + q_hat if "self_overlap_conjugate" in values else 1.0
        width = max(math.sqrt(q_hat), 1e-4)
        steps = {"overlap": Q - q, "overlap_conjugate": min(max(q_hat, 0.1), precision)}
        if values.get("teacher_overlap"):
            rho, r = equations_of(self.model).norm2, values["teacher_overlap"]
            rest = ((rho - r) * (rho + r) - rho * (rho - q)) / q
            steps["overlap"] = min(steps["overlap"], q * rest) if q > 1e-3 else steps["overlap"]
            steps["teacher_overlap"] = math.sqrt(q) * rest
            steps["teacher_overlap_conjugate"] = width
        if "self_overlap_conjugate" in values:
            steps["self_overlap_conjugate"] = precision
        if self.model.prior.norm == "free":
            steps["self_overlap"] = Q - q
        return steps


def observables(equations: Equations, order: Order, conjugates: Conjugates) -> dict[str, float]:
    """Generalization errors of the three students; nothing where there is no teacher."""
    if not equations.has_teacher:
        return {}
    estimator = equations.estimator_overlap(order, conjugates)
    rho = equations.norm2
    students = {
        "generalization_error": order.teacher_overlap / math.sqrt((order.overlap + order.variance) * rho),
        "generalization_error_bayes": order.projection / math.sqrt(rho),
        "generalization_error_amp": estimator,
    }
    teacher = equations.model.teacher_channel
    errors = {name: misclassification(teacher, overlap, rho) for name, overlap in students.items()}
    return {**errors, "estimator_overlap": estimator}


def _point(equations, order, conjugates, end, branch):
    phi = equations.free_entropy(order, conjugates)
    entropy = phi - equations.model.alpha * equations.log_likelihood(order)
    status = Status.CONVERGED if end.converged and equations.is_resolved(order) else Status.NOT_CONVERGED
    if end.converged and entropy < equations.entropy_floor - _SIGN:
        status = Status.UNPHYSICAL
    return SaddlePoint(
        equations.model,
        *_named(equations, order, conjugates),
        free_entropy=phi,
        entropy=entropy,
        stability=equations.stability(order, conjugates),
        observables=observables(equations, order, conjugates),
        residual=end.residual,
        status=status,
        branch=branch,
        potential=ReplicaSymmetricPotential(equations.model),
    )


def _named(equations, order, conjugates) -> tuple[dict[str, float], dict[str, float]]:
    """Order parameters and conjugates under their public names."""
    norm = equations.model.prior.norm
    order_parameters = {"overlap": order.overlap}
    named = {"overlap_conjugate": conjugates.overlap}
    if equations.has_teacher:
        order_parameters["teacher_overlap"] = order.teacher_overlap
        named["teacher_overlap_conjugate"] = conjugates.projection * math.sqrt(conjugates.overlap)
    if norm == "free":
        order_parameters["self_overlap"] = order.overlap + order.variance
    if norm != "fixed":
        named["self_overlap_conjugate"] = conjugates.precision - conjugates.overlap
    return order_parameters, named


def _trivial(equations, order, conjugates, branch):
    """The point q = 0 of channels and priors that nothing breaks the symmetry of."""
    return _point(equations, order, conjugates, FixedPoint(np.zeros(1), 0.0, True, False, 1), branch)


def collapsed_point(equations, branch):
    """Where the overlap runs to one: the teacher itself, or no solution."""
    model = equations.model
    perfect = equations.draws_in
    value, norm2 = (1.0, equations.norm2) if perfect else (math.nan, math.nan)
    order_parameters, conjugates = _named(equations, Order(1.0, 0.0), Conjugates(1.0))
    order_parameters = dict.fromkeys(order_parameters, norm2)
    if not perfect and model.prior.norm != "free":
        order_parameters["overlap"] = 1.0
    # What is left is the teacher: its own mass.
    entropy = equations.atoms.log_mass if perfect else math.nan
    phi = entropy + model.alpha * equations.log_likelihood_of_teacher() if perfect else math.nan
    errors = {}
    if equations.has_teacher:
        names = ("generalization_error", "generalization_error_bayes", "generalization_error_amp")
        error = misclassification(model.teacher_channel, 1.0, norm2) if perfect else math.nan
        errors = dict.fromkeys(names, error) | {"estimator_overlap": value}
    return SaddlePoint(
        model,
        order_parameters,
        dict.fromkeys(conjugates, math.inf if perfect else math.nan),
        free_entropy=phi,
        entropy=entropy,
        stability=1.0 if perfect else math.nan,
        observables=errors,
        residual=0.0 if perfect else math.nan,
        status=Status.CONVERGED if perfect else Status.NO_SOLUTION,
        branch=branch,
        potential=ReplicaSymmetricPotential(model),
    )
