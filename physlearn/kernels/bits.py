"""Patterns as bits: columns of signs packed into 64-bit words, and counters sliced into planes of bits.

Everything works on blocks of 512 patterns (eight words), so that one step is one vector instruction where the
processor has them that wide, and a few of them where not. Each compiled function is written twice: a NumPy
body, which is what runs under ``NUMBA_DISABLE_JIT`` and inside a kernel's ``.py_func``, and LLVM code with
the same result.

Bit-sliced counters are an array ``planes`` (n_blocks, n_planes, 8): bit b of plane k is the k-th binary digit
of the counter of pattern b. Adding one to a chosen subset of the counters is a ripple of carries through the
planes, 512 counters at a time; arithmetic is modulo 2**n_planes.
"""

import sys

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

BLOCK = 8
"""Words in a block."""

_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, BLOCK)


def n_blocks(P: int) -> int:
    """Blocks of words that hold one bit for each of P patterns; at least one."""
    return max(1, -(-P // (64 * BLOCK)))


def aligned_words(*shape: int) -> np.ndarray:
    """Zeros of type uint64 that start at a multiple of 64 bytes, so that no block lies on two cache lines."""
    size = int(np.prod(shape))
    raw = np.zeros(size + BLOCK, dtype=np.uint64)
    start = (-raw.ctypes.data // 8) % BLOCK
    return raw[start : start + size].reshape(shape)


def columns_as_bits(signs: np.ndarray) -> np.ndarray:
    """Columns of an array (P, N) as bits, (N, 8 n_blocks): bit mu of row i is set where it is positive."""
    P, N = signs.shape
    columns = aligned_words(N, BLOCK * n_blocks(P))
    packed = np.packbits(signs > 0, axis=0, bitorder="little")
    columns.view(np.uint8)[:, : len(packed)] = packed.T
    return columns if sys.byteorder == "little" else columns.byteswap()


def counters_as_planes(values: np.ndarray, n_planes: int) -> np.ndarray:
    """Non-negative integers (P,) as bit-sliced counters (n_blocks, n_planes, 8)."""
    planes = aligned_words(n_blocks(len(values)), n_planes, BLOCK)
    for k in range(n_planes):
        digits = (values[:, None] >> k) & 1
        planes[:, k] = columns_as_bits(digits).reshape(-1, BLOCK)
    return planes


def common_bits(columns, row, masks, index):
    """Number of bits set in ``columns[row]`` and in ``masks[index]``; shapes (N, n_words), (n, n_words)."""
    return int(np.bitwise_count(columns[row] & masks[index]).sum())


def popcount(word):
    """Number of bits set in a uint64."""
    return int(word).bit_count()


def increment(planes, first_plane, columns, row, flip):
    """Add 2**first_plane to the counters whose bit is set in ``columns[row] ^ flip``; planes change in place.

    Parameters
    ----------
    planes : uint64 array (n_blocks, n_planes, 8)
    first_plane : int
    columns : uint64 array (N, 8 n_blocks)
    row : int
    flip : uint64
        Zero, or all ones.
    """
    carry = columns[row].reshape(-1, BLOCK) ^ flip
    for k in range(first_plane, planes.shape[1]):
        plane = planes[:, k].copy()
        planes[:, k] = plane ^ carry
        carry = plane & carry


def straddling(planes, valid, value, masks, sizes, index):
    """Find the counters equal to ``value - 1`` or ``value`` (modulo 2**n_planes), among the `valid` patterns.

    Parameters
    ----------
    planes : uint64 array (n_blocks, n_planes, 8)
    valid : uint64 array (1, 8 n_blocks)
    value : int
    masks : uint64 array (n, 8 n_blocks)
        ``masks[index]`` is overwritten: bits of the counters found.
    sizes : int64 array (n, 2)
        ``sizes[index]`` is overwritten: how many equal ``value - 1``, and how many were found.
    index : int
    """
    below = valid.reshape(-1, BLOCK).copy()
    at = below.copy()
    for k in range(planes.shape[1]):
        below &= planes[:, k] if (value - 1) >> k & 1 else ~planes[:, k]
        at &= planes[:, k] if value >> k & 1 else ~planes[:, k]
    masks[index] = (below | at).ravel()
    sizes[index] = np.bitwise_count(below).sum(), np.bitwise_count(below | at).sum()


# The same in LLVM


class _Block:
    """Addresses, loads and stores of blocks in the arrays of a kernel; a thin coat over an IR builder."""

    def __init__(self, context, builder, signature, args):
        self.builder = builder
        self.arrays = {
            k: context.make_array(kind)(context, builder, value)
            for k, (kind, value) in enumerate(zip(signature.args, args, strict=True))
            if isinstance(kind, types.Array)
        }

    def extent(self, array, axis):
        return self.builder.extract_value(self.arrays[array].shape, axis)

    def address(self, array, word):
        return self.builder.gep(self.arrays[array].data, [word])

    def load(self, array, word):
        pointer = self.builder.bitcast(self.address(array, word), _VECTOR.as_pointer())
        return self.builder.load(pointer, align=8)

    def store(self, value, array, word):
        pointer = self.builder.bitcast(self.address(array, word), _VECTOR.as_pointer())
        self.builder.store(value, pointer, align=8)

    def times(self, count, factor):
        return self.builder.mul(count, _WORD(factor))

    def spread(self, word):
        """A vector whose eight entries are `word`."""
        one = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), word, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
        return self.builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)

    def popcounts(self, vector):
        function = ir.FunctionType(_VECTOR, [_VECTOR])
        ctpop = cgutils.get_or_insert_function(self.builder.module, function, f"llvm.ctpop.v{BLOCK}i64")
        return self.builder.call(ctpop, [vector])

    def total(self, vector):
        function = ir.FunctionType(_WORD, [_VECTOR])
        name = f"llvm.vector.reduce.add.v{BLOCK}i64"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, function, name), [vector]
        )


def _variable(builder, value):
    pointer = cgutils.alloca_once(builder, value.type)
    builder.store(value, pointer)
    return pointer


@intrinsic
def _common_bits(typingctx, columns, row, masks, index):
    """LLVM code of `common_bits`."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args)
        n_words = block.extent(0, 1)
        starts = builder.mul(args[1], n_words), builder.mul(args[3], n_words)
        counts = _variable(builder, ir.Constant(_VECTOR, [0] * BLOCK))
        with cgutils.for_range(builder, builder.udiv(n_words, _WORD(BLOCK))) as loop:
            word = block.times(loop.index, BLOCK)
            words = (
                block.load(array, builder.add(start, word))
                for array, start in zip((0, 2), starts, strict=True)
            )
            both = builder.and_(*words)
            builder.store(builder.add(builder.load(counts), block.popcounts(both)), counts)
        return block.total(builder.load(counts))

    return types.int64(columns, types.int64, masks, types.int64), codegen


@intrinsic
def _popcount(typingctx, word):
    """LLVM code of `popcount`."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def _increment(typingctx, planes, first_plane, columns, row, flip):
    """LLVM code of `increment`."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args)
        n_planes = block.extent(0, 1)
        start = builder.mul(args[3], block.extent(2, 1))
        flip = block.spread(args[4])
        carry = cgutils.alloca_once(builder, _VECTOR)
        with cgutils.for_range(builder, block.extent(0, 0)) as blocks:
            word = builder.add(start, block.times(blocks.index, BLOCK))
            builder.store(builder.xor(block.load(2, word), flip), carry)
            first = builder.mul(blocks.index, n_planes)
            with cgutils.for_range_slice(builder, args[1], n_planes, _WORD(1)) as (k, _):
                word = block.times(builder.add(first, k), BLOCK)
                plane, moved = block.load(0, word), builder.load(carry)
                block.store(builder.xor(plane, moved), 0, word)
                builder.store(builder.and_(plane, moved), carry)
        return context.get_dummy_value()

    return types.void(planes, types.int64, columns, types.int64, types.uint64), codegen


@intrinsic
def _straddling(typingctx, planes, valid, value, masks, sizes, index):
    """LLVM code of `straddling`."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args)
        n_planes = block.extent(0, 1)
        value = args[2]
        start = builder.mul(args[5], block.extent(3, 1))
        below, at = (cgutils.alloca_once(builder, _VECTOR) for _ in range(2))
        targets = ((below, builder.sub(value, _WORD(1))), (at, value))
        counts = [_variable(builder, ir.Constant(_VECTOR, [0] * BLOCK)) for _ in range(2)]
        with cgutils.for_range(builder, block.extent(0, 0)) as blocks:
            word = block.times(blocks.index, BLOCK)
            for found, _ in targets:
                builder.store(block.load(1, word), found)
            first = builder.mul(blocks.index, n_planes)
            with cgutils.for_range(builder, n_planes) as planes_loop:
                k = planes_loop.index
                plane = block.load(0, block.times(builder.add(first, k), BLOCK))
                for found, target in targets:
                    digit = builder.and_(builder.lshr(target, k), _WORD(1))
                    same = builder.xor(plane, block.spread(builder.sub(digit, _WORD(1))))
                    builder.store(builder.and_(builder.load(found), same), found)
            either = builder.or_(builder.load(below), builder.load(at))
            block.store(either, 3, builder.add(start, word))
            for count, found in zip(counts, (builder.load(below), either), strict=True):
                builder.store(builder.add(builder.load(count), block.popcounts(found)), count)
        for entry, count in enumerate(counts):
            address = block.address(4, builder.add(block.times(args[5], 2), _WORD(entry)))
            builder.store(block.total(builder.load(count)), address)
        return context.get_dummy_value()

    return types.void(planes, valid, types.int64, masks, sizes, types.int64), codegen


@overload(common_bits)
def _(columns, row, masks, index):
    return lambda columns, row, masks, index: _common_bits(columns, row, masks, index)


@overload(popcount)
def _(word):
    return lambda word: _popcount(word)


@overload(increment)
def _(planes, first_plane, columns, row, flip):
    return lambda planes, first_plane, columns, row, flip: _increment(planes, first_plane, columns, row, flip)


@overload(straddling)
def _(planes, valid, value, masks, sizes, index):
    return lambda planes, valid, value, masks, sizes, index: _straddling(
        planes, valid, value, masks, sizes, index
    )
