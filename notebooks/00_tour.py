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
# # A tour: one model, two roads
#
# A *teacher* is a vector $w^*$ of $N$ signs. It labels $P = \alpha N$ random patterns $\xi^\mu$ by
# $y^\mu = \mathrm{sign}(w^* \cdot \xi^\mu)$. A *student*, a vector $w$ of $N$ signs too, sees patterns and labels
# and wants to answer as the teacher would. How many examples does it need, and can it find the teacher in
# reasonable time?
#
# The physics of this question is a `Model`: the load $\alpha$, what the weights may be, where the labels come
# from. It knows nothing of $N$, of data or of random numbers.

# %%
from physlearn import Perceptron, Teacher

model = Perceptron(alpha=1.0, rule=Teacher())
model

# %% [markdown]
# Two roads start here, and they share nothing but the model.
#
# ## The first road: a finite instance
#
# `sample` draws the disorder (teacher, patterns, labels), `solve` runs an algorithm on it. Random numbers come from
# a seed that you can see. Approximate message passing (`AMP`) estimates the marginals of all the weights that agree
# with the examples:

# %%
from physlearn import AMP, solve

instance = model.sample(N=2001, rng=1)
result = solve(instance, AMP(), rng=2)
result

# %% [markdown]
# A result prints itself: how it ended, what was measured. `overlap` is the size of the marginals' means,
# $q = \frac1N \sum_i a_i^2$, and `generalization_error_bayes` the probability that the majority of all students that
# agree with the examples answers a new pattern wrongly.
#
# When $N$ is small there is a judge above all algorithms: try every $w$.

# %%
from physlearn import Enumeration

solve(model.sample(N=21, rng=1), Enumeration(), rng=2)

# %% [markdown]
# ## The second road: no instance at all
#
# For $N \to \infty$ the replica method averages over all instances at once. What remains is a saddle point in a few
# numbers:

# %%
from physlearn import bayes_optimal

point = bayes_optimal(model)
point

# %%
print(f"overlap               theory {point.overlap:.4f}   one instance {result.overlap:.4f}")
error, measured = point.generalization_error_bayes, result.generalization_error_bayes
print(f"generalization error  theory {error:.4f}   one instance {measured:.4f}")

# %% [markdown]
# One instance of 2001 weights, solved without any theory, and a saddle point that has never seen an instance agree
# to a few per cent. That is what a random instance's own fluctuation, of order $1/\sqrt N$, allows.
#
# ## A curve through points
#
# `Scan` runs one task at every point of a grid, for several instances; `curve` follows a saddle point along an axis.
# Both answer with an `xarray.Dataset`, under the same names. The fraction of instances whose teacher is found:

# %%
from physlearn import Scan
from physlearn.solvers import solve_task

loads = [0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.3, 1.4, 1.45, 1.5, 1.55, 1.6, 1.7, 1.8, 2.0]
scan = Scan(
    solve_task,
    axes={"alpha": loads, "N": [501, 1001]},
    constants={"model": model, "solver": AMP()},
    instances=12,
    seed=1,
    measure=["generalization_error_bayes", "recovered", "load"],
)
points = scan.run()
points["recovered"].mean("instance").to_pandas().T

# %% [markdown]
# The theory has two branches. A student that knows nothing at the start ends on the *uninformed* one; the *informed*
# one starts from the teacher. Two loads matter:
#
# - beyond the **information-theoretic threshold** only the teacher agrees with all the examples: they determine it,
#   for whoever can search without limit;
# - but a local algorithm stays on the uninformed branch, by then metastable, until that branch ends, at the
#   **spinodal**.

# %%
import numpy as np
import xarray

from physlearn import algorithmic_threshold, curve, information_theoretic_threshold

thresholds = {
    "information-theoretic": information_theoretic_threshold(model),
    "spinodal": algorithmic_threshold(model),
}
sides = [load * side for load in thresholds.values() for side in (1 - 1e-6, 1 + 1e-6)]
grid = np.union1d(np.linspace(0.1, 2.0, 120), sides)
branches = ["uninformed", "informed"]
lines = xarray.concat(
    [curve(bayes_optimal, model, over={"alpha": grid}, branch=branch) for branch in branches],
    xarray.Variable("theory", branches),
)
lines["threshold_load"] = ("threshold", list(thresholds.values()))
lines = lines.assign_coords(threshold=list(thresholds))
thresholds

# %%
from physlearn import plotting

panels = [
    {"variable": "generalization_error_bayes", "title": "a curve through points"},
    {"variable": "recovered", "title": "does AMP find the teacher?"},
]
figure = plotting.phase_diagram(points, lines, panels=panels)

# %% [markdown]
# Points follow the solid line, then go on along its dashed, metastable part, as if nothing had happened at the first
# threshold, and fall to zero around the second one. Between the two the teacher is the only answer left and AMP does
# not find it: learning is possible there, and hard.
#
# The step is as sharp as $N$ lets it be. How it moves and narrows with $N$, and what annealing makes of the same
# instances, is the study `simulations/teacher-student-phase-diagram`:
#
# ```
# make scan
# ```
