"""One step of replica symmetry breaking: how many clusters of solutions there are, and how large they are."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import member, number, reject
from physlearn.meanfield.base import FixedPoint, extremize
from physlearn.meanfield.capacities import one_step_capacity
from physlearn.meanfield.clones import typical_point
from physlearn.meanfield.one_step_equations import Levels, OneStepEquations
from physlearn.models import Binary, Model, Perceptron, Spherical, SymmetricPerceptron
from physlearn.results import SaddlePoint, Status

# q1 - q0 below which there is a single cluster, and 1 - q1 below which a cluster is a point.
_NONE, _POINT = 1e-13, 1e-13
# Fields m D_hat from which on 1 - q1 < e^-50 for binary weights.
_HELD = 100.0
_SIGN = 1e-9
_TOLERANCE = 1e-10
_MOST_UPDATES = 600
# How wide clusters are where the search begins, as a share of what typical solutions leave between each other. Binary
# ones freeze below a width that falls with the load, like its square.
_NARROW = {Spherical: 1e-3, Binary: 1e-11}
# The smallest Parisi parameter that is looked at for one of no complexity, and the ratio of steps.
_SMALLEST = 1e-6
_RATIO = 0.4


def one_step_rsb(
    model: Model, parisi_parameter: float | None = None, *, start: SaddlePoint | None = None
) -> SaddlePoint:
    r"""One step of replica symmetry breaking (1RSB): clusters of solutions, their number and their size.

    .. math:: m \phi(m) = \max_s [\Sigma(s) + m s]

    where e^(N Sigma(s)) clusters hold e^(N s) solutions each.

    Parameters
    ----------
    model : Perceptron or SymmetricPerceptron
        A storage problem, of binary or spherical weights, of any margin.
    parisi_parameter : float, optional
        m in (0, 1]. By default that of typical solutions: one where there are many clusters (or one), else the m
        at which the complexity vanishes and phi(m) is least.
    start : SaddlePoint, optional
        A neighbour of which this one is the continuation; by default narrow clusters.

    Returns
    -------
    SaddlePoint
        ``free_entropy`` phi(m); ``complexity`` Sigma; ``internal_entropy`` s of a cluster; ``entropy`` of the
        solutions in these clusters, Sigma + s; ``overlap`` q1 inside a cluster, ``group_overlap`` q0 between clusters
        and ``overlap_spread`` m (q1 - q0) with their conjugates; ``parisi_parameter``. The stability is the smaller of
        the replicon eigenvalues of the clusters' ensemble and of a cluster (``stability_between``,
        ``stability_within``): where it is negative one step is not enough. The branch is "replica-symmetric" (a
        single cluster, q1 = q0), "frozen" (binary weights: a cluster is one solution, q1 = 1, s = 0) or "clustered".
        `Status.UNPHYSICAL` where binary weights have a negative entropy, `Status.NO_SOLUTION` with NaN beyond the
        capacity of the sphere, or where no m below one has a complexity of zero.

    Raises
    ------
    InputError
        If the model is of another kind, or the parameter is outside of (0, 1].

    References
    ----------
    theory/replica-symmetry-breaking/derivation.md (OS.3)-(OS.8), (FZ.1)-(FZ.3); Monasson 1995; Krauth & Mezard 1989.
    """
    model = check_storage(model)
    if start is not None:
        member("start", start, SaddlePoint, "a SaddlePoint, such as one_step_rsb returns")
    if parisi_parameter is None:
        return _dominant(model, start)
    m = number("parisi_parameter", parisi_parameter, above=0, at_most=1)
    return _solve(OneStepEquations(model, m), start)


def check_storage(model: Any) -> Perceptron | SymmetricPerceptron:
    """`model` if its clusters are known here, or an `InputError`."""
    member("model", model, Model, "a Model such as Perceptron(alpha)")
    known = isinstance(model, (Perceptron, SymmetricPerceptron)) and isinstance(
        model.prior, (Binary, Spherical)
    )
    if known and model.teacher_channel is None:
        return model
    raise reject("model", model, "storage problems of Perceptron or SymmetricPerceptron, binary or spherical")


def _dominant(model: Perceptron | SymmetricPerceptron, start: SaddlePoint | None) -> SaddlePoint:
    """The clusters of typical solutions: those of m = 1, or of the m where their complexity vanishes."""
    beyond = one_step_capacity(model.margin) if isinstance(model, Perceptron) else math.inf
    if isinstance(model.prior, Spherical) and model.alpha >= beyond:
        return _absent(OneStepEquations(model, 1.0))
    m, point = 1.0, _solve(OneStepEquations(model, 1.0), start)
    if point.branch != "clustered" or not point.complexity < 0:
        return point
    before = point
    while point.complexity < 0:
        before, m = point, m * _RATIO
        point = _solve(OneStepEquations(model, m), before)
        if point.branch != "clustered" or m < _SMALLEST:
            return _absent(OneStepEquations(model, m))
    return _without_complexity(model, point, before)


def _without_complexity(
    model: Perceptron | SymmetricPerceptron, low: SaddlePoint, high: SaddlePoint
) -> SaddlePoint:
    """The clusters whose complexity vanishes: all of the unknowns and ln m at once, or else m between two points."""
    from scipy.optimize import brentq, root

    ends = math.log(low.parisi_parameter), math.log(high.parisi_parameter)

    def residual(x):
        if not ends[0] <= x[0] <= ends[1]:
            return np.full_like(x, 10.0)
        equations = OneStepEquations(model, math.exp(x[0]))
        variables = _Variables(equations)
        image = variables.update(x[1:])
        if not np.isfinite(image).all():
            return np.full_like(x, 10.0)
        conjugates = variables.unpack(x[1:])
        complexity = equations.answers(equations.order(conjugates), conjugates).complexity
        return np.array([complexity / scale, *(image - x[1:])])

    def unknowns(point):
        hats = Levels(point.group_overlap_conjugate, point.overlap_spread_conjugate, math.nan)
        equations = OneStepEquations(model, point.parisi_parameter)
        return np.array([math.log(point.parisi_parameter), *_Variables(equations).pack(hats)])

    scale = low.complexity - high.complexity
    share = low.complexity / scale
    found = root(residual, (1 - share) * unknowns(low) + share * unknowns(high), tol=_TOLERANCE)
    if found.success and low.parisi_parameter < math.exp(found.x[0]) < high.parisi_parameter:
        equations = OneStepEquations(model, math.exp(found.x[0]))
        size = float(np.max(np.abs(found.fun)))
        end = FixedPoint(found.x[1:], size, size <= 100 * _TOLERANCE, False, found.nfev)
        return _clustered(equations, _Variables(equations).unpack(end.x), end)

    def complexity(u):
        return _solve(OneStepEquations(model, math.exp(u)), low).complexity

    u = brentq(complexity, *ends, xtol=1e-10, rtol=1e-12)
    return _solve(OneStepEquations(model, math.exp(u)), low)


class _Variables:
    """The unknowns as one vector: ln D_hat and, unless clusters are orthogonal by symmetry, ln q0_hat."""

    def __init__(self, equations: OneStepEquations) -> None:
        self.equations = equations
        self.symmetric = equations.clones.is_symmetric

    def pack(self, conjugates: Levels) -> np.ndarray:
        entries = [conjugates.spread] if self.symmetric else [conjugates.spread, conjugates.group]
        return np.log(np.maximum(entries, 1e-300))

    def unpack(self, x: np.ndarray) -> Levels:
        return self.equations.hats(0.0 if self.symmetric else math.exp(x[1]), math.exp(x[0]))

    def update(self, x: np.ndarray) -> np.ndarray:
        if np.max(np.abs(x)) > 60:
            return _away(x, math.copysign(math.inf, x[0]))
        m = self.equations.parisi_parameter
        if isinstance(self.equations.model.prior, Binary) and m * math.exp(x[0]) > _HELD:
            return _away(x, math.inf)
        order = self.equations.order(self.unpack(x))
        if order.variance < _POINT:
            return _away(x, math.inf)
        if order.spread < _NONE * m:
            return _away(x, -math.inf)
        return self.pack(self.equations.conjugates(order))


def _away(x: np.ndarray, where: float) -> np.ndarray:
    image = np.array(x)
    image[0] = where
    return image


def _solve(equations: OneStepEquations, start: SaddlePoint | None = None) -> SaddlePoint:
    """The saddle point that narrow clusters, or a neighbour, lead to."""
    typical = typical_point(equations.model)
    if start is not None and start.branch == "clustered" and start.status is Status.CONVERGED:
        m = equations.parisi_parameter
        order = Levels(
            start.group_overlap,
            m * (start.overlap - start.group_overlap),
            start.overlap,
            1 - start.overlap,
        )
    else:
        if typical.status is Status.NO_SOLUTION or not math.isfinite(typical.overlap):
            return _absent(equations)
        q = typical.overlap
        V = _NARROW[type(equations.model.prior)] * (1 - q)
        order = Levels(q, equations.parisi_parameter * (1 - V - q), 1 - V, V)
    variables = _Variables(equations)
    end = extremize(
        variables.update,
        variables.pack(equations.conjugates(order)),
        tolerance=_TOLERANCE,
        max_updates=_MOST_UPDATES,
    )
    if not end.escaped:
        return _clustered(equations, variables.unpack(end.x), end)
    image = variables.update(end.x)
    if image[0] < 0:
        return _replica_symmetric(equations, typical)
    return _frozen(equations, typical) if isinstance(equations.model.prior, Binary) else _absent(equations)


@dataclass(frozen=True)
class OneStepPotential:
    """phi(m) as a function of q0, D and their conjugates, by name; q1 = q0 + D/m."""

    model: Perceptron | SymmetricPerceptron
    parisi_parameter: float

    def __call__(self, values: dict[str, float]) -> float:
        equations = OneStepEquations(self.model, self.parisi_parameter)
        q0, D = values["group_overlap"], values["overlap_spread"]
        q1 = q0 + D / self.parisi_parameter
        hats = equations.hats(values["group_overlap_conjugate"], values["overlap_spread_conjugate"])
        return equations.free_entropy(Levels(q0, D, q1, 1 - q1), hats)

    def steps(self, values: dict[str, float]) -> dict[str, float]:
        """What the overlaps leave to each other, and the widths of the fields."""
        m, V = self.parisi_parameter, 1 - values["overlap"]
        q0, D = values["group_overlap"], values["overlap_spread"]
        bound = 1.0 if isinstance(self.model.prior, Binary) else math.inf
        steps = {
            "overlap_spread": min(D, m * V),
            "overlap_spread_conjugate": min(values["overlap_spread_conjugate"], bound),
        }
        if not isinstance(self.model, SymmetricPerceptron):
            steps["group_overlap"] = min(q0, V, D)
            steps["group_overlap_conjugate"] = min(values["group_overlap_conjugate"], bound)
        return steps


def _point(
    equations: OneStepEquations,
    order: Levels,
    conjugates: Levels,
    answers: tuple[float, float, float, float],
    end: tuple[float, Status, str],
) -> SaddlePoint:
    """The saddle point with this free entropy, complexity and replicon eigenvalues; residual, status and branch."""
    phi, complexity, between, within = answers
    residual, status, branch = end
    internal = phi - complexity / equations.parisi_parameter
    return SaddlePoint(
        equations.model,
        {"overlap": order.overlap, "group_overlap": order.group, "overlap_spread": order.spread},
        {
            "overlap_conjugate": conjugates.overlap,
            "group_overlap_conjugate": conjugates.group,
            "overlap_spread_conjugate": conjugates.spread,
        },
        free_entropy=phi,
        entropy=complexity + internal,
        stability=min(between, within),
        observables={
            "complexity": complexity,
            "internal_entropy": internal,
            "parisi_parameter": equations.parisi_parameter,
            "stability_between": between,
            "stability_within": within,
        },
        residual=residual,
        status=status,
        branch=branch,
        potential=OneStepPotential(equations.model, equations.parisi_parameter),
    )


def _clustered(equations: OneStepEquations, conjugates: Levels, end: FixedPoint) -> SaddlePoint:
    order = equations.order(conjugates)
    answers = equations.answers(order, conjugates)
    status = Status.CONVERGED if end.converged else Status.NOT_CONVERGED
    internal = answers.free_entropy - answers.complexity / equations.parisi_parameter
    if end.converged and isinstance(equations.model.prior, Binary) and internal < -_SIGN:
        status = Status.UNPHYSICAL
    values = (answers.free_entropy, answers.complexity, answers.between, answers.within)
    return _point(equations, order, conjugates, values, (end.residual, status, "clustered"))


def _replica_symmetric(equations: OneStepEquations, typical: SaddlePoint) -> SaddlePoint:
    """A single cluster: all of its answers are those of replica symmetry."""
    q, q_hat = typical.overlap, typical.overlap_conjugate
    values = (typical.entropy, 0.0, typical.stability, typical.stability)
    end = (typical.residual, typical.status, "replica-symmetric")
    return _point(equations, Levels(q, 0.0, q), Levels(q_hat, 0.0, q_hat), values, end)


def _frozen(equations: OneStepEquations, typical: SaddlePoint) -> SaddlePoint:
    """Clusters of one solution each: as many as replica symmetry counts solutions."""
    m, q = equations.parisi_parameter, typical.overlap
    order = Levels(q, m * (1 - q), 1.0, 0.0)
    conjugates = Levels(typical.overlap_conjugate, math.inf, math.inf)
    values = (typical.entropy / m, typical.entropy, typical.stability, 1.0)
    return _point(equations, order, conjugates, values, (typical.residual, typical.status, "frozen"))


def _absent(equations: OneStepEquations) -> SaddlePoint:
    """Where no saddle point is found."""
    nothing = Levels(math.nan, math.nan, math.nan)
    end = (math.nan, Status.NO_SOLUTION, "clustered")
    return _point(equations, nothing, nothing, (math.nan,) * 4, end)
