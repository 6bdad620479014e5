"""Channels: how a label and the field of a pattern constrain each other, as the cavity sees it."""

import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from physlearn.inputs import keep, number
from physlearn.quadrature import G_over_H, G_over_H_excess, log_H

# A window narrower than this against the cavity's width, and not in its far tail, is integrated by this rule: there
# the tails at its two ends are so alike that their difference would lose all digits.
_NARROW = 0.5
_TAIL = 25.0
# A variance through which P(y|h) is seen as it is.
_TINY = 1e-30
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


class Channel(ABC):
    r"""Weight of a field h given a label y, seen through a Gaussian cavity field of mean omega and variance V.

    .. math:: Z_{out}(y, \omega, V) = \int Dz\, P(y \mid \omega + \sqrt{V} z)

    All methods take arrays: `label`, `mean` and `variance` > 0, broadcast against each other.

    Attributes
    ----------
    labels : tuple of float
        The values a label can take. In storage problems they are equally probable.
    edges : tuple of float
        Values of the field h at which P(y|h) jumps; quadrature refines there. None needed for smooth channels.
    bounds : tuple of float
        A pattern is satisfied when its stability y h lies strictly between these bounds.
    """

    labels: ClassVar[tuple[float, ...]] = (-1.0, 1.0)

    @property
    def edges(self) -> tuple[float, ...]:
        return ()

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, math.inf)

    @property
    def is_sign(self) -> bool:
        """Whether the label is just the sign of the field, so that errors have a closed form."""
        return False

    @abstractmethod
    def log_partition(self, label, mean, variance):
        """Log Z_out."""

    @abstractmethod
    def gradient(self, label, mean, variance):
        """The output function g: first derivative of log Z_out with respect to the mean."""

    @abstractmethod
    def curvature(self, label, mean, variance):
        """The derivative of g with respect to the mean."""

    @property
    def is_normalised(self) -> bool:
        """Whether P(y|h) is a probability: its sum over the labels is one, so that a teacher can draw from it."""
        mean, variance = np.array([-2.0, -0.3, 0.0, 0.7, 3.0]), 0.5
        total = sum(np.exp(self.log_partition(label, mean, variance)) for label in self.labels)
        return bool(np.allclose(total, 1, rtol=0, atol=1e-10))

    def sample(self, field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a label for each field from P(y|h): the limit of Z_out for a vanishing variance."""
        weights = np.exp([self.log_partition(np.float64(label), field, _TINY) for label in self.labels])
        cumulative = np.cumsum(weights / weights.sum(axis=0), axis=0)
        index = (rng.random(len(field)) >= cumulative[:-1]).sum(axis=0)
        return np.array(self.labels)[index]

    def predict(self, field):
        """The label that a student with this field answers."""
        return np.where(np.asarray(field) >= 0, 1.0, -1.0)


@dataclass(frozen=True)
class Threshold(Channel):
    r"""Stability beyond a margin: P(y|h) = 1 if y h > margin, else 0, so Z_out = H((margin - y omega)/sqrt V)."""

    margin: float = 0.0

    def __post_init__(self):
        keep(self, margin=number("margin", self.margin))

    @property
    def edges(self):
        return tuple(sorted({-self.margin, self.margin}))

    @property
    def bounds(self):
        return (self.margin, math.inf)

    @property
    def is_sign(self):
        return self.margin == 0

    def _depth(self, label, mean, variance):
        return (self.margin - label * mean) / np.sqrt(variance)

    def log_partition(self, label, mean, variance):
        return log_H(self._depth(label, mean, variance))

    def gradient(self, label, mean, variance):
        return label * G_over_H(self._depth(label, mean, variance)) / np.sqrt(variance)

    def curvature(self, label, mean, variance):
        x = self._depth(label, mean, variance)
        return -G_over_H(x) * G_over_H_excess(x) / variance


@dataclass(frozen=True)
class Window(Channel):
    r"""Field inside a window: P(y|h) = 1 if abs(h) < half_width, else 0.

    With a = (-half_width - omega)/sqrt V and b = (half_width - omega)/sqrt V, Z_out = H(a) - H(b).
    """

    half_width: float = 1.0

    def __post_init__(self):
        keep(self, half_width=number("half_width", self.half_width, above=0))

    @property
    def edges(self):
        return (-self.half_width, self.half_width)

    @property
    def bounds(self):
        return (-self.half_width, self.half_width)

    def _ends(self, mean, variance):
        """The window's ends seen from a mean on its left, and H(far)/H(near), so that no tail is subtracted."""
        near = (np.abs(mean) - self.half_width) / np.sqrt(variance)
        far = (np.abs(mean) + self.half_width) / np.sqrt(variance)
        return near, far, np.exp(log_H(far) - log_H(near))

    def _derivatives(self, mean, variance):
        """Log Z_out and its first two derivatives by abs(mean), in units of sqrt V: shape (3, ...)."""
        mean, variance = np.broadcast_arrays(np.asarray(mean, dtype=float), np.asarray(variance, dtype=float))
        width = np.sqrt(variance)
        distance, half = np.abs(mean) / width, self.half_width / width
        narrow = (half < _NARROW) & (distance * half < _TAIL)
        result = np.empty((3, *mean.shape))
        if narrow.any():
            result[:, narrow] = _narrow_derivatives(distance[narrow], half[narrow])
        if not narrow.all():
            result[:, ~narrow] = self._wide_derivatives(mean[~narrow], variance[~narrow])
        return result

    def _wide_derivatives(self, mean, variance):
        near, far, ratio = self._ends(mean, variance)
        u = -1 / np.expm1(log_H(far) - log_H(near))
        far = np.minimum(far, 1e100)  # beyond, the ratio is zero, and no square must overflow
        a, b = G_over_H(near), G_over_H(far)
        rest = u * a**2 + far * b - 2 * u * a * b + u * ratio * b**2
        second = -u * (a * G_over_H_excess(near) + ratio * rest)
        return log_H(near) + np.log1p(-ratio), -u * (a - ratio * b), second

    def log_partition(self, label, mean, variance):
        return self._derivatives(mean, variance)[0]

    def gradient(self, label, mean, variance):
        return np.sign(mean) * self._derivatives(mean, variance)[1] / np.sqrt(variance)

    def curvature(self, label, mean, variance):
        return self._derivatives(mean, variance)[2] / variance

    def predict(self, field):
        return np.where(np.abs(field) < self.half_width, 1.0, -1.0)


@dataclass(frozen=True)
class Majority(Channel):
    r"""Vote of K units: P(y|h_1 ... h_K) = 1 if y h_k > 0 for most k, else 0.

    `mean` and `variance` have a last axis of units, whose cavity fields are independent; so have `gradient` and
    `curvature`, the derivatives with respect to each unit's mean. Unit k agrees with probability
    H(-y omega_k/sqrt V_k), and Z_out is that of more than K/2 agreeing.
    """

    n_hidden: int = 3

    def log_partition(self, label, mean, variance):
        agree, differ, _ = self._units(label, mean, variance)
        return self._log_vote(agree, differ)

    def gradient(self, label, mean, variance):
        agree, differ, density = self._units(label, mean, variance)
        pivotal = np.stack(
            [_log_count(np.delete(agree, k, -1), np.delete(differ, k, -1), self.n_hidden // 2)
             for k in range(self.n_hidden)], axis=-1)  # fmt: skip
        ratio = np.exp(density + pivotal - self._log_vote(agree, differ)[..., None])
        return np.asarray(label)[..., None] * ratio / np.sqrt(variance)

    def curvature(self, label, mean, variance):
        gradient = self.gradient(label, mean, variance)
        return -gradient * (mean / variance + gradient)

    def sample(self, field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The vote of the fields' signs; shape (..., K) to (...)."""
        return self.predict(field)

    def predict(self, field):
        return np.where((np.asarray(field) > 0).sum(axis=-1) > self.n_hidden / 2, 1.0, -1.0)

    def _units(self, label, mean, variance):
        """Log probabilities that each unit agrees and that it does not, and the log density of a field at zero."""
        x = np.asarray(label)[..., None] * mean / np.sqrt(variance)
        return log_H(-x), log_H(x), -np.square(x) / 2 - math.log(2 * math.pi) / 2

    def _log_vote(self, agree, differ):
        counts = range(self.n_hidden // 2 + 1, self.n_hidden + 1)
        return np.logaddexp.reduce([_log_count(agree, differ, count) for count in counts], axis=0)


def interval(channel: Channel) -> tuple[float, float] | None:
    """The bounds of a channel that is one for stabilities between them and zero elsewhere; None for any other."""
    try:
        hash(channel)
    except TypeError:  # of a dataclass that is not frozen, or holds an array: nothing is remembered of it
        return _interval(channel)
    return _remembered_interval(channel)


def _interval(channel: Channel) -> tuple[float, float] | None:
    if isinstance(channel, Majority):
        return (0.0, math.inf)
    lower, upper = channel.bounds
    ends = [end for end in (lower, upper) if math.isfinite(end)]
    probes = np.concatenate([np.linspace(-5, 5, 203), *([end - 1e-3, end + 1e-3] for end in ends)])
    probes = probes[[np.abs(probe - np.array(ends)).min(initial=1.0) > 1e-4 for probe in probes]]
    inside = (probes > lower) & (probes < upper)
    for label in channel.labels:
        with np.errstate(all="ignore"):
            logs = channel.log_partition(np.float64(label), label * probes, _TINY)
        if not (np.abs(logs[inside]).max(initial=0.0) < 1e-9 and logs[~inside].max(initial=-1e9) < -1e3):
            return None
    return (lower, upper)


_remembered_interval = functools.lru_cache(maxsize=64)(_interval)


def _log_count(agree, differ, count):
    """Log probability that `count` of the units on the last axis agree."""
    logs = np.full((count + 2, *agree.shape[:-1]), -np.inf)
    logs[0] = 0.0
    for k in range(agree.shape[-1]):
        logs[1:] = np.logaddexp(logs[1:] + differ[..., k], logs[:-1] + agree[..., k])
        logs[0] = logs[0] + differ[..., k]
    return logs[count]


def _narrow_derivatives(distance, half):
    """Log of the integral of G over (distance - half, distance + half), and its first two derivatives."""
    offset = half[:, None] * _NODES
    weight = _WEIGHTS / 2 * np.exp(distance[:, None] * offset - offset**2 / 2)
    total = weight.sum(axis=-1)
    mean = (weight * offset).sum(axis=-1) / total
    variance = (weight * (offset - mean[:, None]) ** 2).sum(axis=-1) / total
    log_partition = np.log(2 * half / math.sqrt(2 * math.pi)) - distance**2 / 2 + np.log(total)
    return log_partition, mean - distance, variance - 1
