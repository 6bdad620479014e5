"""State evolution of message passing for committees, in trees or with inputs that all units share."""

import math
from dataclasses import dataclass

import numpy as np

from physlearn.inputs import integer, member, number, reject
from physlearn.models import Binary, Committee, Spherical
from physlearn.models.joint import norm_precision, normal_grid, normal_points, sites, votes
from physlearn.quadrature import expectation
from physlearn.results import Status, Trajectory

# Nodes of Gauss and Hermite's rule in each of up to three directions, and quasi-random fields in more of them.
_NODES = {1: 40, 2: 40, 3: 14}
_FINE_NODES = {1: 40, 2: 40, 3: 24}
_N_FIELDS = 2**14
# Below these variances of a field, given the weights, the finer nodes are used, and are no longer fine enough.
_SHARP, _SHARPEST = 0.5, 0.25


@dataclass(frozen=True)
class _Order:
    """Overlaps of the means with themselves and with the teacher, and covariance of the weights at an input: (K, K)."""

    overlap: np.ndarray
    teacher: np.ndarray
    covariance: np.ndarray


def committee_state_evolution(
    model: Committee, n_iterations: int, start: float = 0.0, informed: float = 0.0
) -> Trajectory:
    r"""Order parameters of AMP on a committee at each iteration, from random first fields on.

    .. math::
        \hat q = \alpha K\, E[g g^T], \quad \hat m = \alpha K\, E[g\, \partial_{u} \ln Z^*], \quad
        A = -\alpha K\, E[\partial_\omega g], \quad q = E[a a^T], \quad m = E[a w^{*T}]

    with the mean of the left part over omega ~ N(0, q), and over the label, whose probability Z* given omega is that of
    a teacher's fields u, or one half in storage; and that of the right part over the teacher's weights w* at an input
    and fields B ~ N(m-hat w*, q-hat), which have the means a. In a tree all matrices are diagonal.

    Parameters
    ----------
    model : Committee
        With binary or spherical weights, and at most 11 units where they share their inputs.
    n_iterations : int
        At least zero.
    start : float
        Standard deviation of the first fields, as that of `AMP`. Without it, units that share their inputs stay alike.
    informed : float
        What each first field has beside that of its weight of the teacher, times this.

    Returns
    -------
    Trajectory
        At times 0 to n_iterations: ``overlap`` and, with a teacher, ``teacher_overlap`` (its units in the order that
        makes it largest), as in the trace of `AMP`; and the matrices ``overlaps`` and ``teacher_overlaps``, of shape
        (n_iterations + 1, K, K). `Status.CONVERGED` where the last iteration changed no overlap by 1e-10, or 1e-5 with
        shared inputs. Means over more than three fields use 2^14 quasi-random ones, always the same: correct to some
        3e-4. Where a field is known to a variance below 0.25 (near a teacher, or at a start that tells more of it than
        its own length), means over several are no longer resolved: overlaps may be off by hundredths, and the status is
        NOT_CONVERGED.

    Raises
    ------
    InputError
        If the model or a number is not of these kinds.

    Notes
    -----
    This is what `AMP()` does, also under the name of TAP, with or without `start`. Damping, reinforcement and
    ``joint=False`` with shared inputs make a sweep depend on all those before it: one order parameter a time does
    not describe them. Fixed points are those without damping.

    References
    ----------
    theory/committee-machine/derivation.md (CM.1) to (CM.10).
    """
    member("model", model, Committee, "a Committee")
    if not isinstance(model.prior, (Binary, Spherical)):
        raise reject("model", model, "a Committee of binary or spherical weights")
    if math.isinf(model.n_hidden) or (not model.tree and model.n_hidden > 11):
        raise reject("model", model, "finite trees, or at most 11 units that share their inputs")
    n_iterations = integer("n_iterations", n_iterations, at_least=0)
    start, informed = number("start", start, at_least=0), number("informed", informed)
    taught, K = model.teacher_channel is not None, model.n_hidden
    if informed and not taught:
        raise reject("informed", informed, "zero, where there is no teacher")
    order = _order(model, start**2 * np.eye(K), informed * np.eye(K), np.zeros((K, K)))
    orders, change = [order], math.inf
    for _ in range(n_iterations):
        order = _order(model, *_conjugates(model, order))
        change = max(
            np.abs(order.overlap - orders[-1].overlap).max(), np.abs(order.teacher - orders[-1].teacher).max()
        )
        orders.append(order)
    values = {
        "overlap": np.array([np.trace(order.overlap) / K for order in orders]),
        "overlaps": np.array([order.overlap for order in orders]),
    }
    if taught:
        values["teacher_overlap"] = np.array([_matched(model, order.teacher) for order in orders])
        values["teacher_overlaps"] = np.array([order.teacher for order in orders])
    resolved = K == 1 or min(_sharpness(model, order) for order in orders) > _SHARPEST
    # The nodes of correlated votes turn with the directions that are degenerate.
    least = 1e-10 if model.tree or K == 1 else 1e-5
    status = Status.CONVERGED if change < least and resolved else Status.NOT_CONVERGED
    return Trajectory(model, np.arange(n_iterations + 1), values, status)


def _matched(model: Committee, overlaps: np.ndarray) -> float:
    """Overlap with the teacher per weight, in the best order of the units; those of a tree keep theirs."""
    if model.tree:
        return float(np.trace(overlaps)) / model.n_hidden
    from scipy.optimize import linear_sum_assignment

    return float(overlaps[linear_sum_assignment(-overlaps)].sum()) / model.n_hidden


def _conjugates(model: Committee, order: _Order) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q-hat, m-hat and A of the fields that patterns exert (CM.9); both labels contribute the same."""
    K = model.n_hidden
    z, weight = _normal(K, _sharpness(model, order) < _SHARP)
    mean = z @ _root(order.overlap).T
    covariance = order.covariance + np.diag(np.maximum(1e-12 - np.diag(order.covariance), 0.0))
    label = np.ones(len(z))
    _, gradient, jacobian = votes(label, mean, covariance)
    projection = np.zeros((K, K))
    if model.teacher_channel is not None:
        given, rest = _teacher_fields(order)
        logs, slope, _ = votes(label, mean @ given.T, rest)
        weight = 2 * weight * np.exp(logs)
        projection = (gradient.T * weight) @ slope
    found = [(gradient.T * weight) @ gradient, projection, -np.einsum("n,nkl->kl", weight, jacobian)]
    if model.tree:
        found = [np.diag(np.diag(item)) for item in found]
    q_hat, m_hat, A = (model.alpha * K * item for item in found)
    return q_hat, m_hat, A


def _teacher_fields(order: _Order) -> tuple[np.ndarray, np.ndarray]:
    """What the means' fields say of the teacher's: a matrix for the mean, and the covariance that is left."""
    given = order.teacher.T @ np.linalg.pinv(order.overlap, hermitian=True)
    rest = np.eye(len(given)) - given @ order.teacher
    return given, (rest + rest.T) / 2 + np.diag(np.maximum(1e-12 - np.diag(rest), 0.0))


def _sharpness(model: Committee, order: _Order) -> float:
    """The least variance of the fields given the means'."""
    both = (
        [order.covariance] if model.teacher_channel is None else [order.covariance, _teacher_fields(order)[1]]
    )
    return min(float(np.linalg.eigvalsh(item)[0]) for item in both)


def _order(model: Committee, q_hat: np.ndarray, m_hat: np.ndarray, A: np.ndarray) -> _Order:
    """Overlaps and covariance of the weights in fields of these conjugates (CM.10)."""
    K, prior = model.n_hidden, model.prior
    if isinstance(prior, Spherical):
        second = q_hat + m_hat @ m_hat.T
        S = np.linalg.inv(norm_precision(A, second))
        return _Order(S @ second @ S, S @ m_hat, S)
    if model.tree:  # one weight does for all
        root, shift = math.sqrt(q_hat[0, 0]), m_hat[0, 0]
        features = [(-shift / root if root else 0.0, 1 / (1 + root))]
        q, m = expectation(
            lambda z: np.stack([np.tanh(root * z + shift) ** power for power in (2, 1)]), features
        )
        return _Order(q * np.eye(K), m * np.eye(K), (1 - q) * np.eye(K))
    field, weight, teacher = _site_fields(K, q_hat, m_hat)
    _, mean, covariance = sites(prior, field, A, weight)
    return _Order((mean.T * weight) @ mean, (mean.T * weight) @ teacher, covariance)


def _site_fields(K: int, q_hat: np.ndarray, m_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fields at an input, their weights, and the teacher's weights there: (n, K), (n,) and (n, K)."""
    if not m_hat.any():
        z, weight = _normal(K)
        return z @ _root(q_hat).T, weight, np.zeros(z.shape)
    if K <= 3:  # the teacher's first weight may be +1
        z, weight = _normal(K)
        signs = 2.0 * ((np.arange(2 ** (K - 1))[:, None] >> np.arange(K)) & 1) - 1
        teacher = np.repeat(signs, len(z), axis=0)
        z, weight = np.tile(z, (len(signs), 1)), np.tile(weight, len(signs)) / len(signs)
    else:
        points = normal_points(2 * K, 2 * _N_FIELDS)
        z, teacher = points[:, :K], np.sign(points[:, K:])
        weight = np.full(len(z), 1 / len(z))
    return z @ _root(q_hat).T + teacher @ m_hat.T, weight, teacher


def _normal(K: int, fine: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Points of standard normal fields, shape (n, K), and their weights."""
    if K in _NODES:
        return normal_grid(K, (_FINE_NODES if fine else _NODES)[K])
    points = normal_points(K, _N_FIELDS)
    return points, np.full(len(points), 1 / len(points))


def _root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
