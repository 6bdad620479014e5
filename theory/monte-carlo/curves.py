"""Draw what becomes of swaps between two temperatures: ``python curves.py [--out DIR]`` writes ``curves.png``."""

import argparse
from pathlib import Path

import numpy as np
import xarray

from physlearn.plotting import phase_diagram
from physlearn.scan.variables import annotate
from physlearn.solvers import expected_swap_rate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out

separations = np.linspace(0, 4, 201)
rates = np.array([expected_swap_rate(separation) for separation in separations])
theory = xarray.Dataset(
    {
        "swap_rate": ("separation", rates, {"long_name": "swaps accepted, erfc(separation/2)"}),
        "diffusion": ("separation", separations**2 * rates, {"long_name": "separation$^2$ times swap rate"}),
    },
    coords={
        "separation": (
            "separation",
            separations,
            {"long_name": "separation $\\sigma_E\\,\\Delta\\beta$"},
        )
    },
)

panels = [
    {"variable": "swap_rate", "title": "rate of swaps between neighbours"},
    {"variable": "diffusion", "title": "diffusion along the ladder"},
]
out.mkdir(parents=True, exist_ok=True)
phase_diagram(theory=annotate(theory), panels=panels, columns=2).savefig(
    out / "curves.png", metadata={"Software": None}
)
