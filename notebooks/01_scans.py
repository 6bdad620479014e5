# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Phase diagrams that survive
#
# A phase diagram is many small jobs: every load, every size, every instance of the disorder. A `Scan` states all of
# them at once. Running it computes what is missing, so that stopping, killing and growing it are nothing special.
#
# Where does approximate message passing begin to find a binary teacher? Here is a coarse first look, and what it
# would take.

# %%
import os
import tempfile

os.chdir(tempfile.mkdtemp())  # this notebook leaves nothing behind

from physlearn import AMP, Perceptron, Scan, Teacher
from physlearn.solvers import solve_task

model = Perceptron(alpha=1.0, rule=Teacher())
scan = Scan(
    solve_task,
    axes={"alpha": [0.5, 1.0, 1.5, 2.0], "N": [101, 201, 401]},
    constants={"model": model, "solver": AMP()},
    instances=40,
    seed=1,
)
preview = scan.preview()
print(
    preview.n_tasks,
    "tasks; the slowest corner is",
    max(preview.corners, key=lambda place: preview.corners[place]),
)

# %% [markdown]
# ## Stop it
#
# Give it a tenth of a second. What is finished is in a journal, a line for each task; points without a line are NaN and
# their status says NOT_RUN. A kill in the middle of a task would have the same effect, and so would Ctrl-C.

# %%
from physlearn.scan import progress

data = scan.run("phase-diagram", max_runtime=0.1)
shown = progress("phase-diagram")
print(f"of {shown.n_tasks} tasks {shown.n_done} are done")

# %% [markdown]
# The same command goes on. Nothing finished is done again, and the values end up the same, bit for bit, as without the
# interruption: the randomness of a task is addressed by its point, not by the order in which tasks are run.

# %%
data = scan.run("phase-diagram")
whole = scan.run()  # in memory, from nothing
print("equal to an unbroken run:", data.drop_attrs().identical(whole.drop_attrs()))
data["recovered"].mean("instance").to_pandas()

# %% [markdown]
# ## Let it grow
#
# More loads between the old ones, and a larger system. The old points keep their values; only new ones are computed.

# %%
import dataclasses

finer = dataclasses.replace(scan, axes={"alpha": [0.5, 1.0, 1.25, 1.5, 1.75, 2.0], "N": [101, 201, 401, 801]})
before = progress("phase-diagram").n_done
grown = finer.run("phase-diagram")
print(f"{progress('phase-diagram').n_done - before} tasks were new")
old = grown.sel(alpha=data["alpha"], N=data["N"])
print("old values unchanged:", bool((old["teacher_overlap"] == data["teacher_overlap"]).all()))

# %% [markdown]
# ## Let the data say where to look
#
# A threshold needs points where the success rate changes, and no others. `refine` fits the rate at each size and
# returns the points that tell most about where it crosses a level. Repeated, this is a search.

# %%
from physlearn.scan import refine

scan, data = finer, grown
for _ in range(3):
    points = refine(data, "recovered", level=0.5)
    print("to be added:", [(point["N"], point["alpha"]) for point in points])
    if not points:
        break
    scan = scan.with_points(points)
    data = scan.run("phase-diagram")

# %% [markdown]
# The grid now has holes, on purpose: loads that exist at one size only. Their status elsewhere is NOT_PLANNED.
#
# Each size's rate crosses one half somewhere; the crossings are extrapolated in the size, with errors from resampling
# whole instances, since neighbouring loads share their disorder.

# %%
from physlearn.estimates import finite_size_threshold

outcome = data["recovered"].transpose("N", "alpha", "instance")
loads = data["load"].mean("instance").transpose("N", "alpha")
threshold = finite_size_threshold(loads, data["N"], outcome, exponent=2 / 3, rng=1)
threshold

# %%
from physlearn import algorithmic_threshold

spinodal = algorithmic_threshold(model)
print(f"theory: {spinodal:.4f}")

# %% [markdown]
# Points, theory and threshold on one axis; two arguments are enough:

# %%
import numpy as np
import xarray

from physlearn import bayes_optimal, curve, plotting

grid = np.union1d(np.linspace(0.5, 2.0, 100), [spinodal * (1 - 1e-6), spinodal * (1 + 1e-6)])
lines = xarray.concat(
    [
        curve(bayes_optimal, model, over={"alpha": grid}, branch=branch)
        for branch in ("uninformed", "informed")
    ],
    xarray.Variable("theory", ["uninformed", "informed"]),
)
lines["threshold_load"] = ("threshold", [spinodal])
lines = lines.assign_coords(threshold=["spinodal"])
shown = data[["recovered", "generalization_error_bayes", "load", "status"]]
figure = plotting.phase_diagram(shown, lines)

# %% [markdown]
# ## More machines
#
# The same scan runs on all cores (`n_jobs=-1`), on threads or on a Dask cluster (`joblib.parallel_config`), or in the
# shards of a job array, and always with the same numbers. From the command line, with theory, table and figure:
#
# ```
# physlearn scan teacher-student-phase-diagram --profile laptop
# physlearn scan status results/teacher-student-phase-diagram/laptop
# ```
#
# The pages `docs/scans.md` and `docs/cluster.md` tell the rest.
