"""The variables that scans and curves share: long names, units, and what is shown against what."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray

# name: (long name, units); "1" is a pure number.
VARIABLES = {
    "N": ("number of weights", "1"),
    "alpha": ("load P/N", "1"),
    "load": ("load P/N of the instance", "1"),
    "margin": ("margin", "units of the stability"),
    "n_hidden": ("number of hidden units", "1"),
    "half_width": ("half-width of the window", "units of the stability"),
    "beta": ("inverse temperature", "1"),
    "instance": ("instance of the disorder", "1"),
    "energy": ("number of violated constraints", "1"),
    "mean_energy": ("mean number of violated constraints", "1"),
    "cost": ("energy", "units of the stability"),
    "mean_cost": ("mean energy", "units of the stability"),
    "autocorrelation_time": ("integrated autocorrelation time of the energy", "sweeps"),
    "coupling": ("coupling of the replicas", "1"),
    "training_error": ("fraction of violated constraints", "1"),
    "solved": ("whether no constraint is violated", "1"),
    "satisfiable": ("whether a solution exists", "1"),
    "recovered": ("whether the teacher is recovered", "1"),
    "n_solutions": ("number of solutions", "1"),
    "n_sweeps": ("sweeps done", "1"),
    "overlap": ("overlap between two replicas", "1"),
    "teacher_overlap": ("overlap with the teacher", "1"),
    "overlap_conjugate": ("conjugate of the overlap", "1"),
    "teacher_overlap_conjugate": ("conjugate of the overlap with the teacher", "1"),
    "estimator_overlap": ("overlap of the estimator with the teacher", "1"),
    "generalization_error": ("generalization error", "1"),
    "generalization_error_bayes": ("generalization error, Bayes-optimal", "1"),
    "generalization_error_amp": ("generalization error of the estimator's weights", "1"),
    "free_entropy": ("free entropy", "nats per weight"),
    "entropy": ("entropy", "nats per weight"),
    "distance": ("fraction of weights that differ from the reference", "1"),
    "reference_margin": ("margin of the reference", "units of the stability"),
    "first_margin": ("margin of the first solution", "units of the stability"),
    "second_margin": ("margin of the second solution", "units of the stability"),
    "position": ("position between the first and the second solution", "1"),
    "n_replicas": ("number of replicas", "1"),
    "local_entropy": ("local entropy", "nats per weight"),
    "reference_found": ("whether a reference was found", "1"),
    "smallest_stability": ("smallest stability of the reference", "units of the stability"),
    "margin_of_reference": ("margin asked of the reference", "units of the stability"),
    "counted": ("fraction of measurements that count", "1"),
    "field": ("field of the tether", "1"),
    "disagreement": ("largest difference of the walks in standard errors", "1"),
    "solutions": ("smallest fraction of time at solutions", "1"),
    "field_equilibrated": ("largest field in equilibrium", "1"),
    "local_entropy_slope": ("slope of the local entropy", "nats per weight"),
    "reference_entropy": ("entropy of the references", "nats per weight"),
    "internal_entropy": ("entropy inside a group or cluster", "nats per weight"),
    "parisi_parameter": ("Parisi parameter m", "1"),
    "group_overlap": ("overlap between groups or clusters", "1"),
    "reference_stability": ("replicon eigenvalue of the references", "1"),
    "complexity": ("complexity", "nats per weight"),
    "stability": ("replicon eigenvalue", "1"),
    "residual": ("residual of the equations", "1"),
    "acceptance": ("fraction of proposals accepted", "1"),
}

# Those that are 0 or 1 in every instance, so that their mean is a rate.
OUTCOMES = ("satisfiable", "solved", "recovered")

# What stands beside the answers of a scan or of a curve.
_BESIDE = ("status", "load", "threshold_load", "residual")
# Dimensions along which nothing is shown as along an axis.
_NO_AXES = ("solver", "instance", "theory", "threshold")


def annotate(dataset: "xarray.Dataset") -> "xarray.Dataset":
    """`dataset` with long names and units where it had none."""
    for name in dataset.variables:
        stem, is_error = str(name).removesuffix("_error"), str(name).endswith("_error")
        key = stem if is_error and str(name) not in VARIABLES else str(name)
        long_name, units = VARIABLES.get(key, (key.replace("_", " "), "1"))
        attrs = dataset[name].attrs
        attrs.setdefault("long_name", f"standard error of: {long_name}" if key != name else long_name)
        if dataset[name].dtype.kind in "fiu" and name != "status":
            attrs.setdefault("units", units)
    return dataset


def measured(dataset: "xarray.Dataset") -> list[str]:
    """Names of the answers in a dataset: numbers other than status and load, and no errors of other answers."""
    names = [
        str(name)
        for name, data in dataset.data_vars.items()
        if data.dtype.kind in "fiu"
        and name not in _BESIDE
        and not any(str(dim).startswith(f"{name}_index") for dim in data.dims)  # an array at each point
    ]
    return [name for name in names if not (name.endswith("_error") and name.removesuffix("_error") in names)]


def is_rate(data: "xarray.DataArray") -> bool:
    """Whether these are outcomes, 0 or 1 in every instance, so that their mean is a success rate."""
    present = data.values[np.isfinite(data.values)]
    may_be = data.name in OUTCOMES or data.name not in VARIABLES
    return may_be and present.size > 0 and bool(np.isin(present, (0, 1)).all())


def numeric_axes(data: "xarray.DataArray") -> list[str]:
    """Dimensions along which values can be shown in order: those with numbers for coordinates."""
    return [
        str(name)
        for name in data.dims
        if name not in _NO_AXES and name in data.coords and data[name].dtype.kind in "fiu"
    ]


def main_axis(*sources: "xarray.DataArray") -> str | None:
    """What all `sources`, or else the first, are shown against: the load, else the longest axis other than N."""
    axes = [numeric_axes(data) for data in sources]
    shared = [name for name in axes[0] if all(name in others for others in axes)] or axes[0]
    sizes = {name: sources[0].sizes[name] for name in shared}
    if sizes.get("alpha", 0) > 1:
        return "alpha"
    return max(
        sizes, key=lambda name: (sizes[name] > 1, name == "alpha", name != "N", sizes[name]), default=None
    )
