"""Draw how much a symmetric perceptron can store: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn import SymmetricPerceptron, curve, replica_symmetric, symmetric_capacity
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

windows = [0.5, 1.0, 1.2]
loads = np.unique(np.append(np.linspace(0.02, 3, 150), [symmetric_capacity(K) for K in windows]))
theory = curve(
    replica_symmetric, SymmetricPerceptron(alpha=1.0), over={"half_width": windows, "alpha": loads}
)
theory = theory.drop_vars(["free_entropy", "branch"]).rename(half_width="theory")
theory = annotate(theory.assign_coords(theory=[f"$K = {K:g}$" for K in windows]))

grid = np.linspace(0.02, 2, 100)
limit = xarray.Dataset(
    {"capacity": ("half_width", [symmetric_capacity(K) for K in grid])}, coords={"half_width": grid}
)

panels = [
    {"variable": "entropy", "title": "solutions; none where it is negative"},
    {"variable": "stability", "title": "replica symmetry is locally stable where positive"},
    {"variable": "capacity", "x": "half_width", "theory": annotate(limit), "title": "largest load"},
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(theory=theory, panels=panels, columns=3).savefig(
    out / "curves.png", metadata={"Software": None}
)
