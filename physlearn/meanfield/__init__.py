"""N to infinity: saddle points of the free entropy, thresholds, and state evolution."""

from physlearn.meanfield.base import check_stationary
from physlearn.meanfield.bayes import algorithmic_threshold, bayes_optimal, information_theoretic_threshold
from physlearn.meanfield.capacities import capacity, de_almeida_thouless, symmetric_capacity
from physlearn.meanfield.committee import committee_state_evolution
from physlearn.meanfield.curves import curve
from physlearn.meanfield.evolution import state_evolution
from physlearn.meanfield.replica import replica_symmetric

__all__ = [
    "algorithmic_threshold",
    "bayes_optimal",
    "capacity",
    "check_stationary",
    "committee_state_evolution",
    "curve",
    "de_almeida_thouless",
    "information_theoretic_threshold",
    "replica_symmetric",
    "state_evolution",
    "symmetric_capacity",
]
