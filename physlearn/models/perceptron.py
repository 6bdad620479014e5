"""The perceptron with a margin, and the symmetric perceptron."""

from dataclasses import dataclass, field

from physlearn.inputs import keep, number
from physlearn.models.base import Model, Storage, Teacher
from physlearn.models.channels import Threshold, Window
from physlearn.models.priors import Binary, Prior


@dataclass(frozen=True)
class Perceptron(Model):
    r"""Perceptron with P = alpha N constraints on N weights.

    Its measure at inverse temperature beta, and at beta to infinity the uniform one on its solutions, is

    .. math:: P(w) \propto e^{-\beta E(w)}, \quad E(w) = \sum_{\mu=1}^{P} \Theta(\kappa - \Delta_\mu), \quad
              \Delta_\mu = y_\mu \frac{w \cdot \xi_\mu}{\sqrt N}, \quad w \cdot w = N

    A pattern is satisfied when its stability Delta is strictly greater than the margin kappa.

    Parameters
    ----------
    alpha : float
        Load P/N > 0.
    margin : float
        Required stability kappa, in units of Delta.
    prior : Binary or Spherical
        Weights -1 and +1, or on the sphere.
    rule : Storage or Teacher
        Random labels y, or those of a teacher with zero margin drawn from the same prior.
    patterns : {"binary", "gaussian"}
        Entries of xi: independent signs, or standard normal numbers.

    References
    ----------
    theory/binary-perceptron, theory/spherical-perceptron and theory/teacher-student-perceptron; Gardner & Derrida
    1988; Krauth & Mezard 1989; Gyorgyi 1990.
    """

    margin: float = 0.0
    prior: Prior = field(default_factory=Binary)
    rule: Storage | Teacher = field(default_factory=Storage)
    patterns: str = "binary"

    def __post_init__(self) -> None:
        keep(self, margin=number("margin", self.margin))
        super().__post_init__()

    @property
    def channel(self) -> Threshold:
        return Threshold(self.margin)

    @property
    def teacher_channel(self) -> Threshold | None:
        return Threshold(0.0) if isinstance(self.rule, Teacher) else None


@dataclass(frozen=True)
class SymmetricPerceptron(Model):
    r"""Symmetric binary perceptron: a pattern is satisfied when abs(Delta) < half_width (Aubin et al. 2019).

    Parameters
    ----------
    alpha : float
        Load P/N > 0.
    half_width : float
        K > 0, in units of Delta.
    """

    half_width: float = 1.0

    def __post_init__(self) -> None:
        keep(self, half_width=number("half_width", self.half_width, above=0))
        super().__post_init__()

    @property
    def channel(self) -> Window:
        return Window(self.half_width)
