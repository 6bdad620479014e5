"""The physics in the limit N to infinity: loads, margins, priors and channels; never N, data or random streams."""

from physlearn.models.base import GeneralizedLinear, Instance, Model, Storage, Teacher
from physlearn.models.channels import Channel, Threshold, Window
from physlearn.models.perceptron import Perceptron, SymmetricPerceptron
from physlearn.models.priors import Binary, Prior, Spherical

__all__ = [
    "Binary",
    "Channel",
    "GeneralizedLinear",
    "Instance",
    "Model",
    "Perceptron",
    "Prior",
    "Spherical",
    "Storage",
    "SymmetricPerceptron",
    "Teacher",
    "Threshold",
    "Window",
]
