"""Draw overlaps from sweep to sweep: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn import AMP, Committee, Teacher, solve
from physlearn.meanfield import committee_state_evolution
from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

n, start, panels = 10, 0.5, []
models = {
    "random labels, shared inputs": Committee(0.4),
    "random labels, tree": Committee(0.4, tree=True),
    "a teacher, shared inputs": Committee(0.5, rule=Teacher()),
}
for title, model in models.items():
    theory = committee_state_evolution(model, n, start)
    solver = AMP(n_iterations=n, tolerance=1e-15, start=start)
    traces = np.array([solve(model.sample(3003, seed), solver, seed).trace.overlap for seed in range(5)])
    sweeps = np.arange(1, n + 1)
    points = {
        "overlap": ("sweep", traces.mean(axis=0)),
        "overlap_error": ("sweep", traces.std(axis=0, ddof=1) / np.sqrt(len(traces))),
    }
    curve = {"overlap": ("sweep", theory.overlap)}
    panels.append(
        {
            "variable": "overlap",
            "title": title,
            "dataset": annotate(xarray.Dataset(points, coords={"sweep": sweeps})),
            "theory": annotate(xarray.Dataset(curve, coords={"sweep": np.arange(n + 1)})),
        }
    )
out.mkdir(parents=True, exist_ok=True)
phase_diagram(panels=panels, columns=3).savefig(out / "curves.png", metadata={"Software": None})
