"""The finite-N road: enumeration, Monte Carlo, message passing, on-line rules, replicated descent."""

from physlearn.solvers.base import Solver, State, solve
from physlearn.solvers.belief_propagation import BeliefPropagation, BeliefPropagationResult, ReinforcedBP
from physlearn.solvers.enumeration import Enumeration, EnumerationResult
from physlearn.solvers.focusing import FocusingBP
from physlearn.solvers.gradient import ReplicatedSGD
from physlearn.solvers.max_sum import MaxSum
from physlearn.solvers.message_passing import AMP
from physlearn.solvers.monte_carlo import Metropolis, ReplicatedAnnealing, SimulatedAnnealing
from physlearn.solvers.online import BPI, SBPI, ClippedPerceptron, PerceptronRule
from physlearn.solvers.rejection_free import RejectionFree
from physlearn.solvers.replicas import attraction
from physlearn.solvers.tasks import solve_task
from physlearn.solvers.tempering import ParallelTempering, TemperingResult, expected_swap_rate
from physlearn.solvers.thermodynamic_integration import (
    ThermodynamicIntegration,
    ThermodynamicIntegrationResult,
)

__all__ = [
    "AMP",
    "BPI",
    "SBPI",
    "BeliefPropagation",
    "BeliefPropagationResult",
    "ClippedPerceptron",
    "Enumeration",
    "EnumerationResult",
    "FocusingBP",
    "MaxSum",
    "Metropolis",
    "ParallelTempering",
    "PerceptronRule",
    "ReinforcedBP",
    "RejectionFree",
    "ReplicatedAnnealing",
    "ReplicatedSGD",
    "SimulatedAnnealing",
    "Solver",
    "State",
    "TemperingResult",
    "ThermodynamicIntegration",
    "ThermodynamicIntegrationResult",
    "attraction",
    "expected_swap_rate",
    "solve",
    "solve_task",
]
