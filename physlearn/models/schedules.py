"""Schedules: how a parameter changes in the course of a run, as tuples of its values."""

import numpy as np

from physlearn.inputs import integer, number


def linear(start: float, stop: float, n: int) -> tuple[float, ...]:
    """`n` values from `start` to `stop`, both included, in equal steps."""
    start, stop = number("start", start), number("stop", stop)
    return tuple(np.linspace(start, stop, integer("n", n, at_least=1)).tolist())


def geometric(start: float, stop: float, n: int) -> tuple[float, ...]:
    """`n` positive values from `start` to `stop`, both included, in equal ratios."""
    start, stop = number("start", start, above=0), number("stop", stop, above=0)
    return tuple(np.geomspace(start, stop, integer("n", n, at_least=1)).tolist())
