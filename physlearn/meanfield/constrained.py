r"""The Franz-Parisi entropy: solutions at a distance from a typical solution, or from the teacher.

.. math::
    \phi(d) = \frac1N E \ln \#\{w : \Delta_\mu > \kappa,\ w \cdot \tilde w = N S\}, \qquad S = 1 - 2d

with the reference drawn uniformly from the solutions of margin kappa-tilde. Replica symmetry; binary weights, storage
or a teacher, or storage on the sphere, where a volume takes the place of the number.
Source: theory/local-entropy/derivation.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from physlearn.inputs import member, number, reject
from physlearn.meanfield.base import FixedPoint, extremize, newton_nearby
from physlearn.meanfield.margins import check_weights
from physlearn.meanfield.references import Reference, reference_of
from physlearn.meanfield.spherical_constrained import conjugate_of_reference, gaussian_moments
from physlearn.models import Committee, Model, Spherical
from physlearn.quadrature import misclassification
from physlearn.results import SaddlePoint, Status

# Tolerance of an entropy's sign: rounding near zero is not unphysical.
_SIGN = 1e-9
_TOLERANCE = 1e-11
_RESOLVED = 1e-6
_MOST_UPDATES = 200
# Deviations below which what a group of replicas has of its own is rounding.
_SPLIT = 1e-7
# Replicas closer to each other than this, in units of what the reference leaves them, are one.
_COLLAPSED = 3e-3
# A variance of fields that does nothing, but by which one can divide.
_FAINT = 1e-30
# Beyond it, where tanh is one to all digits, the overlap with the reference does not tell its conjugate.
_LARGEST_FIELD = 18.0


def franz_parisi(
    model: Model,
    distance: float,
    reference_margin: float | str | None = None,
    *,
    reference: str = "typical",
    start: SaddlePoint | Mapping[str, float] | None = None,
) -> SaddlePoint:
    r"""Entropy of the solutions at a distance from a typical solution, or from the teacher, with its derivative.

    .. math::
        \phi = \mathrm{extr} \{ -\hat q (1 - q)/2 - \hat S S + \hat t t - \hat r r + G_S + \alpha G_E \}

    Parameters
    ----------
    model : Model
        Perceptron with binary weights, storage or teacher, or with spherical ones, storage; its margin kappa is what
        is asked of the solutions counted.
        Or a `Committee`: a tree of 3 or infinitely many units with binary weights and random labels, without a margin.
    distance : float
        d = (1 - S)/2 in (0, 1/2], per weight.
    reference_margin : float or "maximal", optional
        kappa-tilde, the margin of the reference: the model's by default; "maximal" stands for `maximal_margin`.
    reference : {"typical", "teacher"}
        A solution drawn uniformly from those of margin kappa-tilde, or the teacher.
    start : SaddlePoint or mapping, optional
        A neighbouring point to start from, or its conjugates by name.

    Returns
    -------
    SaddlePoint
        ``local_entropy`` (phi, also `free_entropy` and `entropy`) and ``local_entropy_slope`` (its derivative in d);
        ``overlap`` (q, of two solutions at this distance), ``reference_overlap`` (S), and around a typical reference
        ``typical_overlap`` (t, of such a solution with other references) and, with a teacher, ``teacher_overlap``
        (r); their conjugates; the reference's own ``reference_self_overlap`` (q-tilde) and ``reference_entropy``.
        The stability is that of the constrained measure, ``reference_stability`` that of the reference's own, which is
        negative where it breaks replica symmetry. `Status.UNPHYSICAL` where the entropy of binary weights is negative:
        no solution is there. On the sphere the entropy is a volume, of which ln(4 d (1 - d))/2 is left without
        patterns. Around the single solution of maximal margin t = S, ``typical_overlap_conjugate`` is the limit of
        (1 - q-tilde) t_hat, and beyond the distance of the farthest solution is `Status.NO_SOLUTION`.

    Raises
    ------
    InputError
        If the distance is outside of (0, 1/2], the weights are of another kind, there is no such reference (its margin
        is above the largest, the load above capacity, there is no teacher), or the start is of another kind.

    References
    ----------
    theory/local-entropy/derivation.md (FP.6)-(FP.16), (SF.1)-(SF.8); Franz & Parisi 1995; Huang & Kabashima 2014;
    Baldassi, Lauditi, Malatesta, Perugini & Zecchina 2021.
    """
    if isinstance(model, Committee):
        from physlearn.meanfield.committee_constrained import around_votes

        return around_votes(model, distance, reference_margin, reference, start)
    check_weights(model)
    distance = number("distance", distance, above=0, at_most=0.5)
    source = reference_of(model, reference_margin, reference)
    return at_distance(model, source, distance, reference, start)


def at_distance(
    model: Model, source: Reference, distance: float, branch: str, start: Any = None
) -> SaddlePoint:
    """The saddle point at a distance from a reference: Newton's near a start, else where the iteration leads."""
    equations = equations_around(model, source, 1 - 2 * distance)
    if equations.out_of_reach:
        return no_point(model, source, equations.reference_overlap, branch)
    end = None
    if start is None:
        x = equations.natural_start()
    else:
        x, branch = _started(equations, start), "continued"
        end = newton_nearby(equations.update, x, _TOLERANCE)
    if end is None:
        end = extremize(equations.update, x, tolerance=_TOLERANCE, max_updates=_MOST_UPDATES)
        if not (end.converged or end.escaped):
            end = newton_nearby(equations.update, end.x, _TOLERANCE) or end
    return _point(equations, end, branch)


def equations_around(model: Model, source: Reference, reference_overlap: float) -> "FranzParisiEquations":
    """The equations of a perceptron, or of a tree."""
    if not isinstance(model, Committee):
        return FranzParisiEquations(model, source, reference_overlap)
    from physlearn.meanfield.committee_constrained import ManyVotesAround, ThreeVotesAround

    kind = ManyVotesAround if math.isinf(model.n_hidden) else ThreeVotesAround
    return kind(model, source, reference_overlap)


class Constrained(NamedTuple):
    """Order parameters: V = 1 - q, t, r."""

    variance: float
    typical_overlap: float
    teacher_overlap: float


class Fields(NamedTuple):
    """Conjugates: q_hat, t_hat, r_hat, S_hat."""

    overlap: float
    typical_overlap: float
    teacher_overlap: float
    reference_overlap: float


@dataclass
class FranzParisiEquations:
    """The two halves of the saddle-point equations at a given overlap S with the reference.

    Parameters
    ----------
    model : Model
    reference : Reference
    reference_overlap : float
        S.
    fineness : float
        Below one all steps of the integrals are finer.
    """

    model: Model
    reference: Reference
    reference_overlap: float
    fineness: float = 1.0

    def __post_init__(self) -> None:
        self.typical = self.reference.overlap > 0
        self.taught = self.typical and self.model.teacher_channel is not None
        self.spherical = isinstance(self.model.prior, Spherical)
        self.single = self.reference.overlap == 1
        self._last = 1.0  # where the search for S_hat begins

    @property
    def out_of_reach(self) -> bool:
        """Whether no solution is so far from the one of the largest margin: S is not above kappa/kappa_max."""
        largest = self.reference.margin
        return self.single and largest > 0 and self.reference_overlap * largest <= self.model.channel.margin

    def projections(self, order: Constrained) -> tuple[float, float, float, float, float]:
        """c0, c1, e of a replica's field, and the teacher's covariances with the fields x and v."""
        q, S, t = self.reference.overlap, self.reference_overlap, order.typical_overlap
        if not self.typical:
            return 0.0, S, math.sqrt(max(1 - order.variance - S**2, 0.0)), 0.0, 0.0
        e2 = max(1 - order.variance - t**2 / q - (S - t) ** 2 / (1 - q), 0.0)
        c0, c1, e = t / math.sqrt(q), (S - t) / math.sqrt(1 - q), math.sqrt(e2)
        shared = self.reference.teacher_overlap / math.sqrt(q)
        own = (order.teacher_overlap - c0 * shared) / e if e > _SPLIT and self.taught else 0.0
        limit = math.sqrt(1 - shared**2) * (1 - 1e-12)
        return c0, c1, e, shared, min(max(own, -limit), limit)

    def energy(self, order: Constrained) -> np.ndarray:
        """Energetic part and its derivatives, as `physlearn.kernels.franz_parisi.energetic` returns them."""
        from physlearn.kernels.franz_parisi import energetic, energetic_single

        kappa, S = self.model.channel.margin, self.reference_overlap
        if self.single:  # t stands for delta, (SF.6)
            return energetic_single(
                kappa, self.reference.margin, S, order.variance, order.typical_overlap, self.fineness
            )
        c0, c1, e, shared, own = self.projections(order)
        source = self.reference
        return energetic(
            kappa, source.margin, source.overlap, order.variance, c0, c1, e, shared, own, self.taught, self.fineness
        )  # fmt: skip

    def is_resolved(self, order: Constrained) -> bool:
        """Whether the integrals are as precise as they are meant to be."""
        return True

    def weights(self, fields: Fields) -> np.ndarray:
        """Entropic part and its moments, as `physlearn.kernels.franz_parisi.entropic` returns them."""
        from physlearn.kernels.franz_parisi import entropic

        q_hat, t_hat, r_hat, S_hat = fields
        source = self.reference
        if self.spherical:
            return gaussian_moments(q_hat, t_hat, S_hat, source.overlap)
        projection = t_hat / math.sqrt(source.overlap_conjugate) if self.typical else 0.0
        return entropic(
            q_hat, projection, S_hat - t_hat, r_hat, source.overlap_conjugate, source.teacher_overlap_conjugate,
            self.fineness,
        )  # fmt: skip

    def order(self, fields: Fields) -> tuple[Constrained, Fields, np.ndarray]:
        """Order parameters under these conjugates, with the S_hat that gives the overlap S."""
        target, S_hat = self.reference_overlap, self._last
        if self.spherical:
            S_hat = conjugate_of_reference(
                fields.overlap, fields.typical_overlap, target, self.reference.overlap
            )
            moments = self.weights(fields._replace(reference_overlap=S_hat))
            return Constrained(moments[1], moments[2], 0.0), fields._replace(reference_overlap=S_hat), moments
        goal = math.atanh(target)
        for _ in range(60):
            fields = fields._replace(reference_overlap=S_hat)
            moments = self.weights(fields)
            S = min(max(moments[3], -1 + 1e-15), 1 - 1e-15)
            if abs(S - target) <= 4e-16 + 1e-14 * (1 - target):
                break
            step = (goal - math.atanh(S)) * (1 - S) * (1 + S) / max(moments[1], 1e-15)
            longest = 2 + 0.5 * abs(S_hat)
            S_hat += min(max(step, -longest), longest)
            if abs(step) < 1e-15 * abs(S_hat):
                break
        self._last = S_hat
        return Constrained(moments[1], moments[2], moments[4]), fields, moments

    def fields(self, order: Constrained, S_hat: float = 0.0) -> Fields:
        """Conjugates that these order parameters have."""
        return self._fields(self.energy(order), S_hat)

    def _fields(self, energy: np.ndarray, S_hat: float) -> Fields:
        alpha = self.model.alpha
        t_hat = alpha * energy[3] if self.typical else 0.0
        r_hat = alpha * energy[4] if self.taught else 0.0
        return Fields(alpha * energy[2], t_hat, r_hat, S_hat)

    def pack(self, fields: Fields) -> np.ndarray:
        """The unknowns: ln(1 + t_hat), ln(1 + B^2), asinh(r_hat); B^2 = q_hat - t_hat^2/q-tilde_hat may vanish."""
        if not self.typical:
            return np.array([math.log1p(fields.overlap if fields.overlap > _FAINT else 0.0)])
        fields = Fields(*(value if abs(value) > _FAINT else 0.0 for value in fields))
        rest = max(fields.overlap - fields.typical_overlap**2 / self.reference.overlap_conjugate, 0.0)
        entries = [math.log1p(fields.typical_overlap), math.log1p(rest if rest > _FAINT else 0.0)]
        return np.array([*entries, math.asinh(fields.teacher_overlap)] if self.taught else entries)

    def unpack(self, x: np.ndarray) -> Fields:
        if not self.typical:
            return Fields(max(math.expm1(x[0]), _FAINT), 0.0, 0.0, self._last)
        t_hat, rest = math.expm1(x[0]), max(math.expm1(max(x[1], 0.0)), _FAINT)
        q_hat = rest + t_hat**2 / self.reference.overlap_conjugate
        return Fields(q_hat, t_hat, math.sinh(x[2]) if self.taught else 0.0, self._last)

    def update(self, x: np.ndarray) -> np.ndarray:
        """The unknowns' image: order parameters under them, and what these say of the conjugates."""
        if max(abs(x)) > 40 or x[0] < 0:
            return np.where(x > 40, np.inf, -np.inf)
        order, *_ = self.order(self.unpack(x))
        if order.variance < _COLLAPSED * (1 - self.reference_overlap**2):
            image = np.array(x)
            image[1 if self.typical else 0] = np.inf
            return image
        return self.pack(self.fields(order))

    def natural_start(self) -> np.ndarray:
        """Replicas that know of each other and of other references through the reference only, and a little more."""
        q, S = self.reference.overlap, self.reference_overlap
        V = (1 - S**2) * (1 - 0.5 * q) if self.typical else 1 - S**2 * (1 - 0.5 * (1 - S**2))
        if not self.typical:
            V = 0.9 * (1 - S**2)
        # Of a single reference delta is what tells t from S.
        order = Constrained(V, 0.0 if self.single else S * q, S * self.reference.teacher_overlap)
        return self.pack(self.fields(order))

    def free_entropy(self, order: Constrained, fields: Fields) -> float:
        """phi as a function of order parameters and conjugates, all independent."""
        return self._free_entropy(order, fields, self.weights(fields)[0], self.energy(order)[1])

    def _free_entropy(self, order, fields, entropy, energy):
        return float(
            -fields.overlap * order.variance / 2
            - fields.reference_overlap * self.reference_overlap
            + fields.typical_overlap * order.typical_overlap
            - fields.teacher_overlap * order.teacher_overlap
            + entropy
            + self.model.alpha * energy
        )


@dataclass(frozen=True)
class FranzParisiPotential:
    """The Franz-Parisi entropy of a model as a function of order parameters and conjugates, by name."""

    model: Model
    reference: Reference

    def __call__(self, values: dict[str, float]) -> float:
        equations = equations_around(self.model, self.reference, values["reference_overlap"])
        order = Constrained(
            1 - values["overlap"], values.get("typical_overlap", 0.0), values.get("teacher_overlap", 0.0)
        )
        return equations.free_entropy(order, _fields_of(values))

    def steps(self, values: dict[str, float]) -> dict[str, float]:
        """The distances to the edges of the domain; the overlap with the reference is given, and not among them."""
        q, S, t = values["overlap"], values["reference_overlap"], values.get("typical_overlap", 0.0)
        q_hat, t_hat = values["overlap_conjugate"], values.get("typical_overlap_conjugate", 0.0)
        source = self.reference
        if not source.overlap:
            rest, room = q - S**2, q_hat
        else:
            rest = max(q - t**2 / source.overlap - (S - t) ** 2 / (1 - source.overlap), 0.0)
            room = q_hat - t_hat**2 / source.overlap_conjugate
        steps = {
            "overlap": min(1 - q, rest),
            "overlap_conjugate": min(0.5 * room, 1.0),
            "reference_overlap_conjugate": 1.0,
        }
        if source.overlap:
            bend = abs(t / source.overlap - (S - t) / (1 - source.overlap))
            steps["typical_overlap"] = min(0.5 * rest / max(bend, 1e-9), math.sqrt(rest * source.overlap / 4))
            steps["typical_overlap"] = min(
                steps["typical_overlap"], math.sqrt(rest * (1 - source.overlap) / 4)
            )
            hat = source.overlap_conjugate
            steps["typical_overlap_conjugate"] = min(
                0.25 * room * hat / max(t_hat, 1e-9), math.sqrt(hat * room), 1.0
            )
        if "teacher_overlap" in values:
            steps["teacher_overlap"] = 0.5 * math.sqrt(rest)
            steps["teacher_overlap_conjugate"] = 1.0
        return steps


def _fields_of(values: Mapping[str, float]) -> Fields:
    names = ("overlap", "typical_overlap", "teacher_overlap", "reference_overlap")
    return Fields(*(float(values.get(f"{name}_conjugate", 0.0)) for name in names))


def _started(equations: FranzParisiEquations, start: Any) -> np.ndarray:
    """The unknowns of what a caller gives as a start."""
    if isinstance(start, SaddlePoint):
        if not math.isfinite(start.residual):
            return equations.natural_start()
        values: Mapping[str, float] = start.conjugates
    else:
        values = member("start", start, Mapping, "a SaddlePoint, or a mapping of conjugates")
    allowed = {
        f"{name}_conjugate" for name in ("overlap", "reference_overlap", "typical_overlap", "teacher_overlap")
    }
    needed = {"overlap_conjugate"} | ({"typical_overlap_conjugate"} if equations.typical else set())
    if set(values) - allowed or needed - set(values):
        raise reject(
            "start", sorted(values), "conjugates of this function's points: " + ", ".join(sorted(allowed))
        )
    for name, value in values.items():
        number(f"start[{name!r}]", value)
    fields = _fields_of(values)
    if min(fields.overlap, fields.typical_overlap) < 0 or not fields.overlap:
        raise reject("start", dict(values), "positive conjugates of the overlaps")
    equations._last = min(max(fields.reference_overlap, -_LARGEST_FIELD), _LARGEST_FIELD)
    return equations.pack(fields)


def _point(equations: FranzParisiEquations, end: FixedPoint, branch: str) -> SaddlePoint:
    """The saddle point where the iteration ended."""
    model, source = equations.model, equations.reference
    if end.escaped:
        return no_point(model, source, equations.reference_overlap, branch)
    order, fields, moments = equations.order(equations.unpack(end.x))
    energy = equations.energy(order)
    alpha = model.alpha
    phi = equations._free_entropy(order, fields, moments[0], energy[1])
    # Fields of references too near to the single one vary within less than the integrals' steps, and miss their mass.
    residual = max(end.residual, abs(float(energy[0]) - 1)) if equations.spherical else end.residual
    resolved = end.converged and residual < _RESOLVED and equations.is_resolved(order)
    status = Status.CONVERGED if resolved else Status.NOT_CONVERGED
    if resolved and not equations.spherical and phi < -_SIGN:
        status = Status.UNPHYSICAL
    order_parameters = {"overlap": 1 - order.variance, "reference_overlap": equations.reference_overlap}
    conjugates = {
        "overlap_conjugate": fields.overlap,
        "reference_overlap_conjugate": fields.reference_overlap,
    }
    if equations.typical:
        t = equations.reference_overlap if equations.single else order.typical_overlap
        order_parameters["typical_overlap"] = t
        conjugates["typical_overlap_conjugate"] = fields.typical_overlap
    if equations.taught:
        order_parameters["teacher_overlap"] = order.teacher_overlap
        conjugates["teacher_overlap_conjugate"] = fields.teacher_overlap
    observables = {
        "local_entropy": phi,
        "local_entropy_slope": 2 * (fields.reference_overlap - alpha * float(energy[6])),
        "reference_self_overlap": source.overlap if equations.typical else 1.0,
        "reference_entropy": source.entropy,
        "reference_stability": source.stability,
    }
    if model.teacher_channel is not None:
        r = order.teacher_overlap if equations.typical else equations.reference_overlap
        observables["generalization_error"] = misclassification(model.teacher_channel, r)
    return SaddlePoint(
        model,
        {name: float(value) for name, value in order_parameters.items()},
        {name: float(value) for name, value in conjugates.items()},
        free_entropy=phi,
        entropy=phi,
        stability=float(1 - alpha * energy[5] * moments[5]),
        observables=observables,
        residual=residual,
        status=status,
        branch=branch,
        potential=None if equations.single else FranzParisiPotential(model, source),
    )


def no_point(model: Model, source: Reference, reference_overlap: float, branch: str) -> SaddlePoint:
    """Where there is no saddle point: NaN, under the names that a point has."""
    names = ["typical_overlap"] * (source.overlap > 0)
    names += ["teacher_overlap"] * (source.overlap > 0 and model.teacher_channel is not None)
    overlaps = dict.fromkeys(["overlap", *names], math.nan) | {"reference_overlap": reference_overlap}
    return SaddlePoint(
        model,
        overlaps,
        {f"{name}_conjugate": math.nan for name in overlaps},
        free_entropy=math.nan,
        entropy=math.nan,
        stability=math.nan,
        observables={
            "local_entropy": math.nan,
            "local_entropy_slope": math.nan,
            "reference_self_overlap": source.overlap or 1.0,
            "reference_entropy": source.entropy,
            "reference_stability": source.stability,
        },
        residual=math.inf,
        status=Status.NO_SOLUTION,
        branch=branch,
    )
