"""What a study found, as a table for the terminal."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import reject
from physlearn.results import Status
from physlearn.scan.variables import is_rate, main_axis, measured, numeric_axes

if TYPE_CHECKING:
    import xarray


def table(
    result: "xarray.Dataset",
    theory: "xarray.Dataset | None" = None,
    finite_size: "xarray.Dataset | None" = None,
    panels: Sequence[dict[str, Any]] = (),
) -> str:
    """Means over the instances with their standard errors, beside the theory, then thresholds and status.

    Parameters
    ----------
    result : xarray.Dataset
        Of a scan: ``alpha`` or else the longest axis goes down, ``N`` or else another axis goes to the right; further
        axes are shown at the value that a panel selects, or at their first one. A dash stands where nothing is known.
    theory, finite_size : xarray.Dataset, optional
        As `Study.theory` and `Study.finite_size` return them.
    panels : sequence of dict, optional
        ``variable``, ``solver`` and ``select`` of each block; by default all variables of all solvers.
    """
    names = _solvers(result)
    blocks = []
    for panel in panels or [{"solver": name} for name in names]:
        variables = [panel["variable"]] if "variable" in panel else measured(result)
        solvers = [panel.get("solver")] if panel.get("solver") else names
        for variable, solver in itertools.product(variables, solvers):
            # Whatever size a panel is for, the table has room for all of them.
            select = {name: value for name, value in panel.get("select", {}).items() if name != "N"}
            blocks.append(_block(result, theory, variable, solver, select))
    lines = [*_thresholds(theory), *_finite_size(finite_size), *_status(result, names)]
    return "\n\n".join([*filter(None, dict.fromkeys(blocks)), "\n".join(lines)])


def with_error(value: float, error: float) -> str:
    """``0.1234(12)``: the error in units of the last digits shown, two of them."""
    if not np.isfinite(value):
        return "-"
    if not np.isfinite(error) or error < 1e-6:
        # Below that it is the rounding of sums and the tolerance of solvers that one would read.
        return f"{value:.4g}" if abs(value) >= 1e-6 else "0"
    if error > 1e4 * max(1.0, abs(value)):
        return "unknown"  # the data say nothing of it
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{digits}f}({error * 10**digits:.0f})"


def _solvers(result: "xarray.Dataset") -> list[str | None]:
    return result["solver"].values.tolist() if "solver" in result.dims else [None]


def _named(axis: str, value: Any) -> str:
    return f"{axis} = {value:g}" if isinstance(value, float) else f"{axis} = {value}"


def _places(values: np.ndarray, wanted: Any) -> list[int]:
    """Where `wanted` stands among the values of an axis."""
    same = np.isclose(values, wanted, rtol=1e-9) if values.dtype.kind in "fiu" else values == wanted
    return np.flatnonzero(same).tolist()


def _at(data: "xarray.DataArray", axis: str, value: Any) -> "xarray.DataArray | None":
    """`data` at one value of an axis; as it is where it has no such axis, None where that has no such value."""
    if axis not in data.dims or axis not in data.coords:
        return data
    places = _places(data[axis].values, value)
    return data.isel({axis: places[0]}) if places else None


def _block(
    result: "xarray.Dataset",
    theory: "xarray.Dataset | None",
    variable: str,
    solver: str | None,
    select: Mapping[str, Any],
) -> str:
    """The rows of one variable and solver, without those that the scan does not have."""
    data, status = result[variable], result["status"]
    if solver and "solver" in data.dims:
        data, status = data.sel(solver=solver), status.sel(solver=solver)
    axes = numeric_axes(data)
    down = main_axis(data.isel({name: 0 for name in axes if name in select}))
    others = [name for name in axes if name not in (down, *select)]
    right = min(
        others, key=lambda name: (name != "N" or data.sizes[name] == 1, -data.sizes[name]), default=None
    )
    fixed = {}
    for name in [str(name) for name in data.dims if name not in (down, right, "instance")]:
        value = select.get(name, data[name].values[0]) if name in data.coords else 0
        chosen = _at(data, name, value)
        if chosen is None:
            raise reject(f"select.{name}", value, "one of " + ", ".join(map(str, data[name].values)))
        if data.sizes[name] > 1 and name in data.coords:
            fixed[name] = value
        data = chosen if name in data.coords else data.isel({name: 0})
        status = status.sel({name: data[name]}) if name in status.dims else status
    rate = is_rate(data)
    rows = data[down].values.tolist() if down else [""]
    columns = {down or "": [f"{value:g}" if down else "" for value in rows]}
    places = data[right].values.tolist() if right else [None]
    if theory is not None and variable in theory:
        columns |= _theory_columns(theory[variable], down, rows, right, places, fixed)
    for value in places:
        samples = data.sel({right: value}) if right else data
        head = _named(right, value) if right else "simulation"
        columns[head] = _cells(_matrix(samples, down), rate)
    if down in status.dims:
        planned = _matrix(status != Status.NOT_PLANNED.code, down).any(axis=1)
        columns = {name: [cells[k] for k in np.flatnonzero(planned)] for name, cells in columns.items()}
    what = "fraction of" if rate else "mean and standard error of"
    head = ", ".join([str(data.attrs.get("long_name", variable)), *([solver] if solver else [])])
    head += "".join(f", {_named(name, value)}" for name, value in fixed.items())
    head += f" ({what} {data.sizes.get('instance', 1)} instances)"
    widths = {name: max([len(name), *map(len, cells)]) for name, cells in columns.items()}
    lines = ["  ".join(name.rjust(widths[name]) for name in columns)]
    for cells in zip(*columns.values(), strict=True):
        lines.append("  ".join(cell.rjust(widths[name]) for name, cell in zip(columns, cells, strict=True)))
    return "\n".join([head, *lines])


def _matrix(data: "xarray.DataArray", down: str | None) -> np.ndarray:
    """Values of shape (rows, all the rest)."""
    values = data.transpose(down, ...).values if down else data.values[None]
    return values.reshape(len(values), -1)


def _cells(samples: np.ndarray, rate: bool) -> list[str]:
    cells = []
    for row in samples:
        row = row[np.isfinite(row)]
        error = row.std(ddof=1) / np.sqrt(row.size) if row.size > 1 and not rate else np.inf
        mean = row.mean() if row.size else np.nan
        cells.append(f"{mean:.2f}" if rate and row.size else with_error(mean, error))
    return cells


def _theory_columns(
    theory: "xarray.DataArray",
    down: str | None,
    rows: Sequence[Any],
    right: str | None,
    places: Sequence[Any],
    fixed: Mapping[str, Any],
) -> dict[str, list[str]]:
    """A column for each branch, and for each place of the axis to the right if the theory depends on it."""
    columns = {}
    for k, name in enumerate(theory["theory"].values if "theory" in theory.dims else ["theory"]):
        branch = theory.isel(theory=k) if "theory" in theory.dims else theory
        for place in places if right in theory.dims else [None]:
            part: xarray.DataArray | None = branch
            for axis, value in (*fixed.items(), *([(right, place)] if place is not None else [])):
                part = _at(part, str(axis), value) if part is not None else None
            cells = []
            for row in rows:
                found = _at(part, down, row) if part is not None and down else part
                value = float(found.squeeze()) if found is not None and found.size == 1 else np.nan
                cells.append(f"{value:.4f}" if np.isfinite(value) else "-")
            columns[f"{name}, {_named(str(right), place)}" if place is not None else str(name)] = cells
    return columns


def _thresholds(theory: "xarray.Dataset | None") -> list[str]:
    if theory is None or "threshold_load" not in theory:
        return []
    pairs = zip(theory["threshold"].values, theory["threshold_load"].values, strict=True)
    return ["thresholds in theory: " + ", ".join(f"{name} {value:.5f}" for name, value in pairs)]


def _finite_size(data: "xarray.Dataset | None") -> list[str]:
    if data is None:
        return []
    if "sizes" in data.attrs:
        return _limits(data)
    axes = [str(name) for name in data.dims if name != "N"]
    if axes:
        lines = []
        for place in itertools.product(*(range(data.sizes[name]) for name in axes)):
            one = data.isel(dict(zip(axes, place, strict=True)))
            values = {name: one[name].item() for name in axes}
            solver = str(values.pop("solver", data.attrs["solver"]))
            where = ", ".join([*filter(None, [solver]), *itertools.starmap(_named, values.items())])
            attrs = {**data.attrs, "solver": where}
            if str(one["refused"].item()):
                attrs["refused"] = f"{where}: {one['refused'].item()}"
            lines += _finite_size(one.drop_vars("refused").assign_attrs(attrs))
        return lines
    if "refused" in data.attrs:
        return [f"threshold in simulation: not estimated ({data.attrs['refused']})"]
    crossings = ", ".join(
        f"{with_error(value, error)} at N = {N}"
        for N, value, error in zip(
            data["N"].values, data["crossing"].values, data["crossing_error"].values, strict=True
        )
    )
    limit = with_error(float(data["threshold"]), float(data["threshold_error"]))
    solver = f", {data.attrs['solver']}" if data.attrs.get("solver") else ""
    freedom = data.sizes["N"] - 2
    of_fit = f"chi2 {float(data['chi2']):.2g} for {freedom} degrees of freedom"
    quality = of_fit if freedom else "two sizes: nothing is left to test the fit by"
    level = float(data["level"]) if "level" in data else 0.5
    rate = "one half" if level == 0.5 else f"{level:.4g}"
    return [
        f"threshold in simulation ({data.attrs['variable']}{solver}): {limit} for N to infinity by "
        f"N^-{float(data['exponent']):.3g} ({quality}); the rate is {rate} at {crossings}"
    ]


def _limits(data: "xarray.Dataset") -> list[str]:
    """A variable in the limit of infinite size, a line for each value of all axes but the last."""
    name = data.attrs["variable"]
    sizes = ", ".join(map(str, np.atleast_1d(data.attrs["sizes"])))
    *rest, last = map(str, data[name].dims)
    lines = [f"{name} for N to infinity by N^-{data.attrs['exponent']:.3g} from N = {sizes}, at {last}"]
    for place in itertools.product(*(data[axis].values.tolist() for axis in rest)):
        part = data.sel(dict(zip(rest, place, strict=True)))
        pairs = zip(part[name].values.tolist(), part[f"{name}_error"].values.tolist(), strict=True)
        cells = [f"{at:g}: {with_error(*pair)}" for at, pair in zip(part[last].values, pairs, strict=True)]
        where = [
            value if isinstance(value, str) else _named(axis, value)
            for axis, value in zip(rest, place, strict=True)
        ]
        lines.append(f"  {', '.join(where)}: " + "; ".join(cells))
    return lines


def _status(result: "xarray.Dataset", solvers: Sequence[str | None]) -> list[str]:
    lines = []
    for solver in solvers:
        codes = (result["status"].sel(solver=solver) if solver else result["status"]).values
        counts = {status: int((codes == status.code).sum()) for status in Status}
        left_out = counts.pop(Status.NOT_PLANNED)
        shown = ", ".join(f"{status.name} {count}" for status, count in counts.items() if count) or "none"
        if left_out:
            shown += f" ({left_out} of {codes.size} places in the grid are not part of the scan)"
        lines.append(f"status{f' of {solver}' if solver else ''}: {shown}")
        lines += [status.advice for status in (Status.NOT_RUN, Status.FAILED) if counts[status]]
    return lines
