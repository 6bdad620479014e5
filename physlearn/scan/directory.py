"""The directory of a scan: its manifest, its journals, and the dataset that can be made of them at any time."""

import contextlib
import dataclasses
import datetime
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from physlearn.inputs import InputError, reject
from physlearn.random import canonical
from physlearn.results import Status
from physlearn.scan.dataset import Table, attributes
from physlearn.scan.grid import Grid, grid_of, scalars, single_names, united
from physlearn.scan.journal import Reader
from physlearn.scan.storage import check_directory, difference, provenance, unwritable, write, write_text

try:
    import fcntl
except ImportError:  # not on this system; journals are separate all the same
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import xarray

_FORMAT = 1


class Directory:
    """Where a scan is kept: ``manifest.json``, ``journal/``, ``arrays/``, ``checkpoints/`` and ``result.nc``.

    The journals hold what is known; ``result.nc`` is made of them, for everything that they hold.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def result(self) -> Path:
        """The dataset's file."""
        return self.path / "result.nc"

    def manifest(self) -> dict[str, Any] | None:
        """What the directory says of its scan; None in a new one."""
        path = self.path / "manifest.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise reject(
                    "out", str(self.path), f"directories of format {_FORMAT}, not {content['format']}"
                )
            content["configuration"]["seed"], content["known"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise reject("out", str(path), f"a manifest that can be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise reject("out", str(path), "a manifest as a scan writes it (this one is damaged)") from error
        return content

    def configuration(self) -> dict[str, Any]:
        """Of the scan that was last asked for here."""
        manifest = self.manifest()
        if manifest is None:
            raise reject("DIR", str(self.path), "the directory of a scan, with a manifest.json")
        return manifest["configuration"]

    def check(self, configuration: Mapping[str, Any]) -> dict[str, Any] | None:
        """The manifest, if the directory can be written and holds nothing else than this scan."""
        manifest = self.manifest()
        if manifest is not None:
            found = first_difference(manifest["configuration"], configuration, manifest["known"])
            if found:
                raise InputError(
                    f"out: got {self.path}, which holds another scan ({found}); "
                    "allowed: an empty or new directory, or that of the same scan."
                )
        else:
            check_directory(self.path)
            if self.result.exists() or any((self.path / "journal").glob("*.jsonl")):
                allowed = "a directory whose result.nc and journal a scan's manifest.json explains"
                raise reject("out", str(self.path), allowed)
        return manifest

    def claim(self, configuration: Mapping[str, Any]) -> None:
        """Check the directory, and write down in its manifest what is asked for."""
        configuration = json.loads(json.dumps(configuration))
        manifest = self.check(configuration)
        if manifest is not None and manifest["configuration"] == configuration and self.path.is_dir():
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error
        with self.locked():
            manifest = self.check(configuration)  # another process may have been first
            if manifest is None:
                created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                manifest = {"format": _FORMAT, "created": created, **provenance(), "known": {}}
            # Objects of axes are remembered, also those that are not asked for now.
            tables = {name: item for name, item in configuration["axes"].items() if isinstance(item, dict)}
            known = {name: {**manifest["known"].get(name, {}), **item} for name, item in tables.items()}
            content = {**manifest, "known": {**manifest["known"], **known}, "configuration": configuration}
            write_text(json.dumps(content, indent=1) + "\n", self.path / "manifest.json")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time; without effect where the file system knows no locks."""
        try:
            file = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            if fcntl is not None:
                with contextlib.suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def finished(
        self, grid: Grid, constants: Mapping[str, Any], reader: Reader, but: Path | None = None
    ) -> np.ndarray:
        """Indices of the tasks that `reader` newly finds finished, failed ones left out."""
        indices = (
            index
            for index, record in placed(reader.records(but), grid, constants)
            if record["status"] != Status.FAILED.code
        )
        return np.fromiter(indices, dtype=np.int64)

    def rebuild(self, configuration: Mapping[str, Any] | None = None) -> "xarray.Dataset":
        """Make ``result.nc`` anew from the journals, and return it; for the scan last asked for, or another one."""
        configuration = self.configuration() if configuration is None else configuration
        with self.locked():  # so that the last one to write has read all that was finished before
            dataset = self.dataset(configuration)
            write(dataset, self.result)
        return dataset

    def dataset(self, configuration: Mapping[str, Any]) -> "xarray.Dataset":
        """All that the journals hold and `configuration` asks for."""
        asked = grid_of(configuration)
        constants = configuration["constants"]
        reader = Reader(self.path)
        grid = _widened(asked, constants, reader.records())
        reader, last = Reader(self.path), None
        table = Table(grid, configuration.get("measure"))

        def records() -> Iterator[tuple[int, Mapping[str, Any]]]:
            nonlocal last
            for index, record in placed(reader.records(), grid, constants):
                last = max(record.get("time", 0.0), last or 0.0)
                yield index, self.with_arrays(record)

        table.fill(records())
        starts = [header["start"] for header in reader.headers.values()]
        versions = {
            name: str(max(reader.headers.items())[1].get(name, here)) if reader.headers else here
            for name, here in provenance().items()
        }
        single = [name for name in single_names(configuration) if len(grid.coordinates[name]) == 1]
        attrs = attributes(configuration, versions, min(starts, default=None), last)
        if reader.damaged:
            attrs["damaged"] = damage(reader)
        return table.to_dataset(attrs, single)

    def with_arrays(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record, with the arrays that have files of their own."""
        if "arrays" not in record:
            return record
        path = self.path / "arrays" / record["arrays"]
        try:
            with np.load(path) as arrays:
                return {**record, "values": {**record["values"], **dict(arrays)}}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise reject("out", str(path), f"the arrays that a journal names ({error})") from error


def placed(
    records: Iterator[Mapping[str, Any]], grid: Grid, constants: Mapping[str, Any]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The records that have a place in `grid` and the numbers and strings of `constants`, each with its index."""
    fixed = scalars(constants)
    for record in records:
        index = grid.index(record["point"], record["instance"])
        if index is not None and _fits(record["point"], fixed):
            yield index, record


def _fits(point: Mapping[str, Any], fixed: Mapping[str, Any]) -> bool:
    return all(point.get(name) == value for name, value in fixed.items())


def _widened(grid: Grid, constants: Mapping[str, Any], records: Iterator[Mapping[str, Any]]) -> Grid:
    """`grid` with the coordinates and instances of all `records`, so that nothing finished is left out."""
    axes, fixed = grid.coordinates, scalars(constants)
    met: dict[str, dict[Any, None]] = {name: {} for name in axes}
    instances = grid.instances
    for record in records:
        point = record["point"]
        if all(name in point for name in axes) and _fits(point, fixed):
            for name in axes:
                met[name][point[name]] = None
            instances = max(instances, record["instance"] + 1)
    wide = {name: united(values, met[name]) for name, values in axes.items()}
    return dataclasses.replace(grid, beside=wide, room=instances)


def first_difference(
    there: Mapping[str, Any], here: Mapping[str, Any], known: Mapping[str, dict[str, Any]]
) -> str:
    """Where two configurations are not of one scan, in words; nothing where one only has more points.

    Axes, instances, extra points and what is measured may differ, and a constant may become an axis that holds its
    value. Objects of an axis that are `known` by a name must be the same under it.
    """
    for name in ("task", "seed"):
        if there[name] != here[name]:
            return difference(there[name], here[name], name)
    of_there, of_here = ({**item["constants"], **item["axes"]} for item in (there, here))
    for name in {**of_there, **of_here}:
        are_axes = [name in item["axes"] for item in (there, here)]
        places = ["axes" if is_axis else "constants" for is_axis in are_axes]
        if name not in of_there or name not in of_here:
            return difference(of_there.get(name), of_here.get(name), f"{places[name in of_here]}.{name}")
        old, new = of_there[name], of_here[name]
        if all(are_axes):
            if isinstance(old, dict) != isinstance(new, dict):
                return difference(old, new, f"axes.{name}")
            if isinstance(old, dict):
                old = {**known.get(name, {}), **old}
                for key in old:
                    if key in new and canonical(old[key]) != canonical(new[key]):
                        return difference(old[key], new[key], f"axes.{name}.{key}")
        elif any(are_axes):
            axis_values, value = (old, new) if are_axes[0] else (new, old)
            if isinstance(axis_values, dict) or value not in axis_values:
                return difference(old, new, f"axes.{name}")
        elif canonical(old) != canonical(new):
            return difference(old, new, f"constants.{name}")
    return ""


def damage(reader: Reader) -> str:
    """What is wrong with the journals, in a sentence."""
    name, line = reader.damaged[0]
    more = f" and {len(reader.damaged) - 1} more" if len(reader.damaged) > 1 else ""
    return f"line {line} of journal/{name}{more} can't be read: its task counts as not done."
