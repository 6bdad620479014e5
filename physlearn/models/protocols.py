"""Protocols of focusing: how the coupling of replicas to their centre, and their number, grow step by step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import keep, number, reject
from physlearn.models.schedules import linear, rising


class Protocol(ABC):
    """A schedule of the coupling gamma of replicas to their centre, and of their number y, step by step."""

    @property
    @abstractmethod
    def steps(self) -> tuple[tuple[float, float], ...]:
        """Pairs (gamma, y); gamma may be infinite."""


@dataclass(frozen=True)
class StandardReinforcement(Protocol):
    """Infinite coupling, y = 1/(1 - x): the extra field is x/(1 - x) times the weight's own.

    Parameters
    ----------
    rates : sequence of float
        The values of x, 0 <= x < 1, never decreasing.
    """

    rates: Iterable[float] = linear(0.0, 0.99, 100)

    def __post_init__(self) -> None:
        keep(self, rates=rising("rates", self.rates, "rates", at_least=0.0, below=1.0))

    @property
    def steps(self) -> tuple[tuple[float, float], ...]:
        return tuple((math.inf, 1 / (1 - rate)) for rate in self.rates)


@dataclass(frozen=True)
class PseudoReinforcement(Protocol):
    """gamma = atanh(rho^x) and y = 1 + rho^(1 - 2x)/(1 - rho): reinforcement by rho at small magnetisations.

    Parameters
    ----------
    rates : sequence of float
        The values of rho, 0 <= rho < 1, never decreasing.
    exponent : float
        x, from 0 to 1/2; at 1/2, y = (2 - rho)/(1 - rho).
    """

    rates: Iterable[float] = linear(0.0, 0.99, 100)
    exponent: float = 0.5

    def __post_init__(self) -> None:
        keep(
            self,
            rates=rising("rates", self.rates, "rates", at_least=0.0, below=1.0),
            exponent=number("exponent", self.exponent, above=0, at_most=0.5),
        )

    @property
    def steps(self) -> tuple[tuple[float, float], ...]:
        x = self.exponent
        return tuple((math.atanh(rate**x), 1 + rate ** (1 - 2 * x) / (1 - rate)) for rate in self.rates)


@dataclass(frozen=True)
class Scoping(Protocol):
    """A fixed number y of replicas, drawn ever nearer to the centre.

    Parameters
    ----------
    n_replicas : float
        y >= 2; infinite too.
    couplings : sequence of float
        The values of gamma >= 0, never decreasing.
    """

    n_replicas: float = 21.0
    couplings: Iterable[float] = linear(0.0, 2.5, 101)

    def __post_init__(self) -> None:
        keep(
            self,
            n_replicas=_n_replicas(self.n_replicas),
            couplings=rising("couplings", self.couplings, "couplings", at_least=0.0),
        )

    @property
    def steps(self) -> tuple[tuple[float, float], ...]:
        return tuple((coupling, self.n_replicas) for coupling in self.couplings)


@dataclass(frozen=True)
class FreeScoping(Protocol):
    """Any list of couplings and numbers of replicas.

    Parameters
    ----------
    couplings : sequence of float
        gamma >= 0, never decreasing.
    n_replicas : sequence of float
        y >= 2, infinite too, never decreasing, as many.
    """

    couplings: Iterable[float]
    n_replicas: Iterable[float]

    def __post_init__(self) -> None:
        couplings = rising("couplings", self.couplings, "couplings", at_least=0.0)
        n_replicas = rising("n_replicas", self.n_replicas, "numbers of replicas", _n_replicas)
        if len(couplings) != len(n_replicas):
            raise reject("n_replicas", f"a schedule of {len(n_replicas)} values", f"{len(couplings)} values")
        keep(self, couplings=couplings, n_replicas=n_replicas)

    @property
    def steps(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(self.couplings, self.n_replicas, strict=True))


def _n_replicas(value: Any) -> float:
    """A number of replicas, which may be infinite."""
    is_infinite = isinstance(value, (float, np.floating)) and value == math.inf
    return math.inf if is_infinite else number("n_replicas", value, at_least=2)
