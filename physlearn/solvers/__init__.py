"""The finite-N road: enumeration, Monte Carlo, message passing."""

from physlearn.solvers.base import Solver, State, solve
from physlearn.solvers.belief_propagation import BeliefPropagation, BeliefPropagationResult, ReinforcedBP
from physlearn.solvers.enumeration import Enumeration, EnumerationResult
from physlearn.solvers.focusing import FocusingBP
from physlearn.solvers.max_sum import MaxSum
from physlearn.solvers.message_passing import AMP
from physlearn.solvers.monte_carlo import Metropolis, SimulatedAnnealing
from physlearn.solvers.tasks import solve_task

__all__ = [
    "AMP",
    "BeliefPropagation",
    "BeliefPropagationResult",
    "Enumeration",
    "EnumerationResult",
    "FocusingBP",
    "MaxSum",
    "Metropolis",
    "ReinforcedBP",
    "SimulatedAnnealing",
    "Solver",
    "State",
    "solve",
    "solve_task",
]
