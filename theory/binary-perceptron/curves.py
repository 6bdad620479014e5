"""Draw how much ±1 weights can store: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn import Binary, Perceptron, Status, capacity, curve, replica_symmetric
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

margins = [0.0, 0.5, 1.0]
loads = np.unique(np.append(np.linspace(0.01, 1.4, 140), [capacity(Binary(), margin) for margin in margins]))
theory = curve(replica_symmetric, Perceptron(alpha=1.0), over={"margin": margins, "alpha": loads})
theory = theory.drop_vars(["free_entropy", "branch"]).rename(margin="theory")
theory["overlap"] = theory["overlap"].where(theory["status"] != Status.NO_SOLUTION.code)
theory = annotate(theory.assign_coords(theory=[rf"$\kappa = {margin:g}$" for margin in margins]))

grid = np.linspace(-1, 2, 61)
limit = xarray.Dataset(
    {"capacity": ("margin", [capacity(Binary(), margin) for margin in grid])}, coords={"margin": grid}
)

panels = [
    {"variable": "overlap", "title": "overlap of two solutions"},
    {"variable": "entropy", "title": "solutions; none where it is negative"},
    {"variable": "stability", "title": "replica symmetry is locally stable where positive"},
    {"variable": "capacity", "x": "margin", "theory": annotate(limit), "title": "the load of zero entropy"},
]
out.mkdir(parents=True, exist_ok=True)
figure = phase_diagram(theory=theory, panels=panels)
figure.axes[2].set_ylim(-1, 1.05)  # it falls to minus infinity where the overlap reaches one
figure.savefig(out / "curves.png", metadata={"Software": None})
