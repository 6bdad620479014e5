"""Where success rates cross a level: a threshold for each solver, and each value of further axes."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.estimates import extrapolated
from physlearn.inputs import InputError
from physlearn.scan.variables import annotate

if TYPE_CHECKING:
    import xarray

# What the curves of a threshold are made of; all other axes have a threshold for each of their values.
_FEWEST_SIZES = 3  # for a limit
_OF_A_CURVE = ("alpha", "N", "instance")


def crossings(result: "xarray.Dataset", entry: Mapping[str, Any], seed: int) -> "xarray.Dataset":
    """The thresholds that a scan shows, extrapolated in the size, as a table ``[finite_size]`` asks for them.

    Parameters
    ----------
    result : xarray.Dataset
        Of a scan along ``alpha``, ``N``, ``instance``, perhaps ``solver`` and further axes.
    entry : mapping
        ``variable``, and perhaps ``exponent`` and ``solver``, by default all of them.
    seed : int
        Of the bootstrap.

    Returns
    -------
    xarray.Dataset
        As `physlearn.estimates.FiniteSizeThreshold.to_dataset` returns it, along ``solver`` and the further axes that
        have several values. There the coordinate ``refused`` says where the data allow no threshold, and why; it is
        the attribute ``refused`` if there is but one, or none at all.
    """
    variable = entry["variable"]
    result = result[[variable, "load"]]
    dims = [str(name) for name in result[variable].dims]
    if "solver" in dims and "solver" in entry:
        result = result.sel(solver=entry["solver"])
    names = [name for name in dims if name not in _OF_A_CURVE and name in result.dims]
    result = result.isel({name: 0 for name in names if result.sizes[name] == 1})
    names = sorted((name for name in names if name in result.dims), key=lambda name: name != "solver")
    attrs = {"variable": variable, "solver": ""}
    if "solver" in result.coords and "solver" not in names:
        attrs["solver"] = str(result["solver"].item())
    axes = {name: result[name].values for name in names}
    parts = {
        place: _threshold(result.isel(dict(zip(names, place, strict=True))), entry, seed)
        for place in itertools.product(*(range(len(values)) for values in axes.values()))
    }
    found = {place: part for place, part in parts.items() if "refused" not in part.attrs}
    if not found:
        reasons = list(dict.fromkeys(part.attrs["refused"] for part in parts.values()))
        attrs["refused"] = " Or ".join(reasons[:3])
    if not names or not found:
        data = next(iter(parts.values()))
        return annotate(data.assign_attrs(attrs))
    return annotate(_together(parts, found, axes).assign_attrs(attrs))


def limits(result: "xarray.Dataset", entry: Mapping[str, Any]) -> "xarray.Dataset":
    """A variable of one solver in the limit of infinite size, as a table ``[finite_size]`` asks for it.

    Parameters
    ----------
    result : xarray.Dataset
        Of a scan along ``N`` and ``instance``, perhaps ``solver`` and further axes.
    entry : mapping
        ``variable``, and perhaps ``solver``, a name or several, by default all, and ``exponent``, by default one.

    Returns
    -------
    xarray.Dataset
        The variable and its error, by `physlearn.estimates.extrapolated` from the means over the instances; NaN where
        fewer than three sizes are known.
    """
    name, exponent = entry["variable"], float(entry.get("exponent", 1.0))
    data = result[name]
    if "solver" in data.dims:
        data = data.sel(solver=np.atleast_1d(entry.get("solver", data["solver"].values)))
    data = data.transpose("N", "instance", ...)
    samples = data.values
    n = np.isfinite(samples).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(samples, axis=1) / n
        error = np.sqrt(np.nansum((samples - mean[:, None]) ** 2, axis=1) / (n * (n - 1.0)))
    found = np.full((2, *mean.shape[1:]), np.nan)
    for place in np.ndindex(mean.shape[1:]):
        known = np.isfinite(mean[(slice(None), *place)]) & (error[(slice(None), *place)] > 0)
        if known.sum() >= _FEWEST_SIZES:
            here = (known, *place)
            limit = extrapolated(data["N"].values[known], mean[here], error[here], exponent)
            found[(slice(None), *place)] = limit.mean, limit.error
    rest = data.isel(N=0, instance=0, drop=True)
    sizes = data["N"].values[np.isfinite(mean).reshape(len(mean), -1).any(axis=1)]
    return annotate(
        rest.copy(data=found[0]).to_dataset(name=name).assign({f"{name}_error": rest.copy(data=found[1])})
    ).assign_attrs(variable=name, exponent=exponent, sizes=sizes.tolist())


def _threshold(result: "xarray.Dataset", entry: Mapping[str, Any], seed: int) -> "xarray.Dataset":
    """That of a single curve for each size; else an empty dataset whose attribute ``refused`` says why."""
    import xarray

    from physlearn.estimates import finite_size_threshold

    result = result.transpose("N", "alpha", "instance")
    try:
        threshold = finite_size_threshold(
            result["load"].mean("instance").values,
            result["N"].values,
            result[entry["variable"]].values,
            exponent=entry.get("exponent", 1.0),
            rng=seed,
        )
    except InputError as error:
        return xarray.Dataset(attrs={"refused": str(error)})
    return threshold.to_dataset()


def _together(
    parts: "Mapping[tuple[int, ...], xarray.Dataset]",
    found: "Mapping[tuple[int, ...], xarray.Dataset]",
    axes: Mapping[str, np.ndarray],
) -> "xarray.Dataset":
    """All thresholds in one dataset along `axes`, NaN where there is none."""
    import xarray

    shape = tuple(map(len, axes.values()))
    refused = np.full(shape, "", dtype=object)
    first = next(iter(found.values()))
    arrays = {
        str(name): np.full((*shape, *(first.sizes[dim] for dim in data.dims)), np.nan)
        for name, data in first.data_vars.items()
    }
    for place, part in parts.items():
        refused[place] = part.attrs.get("refused", "")
        for name, data in part.data_vars.items():
            arrays[str(name)][place] = data.values
    return xarray.Dataset(
        {name: ((*axes, *map(str, first[name].dims)), values) for name, values in arrays.items()},
        coords={**axes, "N": first["N"].values, "refused": (tuple(axes), refused.astype(str))},
    )
