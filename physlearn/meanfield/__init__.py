"""N to infinity: saddle points of the free entropy, thresholds, and state evolution."""

from physlearn.meanfield.base import check_stationary
from physlearn.meanfield.bayes import algorithmic_threshold, bayes_optimal, information_theoretic_threshold
from physlearn.meanfield.replica import replica_symmetric

__all__ = [
    "algorithmic_threshold",
    "bayes_optimal",
    "check_stationary",
    "information_theoretic_threshold",
    "replica_symmetric",
]
