"""Draw what a ±1 student can learn from a ±1 teacher: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn import (
    Perceptron,
    Teacher,
    algorithmic_threshold,
    bayes_optimal,
    curve,
    information_theoretic_threshold,
)
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

model = Perceptron(alpha=1.0, rule=Teacher())
thresholds = {
    "information-theoretic": information_theoretic_threshold(model),
    "algorithmic": algorithmic_threshold(model),
}
sides = [load + shift for load in thresholds.values() for shift in (-1e-6, 1e-6)]
loads = np.unique(np.concatenate([np.linspace(0.02, 2, 100), sides]))
branches = [
    curve(bayes_optimal, model, over={"alpha": loads}, branch=branch).drop_vars("branch")
    for branch in ("uninformed", "informed")
]
theory = annotate(xarray.concat(branches, xarray.Variable("theory", ["uninformed", "informed"])))
for name in ("generalization_error_bayes", "generalization_error_amp"):
    theory[name].attrs["long_name"] = "generalization error"  # of what, the titles say
theory = theory.assign_coords(threshold=list(thresholds))
theory["threshold_load"] = ("threshold", list(thresholds.values()))

panels = [
    {"variable": "generalization_error", "title": "a student drawn at random (Gibbs)"},
    {"variable": "generalization_error_bayes", "title": "the vote of all students (Bayes)"},
    {"variable": "generalization_error_amp", "title": "signs of the posterior means (AMP)"},
    {"variable": "entropy", "title": "students that agree with all examples"},
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(theory=theory, panels=panels).savefig(out / "curves.png", metadata={"Software": None})
