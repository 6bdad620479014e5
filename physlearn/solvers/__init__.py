"""The finite-N road: enumeration, Monte Carlo, message passing."""

from physlearn.solvers.base import Solver, solve
from physlearn.solvers.enumeration import Enumeration, EnumerationResult
from physlearn.solvers.message_passing import AMP

__all__ = ["AMP", "Enumeration", "EnumerationResult", "Solver", "solve"]
