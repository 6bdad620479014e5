"""The finite-N road: enumeration, Monte Carlo, message passing."""

from physlearn.solvers.base import Solver, State, solve
from physlearn.solvers.enumeration import Enumeration, EnumerationResult
from physlearn.solvers.message_passing import AMP
from physlearn.solvers.monte_carlo import Metropolis, ReplicatedAnnealing, SimulatedAnnealing, attraction
from physlearn.solvers.tasks import solve_task

__all__ = [
    "AMP",
    "Enumeration",
    "EnumerationResult",
    "Metropolis",
    "ReplicatedAnnealing",
    "SimulatedAnnealing",
    "Solver",
    "State",
    "attraction",
    "solve",
    "solve_task",
]
