"""State evolution of message passing for tree committees."""

import math

import numpy as np

from physlearn.inputs import integer, member, reject
from physlearn.models import Binary, Committee
from physlearn.quadrature import expectation
from physlearn.results import Status, Trajectory

_NODES = 40  # of Gauss and Hermite's rule for each of up to three units
_N_FIELDS = 2**15  # quasi-random fields for more of them


def committee_state_evolution(model: Committee, n_iterations: int) -> Trajectory:
    r"""Order parameters of AMP on a tree committee at each iteration, from zero overlap on.

    .. math::
        \hat q = \alpha K\, E[g_1^2], \quad q = \int Dz \tanh^2(\sqrt{\hat q} z) \text{ or, with a teacher, }
        \int Dz \tanh(\sqrt{\hat q} z + \hat q)

    The mean is over the fields' means omega_k = sqrt(q) z_k, V = 1 - q, and over the label: both values are equally
    probable in storage, and have the probability Z_out where a teacher gave them.

    Parameters
    ----------
    model : Committee
        A tree of binary weights.
    n_iterations : int
        At least zero.

    Returns
    -------
    Trajectory
        At times 0 to n_iterations: ``overlap`` and, with a teacher, ``teacher_overlap``, which equals it.
        `Status.CONVERGED` where the last iteration changed the overlap by less than 1e-10. For five units or more the
        means are over 2^15 quasi-random fields, always the same ones: correct to some 1e-4.

    Raises
    ------
    InputError
        If the model or the number of iterations is not of these kinds.

    References
    ----------
    theory/belief-propagation/derivation.md (BP.17), (BP.19).
    """
    member("model", model, Committee, "a Committee")
    if not (model.tree and isinstance(model.prior, Binary)):
        raise reject("model", model, "Committee(alpha, tree=True) with binary weights")
    n_iterations = integer("n_iterations", n_iterations, at_least=0)
    z, weights = _fields(model.n_hidden)
    taught = model.teacher_channel is not None
    overlaps, change = [0.0], math.inf
    for _ in range(n_iterations):
        q = overlaps[-1]
        mean, variance = math.sqrt(q) * z, max(1 - q, 1e-12)
        label = np.ones(len(z))
        square = np.square(model.channel.gradient(label, mean, variance)[:, 0])
        if taught:  # both labels contribute the same
            square = square * 2 * np.exp(model.channel.log_partition(label, mean, variance))
        q_hat = model.alpha * model.n_hidden * float(weights @ square)
        overlaps.append(_overlap(q_hat, taught))
        change = abs(overlaps[-1] - q)
    names = ("overlap", "teacher_overlap") if taught else ("overlap",)
    status = Status.CONVERGED if change < 1e-10 else Status.NOT_CONVERGED
    return Trajectory(
        model, np.arange(n_iterations + 1), {name: np.array(overlaps) for name in names}, status
    )


def _overlap(q_hat: float, taught: bool) -> float:
    root = math.sqrt(q_hat)
    if taught:
        return float(expectation(lambda z: np.tanh(root * z + q_hat), [(-root, 1 / (1 + root))]))
    return float(expectation(lambda z: np.square(np.tanh(root * z)), [(0.0, 1 / (1 + root))]))


def _fields(n_hidden: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of standard normal fields, shape (n, K), and their weights."""
    if n_hidden <= 3:
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        weights = weights / weights.sum()
        grid = np.stack(np.meshgrid(*[nodes] * n_hidden, indexing="ij"), axis=-1).reshape(-1, n_hidden)
        product = np.stack(np.meshgrid(*[weights] * n_hidden, indexing="ij"), axis=-1).reshape(-1, n_hidden)
        return grid, product.prod(axis=1)
    from scipy.stats import norm, qmc

    points = qmc.Sobol(n_hidden, scramble=True, rng=0).random(_N_FIELDS)
    return norm.ppf(np.clip(points, 1e-12, 1 - 1e-12)), np.full(_N_FIELDS, 1 / _N_FIELDS)
