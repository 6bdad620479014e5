"""What a study found, as a table for the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.results import Status

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
        Of a scan over ``alpha`` and ``N``, perhaps ``solver``; other axes are shown at their first value.
    theory, finite_size : xarray.Dataset, optional
        As `Study.theory` and `Study.finite_size` return them.
    panels : sequence of dict, optional
        ``variable`` and ``solver`` of each block; by default all variables of all solvers.
    """
    theory = _first(theory) if theory is not None else None
    result = _first(result)
    solvers = result["solver"].values.tolist() if "solver" in result.dims else [None]
    variables = [
        name
        for name in result.data_vars
        if name not in ("status", "load") and not str(name).endswith("_error")
    ]
    if not panels:
        panels = [{"variable": name, "solver": solver} for solver in solvers for name in variables]
    blocks = [_block(result, theory, panel["variable"], panel.get("solver")) for panel in panels]
    lines = [*_thresholds(theory), *_finite_size(finite_size), *_status(result, solvers)]
    return "\n\n".join([*filter(None, blocks), "\n".join(lines)])


def with_error(value: float, error: float) -> str:
    """``0.1234(12)``: the error in units of the last digits shown, two of them."""
    if not np.isfinite(value):
        return "-"
    if not np.isfinite(error) or error < 1e-6:
        # Below that it is the rounding of sums and the tolerance of solvers that one would read.
        return f"{value:.4g}" if abs(value) >= 1e-6 else "0"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{digits}f}({error * 10**digits:.0f})"


def _first(data: "xarray.Dataset") -> "xarray.Dataset":
    known = ("alpha", "N", "solver", "instance", "theory", "threshold")
    return data.isel({name: 0 for name in data.dims if name not in known})


def _block(
    result: "xarray.Dataset", theory: "xarray.Dataset | None", variable: str, solver: str | None
) -> str:
    data = result[variable]
    if "solver" in data.dims:
        data = data.sel(solver=solver)
    data = data.transpose("alpha", "N", "instance")
    is_rate = bool(np.isin(data.values[np.isfinite(data.values)], (0, 1)).all())
    columns = {"alpha": [f"{alpha:g}" for alpha in data["alpha"].values]}
    if theory is not None and variable in theory:
        for name in theory["theory"].values:
            values = theory[variable].sel(theory=name, alpha=data["alpha"].values).values
            columns[str(name)] = [f"{value:.4f}" if np.isfinite(value) else "-" for value in values]
    for N in data["N"].values:
        samples = data.sel(N=N).values
        counts = np.isfinite(samples).sum(axis=1)
        cells = []
        for row, count in zip(samples, counts, strict=True):
            row = row[np.isfinite(row)]
            error = row.std(ddof=1) / np.sqrt(count) if count > 1 and not is_rate else np.inf
            mean = row.mean() if count else np.nan
            cells.append(f"{mean:.2f}" if is_rate and count else with_error(mean, error))
        columns[f"N = {N}"] = cells
    what = "fraction of" if is_rate else "mean and standard error of"
    head = data.attrs.get("long_name", variable) + (f", {solver}" if solver else "")
    head += f" ({what} {data.sizes['instance']} instances)"
    widths = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}
    rows = ["  ".join(name.rjust(widths[name]) for name in columns)]
    for k in range(data.sizes["alpha"]):
        rows.append("  ".join(cells[k].rjust(widths[name]) for name, cells in columns.items()))
    return "\n".join([head, *rows])


def _thresholds(theory: "xarray.Dataset | None") -> list[str]:
    if theory is None or "threshold_load" not in theory:
        return []
    pairs = zip(theory["threshold"].values, theory["threshold_load"].values, strict=True)
    return ["thresholds in theory: " + ", ".join(f"{name} {value:.5f}" for name, value in pairs)]


def _finite_size(data: "xarray.Dataset | None") -> list[str]:
    if data is None:
        return []
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
    quality = f"chi2 {float(data['chi2']):.2g} for {data.sizes['N'] - 2} degrees of freedom"
    return [
        f"threshold in simulation ({data.attrs['variable']}{solver}): {limit} for N to infinity by "
        f"N^-{float(data['exponent']):.3g} ({quality}); the rate is one half at {crossings}"
    ]


def _status(result: "xarray.Dataset", solvers: Sequence[str | None]) -> list[str]:
    lines = []
    for solver in solvers:
        codes = (result["status"].sel(solver=solver) if solver else result["status"]).values
        counts = {status: int((codes == status.code).sum()) for status in Status}
        shown = ", ".join(f"{status.name} {count}" for status, count in counts.items() if count)
        lines.append(f"status{f' of {solver}' if solver else ''}: {shown}")
        if counts[Status.NOT_RUN]:
            lines.append(Status.NOT_RUN.advice)
    return lines
