r"""Linear mode connectivity: errors on the way between two independent typical solutions of one instance.

.. math::
    h(p) = (1 - p) h_1 + p h_2 + \sigma \eta, \qquad h_i = \omega_i + \sqrt{1 - q_i} z_i > \kappa_i

where the cavity fields of the two solutions have covariance t, their overlap. Replica symmetry, binary or spherical
weights, storage or a teacher. Source: theory/linear-mode-connectivity/derivation.md.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from physlearn.inputs import choice, member, number, reject
from physlearn.meanfield.base import OutsideDomain
from physlearn.meanfield.capacities import capacity
from physlearn.meanfield.margins import check_margin, maximal_margin, typical_solution
from physlearn.models import Binary, Perceptron, Prior, Spherical, Teacher
from physlearn.quadrature import G_over_H, log_H, misclassification
from physlearn.results import SaddlePoint, Status

PATHS = ("segment", "flips")
# Gaussian averages are sums over equidistant points, which for functions analytic in a strip converge exponentially:
# steps in units of the strip's width, and where they end.
_STEP, _REACH = 0.4, 9.0
_TANH_STEP = 0.25
_MOST_POINTS = 1500
# Below it, what the second cavity field has beside the first is rounding.
_SPLIT = 1e-7
# Overlaps of solutions that no pattern constrains vanish; one must still divide by them.
_UNCONSTRAINED = 1e-300
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_POSITION_TOLERANCE = 1e-8
_RESIDUAL = 1e-9
_EDGE = 1e-9
_START, _STEEPEST = 0.9, 0.99
_TOLERANCE, _MOST_UPDATES = 1e-14, 100


def linear_connectivity(
    model: Perceptron,
    position: float,
    first_margin: float | str | None = None,
    second_margin: float | str | None = None,
    *,
    path: str = "segment",
) -> SaddlePoint:
    r"""Expected training error on the way from a typical solution to another one of the same instance.

    The two are drawn independently, uniformly from the solutions of margins kappa_1 and kappa_2. Their overlap t
    solves

    .. math:: t = E[m_1 m_2], \qquad \hat t = \alpha E[g_1 g_2]

    Parameters
    ----------
    model : Perceptron
        With binary or spherical weights; its margin kappa is what is asked of the weights on the way.
    position : float
        p in [0, 1].
    first_margin, second_margin : float or "maximal", optional
        kappa_1, kappa_2, at least kappa; the model's by default. "maximal" stands for `maximal_margin` (binary
        weights).
    path : {"segment", "flips"}
        (1 - p) w_1 + p w_2 with real weights brought back to w.w = N, the geodesic; or, for binary weights, each weight
        where they differ that of w_2 with probability p.

    Returns
    -------
    SaddlePoint
        ``training_error``, the fraction of violated constraints at p; ``typical_overlap`` (t) with its conjugate;
        ``first_overlap``, ``second_overlap`` (q_1, q_2), ``first_entropy`` and ``second_entropy`` of the two ends,
        whose sum is the entropy, that of pairs; with a teacher ``generalization_error`` at p. The stability is the
        smaller one of the ends.

    Raises
    ------
    InputError
        If the model or the path is of another kind, the position is outside of [0, 1], or a margin is below the
        model's or above the largest.

    References
    ----------
    theory/linear-mode-connectivity/derivation.md (LC.4)-(LC.12); Annesi, Lauditi, Lucibello, Malatesta, Perugini,
    Pittorino & Saglietti 2023.
    """
    pair, path = _checked(model, first_margin, second_margin, path)
    position = number("position", position, at_least=0, at_most=1)
    return _point(model, pair, position, path)


def connectivity_barrier(
    model: Perceptron,
    first_margin: float | str | None = None,
    second_margin: float | str | None = None,
    *,
    path: str = "segment",
) -> SaddlePoint:
    """The point of the largest expected training error on the way between two typical solutions.

    Parameters
    ----------
    model : Perceptron
    first_margin, second_margin : float or "maximal", optional
    path : {"segment", "flips"}
        As in `linear_connectivity`.

    Returns
    -------
    SaddlePoint
        As `linear_connectivity` returns it, with the ``position`` of the maximum; 1/2 where there is no error anywhere.

    Raises
    ------
    InputError
        As `linear_connectivity`.

    References
    ----------
    theory/linear-mode-connectivity/derivation.md (LC.8)-(LC.10).
    """
    from scipy.optimize import minimize_scalar

    pair, path = _checked(model, first_margin, second_margin, path)
    position = 0.5
    grid = np.linspace(0, 1, 21)
    errors = [pair.error(p, model.margin, path) for p in grid]
    best = int(np.argmax(errors))
    if errors[best] > 0:
        found = minimize_scalar(
            lambda p: -pair.error(float(p), model.margin, path),
            bounds=(grid[max(best - 1, 0)], grid[min(best + 1, 20)]),
            method="bounded",
            options={"xatol": _POSITION_TOLERANCE},
        )
        position = float(found.x)
    return _point(model, pair, position, path)


@dataclass(frozen=True)
class Pair:
    """Two independent typical solutions of one instance, and their overlap.

    Parameters
    ----------
    model : Perceptron
    first, second : SaddlePoint
        The replica-symmetric points that they are drawn at.
    """

    model: Perceptron
    first: SaddlePoint
    second: SaddlePoint

    @property
    def has_teacher(self) -> bool:
        return self.model.teacher_channel is not None

    @property
    def middle(self) -> float:
        """What the teacher makes of the overlap."""
        return math.prod(_teacher_overlap(point) for point in (self.first, self.second))

    @property
    def room(self) -> float:
        """How far t may be from it: that is what leaves the fields a covariance."""
        rests = [point.overlap - _teacher_overlap(point) ** 2 for point in (self.first, self.second)]
        return math.sqrt(rests[0] * rests[1])

    @cached_property
    def overlap(self) -> float:
        """t, (LC.4) to (LC.6): the iteration's fixed point, by secants."""
        if self.first.model.margin == self.second.model.margin:
            return self.first.overlap
        t = self.middle + _START * self.room
        before = image = self.weights_overlap(self.conjugate(t))
        change = image - t
        t = image
        for _ in range(_MOST_UPDATES):
            image = self.weights_overlap(self.conjugate(t))
            if abs(image - t) < _TOLERANCE:
                break
            ratio = (image - before) / change if change else 0.0
            step = (image - t) / (1 - ratio) if ratio < _STEEPEST else image - t
            before, change = image, step
            if abs(t + step - self.middle) >= self.room:
                step = change = image - t
            t += step
        return image

    def conjugate(self, t: float) -> float:
        """t_hat = alpha E[g_1 g_2] at this overlap."""
        grid = _CavityFields(self, t)
        slopes = [
            G_over_H(depth) / width for depth, width in zip(grid.depths(), grid.deviations(), strict=True)
        ]
        return float(self.model.alpha * np.sum(grid.weights * slopes[0] * slopes[1]))

    def weights_overlap(self, t_hat: float) -> float:
        """E[m_1 m_2] of the means of a weight in its two measures."""
        if isinstance(self.model.prior, Spherical):
            V1, V2, shared = self._linear()
            return V1 * V2 * (t_hat + shared)
        weights, first, second = self._fields(t_hat)
        return float(np.sum(weights * np.tanh(first) * np.tanh(second)))

    def covariance(self, t: float, t_hat: float) -> float:
        """Covariance over N of the two logarithms of the number of solutions, up to a constant (LC.7)."""
        grid = _CavityFields(self, t)
        outer = np.sum(grid.weights * math.prod(log_H(depth) for depth in grid.depths()))
        if isinstance(self.model.prior, Spherical):
            V1, V2, shared = self._linear()
            inner = V1 * V2 * (t_hat**2 / 2 + t_hat * shared)
        else:
            weights, first, second = self._fields(t_hat)
            inner = np.sum(weights * np.logaddexp(first, -first) * np.logaddexp(second, -second))
        return float(-t * t_hat + inner + self.model.alpha * outer)

    def _linear(self) -> tuple[float, float, float]:
        """Variances of spherical weights, and the product of what the teacher adds to their fields."""
        shared = math.prod(_teacher_field(point) for point in (self.first, self.second))
        return 1 - self.first.overlap, 1 - self.second.overlap, shared

    def _fields(self, t_hat: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fields on a weight +1 of the teacher, shapes (n, 1) and (n, m), and their probabilities (n, m)."""
        q1, q2 = self.first.overlap_conjugate, self.second.overlap_conjugate
        along = t_hat / math.sqrt(max(q1, _UNCONSTRAINED))
        own = math.sqrt(max(q2 - along**2, 0.0))
        x, weight_x = _grid(_TANH_STEP / max(1.0, math.sqrt(q1), abs(along)))
        y, weight_y = _grid(_TANH_STEP / max(1.0, own))
        first = math.sqrt(q1) * x[:, None] + _teacher_field(self.first)
        second = along * x[:, None] + own * y + _teacher_field(self.second)
        return weight_x[:, None] * weight_y, first, second

    def norm(self, position: float) -> float:
        """c, the length of (1 - p) w_1 + p w_2 over sqrt N."""
        return math.sqrt(1 - 2 * position * (1 - position) * (1 - self.overlap))

    def error(self, position: float, margin: float, path: str) -> float:
        """Probability that the field at a position is below the margin."""
        if position in (0.0, 1.0):
            return 0.0
        grid = self._cavity
        if path == "segment":
            return grid.below(position, margin * self.norm(position))
        return grid.noisy_below(position, margin, math.sqrt(1 - self.norm(position) ** 2))

    @cached_property
    def _cavity(self) -> "_CavityFields":
        return _CavityFields(self, self.overlap)


class _CavityFields:
    """The two cavity fields on a grid: omega_1 = sqrt(q_1) x and omega_2 = c_0 x + e y, with their probabilities.

    Attributes
    ----------
    first, second : ndarray, shapes (n, 1) and (n, m)
    weights : ndarray, shape (n, m)
        With a teacher those of the label that it gives, y = 1.
    """

    def __init__(self, pair: Pair, t: float) -> None:
        q1, q2 = pair.first.overlap, pair.second.overlap
        self.pair = pair
        s1, s2 = self.deviations()
        along = t / math.sqrt(max(q1, _UNCONSTRAINED))
        own = math.sqrt(max(q2 - along**2, 0.0))
        own = own if own > _SPLIT else 0.0
        slope_x, slope_y, rest = self._teacher(along, own)
        x, weight_x = _grid(_STEP / max(1.0, math.sqrt(q1) / s1, abs(along) / s2, abs(slope_x) / rest))
        y, weight_y = (
            _grid(_STEP / max(1.0, own / s2, abs(slope_y) / rest)) if own else (np.zeros(1), np.ones(1))
        )
        self.first = math.sqrt(q1) * x[:, None]
        self.second = along * x[:, None] + own * y
        self.weights = weight_x[:, None] * weight_y
        if pair.has_teacher:
            self.weights *= 2 * np.exp(log_H(-(slope_x * x[:, None] + slope_y * y) / rest))

    def deviations(self) -> tuple[float, float]:
        """sqrt(1 - q), of a field given its cavity field."""
        return math.sqrt(1 - self.pair.first.overlap), math.sqrt(1 - self.pair.second.overlap)

    def depths(self) -> list[np.ndarray]:
        """(kappa_i - omega_i)/sqrt(1 - q_i)."""
        points = (self.pair.first, self.pair.second)
        rows = zip(points, (self.first, self.second), self.deviations(), strict=True)
        return [(point.model.margin - omega) / width for point, omega, width in rows]

    def _teacher(self, along: float, own: float) -> tuple[float, float, float]:
        """The teacher's field: what x and y say of it, and the standard deviation of the rest."""
        if not self.pair.has_teacher:
            return 0.0, 0.0, 1.0
        first, second = self.pair.first, self.pair.second
        slope_x = _teacher_overlap(first) / math.sqrt(max(first.overlap, _UNCONSTRAINED))
        slope_y = (_teacher_overlap(second) - along * slope_x) / own if own else 0.0
        limit = math.sqrt(1 - slope_x**2) * (1 - 1e-12)
        slope_y = min(max(slope_y, -limit), limit)
        return slope_x, slope_y, math.sqrt(1 - slope_x**2 - slope_y**2)

    def below(self, position: float, threshold: float) -> float:
        """Probability that (1 - p) h_1 + p h_2 is below the threshold (LC.8)."""
        kappa1, kappa2 = (point.model.margin for point in (self.pair.first, self.pair.second))
        last = (threshold - position * kappa2) / (1 - position)
        if last <= kappa1:
            return 0.0
        depth1, depth2 = self.depths()
        s1, s2 = self.deviations()
        h, weight = _panels(kappa1, last, s1 / 2)
        second = (threshold - (1 - position) * h) / position
        # Given x, the probability that h_2 lies between its margin and this value.
        beyond = log_H((second - self.second[..., None]) / s2) - log_H(depth2)[..., None]
        share = np.einsum("xy,xyh->xh", self.weights, -np.expm1(np.minimum(beyond, 0.0)))
        return float(np.sum(share * weight * _density(h, self.first, s1, depth1)))

    def noisy_below(self, position: float, threshold: float, noise: float) -> float:
        """The same with Gaussian noise on the field (LC.10)."""
        depth1, depth2 = self.depths()
        s1, s2 = self.deviations()
        kappa1, kappa2 = (point.model.margin for point in (self.pair.first, self.pair.second))
        shares = (1 - position, position)
        grids = [
            _panels(kappa, kappa + min(_REACH * noise / share, 2 * _REACH), min(width / 2, noise / share))
            for kappa, share, width in zip((kappa1, kappa2), shares, (s1, s2), strict=True)
        ]
        (h1, weight1), (h2, weight2) = grids
        wrong = np.exp(log_H((shares[0] * h1[:, None] + shares[1] * h2 - threshold) / noise))
        first = weight1 * _density(h1, self.first, s1, depth1)
        second = np.zeros((len(first), len(h2)))
        for k in range(self.weights.shape[1]):
            density = _density(h2, self.second[:, k : k + 1], s2, depth2[:, k : k + 1])
            second += self.weights[:, k : k + 1] * density
        return float(np.einsum("xh,hk,xk,k", first, wrong, second, weight2, optimize=True))


def _density(h: np.ndarray, omega: np.ndarray, width: float, depth: np.ndarray) -> np.ndarray:
    """Density of a field above its margin given its cavity field, shape (n, len(h))."""
    exponent = -(((h - omega) / width) ** 2) / 2 - log_H(depth)
    return np.exp(exponent) / (width * math.sqrt(2 * math.pi))


def _grid(step: float) -> tuple[np.ndarray, np.ndarray]:
    """Equidistant points of a normal variable, and their probabilities."""
    points = 2 * min(math.ceil(_REACH / step), _MOST_POINTS) + 1
    x, step = np.linspace(-_REACH, _REACH, points, retstep=True)
    return x, step * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _panels(start: float, end: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre on panels of at most this width."""
    edges = np.linspace(start, end, math.ceil((end - start) / width) + 1)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + _NODES)).ravel(), (half * _WEIGHTS).ravel()


def _teacher_overlap(point: SaddlePoint) -> float:
    return float(point.order_parameters.get("teacher_overlap", 0.0))


def _teacher_field(point: SaddlePoint) -> float:
    return float(point.conjugates.get("teacher_overlap_conjugate", 0.0))


@dataclass(frozen=True)
class PairPotential:
    """The covariance of the two entropies, whose gradient in t and t_hat vanishes."""

    pair: Pair

    def __call__(self, values: dict[str, float]) -> float:
        return self.pair.covariance(values["typical_overlap"], values["typical_overlap_conjugate"])

    def steps(self, values: dict[str, float]) -> dict[str, float]:
        first, second = self.pair.first, self.pair.second
        room = math.sqrt(first.overlap_conjugate * second.overlap_conjugate)
        return {
            "typical_overlap": self.pair.room - abs(values["typical_overlap"] - self.pair.middle),
            "typical_overlap_conjugate": min(room - abs(values["typical_overlap_conjugate"]), 1.0),
        }


@lru_cache(maxsize=256)
def pair_of(alpha: float, margins: tuple[float, float], has_teacher: bool, prior: Prior) -> Pair:
    """Typical solutions of these margins, whose existence has been checked."""
    model = Perceptron(alpha, prior=prior, rule=Teacher()) if has_teacher else Perceptron(alpha, prior=prior)
    return Pair(model, *(typical_solution(alpha, margin, has_teacher, prior) for margin in margins))


def check_perceptron(model: Perceptron) -> None:
    """Raise unless the model is a perceptron with binary or spherical weights."""
    member("model", model, Perceptron, "a Perceptron, such as Perceptron(alpha, margin)")
    if not isinstance(model.prior, (Binary, Spherical)):
        raise reject("model", model, "perceptrons of binary or spherical weights")


def existing_margin(model: Perceptron, field: str, margin: float | str | None) -> float:
    """The margin that is meant, if it is not below the model's and there are solutions of it."""
    if isinstance(margin, str):
        choice(field, margin, ("maximal",))
        if not isinstance(model.prior, Binary):
            raise reject(
                field, margin, "numbers, since spherical solutions of the maximal margin are all one"
            )
        return maximal_margin(model)
    value = model.margin if margin is None else number(field, margin)
    if value < model.margin:
        raise reject(
            field, value, f"at least the model's margin, {model.margin:g}: the ends are its solutions"
        )
    has_teacher = isinstance(model.rule, Teacher)
    if isinstance(model.prior, Binary):
        check_margin(model, value, "alpha" if margin is None else field)
    elif typical_solution(model.alpha, value, has_teacher, model.prior).status is Status.NO_SOLUTION:
        most = "smaller margins" if has_teacher else f"loads up to {capacity(model.prior, value):.6g}"
        raise OutsideDomain(
            f"{field}: got {value:g}, of which there are no solutions at load {model.alpha:g}; allowed: {most}."
        )
    return value


def _checked(model, first_margin, second_margin, path) -> tuple[Pair, str]:
    check_perceptron(model)
    choice("path", path, PATHS)
    if path == "flips" and not isinstance(model.prior, Binary):
        raise reject("path", path, "'segment', since only binary weights flip")
    margins = (
        existing_margin(model, "first_margin", first_margin),
        existing_margin(model, "second_margin", second_margin),
    )
    return pair_of(model.alpha, margins, isinstance(model.rule, Teacher), model.prior), path


def _point(model: Perceptron, pair: Pair, position: float, path: str) -> SaddlePoint:
    first, second, t = pair.first, pair.second, pair.overlap
    t_hat = pair.conjugate(t)
    residual = abs(pair.weights_overlap(t_hat) - t)
    observables = {
        "training_error": pair.error(position, model.margin, path),
        "position": position,
        "first_overlap": first.overlap,
        "second_overlap": second.overlap,
        "first_entropy": first.entropy,
        "second_entropy": second.entropy,
    }
    if pair.has_teacher:
        length = pair.norm(position) if path == "segment" else 1.0
        r = ((1 - position) * first.teacher_overlap + position * second.teacher_overlap) / length
        observables["generalization_error"] = misclassification(model.teacher_channel, r)
    unfinished = Status.NOT_CONVERGED in (first.status, second.status) or residual > _RESIDUAL
    entropy = first.entropy + second.entropy
    return SaddlePoint(
        model,
        {"typical_overlap": t},
        {"typical_overlap_conjugate": t_hat},
        free_entropy=entropy,
        entropy=entropy,
        stability=min(first.stability, second.stability),
        observables=observables,
        residual=max(residual, first.residual, second.residual),
        status=Status.NOT_CONVERGED if unfinished else Status.CONVERGED,
        branch=path,
        # Ends of one margin have t = q, at the edge of the potential's domain.
        potential=PairPotential(pair) if abs(t - pair.middle) < (1 - _EDGE) * pair.room else None,
    )
