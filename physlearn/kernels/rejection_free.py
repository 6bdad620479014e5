"""Metropolis dynamics without its rejections: the flips and the proposals that passed before each.

While a configuration lasts, each proposal is accepted with the same probability p, the average over sites of
min(1, e^{-beta dE_i}): the first that is accepted comes after a geometric number of them, and flips site i with
probability proportional to its term. Drawing the two directly gives the very law of `physlearn.kernels.metropolis`,
with no work for rejections: theory/monte-carlo/derivation.md (RF.1) to (RF.3).

Both kernels end in the same arguments, changed in place:

weights : int8 array (N,)
counts : int64 array (4,)
    See ENERGY, FLIPS, WAIT.
beta : float
n_proposals : int64 array (n,)
    Proposals of each of the n records to make.
record : int64 array (n, 3)
    Sum of the energies after each proposal, flips accepted, proposals made.
rng : numpy.random.Generator
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic, overload

from physlearn.kernels.bits import BLOCK, increment, straddling

ENERGY, FLIPS, WAIT = range(3)
"""Meaning of the entries of `counts`: running energy, flips done, proposals to the next event (0: not drawn yet)."""

N_CLASSES = 16
"""Most classes of equal energy change that are counted; the sites beyond are proposed, and rejected, one by one."""

SHARE = 0.1
"""Classes are counted until those left would add less than this to the rate."""

LONGEST = 1 << 62
"""Proposals that stand for ever."""

REFRESH = 64
"""Flips a site after which real stabilities are computed afresh, so that rounding errors never build up."""

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
NONE = np.uint64(0)
ONE = np.uint64(1)


def ones(word):
    """Number of bits set in a uint64."""
    return int(np.bitwise_count(word))


def first_one(word):
    """Place of the lowest bit set in a uint64 other than zero."""
    return (int(word) & -int(word)).bit_length() - 1


@njit(cache=True, nogil=True)
def waiting(chance, u):
    """Proposals up to and with the first success, each having this chance, from u uniform in [0, 1)."""
    if chance >= 1.0:
        return 1
    if chance <= 0.0:
        return LONGEST
    steps = math.log1p(-u) / math.log1p(-chance)
    return LONGEST if steps >= LONGEST else 1 + int(steps)


@njit(cache=True, nogil=True)
def changes_as_planes(rows, up, signs, masks, sizes, planes):
    """Energy changes of all sites as bit-sliced counters: planes hold dE_i + offset, and the offset is returned.

    A pattern of a mask adds one to site i where its flip would violate it, or leave it violated: it moves the
    pattern down across an edge below which patterns are violated, or up across one above which they are. Where
    w_i = -1 the rows say the opposite of down; there the complement of the counter is counted down.

    Parameters
    ----------
    rows : uint64 array (P, n_words)
        Gauged patterns, as bits along the sites.
    up : uint64 array (n_words,)
        Bits of the sites with w_i = +1.
    signs, masks, sizes
        As for `sweep_signs`, from `bits.straddling`.
    planes : uint64 array (n_blocks, n_planes, 8)
        With n_planes enough for the number of patterns in all masks.
    """
    total, offset = 0, 0
    for e in range(signs.size):
        total += sizes[e, 1]
        offset += sizes[e, 0] if signs[e] > 0 else sizes[e, 1] - sizes[e, 0]
    for b in range(planes.shape[0]):
        for k in range(planes.shape[1]):
            start = NONE if total >> k & 1 else ALL
            for j in range(BLOCK):
                planes[b, k, j] = start & ~up[b * BLOCK + j]
    for e in range(signs.size):
        flip = NONE if signs[e] > 0 else ALL
        for x in range(masks.shape[1]):
            word = masks[e, x]
            while word != NONE:
                increment(planes, 0, rows, 64 * x + first_one(word), flip)
                word &= word - ONE
    for b in range(planes.shape[0]):
        for k in range(planes.shape[1]):
            for j in range(BLOCK):
                planes[b, k, j] ^= ~up[b * BLOCK + j]
    return offset


@njit(cache=True, nogil=True)
def move_at_most(planes, bound, rest, found):
    """Move the sites whose counter is at most `bound` from `rest` to `found` (bits), and return their number."""
    number = 0
    for b in range(planes.shape[0]):
        first = b * BLOCK
        for j in range(BLOCK):
            found[first + j] = ALL
        for k in range(planes.shape[1]):
            if bound >> k & 1:
                for j in range(BLOCK):
                    found[first + j] |= ~planes[b, k, j]
            else:
                for j in range(BLOCK):
                    found[first + j] &= ~planes[b, k, j]
        for j in range(BLOCK):
            found[first + j] &= rest[first + j]
            rest[first + j] &= ~found[first + j]
            number += ones(found[first + j])
    return number


@njit(cache=True, nogil=True)
def member(bits, rank):
    """The site of this rank among those whose bits are set."""
    for x in range(bits.size):
        n = ones(bits[x])
        if rank < n:
            word = bits[x]
            for _ in range(rank):
                word &= word - ONE
            return 64 * x + first_one(word)
        rank -= n
    return -1


@njit(cache=True, nogil=True)
def counter(planes, i):
    """The counter of site i."""
    word = i // 64
    value = 0
    for k in range(planes.shape[1]):
        value += int(planes[word // BLOCK, k, word % BLOCK] >> np.uint64(i % 64) & ONE) << k
    return value


@njit(cache=True, nogil=True)
def classes(planes, offset, chances, n_sites, classed, numbers):
    """Sort the sites into classes of equal energy change: n_classes, sites left over, rate.

    Class 0 is that of dE <= 0, class k that of dE = k; ``classed[N_CLASSES]``, which holds all sites at first,
    keeps those that are left. The rate counts these at the chance of the class that would come next, which is
    at least their own.
    """
    n_classes, rest, rate = 0, n_sites, 0.0
    while n_classes < N_CLASSES and rest * chances[n_classes] > SHARE * rate:
        bound = offset + n_classes
        number = rest
        if bound >> planes.shape[1]:
            classed[n_classes] = classed[N_CLASSES]
            classed[N_CLASSES] = NONE
        else:
            number = move_at_most(planes, bound, classed[N_CLASSES], classed[n_classes])
        numbers[n_classes] = number
        rest -= number
        rate += number * chances[n_classes]
        n_classes += 1
    return n_classes, rest, rate + rest * chances[n_classes]


@njit(cache=True, nogil=True)
def chosen(n_classes, rest, numbers, classed, chances, target):
    """The class, and the site in it, at this distance 0 <= target < rate along the line of all rates."""
    k = 0
    while k < n_classes and target >= numbers[k] * chances[k]:
        target -= numbers[k] * chances[k]
        k += 1
    if k == n_classes and rest == 0:  # by rounding
        k, target = 0, 0.0
        while numbers[k] == 0:
            k += 1
    n = numbers[k] if k < n_classes else rest
    return k, member(classed[k if k < n_classes else N_CLASSES], min(int(target / chances[k]), n - 1))


@njit(cache=True, nogil=True)
def wait_signs(
    columns,
    planes,
    valid,
    edges,
    signs,
    masks,
    rows,
    sites,
    up,
    space,
    weights,
    counts,
    beta,
    n_proposals,
    record,
    rng,
):
    """Rejection-free dynamics with +-1 patterns, in place.

    The counters of the patterns and the masks at the edges are those of `metropolis.sweep_signs`. Only patterns
    in the masks can make any difference, so that the energy changes of all sites are sums of these few rows of
    bits: added up in bit-sliced counters, 512 sites at a time, at each flip anew.

    Parameters
    ----------
    columns, planes, valid, edges, signs, masks
        As for `metropolis.sweep_signs`.
    rows : uint64 array (P, n_words)
        Gauged patterns, as bits along the sites.
    sites : uint64 array (n_words,)
        Bits of the N sites.
    up : uint64 array (n_words,)
        Bits of the sites with w_i = +1.
    space : uint64 array (n_words * n_planes,)
        Work space, for counters of up to P per edge.
    """
    N, n_words = weights.size, sites.size
    sizes = np.zeros((edges.size, 2), np.int64)
    classed, numbers = np.zeros((N_CLASSES + 1, n_words), np.uint64), np.zeros(N_CLASSES, np.int64)
    chances = np.array([math.exp(-beta * k) if k else 1.0 for k in range(N_CLASSES + 1)])
    changes, offset, n_classes, rest, rate, stale = space[:0].reshape((0, 1, BLOCK)), 0, 0, 0, 0.0, True
    for t in range(n_proposals.size):
        left = n_proposals[t]
        while left > 0:
            if stale:
                total, n_planes = 0, 1
                for e in range(edges.size):
                    straddling(planes, valid, edges[e] + counts[FLIPS], masks, sizes, e)
                    total += sizes[e, 1]
                while total >> n_planes:
                    n_planes += 1
                changes = space[: n_words * n_planes].reshape((n_words // BLOCK, n_planes, BLOCK))
                offset = changes_as_planes(rows, up, signs, masks, sizes, changes)
                classed[N_CLASSES] = sites
                n_classes, rest, rate = classes(changes, offset, chances, N, classed, numbers)
                stale = False
            if counts[WAIT] == 0:
                counts[WAIT] = waiting(rate / N, rng.random())
            steps = min(left, counts[WAIT])
            left -= steps
            counts[WAIT] -= steps
            record[t, 0] += counts[ENERGY] * steps
            record[t, 2] += steps
            if counts[WAIT] > 0:
                continue
            k, i = chosen(n_classes, rest, numbers, classed, chances, rng.random() * rate)
            change = counter(changes, i) - offset if k == 0 or k == n_classes else k
            if k == n_classes and rng.random() * chances[k] >= math.exp(-beta * change):
                continue
            increment(planes, 1, columns, i, ALL if weights[i] > 0 else NONE)
            weights[i] = -weights[i]
            up[i // 64] ^= ONE << np.uint64(i % 64)
            counts[FLIPS] += 1
            counts[ENERGY] += change
            record[t, 0] += change
            record[t, 1] += 1
            stale = True


@njit(cache=True, nogil=True)
def sum_up(columns, weights, bounds, sums, counts):
    """Compute the sums of real patterns and the energy afresh."""
    sums[:] = 0.0
    for i in range(weights.size):
        for mu in range(sums.size):
            sums[mu] += weights[i] * columns[i, mu]
    counts[ENERGY] = 0
    for mu in range(sums.size):
        counts[ENERGY] += (sums[mu] < bounds[0]) | (sums[mu] > bounds[1])


@njit(cache=True, nogil=True)
def least_changes(rows, reach, near, bounds, sums, pushes, changes):
    """Energy changes of all sites, shape (N,), without patterns that are satisfied by more than `near`.

    These can only be violated, so that no change is smaller than what is counted. The additions are the very ones
    that a flip does; rounding is monotonic, so that where the largest step crosses no bound, none does.
    """
    lower, upper = bounds[0], bounds[1]
    changes[:] = 0
    for mu in range(sums.size):
        total = sums[mu]
        below, above = total < lower, total > upper
        violated = below | above
        if below and total + reach[mu] < lower:
            continue
        if above and total - reach[mu] > upper:
            continue
        if not violated and total - near[mu] >= lower and total + near[mu] <= upper:
            continue
        if total + reach[mu] <= upper:
            for i in range(pushes.size):
                changes[i] += (total + pushes[i] * rows[mu, i] < lower) - violated
        elif total - reach[mu] >= lower:
            for i in range(pushes.size):
                changes[i] += (total + pushes[i] * rows[mu, i] > upper) - violated
        else:
            for i in range(pushes.size):
                moved = total + pushes[i] * rows[mu, i]
                changes[i] += ((moved < lower) | (moved > upper)) - violated


@njit(cache=True, nogil=True)
def change_of_reals(columns, bounds, sums, push, i):
    """The energy change of site i."""
    change = 0
    for mu in range(sums.size):
        moved = sums[mu] + push * columns[i, mu]
        change += (moved < bounds[0]) | (moved > bounds[1])
        change -= (sums[mu] < bounds[0]) | (sums[mu] > bounds[1])
    return change


@njit(cache=True, nogil=True)
def classes_of_reals(changes, chances, numbers):
    """The number of classes counted, sites left over, and the rate, as in `classes`."""
    n_classes, rest, rate = 0, changes.size, 0.0
    while n_classes < N_CLASSES and rest * chances[n_classes] > SHARE * rate:
        number = 0
        for i in range(changes.size):
            number += (changes[i] == n_classes) | (n_classes == 0) & (changes[i] < 0)
        numbers[n_classes] = number
        rest -= number
        rate += number * chances[n_classes]
        n_classes += 1
    return n_classes, rest, rate + rest * chances[n_classes]


@njit(cache=True, nogil=True)
def chosen_of_reals(n_classes, rest, numbers, changes, chances, target):
    """The class and the site at this distance along the line of all rates, as in `chosen`."""
    k = 0
    while k < n_classes and target >= numbers[k] * chances[k]:
        target -= numbers[k] * chances[k]
        k += 1
    if k == n_classes and rest == 0:  # by rounding
        k, target = 0, 0.0
        while numbers[k] == 0:
            k += 1
    n = numbers[k] if k < n_classes else rest
    rank = min(int(target / chances[k]), n - 1)
    for i in range(changes.size):
        if min(max(changes[i], 0), n_classes) == k:
            if rank == 0:
                return k, i
            rank -= 1
    return k, -1


@njit(cache=True, nogil=True)
def wait_reals(
    columns, rows, reach, near, bounds, sums, pushes, changes, weights, counts, beta, n_proposals, record, rng
):
    """Rejection-free dynamics with real patterns: lower bounds of all energy changes, at each flip anew.

    Sites are proposed as if these were the changes, and accepted by what is missing.

    Parameters
    ----------
    columns, rows : float64 arrays (N, P), (P, N)
        Gauged patterns.
    reach : float64 array (P,)
        Twice the largest entry of each pattern: how far a flip can move its sum.
    near : float64 array (P,)
        At most that: how far inside the bounds a satisfied pattern is left out of the lower bounds.
    bounds : float64 array (2,)
        Smallest and largest sum that satisfies a pattern.
    sums : float64 array (P,)
        The stabilities times sqrt(N).
    pushes : float64 array (N,)
        -2 w_i.
    changes : int32 array (N,)
        Work space.
    """
    N, P = columns.shape
    chances = np.array([math.exp(-beta * k) if k else 1.0 for k in range(N_CLASSES + 1)])
    numbers, n_classes, rest, rate, stale = np.zeros(N_CLASSES, np.int64), 0, 0, 0.0, True
    for t in range(n_proposals.size):
        left = n_proposals[t]
        while left > 0:
            if stale:
                least_changes(rows, reach, near, bounds, sums, pushes, changes)
                n_classes, rest, rate = classes_of_reals(changes, chances, numbers)
                stale = False
            if counts[WAIT] == 0:
                counts[WAIT] = waiting(rate / N, rng.random())
            steps = min(left, counts[WAIT])
            left -= steps
            counts[WAIT] -= steps
            record[t, 0] += counts[ENERGY] * steps
            record[t, 2] += steps
            if counts[WAIT] > 0:
                continue
            target = rng.random() * rate
            k, i = chosen_of_reals(n_classes, rest, numbers, changes, chances, target)
            change = change_of_reals(columns, bounds, sums, pushes[i], i)
            if change > k and rng.random() * chances[k] >= math.exp(-beta * change):
                continue
            for mu in range(P):
                sums[mu] += pushes[i] * columns[i, mu]
            weights[i] = -weights[i]
            pushes[i] = -pushes[i]
            before = counts[ENERGY]
            counts[ENERGY] += change
            counts[FLIPS] += 1
            if counts[FLIPS] % (REFRESH * N) == 0:
                sum_up(columns, weights, bounds, sums, counts)
            record[t, 0] += counts[ENERGY] - before
            record[t, 1] += 1
            stale = True


@intrinsic
def _ones(typingctx, word):
    """LLVM code of `ones`."""
    return types.int64(types.uint64), lambda context, builder, signature, args: builder.ctpop(args[0])


@intrinsic
def _first_one(typingctx, word):
    """LLVM code of `first_one`."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.uint64), codegen


@overload(ones)
def _(word):
    return lambda word: _ones(word)


@overload(first_one)
def _(word):
    return lambda word: _first_one(word)
