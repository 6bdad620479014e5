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
    {"capacity": (("theory", "margin"), [gardner, one_step, instability])},
    coords={
        "theory": ["Gardner's capacity", "capacity, one step", "de Almeida and Thouless"],
        "margin": margins,
    },
)

model = Perceptron(9.0, margin=-1.0, prior=Spherical())
loads = np.linspace(7.9, 12, 9)
clusters = curve(one_step_rsb, model, {"alpha": loads})
typical = curve(replica_symmetric, model, {"alpha": loads})
overlaps = xarray.Dataset(
    {"overlap": (("theory", "alpha"), [clusters["overlap"], typical["overlap"], clusters["group_overlap"]])},
    coords={"theory": ["inside a cluster", "replica symmetry", "between clusters"], "alpha": loads},
)

parameters = np.linspace(0.05, 1, 20)
complexities = xarray.concat(
    [
        curve(
            one_step_rsb, Perceptron(load, margin=-1.0, prior=Spherical()), {"parisi_parameter": parameters}
        )[["complexity", "status"]]
        for load in (8.5, 9.0, 9.5)
    ],
    "theory",
).assign_coords(theory=[rf"$\alpha = {load:g}$" for load in (8.5, 9.0, 9.5)])

panels = [
    {
        "variable": "capacity",
        "x": "margin",
        "theory": annotate(limits),
        "title": "largest load of the sphere",
    },
    {"variable": "overlap", "x": "alpha", "theory": annotate(overlaps), "title": r"overlaps, $\kappa = -1$"},
    {
        "variable": "complexity",
        "x": "parisi_parameter",
        "theory": annotate(complexities),
        "title": r"number of clusters, $\kappa = -1$",
    },
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels, columns=3).savefig(out / "curves.png", metadata={"Software": None})
