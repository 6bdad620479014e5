"""Draw what messages count on single instances: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn import BeliefPropagation, FocusingBP, Perceptron, curve, replica_symmetric, solve
from physlearn.models import Scoping
from physlearn.models.schedules import linear
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

N, loads = 1001, np.linspace(0.05, 0.7, 14)
model = Perceptron(alpha=1.0)
rows = {"replica symmetry": curve(replica_symmetric, model, over={"alpha": loads}).entropy.values}
for seed in (1, 2):
    found = [
        solve(model.with_alpha(alpha).sample(N, seed), BeliefPropagation(damping=0.2), 1) for alpha in loads
    ]
    rows[f"instance {seed}, $N = {N}$"] = np.array([result.entropy for result in found])
counts = xarray.Dataset(
    {"entropy": (("theory", "alpha"), list(rows.values()))}, {"theory": list(rows), "alpha": loads}
)

distances = np.linspace(0.07, 0.3, 60)
instance, rows = Perceptron(alpha=0.5).sample(N, 1), {}
for n_replicas in (3, 7, 21):
    protocol = Scoping(n_replicas, linear(0.02, 2.0, 100))
    trace = solve(instance, FocusingBP(protocol, stop=False, damping=0.7), 1).trace
    end = int(np.argmax(np.append(np.diff(trace.distance) >= 0, True))) + 1
    order = slice(end - 1, None, -1)  # as far as the distance falls
    rows[f"$y = {n_replicas}$"] = np.interp(
        distances, trace.distance[order], trace.local_entropy[order], left=np.nan, right=np.nan
    )
rows["all configurations"] = -distances * np.log(distances) - (1 - distances) * np.log1p(-distances)
local = xarray.Dataset(
    {"local_entropy": (("theory", "distance"), list(rows.values()))},
    {"theory": list(rows), "distance": distances},
)

panels = [
    {"variable": "entropy", "theory": annotate(counts), "title": "solutions of an instance (Bethe)"},
    {"variable": "local_entropy", "theory": annotate(local), "title": r"around a centre, $\alpha = 0.5$"},
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels).savefig(out / "curves.png", metadata={"Software": None})
