"""The entropy of clones at an imposed mutual overlap: the large-deviation local entropy."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from physlearn.inputs import member, number, reject
from physlearn.meanfield.base import FixedPoint, OutsideDomain, extremize
from physlearn.meanfield.clone_equations import CloneEquations, Groups
from physlearn.meanfield.replica import replica_symmetric
from physlearn.models import Binary, Committee, Model, Perceptron, SymmetricPerceptron
from physlearn.quadrature import misclassification
from physlearn.results import SaddlePoint, Status

# Overlaps this near to the typical one are the typical one.
_TYPICAL = 1e-9
# Tolerance of an entropy's sign.
_SIGN = 1e-9
# A conjugate below it belongs to groups that patterns do not hold back: it changes phi by its square root.
_VANISHED = 1e-17
_RESIDUAL = 1e-11
_FIRST_STEP = 1e-13
_STEP = 1.0
# Fewer clones have no direction in which their overlaps change and the sum of each row does not.
_BREAKING = 4


def replicated_entropy(
    model: Model, n_replicas: float, overlap: float, *, start: SaddlePoint | None = None
) -> SaddlePoint:
    r"""Entropy of clones, per clone: solutions of one instance whose mutual overlaps are imposed.

    .. math:: S_{loc} = \lim_{N \to \infty} \frac1{n N} E \ln \sum_{w^1 \dots w^n}
              \prod_{a, \mu} \Theta(\Delta_{a \mu} - \kappa) \prod_{a < b} \delta(w^a \cdot w^b - N q_1)

    by replicas of the n clones, with an overlap q0 between clones of different groups. One clone has the entropy of
    replica symmetry at every overlap. Infinitely many clones weigh the configuration in their midst by the number of
    solutions around it alone.

    Parameters
    ----------
    model : Perceptron, SymmetricPerceptron or Committee
        Of binary weights, storage or teacher, any margin; a committee is a tree of 3 or infinitely many units with
        random labels, three with finite numbers of clones.
    n_replicas : float
        n >= 1, whole or not, or `math.inf`.
    overlap : float
        q1, from the overlap of two typical solutions (zero for the symmetric perceptron) to one, which is excluded.
    start : SaddlePoint, optional
        A neighbour of which this one is the continuation; by default the typical solutions.

    Returns
    -------
    SaddlePoint
        ``local_entropy`` (nats per weight and clone; also ``entropy`` and ``free_entropy``), its derivative with
        respect to q1 (``local_entropy_slope``), the entropy of a clone inside its group (``internal_entropy``) and
        that of the groups (``complexity``, -n^2 dphi/dn); ``distance`` (1 - q1)/2 between clones; with a teacher
        ``generalization_error`` of a clone. ``overlap`` q1, ``group_overlap`` q0, ``overlap_spread`` n (q1 - q0), and
        their conjugates. ``stability`` is the smaller of the replicon eigenvalues between groups and, from four
        clones on, inside them (``stability_between``, ``stability_within``). `Status.UNPHYSICAL` where the local
        entropy is negative: no such clones exist, their overlaps have a gap. A negative complexity says that so many
        clones are beyond the ansatz. `Status.NO_SOLUTION` with NaN where there is no saddle point.

    Raises
    ------
    InputError
        If the model is of another kind, `n_replicas` below one or `overlap` outside its range.

    References
    ----------
    theory/replicated-entropy/derivation.md (CL.6)-(CL.12), (SY.1), (ST.1), (ST.2); Baldassi, Ingrosso, Lucibello,
    Saglietti & Zecchina 2015; Malatesta, Passalacqua & Zecchina 2026.
    """
    model = check_model(model)
    n = check_replicas(n_replicas)
    q1 = number("overlap", overlap, at_least=0, below=1)
    if start is not None:
        member("start", start, SaddlePoint, "a SaddlePoint, such as replicated_entropy returns")
    equations = clone_equations(model, n, q1)
    if equations.is_symmetric:
        return _annealed(equations)
    typical = typical_point(model)
    if typical.status is Status.NO_SOLUTION or typical.overlap == 1:
        return _absent(equations)
    if q1 < typical.overlap - _TYPICAL:
        allowed = f"from {typical.overlap:.9g}, that of two typical solutions, to one (excluded)"
        raise OutsideDomain(str(reject("overlap", q1, allowed)))
    q_hat, r_hat = typical.overlap_conjugate, typical.conjugates.get("teacher_overlap_conjugate", 0.0)
    if q1 <= typical.overlap + _TYPICAL:
        conjugates = Groups(q_hat, 0.0, r_hat)
        order = Groups(q1, 0.0, typical.order_parameters.get("teacher_overlap", 0.0))
        return _point(equations, order, conjugates, FixedPoint(np.zeros(1), 0.0, True, False, 1), "typical")
    variables = _Variables(equations)
    branch = "typical"
    if (
        start is not None
        and "group_overlap_conjugate" in start.conjugates
        and start.group_overlap_conjugate > 0
    ):
        branch = "continued"
        q_hat = start.group_overlap_conjugate
        r_hat = start.conjugates.get("teacher_overlap_conjugate", 0.0)
        variables.spread = max(start.overlap_spread_conjugate, 1e-6)
    x = variables.pack(q_hat, r_hat)
    end = extremize(variables.update, x) if equations.has_teacher else _first_fixed_point(variables.update, x)
    found = variables.conjugates(*variables.unpack(end.x)) if np.isfinite(end.x).all() else None
    if found is None:
        return _absent(equations)
    if end.escaped and math.isinf(n) and end.x[0] < math.log(_VANISHED) + _STEP:
        return _unheld(equations, found)
    return _point(equations, equations.order(found), found, end, branch)


def check_model(model: Any) -> Perceptron | SymmetricPerceptron | Committee:
    """`model` if its clones are known here, or an `InputError`."""
    member("model", model, Model, "a Model such as Perceptron(alpha)")
    if isinstance(model, (Perceptron, SymmetricPerceptron, Committee)) and isinstance(model.prior, Binary):
        return model
    raise reject("model", model, "Perceptron or SymmetricPerceptron, or a Committee, with binary weights")


def clone_equations(
    model: Perceptron | SymmetricPerceptron | Committee, n_replicas: float, overlap: float
) -> CloneEquations:
    """The equations of a perceptron's clones, or of a committee's."""
    if not isinstance(model, Committee):
        return CloneEquations(model, n_replicas, overlap)
    from physlearn.meanfield.committee_clones import clones_of

    return clones_of(model, n_replicas, overlap)


def check_replicas(n_replicas: Any) -> float:
    """`n_replicas` as a float that may be infinite, or an `InputError`."""
    if isinstance(n_replicas, float) and n_replicas == math.inf:
        return math.inf
    return number("n_replicas", n_replicas, at_least=1)


@lru_cache(maxsize=256)
def typical_point(model: Model) -> SaddlePoint:
    """The replica-symmetric point, from which every curve begins."""
    return replica_symmetric(model)


class _Variables:
    """The unknowns as one vector: ln q0_hat and, with a teacher, ln r_hat; D_hat follows from the imposed overlap."""

    def __init__(self, equations: CloneEquations) -> None:
        self.equations = equations
        self.spread = 1.0

    def pack(self, between: float, teacher_conjugate: float) -> np.ndarray:
        entries = [between, teacher_conjugate] if self.equations.has_teacher else [between]
        return np.log(np.maximum(entries, 1e-300))

    def unpack(self, x: np.ndarray) -> tuple[float, float]:
        return math.exp(x[0]), math.exp(x[1]) if self.equations.has_teacher else 0.0

    def conjugates(self, between: float, teacher_conjugate: float) -> Groups | None:
        """Conjugates at the imposed overlap; None where it is below that of independent clones in these fields."""
        spread = self.equations.conjugate_spread(between, teacher_conjugate, self.spread)
        if spread is None:
            return None
        self.spread = spread
        return Groups(between + spread / self.equations.n_replicas, spread, teacher_conjugate)

    def update(self, x: np.ndarray) -> np.ndarray:
        if x[0] < math.log(_VANISHED) - 2 * _STEP or np.max(x) > 50:
            return np.full_like(x, np.sign(x[0]) * np.inf)
        conjugates = self.conjugates(*self.unpack(x))
        if conjugates is None:
            return np.full_like(x, -np.inf)
        order = self.equations.order(conjugates)
        between = order.between(self.equations.n_replicas)
        if between <= order.teacher_overlap**2 or order.spread < 0:
            return np.full_like(x, np.inf)
        return self.pack(*self.equations.conjugates(order))


def _first_fixed_point(update, x: np.ndarray) -> FixedPoint:
    """The fixed point of a single variable that its plain iteration goes to: the first in its direction.

    Where the variable runs below the smallest conjugate that matters, that one is the end.
    """
    from scipy.optimize import brentq

    # Remembered, since rounding may turn the sign of one that is asked for twice.
    known: dict[float, float] = {}

    def residual(u):
        if u not in known:
            known[u] = float(update(np.array([u]))[0] - u)
        return known[u]

    u = float(x[0])
    value = residual(u)
    step = min(max(4 * abs(value), _FIRST_STEP), _STEP)
    while value != 0:
        if u <= math.log(_VANISHED) and value < 0:
            return FixedPoint(np.array([u]), 0.0, True, True, len(known))
        other = u + math.copysign(step, value)
        following = residual(other)
        if not math.isfinite(following) and following * value > 0:
            return FixedPoint(np.array([math.nan]), math.inf, False, True, len(known))
        if following * value <= 0:
            break
        u, value, step = other, following, min(2 * step, _STEP)
    if value != 0:
        if not math.isfinite(following):
            other, following = _inside(residual, u, other)
        u = brentq(residual, *sorted((u, other)), xtol=1e-13, rtol=1e-14) if following * value < 0 else other
        value = residual(u)
    return FixedPoint(np.array([u]), abs(value), abs(value) <= _RESIDUAL, False, len(known))


def _inside(residual, good, bad):
    """A point between `good` and `bad`, where there is no residual, at which there is one of the other sign."""
    sign = residual(good)
    for _ in range(60):
        middle = (good + bad) / 2
        value = residual(middle)
        if math.isfinite(value) and value * sign <= 0:
            return middle, value
        good, bad = (middle, bad) if math.isfinite(value) else (good, middle)
    return good, sign


def _annealed(equations: CloneEquations) -> SaddlePoint:
    """The symmetric perceptron: groups are orthogonal, and nothing but D_hat is unknown."""
    n, q1 = equations.n_replicas, equations.overlap
    orthogonal = n * q1 if math.isfinite(n) else 1 + q1 / 3  # to the first order
    spread = equations.conjugate_spread(0.0, 0.0) if q1 > _TYPICAL else orthogonal
    if spread is None:
        return _absent(equations)
    conjugates = Groups(spread / equations.n_replicas, spread)
    (variance,) = equations.weights(conjugates, lambda values, z: values[4:5])
    residual = abs(float(variance) - (1 - equations.overlap))
    end = FixedPoint(np.zeros(1), residual, residual <= _RESIDUAL, False, 1)
    return _point(equations, equations.order(conjugates), conjugates, end, "annealed")


@dataclass(frozen=True)
class ClonePotential:
    """The local entropy at an imposed overlap as a function of all other order parameters and conjugates, by name."""

    model: Perceptron | SymmetricPerceptron | Committee
    n_replicas: float

    def __call__(self, values: dict[str, float]) -> float:
        return self.equations(values).free_entropy(*self.groups(values))

    def equations(self, values: dict[str, float]) -> CloneEquations:
        return clone_equations(self.model, self.n_replicas, values["overlap"])

    def groups(self, values: dict[str, float]) -> tuple[Groups, Groups]:
        """Order parameters and conjugates."""
        q1, spread_conjugate = values["overlap"], values["overlap_spread_conjugate"]
        if isinstance(self.model, SymmetricPerceptron):
            return Groups(q1, self.n_replicas * q1), Groups(
                spread_conjugate / self.n_replicas, spread_conjugate
            )
        return (
            Groups(q1, values["overlap_spread"], values.get("teacher_overlap", 0.0)),
            Groups(
                values["overlap_conjugate"], spread_conjugate, values.get("teacher_overlap_conjugate", 0.0)
            ),
        )

    def steps(self, values: dict[str, float]) -> dict[str, float]:
        """What the overlaps leave to each other, and the widths of the fields."""
        n, D_hat = self.n_replicas, values["overlap_spread_conjugate"]
        # From D_hat = 1 on the magnetisation of many clones jumps.
        critical = max(abs(D_hat - 1), 1 / math.sqrt(n))
        if isinstance(self.model, SymmetricPerceptron):
            return {"overlap_spread_conjugate": min(D_hat, critical)}
        order, conjugates = self.groups(values)
        between, q0 = conjugates.between(n), order.between(n)
        rest = q0 - order.teacher_overlap**2
        steps = {
            "overlap_spread": min(max(order.spread, 1 - order.overlap), n * rest),
            "overlap_conjugate": min(between, 1.0),
            "overlap_spread_conjugate": min(max(D_hat, 0.1), n * between, critical),
        }
        if "teacher_overlap" in values:
            steps["teacher_overlap"] = rest / math.sqrt(q0)
            steps["teacher_overlap_conjugate"] = max(math.sqrt(between), 1e-4)
        return steps


def _point(equations, order, conjugates, end, branch) -> SaddlePoint:
    n = equations.n_replicas
    phi, slope, complexity, between, within = equations.answers(order, conjugates)
    status = Status.CONVERGED if end.converged and equations.is_resolved(order) else Status.NOT_CONVERGED
    if status is Status.CONVERGED and phi < -_SIGN:
        status = Status.UNPHYSICAL
    observables = {
        "local_entropy": phi,
        "local_entropy_slope": slope,
        "internal_entropy": phi if math.isinf(n) else phi - complexity / n,
        "complexity": complexity,
        "distance": (1 - order.overlap) / 2,
        "stability_between": between,
        "stability_within": within,
    }
    if equations.has_teacher:
        channel = equations.model.teacher_channel
        observables["generalization_error"] = misclassification(channel, order.teacher_overlap)
    return SaddlePoint(
        equations.model,
        *_named(equations, order, conjugates),
        free_entropy=phi,
        entropy=phi,
        stability=between if n < _BREAKING else min(between, within),
        observables=observables,
        residual=end.residual,
        status=status,
        branch=branch,
        potential=ClonePotential(equations.model, n),
    )


def _unheld(equations, conjugates) -> SaddlePoint:
    """Groups of infinitely many clones in whose midst all patterns are satisfied: only the weights limit them.

    The spread D grows beyond all bounds and the conjugate falls to zero, where phi is known to its square root.
    """
    order = equations.order(conjugates)
    D_hat = conjugates.spread
    (inner,) = equations.weights(conjugates, lambda values, z: values[:1])
    phi = float(inner) - order.overlap * D_hat / 2
    limit = Groups(order.overlap, math.inf, order.teacher_overlap)
    observables = {
        "local_entropy": phi,
        "local_entropy_slope": -D_hat / 2,
        "internal_entropy": phi,
        "complexity": -math.inf,
        "distance": (1 - order.overlap) / 2,
        "stability_between": -math.inf,
        "stability_within": 1.0,
    }
    if equations.has_teacher:
        channel = equations.model.teacher_channel
        observables["generalization_error"] = misclassification(channel, order.teacher_overlap)
    order_parameters, named = _named(equations, limit, Groups(0.0, D_hat))
    return SaddlePoint(
        equations.model,
        order_parameters | {"group_overlap": order.overlap},
        named | {"group_overlap_conjugate": 0.0},
        free_entropy=phi,
        entropy=phi,
        stability=-math.inf,
        observables=observables,
        residual=0.0,
        status=Status.CONVERGED,
        branch="unheld",
        potential=ClonePotential(equations.model, equations.n_replicas),
    )


def _named(equations, order, conjugates) -> tuple[dict[str, float], dict[str, float]]:
    """Order parameters and conjugates under their public names."""
    n = equations.n_replicas
    named = {"overlap_conjugate": conjugates.overlap, "overlap_spread_conjugate": conjugates.spread}
    if equations.is_symmetric:
        return {"overlap": order.overlap, "group_overlap": 0.0}, {**named, "group_overlap_conjugate": 0.0}
    order_parameters = {
        "overlap": order.overlap,
        "group_overlap": order.between(n),
        "overlap_spread": order.spread,
    }
    named["group_overlap_conjugate"] = conjugates.between(n)
    if equations.has_teacher:
        order_parameters["teacher_overlap"] = order.teacher_overlap
        named["teacher_overlap_conjugate"] = conjugates.teacher_overlap
    return order_parameters, named


def _absent(equations) -> SaddlePoint:
    """Where no saddle point is found."""
    nothing = Groups(math.nan, math.nan, math.nan)
    order_parameters, conjugates = _named(equations, nothing._replace(overlap=equations.overlap), nothing)
    names = ["local_entropy", "local_entropy_slope", "internal_entropy", "complexity", "distance"]
    names += ["stability_between", "stability_within"]
    names += ["generalization_error"] if equations.has_teacher else []
    return SaddlePoint(
        equations.model,
        order_parameters,
        conjugates,
        free_entropy=math.nan,
        entropy=math.nan,
        stability=math.nan,
        observables=dict.fromkeys(names, math.nan) | {"distance": (1 - equations.overlap) / 2},
        residual=math.nan,
        status=Status.NO_SOLUTION,
        branch="typical",
        potential=ClonePotential(equations.model, equations.n_replicas),
    )
