"""Loads at which a storage problem stops having solutions, and at which replica symmetry stops describing them."""

import math
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from physlearn.inputs import InputError, choice, member, number, reject
from physlearn.meanfield.equations import Equations
from physlearn.models import GeneralizedLinear, Prior, Threshold, Window
from physlearn.quadrature import G_over_H_excess, H, expectation, log_H

# Values of ln q_hat that a branch is searched on.
_CONJUGATES = (-20.0, 80.0)
_LOWEST = -650.0
# Below this margin the integrals of one step lose their digits.
_LOWEST_MARGIN = -7.0


def capacity(prior: Prior, margin: float = 0.0, *, steps: int = 0) -> float:
    r"""Largest load at which random labels can be stored with a margin.

    On the sphere Gardner's, 1/\int Dz max(z + kappa, 0)^2, where the overlap reaches one; for other priors the zero
    of the replica-symmetric entropy (for binary weights it is exact: Krauth & Mezard 1989).

    Parameters
    ----------
    prior : Prior
    margin : float
        kappa. On the sphere a negative one makes replica symmetry unstable before this load: the value is then an
        upper bound, and a warning names the load where it stops to hold.
    steps : {0, 1}
        Steps of replica symmetry breaking. One lowers the bound on the sphere where the margin is negative; elsewhere
        it changes nothing.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the arguments are of the wrong kind, the prior neither counts nor is a sphere, or the capacity is beyond the
        largest float (at one step: the margin is below -7).

    References
    ----------
    theory/spherical-perceptron/derivation.md (G.1); theory/binary-perceptron/derivation.md (Z.4);
    theory/replica-symmetry-breaking/derivation.md (CP.3); Gardner 1988; Krauth & Mezard 1989.
    """
    member("prior", prior, Prior, "a Prior such as Binary() or Spherical()")
    margin = number("margin", margin)
    choice("steps", steps, (0, 1))
    if prior.norm != "constrained":
        return _zero_entropy(prior, margin)
    value = gardner_capacity(margin)
    if margin < 0:
        warnings.warn(
            f"The capacity at margin {margin:g} is an upper bound, since replica symmetry is unstable from the load "
            "that de_almeida_thouless(prior, margin) gives"
            + (", and one step of breaking it is not enough." if steps else "; steps=1 gives a lower one."),
            stacklevel=2,
        )
        if steps:
            return one_step_capacity(margin)
    return value


def gardner_capacity(margin: float) -> float:
    """Capacity of the sphere in replica symmetry, 1/E max(z + kappa, 0)^2."""
    # Without the cancellation of (1 + kappa^2) H(-kappa) + kappa G(kappa).
    violated = float(H(-margin) * (1 + margin * G_over_H_excess(-margin)))
    if violated < sys.float_info.min:
        raise reject("margin", margin, "margins above -37, where the capacity reaches the largest float")
    return 1 / violated


@lru_cache(maxsize=256)
def one_step_capacity(margin: float) -> float:
    r"""Capacity of the sphere after one step of replica symmetry breaking, where clusters shrink to points.

    .. math:: \alpha = \min_{\eta, q_0} \frac{\ln(1 + \eta) + \frac{\eta q_0}{(1 - q_0)(1 + \eta)}}
              {-2 \int Dz_0 \ln \int Dz_1\, e^{-c\, \max(\kappa - \sqrt{q_0} z_0 - \sqrt{1 - q_0} z_1, 0)^2/2}},
              \qquad c = \eta/(1 - q_0)

    theory/replica-symmetry-breaking/derivation.md (CP.3).
    """
    from scipy.optimize import minimize

    if margin < _LOWEST_MARGIN:
        raise reject("margin", margin, f"margins from {_LOWEST_MARGIN:g} on, where one step can be computed")
    if margin >= 0:
        return gardner_capacity(margin)

    def load(x):
        q0, stiffness = 1 / (1 + math.exp(-x[0])), math.exp(x[1])
        rest = 1 / (1 + math.exp(x[0]))
        size, width, blurred = math.sqrt(q0), math.sqrt(rest), math.sqrt(1 + stiffness)

        def cost(z):
            a = (margin - size * z) / width
            violated = log_H(-a / blurred) - stiffness * a**2 / (2 * (1 + stiffness)) - math.log(blurred)
            return -np.logaddexp(log_H(a), violated)

        energy = float(
            expectation(cost, [(margin / size, width / size), (margin / size, width * blurred / size)])
        )
        return (math.log1p(stiffness) + stiffness * q0 / (rest * (1 + stiffness))) / (2 * energy)

    # Towards margin zero, where one step changes nothing, q0 goes to one.
    start = [math.log(0.5 / margin**2), 1.0]
    found = minimize(
        load, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-14, "maxfev": 2000}
    )
    return float(found.fun)


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
