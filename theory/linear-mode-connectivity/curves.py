"""Draw the errors between solutions: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
import warnings
from pathlib import Path

import numpy as np
import xarray
from scipy.optimize import brentq

from physlearn import (
    Perceptron,
    Spherical,
    capacity,
    connectivity_barrier,
    convex_margin,
    curve,
    de_almeida_thouless,
    kernel_margin,
    linear_connectivity,
)
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

MARGIN = -0.5
sphere, binary = Perceptron(1.0, margin=MARGIN, prior=Spherical()), Perceptron(0.5)
positions = np.linspace(0, 1, 61)


def lines(datasets, labels):
    """One line a dataset."""
    kept = [data.drop_vars(["branch", "free_entropy"], errors="ignore") for data in datasets]
    return annotate(xarray.concat(kept, xarray.Variable("theory", labels)))


def ways(model, pairs, **path):
    """The error on the way, for each pair of margins."""
    names = {"maximal": r"\kappa_{max}"}
    return lines(
        [
            curve(
                linear_connectivity,
                model,
                over={"position": positions},
                first_margin=first,
                second_margin=second,
                **path,
            )
            for first, second in pairs
        ],
        ["$" + ",\\ ".join(names.get(margin, f"{margin}") for margin in pair) + "$" for pair in pairs],
    )


def largest(load):
    """Gardner's margin at a load: an upper bound where it is negative."""
    return brentq(lambda margin: capacity(Spherical(), margin) - load, -5, 5)


firsts = [MARGIN, -0.45, -0.4]
barriers = lines(
    [
        curve(
            connectivity_barrier,
            sphere,
            over={"second_margin": np.linspace(MARGIN, 0, 61)},
            first_margin=first,
        )
        for first in firsts
    ],
    [rf"$\kappa_1 = {first:g}$" for first in firsts],
)
loads = np.linspace(0.05, 4, 40)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the caption says where replica symmetry is unstable
    margins = [
        curve(function, sphere, over={"alpha": loads}).rename({function.__name__: "margin"})
        for function in (convex_margin, kernel_margin)
    ]
    found = [largest(load) for load in loads]
    unstable = [
        brentq(lambda margin, load=load: de_almeida_thouless(Spherical(), margin) - load, -5, -0.02)
        if load > 2.1
        else np.nan
        for load in loads
    ]
for values in (found, unstable):
    margins.append(xarray.Dataset({"margin": ("alpha", values)}, coords={"alpha": loads}))
region = lines(
    [data[["margin"]].where(data["margin"] < 0.1) for data in margins],
    ["convex", "kernel", "largest", "unstable"],
)
panels = [
    {
        "theory": ways(sphere, [(MARGIN, MARGIN), (MARGIN, -0.4), (MARGIN, -0.3), (-0.45, -0.45)]),
        "variable": "training_error",
        "x": "position",
        "title": rf"sphere, $\alpha = 1$, $\kappa = {MARGIN}$: margins $\kappa_1, \kappa_2$",
    },
    {
        "theory": barriers,
        "variable": "training_error",
        "x": "second_margin",
        "title": "its largest value on the segment",
    },
    {
        "theory": region,
        "variable": "margin",
        "x": "alpha",
        "title": rf"sphere, margins at $\kappa = {MARGIN}$",
    },
    {
        "theory": ways(
            binary, [(0.0, 0.0), (0.0, 0.1), (0.0, "maximal"), ("maximal", "maximal")], path="flips"
        ),
        "variable": "training_error",
        "x": "position",
        "title": r"binary, by flips, $\alpha = 0.5$, $\kappa = 0$: margins $\kappa_1, \kappa_2$",
    },
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels).savefig(out / "curves.png", metadata={"Software": None})
