"""Units that share their inputs: their fields, and their weights at one input, are correlated and treated jointly."""

import functools
import math

import numpy as np

from physlearn.kernels.majority import majority
from physlearn.kernels.threads import in_slices
from physlearn.models.channels import Majority, _log_count
from physlearn.models.priors import Binary, Prior

# Gauss and Hermite's nodes in each of up to three directions that units have in common.
_NODES = {0: 1, 1: 15, 2: 9, 3: 7}
# From five units on, spacing and number on each side of the nodes of the one direction, in units of the widths.
_SPACING, _N_SIDE = 0.3, 6
# The least part of its variance that a unit keeps to itself.
_OWN = 0.02
# Where the common part would change the mass of a pattern by more than a factor of about e^(3/2), it is left out.
_FAR = 3.0
# Below this mass of a pattern its derivatives come from logarithms.
_FAINT = 1e-200
# Below this number of patterns times points a thread costs more than it saves.
_WORTH_A_THREAD = 20_000


def votes(
    label: np.ndarray, mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Log Z_out of a majority of units with correlated fields, and its first two derivatives by their means.

    .. math:: Z_{out}(y, \omega, V) = P(\text{most of } y h_k > 0), \quad h \sim N(\omega, V)

    V is split into a part of each unit's own and one that they have in common, over which the product of independent
    units is averaged. For three units that is done by Gauss and Hermite's rule, to 1e-5 at correlations of 0.2 and
    1e-3 at 0.4. From five units on all pairs are taken to be equally correlated, as their average is, which gives one
    common direction; where they are, to some 1e-3 as long as log Z_out is of order one. There, patterns that
    correlation would make likelier or less likely by more than a factor of some e^(3/2) are treated as if units were
    independent: seven units at omega = -1.2, V = 1, have log Z_out too high by 2.0 at a correlation of -0.1 (where
    Z_out is 6e-4), and too low by 1.4 at 0.15 (0.018). Where one takes the place of the other log Z_out jumps by about
    one. No such pattern was met at the fixed points of `AMP` looked at.

    Parameters
    ----------
    label : ndarray, shape (P,)
    mean : ndarray, shape (P, K)
    covariance : ndarray, shape (K, K)

    Returns
    -------
    log_partition, gradient, jacobian : ndarray, shapes (P,), (P, K) and (P, K, K)

    References
    ----------
    theory/committee-machine/derivation.md (CM.3), (CM.4).
    """
    y = np.asarray(label, dtype=np.float64)
    K = mean.shape[1]
    gauged = np.ascontiguousarray(y[:, None] * mean)
    split = _split if K <= 3 else _split_equally
    widths, shifts, weights = split(covariance)
    logs, gradient, jacobian, faint = _averaged(gauged, widths, shifts, weights)
    if K > 3:
        scale = np.sqrt(np.diag(covariance))
        _, alone, _, off = _averaged(gauged, scale, np.zeros((1, K)), np.ones(1))
        with np.errstate(all="ignore"):
            faint |= off | (abs(_correlation(covariance)) * np.square(alone @ scale) > _FAR)
    if faint.any():
        logs[faint], gradient[faint], jacobian[faint] = _independent(gauged[faint], np.diag(covariance))
    return logs, y[:, None] * gradient, jacobian


def _averaged(
    mean: np.ndarray, widths: np.ndarray, shifts: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log mass of each pattern with two derivatives, and where it is too small for them."""
    P, K = mean.shape
    mass, slope, bend = np.empty(P), np.empty((P, K)), np.empty((P, K, K))

    def work(first: int, last: int) -> None:
        majority(mean, widths, shifts, weights, mass, slope, bend, first, last)

    if P * len(weights) < _WORTH_A_THREAD:
        work(0, P)
    else:
        in_slices(work, P)
    with np.errstate(all="ignore"):
        gradient = slope / mass[:, None]
        jacobian = bend / mass[:, None, None] - gradient[:, :, None] * gradient[:, None, :]
        return np.log(mass), gradient, jacobian, ~(mass > _FAINT)


def _split(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Widths of the units' own parts, shape (K,), points (n, K) of what they have in common, and their weights."""
    variance = np.diag(covariance).copy()
    scale = np.sqrt(variance)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    own = min(max(values[0], _OWN), 1.0)
    spread = np.sqrt(np.maximum(values - own, 0.0))
    used = spread > 1e-6
    points, weights = normal_grid(int(used.sum()), _NODES[int(used.sum())])
    shifts = points @ (spread[used, None] * vectors[:, used].T) * scale
    return np.sqrt(own) * scale, np.ascontiguousarray(shifts), weights


def _correlation(covariance: np.ndarray) -> float:
    """The mean correlation of two units."""
    K, scale = len(covariance), np.sqrt(np.diag(covariance))
    return float(np.sum(covariance / np.outer(scale, scale)) - K) / (K * (K - 1))


def _split_equally(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for equally correlated units: a common shift of all, of a variance that may be negative.

    Negative correlations are what votes that compete have. The average over a shift of variance rho is a series in
    rho and the even derivatives by the shift; weights of both signs at few nodes have the moments that give its first
    terms.
    """
    K = len(covariance)
    scale: np.ndarray = np.sqrt(np.diag(covariance))
    rho = min(max(_correlation(covariance), -0.9 / (K - 1)), 1 - _OWN)
    nodes: np.ndarray
    if rho > 0:
        points, weights = normal_grid(1, _NODES[1])
        nodes = math.sqrt(rho) * points[:, 0]
    else:
        steps, powers = np.arange(_N_SIDE + 1), np.arange(_N_SIDE + 1)
        moments = [math.prod(range(1, 2 * p, 2)) * (rho / _SPACING**2) ** p for p in powers]
        table = np.where(steps > 0, 2.0, 1.0) * (steps[None, :] * 1.0) ** (2 * powers[:, None])
        half = np.linalg.solve(table, np.array(moments))
        nodes = _SPACING * np.arange(-_N_SIDE, _N_SIDE + 1)
        weights = np.concatenate([half[:0:-1], half]).astype(np.float64)
    return math.sqrt(1 - rho) * scale, np.outer(nodes, scale), weights


def normal_grid(dimension: int, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss and Hermite's product rule: points (n, dimension) and weights (n,)."""
    if dimension == 0:
        return np.zeros((1, 0)), np.ones(1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    weights = weights / weights.sum()
    grid = [np.stack(np.meshgrid(*[x] * dimension, indexing="ij"), axis=-1) for x in (nodes, weights)]
    return grid[0].reshape(-1, dimension), grid[1].reshape(-1, dimension).prod(axis=1)


def normal_points(dimension: int, n: int) -> np.ndarray:
    """Quasi-random points of a standard normal law, always the same ones: shape (n, dimension), n a power of two."""
    from scipy.stats import norm, qmc

    points = qmc.Sobol(dimension, scramble=True, rng=0).random(n)
    return norm.ppf(np.clip(points, 1e-12, 1 - 1e-12))


def _independent(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`votes` for the label +1 and independent units, from logarithms: for fields far in the tails."""
    K = mean.shape[1]
    channel, label = Majority(K), np.ones(len(mean))
    agree, differ, density = channel._units(label, mean, variance)
    logs, gradient = channel.log_partition(label, mean, variance), channel.gradient(label, mean, variance)
    jacobian = -gradient[:, :, None] * gradient[:, None, :]
    for k in range(K):
        jacobian[:, k, k] = channel.curvature(label, mean, variance)[:, k]
        for other in range(k):
            rest = np.delete(agree, (k, other), -1), np.delete(differ, (k, other), -1)
            both = density[:, k] + density[:, other] - logs
            fewer, enough = (_log_count(rest[0], rest[1], count) for count in (K // 2 - 1, K // 2))
            up = np.exp(fewer + both) - np.exp(enough + both)
            jacobian[:, k, other] += up / math.sqrt(variance[k] * variance[other])
            jacobian[:, other, k] = jacobian[:, k, other]
    return logs, gradient, jacobian


def sites(
    prior: Prior, field: np.ndarray, precision: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Log Z_in of the weights w of all units at an input, their means, and their covariance averaged over the inputs.

    .. math:: Z_{in}(B, A) = \int \prod_k dP_0(w_k)\, e^{-\frac12 w \cdot A w + B \cdot w}

    Parameters
    ----------
    prior : Binary or Spherical
    field : ndarray, shape (D, K)
    precision : ndarray, shape (K, K)
        Of spherical weights, with the multipliers (see `norm_precision`).
    weight : ndarray, shape (D,), optional
        Of the inputs in the average.

    References
    ----------
    theory/committee-machine/derivation.md (CM.5), (CM.6).
    """
    D, K = field.shape
    weight = np.full(D, 1 / max(D, 1)) if weight is None else weight
    if isinstance(prior, Binary):
        w = _configurations(K)
        logs = field @ w.T - np.einsum("ck,kl,cl->c", w, precision, w) / 2
        largest = logs.max(axis=1, initial=-np.inf)
        chances = np.exp(logs - largest[:, None])
        total = chances.sum(axis=1)
        chances /= total[:, None]
        mean = chances @ w
        second = (w.T * (weight @ chances)) @ w
        return largest + np.log(total), mean, second - (mean.T * weight) @ mean
    covariance = np.linalg.inv(precision)
    mean = field @ covariance
    _, log_determinant = np.linalg.slogdet(precision)
    return np.sum(field * mean, axis=1) / 2 - log_determinant / 2 - K / 2, mean, covariance


@functools.lru_cache(maxsize=16)
def _configurations(K: int) -> np.ndarray:
    """All configurations of K signs, shape (2^K, K)."""
    return 2.0 * ((np.arange(2**K)[:, None] >> np.arange(K)) & 1) - 1


def norm_precision(precision: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""`precision` plus the multipliers at which every spherical unit has its norm; NaN without them.

    .. math:: [S + S M S]_{kk} = 1, \quad S = (A + \mathrm{diag}\, \lambda)^{-1}

    with M the `second` moments of the fields: where a convex function of lambda is least, found by Newton's method.
    """
    K = len(precision)
    failed = np.full((K, K), np.nan)
    if not (np.isfinite(precision).all() and np.isfinite(second).all()):
        return failed

    def value(lam: np.ndarray) -> float:
        total = precision + np.diag(lam)
        sign, log_determinant = np.linalg.slogdet(total)
        if sign <= 0 or np.linalg.eigvalsh(total)[0] <= 0:
            return math.inf
        return float(np.trace(second @ np.linalg.inv(total)) - log_determinant + lam.sum()) / 2

    lam = np.full(K, 1 + math.sqrt(np.trace(second)) + max(0.0, -np.linalg.eigvalsh(precision)[0]))
    for _ in range(200):
        S = np.linalg.inv(precision + np.diag(lam))
        SMS = S @ second @ S
        slope = (1 - np.diag(S) - np.diag(SMS)) / 2
        if np.abs(slope).max() < 1e-13:
            break
        step = np.linalg.solve(S * S / 2 + S * SMS, slope)
        size, here = 1.0, value(lam)
        while value(lam - size * step) > here + 1e-12 * abs(here) and size > 1e-10:
            size /= 2
        lam = lam - size * step
    return precision + np.diag(lam) if np.abs(slope).max() < 1e-9 else failed
