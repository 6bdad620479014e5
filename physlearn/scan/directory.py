"""The directory of a scan: its manifest, its journals, and the dataset that can be made of them at any time."""

import contextlib
import dataclasses
import datetime
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, is_zipfile

import numpy as np

from physlearn.inputs import InputError, reject
from physlearn.random import canonical
from physlearn.results import Status
from physlearn.scan.dataset import Table, attributes
from physlearn.scan.grid import Grid, grid_of, single_names, united
from physlearn.scan.journal import Reader, journals
from physlearn.scan.storage import check_directory, difference, provenance, unwritable, write, write_text

try:
    import fcntl
except ImportError:  # not on this system; journals are separate all the same
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import xarray

_FORMAT = 1
_PARTS = ("task", "axes", "constants", "address", "instances", "seed", "measure", "extra")
# Seconds for which one waits for another process that writes.
_WAIT = 120.0
# How much larger than what it asks for and what is there a dataset may be, to hold both.
_WIDEST = 10


class Directory:
    """Where a scan is kept: ``manifest.json``, ``journal/``, ``arrays/``, ``checkpoints/`` and ``result.nc``.

    The journals hold what is known; ``result.nc`` is made of them, for everything that they hold.

    Attributes
    ----------
    path : Path
    named : set of str
        Journals that are known to be there, whether or not a listing shows them yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.named: set[str] = set()

    def reader(self) -> Reader:
        """What reads the journals from their beginnings."""
        return Reader(self.path, self.named)

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
            configuration = content["configuration"]
            grid_of(configuration)
            content["known"], content["extra"], *(configuration[key] for key in _PARTS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise reject("out", str(path), f"a manifest that can be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, InputError) and "directories of format" in str(error):
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

    def claim(
        self,
        configuration: Mapping[str, Any],
        known: Mapping[str, dict[str, Any]] | None = None,
        extra: Iterable[dict[str, Any]] = (),
    ) -> None:
        """Check the directory, and write down what is asked for; objects `known` and `extra` points besides."""
        configuration = json.loads(json.dumps(configuration))
        manifest = self.check(configuration)
        if manifest is not None and manifest["configuration"] == configuration and not known:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error
        with self.locked():
            manifest = self.check(configuration)  # another process may have been first
            if manifest is None:
                created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                manifest = {"format": _FORMAT, "created": created, **provenance(), "known": {}, "extra": []}
            # Objects and points are remembered, also those that are not asked for now.
            tables = {name: item for name, item in configuration["axes"].items() if isinstance(item, dict)}
            merged = dict(manifest["known"])
            for more in (known or {}, tables):
                merged |= {name: {**merged.get(name, {}), **item} for name, item in more.items()}
            points = [*manifest["extra"], *extra, *named_points(configuration)]
            extra = [dict(point) for point in dict.fromkeys(tuple(point.items()) for point in points)]
            content = {**manifest, "known": merged, "extra": extra, "configuration": configuration}
            write_text(json.dumps(content, indent=1) + "\n", self.path / "manifest.json")

    def extra(self, axes: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Points beside a grid that were ever asked for here, as far as `axes` has them."""
        manifest = self.manifest()
        points = [] if manifest is None else manifest["extra"]
        objects = {name: along for name, along in axes.items() if isinstance(along, Mapping)}
        return [
            point
            for point in points
            if set(point) == set(axes) and all(point[name] in along for name, along in objects.items())
        ]

    def sizes(self) -> dict[str, int]:
        """Bytes in each journal: what a dataset was made of."""
        return {path.name: path.stat().st_size for path in journals(self.path / "journal", self.named)}

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time; without effect where the file system knows no locks."""
        try:
            file = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            _wait_for(file, self.path)
            yield
        finally:
            os.close(file)

    def records(self, reader: Reader, but: Path | None = None) -> Iterator[dict[str, Any]]:
        """Those of `reader` whose arrays are there."""
        for record in reader.records(but):
            if "arrays" in record and not is_zipfile(self.path / "arrays" / record["arrays"]):
                reader.damaged.append((f"../arrays/{record['arrays']}", 1))
                continue
            yield record

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
        sizes = self.sizes()
        grid = _widened(asked, configuration, self.records(self.reader()))
        reader, last = self.reader(), None
        table = Table(grid, configuration.get("measure"))

        def records() -> Iterator[tuple[int, Mapping[str, Any]]]:
            nonlocal last
            for index, record in placed(self.records(reader), grid, configuration):
                last = max(record.get("time", 0.0), last or 0.0)
                yield index, self.with_arrays(record)

        table.fill(records())
        headers = list(reader.headers.values())
        versions = {
            name: ", ".join(sorted({str(header.get(name, here)) for header in headers} or {here}))
            for name, here in provenance().items()
        }
        single = [name for name in single_names(configuration) if len(grid.coordinates[name]) == 1]
        attrs = attributes(
            configuration, versions, min((item["start"] for item in headers), default=None), last
        )
        attrs["journals"] = json.dumps(sizes)
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
                more = {name.removeprefix("value_"): arrays[name] for name in arrays.files}
                return {**record, "values": {**record["values"], **more}}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise reject("out", str(path), f"the arrays that a journal names ({error})") from error


def _wait_for(file: int, path: Path) -> None:
    """Wait for the lock on `file`; without effect where the file system knows none."""
    until = time.monotonic() + _WAIT
    while fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                allowed = f"a directory whose lock no other process holds for more than {_WAIT:.0f} s"
                raise reject("out", str(path), allowed) from None
            time.sleep(0.02)
        except OSError:
            return
        else:
            return


def finished(
    records: Iterator[Mapping[str, Any]], grid: Grid, configuration: Mapping[str, Any]
) -> np.ndarray:
    """Indices of the tasks that `records` say are finished, failed ones left out."""
    indices = (
        index
        for index, record in placed(records, grid, configuration)
        if record["status"] != Status.FAILED.code
    )
    return np.fromiter(indices, dtype=np.int64)


def placed(
    records: Iterator[Mapping[str, Any]], grid: Grid, configuration: Mapping[str, Any]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The records that have a place in `grid` and the same constants, each with its index."""
    fixed = {name: canonical(value) for name, value in configuration["address"].items()}
    for record in records:
        index = grid.index(record["point"], record["instance"])
        if index is not None and _fits(record["point"], fixed):
            yield index, record


def _fits(point: Mapping[str, Any], fixed: Mapping[str, Any]) -> bool:
    return all(name in point and canonical(point[name]) == value for name, value in fixed.items())


def _widened(grid: Grid, configuration: Mapping[str, Any], records: Iterator[Mapping[str, Any]]) -> Grid:
    """`grid` with the coordinates and instances of all `records`, so that nothing finished is left out.

    Where that would take many times as much as what is asked for and there, it stays as it is.
    """
    axes = grid.coordinates
    fixed = {name: canonical(value) for name, value in configuration["address"].items()}
    met: dict[str, dict[Any, None]] = {name: {} for name in axes}
    instances, n_records = grid.instances, 0
    for record in records:
        point = record["point"]
        if all(name in point for name in axes) and _fits(point, fixed):
            n_records += 1
            for name in axes:
                met[name][point[name]] = None
            instances = max(instances, record["instance"] + 1)
    wide = {name: united(values, met[name]) for name, values in axes.items()}
    if wide == axes and instances == grid.instances:
        return grid
    size = math.prod(map(len, wide.values())) * instances
    if size > _WIDEST * (math.prod(grid.shape) + n_records):
        return grid
    return dataclasses.replace(grid, beside=wide, room=instances)


def named_points(configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points beside the grid, with the axes' names."""
    return [dict(zip(configuration["axes"], point, strict=True)) for point in configuration["extra"]]


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
            kinds = [
                type(item) if isinstance(item, dict) else isinstance(item[0], str) for item in (old, new)
            ]
            if kinds[0] != kinds[1]:
                return difference(old, new, f"axes.{name}")
            if isinstance(old, dict):
                old = {**known.get(name, {}), **old}
                for key in old:
                    if key in new and canonical(old[key]) != canonical(new[key]):
                        return difference(old[key], new[key], f"axes.{name}.{key}")
        elif are_axes[0]:
            return difference(old, new, f"axes.{name}")
        elif are_axes[1]:
            if isinstance(new, dict) or canonical(old) not in map(canonical, new):
                return difference(old, new, f"axes.{name}")
        elif canonical(old) != canonical(new):
            return difference(old, new, f"constants.{name}")
    return ""


def damage(reader: Reader) -> str:
    """What is wrong with the journals, in a sentence."""
    name, line = reader.damaged[0]
    more = f" and {len(reader.damaged) - 1} more" if len(reader.damaged) > 1 else ""
    return f"line {line} of journal/{name}{more} can't be read: its task counts as not done."
