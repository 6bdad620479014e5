"""Schedules: how a parameter changes in the course of a run, as tuples of its values."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from physlearn.inputs import integer, member, number, reject


def linear(start: float, stop: float, n: int) -> tuple[float, ...]:
    """`n` values from `start` to `stop`, both included, in equal steps."""
    start, stop = number("start", start), number("stop", stop)
    return tuple(np.linspace(start, stop, integer("n", n, at_least=1)).tolist())


def geometric(start: float, stop: float, n: int) -> tuple[float, ...]:
    """`n` positive values from `start` to `stop`, both included, in equal ratios."""
    start, stop = number("start", start, above=0), number("stop", stop, above=0)
    return tuple(np.geomspace(start, stop, integer("n", n, at_least=1)).tolist())


def rising(field: str, schedule: Any, what: str) -> tuple[float, ...]:
    """The values of a schedule of `what`, >= 0 and never decreasing, or an `InputError` that names the `field`."""
    allowed = f"{what} >= 0, at least one"
    values = tuple(member(field, schedule, Iterable, allowed))
    if not values:
        raise reject(field, values, allowed)
    values = tuple(number(field, value, at_least=0) for value in values)
    if any(after < before for before, after in itertools.pairwise(values)):
        raise reject(field, values, f"{what} that never decrease")
    return values
