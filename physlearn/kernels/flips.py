"""What a flip of one weight does to the energy: the contract of all kernels that flip, and +-1 patterns in bits.

A *system* is a named tuple of arrays that holds, for each replica (first axis), whatever makes the energy change of a
flip cheap; patterns have no such axis, replicas share them. Four functions treat any of its kinds, compiled for each:

replica(system, a)
    The same system with the arrays of replica a alone.
change(system, i, w)
    Energy change if weight i, which is w, flips: an int64, or a float64 for energies that are not counts.
flip(system, i, w, change)
    Flips it, and returns the change of the number of errors.
refresh(system, weights)
    Energy and number of errors anew, so that rounding errors never build up; (-1.0, -1) where they cannot.

Kinds whose patterns are bits have the fields `columns`, `masks` (a row for each mask of each unit), `coefficients`
(one for each mask of a unit) and `base` (n_units, 2). A flip moves the patterns where the weight agrees with the gauged
entry down, and the others up; with M_r the masks of the weight's unit and b its bits of agreement with +1,

    dE = base[(w + 1)/2] + w sum_r coefficients_r popcount(M_r & b)

theory/single-flips/derivation.md (F.3).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from physlearn.kernels.bits import BLOCK, common_bits, increment, popcount, straddling

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
NONE = np.uint64(0)

_KINDS: dict[str, dict[type, Callable]] = {}


def register(kind: type, **functions: Callable) -> None:
    """Let the functions of these names treat a kind of system."""
    for name, function in functions.items():
        _KINDS.setdefault(name, {})[kind] = function


# Without the counting of references to arrays, which costs more than a flip: nothing below a kernel allocates.
PLAIN = {"_nrt": False}
INLINE = {"_nrt": False, "forceinline": True}


def by_kind(name: str, at: int = 0, options: dict[str, bool] = INLINE, is_optional: bool = False) -> Callable:
    """The function that does what is registered under a name for the kind of its argument number `at`.

    In Python that is looked up at each call, in kernels when they are compiled, by the argument's type. If it is
    optional, nothing is done for kinds that have none.
    """

    def look_up(kind: type) -> Callable:
        return _KINDS[name].get(kind, _nothing) if is_optional else _KINDS[name][kind]

    def function(*arguments: Any) -> Any:
        return look_up(type(arguments[at]))(*arguments)

    overload(function, strict=False, jit_options=options)(
        lambda *types: look_up(getattr(types[at], "instance_class", type(None)))
    )
    return function


def _nothing(*arguments: Any) -> None:
    return None


replica, change, flip = by_kind("replica"), by_kind("change"), by_kind("flip")
refresh = by_kind("refresh", options=PLAIN)


def helper(function: Callable) -> Callable:
    """Let kernels call a plain function, compiled; in Python it is what it was."""
    overload(function, strict=False, jit_options=PLAIN)(lambda *arguments: function)
    return function


def inlined(function: Callable) -> Callable:
    """As `helper`, for what is short, or called once at each proposal or flip."""
    overload(function, strict=False, jit_options=INLINE)(lambda *arguments: function)
    return function


class SignErrors(NamedTuple):
    """Number of errors of a perceptron with +-1 patterns.

    Pattern mu holds the counter c_mu of sites where its gauged entries agree with the weights, so that its stability
    is (2 c_mu - N)/sqrt(N). Of the edge between the values v - 1 and v only the patterns at these two can cross it:
    they are its mask. The planes hold c_mu + flips modulo 2**n_planes: a flip then adds two to the patterns that move
    up and nothing to the others.

    Attributes
    ----------
    columns : uint64 array (N, n_words)
        Gauged patterns, from `bits.columns_as_bits`.
    valid : uint64 array (1, n_words)
        Bits of the P patterns.
    edges, coefficients : int64 arrays (n_edges,)
        The values v, each in 1 ... N, and the signs: +1 if the patterns below the edge are the violated ones.
    planes : uint64 array (n_replicas, n_blocks, n_planes, 8)
        The counters, from `bits.counters_as_planes`.
    masks : uint64 array (n_replicas, n_edges, n_words)
    sizes : int64 array (n_replicas, n_edges, 2)
        Of each mask: patterns below the edge, all patterns.
    base : int64 array (n_replicas, 1, 2)
    flips : int64 array (n_replicas, 1)
    """

    columns: Any
    valid: Any
    edges: Any
    coefficients: Any
    planes: Any
    masks: Any
    sizes: Any
    base: Any
    flips: Any


def _errors_replica(system, a):
    return SignErrors(
        system.columns,
        system.valid,
        system.edges,
        system.coefficients,
        system.planes[a],
        system.masks[a],
        system.sizes[a],
        system.base[a],
        system.flips[a],
    )


def signs_change(system, i, w):
    """Energy change of a perceptron with +-1 patterns."""
    common = system.base[0, 0] * 0
    for r in range(system.coefficients.size):
        common += system.coefficients[r] * common_bits(system.columns, i, system.masks, r)
    return system.base[0, (w + 1) >> 1] + w * common


def _errors_flip(system, i, w, change):
    increment(system.planes, 1, system.columns, i, ALL if w > 0 else NONE)
    system.flips[0] += 1
    _errors_edges(system)
    return change


@inlined
def _errors_edges(system):
    """Masks and bases where the planes have changed."""
    down, up = 0, 0
    for e in range(system.edges.size):
        straddling(
            system.planes, system.valid, system.edges[e] + system.flips[0], system.masks, system.sizes, e
        )
        up -= system.coefficients[e] * system.sizes[e, 0]
        down += system.coefficients[e] * (system.sizes[e, 1] - system.sizes[e, 0])
    system.base[0, 0], system.base[0, 1] = down, up


def _errors_refresh(system, weights):
    _errors_edges(system)
    return -1.0, -1


register(
    SignErrors,
    replica=_errors_replica,
    change=signs_change,
    flip=_errors_flip,
    refresh=_errors_refresh,
)


class SignLinear(NamedTuple):
    """Linear energy of a perceptron with +-1 patterns, in units of the stability.

    Of each edge there is the mask A of the violated patterns and the mask M of those at v - 1 and v; a violated pattern
    contributes (2 depth - offset) unit, the depth being the number of steps to the edge. The masks of the energy change
    are A, the difference of A and M and, where the offset is not one, M: with coefficients 3, 1 and 1 - offset, times
    the unit. theory/single-flips/derivation.md (L.3).

    Attributes
    ----------
    columns, valid, planes, flips
        As of `SignErrors`.
    edges, directions : int64 arrays (n_edges,)
        Values v; +1 if the patterns below the edge are the violated ones, else -1. An edge at v = -1 is one that no
        pattern can reach: all are violated.
    offsets : float64 array (n_edges,)
    ends : int64 array (n_edges,)
        Where depth begins: it is v - c below an edge, c - v + 1 above, with v = ends.
    units : float64 array (1,)
    coefficients : float64 array (n_masks,)
    masks : uint64 array (n_replicas, n_masks, n_words)
    violated, near : uint64 arrays (n_replicas, n_edges, n_words)
        A and M.
    sizes : int64 array (n_replicas, n_edges, 2)
    base : float64 array (n_replicas, 1, 2)
    """

    columns: Any
    valid: Any
    edges: Any
    directions: Any
    offsets: Any
    ends: Any
    units: Any
    coefficients: Any
    planes: Any
    masks: Any
    violated: Any
    near: Any
    sizes: Any
    base: Any
    flips: Any


def _linear_replica(system, a):
    return SignLinear(
        system.columns,
        system.valid,
        system.edges,
        system.directions,
        system.offsets,
        system.ends,
        system.units,
        system.coefficients,
        system.planes[a],
        system.masks[a],
        system.violated[a],
        system.near[a],
        system.sizes[a],
        system.base[a],
        system.flips[a],
    )


def _linear_flip(system, i, w, change):
    errors = 0
    for e in range(system.edges.size):
        # Patterns near the edge are violated if they move out of it; all others are what they were.
        outward = ALL if (w > 0) != (system.directions[e] > 0) else NONE
        for word in range(system.columns.shape[1]):
            near, before = system.near[e, word], system.violated[e, word]
            after = (before & ~near) | (near & (system.columns[i, word] ^ outward))
            system.violated[e, word] = after
            errors += popcount(after) - popcount(before)
    increment(system.planes, 1, system.columns, i, ALL if w > 0 else NONE)
    system.flips[0] += 1
    _linear_edges(system)
    return errors


@helper
def _linear_edges(system):
    """Masks and bases where planes and violated patterns have changed."""
    unit, row = system.units[0], 0
    system.base[0, 0], system.base[0, 1] = 0.0, 0.0
    for e in range(system.edges.size):
        offset, third = system.offsets[e], system.offsets[e] != 1.0
        if system.edges[e] >= 0:
            straddling(
                system.planes, system.valid, system.edges[e] + system.flips[0], system.near, system.sizes, e
            )
        n_violated, n_apart, n_near, n_touching = 0, 0, 0, 0
        for word in range(system.columns.shape[1]):
            violated, near = system.violated[e, word], system.near[e, word]
            apart = violated ^ near
            system.masks[row, word] = violated
            system.masks[row + 1, word] = apart
            if third:
                system.masks[row + 2, word] = near
            n_violated += popcount(violated)
            n_apart += popcount(apart)
            n_near += popcount(near)
            n_touching += popcount(violated & near)
        inward = offset * n_touching - 2.0 * n_violated
        everything = 3.0 * n_violated + n_apart + (1.0 - offset) * n_near
        outward_bit = 1 if system.directions[e] > 0 else 0
        system.base[0, outward_bit] += unit * inward
        system.base[0, 1 - outward_bit] += unit * (everything + inward)
        row += 3 if third else 2


def _linear_refresh(system, weights):
    _linear_edges(system)
    energy, errors = 0.0, 0
    n_planes = system.planes.shape[1]
    for e in range(system.edges.size):
        depth, n_violated = 0, 0
        for word in range(system.columns.shape[1]):
            for bit in range(64):
                if (system.violated[e, word] >> np.uint64(bit)) & np.uint64(1):
                    count = np.int64(0)
                    for k in range(n_planes):
                        plane = system.planes[word // BLOCK, k, word % BLOCK]
                        count |= np.int64((plane >> np.uint64(bit)) & np.uint64(1)) << k
                    count = (count - system.flips[0]) & ((1 << n_planes) - 1)
                    steps = system.ends[e] - count
                    depth += steps if system.directions[e] > 0 else 1 - steps
                    n_violated += 1
        energy += system.units[0] * (2.0 * depth - system.offsets[e] * n_violated)
        errors += n_violated
    return energy, errors


register(
    SignLinear,
    replica=_linear_replica,
    change=signs_change,
    flip=_linear_flip,
    refresh=_linear_refresh,
)
