"""What surrounds a configuration: how many solutions at a distance, measured in several ways, and the energy there."""

from physlearn.landscape.base import LocalEntropy, LocalEntropyMethod, local_entropy
from physlearn.landscape.bethe import Bethe
from physlearn.landscape.counting import Counting
from physlearn.landscape.energies import LocalEnergy, local_energy
from physlearn.landscape.focused import Focused
from physlearn.landscape.references import reference
from physlearn.landscape.tasks import local_entropy_task
from physlearn.landscape.tethered_sampling import TetheredSampling

__all__ = [
    "Bethe",
    "Counting",
    "Focused",
    "LocalEnergy",
    "LocalEntropy",
    "LocalEntropyMethod",
    "TetheredSampling",
    "local_energy",
    "local_entropy",
    "local_entropy_task",
    "reference",
]
