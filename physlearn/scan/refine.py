"""Where a scan should look closer: the points that tell most about where a rate crosses a level."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.estimates import logistic_fit
from physlearn.inputs import integer, number, reject
from physlearn.results import Status

if TYPE_CHECKING:
    import xarray


def refine(
    dataset: "xarray.Dataset",
    variable: str,
    level: float = 0.5,
    *,
    along: str = "alpha",
    num: int = 3,
    resolution: float | None = None,
    select: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    r"""The points to be added where a success rate, the mean of `variable` over instances, crosses a level.

    Every combination of the other axes has its own curve along one axis, rising or falling. Where it jumps from
    0 to 1 between two neighbours the bracket is bisected. Elsewhere `num` points are spread evenly from x - w/2
    to x + w/2, where x is the crossing of the curve's logistic fit and w its width, from the rate 1/4 to 3/4
    (`physlearn.estimates.logistic_fit`).

    A curve adds nothing where it has no crossing between its outermost points, has no data, or would be given a
    point nearer than the resolution to one that it has: nothing is ever added beyond a curve's ends, and a loop
    that adds what is returned ends with an empty list.

    Parameters
    ----------
    dataset : xarray.Dataset
        A scan's. Points whose status is NOT_PLANNED do not exist; others without data do, and are not added anew.
    variable : str
        An outcome, between 0 and 1 in every instance.
    level : float
        Between 0 and 1.
    along : str
        A numeric axis.
    num : int
        The most points added to one curve.
    resolution : float, optional
        Least distance between two points of a curve. By default the largest of 1/N (along the load alone: nearer
        loads are the same instance, elsewhere a thousandth of the axis), and w/sqrt(n), about the error with
        which n instances can tell a crossing at all.
    select : mapping of str to value or list of values, optional
        Part of the other axes, {"solver": "AMP"}; by default all.

    Returns
    -------
    list of dict
        The values of every axis but the instance. Those along the axis have no more decimals than the
        resolution asks for; along an axis of integers they are integers.

    Raises
    ------
    InputError
    """
    level = number("level", level, above=0, below=1)
    integer("num", num, at_least=1)
    if resolution is not None:
        resolution = number("resolution", resolution, above=0)
    data = _outcomes(dataset, variable)
    axes = [str(name) for name in data.dims if name != "instance"]
    numeric = [name for name in axes if data[name].dtype.kind in "iuf"]
    if along not in numeric:
        raise reject("along", along, "a numeric axis: " + (", ".join(numeric) or "there is none"))
    others = [name for name in axes if name != along]
    chosen = _chosen(data, others, dict(select or {}))
    exists = data.notnull()
    if "status" in dataset and dataset["status"].dims == data.dims:
        exists = exists | (dataset["status"] != Status.NOT_PLANNED.code)
    x = data[along].values
    points = []
    for values in itertools.product(*(chosen[name] for name in others)):
        place = dict(zip(others, values, strict=True))
        curve = data.sel(place).transpose(along, "instance").values
        present = exists.sel(place).any("instance").values
        floor = resolution
        if floor is None and along == "alpha" and "N" in place:
            floor = 1 / place["N"]
        for new in _additions(x, curve, x[present], level, num, floor, resolution is not None):
            points.append({name: new if name == along else place[name] for name in axes})
    return points


def _outcomes(dataset: "xarray.Dataset", variable: str) -> "xarray.DataArray":
    """The variable, if it is one number between 0 and 1 for every instance of every point."""
    candidates = [str(name) for name, data in dataset.data_vars.items() if "instance" in data.dims]
    candidates = [name for name in candidates if name != "status"]
    if variable not in candidates:
        raise reject("variable", variable, "a variable with instances: " + (", ".join(candidates) or "none"))
    data = dataset[variable]
    inner = [str(name) for name in data.dims if name not in data.coords]
    if inner and inner != ["instance"]:
        raise reject("variable", variable, f"one number an instance, without the dimension {inner[0]}")
    known = data.values[~np.isnan(data.values)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        given = f"{variable}, from {known.min():.6g} to {known.max():.6g}"
        raise reject("variable", given, "an outcome, between 0 and 1 in every instance")
    return data


def _chosen(data: "xarray.DataArray", others: list[str], select: dict[str, Any]) -> dict[str, list[Any]]:
    """For every other axis the values that are selected, in the grid's order."""
    for name in select:
        if name not in others:
            raise reject("select", str(name), "the other axes: " + (", ".join(others) or "there are none"))
    chosen = {}
    for name in others:
        there = data[name].values.tolist()
        wanted = select.get(name, there)
        wanted = list(wanted) if isinstance(wanted, (list, tuple, np.ndarray)) else [wanted]
        for value in wanted:
            if value not in there:
                raise reject(f"select.{name}", value, "one of " + ", ".join(map(repr, there)))
        chosen[name] = [value for value in there if value in wanted]
    return chosen


def _additions(
    x: np.ndarray,
    outcome: np.ndarray,
    taken: np.ndarray,
    level: float,
    num: int,
    floor: float | None,
    is_given: bool,
) -> Iterator[float | int]:
    """The new points of one curve; outcome has shape (n_points, n_instances), `taken` are the points it has."""
    trials = np.isfinite(outcome).sum(axis=1)
    order = np.argsort(x, kind="stable")
    order = order[trials[order] > 0]
    where, trials, successes = x[order].astype(float), trials[order], np.nansum(outcome[order], axis=1)
    if len(where) < 2 or successes.sum() in (0, trials.sum()):
        return
    spacing = floor or float(np.ptp(where)) / 1000
    bracket = _bracket(where, successes / trials)
    if bracket is not None:
        crossing = sum(bracket) / 2
        candidates = np.array([crossing])
    else:
        crossings, widths = logistic_fit(where, successes[None], trials[None], level)
        crossing, width = float(crossings[0]), abs(float(widths[0]))
        if not where[0] <= crossing <= where[-1]:
            return
        if not is_given:
            spacing = max(spacing, width / math.sqrt(trials.max()))
        candidates = crossing + width / 2 * (np.linspace(-1, 1, num) if num > 1 else np.zeros(1))
    whole = x.dtype.kind in "iu"
    spacing = max(spacing, 1.0) if whole else spacing
    decimals = 0 if whole else max(0, math.ceil(-math.log10(spacing)))
    new: list[float] = []
    # The crossing first: what is nearest to it tells most.
    for value in sorted(candidates, key=lambda value: (round(abs(value - crossing) / spacing, 6), value)):
        value = round(float(value), decimals)
        gaps = np.abs(np.append(taken, new) - value)
        if where[0] < value < where[-1] and gaps.min() >= spacing * (1 - 1e-9):
            new.append(value)
    yield from (int(value) if whole else value for value in sorted(new))


def _bracket(x: np.ndarray, rates: np.ndarray) -> tuple[float, float] | None:
    """The neighbours between which the rate jumps from 0 to 1 or back; None where mixed rates lie between."""
    none, full = np.flatnonzero(rates == 0), np.flatnonzero(rates == 1)
    if len(none) and len(full):
        for before, behind in ((none[-1], full[0]), (full[-1], none[0])):
            if behind == before + 1:
                return float(x[before]), float(x[behind])
    return None
