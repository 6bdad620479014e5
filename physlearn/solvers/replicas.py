"""What replicas that attract each other weigh their configurations with, weight by weight."""

from typing import Any

import numpy as np


def attraction(coupling: Any, others: Any, kind: str) -> np.ndarray:
    r"""Field on a weight of one replica, where those of the others add up to S.

    .. math:: h = \gamma S \quad\text{(pairs)}, \qquad
              h = \tfrac12 \ln \frac{\cosh\gamma(S + 1)}{\cosh\gamma(S - 1)} \quad\text{(centre, traced out)}

    Parameters
    ----------
    coupling, others : array_like
        gamma and S, broadcast against each other.
    kind : {"pairs", "centre"}

    References
    ----------
    theory/single-flips/derivation.md (R.2), (R.4).
    """
    coupling, others = np.asarray(coupling, float), np.asarray(others, float)
    if kind == "pairs":
        return coupling * others
    ends = [np.logaddexp(x, -x) for x in (coupling * (others + 1), coupling * (others - 1))]
    return (ends[0] - ends[1]) / 2


def attraction_weight(coupling: Any, total: Any, n_replicas: int, kind: str) -> np.ndarray:
    r"""ln of what the attraction weighs a weight with, the sum of whose values in all replicas is S.

    .. math:: \gamma (S^2 - n)/2 \quad\text{(pairs)}, \qquad \ln 2\cosh \gamma S \quad\text{(centre, traced out)}

    Parameters
    ----------
    coupling, total : array_like
        gamma and S, broadcast against each other.
    n_replicas : int
    kind : {"pairs", "centre"}

    References
    ----------
    theory/single-flips/derivation.md (R.1), (R.3).
    """
    coupling, total = np.asarray(coupling, float), np.asarray(total, float)
    if kind == "pairs":
        return coupling * (total**2 - n_replicas) / 2
    return np.logaddexp(coupling * total, -coupling * total)
