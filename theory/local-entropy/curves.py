"""Draw how many solutions surround a solution: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn import Perceptron, Teacher, curve, franz_parisi, loss_of_monotonicity, maximal_margin
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

distances = np.concatenate([np.linspace(0.5, 0.03, 48), np.geomspace(0.029, 1e-3, 40)])


def lines(models, labels, axis=distances, **arguments):
    """One line a model: its curve, and the label under which it is drawn."""
    found = [
        curve(franz_parisi, model, over={"distance": axis}, **given, **arguments).drop_vars(
            ["branch", "free_entropy"]
        )
        for model, given in models
    ]
    return annotate(xarray.concat(found, xarray.Variable("theory", labels)))


margins = [0.0, 0.02, 0.1, maximal_margin(0.5)]
of_margin = lines(
    [(Perceptron(0.5), {"reference_margin": margin}) for margin in margins],
    [rf"$\tilde\kappa = {margin:.3g}$" for margin in margins],
)
threshold = loss_of_monotonicity(Perceptron(1.0))
loads = [0.6, 0.7, threshold, 0.76]
near = np.geomspace(0.05, 1e-3, 80)
of_load = lines(
    [(Perceptron(load), {}) for load in loads],
    [rf"$\alpha = {load:.3g}$" for load in loads],
    near,
    reference_margin="maximal",
)
taught = [0.3, 0.5, 0.7, 1.0]
of_teacher = lines(
    [(Perceptron(load, rule=Teacher()), {}) for load in taught],
    [rf"$\alpha = {load:g}$" for load in taught],
    reference="teacher",
)
panels = [
    {"theory": of_margin, "variable": "local_entropy", "x": "distance", "title": r"storage, $\alpha = 0.5$"},
    {
        "theory": of_margin.sel(distance=slice(0.03, None)),
        "variable": "local_entropy",
        "x": "distance",
        "title": "the same near the reference",
    },
    {
        "theory": of_load,
        "variable": "local_entropy",
        "x": "distance",
        "title": "around the maximal margin, storage",
    },
    {"theory": of_teacher, "variable": "local_entropy", "x": "distance", "title": "around the teacher"},
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels).savefig(out / "curves.png", metadata={"Software": None})
