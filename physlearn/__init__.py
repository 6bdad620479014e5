"""The statistical physics of learning: one model, two roads, one vocabulary.

A `Model` leads to points (``model.sample(N, rng)``, then ``solve``) and to curves (``replica_symmetric``,
``bayes_optimal``, ...). Public names load on first use, so that ``import physlearn`` costs no more than NumPy.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "physlearn.models": (
        "Binary",
        "Channel",
        "Committee",
        "CrossEntropy",
        "Errors",
        "FreeScoping",
        "GeneralizedLinear",
        "Instance",
        "Linear",
        "Perceptron",
        "Prior",
        "PseudoReinforcement",
        "Replicated",
        "Scoping",
        "Spherical",
        "StandardReinforcement",
        "Storage",
        "SymmetricPerceptron",
        "Teacher",
        "Tethered",
        "Threshold",
        "Window",
    ),
    "physlearn.solvers": (
        "AMP",
        "BeliefPropagation",
        "BPI",
        "ClippedPerceptron",
        "Enumeration",
        "FocusingBP",
        "MaxSum",
        "Metropolis",
        "ParallelTempering",
        "PerceptronRule",
        "ReinforcedBP",
        "RejectionFree",
        "ReplicatedAnnealing",
        "ReplicatedSGD",
        "SBPI",
        "SimulatedAnnealing",
        "ThermodynamicIntegration",
        "solve",
    ),
    "physlearn.landscape": (
        "Bethe",
        "Counting",
        "Focused",
        "TetheredSampling",
        "local_energy",
        "local_entropy",
    ),
    "physlearn.meanfield": (
        "algorithmic_threshold",
        "bayes_optimal",
        "capacity",
        "clone_transition",
        "committee_capacity",
        "connectivity_barrier",
        "convex_margin",
        "curve",
        "de_almeida_thouless",
        "franz_parisi",
        "information_theoretic_threshold",
        "is_isolated",
        "is_linearly_connected",
        "is_monotonic",
        "isolation_distance",
        "kernel_margin",
        "linear_connectivity",
        "loss_of_monotonicity",
        "maximal_margin",
        "one_step_rsb",
        "overlap_gap_threshold",
        "replica_symmetric",
        "replicated_entropy",
        "state_evolution",
        "symmetric_capacity",
    ),
    "physlearn.estimates": ("Estimate",),
    "physlearn.results": ("Result", "SaddlePoint", "Status", "Trace", "Trajectory"),
    "physlearn.scan": ("Scan",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = (
    "estimates",
    "inputs",
    "kernels",
    "landscape",
    "meanfield",
    "models",
    "plotting",
    "quadrature",
    "random",
    "results",
    "scan",
    "solvers",
)

__all__ = ["__version__", *sorted(_HOME), *_MODULES]


def __getattr__(name: str):
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = import_module(f"physlearn.{name}")
    else:
        raise AttributeError(f"module 'physlearn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
