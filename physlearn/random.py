"""The one place where seeds become streams.

A scan addresses its streams by key, so that a result depends neither on the number of workers nor on which other
points were computed: disorder by ``(DISORDER, N, instance)``, dynamics by ``(DYNAMICS, hash of the point, instance)``.
"""

import enum
import hashlib
import json
import numbers
from typing import Any, NamedTuple

import numpy as np

from physlearn.inputs import integer, reject


class Key(enum.IntEnum):
    """First word of every spawn key: what the stream is for."""

    DISORDER = 0
    DYNAMICS = 1


class Streams(NamedTuple):
    """The random generators of one task.

    Attributes
    ----------
    disorder : numpy.random.Generator
        Teacher, patterns and labels; shared by all points with the same N and instance.
    dynamics : numpy.random.Generator
        The solver's own randomness; its own for every point.
    """

    disorder: np.random.Generator
    dynamics: np.random.Generator


def generator(rng: Any, field: str = "rng") -> np.random.Generator:
    """`rng` as a Generator: a Generator is passed on, a seed or SeedSequence makes a new one.

    There is no default: a fixed or hidden seed is never used.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, np.random.SeedSequence):
        return np.random.default_rng(rng)
    if isinstance(rng, numbers.Integral) and not isinstance(rng, bool) and int(rng) >= 0:
        return np.random.default_rng(int(rng))
    raise reject(field, rng, "a numpy.random.Generator, a SeedSequence or an integer seed >= 0")


def canonical(value: Any) -> Any:
    """`value` in a form whose JSON is the same for equal points (1 and 1.0, tuples and lists, NumPy and Python)."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, numbers.Integral) and abs(int(value)) > 2**53:
        return str(int(value))  # no float tells it from its neighbours
    if isinstance(value, numbers.Real):
        return float(value).hex()
    if isinstance(value, dict):
        return {str(key): canonical(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [canonical(item) for item in value]
    return value if value is None or isinstance(value, str) else repr(value)


def point_hash(point: dict[str, Any]) -> tuple[int, ...]:
    """Four 32-bit words that depend on the names and values of `point` only (not on their order)."""
    text = json.dumps(canonical(point), sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return tuple(int(word) for word in np.frombuffer(digest, dtype="<u4"))


def streams(seed: int, point: dict[str, Any], instance: int) -> Streams:
    """The streams of `instance` at `point`; ``point["N"]`` (0 where absent) addresses the disorder."""
    seed = integer("seed", seed, at_least=0)
    N = point.get("N", 0)
    N = integer("N", int(N) if isinstance(N, float) and N.is_integer() else N, at_least=0)
    disorder = np.random.SeedSequence(seed, spawn_key=(Key.DISORDER, N, instance))
    dynamics = np.random.SeedSequence(seed, spawn_key=(Key.DYNAMICS, *point_hash(point), instance))
    return Streams(np.random.default_rng(disorder), np.random.default_rng(dynamics))
