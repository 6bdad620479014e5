"""Approximate message passing for units that share their inputs: what one unit learns correlates with the others."""

from typing import TYPE_CHECKING

import numpy as np

from physlearn.kernels.patterns import packed_products, products
from physlearn.models import Instance
from physlearn.models.joint import norm_precision, sites, votes

if TYPE_CHECKING:
    from physlearn.solvers.message_passing import AMPState


def posterior(
    instance: Instance, field: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (N,), covariance of the weights at an input averaged over the inputs (K, K), and the precision (K, K)."""
    prior, F = instance.model.prior, _by_input(instance, field)
    if prior.norm == "constrained":
        precision = norm_precision(precision, F.T @ F / len(F))
    _, mean, covariance = sites(prior, F, precision)
    return mean.T.ravel(), covariance, precision


def fields(
    instance: Instance, state: "AMPState"
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One pass to the patterns and back: cavity mean and covariance, gradient, field and precision (CM.7)."""
    D = instance.N // instance.model.n_hidden
    cavity_mean = _onto_patterns(instance, state.mean) - state.gradient @ state.variance
    cavity_variance = _floored(state.variance, 1 / D)
    _, gradient, jacobian = votes(instance.labels, cavity_mean, cavity_variance)
    precision = -jacobian.sum(axis=0) / D
    own = _by_input(instance, state.mean) @ precision
    field = _onto_weights(instance, gradient) + own.T.ravel()
    return cavity_mean, cavity_variance, gradient, field, precision


def free_entropy(instance: Instance, state: "AMPState", own: np.ndarray) -> float:
    """As that of independent units, with matrices (CM.8); `own` is the field without external field and pull."""
    K = instance.model.n_hidden
    D = instance.N // K
    # Where units know each other's weights V is singular; at a fixed point `away` = V g has no part beyond it.
    inverse = np.linalg.pinv(state.variance, hermitian=True)
    away = _onto_patterns(instance, state.mean) - state.cavity_mean
    logs, _, _ = votes(instance.labels, state.cavity_mean, state.cavity_variance)
    total = float(logs.sum() + np.sum(away @ inverse * away) / 2)
    mean = _by_input(instance, state.mean)
    logs, _, _ = sites(instance.model.prior, _by_input(instance, state.field), state.precision)
    total += float(logs.sum() - own @ state.mean)
    precision = state.precision - state.pull_precision
    return total + float(np.sum(precision * (mean.T @ mean + D * state.variance))) / 2


def _by_input(instance: Instance, vector: np.ndarray) -> np.ndarray:
    """A vector (N,) as (D, K)."""
    return vector.reshape(instance.model.n_hidden, -1).T


def _floored(covariance: np.ndarray, least: float) -> np.ndarray:
    return covariance + np.diag(np.maximum(least - np.diag(covariance), 0.0))


def _onto_patterns(instance: Instance, mean: np.ndarray) -> np.ndarray:
    """Sums of xi a/sqrt D over the inputs, for each unit: (P, K)."""
    units = mean.reshape(instance.model.n_hidden, -1)
    if instance.patterns.dtype == np.int8:
        each = [packed_products(instance.packed[0], unit) for unit in units]
    else:
        each = [products(instance.patterns, unit) for unit in units]
    return np.stack(each, axis=1) / np.sqrt(instance.n_inputs)


def _onto_weights(instance: Instance, gradient: np.ndarray) -> np.ndarray:
    """Sums of xi g/sqrt D over the patterns, for the weights of all units: (N,)."""
    columns = np.ascontiguousarray(gradient.T)
    if instance.patterns.dtype == np.int8:
        each = [packed_products(instance.packed[1], column) for column in columns]
    else:
        each = [column @ instance.patterns for column in columns]
    return np.concatenate(each) / np.sqrt(instance.n_inputs)
