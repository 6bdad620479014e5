"""Draw mean energies, sampled and counted out: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn import CrossEntropy, Errors, Linear, Metropolis, Perceptron, solve
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate
from physlearn.solvers.enumeration import unpacked

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

N, energies = 11, {"errors": Errors(), "linear": Linear(), "cross-entropy": CrossEntropy(1.0)}
instance = Perceptron(2.0).sample(N, 1)
smooth, betas = np.linspace(0, 3, 61), np.linspace(0, 3, 9)
panels = []
for name, energy in energies.items():
    values = np.array([energy.total(instance, w) for w in unpacked(np.arange(2**N), N)]) / instance.P
    weights = np.exp(-smooth[:, None] * instance.P * (values - values.min()))
    counted = weights @ values / weights.sum(axis=1)
    results = [solve(instance, Metropolis(beta, 4000, energy=energy), 2) for beta in betas]
    estimates = [result.observables.get("mean_cost", result.mean_energy) for result in results]
    variable = "cost" if "mean_cost" in results[0].observables else "energy"
    sampled = {
        variable: ("beta", [estimate.mean / instance.P for estimate in estimates]),
        f"{variable}_error": ("beta", [estimate.error / instance.P for estimate in estimates]),
    }
    panels.append(
        {
            "variable": variable,
            "title": f"{name}, for each pattern",
            "dataset": annotate(xarray.Dataset(sampled, coords={"beta": betas})),
            "theory": annotate(xarray.Dataset({variable: ("beta", counted)}, coords={"beta": smooth})),
        }
    )
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels, columns=3).savefig(out / "curves.png", metadata={"Software": None})
