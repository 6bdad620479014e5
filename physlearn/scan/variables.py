"""Long names and units of the variables that scans and curves share."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray

# name: (long name, units); "1" is a pure number.
VARIABLES = {
    "N": ("number of weights", "1"),
    "alpha": ("load P/N", "1"),
    "load": ("load P/N of the instance", "1"),
    "margin": ("margin", "units of the stability"),
    "half_width": ("half-width of the window", "units of the stability"),
    "beta": ("inverse temperature", "1"),
    "instance": ("instance of the disorder", "1"),
    "energy": ("number of violated constraints", "1"),
    "mean_energy": ("mean number of violated constraints", "1"),
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
    "stability": ("replicon eigenvalue", "1"),
    "residual": ("residual of the equations", "1"),
    "acceptance": ("fraction of proposals accepted", "1"),
}

# Those that are 0 or 1 in every instance, so that their mean is a rate.
OUTCOMES = ("satisfiable", "solved", "recovered")


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
