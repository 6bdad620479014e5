"""From what tasks have answered to a dataset: every value at its place, whatever the order of arrival."""

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import reject
from physlearn.results import Status
from physlearn.scan.grid import Grid, grid_of, single_names
from physlearn.scan.tasks import TaskError
from physlearn.scan.variables import annotate

if TYPE_CHECKING:
    import xarray


class Table:
    """Values and status of every task of a grid.

    Parameters
    ----------
    grid : Grid
    measure : sequence of str, optional
        The values that are kept, with their errors; by default all.
    """

    def __init__(self, grid: Grid, measure: Sequence[str] | None = None) -> None:
        self.grid = grid
        self.status = np.full(grid.shape, Status.NOT_PLANNED.code, dtype=np.int8)
        self.status[..., : grid.instances][grid.planned] = Status.NOT_RUN.code
        self._flat = self.status.reshape(-1)
        self._asked = measure
        self._measure = None if measure is None else {*measure, *(f"{name}_error" for name in measure)}
        self._values: dict[str, np.ndarray] = {}
        self._found: set[str] = set()

    def put(self, index: int, status: int, values: Mapping[str, Any]) -> None:
        """Fill in what a task has answered; arrays of one name that differ in length are padded with NaN."""
        for name, value in values.items():
            if name in self._values and self._values[name].ndim != np.ndim(value) + 1:
                n_dims = self._values[name].ndim - 1
                raise TaskError(f"{name} has {np.ndim(value)} dimensions here and {n_dims} elsewhere.")
        self._flat[index] = status
        for name, value in values.items():
            self._found.add(name)
            if self._measure is not None and name not in self._measure:
                continue
            there = self._values.get(name)
            if isinstance(value, float) and there is not None and there.ndim == 1:
                there[index] = value
                continue
            value = np.asarray(value, dtype=np.float64)
            if there is None:
                there = self._values[name] = np.full((self._flat.size, *value.shape), np.nan)
            if any(new > old for new, old in zip(value.shape, there.shape[1:], strict=True)):
                longer = [(0, max(0, n - m)) for n, m in zip(value.shape, there.shape[1:], strict=True)]
                there = self._values[name] = np.pad(there, [(0, 0), *longer], constant_values=np.nan)
            if value.ndim:
                there[index][tuple(slice(0, n) for n in value.shape)] = value
            else:
                there[index] = value

    def fill(self, records: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Put all `records` in their places: the first that has not failed stays."""
        for index, record in records:
            if self._flat[index] in _OPEN:
                try:
                    self.put(index, record["status"], record["values"])
                except TaskError:  # of another shape than elsewhere
                    self._flat[index] = Status.FAILED.code

    def to_dataset(self, attrs: Mapping[str, Any], scalars: Sequence[str] = ()) -> "xarray.Dataset":
        """The dataset, with its attributes; axes named in `scalars` are no dimensions."""
        import xarray

        has_all = not np.isin(self.status, (Status.NOT_RUN.code, Status.FAILED.code)).any()
        if self._asked is not None and has_all and (self.status != Status.UNSATISFIABLE.code).any():
            check_measure(self._asked, self._found)
        for name in self._asked or ():  # of a solver, perhaps, of which nothing is finished yet
            if name not in self._values:
                self._values[name] = np.full(self._flat.size, np.nan)
        dims = (*self.grid.axes, "instance")
        data: dict[str, tuple] = {}
        for name in sorted(self._values):
            values = self._values[name].reshape(*self.grid.shape, *self._values[name].shape[1:])
            extra = values.ndim - len(dims)
            inner = [f"{name}_index"] if extra == 1 else [f"{name}_index_{k}" for k in range(extra)]
            while {*inner} & {*dims, *self._values}:
                inner = [f"{item}_" for item in inner]
            data[name] = ((*dims, *inner), values)
        data["status"] = (dims, self.status, Status.attributes())
        coords = {
            **{name: list(values) for name, values in self.grid.coordinates.items()},
            "instance": np.arange(self.grid.shape[-1]),
        }
        dataset = annotate(xarray.Dataset(data, coords=coords, attrs=dict(attrs)))
        return dataset.isel({name: 0 for name in scalars})


def with_inner_axis(dataset: "xarray.Dataset", configuration: Mapping[str, Any]) -> "xarray.Dataset":
    """The arrays of tasks that were given at the values of a constant (`Scan.along`), along a dimension of its name."""
    for name, values in configuration.get("along", {}).items():
        for variable in [
            str(key)
            for key, data in dataset.data_vars.items()
            if data.sizes.get(f"{key}_index") == len(values)
        ]:
            dataset[variable] = dataset[variable].rename({f"{variable}_index": name})
        dataset = annotate(dataset.assign_coords({name: np.asarray(values)}))
    return dataset


def shown_along(data: "xarray.Dataset", name: str | None, axes: list[str]) -> "xarray.Dataset":
    """A curve over an axis of its own against what it tells of `name`, such as a distance that the axis determines."""
    if name is None or name not in data.data_vars or len(axes) != 1:
        return data
    values = data[name].max([dim for dim in data.dims if dim != axes[0]]).values
    known = np.isfinite(values)
    data = data.drop_vars([name, axes[0]], errors="ignore").isel({axes[0]: known})
    return data.rename({axes[0]: name}).assign_coords({name: values[known].round(12)})


def check_measure(measure: Iterable[str], found: Iterable[str]) -> None:
    """Raise an `InputError` for a value that is to be measured and that no task has answered with."""
    known = sorted(found)
    for name in sorted(measure):
        if name not in known:
            raise reject("measure", name, "one of " + ", ".join(known))


# What a later answer may replace.
_OPEN = (Status.NOT_PLANNED.code, Status.NOT_RUN.code, Status.FAILED.code)


def attributes(
    configuration: Mapping[str, Any], versions: Mapping[str, str], start: str | None, end: float | None
) -> dict[str, Any]:
    """What a dataset tells of where it comes from; `end` in seconds of the epoch."""
    now = datetime.datetime.now(datetime.UTC)
    ended = now if end is None else datetime.datetime.fromtimestamp(end, datetime.UTC)
    return {
        "configuration": json.dumps(configuration),
        "seed": configuration["seed"],
        **versions,
        "start": start or now.isoformat(timespec="seconds"),
        "end": ended.isoformat(timespec="seconds"),
    }


def stated(dataset: "xarray.Dataset") -> "xarray.Dataset":
    """What the scan last asked for of a ``result.nc``, which may hold more: what earlier scans left there."""
    return restricted(dataset, json.loads(dataset.attrs["configuration"]))


def restricted(dataset: "xarray.Dataset", configuration: Mapping[str, Any]) -> "xarray.Dataset":
    """What a `configuration` asks for of a dataset that holds more."""
    grid = grid_of(configuration)
    single = single_names(configuration)
    chosen = {
        name: values[0] if name in single else list(values)
        for name, values in grid.coordinates.items()
        if name in dataset.dims
    }
    dataset = with_inner_axis(dataset.sel(chosen).isel(instance=slice(0, grid.instances)), configuration)
    if grid.planned.all():
        return dataset
    import xarray

    names = [name for name in grid.axes if name not in single]
    planned = xarray.DataArray(
        grid.planned.reshape([len(grid.coordinates[name]) for name in names]), dims=names
    )
    masked = dataset.drop_vars("status").where(planned)
    masked["status"] = dataset["status"].where(planned, np.int8(Status.NOT_PLANNED.code))
    return masked.assign_attrs(dataset.attrs)
