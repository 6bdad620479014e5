"""The finite-N road: enumeration, Monte Carlo, message passing."""

from physlearn.solvers.base import Solver, State, solve
from physlearn.solvers.enumeration import Enumeration, EnumerationResult
from physlearn.solvers.message_passing import AMP
from physlearn.solvers.monte_carlo import Metropolis, SimulatedAnnealing
from physlearn.solvers.rejection_free import RejectionFree
from physlearn.solvers.tasks import solve_task
from physlearn.solvers.tempering import ParallelTempering, TemperingResult, expected_swap_rate
from physlearn.solvers.thermodynamic_integration import (
    ThermodynamicIntegration,
    ThermodynamicIntegrationResult,
)

__all__ = [
    "AMP",
    "Enumeration",
    "EnumerationResult",
    "Metropolis",
    "ParallelTempering",
    "RejectionFree",
    "SimulatedAnnealing",
    "Solver",
    "State",
    "TemperingResult",
    "ThermodynamicIntegration",
    "ThermodynamicIntegrationResult",
    "expected_swap_rate",
    "solve",
    "solve_task",
]
