"""Numbers with their errors."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error, and the effective number of independent samples behind it.

    Attributes
    ----------
    mean, error, n_eff : float
    """

    mean: float
    error: float
    n_eff: float

    def __repr__(self) -> str:
        return f"{self.mean:.6g} +- {self.error:.2g} (n_eff = {self.n_eff:.3g})"

    @classmethod
    def of(cls, samples) -> "Estimate":
        """The estimate from independent samples, shape (n,); the error of a single one is infinite."""
        samples = np.asarray(samples, dtype=float)
        n = samples.size
        error = float(samples.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
        return cls(float(samples.mean()), error, float(n))
