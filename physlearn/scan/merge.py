"""Directories of one scan, computed apart, become one."""

import hashlib
import itertools
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, reject
from physlearn.random import canonical
from physlearn.results import Status
from physlearn.scan.directory import Directory, first_difference
from physlearn.scan.grid import grid_of, united
from physlearn.scan.storage import difference, replacing, unwritable

if TYPE_CHECKING:
    import xarray


def merge(directories: Sequence[str | Path], out: str | Path | None = None) -> "xarray.Dataset":
    """Gather what `directories` hold of one scan in `out`, and return the dataset.

    Journals and arrays are copied, none is changed or deleted; a task that several have done must have one answer.

    Parameters
    ----------
    directories : sequence of path
        Directories that scans have written: shards of one scan, or runs on several machines.
    out : path, optional
        A new directory, or one of the same scan; by default the first of `directories`.

    Raises
    ------
    InputError
        If they are of different scans, or two answers to one task differ; nothing has then been copied.
    """
    if not directories:
        raise reject("DIR", [], "at least one directory of a scan")
    target = Directory(directories[0] if out is None else out)
    sources = list({path.resolve(): Directory(path) for path in map(Path, directories)}.values())
    joined, known = sources[0].configuration(), dict[str, dict[str, Any]]()
    extra: list[dict[str, Any]] = []
    for source in sources if target.manifest() is None else [target, *sources]:
        manifest = source.manifest()
        configuration = source.configuration()
        assert manifest is not None
        extra += manifest["extra"]
        joined = _joined(source, configuration, joined)
        for name, objects in manifest["known"].items():
            for key, item in objects.items():
                there = known.setdefault(name, {}).setdefault(key, item)
                if there != item:
                    raise _foreign(source, difference(item, there, f"axes.{name}.{key}"))
        found = first_difference(configuration, joined, manifest["known"])
        if found:
            raise _foreign(source, found)
    target.check(joined)
    _check_answers([*sources, target])
    target.claim(joined, known, extra)
    try:
        for source in sources:
            if source.path.resolve() != target.path.resolve():
                _copy(source.path, target.path)
    except OSError as error:
        raise unwritable(target.path, error) from error
    return target.rebuild()


def _foreign(source: Directory, found: str) -> InputError:
    return InputError(
        f"DIR: got {source.path}, which holds another scan ({found}); allowed: directories of one scan."
    )


def _joined(source: Directory, one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that asks for the points of both: those of the larger grid, and the others beside it.

    Where an axis of one is a constant of the other, or both have objects of their own, that is the product of both.
    """
    axes: dict[str, Any] = {}
    for name in {**other["axes"], **one["axes"]}:
        for item in (one, other):
            if name not in item["axes"] and name not in item["address"]:
                raise _foreign(source, f"{name} is an axis of one, and no number or name in the other")
        values, more = (  # type: Any, Any
            item["axes"][name] if name in item["axes"] else (item["constants"][name],)
            for item in (other, one)
        )
        if isinstance(values, dict) != isinstance(more, dict):
            raise _foreign(source, f"{name} has objects in one and none in the other")
        axes[name] = {**values, **more} if isinstance(values, dict) else list(united(tuple(values), more))
    measures = one["measure"], other["measure"]
    joined = {
        **other,
        "axes": axes,
        "constants": {name: value for name, value in other["constants"].items() if name not in axes},
        "address": {name: value for name, value in other["address"].items() if name not in axes},
        "measure": None if None in measures else list(dict.fromkeys([*measures[0], *measures[1]])),
        "instances": max(one["instances"], other["instances"]),
    }
    points = dict.fromkeys([*_points(other, axes), *_points(one, axes)])
    base = max(one, other, key=_n_points)
    objects = [name for name, values in axes.items() if isinstance(values, dict)]
    if set(base["axes"]) == set(axes) and all(set(base["axes"][name]) == set(axes[name]) for name in objects):
        joined["axes"] = {name: base["axes"][name] for name in axes}
    inside = set(_points({**joined, "extra": []}, axes))
    product = set(itertools.product(*axes.values()))
    if set(points) >= product:
        joined["axes"], inside = axes, product
    joined["extra"] = [list(point) for point in points if point not in inside]
    return joined


def _n_points(configuration: Mapping[str, Any]) -> int:
    return math.prod(map(len, configuration["axes"].values()))


def _points(configuration: Mapping[str, Any], axes: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The planned points, in the order of `axes`."""
    grid = grid_of(configuration)
    points = []
    for index in np.flatnonzero(grid.planned.ravel()).tolist():
        values, _ = grid.values(index * grid.shape[-1])
        points.append(tuple(values.get(name, configuration["constants"].get(name)) for name in axes))
    return points


def _check_answers(directories: Sequence[Directory]) -> None:
    """Raise an `InputError` where one task has two answers."""
    known: dict[bytes, tuple[bytes, Directory]] = {}
    for directory in {item.path.resolve(): item for item in directories}.values():
        for record in directory.records(directory.reader()):
            if record["status"] == Status.FAILED.code:
                continue
            task = json.dumps([canonical(record["point"]), record["instance"]])
            first, where = known.setdefault(_digest(task), (_answer(directory, record), directory))
            if first != _answer(directory, record):
                raise InputError(
                    f"DIR: got {where.path} and {directory.path}, which answer differently at "
                    f"{record['point']}, instance {record['instance']}; allowed: "
                    "directories that agree bit for bit, as runs of one version on machines of one kind do."
                )


def _answer(directory: Directory, record: Mapping[str, Any]) -> bytes:
    values = {
        name: np.asarray(value, dtype=float).tolist()
        for name, value in directory.with_arrays(record)["values"].items()
    }
    return _digest(json.dumps([record["status"], values], sort_keys=True))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _copy(source: Path, target: Path) -> None:
    """Journals, whose names are their own, and arrays, whose names are their task's."""
    for folder in ("journal", "arrays"):
        for path in sorted((source / folder).rglob("*")):
            place = target / path.relative_to(source)
            if path.is_file() and not path.name.startswith(".") and not _is_there(path, place):
                with replacing(place) as temporary:
                    shutil.copyfile(path, temporary)
    for name in ("study.json", "theory.nc"):
        if (source / name).is_file() and not (target / name).exists():
            with replacing(target / name) as temporary:
                shutil.copyfile(source / name, temporary)


def _is_there(path: Path, place: Path) -> bool:
    return place.is_file() and place.stat().st_size >= path.stat().st_size
