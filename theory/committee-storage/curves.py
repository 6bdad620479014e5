"""Draw what committees store, and what surrounds it: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
import math
from pathlib import Path

import numpy as np
import xarray

from physlearn import Committee, Perceptron, curve, franz_parisi, replica_symmetric, replicated_entropy
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

LOAD = 0.5
three, many = Committee(LOAD, 3, tree=True), Committee(LOAD, math.inf, tree=True)
models = {
    "perceptron": Perceptron(LOAD),
    "tree, 3 units": three,
    "tree, many": many,
    "shared inputs, many": Committee(LOAD, math.inf),
}


def lines(function, models, over, **fixed):
    """One line a model."""
    found = [
        curve(function, model, over=over, **fixed).drop_vars(["branch", "free_entropy"])
        for model in models.values()
    ]
    return annotate(xarray.concat(found, xarray.Variable("theory", list(models))))


entropies = lines(replica_symmetric, models, {"alpha": np.linspace(0.02, 1.0, 50)})
around = {name: models[name] for name in ("perceptron", "tree, 3 units", "tree, many")}
distances = np.concatenate([np.linspace(0.5, 0.2, 7), [0.16, 0.13, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02]])
local = lines(franz_parisi, around, {"distance": distances})
overlaps = np.linspace(0.18, 0.98, 41)
clones = [
    curve(replicated_entropy, many, over={"overlap": overlaps}, n_replicas=n).drop_vars(
        ["branch", "free_entropy"]
    )
    for n in (2, 4, 16, math.inf)
]
clones = annotate(
    xarray.concat(clones, xarray.Variable("theory", ["n = 2", "n = 4", "n = 16", r"n = $\infty$"]))
)
panels = [
    {"theory": entropies, "variable": "entropy", "x": "alpha", "title": "number of solutions"},
    {"theory": entropies, "variable": "overlap", "x": "alpha", "title": "overlap of two of them"},
    {
        "theory": local,
        "variable": "local_entropy",
        "x": "distance",
        "title": rf"around a solution, $\alpha = {LOAD}$",
    },
    {
        "theory": clones,
        "variable": "local_entropy",
        "x": "overlap",
        "title": rf"clones of a tree of many units, $\alpha = {LOAD}$",
    },
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels).savefig(out / "curves.png", metadata={"Software": None})
