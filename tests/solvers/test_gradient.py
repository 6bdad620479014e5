"""Replicated SGD: what it solves, what its replicas share, and what its centre does."""

import numpy as np
import pytest

from physlearn.inputs import InputError
from physlearn.models import Committee, Perceptron, Replicated, Teacher
from physlearn.results import Status
from physlearn.solvers import ReplicatedSGD, solve
from physlearn.solvers.gradient import UPDATES

MODELS = [
    Perceptron(0.3),
    Perceptron(0.2, margin=0.3),
    Perceptron(0.3, patterns="gaussian"),
    Perceptron(2.5, rule=Teacher()),
    Committee(0.2, n_hidden=5),
    Committee(0.3, n_hidden=5, tree=True),
    Committee(0.2, patterns="gaussian"),
]


def replicas(result):
    return np.where(result.state.hidden > 0, 1, -1).reshape(len(result.state.hidden), -1)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_easy_instances_are_solved(model, update):
    instance = model.sample(63 * model.n_hidden, 1)
    result = solve(instance, ReplicatedSGD(update=update, batch=5, n_sweeps=300), 1)
    assert result.status is Status.SOLVED
    assert result.energy == 0


def test_the_documented_setting_solves():
    """K = 5 units of 321 weights, 802 patterns; the defaults are the documented values."""
    for seed in range(2):
        instance = Committee(802 / 1605, n_hidden=5).sample(1605, seed)
        assert instance.P == 802
        assert solve(instance, ReplicatedSGD(), seed).status is Status.SOLVED


@pytest.mark.validation
@pytest.mark.parametrize(
    ("update", "attraction", "P"),
    [
        ("simple", 0.75, 802),
        ("hard", 0.75, 802),
        ("corrected", 0.75, 802),
        ("continuous", 0.75, 401),
        ("continuous", 1.0, 802),
    ],
)
def test_every_update_solves(update, attraction, P):
    for seed in range(8):
        instance = Committee(P / 1605, n_hidden=5).sample(1605, 10 + seed)
        solver = ReplicatedSGD(update=update, attraction=attraction, n_sweeps=5000)
        assert solve(instance, solver, seed).status is Status.SOLVED


@pytest.mark.parametrize("model", [Committee(1.5), Committee(1.5, patterns="gaussian")], ids=repr)
@pytest.mark.parametrize("n_replicas", [2, 5])
def test_what_is_recorded_is_what_the_replicas_are(model, n_replicas):
    """Energies, overlaps and the centre, recomputed from the hidden states at every record."""
    instance, rng = model.sample(63, 1), np.random.default_rng(2)
    solver = ReplicatedSGD(n_replicas, batch=10, n_sweeps=12, sweeps_per_record=2, same_start=False)
    state = solver.init(instance, rng)
    lowest = instance.P
    while solver.status(instance, state) is None:
        state = solver.sweep(instance, state, rng)
        signs = np.where(state.hidden > 0, 1, -1).reshape(n_replicas, -1)
        centre = np.where(signs.sum(axis=0) > 0, 1, -1)
        np.testing.assert_array_equal(state.weights, centre)
        energies = [model.energy(instance, w) for w in signs]
        record = solver.record(instance, state)
        assert record["energy"] == model.energy(instance, centre) == state.record[-1][-1, -1]
        np.testing.assert_array_equal(state.energies, energies)
        np.testing.assert_array_equal(state.record[-1][-1, :-1], energies)
        assert record["mean_replica_energy"] == pytest.approx(np.mean(energies), rel=1e-12)
        overlaps = (signs @ signs.T / instance.N)[np.triu_indices(n_replicas, 1)]
        assert record["replica_overlap"] == pytest.approx(overlaps.mean(), abs=1e-12)
        lowest = min(lowest, state.record[-1].min())
        assert model.energy(instance, state.best) <= lowest
    assert state.n_sweeps == 12


def test_the_centre_is_preferred_to_a_replica():
    """Whose the weights are is told; the first of lowest energy are kept, the centre's before a replica's."""
    for seed in range(6):
        result = solve(Perceptron(1.2).sample(63, seed), ReplicatedSGD(3, n_sweeps=30), seed)
        energies = np.concatenate(result.state.record)
        sweep = int(np.argmax(energies.min(axis=1) == result.energy))
        if energies.min() == result.energy:
            assert result.from_centre == (energies[sweep, -1] == result.energy)
        assert result.status is Status.COMPLETED
        assert 0 < result.energy <= energies.min()


def test_without_attraction_replicas_go_their_own_ways():
    """Then the number of replicas changes nothing but how many there are, and their overlap stays small."""
    instance = Committee(0.6).sample(303, 1)
    loose, bound = (
        solve(instance, ReplicatedSGD(7, attraction=a, n_sweeps=60, same_start=False), 2) for a in (0.0, 0.75)
    )
    assert abs(loose.replica_overlap) < 0.2
    assert bound.replica_overlap > loose.replica_overlap + 0.2


def test_replicas_gather_as_the_coupling_grows():
    instance = Committee(802 / 1605, n_hidden=5).sample(1605, 3)
    trace = solve(instance, ReplicatedSGD(n_sweeps=300), 3).trace
    assert trace.coupling[0] == pytest.approx(0.05 + 9 * 0.001)
    assert trace.replica_overlap[-1] > trace.replica_overlap[5] + 0.2


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ReplicatedSGD(1), r"n_replicas: got 1; allowed: an integer >= 2\."),
        (lambda: ReplicatedSGD(batch=0), r"batch: got 0; allowed: an integer >= 1\."),
        (lambda: ReplicatedSGD(rate=0), r"rate: got 0; allowed: a finite number > 0\."),
        (lambda: ReplicatedSGD(attraction=-1), r"attraction: got -1; allowed: a finite number >= 0\."),
        (lambda: ReplicatedSGD(coupling=-0.1), r"coupling: got -0\.1; allowed: a finite number >= 0\."),
        (lambda: ReplicatedSGD(coupling_step=-1), r"coupling_step: got -1; allowed: a finite number >= 0\."),
        (lambda: ReplicatedSGD(update="soft"), r"update: got 'soft'; allowed: one of 'simple', .*\."),
        (lambda: ReplicatedSGD(same_start=1), r"same_start: got 1; allowed: one of False, True\."),
    ],
)
def test_bad_recipes_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        make()


def test_its_replicas_are_its_own():
    sentence = ReplicatedSGD().supports(Replicated(Perceptron(0.3), 3, 0.1))
    assert sentence == "ReplicatedSGD treats perceptrons and committees, which Replicated is not."
