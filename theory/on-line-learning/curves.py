"""Draw what on-line rules store in ±1 weights: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn import Binary, Perceptron, capacity, solve
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate
from physlearn.solvers import BPI, SBPI, ClippedPerceptron, PerceptronRule

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

N = 301
loads = np.linspace(0.04, 0.8, 20)
rules = {
    "SBPI": SBPI(),
    "BPI": BPI(),
    "clipped perceptron": ClippedPerceptron(),
    "perceptron rule": PerceptronRule(),
}
solved = np.zeros((len(rules), len(loads), 40))
sweeps = np.full(solved.shape, np.nan)
for k, alpha in enumerate(loads):
    for seed in range(solved.shape[2]):
        instance = Perceptron(alpha).sample(N, seed)
        for j, rule in enumerate(rules.values()):
            result = solve(instance, rule, seed)
            solved[j, k, seed] = result.solved
            sweeps[j, k, seed] = result.n_sweeps if result.solved else np.nan

dimensions = ("solver", "alpha", "instance")
points = annotate(
    xarray.Dataset(
        {"solved": (dimensions, solved), "n_sweeps": (dimensions, sweeps)},
        coords={"solver": list(rules), "alpha": loads},
    )
)
limit = xarray.Dataset(
    {"threshold_load": ("threshold", [capacity(Binary())])}, coords={"threshold": ["capacity"]}
)
panels = [
    {"variable": "solved", "title": f"within 1000 sweeps, $N$ = {N}"},
    {"variable": "n_sweeps", "title": "sweeps of the instances solved", "limits": (0, 150)},
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(points, limit, panels=panels, columns=2).savefig(
    out / "curves.png", metadata={"Software": None}
)
