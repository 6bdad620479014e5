"""The systems that kernels flip weights of: patterns and configurations laid out for each model and energy."""

import math
from typing import Any

import numpy as np

from physlearn.kernels.bits import aligned_words, columns_as_bits, counters_as_planes, n_blocks
from physlearn.kernels.flips import SignErrors, SignLinear
from physlearn.kernels.patterns import products
from physlearn.kernels.scans import RealCrossEntropy, RealErrors, RealLinear, RealVotes, SignTable
from physlearn.kernels.votes import LinearVotes, Votes
from physlearn.models import Instance, Majority
from physlearn.models.base import integer_bounds
from physlearn.models.energies import CrossEntropy, Energy, Errors, Linear


def flips(instance: Instance, energy: Energy, weights: np.ndarray) -> Any:
    """The system for an energy, at the configurations `weights`, int8 of shape (n_replicas, N)."""
    real, committee = instance.patterns.dtype != np.int8, isinstance(instance.model.channel, Majority)
    if isinstance(energy, Linear):
        if real:
            return _real_linear(instance, weights)
        return _linear_votes(instance, weights) if committee else _sign_linear(instance, weights)
    if committee:
        return (_real_votes if real else _votes)(instance, energy, weights)
    if isinstance(energy, Errors):
        return (_real_errors if real else _sign_errors)(instance, weights)
    assert isinstance(energy, CrossEntropy)
    return (_real_cross_entropy if real else _sign_table)(instance, energy, weights)


def _sums(instance: Instance, weights: np.ndarray) -> np.ndarray:
    """Gauged sums of the units, shape (n_replicas, n_units, P), float64: exact for +-1 patterns."""
    K, D = _units(instance)
    signs = instance.labels.astype(np.float64)
    inputs = [instance.patterns] * K
    if K > 1 and instance.n_inputs > D:
        inputs = [np.ascontiguousarray(instance.patterns[:, k * D : (k + 1) * D]) for k in range(K)]
    each = [
        [signs * products(x, unit) for x, unit in zip(inputs, w.reshape(K, D), strict=True)] for w in weights
    ]
    return np.array(each).reshape(len(weights), K, instance.P)


def _units(instance: Instance) -> tuple[int, int]:
    """Number of units, and of weights of each."""
    K = instance.model.n_hidden
    return K, instance.N // K


def _bits(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    columns = columns_as_bits(instance.patterns == instance.labels[:, None])
    return columns, columns_as_bits(np.ones((instance.P, 1), dtype=bool))


def _masks(instance: Instance, *shape: int) -> np.ndarray:
    return aligned_words(*shape, 8 * n_blocks(instance.P))


def _marked(instance: Instance, chosen: np.ndarray) -> np.ndarray:
    """A bool array (..., P) as bits (..., n_words)."""
    words = _masks(instance, *chosen.shape[:-1])
    flat = chosen.reshape(math.prod(chosen.shape[:-1]), instance.P)
    words.reshape(len(flat), words.shape[-1])[:] = columns_as_bits(np.ascontiguousarray(flat.T))
    return words


def _planes(counters: np.ndarray, highest: int) -> np.ndarray:
    """Counters (..., P) in 0 ... highest as planes (..., n_blocks, n_planes, 8)."""
    n_planes = highest.bit_length()
    planes = aligned_words(*counters.shape[:-1], n_blocks(counters.shape[-1]), n_planes, 8)
    flat = planes.reshape(math.prod(counters.shape[:-1]), *planes.shape[-3:])
    for k, values in enumerate(counters.reshape(len(flat), counters.shape[-1])):
        flat[k] = counters_as_planes(values, n_planes)
    return planes


def _counters(instance: Instance, weights: np.ndarray) -> np.ndarray:
    """Sites where the gauged patterns agree with the weights, int64 of shape (n_replicas, n_units, P)."""
    return (_units(instance)[1] + _sums(instance, weights).astype(np.int64)) // 2


def _sign_errors(instance: Instance, weights: np.ndarray) -> SignErrors:
    N, y = instance.N, len(weights)
    columns, valid = _bits(instance)
    # 2c - N inside the bounds: c from `first` to `last`. Edges nothing can cross are left out.
    lower, upper = integer_bounds(instance.model.channel.bounds, N)
    first, last = -(-(lower + N) // 2), (upper + N) // 2
    edges = [(v, sign) for v, sign in ((first, 1), (last + 1, -1)) if 1 <= v <= N and first <= last]
    values, signs = np.array(edges, dtype=np.int64).reshape(-1, 2).T.copy()
    return SignErrors(
        columns,
        valid,
        values,
        signs,
        _planes(_counters(instance, weights)[:, 0], N),
        _masks(instance, y, len(edges)),
        np.zeros((y, len(edges), 2), dtype=np.int64),
        np.zeros((y, 1, 2), dtype=np.int64),
        np.zeros((y, 1), dtype=np.int64),
    )


def _sign_linear(instance: Instance, weights: np.ndarray) -> SignLinear:
    N, y, root = instance.N, len(weights), math.sqrt(instance.N)
    columns, valid = _bits(instance)
    lower, upper = instance.model.channel.bounds
    stabilities = (2 * np.arange(N + 1) - N) / root
    above, reached = np.count_nonzero(stabilities <= lower), np.count_nonzero(stabilities < upper)
    rows = []  # value, direction, offset and end of each edge, and whether c is beyond it
    if above:
        rows.append((above, 1, 2 * above - N - lower * root, above))
    if reached <= N:
        rows.append((reached, -1, 2 - (2 * reached - N) + upper * root, reached))
    counters = _counters(instance, weights)[:, 0]
    violated = (
        np.stack([counters < end if sign > 0 else counters >= end for _, sign, _, end in rows], axis=1)
        if rows
        else np.zeros((y, 0, instance.P), dtype=bool)
    )
    # All are violated on the wrong side of an edge that none can reach: nothing is near it.
    values = [v if 1 <= v <= N else -1 for v, *_ in rows]
    coefficients: list[float] = []
    for _, sign, offset, _ in rows:
        coefficients += [c * sign / root for c in ((3, 1) if offset == 1 else (3, 1, 1 - offset))]
    return SignLinear(
        columns,
        valid,
        np.array(values, dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
        np.array([row[3] for row in rows], dtype=np.int64),
        np.array([1 / root]),
        np.array(coefficients),
        _planes(counters, N),
        _masks(instance, y, len(coefficients)),
        _marked(instance, violated),
        _masks(instance, y, len(rows)),
        np.zeros((y, len(rows), 2), dtype=np.int64),
        np.zeros((y, 1, 2)),
        np.zeros((y, 1), dtype=np.int64),
    )


def _vote_terms(instance: Instance, energy: Energy) -> np.ndarray:
    """Energy of a pattern with a = 0 ... K votes."""
    K = instance.model.n_hidden
    votes = np.arange(K + 1)
    if isinstance(energy, CrossEntropy):
        return energy.of_stabilities((2 * votes - K) / math.sqrt(K), (0.0, math.inf))
    return (votes <= K // 2).astype(np.int64)


def _committee(instance: Instance, weights: np.ndarray) -> tuple[Any, ...]:
    """What committees have in common: columns, valid, size, edge, counters, agree."""
    _, D = _units(instance)
    edge, counters = D // 2 + 1, _counters(instance, weights)
    size, edges = np.array([D], dtype=np.int64), np.array([edge], dtype=np.int64)
    return *_bits(instance), size, edges, counters, _marked(instance, counters >= edge)


def _votes(instance: Instance, energy: Energy, weights: np.ndarray) -> Votes:
    (K, D), y = _units(instance), len(weights)
    columns, valid, size, edge, counters, agree = _committee(instance, weights)
    terms = _vote_terms(instance, energy)
    gaps = terms[:-1] - terms[1:]
    levels = np.flatnonzero(gaps)
    return Votes(
        columns,
        valid,
        size,
        edge,
        levels.astype(np.int64),
        gaps[levels],
        terms,
        _masks(instance, K + 1),
        _planes(counters, D),
        agree,
        _masks(instance, y, K),
        _masks(instance, y, K * len(levels)),
        np.zeros((y, K, 2), dtype=np.int64),
        np.zeros((y, K, 2), dtype=terms.dtype),
        np.zeros((y, K), dtype=np.int64),
        np.zeros((y, K + 1), dtype=np.int64),
    )


def _linear_votes(instance: Instance, weights: np.ndarray) -> LinearVotes:
    (K, D), y = _units(instance), len(weights)
    columns, valid, size, edge, counters, agree = _committee(instance, weights)
    unit, offset = 1 / math.sqrt(D), float(D % 2)
    coefficients = unit * np.array([2, 2, offset] if offset else [2.0, 2.0])
    return LinearVotes(
        columns,
        valid,
        size,
        edge,
        np.array([unit]),
        np.array([offset]),
        coefficients,
        _masks(instance, K + 1),
        _masks(instance, K + 1),
        _planes(counters, D),
        agree,
        _masks(instance, y, K),
        _masks(instance, y, K, K),
        _masks(instance, y, K * len(coefficients)),
        np.zeros((y, K, 2), dtype=np.int64),
        np.zeros((y, K, 2)),
        np.zeros((y, 1), dtype=np.int64),
    )


def _in_units(terms: np.ndarray, P: int) -> tuple[np.ndarray, float]:
    """Energies as integers in a power of two, small enough for a sum over P patterns to be an exact double."""
    _, exponent = math.frexp(float(np.abs(terms).max(initial=1.0)) * max(P, 1))
    unit = math.ldexp(1.0, exponent - 51)
    return np.rint(terms / unit).astype(np.int64), unit


def _sign_table(instance: Instance, energy: CrossEntropy, weights: np.ndarray) -> SignTable:
    N, y = instance.N, len(weights)
    bounds = instance.model.channel.bounds
    stabilities = (2 * np.arange(N + 1) - N) / math.sqrt(N)
    terms, unit = _in_units(energy.of_stabilities(stabilities, bounds), instance.P)
    wrong = ~((stabilities > bounds[0]) & (stabilities < bounds[1]))
    down, up = np.zeros_like(terms), np.zeros_like(terms)
    down[1:], up[:-1] = terms[:-1] - terms[1:], terms[1:] - terms[:-1]
    return SignTable(
        np.ascontiguousarray(instance.gauged.T),
        terms,
        down + up,
        down - up,
        wrong.astype(np.int64),
        np.array([unit]),
        np.ascontiguousarray(_counters(instance, weights)[:, 0]),
        np.zeros((y, instance.P), dtype=np.int64),
        np.zeros((y, 1), dtype=np.int64),
        np.zeros((y, 1), dtype=np.int64),
    )


def _columns(instance: Instance) -> np.ndarray:
    return np.ascontiguousarray(instance.gauged.T)


def _real_errors(instance: Instance, weights: np.ndarray) -> RealErrors:
    bounds = sum_bounds(instance.model.channel.bounds, instance.N)
    return RealErrors(
        _columns(instance), bounds, _sums(instance, weights), np.zeros((len(weights), 1), dtype=np.int64)
    )


def _real_linear(instance: Instance, weights: np.ndarray) -> RealLinear:
    K, D = _units(instance)
    bounds = (
        (0.0, math.inf) if isinstance(instance.model.channel, Majority) else instance.model.channel.bounds
    )
    sums = _sums(instance, weights)
    return RealLinear(
        _columns(instance),
        np.array([D], dtype=np.int64),
        np.array(bounds) * math.sqrt(D),
        sum_bounds(bounds, D),
        np.array([1 / math.sqrt(D)]),
        np.zeros(64),
        np.zeros(K),
        sums,
        np.full(sums.shape, -np.inf),
        np.zeros((len(weights), 1), dtype=np.int64),
    )


def _real_votes(instance: Instance, energy: Energy, weights: np.ndarray) -> RealVotes:
    terms, unit = _in_units(_vote_terms(instance, energy), instance.P)
    if isinstance(energy, Errors):
        terms, unit = _vote_terms(instance, energy), 1.0
    sums = _sums(instance, weights)
    return RealVotes(
        _columns(instance),
        np.array([_units(instance)[1]], dtype=np.int64),
        terms,
        np.array([unit]),
        sums,
        np.zeros(sums.shape, dtype=np.int64),
    )


def _real_cross_entropy(instance: Instance, energy: CrossEntropy, weights: np.ndarray) -> RealCrossEntropy:
    bounds, root = instance.model.channel.bounds, math.sqrt(instance.N)
    sums = _sums(instance, weights)
    return RealCrossEntropy(
        _columns(instance),
        sum_bounds(bounds, instance.N),
        np.array(bounds) * root,
        np.array([2 * energy.rate / root]),
        np.array([0.5 / energy.rate]),
        sums,
        np.zeros(sums.shape),
        np.zeros((len(weights), 1), dtype=np.int64),
    )


def sum_bounds(bounds: tuple[float, float], size: int) -> np.ndarray:
    """Smallest and largest double whose quotient by sqrt(size) is strictly inside the `bounds`."""
    root, ends = math.sqrt(size), []
    for bound, inward in zip(map(float, bounds), (1, -1), strict=True):
        end = bound * root
        if math.isfinite(end):
            while inward * (end / root - bound) > 0:
                end = math.nextafter(end, -inward * math.inf)
            while inward * (end / root - bound) <= 0:
                end = math.nextafter(end, inward * math.inf)
        ends.append(end)
    return np.array(ends)
