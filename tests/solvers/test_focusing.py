"""Focusing belief propagation: the pull of replicas by enumeration, entropies by finite differences, protocols."""

import itertools
import math

import numpy as np
import pytest

from physlearn.inputs import InputError
from physlearn.models import Committee, Perceptron
from physlearn.models.protocols import FreeScoping, PseudoReinforcement, Scoping, StandardReinforcement
from physlearn.models.schedules import linear
from physlearn.results import Status
from physlearn.solvers import (
    FocusingBP,
    focusing,
    messages,
    solve,
)


@pytest.mark.parametrize("field", [-1.3, 0.0, 0.2, 4.0])
@pytest.mark.parametrize("coupling", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("n_replicas", [2, 4])
def test_pull_is_that_of_a_star_of_replicas(field, coupling, n_replicas):
    """All states of one weight's replicas and centre: the replica's mean is that of field and pull together."""
    total, mean = 0.0, 0.0
    for centre, *replicas in itertools.product((-1, 1), repeat=1 + n_replicas):
        weight = math.exp((field + coupling * centre) * sum(replicas))
        total, mean = total + weight, mean + weight * replicas[0]
    extra = focusing.pull(np.array([field]), coupling, n_replicas)[0]
    assert math.tanh(field + extra) == pytest.approx(mean / total, abs=1e-12)
    tanh = math.tanh
    formula = math.atanh(tanh((n_replicas - 1) * math.atanh(tanh(field) * tanh(coupling))) * tanh(coupling))
    assert extra == pytest.approx(formula, abs=1e-9)


def test_infinite_coupling_is_reinforcement():
    field = np.array([-2.0, 0.1, 3.0])
    np.testing.assert_allclose(focusing.pull(field, math.inf, 4.0), 3 * field)
    np.testing.assert_allclose(focusing.pull(field, 60.0, 4.0), 3 * field, rtol=1e-12)


def fixed_point(instance, coupling, n_replicas):
    """Where a single step of the protocol ends, its records, and the free entropy of all replicas and the centre."""
    solver = FocusingBP(
        FreeScoping((coupling,), (n_replicas,)),
        messages="exact",
        tolerance=1e-13,
        n_iterations=500,
        stop=False,
    )
    result = solve(instance, solver, 1)
    assert result.trace.converged[0] == 1
    field = result.state.field - result.state.pull
    both = [n_replicas * np.logaddexp(field + s * coupling, -field - s * coupling) for s in (1, -1)]
    replicas = n_replicas * messages.free_entropy(instance, result.state, "exact", 0.0)
    return result.trace, replicas + np.logaddexp(*both).sum() / instance.N


@pytest.mark.parametrize("model", [Perceptron(0.4), Committee(0.4, tree=True)], ids=str)
def test_local_entropy_and_distance_are_derivatives_of_the_free_entropy(model):
    """By the number of replicas and by the coupling (BP.14), (BP.15); each point is iterated anew."""
    instance, step = model.sample(45, 3), 1e-4
    coupling, n_replicas = 0.5, 3.0
    trace, _ = fixed_point(instance, coupling, n_replicas)
    overlap, entropy = 1 - 2 * trace.distance[0], trace.local_entropy[0]
    by_replicas, by_coupling = (
        (fixed_point(instance, *up)[1] - fixed_point(instance, *down)[1]) / (2 * step)
        for up, down in (
            ((coupling, n_replicas + step), (coupling, n_replicas - step)),
            ((coupling + step, n_replicas), (coupling - step, n_replicas)),
        )
    )
    assert by_replicas == pytest.approx(entropy + coupling * overlap, abs=1e-6)
    assert by_coupling == pytest.approx(n_replicas * overlap, abs=1e-6)


def test_each_step_of_a_protocol_comes_to_its_own_fixed_point():
    """Though the one before left messages that do not change in a sweep: each answer is that of the step alone."""
    instance, couplings = Perceptron(0.4).sample(51, 1), (0.1, 0.3, 0.5, 0.7)
    recipe = {"tolerance": 1e-9, "n_iterations": 1000, "stop": False, "damping": 0.7}
    trace = solve(instance, FocusingBP(Scoping(5, couplings), **recipe), 1).trace
    assert trace.converged.all()
    for coupling, entropy in zip(couplings, trace.local_entropy, strict=True):
        alone = solve(instance, FocusingBP(Scoping(5, (coupling,)), **recipe), 1).trace
        assert alone.converged.all()
        assert entropy == pytest.approx(alone.local_entropy[0], abs=1e-7)


def test_infinitely_many_replicas_are_tethered_to_the_signs_of_their_fields():
    """Distance and local entropy are those of belief propagation around that centre, and the limit of many replicas."""
    from physlearn.models import Tethered
    from physlearn.solvers import BeliefPropagation

    instance = Perceptron(0.4).sample(101, 1)
    found = {}
    for n_replicas in (1e6, math.inf):
        protocol = FreeScoping((0.5,), (n_replicas,))
        solver = FocusingBP(protocol, tolerance=1e-11, n_iterations=2000, stop=False, damping=0.7)
        result = found[n_replicas] = solve(instance, solver, 1)
        assert result.trace.converged[0] == 1
    tethered = Tethered(instance, found[math.inf].weights, 0.5)
    around = solve(tethered, BeliefPropagation(tolerance=1e-11, damping=0.5), 1)
    assert found[math.inf].trace.distance[0] == pytest.approx(around.distance, abs=1e-8)
    assert found[math.inf].trace.local_entropy[0] == pytest.approx(around.entropy, abs=1e-8)
    assert found[1e6].trace.local_entropy[0] == pytest.approx(around.entropy, abs=1e-4)
    np.testing.assert_array_equal(focusing.pull(np.array([-2.0, 0.0, 3.0]), 0.5, math.inf), [-0.5, 0.0, 0.5])


def test_local_entropy_at_infinite_coupling_would_be_negative():
    """The limit of (BP.15) exists and is (BP.21), but there is one configuration at distance zero, not fewer."""
    instance, n_replicas = Perceptron(0.4).sample(101, 1), 3.0
    solver = FocusingBP(
        FreeScoping((25.0,), (n_replicas,)), tolerance=1e-11, n_iterations=2000, stop=False, damping=0.7
    )
    result = solve(instance, solver, 1)
    field = result.state.field / n_replicas
    sites = float(field @ np.tanh(n_replicas * field))
    limit = messages.free_entropy(instance, result.state, "gaussian", sites)
    assert result.trace.distance[0] < 1e-15
    assert result.trace.local_entropy[0] == pytest.approx(limit, abs=1e-8)
    assert limit < -0.03


def test_without_coupling_all_is_as_without_replicas():
    from physlearn.solvers import BeliefPropagation

    instance = Perceptron(0.4).sample(101, 1)
    plain = solve(instance, BeliefPropagation(tolerance=1e-10), 1)
    solver = FocusingBP(Scoping(7, (0.0,)), tolerance=1e-10, stop=False)
    focused = solve(instance, solver, 1)
    assert focused.trace.distance[0] == 0.5
    assert focused.trace.local_entropy[0] == pytest.approx(plain.entropy, abs=1e-8)


PROTOCOLS = {
    "standard": StandardReinforcement(linear(0, 0.98, 50)),
    "pseudo": PseudoReinforcement(linear(0, 0.98, 50)),
    "scoping": Scoping(21, linear(0, 2.5, 51)),
    "free": FreeScoping(linear(0.1, 2.5, 51), linear(3, 30, 51)),
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_protocol_finds_solutions(name):
    instance = Perceptron(0.5).sample(301, 1)
    result = solve(instance, FocusingBP(PROTOCOLS[name]), 1)
    assert result.status is Status.SOLVED
    assert result.energy == 0
    assert (np.diff(result.trace.coupling[np.isfinite(result.trace.coupling)]) >= 0).all()
    if name == "standard":
        assert "local_entropy" not in result.trace.records
    else:
        distance, entropy = result.trace.distance, result.trace.local_entropy
        assert (np.diff(distance) < 0).all()
        # No more configurations than there are at that distance, and no fewer than one.
        bound = -distance * np.log(distance) - (1 - distance) * np.log1p(-distance)
        assert (entropy < bound).all()
        assert (entropy > 0).all()


def test_committees_are_solved():
    for tree in (True, False):
        instance = Committee(0.25, n_hidden=3, tree=tree).sample(303, 2)
        result = solve(instance, FocusingBP(PROTOCOLS["pseudo"], n_iterations=40), 1)
        assert result.status is Status.SOLVED


def test_a_step_that_did_not_converge_does_not_end_the_protocol():
    solver = FocusingBP(PROTOCOLS["scoping"], n_iterations=1, tolerance=1e-12, stop=False)
    result = solve(Perceptron(0.4).sample(101, 1), solver, 1)
    assert len(result.trace) == 51
    assert not result.trace.converged.any()
    assert result.status in (Status.SOLVED, Status.COMPLETED)
    assert result.n_sweeps == 51


@pytest.mark.validation
def test_committee_of_five_is_solved():
    """N = 321 per unit, alpha = 0.3: the example of the literature."""
    instance = Committee(0.3, n_hidden=5).sample(1605, 1)
    for protocol in (StandardReinforcement(), PseudoReinforcement()):
        assert solve(instance, FocusingBP(protocol), 1).status is Status.SOLVED
    solver = FocusingBP(Scoping(21, linear(0, 2.5, 101)), damping=0.7, n_iterations=30)
    assert solve(instance, solver, 1).status is Status.SOLVED


@pytest.mark.validation
def test_committee_of_seven_large_units_is_solved():
    instance = Committee(0.2, n_hidden=7).sample(7007, 1)
    solver = FocusingBP(damping=0.8, n_iterations=30, local_entropy=False)
    assert solve(instance, solver, 1).status is Status.SOLVED


def test_recipes_of_reinforcement():
    (coupling, n_replicas), *_ = StandardReinforcement((0.75,)).steps
    assert (coupling, n_replicas) == (math.inf, 4.0)
    for exponent in (0.5, 0.3):
        (coupling, n_replicas), *_ = PseudoReinforcement((0.4,), exponent).steps
        assert math.tanh(coupling) == pytest.approx(0.4**exponent)
        assert n_replicas == pytest.approx(1 + 0.4 ** (1 - 2 * exponent) / 0.6)
        # Small fields are reinforced by rho/(1 - rho), whatever the exponent.
        small = focusing.pull(np.array([1e-4]), coupling, n_replicas)
        assert small == pytest.approx(1e-4 * 0.4 / 0.6, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Scoping(1.5, (0.1, 0.2)), r"n_replicas: got 1\.5; allowed: a finite number >= 2"),
        (lambda: FreeScoping((0.1,), (1.0,)), r"n_replicas: got 1\.0; allowed: a finite number >= 2"),
        (
            lambda: Scoping(3, (0.2, 0.1)),
            r"couplings: got \(0\.2, 0\.1\); allowed: couplings that never decrease",
        ),
        (lambda: StandardReinforcement((0.5, 0.4)), r"rates: got .*; allowed: rates that never decrease"),
        (lambda: StandardReinforcement((1.0,)), r"rates: got 1\.0; allowed: a finite number >= 0 and < 1"),
        (lambda: PseudoReinforcement(0.5), r"rates: got 0\.5; allowed: a sequence of rates, at least one"),
        (lambda: PseudoReinforcement((0.5,), 0.7), r"exponent: got 0\.7; allowed: .* <= 0\.5"),
        (lambda: Scoping(3, ()), r"couplings: got \(\); allowed: a sequence of couplings, at least one"),
        (lambda: FreeScoping((0.1, 0.2), (3,)), r"n_replicas: got a schedule of 1 values; allowed: 2 values"),
        (lambda: Scoping(3, (math.nan,)), r"couplings: got nan; allowed: a finite number"),
        (lambda: FocusingBP("scoping"), r"protocol: got 'scoping'; allowed: a Protocol such as"),
    ],
)
def test_bad_protocols_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=rf"^{sentence}.*\.$"):
        make()
