"""The energy around a configuration: how many constraints random flips violate."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import integer, member
from physlearn.landscape.base import checked_distances, checked_reference
from physlearn.models import Binary, Instance
from physlearn.random import generator
from physlearn.results import Status

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class LocalEnergy:
    """Mean energy at distances from a reference.

    Attributes
    ----------
    distances : ndarray, shape (n,)
        Those of whole numbers of flips, the nearest to what was asked for.
    energies : ndarray, shape (n,)
        Mean fraction of constraints violated.
    errors : ndarray, shape (n,)
        Standard errors over the samples.
    reference_energy : float
        The fraction that the reference violates.
    """

    distances: np.ndarray
    energies: np.ndarray
    errors: np.ndarray
    reference_energy: float

    def __len__(self) -> int:
        return len(self.distances)

    def to_dataset(self) -> "xarray.Dataset":
        """The curve along ``distance``."""
        import xarray

        return xarray.Dataset(
            {
                "local_energy": ("distance", self.energies),
                "local_energy_error": ("distance", self.errors),
                "reference_energy": self.reference_energy,
                "status": ((), np.int8(Status.DONE.code), Status.attributes()),
            },
            coords={"distance": self.distances},
        )


def local_energy(instance: Instance, reference: Any, distances: Any, n_samples: int, rng: Any) -> LocalEnergy:
    r"""Mean fraction of constraints that configurations at a distance from a reference violate.

    .. math:: e(d) = \frac1P \langle E(w) \rangle_{w \cdot w' = N (1 - 2 d)}

    The average is over all configurations at that distance, by flips of round(N d) weights chosen at random: how flat
    the surroundings are, not how many solutions they hold.

    Parameters
    ----------
    instance : Instance
        With binary weights.
    reference : array_like of -1 and +1, shape (N,)
        Any configuration, a solution or not.
    distances : array_like, shape (n,)
        In (0, 1/2].
    n_samples : int
        Configurations at each distance, two at least.
    rng : numpy.random.Generator or int

    Returns
    -------
    LocalEnergy

    References
    ----------
    theory/local-entropy/derivation.md (ME.11).
    """
    member("instance", instance, Instance, "an Instance, from model.sample(N, rng)")
    member("instance.model.prior", instance.model.prior, Binary, "binary weights")
    w = checked_reference(instance, reference, allow_violations=True).astype(np.float64)
    n_samples, rng = integer("n_samples", n_samples, at_least=2), generator(rng)
    flips = np.maximum(np.rint(checked_distances(distances) * instance.N).astype(int), 1)
    violated = np.empty((len(flips), n_samples))
    for row, k in zip(violated, flips, strict=True):
        for sample in range(n_samples):
            moved = w.copy()
            moved[rng.permutation(instance.N)[:k]] *= -1
            row[sample] = instance.model.energy(instance, moved)
    P = max(instance.P, 1)
    return LocalEnergy(
        flips / instance.N,
        violated.mean(axis=1) / P,
        violated.std(axis=1, ddof=1) / P / math.sqrt(n_samples),
        instance.model.energy(instance, w) / P,
    )
