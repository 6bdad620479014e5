"""The points of a scan: axes, extra points and instances, in the order in which they are run."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from physlearn.inputs import reject
from physlearn.random import canonical

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Grid:
    """The product of `axes`, and `extra` points beside it, each with a number of `instances`.

    A task has an integer index: its place in an array over the `coordinates` and the instances.

    Attributes
    ----------
    axes : dict of str to tuple
        Numbers or names.
    extra : tuple of tuple
        One value an axis, in the order of the axes.
    instances : int
    beside : dict of str to tuple
        Coordinates that the dimensions hold besides, with no task planned at them.
    room : int
        Length of the dimension of the instances, where it is larger than their number.
    """

    axes: Mapping[str, Values]
    extra: tuple[Values, ...] = ()
    instances: int = 1
    beside: Mapping[str, Values] = field(default_factory=dict)
    room: int = 0

    @cached_property
    def coordinates(self) -> dict[str, Values]:
        """The values along each dimension: those of the axes, and those that extra points bring."""
        return {
            name: united(values, [*(point[k] for point in self.extra), *self.beside.get(name, ())])
            for k, (name, values) in enumerate(self.axes.items())
        }

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the dimensions, the instances last."""
        return (*(len(values) for values in self.coordinates.values()), max(self.instances, self.room))

    @cached_property
    def positions(self) -> dict[str, dict[Any, int]]:
        """Where each value stands along its dimension, by what streams make of it (True is not 1)."""
        return {
            name: {canonical(value): k for k, value in enumerate(values)}
            for name, values in self.coordinates.items()
        }

    @cached_property
    def planned(self) -> np.ndarray:
        """Whether a point belongs to the scan, shape `shape` without the instances."""
        planned = np.zeros(self.shape[:-1], dtype=bool)
        if self.axes:
            chosen = [
                [self.positions[name][canonical(value)] for value in values]
                for name, values in self.axes.items()
            ]
            planned[np.ix_(*chosen)] = True
        else:
            planned[()] = True
        for point in self.extra:
            planned[
                tuple(
                    self.positions[name][canonical(value)]
                    for name, value in zip(self.axes, point, strict=True)
                )
            ] = True
        return planned

    @property
    def n_tasks(self) -> int:
        """How many tasks the scan has."""
        return int(self.planned.sum()) * self.instances

    def index(self, point: Mapping[str, Any], instance: int) -> int | None:
        """The index of a task, or None where the dimensions don't hold it."""
        if not 0 <= instance < self.shape[-1]:
            return None
        index = 0
        for (name, positions), length in zip(self.positions.items(), self.shape[:-1], strict=True):
            position = positions.get(canonical(point[name])) if name in point else None
            if position is None:
                return None
            index = index * length + position
        return index * self.shape[-1] + instance

    def values(self, index: int) -> tuple[dict[str, Any], int]:
        """Values of the axes and instance of a task."""
        rest, instance = divmod(index, self.shape[-1])
        values = {}
        for (name, along), length in zip(
            reversed(self.coordinates.items()), reversed(self.shape[:-1]), strict=True
        ):
            rest, position = divmod(rest, length)
            values[name] = along[position]
        return {name: values[name] for name in self.axes}, instance

    def order(self, shard: tuple[int, int] | None = None) -> Iterator[int]:
        """Indices of the tasks: large systems first, so that no worker ends alone with the longest task.

        Of equal size, instance by instance, so that a picture of the whole is there early.

        Parameters
        ----------
        shard : (int, int), optional
            (i, n): the i-th of n parts, i = 1 ... n, equal to a task.
        """
        points = np.arange(self.planned.size).reshape(self.planned.shape)
        names = list(self.axes)
        sizes: Sequence[Any] = [None]
        if "N" in self.axes:
            along = self.coordinates["N"]
            sizes = sorted(
                range(len(along)), key=lambda k: (isinstance(along[k], str), along[k]), reverse=True
            )
        rank = 0
        for size in sizes:
            where: Any = ... if size is None else (*[slice(None)] * names.index("N"), size)
            chosen = points[where][self.planned[where]].tolist()
            for instance in range(self.instances):
                # Turned from instance to instance, so that a part does not always have the same points.
                shift = instance * (len(chosen) - 1) % max(len(chosen), 1) if shard else 0
                for point in itertools.chain(chosen[shift:], chosen[:shift]):
                    if shard is None or rank % shard[1] == shard[0] - 1:
                        yield point * self.shape[-1] + instance
                    rank += 1


def united(values: Values, others: Iterable[Any]) -> Values:
    """`values` and those `others` that are new: in between where `values` are sorted numbers, else behind."""
    known = set(map(canonical, values))
    new = tuple({canonical(value): value for value in others if canonical(value) not in known}.values())
    numbers = not any(isinstance(value, str) for value in (*values, *new))
    if new and numbers and len(values) > 1:
        if list(values) == sorted(values):
            return tuple(sorted((*values, *new)))
        if list(values) == sorted(values, reverse=True):
            return tuple(sorted((*values, *new), reverse=True))
    elif new and numbers:
        return tuple(sorted((*values, *new)))
    return (*values, *new)


def axis(name: Any, values: Any) -> "Values | dict[str, Any]":
    """The values of an axis, checked: distinct numbers or strings, or objects by their names."""
    allowed = "a list of distinct finite numbers or of distinct strings, or a table of objects by their names"
    if not isinstance(name, str) or not name.isidentifier() or name in ("instance", "status"):
        raise reject("axes", name, "names that are identifiers other than instance and status")
    if isinstance(values, Mapping):
        if not values or not all(isinstance(key, str) and key and _is_writable(key) for key in values):
            raise reject(f"axes.{name}", values, allowed)
        return dict(values)
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise reject(f"axes.{name}", values, allowed)
    values = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
    strings = all(isinstance(value, str) for value in values)
    if not values or not ((strings and all(map(_is_writable, values))) or all(map(is_finite, values))):
        raise reject(f"axes.{name}", list(values), allowed)
    if not strings:
        values = tuple(value + 0.0 if isinstance(value, float) else value for value in values)  # no -0.0
    # In a file they are all integers or all floats.
    kept = values if strings or all(isinstance(value, int) for value in values) else tuple(map(float, values))
    if len(set(kept)) < len(values):
        raise reject(f"axes.{name}", list(values), allowed)
    return values


def _is_writable(text: str) -> bool:
    """Whether files can hold a string: no zeros, no lone surrogates."""
    try:
        return "\0" not in text and bool(text.encode() or not text)
    except UnicodeEncodeError:
        return False


def extra_points(points: Any, axes: Mapping[str, Any]) -> tuple[Values, ...]:
    """Points beside the product of the `axes`, as tuples in the axes' order; each once."""
    allowed = f"tables with a value for each of {', '.join(axes)}, and no other"
    single = {name: next(iter(axes[name])) for name in single_names({"axes": axes})}
    checked = []
    for point in points:
        if isinstance(point, Mapping):
            single = {
                name: next(iter(along))
                for name, along in axes.items()
                if isinstance(along, Mapping) and len(along) == 1
            }
            point = {**single, **point}
            if set(point) != set(axes):
                raise reject("extra", dict(point), allowed)
            point = tuple(point[name] for name in axes)
        if not isinstance(point, (tuple, list)) or len(point) != len(axes):
            raise reject("extra", point, allowed)
        point = tuple(value.item() if isinstance(value, np.generic) else value for value in point)
        point = tuple(value + 0.0 if isinstance(value, float) else value for value in point)
        for (name, values), value in zip(axes.items(), point, strict=True):
            if isinstance(values, Mapping):
                if not isinstance(value, str) or value not in values:
                    raise reject(f"extra.{name}", value, "one of " + ", ".join(map(repr, values)))
            elif isinstance(next(iter(values)), str) != isinstance(value, str) or not (
                _is_writable(value) if isinstance(value, str) else is_finite(value)
            ):
                raise reject(f"extra.{name}", value, f"values such as {next(iter(values))!r}")
        checked.append(point)
    return tuple(dict.fromkeys(checked))


def is_finite(value: Any) -> bool:
    """Whether `value` is a finite number; an integer must fit into 64 bits, as files need."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def grid_of(configuration: Mapping[str, Any]) -> Grid:
    """The grid that a configuration describes."""
    axes = {name: axis(name, values) for name, values in configuration["axes"].items()}
    extra = extra_points(configuration.get("extra", ()), axes)
    return Grid({name: tuple(values) for name, values in axes.items()}, extra, configuration["instances"])


def scalars(point: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers and strings among the values of a point, NumPy's as Python's."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in point.items()}
    return {name: value for name, value in plain.items() if isinstance(value, (int, float, str))}


def single_names(configuration: Mapping[str, Any]) -> list[str]:
    """Axes of a single object: they are no dimensions."""
    return [
        name
        for name, values in configuration["axes"].items()
        if isinstance(values, Mapping) and len(values) == 1
    ]
