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
# # What surrounds a solution
#
# Nearly all solutions of the binary perceptron are alone: the next one is a finite fraction of the weights away.
# Algorithms find solutions nevertheless. The local entropy says why: the logarithm, per weight, of the number of
# solutions at a distance d from one of them. First we count them, then theory and message passing do so.
#
# In 21 weights all 2 million configurations can be looked at. The teacher is a typical solution, and with 19 patterns
# few others are near it (an even number of flips and an odd one differ, as the fields are whole numbers).

# %%
import numpy as np

from physlearn import Perceptron, Teacher
from physlearn.landscape import Counting, local_entropy

small = Perceptron(alpha=0.9, rule=Teacher())
distances = np.arange(1, 9) / 21
counts = []
for seed in range(20):
    instance = small.sample(N=21, rng=seed)
    counts.append(local_entropy(instance, instance.teacher, distances, method=Counting(), rng=seed).entropies)
alone = np.isinf(counts) | np.isnan(counts)
for d, share in zip(distances, alone.mean(axis=0), strict=True):
    print(f"distance {d:.3f}: no solution in {share:4.0%} of the instances")

# %% [markdown]
# ## Theory and a large instance
#
# For N → ∞ the Franz–Parisi entropy gives the curve, and belief propagation with a field along the teacher measures it
# on one instance of a thousand weights. They agree to the scatter of an instance, some thousandths.

# %%
import matplotlib.pyplot as plt

from physlearn import curve, franz_parisi
from physlearn.landscape import Bethe

grid = np.linspace(0.4, 0.02, 39)
model = Perceptron(alpha=0.5, rule=Teacher())
theory = curve(franz_parisi, model, over={"distance": grid}, reference="teacher")
large = model.sample(N=1001, rng=1)
there = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35])
measured = local_entropy(large, large.teacher, there, method=Bethe(), rng=1)

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.plot(grid, theory["local_entropy"], "k-", label="theory, N → ∞")
ax.plot(there, measured.entropies, "o", mfc="none", label="belief propagation, N = 1001")
ax.set(xlabel="distance d from the teacher", ylabel="local entropy [nats per weight]")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Typical solutions are isolated, those with a margin are not
#
# With random labels there is no teacher, but theory can stand at a typical solution, of margin zero or of a larger one.
# At small distances the curve of margin zero is negative: no solutions there. With a margin there are some at every
# distance.

# %%
from physlearn import is_isolated, maximal_margin

storage = Perceptron(alpha=0.5)
largest = maximal_margin(storage)
near = np.geomspace(0.3, 0.004, 40)
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for margin, style in ((0.0, "k-"), (0.1, "--"), (0.25, "-."), (largest, ":")):
    line = curve(franz_parisi, storage, over={"distance": near}, reference_margin=margin)["local_entropy"]
    name = "isolated" if is_isolated(storage, margin) else "in a cluster"
    ax.semilogx(near, line, style, label=f"margin {margin:.2f}: {name}")
ax.axhline(0, color="0.6", lw=0.8)
ax.set(xlabel="distance d", ylabel="local entropy [nats per weight]")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Where an algorithm ends
#
# SBPI knows nothing of margins or entropies. Yet there are far more solutions around the one that it finds than around
# a typical one: algorithms end where solutions are dense.

# %%
from physlearn import SBPI, solve

instance = storage.sample(N=1001, rng=2)
found = solve(instance, SBPI(), rng=2)
close = np.array([0.01, 0.02, 0.05, 0.1])
around = local_entropy(instance, found.weights, close, method=Bethe(), rng=1)
typical = curve(franz_parisi, storage, over={"distance": close[::-1]}, reference_margin=0.0)["local_entropy"]
for d, s, t in zip(close, around.entropies, typical.values[::-1], strict=True):
    print(f"distance {d:.2f}: {s:.3f} around SBPI's solution, {t:.3f} around a typical one")
