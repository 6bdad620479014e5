"""Loads at which a storage problem stops having solutions, and at which replica symmetry stops describing them."""

import math
import sys
import warnings
from collections.abc import Callable

import numpy as np

from physlearn.inputs import InputError, member, number, reject
from physlearn.meanfield.equations import Equations
from physlearn.models import GeneralizedLinear, Prior, Threshold, Window
from physlearn.quadrature import G_over_H_excess, H

# Values of ln q_hat that a branch is searched on.
_CONJUGATES = (-20.0, 80.0)
_LOWEST = -650.0


def capacity(prior: Prior, margin: float = 0.0) -> float:
    r"""Largest load at which random labels can be stored with a margin.

    On the sphere Gardner's, 1/\int Dz max(z + kappa, 0)^2, where the overlap reaches one; for other priors the zero
    of the replica-symmetric entropy (for binary weights it is exact: Krauth & Mezard 1989).

    Parameters
    ----------
    prior : Prior
    margin : float
        kappa. On the sphere a negative one makes replica symmetry unstable before this load: the value is then an
        upper bound, and a warning names the load where it stops to hold.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the arguments are of the wrong kind, the prior neither counts nor is a sphere, or the capacity is beyond the
        largest float.

    References
    ----------
    theory/spherical-perceptron/derivation.md (G.1); theory/binary-perceptron/derivation.md (Z.4); Gardner 1988;
    Krauth & Mezard 1989.
    """
    member("prior", prior, Prior, "a Prior such as Binary() or Spherical()")
    margin = number("margin", margin)
    if prior.norm != "constrained":
        return _zero_entropy(prior, margin)
    # E max(z + kappa, 0)^2, without the cancellation of (1 + kappa^2) H(-kappa) + kappa G(kappa).
    violated = float(H(-margin) * (1 + margin * G_over_H_excess(-margin)))
    if violated < sys.float_info.min:
        raise reject("margin", margin, "margins above -37, where the capacity reaches the largest float")
    if margin < 0:
        warnings.warn(
            f"The capacity at margin {margin:g} is an upper bound, since replica symmetry is unstable from the load "
            "that de_almeida_thouless(prior, margin) gives.",
            stacklevel=2,
        )
    return 1 / violated


def symmetric_capacity(half_width: float) -> float:
    r"""Capacity of the symmetric binary perceptron, -ln 2 / ln P(abs(z) < half_width), z standard normal.

    The first-moment bound, which is tight.

    Parameters
    ----------
    half_width : float
        K > 0.

    Returns
    -------
    float
        To all digits, from 1/ln(1/K) for narrow windows to ln 2/(2 H(K)) for wide ones.

    Raises
    ------
    InputError
        If the capacity is beyond the largest float (from K = 37.5 on).

    References
    ----------
    theory/symmetric-perceptron/derivation.md (FM.2); Aubin, Perkins & Zdeborova 2019; Abbe, Li & Sly 2021.
    """
    half_width = number("half_width", half_width, above=0)
    load = -float(Window(half_width).log_partition(1.0, np.float64(0.0), 1.0))
    if load <= math.log(2) / sys.float_info.max:
        raise reject(
            "half_width", half_width, "half-widths below 37.5, where the capacity reaches the largest float"
        )
    return math.log(2) / load


def de_almeida_thouless(prior: Prior, margin: float = 0.0) -> float:
    """The load at which the replicon eigenvalue of the storage problem vanishes: above it replica symmetry is broken.

    Parameters
    ----------
    prior : Prior
    margin : float
        kappa; on the sphere negative, since otherwise replica symmetry is stable up to capacity.

    Returns
    -------
    float
        For binary weights it lies above their capacity.

    Raises
    ------
    InputError
        If the arguments are of the wrong kind, or replica symmetry is stable wherever it has a saddle point.

    References
    ----------
    theory/binary-perceptron/derivation.md (AT.3); theory/spherical-perceptron/derivation.md (AT.3); de Almeida &
    Thouless 1978; Gardner & Derrida 1988.
    """
    member("prior", prior, Prior, "a Prior such as Binary() or Spherical()")
    margin = number("margin", margin)
    equations = _storage(prior, margin)

    def replicon(u):
        alpha, order, conjugates = equations.along(u)
        return equations.at_load(alpha).stability(order, conjugates)

    u = _first_zero(equations, replicon)
    if u is None:
        raise InputError(
            f"margin: got {margin:g}; allowed for {prior!r}: margins at which replica symmetry becomes unstable "
            "before the overlap reaches one (negative ones, on the sphere)."
        )
    return float(equations.along(u)[0])


def _storage(prior: Prior, margin: float) -> Equations:
    return Equations(GeneralizedLinear(1.0, Threshold(margin), prior))


def _first_zero(equations: Equations, function: Callable[[float], float]) -> float | None:
    """The first ln q_hat along the storage branch where `function`, positive at first, vanishes."""
    from scipy.optimize import brentq

    # With margins far below zero everything happens at huge loads, and the fields are still tiny.
    start = _CONJUGATES[0]
    while start > _LOWEST and function(start) <= 0:
        start -= 10
    for u in np.arange(start, _CONJUGATES[-1] + 1):
        if function(u) <= 0 and u > start:
            return float(brentq(function, u - 1, u, xtol=1e-13, rtol=1e-14))
        if equations.along(u)[1].variance < 1e-20:
            break
    return None


def _zero_entropy(prior: Prior, margin: float) -> float:
    zero = np.zeros(1)
    equations = _storage(prior, margin)
    floor = equations.entropy_floor
    entropy = float(prior.log_partition(zero, zero).item())
    if floor == -math.inf or entropy <= floor:
        raise InputError(
            f"prior: got {prior!r}, whose entropy without patterns is {entropy:g}; allowed: priors that count weights, "
            "more than one and all with the same mass, or of norm 'constrained'."
        )
    return zero_entropy(equations)


def zero_entropy(equations: Equations) -> float:
    """The load at which the entropy of a storage problem is that of a single configuration."""
    floor = equations.entropy_floor

    def remaining(u):
        alpha, order, conjugates = equations.along(u)
        return equations.at_load(alpha).free_entropy(order, conjugates) - floor

    u = _first_zero(equations, remaining)
    if u is None:
        raise InputError(
            f"prior: got {equations.model.prior!r}, whose entropy stays positive at all loads; allowed: discrete "
            "priors."
        )
    return float(equations.along(u)[0])
