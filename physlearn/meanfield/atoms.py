"""What a prior is made of: atoms, or a density; and what a channel is."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_TINY = 1e-30
_REACH = 12.0
# Precisions (times the weight's second moment) at which atoms closer than a seventh of a weight's size are told
# apart, and far beyond: where both give the same entropy the prior is discrete.
_RESOLVING = (1e4, 2.5e5)
_ROUNDING = 1e-9


class Atoms(NamedTuple):
    """The weights of a discrete prior.

    Attributes
    ----------
    log_mass : float
        Mean of ln P_0({w}) over weights drawn from the prior: zero where it counts, -inf for continuous ones.
    are_equal : bool
        Whether all have the same mass.
    """

    log_mass: float
    are_equal: bool


@lru_cache(maxsize=64)
def atoms_of(prior, norm2: float) -> Atoms:
    r"""The atoms of a prior, from its behaviour in a field that tells the weight.

    The field of weight w at precision A is A w + sqrt(A) z. Where it tells the weight, the mean is w and
    ln Z_in = ln P_0({w}) + B w - A w^2/2, up to corrections exp(-c A) for atoms; for a density the logarithm falls
    without end, as -ln(A)/2.
    """
    means, deviation = [], 0.0
    for resolving in _RESOLVING:
        A = resolving / norm2
        # The density of the field is a mixture of unit Gaussians: for these the trapezoidal rule is exact.
        end = _REACH * math.sqrt(1 + resolving)
        z, step = np.linspace(-end, end, 1 << 17, retstep=True)
        field = math.sqrt(A) * z
        log_partition = prior.log_partition(field, A)
        zero = np.zeros(1)
        weight = (
            np.exp(log_partition - prior.log_partition(zero, zero) - z**2 / 2) * step / math.sqrt(2 * math.pi)
        )
        mean = prior.mean(field, A)
        log_mass = log_partition - field * mean + A * mean**2 / 2
        means.append(float(weight @ log_mass))
        deviation = max(deviation, math.sqrt(weight @ (log_mass - means[-1]) ** 2))
    if abs(means[1] - means[0]) > 1e-6:
        return Atoms(-math.inf, False)
    return Atoms(means[0] if abs(means[0]) > _ROUNDING else 0.0, deviation < 1e-6)


def is_hard(channel) -> bool:
    """Whether P(y|h) is zero or one everywhere, so that the measure counts configurations."""
    field = np.linspace(-12, 12, 241)
    field = field[np.all(np.abs(field - np.array(channel.edges)[:, None]) > 1e-6, axis=0)]
    labels = np.array(channel.labels, dtype=float)[:, None]
    with np.errstate(divide="ignore", under="ignore"):
        log_probability = np.maximum(channel.log_partition(labels, field, _TINY), -1e300)
    return bool(np.all(np.exp(log_probability) * np.abs(log_probability) < 1e-30))
