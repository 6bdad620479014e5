"""N to infinity: saddle points of the free entropy, thresholds, and state evolution."""

from physlearn.meanfield.base import check_stationary
from physlearn.meanfield.bayes import algorithmic_threshold, bayes_optimal, information_theoretic_threshold
from physlearn.meanfield.capacities import capacity, de_almeida_thouless, symmetric_capacity
from physlearn.meanfield.clones import replicated_entropy
from physlearn.meanfield.committee import committee_state_evolution
from physlearn.meanfield.connectivity import connectivity_barrier, linear_connectivity
from physlearn.meanfield.constrained import franz_parisi
from physlearn.meanfield.curves import curve
from physlearn.meanfield.evolution import state_evolution
from physlearn.meanfield.local_entropy import (
    is_isolated,
    is_monotonic,
    isolation_distance,
    loss_of_monotonicity,
)
from physlearn.meanfield.margins import maximal_margin
from physlearn.meanfield.one_step import one_step_rsb
from physlearn.meanfield.overlap_gaps import clone_transition, overlap_gap_threshold
from physlearn.meanfield.replica import replica_symmetric
from physlearn.meanfield.star_shape import convex_margin, is_linearly_connected, kernel_margin
from physlearn.meanfield.votes import committee_capacity

__all__ = [
    "algorithmic_threshold",
    "bayes_optimal",
    "capacity",
    "check_stationary",
    "clone_transition",
    "committee_capacity",
    "committee_state_evolution",
    "connectivity_barrier",
    "convex_margin",
    "curve",
    "de_almeida_thouless",
    "franz_parisi",
    "information_theoretic_threshold",
    "is_isolated",
    "is_linearly_connected",
    "is_monotonic",
    "isolation_distance",
    "kernel_margin",
    "linear_connectivity",
    "loss_of_monotonicity",
    "maximal_margin",
    "one_step_rsb",
    "overlap_gap_threshold",
    "replica_symmetric",
    "replicated_entropy",
    "state_evolution",
    "symmetric_capacity",
]
