"""State evolution: what approximate message passing does, iteration by iteration, in the limit N to infinity."""

import math

import numpy as np

from physlearn.inputs import integer, member
from physlearn.meanfield.equations import Conjugates, Equations, Order
from physlearn.meanfield.replica import collapsed_point, observables
from physlearn.models import Model
from physlearn.results import Status, Trajectory


def state_evolution(model: Model, n_iterations: int) -> Trajectory:
    """Order parameters of AMP at each iteration, from the prior's own moments on.

    One iteration goes from q, V (and r) to their conjugates and back, without damping: its fixed point is the
    uninformed saddle point.

    Parameters
    ----------
    model : Model
    n_iterations : int
        At least zero.

    Returns
    -------
    Trajectory
        At times 0 to n_iterations: ``overlap`` of the posterior means with themselves and, with a teacher,
        ``teacher_overlap``, ``estimator_overlap`` and the generalization errors, under the names of
        `replica_symmetric`. `Status.CONVERGED` where the last iteration changed the overlap, and the logarithm
        of its distance V from the self-overlap, by less than 1e-10; `Status.NO_SOLUTION` where the overlap has run to
        one without a teacher to find.

    Raises
    ------
    InputError
        If the model or the number of iterations is not of these kinds.

    References
    ----------
    theory/teacher-student-perceptron/derivation.md (RS.4), (RS.5), iterated; Bayati & Montanari 2011.
    """
    member("model", model, Model, "a Model such as Perceptron(alpha)")
    n_iterations = integer("n_iterations", n_iterations, at_least=0)
    equations = Equations(model)
    if equations.draws_in:
        equations = Equations(model, matched=True)
    order, conjugates = equations.natural_start(), equations.norm_precision(Conjugates(0.0))
    rows = [_row(equations, order, conjugates)]
    ended, change = False, math.inf
    for _ in range(n_iterations):
        if not ended:
            before = order
            conjugates = equations.conjugates(order)
            order = equations.order(conjugates)
            ended = order.variance < equations.collapsed
            change = _change(before, order)
        rows.append(_last_row(equations) if ended else _row(equations, order, conjugates))
    status = Status.CONVERGED if change < 1e-10 else Status.NOT_CONVERGED
    if ended:
        status = Status.CONVERGED if equations.draws_in else Status.NO_SOLUTION
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Trajectory(model, np.arange(n_iterations + 1), values, status)


def _change(before: Order, after: Order) -> float:
    """How far an iteration went: where the overlap runs to one, only its distance from there tells."""
    if min(before.variance, after.variance) == 0:
        return math.inf
    return max(abs(after.overlap - before.overlap), abs(math.log(after.variance / before.variance)))


def _row(equations: Equations, order: Order, conjugates: Conjugates) -> dict[str, float]:
    row = {"overlap": order.overlap}
    if equations.has_teacher:
        row["teacher_overlap"] = order.teacher_overlap
    return row | observables(equations, order, conjugates)


def _last_row(equations: Equations) -> dict[str, float]:
    """What stays once the overlap is one."""
    end = collapsed_point(equations, "uninformed")
    return {
        name: value for name, value in end.order_parameters.items() if name != "self_overlap"
    } | end.observables
