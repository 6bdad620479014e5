"""Every model and every solver that the conformance suite runs against each other: a new one is one line here."""

from dataclasses import dataclass

import numpy as np

from physlearn.models import (
    Channel,
    Committee,
    GeneralizedLinear,
    Perceptron,
    Prior,
    Replicated,
    Spherical,
    SymmetricPerceptron,
    Teacher,
    Tethered,
    Window,
)
from physlearn.models.energies import CrossEntropy, Linear
from physlearn.models.protocols import PseudoReinforcement, Scoping
from physlearn.quadrature import G_over_H, G_over_H_excess, H, log_H
from physlearn.solvers import (
    AMP,
    BPI,
    SBPI,
    BeliefPropagation,
    ClippedPerceptron,
    Enumeration,
    FocusingBP,
    MaxSum,
    Metropolis,
    ParallelTempering,
    PerceptronRule,
    ReinforcedBP,
    RejectionFree,
    ReplicatedAnnealing,
    ReplicatedSGD,
    SimulatedAnnealing,
    ThermodynamicIntegration,
)


@dataclass(frozen=True)
class Probit(Channel):
    """Output noise of standard deviation `noise`: P(y|h) = H(-y h/noise)."""

    noise: float = 0.5

    def _depth(self, label, mean, variance):
        return -label * mean / np.sqrt(variance + self.noise**2)

    def log_partition(self, label, mean, variance):
        return log_H(self._depth(label, mean, variance))

    def gradient(self, label, mean, variance):
        return label * G_over_H(self._depth(label, mean, variance)) / np.sqrt(variance + self.noise**2)

    def curvature(self, label, mean, variance):
        x = self._depth(label, mean, variance)
        return -G_over_H(x) * G_over_H_excess(x) / (variance + self.noise**2)


@dataclass(frozen=True)
class Band(Channel):
    """Stability between two bounds that are not symmetric: P(y|h) = 1 if lower < y h < upper, else 0."""

    lower: float = -0.6
    upper: float = 1.3

    @property
    def bounds(self):
        return (self.lower, self.upper)

    def log_partition(self, label, mean, variance):
        near, far = ((end - label * mean) / np.sqrt(variance) for end in self.bounds)
        return np.log(H(near) - H(far))

    def gradient(self, label, mean, variance):
        step = 1e-5
        values = [self.log_partition(label, mean + shift, variance) for shift in (step, -step)]
        return (values[0] - values[1]) / (2 * step)

    def curvature(self, label, mean, variance):
        step = 1e-4
        values = [self.log_partition(label, mean + shift, variance) for shift in (step, 0.0, -step)]
        return (values[0] - 2 * values[1] + values[2]) / step**2


@dataclass(frozen=True)
class LabelledWindow(Channel):
    """The label is whether the field is inside a window: no bounds of y h say which patterns are violated."""

    half_width: float = 0.7

    @property
    def edges(self):
        return (-self.half_width, self.half_width)

    def _outside(self, mean, variance):
        """P(y = -1) and its first two derivatives, with the window's ends at a and b."""
        width = np.sqrt(variance)
        a, b = (-self.half_width - mean) / width, (self.half_width - mean) / width
        at_a, at_b = (np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) for x in (a, b))
        return H(-a) + H(b), (at_b - at_a) / width, (b * at_b - a * at_a) / variance

    def log_partition(self, label, mean, variance):
        inside = Window(self.half_width).log_partition(label, mean, variance)
        width = np.sqrt(variance)
        left, right = log_H((self.half_width + mean) / width), log_H((self.half_width - mean) / width)
        return np.where(label > 0, inside, np.logaddexp(left, right))

    def gradient(self, label, mean, variance):
        total, slope, _ = self._outside(mean, variance)
        return np.where(label > 0, Window(self.half_width).gradient(label, mean, variance), slope / total)

    def curvature(self, label, mean, variance):
        total, slope, bend = self._outside(mean, variance)
        inside = Window(self.half_width).curvature(label, mean, variance)
        return np.where(label > 0, inside, bend / total - (slope / total) ** 2)


@dataclass(frozen=True)
class Gaussian(Prior):
    """Independent standard normal weights, of no fixed norm."""

    norm = "free"
    edges = ()

    def log_partition(self, field, precision):
        return field**2 / (2 * (1 + precision)) - np.log1p(precision) / 2

    def mean(self, field, precision):
        return field / (1 + precision)

    def variance(self, field, precision):
        return np.ones_like(field) / (1 + precision)

    def sample(self, N, rng):
        return rng.standard_normal(N)


ALL_MODELS = {
    "storage": Perceptron(0.6),
    "storage, margin": Perceptron(0.5, margin=0.3),
    "storage, negative margin": Perceptron(1.5, margin=-0.5),
    "storage, gaussian": Perceptron(0.6, patterns="gaussian"),
    "storage, gaussian, margin": Perceptron(0.5, margin=0.3, patterns="gaussian"),
    "teacher": Perceptron(1.2, rule=Teacher()),
    "teacher, gaussian": Perceptron(1.2, rule=Teacher(), patterns="gaussian"),
    "spherical": Perceptron(0.8, prior=Spherical()),
    "spherical, negative margin": Perceptron(1.0, prior=Spherical(), margin=-0.3, patterns="gaussian"),
    "spherical, teacher": Perceptron(1.0, prior=Spherical(), rule=Teacher()),
    "normal, teacher": GeneralizedLinear(1.0, prior=Gaussian(), rule=Teacher(), patterns="gaussian"),
    "symmetric": SymmetricPerceptron(0.8),
    "symmetric, narrow": SymmetricPerceptron(0.4, half_width=0.4),
    "probit, teacher": GeneralizedLinear(1.2, channel=Probit(), rule=Teacher()),
    "labelled window, teacher": GeneralizedLinear(0.8, channel=LabelledWindow(), rule=Teacher()),
    "band": GeneralizedLinear(0.5, channel=Band()),
    "band, gaussian": GeneralizedLinear(0.5, channel=Band(), patterns="gaussian"),
    "committee": Committee(0.4),
    "committee, gaussian": Committee(0.4, patterns="gaussian"),
    "tree, gaussian": Committee(0.4, tree=True, patterns="gaussian"),
    "tree, teacher": Committee(0.5, tree=True, rule=Teacher()),
    "spherical committee": Committee(0.4, prior=Spherical()),
    "replicated": Replicated(Perceptron(0.6), n_replicas=3, coupling=0.2),
    "replicated committee, centre": Replicated(Committee(0.4), 3, 0.2, "centre"),
}

ALL_SOLVERS = {
    "AMP": AMP(n_iterations=30),
    "AMP, reinforced": AMP(n_iterations=30, reinforcement=0.01, start=0.1),
    "AMP, damped": AMP(n_iterations=30, damping=0.5),
    "BeliefPropagation": BeliefPropagation(n_iterations=30),
    "BeliefPropagation, exact": BeliefPropagation(messages="exact", n_iterations=30, damping=0.3, start=0.2),
    "ReinforcedBP": ReinforcedBP(rate=0.01, n_iterations=60),
    "ReinforcedBP, exact": ReinforcedBP(messages="exact", version="probability", rate=0.01, n_iterations=60),
    "FocusingBP": FocusingBP(Scoping(5, (0.1, 0.4, 0.8, 1.2)), n_iterations=12),
    "FocusingBP, exact": FocusingBP(PseudoReinforcement((0.1, 0.5, 0.9)), messages="exact", n_iterations=12),
    "MaxSum": MaxSum(n_iterations=40),
    "Enumeration": Enumeration(),
    "Metropolis": Metropolis(beta=0.8, n_sweeps=150, sweeps_per_record=7),
    "Metropolis, linear": Metropolis(beta=0.8, n_sweeps=80, sweeps_per_record=7, energy=Linear()),
    "Metropolis, cross-entropy": Metropolis(
        beta=0.8, n_sweeps=80, sweeps_per_record=7, energy=CrossEntropy(0.7)
    ),
    "ParallelTempering": ParallelTempering(2.0, n_sweeps=150, sweeps_per_record=20),
    "RejectionFree": RejectionFree(beta=2.0, n_sweeps=150, sweeps_per_record=7),
    "RejectionFree, linear": RejectionFree(beta=8.0, n_sweeps=80, sweeps_per_record=7, energy=Linear()),
    "RejectionFree, cross-entropy": RejectionFree(8.0, 80, 7, energy=CrossEntropy(0.7)),
    "ThermodynamicIntegration": ThermodynamicIntegration(1.0, sweeps_per_node=30, n_nodes=5),
    "SimulatedAnnealing": SimulatedAnnealing(n_sweeps=150, sweeps_per_record=7),
    "SimulatedAnnealing, linear": SimulatedAnnealing(n_sweeps=80, sweeps_per_record=7, energy=Linear()),
    "ReplicatedAnnealing": ReplicatedAnnealing(n_sweeps=80, sweeps_per_record=7),
    "ReplicatedAnnealing, centre, linear": ReplicatedAnnealing(
        n_sweeps=80, sweeps_per_record=7, energy=Linear(), attraction="centre"
    ),
    "SBPI": SBPI(n_sweeps=40, sweeps_per_record=3),
    "BPI": BPI(n_sweeps=20),
    "ClippedPerceptron": ClippedPerceptron(n_sweeps=20, sweeps_per_record=1),
    "PerceptronRule": PerceptronRule(n_sweeps=20, n_states=6),
    "ReplicatedSGD": ReplicatedSGD(n_replicas=3, batch=4, n_sweeps=12, sweeps_per_record=2),
}


# Instances of these models, each drawn towards a reference by this field.
TETHERED = {
    "storage, tethered": ("storage", 0.4),
    "committee, gaussian, tethered": ("committee, gaussian", -0.2),
    "replicated, tethered": ("replicated", 0.3),
}


def model_of(name):
    """The model of an entry, tethered or not."""
    return ALL_MODELS[TETHERED[name][0] if name in TETHERED else name]


def tethered(name, instance, scale=1.0):
    """The instance, in the field of the entry's tether if it has one, times `scale`."""
    if name not in TETHERED:
        return instance
    reference = np.where(np.arange(instance.N) % 3 == 1, 1, -1)
    return Tethered(instance, reference, scale * TETHERED[name][1])


def sized(model, N):
    """A number of weights near N that the model takes."""
    return N if model.n_hidden == 1 else model.n_hidden * (N // model.n_hidden | 1)


SUPPORTED = [
    (model, solver)
    for model in (*ALL_MODELS, *TETHERED)
    for solver in ALL_SOLVERS
    if ALL_SOLVERS[solver].supports(model_of(model)) is None
    and (model not in TETHERED or ALL_SOLVERS[solver].takes_external)
]
REFUSED = [(m, s) for m in ALL_MODELS for s in ALL_SOLVERS if (m, s) not in SUPPORTED]
