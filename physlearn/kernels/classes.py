"""Classes of flips by lower bounds of their energy changes, in bit-sliced counters.

A flip can bring only a few patterns across an edge. Their rows of bits are added up, for all weights side by side, in
integer multiples of a unit: theory/monte-carlo/derivation.md (RF.4) to (RF.6).

crossings(system, bound, k, start)
    Lists the rows for the weights of unit k, from entry `start` of the list on, for the kinds of systems that have such
    few; returns the end of the list and what all these weights have in common.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from physlearn.kernels.bits import BLOCK, increment, popcount
from physlearn.kernels.flips import (
    ALL,
    NONE,
    SignErrors,
    SignLinear,
    by_kind,
    helper,
    inlined,
    register,
)
from physlearn.kernels.scans import RealErrors, RealVotes
from physlearn.kernels.votes import LinearVotes, Votes

N_CLASSES = 16
"""Most classes of equal bounds that are counted; the weights beyond share one bound."""

SHARE = 0.1
"""Classes are counted until those left would add less than this to the rate."""

ONE = np.uint64(1)

_ROUNDING = 1e-9  # of a unit: what is that close below an integer is that integer


def first_one(word):
    """Place of the lowest bit set in a uint64 other than zero."""
    return (int(word) & -int(word)).bit_length() - 1


@intrinsic
def _first_one(typingctx, word):
    """LLVM code of `first_one`."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.uint64), codegen


@overload(first_one)
def _(word):
    return lambda word: _first_one(word)


crossings = by_kind("crossings")


class Sliced(NamedTuple):
    """Classes of weights by lower bounds of x_i, which are integers in a unit.

    The weights of each of K units, D = N/K, fill n_words words, a multiple of `BLOCK`.

    Attributes
    ----------
    rows : uint64 array (n_rows, n_words)
        Gauged patterns along the weights of a unit: bits set where the entry x is positive.
    levels : uint64 array (n_rows, n_levels, n_words)
        Bits set where |x| > level spacing, for levels 1 ... n_levels; none for +-1 patterns.
    spacing, reach : float64 arrays (n_rows,)
        The spacing; the largest |x|.
    size, apart : int64 arrays (1,)
        D; rows between those of a unit and of the next one, zero where they share their inputs.
    steps : int64 array (n_masks,)
        For +-1 patterns, lower bounds of beta coefficients/unit.
    scale, unit : float64 arrays (1,)
        beta/unit; and the unit of x.
    chances : float64 array (N_CLASSES + 1,)
        Bounds of the classes.
    tops : int64 array (N_CLASSES,)
        The largest x of each class, in the unit.
    sites : uint64 array (K n_words,)
        Bits of the weights.
    up : uint64 array (n_replicas, K n_words)
        Those that are +1.
    fields : uint64 array (n_replicas, K n_blocks, n_field_planes, 8)
        Field costs, in the unit, less `lowest`; no planes where there are no fields.
    lowest : int64 array (1,)
    classed : uint64 array (n_replicas, N_CLASSES + 1, K n_words)
        Bits of the members of each class; those that are left in the last.
    numbers : int64 array (n_replicas, N_CLASSES + 1)
    counted : int64 array (n_replicas,)
        How many classes are.
    found : int64 array (n, 5)
        Work space, the list of `crossings`: row; level or 0; 1 if weights count that move the pattern up instead of
        down; 1 if those count that are not so; how much they count.
    ends : int64 array (K, 2)
        Work space: of each unit what all its weights have in common, and the end of its list.
    row : uint64 array (1, n_words)
        Work space.
    space : uint64 array (n,)
        Work space.
    """

    rows: Any
    levels: Any
    spacing: Any
    reach: Any
    size: Any
    apart: Any
    steps: Any
    scale: Any
    unit: Any
    chances: Any
    tops: Any
    sites: Any
    up: Any
    fields: Any
    lowest: Any
    classed: Any
    numbers: Any
    counted: Any
    found: Any
    ends: Any
    row: Any
    space: Any


@inlined
def _note(bound, n, row, level, upward, inverse, amount):
    """Write down one row; nothing where it counts nothing."""
    if amount == 0:
        return n
    found = bound.found
    found[n, 0], found[n, 1], found[n, 2], found[n, 3], found[n, 4] = row, level, upward, inverse, amount
    return n + 1


def mask_crossings(system, bound, k, start):
    """Of a system whose energy changes are sums over masks."""
    n, n_masks = start, bound.steps.size
    common = int(np.floor(bound.scale[0] * system.base[k, 1] + _ROUNDING))
    for r in range(n_masks):
        step = bound.steps[r]
        inverse = 1 if step < 0 else 0
        for x in range(system.masks.shape[1]):
            word = system.masks[k * n_masks + r, x]
            while word != NONE:
                row = k * bound.apart[0] + 64 * x + first_one(word)
                n = _note(bound, n, row, 0, 0, inverse, abs(step))
                common += min(step, 0)
                word &= word - ONE
    return n, common


@inlined
def _real_row(bound, n, row, s, lower, upper, gap):
    """The rows of a pattern with the sum s, of whose being violated the energy `gap` comes; and what is in common.

    Satisfied, it counts for the weights that violate it for certain, and violated, for those that may satisfy it.
    """
    tiny = 1e-12 * (abs(s) + bound.reach[row])
    spacing, n_levels = bound.spacing[row], bound.levels.shape[1]
    if s >= lower and s <= upper:
        amount = int(np.floor(bound.scale[0] * gap + _ROUNDING))
        for upward in range(2):
            distance = (upper - s if upward else s - lower) / 2 + tiny
            if distance < n_levels * spacing:
                level = int(distance / spacing) + 1
                n = _note(bound, n, row, level, upward, 0, amount if level <= n_levels else 0)
        return n, 0
    amount = int(np.ceil(bound.scale[0] * gap - _ROUNDING))
    upward = 1 if s < lower else 0
    distance = (lower - s if upward else s - upper) / 2 - tiny
    if distance > bound.reach[row]:
        return n, 0
    level = max(0, min(int(np.ceil(distance / spacing)) - 1, n_levels))
    return _note(bound, n, row, level, upward, 1, amount), -amount


def _error_crossings(system, bound, k, start):
    """Of the number of errors with real patterns."""
    n, common = start, 0
    for mu in range(system.sums.shape[1]):
        n, more = _real_row(bound, n, mu, system.sums[0, mu], system.bounds[0], system.bounds[1], 1.0)
        common += more
    return n, common


def _ballot_crossings(system, bound, k, start):
    """Of a function of the votes with real patterns."""
    n, common, first = start, 0, k * bound.apart[0]
    for mu in range(system.sums.shape[1]):
        if system.gaps[k, mu] != 0:
            gap, s = system.unit[0] * system.gaps[k, mu], system.sums[k, mu]
            n, more = _real_row(bound, n, first + mu, s, 5e-324, math.inf, gap)
            common += more
    return n, common


for kind in (SignErrors, SignLinear, Votes, LinearVotes):
    register(kind, crossings=mask_crossings)
register(RealErrors, crossings=_error_crossings)
register(RealVotes, crossings=_ballot_crossings)


@inlined
def _add_row(bound, a, planes, k, n):
    """Add the n-th row of the list to the counters of the weights of unit k."""
    row, level, upward, inverse, amount = bound.found[n]
    n_words = bound.row.shape[1]
    bits, entries, up = bound.row[0], bound.rows[row], bound.up[a, k * n_words : (k + 1) * n_words]
    turn = NONE if upward else ALL
    if level > 0:
        far = bound.levels[row, level - 1]
        for x in range(n_words):
            bits[x] = (entries[x] ^ up[x] ^ turn) & far[x]
    else:
        for x in range(n_words):
            bits[x] = entries[x] ^ up[x] ^ turn
    plane = 0
    while amount >> plane:
        if amount >> plane & 1:
            increment(planes, plane, bound.row, 0, ALL if inverse else NONE)
        plane += 1


@inlined
def _fill(bound, a, planes, k, common):
    """Begin the counters of the weights of unit k with what they have in common, and their fields."""
    first = k * planes.shape[0]
    n_fields = bound.fields.shape[2]
    for b in range(planes.shape[0]):
        for p in range(planes.shape[1]):
            for j in range(BLOCK):
                if n_fields == 0:
                    planes[b, p, j] = ALL if common >> p & 1 else NONE
                else:
                    planes[b, p, j] = bound.fields[a, first + b, p, j] if p < n_fields else NONE
    if n_fields:
        for x in range(bound.row.shape[1]):
            bound.row[0, x] = NONE
        for p in range(planes.shape[1]):
            if common >> p & 1:
                increment(planes, p, bound.row, 0, ALL)


@inlined
def add_up(system, bound, a):
    """Counters of all weights, x_i >= unit (counter - offset), as planes; and the offset."""
    K, n_words = bound.ends.shape[0], bound.row.shape[1]
    n, lowest = 0, 1 << 60
    for k in range(K):
        n, common = crossings(system, bound, k, n)
        bound.ends[k, 0], bound.ends[k, 1] = common, n
        lowest = min(lowest, common)
    highest, n = 0, 0
    for k in range(K):
        total = bound.ends[k, 0] - lowest
        while n < bound.ends[k, 1]:
            total += bound.found[n, 4]
            n += 1
        highest = max(highest, total)
    highest += (1 << bound.fields.shape[2]) - 1
    n_planes, n_blocks = 1, n_words // BLOCK
    while highest >> n_planes:
        n_planes += 1
    planes = bound.space[: K * n_words * n_planes].reshape((K * n_blocks, n_planes, BLOCK))
    n = 0
    for k in range(K):
        own = planes[k * n_blocks : (k + 1) * n_blocks]
        _fill(bound, a, own, k, bound.ends[k, 0] - lowest)
        while n < bound.ends[k, 1]:
            _add_row(bound, a, own, k, n)
            n += 1
    return planes, -lowest - bound.lowest[0]


@helper
def move_at_most(planes, top, rest, found):
    """Move the weights whose counter is at most `top` from `rest` to `found` (bits), and return their number."""
    number = 0
    for b in range(planes.shape[0]):
        first = b * BLOCK
        for j in range(BLOCK):
            found[first + j] = ALL
        for k in range(planes.shape[1]):
            if top >> k & 1:
                for j in range(BLOCK):
                    found[first + j] |= ~planes[b, k, j]
            else:
                for j in range(BLOCK):
                    found[first + j] &= ~planes[b, k, j]
        for j in range(BLOCK):
            found[first + j] &= rest[first + j]
            rest[first + j] &= ~found[first + j]
            number += popcount(found[first + j])
    return number


@inlined
def _sort(planes, offset, bound, a):
    """Sort the weights into classes, and return the rate.

    It counts the weights that are left at the bound of the class that would come next.
    """
    classed, numbers, chances = bound.classed[a], bound.numbers[a], bound.chances
    rest, rate, n, left = 0, 0.0, 0, classed[N_CLASSES]
    for x in range(left.size):
        left[x] = bound.sites[x]
        rest += popcount(left[x])
    while n < N_CLASSES and rest * chances[n] > SHARE * rate:
        top, number = offset + bound.tops[n], rest
        if top < 0:
            number = 0
            for x in range(left.size):
                classed[n, x] = NONE
        elif top >> planes.shape[1]:
            for x in range(left.size):
                classed[n, x] = left[x]
                left[x] = NONE
        else:
            number = move_at_most(planes, top, left, classed[n])
        numbers[n] = number
        rest -= number
        rate += number * chances[n]
        n += 1
    bound.counted[a], numbers[N_CLASSES] = n, rest
    return rate + rest * chances[n]


def _sliced_survey(system, bound, a, weights, beta, costs):
    planes, offset = add_up(system, bound, a)
    return _sort(planes, offset, bound, a)


@helper
def member(bits, rank):
    """The place of this rank among those whose bits are set."""
    for x in range(bits.size):
        n = popcount(bits[x])
        if rank < n:
            word = bits[x]
            for _ in range(rank):
                word &= word - ONE
            return 64 * x + first_one(word)
        rank -= n
    return -1


def _sliced_pick(bound, a, target):
    numbers, chances = bound.numbers[a], bound.chances
    n, k, last = bound.counted[a], 0, -1
    while k <= n:
        number = numbers[k] if k < n else numbers[N_CLASSES]
        if number > 0:
            last = k
            if target < number * chances[k]:
                break
            target -= number * chances[k]
        k += 1
    if k > n:  # by rounding
        target = 0.0
    at = last if last < n else N_CLASSES
    place = member(bound.classed[a, at], min(int(target / chances[last]), numbers[at] - 1))
    width = 64 * bound.row.shape[1]
    unit = place // width
    return unit * bound.size[0] + place - unit * width, chances[last]


@inlined
def _word_and_bit(bound, i):
    unit = i // bound.size[0]
    within = i - unit * bound.size[0]
    return unit * bound.row.shape[1] + within // 64, ONE << np.uint64(within % 64)


def _sliced_place(bound, a, i, chance):
    word, bit = _word_and_bit(bound, i)
    n, rate = bound.counted[a], 0.0
    for k in range(n + 1):
        at = k if k < n else N_CLASSES
        if bound.classed[a, at, word] & bit:
            bound.classed[a, at, word] ^= bit
            bound.numbers[a, at] -= 1
            break
    k = n
    while k > 0 and chance > bound.chances[k]:
        k -= 1
    at = k if k < n else N_CLASSES
    bound.classed[a, at, word] |= bit
    bound.numbers[a, at] += 1
    for k in range(n):
        rate += bound.numbers[a, k] * bound.chances[k]
    return rate + bound.numbers[a, N_CLASSES] * bound.chances[n]


def _sliced_mark(bound, a, i, w, cost):
    word, bit = _word_and_bit(bound, i)
    if w > 0:
        bound.up[a, word] |= bit
    else:
        bound.up[a, word] &= ~bit
    n_fields = bound.fields.shape[2]
    if n_fields:
        steps = int(np.floor(cost / bound.unit[0] + _ROUNDING)) - bound.lowest[0]
        for p in range(n_fields):
            if steps >> p & 1:
                bound.fields[a, word // BLOCK, p, word % BLOCK] |= bit
            else:
                bound.fields[a, word // BLOCK, p, word % BLOCK] &= ~bit


register(Sliced, survey=_sliced_survey, pick=_sliced_pick, place=_sliced_place, mark=_sliced_mark)
