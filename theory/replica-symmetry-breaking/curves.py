"""Draw clusters of solutions on the sphere: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
import warnings
from pathlib import Path

import numpy as np
import xarray

from physlearn import (
    Perceptron,
    Spherical,
    capacity,
    curve,
    de_almeida_thouless,
    franz_parisi,
    one_step_rsb,
    replica_symmetric,
)
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

margins = np.linspace(-2, -0.02, 45)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # all of these are bounds
    gardner = np.array([capacity(Spherical(), margin) for margin in margins])
    one_step = np.array([capacity(Spherical(), margin, steps=1) for margin in margins])
instability = np.array([de_almeida_thouless(Spherical(), margin) for margin in margins])
limits = xarray.Dataset(
    {"share": (("theory", "margin"), np.array([one_step, instability]) / gardner)},
    coords={"theory": ["capacity, one step", "de Almeida and Thouless"], "margin": margins},
)
limits["share"].attrs = {"long_name": "share of Gardner's capacity"}

model = Perceptron(9.0, margin=-1.0, prior=Spherical())
loads = np.linspace(7.9, 12, 8)
clusters = curve(one_step_rsb, model, {"alpha": loads})
typical = curve(replica_symmetric, model, {"alpha": loads})
overlaps = xarray.Dataset(
    {"overlap": (("theory", "alpha"), [clusters["overlap"], typical["overlap"], clusters["group_overlap"]])},
    coords={"theory": ["inside a cluster", "replica symmetry", "between clusters"], "alpha": loads},
)

parameters = np.linspace(0.06, 0.5, 12)
complexities = xarray.concat(
    [
        curve(
            one_step_rsb, Perceptron(load, margin=-1.0, prior=Spherical()), {"parisi_parameter": parameters}
        )[["complexity", "status"]]
        for load in (9.0, 10.0, 11.0)
    ],
    "theory",
).assign_coords(theory=[rf"$\alpha = {load:g}$" for load in (9.0, 10.0, 11.0)])

distances = np.concatenate([np.geomspace(1e-3, 0.04, 14), np.linspace(0.05, 0.49, 30)])
cases = [(1.0, 0.0, None), (1.0, 0.0, "maximal"), (3.0, -0.5, None), (3.0, -0.5, "maximal")]
around = [
    curve(
        franz_parisi,
        Perceptron(load, margin=margin, prior=Spherical()),
        {"distance": distances},
        reference_margin=kind,
    )[["local_entropy", "status"]]
    for load, margin, kind in cases
]
labels = [rf"$\alpha = {load:g}$, $\kappa = {margin:g}$, {kind or 'typical'}" for load, margin, kind in cases]
local = xarray.concat(around, "theory").assign_coords(theory=labels)
local["local_entropy"] = local["local_entropy"] - np.log(4 * local["distance"] * (1 - local["distance"])) / 2
local["distance"].attrs = {"long_name": "distance (1 - S)/2 from the reference", "units": "1"}
local["local_entropy"].attrs = {
    "long_name": "local entropy without the sphere's own",
    "units": "nats per weight",
}

panels = [
    {"variable": "share", "x": "margin", "theory": annotate(limits), "title": "largest load of the sphere"},
    {"variable": "overlap", "x": "alpha", "theory": annotate(overlaps), "title": r"overlaps, $\kappa = -1$"},
    {
        "variable": "complexity",
        "x": "parisi_parameter",
        "theory": annotate(complexities),
        "title": r"number of clusters, $\kappa = -1$",
    },
    {
        "variable": "local_entropy",
        "x": "distance",
        "theory": annotate(local),
        "title": "around typical and maximal-margin solutions",
    },
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels, columns=2).savefig(out / "curves.png", metadata={"Software": None})
