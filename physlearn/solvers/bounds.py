"""What rejection-free dynamics draws its events from, laid out for each kind of system."""

import math
from typing import Any

import numpy as np

from physlearn.kernels.bits import BLOCK, aligned_words, columns_as_bits
from physlearn.kernels.chances import GROUP, Listed
from physlearn.kernels.classes import N_CLASSES, Sliced
from physlearn.kernels.scans import RealCrossEntropy, RealErrors, RealLinear, RealVotes, SignTable
from physlearn.models import Instance

SPACING = 0.2
"""Between the levels that entries of real patterns are compared with, in units of their root mean square."""

N_LEVELS = 8
"""Such levels; satisfied patterns further from their bound are left out."""

FINEST = 0.005
"""Smallest unit of beta dE: where it is less, bounds are loose, and nothing is rejected anyway."""

_PRECISION = 32  # units in the largest coefficient, where they are no multiples of one


def bounds(instance: Instance, system: Any, n_replicas: int, beta: float, field_cost: float | None) -> Any:
    """The bound for a system of `flips`; `field_cost` is the largest there can be, None where there are no fields."""
    if isinstance(system, (SignTable, RealLinear, RealCrossEntropy)):
        n_groups = -(-instance.N // GROUP)
        return Listed(np.zeros((n_replicas, n_groups * GROUP)), np.zeros((n_replicas, n_groups)))
    return _sliced(instance, system, n_replicas, beta, field_cost)


def _sliced(instance: Instance, system: Any, y: int, beta: float, field_cost: float | None) -> Sliced:
    K = instance.model.n_hidden
    D, P, apart = instance.N // K, instance.P, instance.P if instance.n_inputs == instance.N else 0
    rows, levels, spacing, reach = _rows(instance, D)
    n_words = rows.shape[1]
    unit, steps, amount = _units(system, beta, field_cost is not None)
    lowest, n_fields = 0, 0
    if field_cost is not None:
        lowest = -math.ceil(min(field_cost, 345.0) / unit) - 1
        n_fields = (-2 * lowest).bit_length()
    width = max(1, round(1 / unit))
    tops = width * np.arange(N_CLASSES)
    n_planes = (4 * amount * max(1, P) + (1 << n_fields) + 8).bit_length()
    sites = np.zeros((D, 1), dtype=bool)
    return Sliced(
        rows,
        levels,
        spacing,
        reach,
        np.array([D]),
        np.array([apart]),
        steps,
        np.array([beta / unit]),
        np.array([unit]),
        np.exp(-unit * np.maximum(0, width * np.arange(-1, N_CLASSES) + 1)),
        tops,
        np.tile(columns_as_bits(~sites)[0], K),
        aligned_words(y, K * n_words),
        aligned_words(y, K * n_words // BLOCK, n_fields, BLOCK),
        np.array([lowest]),
        aligned_words(y, N_CLASSES + 1, K * n_words),
        np.zeros((y, N_CLASSES + 1), dtype=np.int64),
        np.zeros(y, dtype=np.int64),
        np.zeros((K * P * max(2, len(steps)) + 1, 5), dtype=np.int64),
        np.zeros((K, 2), dtype=np.int64),
        aligned_words(1, n_words),
        aligned_words(K * n_words * n_planes),
    )


def _units(system: Any, beta: float, has_fields: bool) -> tuple[float, np.ndarray, int]:
    """The unit of x, the steps of the masks in it, and how much a pattern may count in all."""
    if isinstance(system, RealErrors):
        coefficients = np.ones(1)
    elif isinstance(system, RealVotes):
        coefficients = system.unit[0] * np.unique(np.abs(np.diff(system.terms))).astype(float)
    else:
        coefficients = system.coefficients.astype(float)
    sizes = np.abs(coefficients[coefficients != 0])
    if not len(sizes):
        sizes = np.ones(1)
    unit = float(sizes.min())
    if np.abs(sizes / unit - np.rint(sizes / unit)).max() > 1e-9 or sizes.max() > 8 * unit:
        unit = float(sizes.max()) / _PRECISION
    unit *= beta
    if has_fields and unit > 0.5:
        unit /= 2 ** min(6, math.ceil(math.log2(unit / 0.5)))
    unit = max(unit, FINEST)
    steps = np.floor(beta * coefficients / unit + 1e-9).astype(np.int64)
    amount = int((np.ceil(np.abs(beta * coefficients) / unit) + 1).sum())
    return unit, steps, amount


def _rows(instance: Instance, D: int) -> tuple[np.ndarray, ...]:
    """`rows`, `levels`, `spacing` and `reach`: patterns as bits along the weights of each unit."""
    gauged = instance.gauged
    parts = np.concatenate(np.split(gauged, gauged.shape[1] // D, axis=1))
    rows = columns_as_bits(parts.T)
    if instance.patterns.dtype == np.int8:
        none = np.zeros(len(parts))
        return rows, aligned_words(len(parts), 0, rows.shape[1]), none, none
    reach = np.abs(parts).max(axis=1, initial=0.0)
    unit = np.where(reach > 0, reach, 1.0)  # no square leaves the range of doubles
    spacing = SPACING * unit * np.sqrt(np.mean(np.square(parts / unit[:, None]), axis=1))
    levels = aligned_words(len(parts), N_LEVELS, rows.shape[1])
    for k in range(N_LEVELS):
        levels[:, k] = columns_as_bits((np.abs(parts) > (k + 1) * spacing[:, None]).T)
    return rows, levels, np.where(spacing > 0, spacing, 1.0), reach
