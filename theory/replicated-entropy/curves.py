"""Draw how many solutions have a mutual overlap: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
import math
from pathlib import Path

import numpy as np
import xarray

from physlearn import Perceptron, SymmetricPerceptron, curve, replicated_entropy
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

overlaps = np.concatenate([np.linspace(0.56, 0.95, 40), 1 - np.geomspace(0.045, 5e-4, 24)])


def lines(models, numbers, labels, grid=overlaps):
    """One line for each pair of a model and a number of clones."""
    found = [
        curve(replicated_entropy, model, {"overlap": grid}, n_replicas=n)[["local_entropy", "status"]]
        for model, n in zip(models, numbers, strict=True)
    ]
    return annotate(xarray.concat(found, "theory").assign_coords(theory=labels))


numbers = [1, 2, 4, math.inf]
clones = lines([Perceptron(0.7)] * 4, numbers, ["$n = 1$", "2", "4", r"$\infty$"])
loads = [0.72, 0.7553, 0.78, 0.8]
many = lines(
    [Perceptron(load) for load in loads], [math.inf] * 4, [rf"$\alpha = {load:g}$" for load in loads]
)
loads = [1.6, 1.6578, 1.7]
wide = np.concatenate([np.linspace(0.5, 0.95, 46), 1 - np.geomspace(0.048, 5e-4, 40)])
gaps = lines(
    [SymmetricPerceptron(load) for load in loads], [4] * 3, [rf"$\alpha = {load:g}$" for load in loads], wide
)

panels = [
    {"variable": "local_entropy", "x": "overlap", "theory": clones, "title": r"storage, $\alpha = 0.7$"},
    {"variable": "local_entropy", "x": "overlap", "theory": many, "title": r"storage, $n = \infty$"},
    {"variable": "local_entropy", "x": "overlap", "theory": gaps, "title": "symmetric, $n = 4$: a gap opens"},
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels, columns=3).savefig(out / "curves.png", metadata={"Software": None})
