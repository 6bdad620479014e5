"""Bounds of the chances of all flips at once, from which flips are drawn without rejections.

The chance of weight i is min(1, e^{-x_i}), x_i = beta dE_i + field cost. A *bound* is a named tuple of arrays that
holds, for each replica (first axis), chances that are at least the true ones. Four functions treat its two kinds:

survey(system, bound, a, weights, beta, costs)
    All bounds of replica a anew; returns their sum, the rate.
pick(bound, a, target)
    The weight at this distance 0 <= target < rate along the line of all bounds, and its bound.
place(bound, a, i, chance)
    Gives weight i a bound for this chance, which has changed; returns the rate.
mark(bound, a, i, w, cost)
    Notes the value of a weight and its field cost, for kinds that keep them.

`Listed`, here, computes every chance; `Sliced` of `kernels.classes` sorts the weights into a few classes.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from physlearn.kernels.flips import by_kind, change, helper, inlined, register

GROUP = 32
"""Chances of a `Listed` bound that are added up together."""


survey, pick, place = by_kind("survey", at=1), by_kind("pick"), by_kind("place")
mark = by_kind("mark", is_optional=True)


class Listed(NamedTuple):
    """The chances themselves, from one energy change after the other.

    Attributes
    ----------
    chances : float64 array (n_replicas, n_groups GROUP)
        Zero beyond the N weights.
    sums : float64 array (n_replicas, n_groups)
    """

    chances: Any
    sums: Any


@inlined
def chance_of(x):
    """min(1, e^{-x})."""
    return math.exp(-max(x, 0.0))


@helper
def _add_group(bound, a, group):
    total = 0.0
    for i in range(group * GROUP, group * GROUP + GROUP):
        total += bound.chances[a, i]
    bound.sums[a, group] = total


@helper
def _add_groups(bound, a):
    rate = 0.0
    for group in range(bound.sums.shape[1]):
        rate += bound.sums[a, group]
    return rate


def _listed_survey(system, bound, a, weights, beta, costs):
    for i in range(weights.size):
        x = beta * change(system, i, np.int64(weights[i]))
        bound.chances[a, i] = chance_of(x + costs[i] if costs.size else x)
    for group in range(bound.sums.shape[1]):
        _add_group(bound, a, group)
    return _add_groups(bound, a)


def _listed_pick(bound, a, target):
    found = -1
    for group in range(bound.sums.shape[1]):
        if bound.sums[a, group] > 0.0:
            found = group
            if target < bound.sums[a, group]:
                break
            target -= bound.sums[a, group]
    last = -1
    for i in range(found * GROUP, found * GROUP + GROUP):
        if bound.chances[a, i] > 0.0:
            last = i
            if target < bound.chances[a, i]:
                break
            target -= bound.chances[a, i]
    return last, bound.chances[a, last]


def _listed_place(bound, a, i, chance):
    bound.chances[a, i] = chance
    _add_group(bound, a, i // GROUP)
    return _add_groups(bound, a)


register(Listed, survey=_listed_survey, pick=_listed_pick, place=_listed_place)
