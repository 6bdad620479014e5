"""Weights with hidden states: a weight is the sign of a number that learns, packed as a bit where patterns are +-1.

Three steps of every rule that learns by presenting patterns, for two layouts of patterns, weights and hidden states,
which the type of `patterns` tells apart:

signs
    patterns uint64 (n_rows, n_words), the gauged entries of a row as bits; weights uint64 (n_units, n_words), bit i
    set where w_i = +1; hidden int16 (n_units, 64 n_words). Words come in blocks of eight (see `bits`). Bits beyond the
    last weight are zero in both, and hidden states there negative.
reals
    patterns float64 (n_rows, n), gauged; weights float64 (n_units, n); hidden float64 (n_units, n).

Each step for signs is written twice, in NumPy and in LLVM code that handles 512 bits or 64 hidden states at a time, as
are those of `bits`.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload, register_jitable

from physlearn.kernels.bits import BLOCK, aligned_words, n_blocks

_WORD, _STATE, _BIT = ir.IntType(64), ir.IntType(16), ir.IntType(1)
_WORDS = ir.VectorType(_WORD, BLOCK)
_LANES = 64
_STATES, _MASK = ir.VectorType(_STATE, _LANES), ir.VectorType(_BIT, _LANES)
_SUMS = ir.VectorType(ir.IntType(32), _LANES)


def padded(n: int) -> int:
    """Hidden states kept for n weights: a multiple of 512."""
    return 64 * BLOCK * n_blocks(n)


def packed_rows(signs: np.ndarray) -> np.ndarray:
    """Rows of an array (n_rows, n) as bits, (n_rows, n_words): bit i of a row is set where its entry is positive."""
    n_rows, n = signs.shape
    rows = aligned_words(n_rows, padded(n) // 64)
    packed = np.packbits(signs > 0, axis=1, bitorder="little")
    rows.view(np.uint8)[:, : packed.shape[1]] = packed
    return rows.astype("<u8", copy=False)


def signs(weights: np.ndarray, n: int) -> np.ndarray:
    """The weights of units in either layout as int8, (n_units, n)."""
    if weights.dtype == np.uint64:
        bits = np.unpackbits(weights.astype("<u8").view(np.uint8), axis=1, bitorder="little", count=n)
        return 2 * bits.astype(np.int8) - 1
    return weights.astype(np.int8)


def overlap(patterns, row, weights, unit, n):
    """Sum over the n weights of a unit of gauged pattern times weight."""
    if patterns.dtype == np.uint64:
        return n - 2 * int(np.bitwise_count(patterns[row] ^ weights[unit]).sum())
    return _real_overlap(patterns, row, weights, unit)


def hidden_overlap(patterns, row, hidden, unit, n):
    """The same sum with the hidden states in place of the weights."""
    if patterns.dtype == np.uint64:
        up = _unpacked(patterns[row])[:n]
        return int(np.where(up, hidden[unit, :n], -hidden[unit, :n]).sum(dtype=np.int64))
    return _real_overlap(patterns, row, hidden, unit)


def push(patterns, row, hidden, weights, unit, top, spared):
    """Move the hidden states by twice the gauged pattern, in place, at most to -top and top; weights follow.

    With `spared` = ~0 only where the pattern agrees with the weight, so that no weight changes; with 0 everywhere.
    """
    if patterns.dtype == np.uint64:
        up = _unpacked(patterns[row])
        step = np.where(up, np.int16(2), np.int16(-2))
        step[_unpacked((patterns[row] ^ weights[unit]) & spared)] = 0
        hidden[unit] = np.clip(hidden[unit] + step, -top, top)
        weights[unit] = np.packbits(hidden[unit] > 0, bitorder="little").view("<u8")
    else:
        _real_push(patterns, row, hidden, weights, unit, top, spared)


def take_signs(hidden, weights, unit, n):
    """Let the weights of a unit, in either layout, be the signs of n numbers, +1 where they are positive."""
    if weights.dtype == np.uint64:
        _packed_signs(hidden, weights, unit, n)
    else:
        _real_signs(hidden, weights, unit, n)


def _unpacked(words):
    return np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little").astype(bool)


@register_jitable
def _real_overlap(patterns, row, weights, unit):
    total = 0.0
    for i in range(patterns.shape[1]):
        total += patterns[row, i] * weights[unit, i]
    return total


@register_jitable
def _real_push(patterns, row, hidden, weights, unit, top, spared):
    for i in range(patterns.shape[1]):
        x = patterns[row, i]
        if spared == 0 or x * weights[unit, i] > 0:
            hidden[unit, i] = min(max(hidden[unit, i] + 2 * x, -top), top)
            weights[unit, i] = 1.0 if hidden[unit, i] > 0 else -1.0


@register_jitable
def _packed_signs(hidden, weights, unit, n):
    for word in range(-(-n // 64)):
        bits = np.uint64(0)
        for bit in range(min(64, n - 64 * word)):
            bits |= np.uint64(hidden[unit, 64 * word + bit] > 0) << np.uint64(bit)
        weights[unit, word] = bits


@register_jitable
def _real_signs(hidden, weights, unit, n):
    for i in range(n):
        weights[unit, i] = 1.0 if hidden[unit, i] > 0 else -1.0


# The same for signs in LLVM


class _Rows:
    """Where the rows of the arrays of a kernel are, as addresses of vectors."""

    def __init__(self, context, builder, signature, args):
        self.context, self.builder, self.signature, self.args = context, builder, signature, args

    def array(self, k):
        return self.context.make_array(self.signature.args[k])(self.context, self.builder, self.args[k])

    def length(self, k):
        """Entries in a row of argument k."""
        return self.builder.extract_value(self.array(k).shape, 1)

    def address(self, k, row, entry, kind):
        """Address, as that of a `kind`, of an entry of a row of argument k."""
        place = self.builder.add(self.builder.mul(row, self.length(k)), entry)
        return self.builder.bitcast(self.builder.gep(self.array(k).data, [place]), kind.as_pointer())

    def load(self, k, row, entry, kind, align=8):
        return self.builder.load(self.address(k, row, entry, kind), align=align)

    def store(self, value, k, row, entry, align=8):
        self.builder.store(value, self.address(k, row, entry, value.type), align=align)

    def call(self, name, result, *arguments):
        function = ir.FunctionType(result, [argument.type for argument in arguments])
        callee = cgutils.get_or_insert_function(self.builder.module, function, name)
        return self.builder.call(callee, arguments)

    def spread(self, value, kind):
        """A vector whose entries are all `value`."""
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


@intrinsic
def _differing_bits(typingctx, patterns, row, weights, unit):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature, args)
        counts = cgutils.alloca_once_value(builder, ir.Constant(_WORDS, [0] * BLOCK))
        with cgutils.for_range(builder, builder.udiv(rows.length(0), _WORD(BLOCK))) as loop:
            word = builder.mul(loop.index, _WORD(BLOCK))
            differ = builder.xor(rows.load(0, args[1], word, _WORDS), rows.load(2, args[3], word, _WORDS))
            ones = rows.call(f"llvm.ctpop.v{BLOCK}i64", _WORDS, differ)
            builder.store(builder.add(builder.load(counts), ones), counts)
        return rows.call(f"llvm.vector.reduce.add.v{BLOCK}i64", _WORD, builder.load(counts))

    return types.int64(patterns, types.int64, weights, types.int64), codegen


@intrinsic
def _hidden_sum(typingctx, patterns, row, hidden, unit, n):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature, args)
        total = cgutils.alloca_once_value(builder, _WORD(0))
        zero = ir.Constant(_SUMS, [0] * _LANES)
        n_words = builder.udiv(builder.add(args[4], _WORD(_LANES - 1)), _WORD(_LANES))
        with cgutils.for_range(builder, n_words) as loop:
            first = builder.mul(loop.index, _WORD(_LANES))
            left = builder.sub(args[4], first)
            rest = builder.lshr(_WORD(2**64 - 1), builder.and_(builder.neg(left), _WORD(_LANES - 1)))
            whole = builder.icmp_signed(">=", left, _WORD(_LANES))
            valid = builder.bitcast(builder.select(whole, _WORD(2**64 - 1), rest), _MASK)
            states = builder.sext(rows.load(2, args[3], first, _STATES, 2), _SUMS)
            up = builder.bitcast(rows.load(0, args[1], loop.index, _WORD), _MASK)
            signed = builder.select(up, states, builder.sub(zero, states))
            signed = builder.select(valid, signed, zero)
            part = rows.call(f"llvm.vector.reduce.add.v{_LANES}i32", ir.IntType(32), signed)
            builder.store(builder.add(builder.load(total), builder.sext(part, _WORD)), total)
        return builder.load(total)

    return types.int64(patterns, types.int64, hidden, types.int64, types.int64), codegen


@intrinsic
def _push(typingctx, patterns, row, hidden, weights, unit, top, spared):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature, args)
        zero, two = (ir.Constant(_STATES, [value] * _LANES) for value in (0, 2))
        high = rows.spread(args[5], _STATES)
        low = builder.sub(zero, high)
        with cgutils.for_range(builder, rows.length(0)) as loop:
            entry = builder.mul(loop.index, _WORD(_LANES))
            up = rows.load(0, args[1], loop.index, _WORD)
            still = builder.and_(builder.xor(up, rows.load(3, args[4], loop.index, _WORD)), args[6])
            step = builder.select(builder.bitcast(up, _MASK), two, builder.sub(zero, two))
            step = builder.select(builder.bitcast(still, _MASK), zero, step)
            states = builder.add(rows.load(2, args[4], entry, _STATES, 2), step)
            states = builder.select(builder.icmp_signed(">", states, high), high, states)
            states = builder.select(builder.icmp_signed("<", states, low), low, states)
            rows.store(states, 2, args[4], entry, 2)
            rows.store(builder.bitcast(builder.icmp_signed(">", states, zero), _WORD), 3, args[4], loop.index)
        return context.get_dummy_value()

    arguments = (patterns, types.int64, hidden, weights, types.int64, types.int16, types.uint64)
    return types.void(*arguments), codegen


def _is_packed(patterns):
    return patterns.dtype == types.uint64


@overload(overlap)
def _(patterns, row, weights, unit, n):
    if _is_packed(patterns):
        return lambda patterns, row, weights, unit, n: n - 2 * _differing_bits(patterns, row, weights, unit)
    return lambda patterns, row, weights, unit, n: _real_overlap(patterns, row, weights, unit)


@overload(hidden_overlap)
def _(patterns, row, hidden, unit, n):
    if _is_packed(patterns):
        return lambda patterns, row, hidden, unit, n: _hidden_sum(patterns, row, hidden, unit, n)
    return lambda patterns, row, hidden, unit, n: _real_overlap(patterns, row, hidden, unit)


@overload(push)
def _(patterns, row, hidden, weights, unit, top, spared):
    if _is_packed(patterns):
        return lambda patterns, row, hidden, weights, unit, top, spared: _push(
            patterns, row, hidden, weights, unit, top, spared
        )
    return lambda patterns, row, hidden, weights, unit, top, spared: _real_push(
        patterns, row, hidden, weights, unit, top, spared
    )


@overload(take_signs)
def _(hidden, weights, unit, n):
    if _is_packed(weights):
        return lambda hidden, weights, unit, n: _packed_signs(hidden, weights, unit, n)
    return lambda hidden, weights, unit, n: _real_signs(hidden, weights, unit, n)
