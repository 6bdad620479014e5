"""The physics in the limit N to infinity: loads, margins, priors and channels; never N, data or random streams."""

from physlearn.models.base import GeneralizedLinear, Instance, Model, Storage, Teacher
from physlearn.models.channels import Channel, Majority, Threshold, Window
from physlearn.models.committee import Committee
from physlearn.models.energies import CrossEntropy, Energy, Errors, Linear
from physlearn.models.perceptron import Perceptron, SymmetricPerceptron
from physlearn.models.priors import Binary, Prior, Spherical
from physlearn.models.protocols import (
    FreeScoping,
    Protocol,
    PseudoReinforcement,
    Scoping,
    StandardReinforcement,
)
from physlearn.models.wrappers import Replicated, Tethered

__all__ = [
    "Binary",
    "Channel",
    "Committee",
    "CrossEntropy",
    "Energy",
    "Errors",
    "FreeScoping",
    "GeneralizedLinear",
    "Instance",
    "Linear",
    "Majority",
    "Model",
    "Perceptron",
    "Prior",
    "Protocol",
    "PseudoReinforcement",
    "Replicated",
    "Scoping",
    "Spherical",
    "StandardReinforcement",
    "Storage",
    "SymmetricPerceptron",
    "Teacher",
    "Tethered",
    "Threshold",
    "Window",
]
