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
# # Algorithms that should not succeed
#
# Random patterns can be stored in weights ±1 up to α = 0.833. Nearly all solutions are isolated, as points in a golf
# course, and annealing, which needs a slope, finds none. Other algorithms do. This notebook runs some of them on one
# instance, looks at where they end, and at why.

# %%
from physlearn import AMP, SBPI, FocusingBP, Linear, Perceptron, SimulatedAnnealing, solve
from physlearn.models.schedules import linear

instance = Perceptron(alpha=0.55).sample(N=501, rng=1)
solvers = {
    "annealing, errors": SimulatedAnnealing(n_sweeps=2000),
    "annealing, linear energy": SimulatedAnnealing(2000, linear(1, 60, 100), energy=Linear()),
    "SBPI": SBPI(n_sweeps=1000),
    "reinforced AMP": AMP(reinforcement=0.01),
    "focusing BP": FocusingBP(n_iterations=5),
}
results = {name: solve(instance, solver, rng=2) for name, solver in solvers.items()}
for name, result in results.items():
    print(f"{name:>24}: {result.status.name:<9} {result.energy:3d} patterns violated")

# %% [markdown]
# ## Replicas find what one walk does not
#
# Three walks that attract each other sample regions with many solutions rather than single deep points. The
# coupling rises while the temperature falls.

# %%
import matplotlib.pyplot as plt

from physlearn import ReplicatedAnnealing

together = ReplicatedAnnealing(4000, linear(1, 60, 100), energy=Linear(), sweeps_per_record=20)
alone = SimulatedAnnealing(4000, linear(1, 60, 100), energy=Linear(), sweeps_per_record=20)
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for label, solver, n_replicas, style in (("one walk", alone, 1, "-"), ("three replicas", together, 3, "--")):
    run = solve(instance, solver, rng=3)
    energy = run.trace.records["energy"] / n_replicas
    ax.plot(run.trace.sweep, energy, style, label=f"{label}: {run.status.name.lower()}")
ax.set(xlabel="sweeps", ylabel="violated patterns, of a replica", yscale="symlog")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## How dense are the solutions where an algorithm ends?
#
# Tie the measure of solutions to a reference by a field, let belief propagation compute its free entropy, and a
# Legendre transform gives the entropy of solutions at a distance d: the local entropy. Around a solution that an
# algorithm has found it stays positive close by, for d → 0: such solutions sit in dense regions.

# %%
import numpy as np

from physlearn import BeliefPropagation, Tethered


def local_entropy(reference, fields):
    distances, entropies = [], []
    for field in fields:
        bp = solve(Tethered(instance, reference, field), BeliefPropagation(), rng=4)
        overlap = bp.tether_overlap
        distances.append((1 - overlap) / 2)
        entropies.append(bp.free_entropy - field * overlap)
    return np.array(distances), np.array(entropies)


figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, style in (("SBPI", "o"), ("focusing BP", "s")):
    d, s = local_entropy(results[name].weights, np.linspace(0.3, 2.2, 12))
    ax.plot(d, s, style + "-", mfc="none", label=f"around the solution of {name}")
d = np.linspace(1e-3, 0.35, 100)
ax.plot(d, -d * np.log(d) - (1 - d) * np.log(1 - d), "k:", label="all configurations")
ax.set(xlabel="distance d from the solution", ylabel="local entropy, nats a weight")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Which algorithm at which load, and at what cost: `docs/choosing-a-solver.md`. How the thresholds of the algorithms go
# with the size: `simulations/algorithmic-thresholds`.
