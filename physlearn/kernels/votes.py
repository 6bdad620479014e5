"""Flips in committees with +-1 patterns, in bits: who votes how, and whose vote decides.

Unit k of K has a counter c_k for each pattern, and agrees with its label where c_k >= v. A flip in unit k changes only
that counter, by one: only patterns with c_k = v - 1 or v, *near* the unit's edge, see the vote change.
"""

from typing import Any, NamedTuple

import numpy as np

from physlearn.kernels.bits import BLOCK, common_bits, increment, popcount, straddling
from physlearn.kernels.flips import ALL, NONE, helper, inlined, register


class Votes(NamedTuple):
    """Any function of the number a of units that agree: the number of errors, or the cross-entropy.

    A pattern near the edge of unit k whose other units agree j times has j or j + 1 votes: it belongs to mask j of the
    unit, and a flip that wins the vote changes the energy by -coefficients[j]. See
    theory/single-flips/derivation.md (V.1).

    Attributes
    ----------
    columns : uint64 array (N or N/K, n_words)
        Gauged patterns; with fewer rows than weights, all units have the same.
    valid : uint64 array (1, n_words)
    size, edge : int64 arrays (1,)
        N/K; and v, from 1 to N/K.
    levels : int64 array (n_masks,)
        The numbers j of other votes at which the energy changes.
    coefficients : int64 or float64 array (n_masks,)
        Energy with j votes less that with j + 1.
    terms : int64 or float64 array (K + 1,)
        Energy of a pattern with a votes.
    exact : uint64 array (K + 1, n_words)
        Work space: patterns with a votes.
    planes : uint64 array (n_replicas, K, n_blocks, n_planes, 8)
        The counters, each plus the flips of its unit.
    agree, near : uint64 arrays (n_replicas, K, n_words)
        Patterns with c_k >= v, and with c_k = v - 1 or v.
    masks : uint64 array (n_replicas, K n_masks, n_words)
    sizes : int64 array (n_replicas, K, 2)
        Work space.
    base : int64 or float64 array (n_replicas, K, 2)
    flips : int64 array (n_replicas, K)
    votes : int64 array (n_replicas, K + 1)
        Patterns with a votes.
    """

    columns: Any
    valid: Any
    size: Any
    edge: Any
    levels: Any
    coefficients: Any
    terms: Any
    exact: Any
    planes: Any
    agree: Any
    near: Any
    masks: Any
    sizes: Any
    base: Any
    flips: Any
    votes: Any


def _votes_replica(system, a):
    return Votes(
        system.columns,
        system.valid,
        system.size,
        system.edge,
        system.levels,
        system.coefficients,
        system.terms,
        system.exact,
        system.planes[a],
        system.agree[a],
        system.near[a],
        system.masks[a],
        system.sizes[a],
        system.base[a],
        system.flips[a],
        system.votes[a],
    )


@inlined
def _row(system, i, k):
    """Where the patterns of weight i of unit k are."""
    return i if system.columns.shape[0] > system.size[0] else i - k * system.size[0]


def _unit_change(system, i, w):
    """Energy change of a committee with +-1 patterns."""
    n_masks = system.coefficients.size
    k = i // system.size[0]
    row = _row(system, i, k)
    common = system.base[0, 0] * 0
    for r in range(n_masks):
        common += system.coefficients[r] * common_bits(system.columns, row, system.masks, k * n_masks + r)
    return system.base[k, (w + 1) >> 1] + w * common


@helper
def _cross_edge(system, i, k, w):
    """Let the patterns near the edge of unit k agree where they move up, and not where they move down."""
    row, upward = _row(system, i, k), ALL if w > 0 else NONE
    for word in range(system.columns.shape[1]):
        near, agree = system.near[k, word], system.agree[k, word]
        system.agree[k, word] = (agree & ~near) | (near & (system.columns[row, word] ^ upward))


@helper
def _count_votes(system):
    """Patterns with exactly a votes, in `exact`."""
    K, n_words = system.agree.shape
    for word in range(n_words):
        system.exact[0, word] = system.valid[0, word]
    for k in range(K):
        for word in range(n_words):
            system.exact[k + 1, word] = system.exact[k, word] & system.agree[k, word]
        for a in range(k, 0, -1):
            for word in range(n_words):
                agree = system.agree[k, word]
                system.exact[a, word] = (system.exact[a, word] & ~agree) | (system.exact[a - 1, word] & agree)
        for word in range(n_words):
            system.exact[0, word] &= ~system.agree[k, word]


def _votes_flip(system, i, w, change):
    k = i // system.size[0]
    K = system.agree.shape[0]
    before = 0
    for a in range(K // 2 + 1):
        before += system.votes[a]
    _cross_edge(system, i, k, w)
    increment(system.planes[k], 1, system.columns, _row(system, i, k), ALL if w > 0 else NONE)
    system.flips[k] += 1
    straddling(system.planes[k], system.valid, system.edge[0] + system.flips[k], system.near, system.sizes, k)
    _find_pivotal(system)
    after = 0
    for a in range(K // 2 + 1):
        after += system.votes[a]
    return after - before


@helper
def _find_pivotal(system):
    """Masks, bases and votes, where the units' agreement has changed."""
    K, n_words = system.agree.shape
    n_masks = system.levels.size
    _count_votes(system)
    for a in range(K + 1):
        system.votes[a] = 0
        for word in range(n_words):
            system.votes[a] += popcount(system.exact[a, word])
    for k in range(K):
        system.base[k, 0], system.base[k, 1] = 0, 0
        for r in range(n_masks):
            j, n_all, n_below = system.levels[r], 0, 0
            for word in range(n_words):
                agree = system.agree[k, word]
                others = (system.exact[j + 1, word] & agree) | (system.exact[j, word] & ~agree)
                mask = system.near[k, word] & others
                system.masks[k * n_masks + r, word] = mask
                n_all += popcount(mask)
                n_below += popcount(mask & ~agree)
            system.base[k, 0] += system.coefficients[r] * (n_all - n_below)
            system.base[k, 1] -= system.coefficients[r] * n_below


def _votes_refresh(system, weights):
    for k in range(system.agree.shape[0]):
        straddling(
            system.planes[k], system.valid, system.edge[0] + system.flips[k], system.near, system.sizes, k
        )
    _find_pivotal(system)
    energy, errors = 0.0, 0
    for a in range(system.votes.size):
        energy += system.votes[a] * system.terms[a]
        if a <= system.agree.shape[0] // 2:
            errors += system.votes[a]
    return energy, errors


register(Votes, replica=_votes_replica, change=_unit_change, flip=_votes_flip, refresh=_votes_refresh)


class LinearVotes(NamedTuple):
    """Linear energy of a committee: the depths of as many units nearest to their edge as votes are missing.

    With d = v - 1 - c_k the steps to the edge, and h = (K - 1)/2, of the patterns where unit k is wrong a flip

    - that leads one step away costs two units in mask X: at most h other units have c_l >= c_k;
    - that leads one step nearer gains two in mask Y: at most h others have c_l > c_k, and c_k < v - 1;
    - across the edge changes the energy by `offset`, in mask M: near, and at most h others agree.

    theory/single-flips/derivation.md (L.6).

    Attributes
    ----------
    columns, valid, size, edge, exact, agree, near, sizes
        As of `Votes`.
    unit, offset : float64 arrays (1,)
        sqrt(K/N), and the energy at c_k = v - 1 in this unit: 1, or 0 where a unit has an even number of weights.
    coefficients : float64 array (2,) or (3,)
        Of X, Y and, if the offset is not zero, M.
    rank : uint64 array (K + 1, n_words)
        Work space.
    planes : uint64 array (n_replicas, K, n_blocks, n_planes, 8)
        The counters themselves.
    greater : uint64 array (n_replicas, K, K, n_words)
        Patterns with c_k > c_l.
    masks : uint64 array (n_replicas, K n_masks, n_words)
    base : float64 array (n_replicas, K, 2)
    errors : int64 array (n_replicas, 1)
    """

    columns: Any
    valid: Any
    size: Any
    edge: Any
    unit: Any
    offset: Any
    coefficients: Any
    exact: Any
    rank: Any
    planes: Any
    agree: Any
    near: Any
    greater: Any
    masks: Any
    sizes: Any
    base: Any
    errors: Any


def _ranked_replica(system, a):
    return LinearVotes(
        system.columns,
        system.valid,
        system.size,
        system.edge,
        system.unit,
        system.offset,
        system.coefficients,
        system.exact,
        system.rank,
        system.planes[a],
        system.agree[a],
        system.near[a],
        system.greater[a],
        system.masks[a],
        system.sizes[a],
        system.base[a],
        system.errors[a],
    )


@helper
def _step(system, i, k, w):
    """Change the counters of unit k by one: down by borrowing, up by carrying."""
    row, downward = _row(system, i, k), NONE if w > 0 else ALL
    for block in range(system.planes.shape[1]):
        for b in range(BLOCK):
            down = system.columns[row, block * BLOCK + b] ^ downward
            carry = ALL
            for p in range(system.planes.shape[2]):
                plane = system.planes[k, block, p, b]
                system.planes[k, block, p, b] = plane ^ carry
                carry &= plane ^ down


@helper
def _compare(system, k, other):
    """Patterns with c_k > c_l, and with c_l > c_k, where l is the other unit."""
    for block in range(system.planes.shape[1]):
        for b in range(BLOCK):
            same, greater, smaller = system.valid[0, block * BLOCK + b], NONE, NONE
            for p in range(system.planes.shape[2] - 1, -1, -1):
                first, second = system.planes[k, block, p, b], system.planes[other, block, p, b]
                greater |= same & first & ~second
                smaller |= same & second & ~first
                same &= ~(first ^ second)
            system.greater[k, other, block * BLOCK + b] = greater
            system.greater[other, k, block * BLOCK + b] = smaller


@helper
def _at_most(system, k, strictly):
    """Patterns where at most (K - 1)/2 others have c_l > c_k, or c_l >= c_k if not `strictly`: in rank[(K - 1)/2]."""
    K, n_words = system.agree.shape
    half = K // 2
    for a in range(half + 1):
        for word in range(n_words):
            system.rank[a, word] = system.valid[0, word]  # at most a of none
    for other in range(K):
        if other == k:
            continue
        for a in range(half + 1):
            # from at most half downwards, so that the entry of one less is still that without unit l
            at = half - a
            for word in range(n_words):
                ahead = system.greater[other, k, word] if strictly else ~system.greater[k, other, word]
                fewer = system.rank[at - 1, word] if at else NONE
                system.rank[at, word] &= ~ahead | fewer


@helper
def _rank(system):
    """Masks, bases and errors, where counters have changed."""
    K, n_words = system.agree.shape
    n_masks, half = system.coefficients.size, K // 2
    _count_votes(system)
    errors = 0
    for a in range(half + 1):
        for word in range(n_words):
            errors += popcount(system.exact[a, word])
    system.errors[0] = errors
    for k in range(K):
        row = k * n_masks
        n_away, n_nearer, n_all, n_below = 0, 0, 0, 0
        _at_most(system, k, False)
        for word in range(n_words):
            mask = system.rank[half, word] & ~system.agree[k, word]
            system.masks[row, word] = mask
            n_away += popcount(mask)
        _at_most(system, k, True)
        for word in range(n_words):
            mask = system.rank[half, word] & ~system.agree[k, word] & ~system.near[k, word]
            system.masks[row + 1, word] = mask
            n_nearer += popcount(mask)
        if n_masks == 3:
            for word in range(n_words):
                system.rank[0, word] = NONE
            for a in range(half + 1):
                for word in range(n_words):
                    agree = system.agree[k, word]
                    others = (system.exact[a + 1, word] & agree) | (system.exact[a, word] & ~agree)
                    system.rank[0, word] |= others & system.near[k, word]
            for word in range(n_words):
                mask = system.rank[0, word]
                system.masks[row + 2, word] = mask
                n_all += popcount(mask)
                n_below += popcount(mask & ~system.agree[k, word])
        inward = -2.0 * n_nearer - system.offset[0] * n_below
        everything = 2.0 * (n_away + n_nearer) + system.offset[0] * n_all
        system.base[k, 0] = system.unit[0] * (everything + inward)
        system.base[k, 1] = system.unit[0] * inward


def _ranked_flip(system, i, w, change):
    k = i // system.size[0]
    before = system.errors[0]
    _cross_edge(system, i, k, w)
    _step(system, i, k, w)
    straddling(system.planes[k], system.valid, system.edge[0], system.near, system.sizes, k)
    for other in range(system.agree.shape[0]):
        if other != k:
            _compare(system, k, other)
    _rank(system)
    return system.errors[0] - before


def _ranked_refresh(system, weights):
    K, n_words = system.agree.shape
    for k in range(K):
        straddling(system.planes[k], system.valid, system.edge[0], system.near, system.sizes, k)
        for other in range(k):
            _compare(system, k, other)
    _rank(system)
    depths = 0.0
    for word in range(n_words):
        for bit in range(64):
            if not (system.valid[0, word] >> np.uint64(bit)) & np.uint64(1):
                continue
            for k in range(K):
                # The wrong units with at most (K - 1)/2 ahead of them, ties in order, are those that count.
                count, ahead = _counter(system, k, word, bit), 0
                for other in range(K):
                    rival = _counter(system, other, word, bit)
                    ahead += rival > count or (rival == count and other < k)
                if count < system.edge[0] and ahead <= K // 2:
                    depths += 2.0 * (system.edge[0] - 1 - count) + system.offset[0]
    return system.unit[0] * depths, system.errors[0]


@helper
def _counter(system, k, word, bit):
    count = np.int64(0)
    for p in range(system.planes.shape[2]):
        plane = system.planes[k, word // BLOCK, p, word % BLOCK]
        count |= np.int64((plane >> np.uint64(bit)) & np.uint64(1)) << p
    return count


register(
    LinearVotes, replica=_ranked_replica, change=_unit_change, flip=_ranked_flip, refresh=_ranked_refresh
)
