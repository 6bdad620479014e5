"""Draw how much weights on a sphere can store: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
import warnings
from pathlib import Path

import numpy as np
import xarray

from physlearn import Perceptron, Spherical, Status, capacity, curve, de_almeida_thouless, replica_symmetric
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

margins = [-0.5, 0.0, 0.5]
loads = np.linspace(0.02, 5, 250)
theory = curve(
    replica_symmetric, Perceptron(alpha=1.0, prior=Spherical()), over={"margin": margins, "alpha": loads}
)
theory = theory.drop_vars(["free_entropy", "branch"]).rename(margin="theory")
theory["overlap"] = theory["overlap"].where(theory["status"] != Status.NO_SOLUTION.code)
theory = annotate(theory.assign_coords(theory=[rf"$\kappa = {margin:g}$" for margin in margins]))

grid = np.linspace(-1, 1.5, 51)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the instability is the other line
    gardner = [capacity(Spherical(), margin) for margin in grid]
instability = [de_almeida_thouless(Spherical(), margin) if margin < -0.02 else np.nan for margin in grid]
limits = xarray.Dataset(
    {"capacity": (("theory", "margin"), [gardner, instability]), "stability": (("theory", "margin"),
     [np.where(grid < 0, -1, 1), np.ones(len(grid))])},
    coords={"theory": ["Gardner's capacity", "de Almeida and Thouless"], "margin": grid},
)  # fmt: skip

panels = [
    {"variable": "overlap", "title": "overlap of two solutions"},
    {"variable": "entropy", "title": "volume of solutions, per weight"},
    {"variable": "stability", "title": "replica symmetry is stable where positive"},
    {"variable": "capacity", "x": "margin", "theory": annotate(limits), "title": "largest load"},
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(theory=theory, panels=panels).savefig(out / "curves.png", metadata={"Software": None})
