"""What a model and an instance are: the ensemble, and one draw of its disorder."""

import dataclasses
import math
import os
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from physlearn.inputs import InputError, choice, integer, keep, member, number, reject
from physlearn.models.channels import Channel, Threshold
from physlearn.models.priors import Binary, Prior, random_signs
from physlearn.random import generator

_LARGEST_SIZE = int(np.iinfo(np.intp).max)


@dataclass(frozen=True)
class Storage:
    """Labels independent of the patterns: random associations to be stored."""


@dataclass(frozen=True)
class Teacher:
    """Labels given by a teacher drawn from the same prior as the student."""


class Instance:
    """One draw of the disorder.

    Any N is taken: with +-1 patterns and weights an even one makes stabilities that are exactly zero, which at zero
    margin count as violated. Only `Model.sample` refuses it.

    Parameters
    ----------
    patterns : array_like, shape (P, n_inputs)
        Inputs, one per row: -1 and +1 (kept as int8) or real numbers (kept as float64). As many as weights, but for
        models whose units share them.
    labels : array_like, shape (P,)
        -1 or +1.
    teacher : array_like, shape (N,), optional
        The weights that gave the labels, with w.w = N (for a prior of no fixed norm, any); -1 and +1 for binary
        ones.
    model : Model, optional
        The ensemble; without one, the zero-margin binary perceptron at the realised load.

    Attributes
    ----------
    N, P, n_inputs : int
    alpha : float
        The realised load P/N.
    external : ndarray, shape (N,), or None
        A field on each weight beside the patterns' (see `Tethered`): the measure is ~ exp(external.w).
    """

    external: np.ndarray | None = None

    def __init__(self, patterns: Any, labels: Any, teacher: Any = None, model: "Model | None" = None) -> None:
        if model is not None:
            member("model", model, Model, "a Model")
        self.patterns = _checked_patterns(patterns, model)
        self.P, self.n_inputs = self.patterns.shape
        self.N = self.n_inputs if model is None else model.n_weights(self.n_inputs)
        self.labels = _checked_labels(labels, self.P)
        if model is None:
            from physlearn.models.perceptron import Perceptron

            kind = "binary" if self.patterns.dtype == np.int8 else "gaussian"
            model = Perceptron(max(self.alpha, np.finfo(float).tiny), patterns=kind)
        self.model = model
        self.teacher = None if teacher is None else _checked_teacher(teacher, self.N, model.prior)

    @property
    def alpha(self) -> float:
        return self.P / self.N

    @cached_property
    def gauged(self) -> np.ndarray:
        """The patterns times their labels, (P, n_inputs): a perceptron's stabilities are gauged @ w / sqrt(N)."""
        return self.patterns * self.labels[:, None].astype(self.patterns.dtype)

    @cached_property
    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """The +-1 patterns as bits in two layouts, P N/4 bytes together (see `physlearn.kernels.patterns.pack`)."""
        from physlearn.kernels.patterns import pack

        return pack(self.patterns)

    @cached_property
    def fingerprint(self) -> tuple:
        """What a state remembers of its instance: shape and checksums of the data, and the measure on the weights."""
        prior, channel = self.model.prior, self.model.channel
        checksums = (zlib.crc32(self.patterns.data), zlib.crc32(self.labels.data))
        external = 0 if self.external is None else zlib.crc32(np.ascontiguousarray(self.external).data)
        described = (_described(prior), _described(channel), *self.model.replication)
        return (self.P, self.N, str(self.patterns.dtype), *checksums, external, *described)

    @cached_property
    def contradiction(self) -> str | None:
        """The sentence why no weights satisfy all patterns, where that is plain to see (`models.contradictions`)."""
        from physlearn.models.contradictions import contradiction

        return contradiction(self)

    def __repr__(self) -> str:
        return f"Instance(N={self.N}, P={self.P}, {self.patterns.dtype} patterns, model={self.model})"


def _described(part: Prior | Channel) -> str:
    """A prior or channel in words that do not depend on where in memory it is."""
    if dataclasses.is_dataclass(part):
        return repr(part)
    return f"{type(part).__module__}.{type(part).__qualname__}({vars(part)})"


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
    Labels are -1 and +1. A channel that forbids fields otherwise than by its bounds leaves the model without an
    energy (see `energy_refusal`).
    """

    alpha: float

    # Not annotated, so that a subclass orders its own fields.
    channel = None  # type: Any
    prior = Binary()  # type: Any
    rule = Storage()  # type: Any
    patterns = "binary"  # type: Any
    n_hidden = 1  # type: Any
    # Whether this is one perceptron, without replicas: what the mean-field theory speaks of so far.
    is_single = True

    def __post_init__(self) -> None:
        keep(self, alpha=number("alpha", self.alpha, above=0))
        if type(self) is Model:
            raise reject(
                "Model", "Model itself", "models with a channel, such as Perceptron or GeneralizedLinear"
            )
        member("prior", self.prior, Prior, "a Prior such as Binary() or Spherical()")
        member("rule", self.rule, (Storage, Teacher), "Storage() or Teacher()")
        kind = choice("patterns", self.patterns, ("binary", "gaussian"))
        if kind is not self.patterns:  # which some models have as a property
            keep(self, patterns=kind)
        member("channel", self.channel, Channel, "a Channel such as Threshold(margin)")
        if not set(self.channel.labels) <= {-1, 1}:
            raise reject(
                "channel", f"the labels {tuple(self.channel.labels)}", "channels whose labels are -1 and +1"
            )

    @property
    def teacher_channel(self) -> Channel | None:
        """The channel that gave the labels; None in a storage problem."""
        return self.channel if isinstance(self.rule, Teacher) else None

    def sample(self, N: int, rng: Any) -> Instance:
        """Draw an instance with N weights and round(alpha N) patterns.

        Teacher, patterns and labels come from three streams spawned from `rng`; patterns and labels are drawn row by
        row, so that with the same stream a larger load extends a smaller one.
        """
        N = integer("N", N, at_least=1, at_most=_LARGEST_SIZE)
        n_inputs = self.n_inputs(N)
        if N // self.n_hidden % 2 == 0 and self._has_ties:
            odd = "odd numbers" if self.n_hidden == 1 else f"{self.n_hidden} times odd numbers"
            why = "because with +-1 patterns and weights an even number of them at a unit makes ties (h = 0)"
            raise reject("N", N, f"{odd}, {why}")
        n_bytes = self.alpha * N * n_inputs * (1 if self.patterns == "binary" else 8)
        if n_bytes > _memory():
            raise reject(
                "N", N, f"sizes whose patterns fit into memory; these would take {n_bytes:.2g} bytes"
            )
        streams = dict(zip(("teacher", "patterns", "labels"), generator(rng).spawn(3), strict=True))
        P = round(self.alpha * N)
        if self.patterns == "binary":
            patterns = random_signs(P, n_inputs, streams["patterns"])
        else:
            patterns = streams["patterns"].standard_normal((P, n_inputs))
        if self.teacher_channel is None:
            labels = streams["labels"].choice(self.channel.labels, size=P)
            return Instance(patterns, labels, None, self)
        teacher = self.draw(N, streams["teacher"])
        labels = self.teacher_channel.sample(self.fields(patterns, teacher), streams["labels"])
        return Instance(patterns, labels, teacher, self)

    @property
    def replication(self) -> tuple:
        """What the measure of replicas has beside prior and channel."""
        return ()

    def draw(self, N: int, rng: np.random.Generator) -> np.ndarray:
        """Weights from the prior, of each unit by itself."""
        return np.concatenate([self.prior.sample(N // self.n_hidden, rng) for _ in range(self.n_hidden)])

    def n_inputs(self, N: int) -> int:
        """Entries of a pattern where there are N weights."""
        return N

    def n_weights(self, n_inputs: int) -> int:
        """Weights where a pattern has so many entries."""
        return n_inputs

    def fields(self, patterns: np.ndarray, w: np.ndarray) -> np.ndarray:
        """h_mu = w.xi_mu / sqrt N, shape (P,); with hidden units (P, n_hidden)."""
        from physlearn.kernels.patterns import products

        return products(patterns, w) / math.sqrt(patterns.shape[1])

    def stabilities(self, instance: Instance, w: Any) -> np.ndarray:
        """Delta_mu = y_mu w.xi_mu / sqrt N, shape (P,), for weights w of shape (N,) with w.w = N."""
        fields = self._checked_fields(instance, w)
        return instance.labels * fields

    def _checked_fields(self, instance: Instance, w: Any) -> np.ndarray:
        member("instance", instance, Instance, "an Instance")
        return self.fields(instance.patterns, checked_vector("w", w, instance.N))

    @cached_property
    def energy_refusal(self) -> str | None:
        """None, or the sentence why this model has no energy.

        The stabilities inside the channel's `bounds` must be those of the fields it allows: P(y|h) > 0 there and
        P(y|h) = 0 elsewhere. Where P(y|h) > 0 at all fields, the channel is noise, and its bounds say what an error
        is.
        """
        if _bounds_agree(self.channel):
            return None
        return (
            f"the channel {self.channel!r} forbids other fields than its bounds {self.channel.bounds} do, "
            "so that patterns outside the bounds are not the violated ones."
        )

    def energy(self, instance: Instance, w: Any) -> int:
        """Number of patterns whose stability is not strictly inside the channel's bounds."""
        if self.energy_refusal:
            raise InputError(f"energy: {self.energy_refusal}")
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

    def teacher_observables(self, instance: Instance, w: np.ndarray) -> dict[str, float]:
        """What weights w have to do with the instance's teacher: overlap, whether they are it, generalization error."""
        assert instance.teacher is not None
        cosine = normalised_overlap(w, instance.teacher)
        observables = {
            "teacher_overlap": float(w @ instance.teacher.astype(np.float64)) / instance.N,
            "recovered": int(cosine > 1 - 1e-9),
        }
        if self.teacher_channel is not None and self.n_hidden == 1:
            observables["generalization_error"] = self.generalization_error(cosine)
        return observables

    def with_alpha(self, alpha: float) -> "Model":
        """The same model at another load."""
        return replace(self, alpha=alpha)

    def with_fields(self, **values: Any) -> "Model":
        """The same model with other values of its fields."""
        return replace(self, **values)

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
        if isinstance(self.rule, Teacher) and not self.channel.is_normalised:
            raise reject(
                "channel", self.channel, "with Teacher(), channels whose P(y|h) sum to one over the labels"
            )


def normalised_overlap(first: np.ndarray, second: np.ndarray) -> float:
    """The cosine of the angle between two weight vectors of any norm; zero where one of them vanishes."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.sqrt((first @ first) * (second @ second))
    return float(np.clip(first @ second / lengths, -1, 1)) if lengths > 0 else 0.0


def _bounds_agree(channel: Channel) -> bool:
    """Whether P(y|h) vanishes exactly where y h is outside the channel's bounds, or nowhere.

    Seen through a vanishing variance V, P(y|h) = 0 is a log Z_out that grows as 1/V, or is minus infinity. Fields
    where it is NaN decide nothing.
    """
    jumps = np.array(
        [sign * end for end in (*channel.edges, *channel.bounds) for sign in (-1, 1)], dtype=float
    )
    jumps = np.append(jumps[np.isfinite(jumps)], 0.0)
    steps = 1e-3 * np.maximum(1, np.abs(jumps))
    fields = np.concatenate([np.linspace(-3, 3, 122), jumps - steps, jumps + steps])
    fields = fields[np.abs(fields[:, None] - jumps).min(axis=1) > 1e-4]
    lower, upper = channel.bounds
    allowed, inside = [], []
    with np.errstate(all="ignore"):
        for label in channel.labels:
            wide, narrow = (channel.log_partition(np.float64(label), fields, V) for V in (1e-12, 1e-14))
            known = ~np.isnan(wide + narrow) | np.isneginf(narrow)
            allowed.extend(~(np.isneginf(narrow) | (narrow < np.minimum(10 * wide, -50)))[known])
            inside.extend(((label * fields > lower) & (label * fields < upper))[known])
    return all(allowed) or allowed == inside


def _memory() -> float:
    """Bytes of memory of this machine, where it tells; else what can be addressed."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _LARGEST_SIZE


def _array(name: str, values: Any, allowed: str) -> np.ndarray:
    """`values` as an array; NumPy makes none of rows of different lengths."""
    try:
        return np.asarray(values)
    except ValueError:
        raise reject(name, values, allowed) from None


def _checked_patterns(patterns: Any, model: Model | None) -> np.ndarray:
    allowed = "an array (P, N) of -1 and +1, or of finite real numbers for Gaussian patterns"
    array = _array("patterns", patterns, allowed)
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
    if model.patterns == "binary" if model is not None else array.dtype.kind != "f":
        raise reject(
            "patterns", f"entries such as {array[np.abs(array) != 1][0]}", "-1 and +1 for binary patterns"
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def _checked_labels(labels: Any, P: int) -> np.ndarray:
    array = _array("labels", labels, "-1 and +1, one label a pattern")
    if array.shape != (P,):
        raise reject("labels", f"shape {array.shape}", f"shape ({P},), one label a pattern")
    if array.dtype.kind not in "iuf" or not (np.abs(array) == 1).all():
        raise reject("labels", f"{array.dtype} entries other than -1 and +1", "-1 and +1")
    return np.ascontiguousarray(array, dtype=np.int8)


def checked_vector(name: str, vector: Any, N: int) -> np.ndarray:
    """`vector` as an array of N finite numbers, or an `InputError`."""
    array = _array(name, vector, "finite numbers, one a weight")
    if array.shape != (N,):
        raise reject(name, f"shape {array.shape}", f"shape ({N},), one entry a weight")
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise reject(name, f"{array.dtype} entries that are not finite numbers", "finite numbers")
    return array


def _checked_teacher(teacher: Any, N: int, prior: Prior) -> np.ndarray:
    array = checked_vector("teacher", teacher, N)
    if isinstance(prior, Binary) and not (np.abs(array) == 1).all():
        raise reject(
            "teacher", f"entries such as {array[np.abs(array) != 1][0]}", "-1 and +1 for binary weights"
        )
    norm2 = float(np.mean(np.square(array, dtype=np.float64)))
    if prior.norm != "free" and not math.isclose(norm2, 1, rel_tol=1e-9):
        raise reject("teacher", f"weights with w.w = {norm2 * N:g}", f"weights with w.w = N = {N}")
    return array
