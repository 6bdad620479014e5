"""Datasets as scans return them, made of random numbers."""

import numpy as np
import xarray

from physlearn import Status

LOADS = np.array([0.5, 1.0, 1.5, 2.0])


def simulated(axes, n=6, seed=0):
    """A scan's dataset: overlap = alpha/4 + margin + noise, and whether the teacher is recovered."""
    dims, shape = (*axes, "instance"), (*map(len, axes.values()), n)
    rng = np.random.default_rng(seed)
    data = xarray.Dataset(coords={**axes, "instance": np.arange(n)})
    places = data["alpha"] / 4 + (data["margin"] if "margin" in axes else 0)
    data["overlap"] = (dims, rng.normal(scale=0.01, size=shape))
    data["overlap"] = (data["overlap"] + places).transpose(*dims)
    data["recovered"] = (dims, (rng.random(shape) < 0.5).astype(float))
    data["status"] = (dims, np.full(shape, Status.DONE.code, np.int8))
    return data


def with_holes(data, size, solver):
    """Every second load belongs to one size and one solver only."""
    planned = (data["N"] == size) & (data["solver"] == solver) | (data["alpha"].isin(LOADS[::2]))
    holes = data[["overlap", "recovered"]].where(planned)
    holes["status"] = data["status"].where(planned, Status.NOT_PLANNED.code)
    return holes
