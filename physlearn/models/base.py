"""What a model and an instance are: the ensemble, and one draw of its disorder."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from physlearn.inputs import InputError, choice, integer, member, number, reject
from physlearn.models.channels import Channel, Threshold
from physlearn.models.priors import Binary, Prior, random_signs
from physlearn.random import generator


@dataclass(frozen=True)
class Storage:
    """Labels independent of the patterns: random associations to be stored."""


@dataclass(frozen=True)
class Teacher:
    """Labels given by a teacher drawn from the same prior as the student."""


class Instance:
    """One draw of the disorder.

    Parameters
    ----------
    patterns : array_like, shape (P, N)
        Inputs, one per row: -1 and +1 (kept as int8) or real numbers (kept as float64).
    labels : array_like, shape (P,)
        -1 or +1.
    teacher : array_like, shape (N,), optional
        The weights that gave the labels, with w.w = N.
    model : Model, optional
        The ensemble; without one, the zero-margin binary perceptron at the realised load.

    Attributes
    ----------
    N, P : int
    alpha : float
        The realised load P/N.
    """

    def __init__(self, patterns: Any, labels: Any, teacher: Any = None, model: "Model | None" = None) -> None:
        self.patterns = _checked_patterns(patterns, model)
        self.P, self.N = self.patterns.shape
        self.labels = _checked_labels(labels, self.P)
        self.teacher = None if teacher is None else _checked_vector("teacher", teacher, self.N)
        if model is None:
            from physlearn.models.perceptron import Perceptron

            kind = "binary" if self.patterns.dtype == np.int8 else "gaussian"
            model = Perceptron(max(self.alpha, np.finfo(float).tiny), patterns=kind)
        self.model = member("model", model, Model, "a Model")

    @property
    def alpha(self) -> float:
        return self.P / self.N

    @cached_property
    def gauged(self) -> np.ndarray:
        """The patterns times their labels, (P, N): stabilities are gauged @ w / sqrt(N)."""
        return self.patterns * self.labels[:, None].astype(self.patterns.dtype)

    @cached_property
    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """The +-1 patterns as bits in two layouts, P N/4 bytes together (see `physlearn.kernels.patterns.pack`)."""
        from physlearn.kernels.patterns import pack

        return pack(self.patterns)

    def __repr__(self) -> str:
        return f"Instance(N={self.N}, P={self.P}, {self.patterns.dtype} patterns, model={self.model})"


def integer_bounds(bounds: tuple[float, float], N: int) -> tuple[int, int]:
    """Smallest and largest integer s, abs(s) <= N, whose stability s/sqrt(N) is strictly inside the `bounds`.

    For +-1 patterns and weights these decide as `Model.energy` does, by the very same floating-point
    comparison, so that a margin that is a multiple of 1/sqrt(N) is treated alike. Where no s fits, the first
    exceeds the second.
    """
    lower, upper = bounds
    s = np.arange(-N, N + 1)
    stabilities = s / math.sqrt(N)
    inside = s[(stabilities > lower) & (stabilities < upper)]
    return (int(inside[0]), int(inside[-1])) if inside.size else (N + 1, -N - 1)


@dataclass(frozen=True)
class Model:
    """A perceptron-like ensemble: N weights with a prior, P = alpha N patterns, each acting through a channel.

    Its measure is P(w) ~ prod_i P_0(w_i) prod_mu P(y_mu | w.xi_mu / sqrt N); its energy the number of patterns
    whose stability Delta_mu = y_mu w.xi_mu / sqrt N (in units where w.w = N) is not strictly inside the channel's
    `bounds`. Subclasses give the `channel`, and fields for what of `prior`, `rule` and `patterns` they let vary.
    """

    alpha: float

    # Not annotated, so that a subclass orders its own fields.
    channel = None  # type: Any
    prior = Binary()  # type: Any
    rule = Storage()  # type: Any
    patterns = "binary"  # type: Any

    def __post_init__(self) -> None:
        number("alpha", self.alpha, above=0)
        member("prior", self.prior, Prior, "a Prior such as Binary() or Spherical()")
        member("rule", self.rule, (Storage, Teacher), "Storage() or Teacher()")
        choice("patterns", self.patterns, ("binary", "gaussian"))

    @property
    def teacher_channel(self) -> Channel | None:
        """The channel that gave the labels; None in a storage problem."""
        return self.channel if isinstance(self.rule, Teacher) else None

    def sample(self, N: int, rng: Any) -> Instance:
        """Draw an instance with N weights and round(alpha N) patterns.

        Teacher, patterns and labels come from three streams spawned from `rng`; patterns and labels are drawn row by
        row, so that with the same stream a larger load extends a smaller one.
        """
        N = integer("N", N, at_least=1)
        if N % 2 == 0 and self._has_ties:
            raise reject(
                "N", N, "odd numbers, because with +-1 patterns and weights an even N makes ties (h = 0)"
            )
        streams = dict(zip(("teacher", "patterns", "labels"), generator(rng).spawn(3), strict=True))
        P = round(self.alpha * N)
        if self.patterns == "binary":
            patterns = random_signs(P, N, streams["patterns"])
        else:
            patterns = streams["patterns"].standard_normal((P, N))
        if self.teacher_channel is None:
            labels = streams["labels"].choice(self.channel.labels, size=P)
            return Instance(patterns, labels, None, self)
        teacher = self.prior.sample(N, streams["teacher"])
        labels = self.teacher_channel.sample(self._fields(patterns, teacher), streams["labels"])
        return Instance(patterns, labels, teacher, self)

    def stabilities(self, instance: Instance, w: Any) -> np.ndarray:
        """Delta_mu = y_mu w.xi_mu / sqrt N, shape (P,), for weights w of shape (N,) with w.w = N."""
        return instance.labels * self._fields(instance.patterns, _checked_vector("w", w, instance.N))

    def energy(self, instance: Instance, w: Any) -> int:
        """Number of patterns whose stability is not strictly inside the channel's bounds."""
        lower, upper = self.channel.bounds
        stabilities = self.stabilities(instance, w)
        return int(np.count_nonzero(~((stabilities > lower) & (stabilities < upper))))

    def generalization_error(self, teacher_overlap: float) -> float:
        r"""Probability that a student at this (normalised) overlap with the teacher answers a new pattern wrongly."""
        from physlearn.quadrature import misclassification

        if self.teacher_channel is None:
            raise InputError(
                f"rule: got {self.rule!r}; allowed: Teacher(), since without one nothing is generalized."
            )
        return misclassification(self.teacher_channel, teacher_overlap)

    def with_alpha(self, alpha: float) -> "Model":
        """The same model at another load."""
        return replace(self, alpha=alpha)

    @staticmethod
    def _fields(patterns: np.ndarray, w: np.ndarray) -> np.ndarray:
        from physlearn.kernels.patterns import products

        return products(patterns, w) / math.sqrt(patterns.shape[1])

    @property
    def _has_ties(self) -> bool:
        channels = (self.channel, self.teacher_channel or self.channel)
        at_zero = any(0.0 in channel.edges for channel in channels)
        return at_zero and self.patterns == "binary" and self.prior.norm == "fixed"


@dataclass(frozen=True)
class GeneralizedLinear(Model):
    """A model made of any prior and any channel; with `Teacher()`, labels are drawn from the same channel.

    Parameters
    ----------
    alpha : float
        Load P/N.
    channel : Channel
    prior : Prior
    rule : Storage or Teacher
    patterns : {"binary", "gaussian"}
    """

    channel: Channel = field(default_factory=Threshold)
    prior: Prior = field(default_factory=Binary)
    rule: Storage | Teacher = field(default_factory=Storage)
    patterns: str = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        member("channel", self.channel, Channel, "a Channel such as Threshold(margin)")
        if isinstance(self.rule, Teacher) and not self.channel.is_normalised:
            raise reject(
                "channel", self.channel, "with Teacher(), channels whose P(y|h) sum to one over the labels"
            )


def _checked_patterns(patterns: Any, model: Model | None) -> np.ndarray:
    allowed = "an array (P, N) of -1 and +1, or of finite real numbers for Gaussian patterns"
    array = np.asarray(patterns)
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] == 0:
        shown = f"{array.dtype} of shape {array.shape}"
        raise reject("patterns", shown, allowed)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise reject(
            "patterns", f"{np.count_nonzero(~np.isfinite(array))} entries that are NaN or infinite", allowed
        )
    signs = bool((np.abs(array) == 1).all())
    if signs and (model is None or model.patterns == "binary"):
        return np.ascontiguousarray(array, dtype=np.int8)
    if (model is not None and model.patterns == "binary") or array.dtype.kind != "f":
        raise reject(
            "patterns", f"entries such as {array[np.abs(array) != 1][0]}", "-1 and +1 for binary patterns"
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def _checked_labels(labels: Any, P: int) -> np.ndarray:
    array = np.asarray(labels)
    if array.shape != (P,):
        raise reject("labels", f"shape {array.shape}", f"shape ({P},), one label a pattern")
    if array.dtype.kind not in "iuf" or not (np.abs(array) == 1).all():
        raise reject("labels", f"{array.dtype} entries other than -1 and +1", "-1 and +1")
    return np.ascontiguousarray(array, dtype=np.int8)


def _checked_vector(name: str, vector: Any, N: int) -> np.ndarray:
    array = np.asarray(vector)
    if array.shape != (N,):
        raise reject(name, f"shape {array.shape}", f"shape ({N},), one entry a weight")
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise reject(name, f"{array.dtype} entries that are not finite numbers", "finite numbers")
    return array
