"""The finite-N road: enumeration, Monte Carlo, message passing."""

from physlearn.solvers.base import Solver, solve

__all__ = ["Solver", "solve"]
