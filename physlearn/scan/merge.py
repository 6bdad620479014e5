"""Directories of one scan, computed apart, become one."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, reject
from physlearn.results import Status
from physlearn.scan.directory import Directory
from physlearn.scan.grid import united
from physlearn.scan.journal import Reader
from physlearn.scan.storage import replacing, unwritable

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
    sources = [Directory(path) for path in directories]
    target = Directory(directories[0] if out is None else out)
    configurations = [source.configuration() for source in sources]
    there = target.manifest()
    if there is not None:
        configurations.insert(0, there["configuration"])
    joined = configurations[0]
    for source, configuration in zip(sources, configurations[-len(sources) :], strict=True):
        try:
            source.check(joined)
        except InputError as error:
            raise InputError(str(error).replace("out: got", "DIR: got", 1)) from error
        joined = _joined(joined, configuration)
    target.check(joined)
    _check_answers([*sources, target])
    target.claim(joined)
    try:
        for source in sources:
            if source.path.resolve() != target.path.resolve():
                _copy(source.path, target.path)
    except OSError as error:
        raise unwritable(target.path, error) from error
    return target.rebuild()


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that asks for the points of both."""
    axes: dict[str, Any] = {}
    for name in max(one["axes"], other["axes"], key=len):  # a constant of one may be an axis of the other
        values, more = (  # type: Any, Any
            item["axes"][name] if name in item["axes"] else (item["constants"][name],)
            for item in (one, other)
        )
        axes[name] = {**values, **more} if isinstance(values, dict) else list(united(tuple(values), more))
    constants = {name: value for name, value in one["constants"].items() if name not in axes}
    extra = [] if set(one["axes"]) != set(other["axes"]) else [*one["extra"], *other["extra"]]
    measures = one["measure"], other["measure"]
    return {
        **one,
        "axes": axes,
        "constants": constants,
        "extra": [list(point) for point in dict.fromkeys(map(tuple, extra))],
        "measure": None if None in measures else list(dict.fromkeys([*measures[0], *measures[1]])),
        "instances": max(one["instances"], other["instances"]),
    }


def _check_answers(directories: Sequence[Directory]) -> None:
    """Raise an `InputError` where one task has two answers."""
    known: dict[bytes, tuple[bytes, Directory]] = {}
    for directory in {item.path.resolve(): item for item in directories}.values():
        for record in Reader(directory.path).records():
            if record["status"] == Status.FAILED.code:
                continue
            task = json.dumps([record["point"], record["instance"]], sort_keys=True)
            first, where = known.setdefault(_digest(task), (_answer(directory, record), directory))
            if first != _answer(directory, record):
                raise InputError(
                    f"DIR: got {where.path} and {directory.path}, which answer differently at {task}; allowed: "
                    "directories that agree bit for bit, as runs of one version on machines of one kind do."
                )


def _answer(directory: Directory, record: Mapping[str, Any]) -> bytes:
    values = {
        name: np.asarray(value).tolist() for name, value in directory.with_arrays(record)["values"].items()
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
