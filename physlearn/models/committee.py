"""Committee machines: several perceptrons that vote."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from physlearn.inputs import choice, integer, keep, reject
from physlearn.kernels.patterns import products
from physlearn.models.base import Instance, Model, Storage, Teacher
from physlearn.models.channels import Majority
from physlearn.models.priors import Binary, Prior

# Points (a power of two) at which the fields of teacher and student are drawn, where units share their inputs.
_N_FIELDS = 2**15


@dataclass(frozen=True)
class Committee(Model):
    r"""Committee machine of sign units: the label is the vote of K hidden units, each a perceptron.

    .. math::
        \Delta_\mu = \frac{1}{\sqrt K} \sum_{k=1}^K \sigma(y_\mu h_{\mu k}), \quad
        h_{\mu k} = \frac{w_k \cdot \xi_{\mu k}}{\sqrt{N/K}}, \quad
        \sigma(x) = +1 \text{ if } x > 0, \text{ else } -1

    A pattern is satisfied when most units agree with its label, Delta > 0; one at h = 0 does not. The weights of unit
    k are ``w[k N/K : (k + 1) N/K]``. In a tree each unit has N/K inputs of its own, a pattern N entries; otherwise
    all have the same, and a pattern N/K entries.

    Parameters
    ----------
    alpha : float
        Load P/N > 0; N counts all weights.
    n_hidden : int, or infinity
        Number K of hidden units, odd. `math.inf` is the limit K to infinity after N to infinity, of which the
        mean-field theory speaks: it has no instances.
    tree : bool
        Whether units have inputs of their own.
    prior : Binary or Spherical
        Of each weight; the norm of spherical ones is that of each unit.
    rule : Storage or Teacher
        Random labels, or those of a committee of the same kind.
    patterns : {"binary", "gaussian"}

    References
    ----------
    theory/committee-machine/derivation.md; Barkai, Hansel & Sompolinsky 1992; Engel, Kohler, Tschepke, Vollmayr &
    Zippelius 1992.
    """

    n_hidden: Any = 3
    tree: bool = False
    prior: Prior = field(default_factory=Binary)
    rule: Storage | Teacher = field(default_factory=Storage)
    patterns: str = "binary"

    energy_refusal = None
    is_single = False

    def __post_init__(self) -> None:
        many = isinstance(self.n_hidden, float) and self.n_hidden == math.inf
        n_hidden = math.inf if many else integer("n_hidden", self.n_hidden, at_least=1)
        if n_hidden % 2 == 0:
            raise reject("n_hidden", n_hidden, "odd numbers, because an even number of units makes ties")
        keep(self, n_hidden=n_hidden, tree=choice("tree", self.tree, (False, True)))
        super().__post_init__()

    @property
    def channel(self) -> Majority:
        return Majority(self.n_hidden)

    def n_inputs(self, N: int) -> int:
        if math.isinf(self.n_hidden):
            raise reject(
                "n_hidden", self.n_hidden, "finite numbers of units for instances; the limit is theory's"
            )
        if N % self.n_hidden:
            raise reject(
                "N", N, f"multiples of n_hidden = {self.n_hidden}: N counts the weights of all units"
            )
        return N if self.tree else N // self.n_hidden

    def n_weights(self, n_inputs: int) -> int:
        if math.isinf(self.n_hidden):
            raise reject(
                "n_hidden", self.n_hidden, "finite numbers of units for instances; the limit is theory's"
            )
        if self.tree and n_inputs % self.n_hidden:
            shown = f"{n_inputs} entries a pattern"
            raise reject("patterns", shown, f"a multiple of n_hidden = {self.n_hidden} for a tree")
        return n_inputs if self.tree else n_inputs * self.n_hidden

    def fields(self, patterns: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The fields of the units, shape (P, K)."""
        units = w.reshape(self.n_hidden, -1)
        D = units.shape[1]
        blocks = (
            [np.ascontiguousarray(patterns[:, k * D : (k + 1) * D]) for k in range(self.n_hidden)]
            if self.tree
            else [patterns] * self.n_hidden
        )
        each = [products(block, unit) for block, unit in zip(blocks, units, strict=True)]
        return np.stack(each, axis=1) / np.sqrt(D)

    def stabilities(self, instance: Instance, w: Any) -> np.ndarray:
        fields = self._checked_fields(instance, w)
        agree = instance.labels[:, None] * fields > 0
        return (2 * agree.sum(axis=1) - self.n_hidden) / np.sqrt(self.n_hidden)

    def overlaps(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Overlaps w_k.w'_l/(N/K) between the units of two committees, shape (K, K)."""
        units = [w.reshape(self.n_hidden, -1).astype(np.float64) for w in (first, second)]
        return units[0] @ units[1].T / units[0].shape[1]

    def matched(self, w: np.ndarray, teacher: np.ndarray) -> np.ndarray:
        """`w` with its units in the order that brings it nearest to the teacher; those of a tree keep theirs."""
        if self.tree:
            return w
        from scipy.optimize import linear_sum_assignment

        _, order = linear_sum_assignment(-self.overlaps(teacher, w))
        return w.reshape(self.n_hidden, -1)[order].ravel()

    def teacher_observables(self, instance: Instance, w: np.ndarray) -> dict[str, float]:
        teacher = instance.teacher
        assert teacher is not None
        w = self.matched(w, teacher)
        return {**super().teacher_observables(instance, w), **self._error(w, teacher)}

    def _error(self, w: np.ndarray, teacher: np.ndarray) -> dict[str, float]:
        if self.teacher_channel is None:
            return {}
        with np.errstate(all="ignore"):
            both = np.concatenate([item.reshape(self.n_hidden, -1) for item in (w, teacher)]).astype(
                np.float64
            )
            both /= np.sqrt(np.mean(np.square(both), axis=1, keepdims=True))
        if not np.isfinite(both).all():
            return {"generalization_error": 0.5}
        covariance = both @ both.T / both.shape[1]
        if self.tree:
            return {"generalization_error": _tree_error(np.diag(covariance, self.n_hidden))}
        return {"generalization_error": _sampled_error(covariance)}

    @property
    def _has_ties(self) -> bool:
        return self.patterns == "binary" and self.prior.norm == "fixed"


def _tree_error(overlaps: np.ndarray) -> float:
    """Probability that two trees vote differently, given the overlap between their units k: they are independent."""
    K = len(overlaps)
    votes = np.zeros((K + 1, K + 1))  # of how many units of each are positive
    votes[0, 0] = 1
    for overlap in np.clip(overlaps, -1, 1):
        differ = np.arccos(overlap) / np.pi
        old, votes = votes, (1 - differ) / 2 * votes
        votes[1:, 1:] += (1 - differ) / 2 * old[:-1, :-1]
        votes[1:] += differ / 2 * old[:-1]
        votes[:, 1:] += differ / 2 * old[:, :-1]
    half = (K + 1) // 2
    return float(votes[:half, half:].sum() + votes[half:, :half].sum())


def _sampled_error(covariance: np.ndarray) -> float:
    """The same for any covariance of the fields, by quasi-random fields: always the same ones, to about 2e-4."""
    from scipy.stats import norm, qmc

    values, vectors = np.linalg.eigh(covariance)
    points = qmc.Sobol(len(covariance), scramble=True, rng=0).random(_N_FIELDS)
    fields = norm.ppf(np.clip(points, 1e-12, 1 - 1e-12)) * np.sqrt(np.maximum(values, 0)) @ vectors.T
    K = len(covariance) // 2
    first, second = ((fields[:, part] > 0).sum(axis=1) > K / 2 for part in (slice(0, K), slice(K, None)))
    return float(np.mean(first != second))
