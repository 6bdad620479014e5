"""Metropolis dynamics without its rejections: the flips and the proposals that passed before each.

While a configuration lasts, each proposal is accepted with the same probability p, the average over the weights of
min(1, e^{-beta dE_i - field cost}): the first that is accepted comes after a geometric number of them, and flips weight
i with probability proportional to its term. Drawing the two directly gives the very law of
`physlearn.kernels.metropolis`, with no work for rejections: theory/monte-carlo/derivation.md (RF.1) to (RF.3). Terms
may be replaced by bounds from above, as `physlearn.kernels.chances` has them, if what they exceed is rejected.

Replicas take turns as they do there: N | 1 proposals each. Each waits for its own next event, and the earliest of these
is the one that happens; then all wait anew, in their new fields, which a geometric law allows.
"""

import math

import numpy as np
from numba import njit

from physlearn.kernels import classes  # noqa: F401 - it registers its kind of bound
from physlearn.kernels.chances import chance_of, mark, pick, place, survey
from physlearn.kernels.flips import change, flip, helper, inlined, replica
from physlearn.kernels.metropolis import (
    ACCEPTED,
    ENERGY,
    ERRORS,
    FLIPS,
    LOWEST,
    OVERLAP,
    PROPOSALS,
    SWEEPS,
    mean_overlap,
    renew,
)

LONGEST = 1 << 62
"""Proposals that stand for ever."""

REFRESH = 64
"""Flips a weight after which all that is added up is computed afresh, so that rounding errors never build up."""

_LARGEST = 345.0  # field cost; beyond it no flip against the field is ever seen


def work_space(n_replicas: int, N: int, has_fields: bool) -> tuple[np.ndarray, ...]:
    """What `wait` works in: weights and squares summed over the replicas, field costs, events, rates."""
    return (
        np.zeros(N, dtype=np.int64),
        np.zeros(1, dtype=np.int64),
        np.zeros((n_replicas, N if has_fields else 0)),
        np.zeros(n_replicas, dtype=np.int64),
        np.zeros(n_replicas),
    )


@inlined
def waiting(chance, u):
    """Proposals up to and with the first success, each having this chance, from u uniform in [0, 1)."""
    if chance >= 1.0:
        return 1
    if chance <= 0.0:
        return LONGEST
    steps = math.log1p(-u) / math.log1p(-chance)
    return LONGEST if steps >= LONGEST else 1 + int(steps)


@inlined
def _field_cost(weights, total, a, i, pull, tether):
    """What a flip of weight i of replica a costs in the fields of the others and of the tether."""
    w = weights[a, i]
    cost = w * (pull[total[i] - w + weights.shape[0] - 1] + tether[i])
    return max(min(cost, _LARGEST), -_LARGEST)


@helper
def _begin(system, bound, weights, flipped, energies, errors, pull, tether, work):
    """Note the state of all weights; nothing is known of the chances yet."""
    n_replicas, N = weights.shape
    total, squares, costs, _, rates = work
    for i in range(N):
        total[i] = 0
        for a in range(n_replicas):
            total[i] += weights[a, i]
    squares[0] = 0
    for i in range(N):
        squares[0] += total[i] * total[i]
    for a in range(n_replicas):
        rates[a] = -1.0
        if flipped[a] % (REFRESH * N) == 0:
            renew(system, weights, energies, errors, a)
        for i in range(N):
            if costs.size:
                costs[a, i] = _field_cost(weights, total, a, i, pull, tether)
            mark(bound, a, i, weights[a, i], costs[a, i] if costs.size else 0.0)


@inlined
def _done(clock, span, n_replicas, a):
    """Proposals of replica a among the first `clock` of all."""
    turn = span * n_replicas
    return clock // turn * span + min(max(clock % turn - a * span, 0), span)


@inlined
def _when(due, span, n_replicas, a):
    """Where among those of all the proposal number `due` of replica a comes."""
    return (due - 1) // span * (span * n_replicas) + a * span + (due - 1) % span + 1


@inlined
def _next_event(system, bound, weights, clock, end, beta, work, rng):
    """The replica that is next to have an event up to `end`, -1 if none is, and the proposal at which it has."""
    n_replicas, N = weights.shape
    _, _, costs, due, rates = work
    span, first, time = N | 1, -1, end
    for a in range(n_replicas):
        if rates[a] < 0.0:
            rates[a] = survey(replica(system, a), bound, a, weights[a], beta, costs[a])
        if due[a] == 0:
            due[a] = _done(clock, span, n_replicas, a) + waiting(rates[a] / N, rng.random())
        if due[a] <= end // n_replicas:
            at = _when(due[a], span, n_replicas, a)
            if first < 0 or at < time:
                first, time = a, at
    return first, time


@inlined
def _pass_time(energies, errors, squares, N, steps, record):
    """Count so many proposals in the record."""
    n_replicas = energies.size
    energy, n_errors = 0.0, 0
    for a in range(n_replicas):
        energy += energies[a]
        n_errors += errors[a]
    record[ENERGY] += energy * steps
    record[ERRORS] += n_errors * steps
    record[PROPOSALS] += steps
    record[OVERLAP] += steps * mean_overlap(squares[0], N, n_replicas)


@inlined
def _flip(system, bound, weights, best, counts, flipped, energies, errors, a, i, cost, pull, tether, work):
    """Flip weight i of replica a, whose chances are to be surveyed then; those of the others change at i alone."""
    n_replicas, N = weights.shape
    total, squares, costs, _, rates = work
    w, one = np.int64(weights[a, i]), replica(system, a)
    weights[a, i] = -w
    errors[a] += flip(one, i, w, cost)
    energies[a] += cost
    counts[FLIPS] += 1
    flipped[a] += 1
    if flipped[a] % (REFRESH * N) == 0:
        renew(system, weights, energies, errors, a)
    if errors[a] < counts[LOWEST]:
        counts[LOWEST] = errors[a]
        for j in range(N):
            best[j] = weights[a, j]
    rates[a] = -1.0
    squares[0] -= 4 * w * total[i] - 4
    total[i] -= 2 * w
    for b in range(n_replicas):
        if costs.size:
            costs[b, i] = _field_cost(weights, total, b, i, pull, tether)
        mark(bound, b, i, weights[b, i], costs[b, i] if costs.size else 0.0)


@njit(cache=True, nogil=True, _nrt=False)
def wait(system, bound, weights, best, counts, flipped, waits, energies, errors, beta, pull, tether,
         n_sweeps, work, record, rng):  # fmt: skip
    """Metropolis sweeps without rejections, in place.

    Parameters
    ----------
    system : NamedTuple
        Of a kind that `kernels.flips` treats.
    bound : NamedTuple
        Of a kind that `kernels.chances` treats.
    weights, best, counts, energies, errors
        As of `metropolis.sweep`.
    flipped : int64 array (n_replicas,)
        Flips of each replica.
    waits : int64 array (n_replicas,)
        Proposals of each replica to its next event; 0 where that is not drawn yet.
    beta : float
    pull : float64 array (2 n_replicas - 1,)
        Twice the field on a weight of one replica, where those of the others add up to S = 1 - n_replicas ...
        n_replicas - 1.
    tether : float64 array (N,)
        Twice the external field.
    n_sweeps : int
        Of each replica.
    work : tuple of arrays
        Work space, from `work_space`.
    record : float64 array (5,)
        The columns of `metropolis.sweep`, where all but ACCEPTED and PROPOSALS are sums over the values after each
        proposal.
    rng : numpy.random.Generator
    """
    n_replicas, N = weights.shape
    span, clock, end = N | 1, 0, n_sweeps * (N | 1) * n_replicas
    _, squares, costs, due, rates = work
    _begin(system, bound, weights, flipped, energies, errors, pull, tether, work)
    for a in range(n_replicas):
        due[a] = waits[a] if n_replicas == 1 else 0
    while True:
        a, time = _next_event(system, bound, weights, clock, end, beta, work, rng)
        _pass_time(energies, errors, squares, N, time - clock, record)
        clock = time
        if a < 0:
            break
        i, limit = pick(bound, a, rng.random() * rates[a])
        due[a] = 0
        cost = change(replica(system, a), i, np.int64(weights[a, i]))
        x = beta * cost + (costs[a, i] if costs.size else 0.0)
        if rng.random() * limit >= chance_of(x):
            continue
        _pass_time(energies, errors, squares, N, -1, record)  # the flip belongs to its proposal
        _flip(system, bound, weights, best, counts, flipped, energies, errors, a, i, cost, pull, tether, work)
        _pass_time(energies, errors, squares, N, 1, record)
        record[ACCEPTED] += 1
        for b in range(n_replicas):
            if b != a:
                x = beta * change(replica(system, b), i, np.int64(weights[b, i])) + costs[b, i]
                rates[b] = place(bound, b, i, chance_of(x))
            due[b] = 0
    counts[SWEEPS] += n_sweeps
    for a in range(n_replicas):
        waits[a] = due[a] - n_sweeps * span
