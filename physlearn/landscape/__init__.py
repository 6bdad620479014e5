"""What surrounds a configuration: the number of solutions at a distance, measured in several ways, and the energy there."""

from physlearn.landscape.base import LocalEntropy, LocalEntropyMethod, local_entropy
from physlearn.landscape.bethe import Bethe
from physlearn.landscape.counting import Counting
from physlearn.landscape.tethered_sampling import TetheredSampling

__all__ = [
    "Bethe",
    "Counting",
    "LocalEntropy",
    "LocalEntropyMethod",
    "TetheredSampling",
    "local_entropy",
]
