"""A theory line and simulation points on one axis, in one style; the only importer of matplotlib.

Lines are theory: solid where the branch is the equilibrium one, dashed where it is metastable, unstable or
unphysical. Open markers are simulations, with one standard error over the instances of the disorder; where several
solvers share a panel, faint lines between them guide the eye.
"""

from physlearn.plotting import settings as _settings  # noqa: F401
from physlearn.plotting.crossings import finite_size
from physlearn.plotting.figures import curves, phase_diagram, plot_study
from physlearn.plotting.ways import several_ways

__all__ = ["curves", "finite_size", "phase_diagram", "plot_study", "several_ways"]
