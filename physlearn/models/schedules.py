"""Schedules: how a parameter changes in the course of a run, as tuples of its values."""

import functools
import itertools
from collections.abc import Callable, Iterable
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


def rising(
    field: str, schedule: Any, what: str, check: Callable[[Any], float] | None = None, **limits: float
) -> tuple[float, ...]:
    """The values of a schedule of `what`, never decreasing, or an `InputError` that names the `field`.

    Each passes `check`; by default it is a number within the `limits`, as of `inputs.number`.
    """
    allowed = f"a sequence of {what}, at least one"
    values = tuple(member(field, schedule, Iterable, allowed))
    if not values:
        raise reject(field, values, allowed)
    check = check or functools.partial(number, field, **limits)
    checked = tuple(check(value) for value in values)
    if any(after < before for before, after in itertools.pairwise(checked)):
        raise reject(field, values, f"{what} that never decrease")
    return checked
