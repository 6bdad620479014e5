"""Products of a pattern matrix with a vector."""

import numpy as np


def products(patterns, w):
    """The fields patterns @ w, shape (P,), exact for integers."""
    return patterns.astype(np.float64) @ w
