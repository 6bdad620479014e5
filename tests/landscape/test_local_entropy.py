"""Each way to measure a local entropy against exact enumeration, and the identities that they share."""

import numpy as np
import pytest

from physlearn import Instance, Perceptron, Spherical, Status, Teacher, Tethered
from physlearn.inputs import InputError
from physlearn.landscape import (
    Bethe,
    Counting,
    Focused,
    TetheredSampling,
    local_energy,
    local_entropy,
    local_entropy_task,
    reference,
)
from physlearn.landscape.counting import binary_entropy, log_fractions
from physlearn.landscape.tethered_sampling import integrals
from physlearn.meanfield import franz_parisi, replicated_entropy
from physlearn.random import streams
from physlearn.solvers import ReinforcedBP

FIELDS = np.linspace(0.0, 0.8, 6)
# Five standard errors: fewer than one false alarm in a million for each number.
K = 5


def taught(N, alpha=0.5, seed=1, **fields):
    return Perceptron(alpha, rule=Teacher(), **fields).sample(N, seed)


def around_the_teacher(instance, method, rng=1, **where):
    return local_entropy(instance, instance.teacher, method=method, rng=rng, **where)


# The exact one, by brute force and by its own limits.


def test_counting_compares_with_all_configurations_at_a_distance():
    """Without patterns every configuration counts, and s(d) is the binary entropy at any size and distance."""
    empty = Instance(np.empty((0, 13)), np.empty(0), np.ones(13), Perceptron(0.5, rule=Teacher()))
    d = np.array([1 / 13, 0.2, 0.35, 0.5])
    found = local_entropy(empty, np.ones(13), d, method=Counting(), rng=1)
    np.testing.assert_allclose(found.entropies, -d * np.log(d) - (1 - d) * np.log(1 - d), atol=1e-14)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_counting_is_a_sum_over_all_configurations(margin):
    instance = taught(11, 0.4, margin=0.0)
    instance = Instance(instance.patterns, instance.labels, None, Perceptron(0.4, margin=margin))
    around = np.ones(11, dtype=np.int8)
    signs = 1 - 2 * (np.arange(2**11)[:, None] >> np.arange(11) & 1)
    solutions = signs[(instance.gauged @ signs.T > margin * np.sqrt(11)).all(axis=0)]
    overlaps = solutions @ around
    fields = np.array([-0.4, 0.0, 0.7])
    found = local_entropy(instance, around, fields=fields, method=Counting(), rng=1, allow_violations=True)
    for gamma, d, s in zip(fields, found.distances, found.entropies, strict=True):
        p = np.exp(gamma * overlaps)
        p /= p.sum()
        assert d == pytest.approx((1 - p @ overlaps / 11) / 2, abs=1e-13)
        assert s == pytest.approx(-(p @ np.log(p)) / 11, abs=1e-13)


def test_between_two_numbers_of_flips_the_fraction_is_interpolated():
    counts = np.array([1, 3, 0, 5, 2])
    logs = log_fractions(counts, [0.25, 0.125, 0.5, 0.6, 1.0])
    assert logs[0] == pytest.approx(np.log(3 / 4) / 4)
    assert logs[1] == pytest.approx(np.log(3 / 4) / 8)
    assert np.isneginf(logs[2])
    assert np.isneginf(logs[3])
    assert logs[4] == pytest.approx(np.log(2) / 4)


def test_the_tethered_ensemble_of_counts_is_the_legendre_transform():
    """What fields give at their mean distances, distances give back; without patterns it is h(d) to rounding."""
    instance, method = taught(15, 0.4), Counting(ensemble="tethered")
    along = around_the_teacher(instance, method, fields=FIELDS)
    at = around_the_teacher(instance, method, distances=along.distances)
    np.testing.assert_allclose(at.entropies, along.entropies, atol=1e-12)
    np.testing.assert_allclose(at.fields, FIELDS, atol=1e-9)
    empty = Instance(np.empty((0, 13)), np.empty(0), np.ones(13), Perceptron(0.5, rule=Teacher()))
    found = local_entropy(empty, np.ones(13), [0.1, 0.5], method=method, rng=1)
    np.testing.assert_allclose(found.entropies, binary_entropy(np.array([0.1, 0.5])), atol=1e-12)
    np.testing.assert_allclose(found.fields, np.arctanh([0.8, 0.0]), atol=1e-9)


# The others against it.


@pytest.mark.parametrize("N", [13, 17, 21])
def test_belief_propagation_counts_as_enumeration_does_to_order_one(N):
    """Bethe's N s is off by what loops carry: the mean over instances by less than half a nat, none by two."""
    gaps = []
    for seed in range(8):
        instance = taught(N, 0.4, seed)
        exact = around_the_teacher(instance, Counting(), fields=FIELDS)
        found = around_the_teacher(instance, Bethe(messages="exact", damping=0.3), fields=FIELDS)
        assert set(found.statuses) == {Status.CONVERGED}
        # At equal distances: to first order in their difference, along the slope 2 gamma.
        gaps.append(found.entropies - exact.entropies - 2 * FIELDS * (found.distances - exact.distances))
    gaps = N * np.array(gaps)
    assert np.abs(gaps.mean(axis=0)).max() < 0.5
    assert np.abs(gaps).max() < 2


@pytest.mark.parametrize(("N", "alpha"), [(13, 0.5), (17, 0.3), (21, 0.7)])
def test_tethered_sampling_counts_as_enumeration_does(N, alpha):
    """Within five of its own standard errors, at every field and at every distance."""
    instance = taught(N, alpha, 2)
    method = TetheredSampling(1.0, 8000, FIELDS, anchor_sweeps=1500)
    exact = around_the_teacher(instance, Counting(), fields=FIELDS)
    found = around_the_teacher(instance, method, fields=FIELDS)
    assert set(found.statuses) == {Status.CONVERGED}
    assert (np.abs(found.entropies - exact.entropies) < K * found.errors).all()
    assert found.errors.max() < 0.02
    # The entropy at a distance is the smallest of phi - gamma (1 - 2 d).
    at = around_the_teacher(instance, method, distances=exact.distances[1:-1])
    assert set(at.statuses) == {Status.CONVERGED}
    assert (np.abs(at.entropies - exact.entropies[1:-1]) < K * at.errors).all()
    np.testing.assert_allclose(at.fields, FIELDS[1:-1], atol=0.1)


def test_errors_of_sampling_are_as_large_as_the_deviations():
    """Over twelve runs on one instance deviations at a distance, in their errors, have a square of about one."""
    instance = taught(13, 0.4, 2)
    exact = around_the_teacher(instance, Counting(), fields=[0.7])
    # The integral over beta is long, so that the errors are those of the walks along the field.
    method = TetheredSampling(0.8, 1500, FIELDS, anchor_sweeps=4000, anchor_nodes=17)
    d = exact.distances
    runs = [around_the_teacher(instance, method, rng, distances=d) for rng in range(12)]
    z = np.array([(run.entropies[0] - exact.entropies[0]) / run.errors[0] for run in runs])
    # chi2 with twelve degrees of freedom is outside of these bounds once in ten thousand runs.
    assert 1.0 < np.sum(z**2) < 39


def test_sampling_around_a_reference_that_is_no_solution():
    """The reference need not be one: the measure is that of the solutions all the same."""
    instance = taught(15, 0.5, 3)
    around = instance.teacher.copy()
    around[:4] *= -1
    assert instance.model.energy(instance, around) > 0
    options = {"fields": FIELDS, "rng": 1, "allow_violations": True}
    exact = local_entropy(instance, around, method=Counting(), **options)
    found = local_entropy(instance, around, method=TetheredSampling(1.0, 8000, FIELDS), **options)
    assert (np.abs(found.entropies - exact.entropies) < K * found.errors).all()


# Identities.


def test_the_slope_of_the_entropy_is_twice_the_field():
    """ds/dd = 2 gamma, by differences of what belief propagation finds at neighbouring distances."""
    instance, h = taught(301, 0.4), 1e-3
    d = np.array([0.1, 0.2, 0.3])
    method = Bethe(precision=1e-5, tolerance=1e-10)
    middle = around_the_teacher(instance, method, distances=d)
    above = around_the_teacher(instance, method, distances=d + h)
    below = around_the_teacher(instance, method, distances=d - h)
    slopes = (above.entropies - below.entropies) / (2 * h)
    np.testing.assert_allclose(slopes, 2 * middle.fields, rtol=2e-3)


def test_distances_and_fields_give_one_curve():
    instance = taught(301, 0.4)
    method = Bethe(precision=1e-4, tolerance=1e-9)
    along = around_the_teacher(instance, method, fields=[0.6, 0.1])
    at = around_the_teacher(instance, method, distances=along.distances)
    np.testing.assert_allclose(at.entropies, along.entropies, atol=1e-7)
    np.testing.assert_allclose(at.fields, [0.6, 0.1], atol=1e-3)
    order = around_the_teacher(instance, method, distances=along.distances[::-1])
    np.testing.assert_allclose(order.entropies[::-1], at.entropies, atol=1e-7)


def test_integrals_over_fields_are_exact_for_cubics():
    fields = np.array([-0.3, 0.0, 0.2, 0.7, 1.1, 1.2])
    values = 1 + fields - 2 * fields**3
    primitive = fields + fields**2 / 2 - fields**4 / 2
    for step in (1, 2):
        # Every second field leaves four, through which one cubic goes.
        np.testing.assert_allclose(integrals(fields, step) @ values, primitive - primitive[0], atol=1e-12)


# Refusals, and what is reported in the place of numbers.


def test_walks_that_do_not_equilibrate_give_no_number():
    """Far too cold for so few sweeps: nothing but NaN, and a status that says why."""
    instance = taught(201, 0.7)
    method = TetheredSampling(20.0, 200, np.linspace(0, 0.8, 5), anchor_sweeps=20, anchor_nodes=5)
    found = around_the_teacher(instance, method, distances=[0.1, 0.3])
    assert set(found.statuses) == {Status.NOT_EQUILIBRATED}
    assert np.isnan(found.entropies).all()
    assert np.isnan(found.errors).all()
    assert "NOT_EQUILIBRATED" in repr(found)


def test_walks_that_meet_no_solution_give_no_number():
    """In equilibrium, but too hot for a solution to be met."""
    method = TetheredSampling(0.1, 400, np.linspace(0, 0.4, 5), anchor_sweeps=200)
    found = around_the_teacher(taught(201, 0.7), method, distances=[0.3])
    assert found.statuses == (Status.NOT_EQUILIBRATED,)
    assert found.observables["solutions"] == 0
    assert found.observables["disagreement"] < 6


def test_distances_beyond_the_fields_are_out_of_range():
    method = TetheredSampling(1.0, 2000, np.linspace(0.1, 0.5, 5))
    found = around_the_teacher(taught(15, 0.3), method, distances=[0.02, 0.49])
    assert found.statuses == (Status.OUT_OF_RANGE, Status.OUT_OF_RANGE)
    assert np.isnan(found.entropies).all()


def test_counting_says_where_there_is_no_solution():
    instance = taught(15, 3.0)
    found = around_the_teacher(instance, Counting(), distances=[1 / 15, 0.4])
    counts_none = np.isnan(found.entropies)
    assert [status is Status.UNSATISFIABLE for status in found.statuses] == counts_none.tolist()
    assert counts_none.any()


def test_belief_propagation_ends_with_the_branch():
    """Nearer to the teacher than its barrier there is no fixed point with many solutions, or they are none."""
    found = around_the_teacher(taught(201, 1.0), Bethe(n_iterations=100), distances=[1e-3, 0.2])
    assert found.statuses[0] is not Status.CONVERGED
    assert found.statuses[1] is Status.CONVERGED


def test_a_reference_that_is_no_solution_has_to_be_allowed():
    instance = taught(15)
    wrong = -instance.teacher
    with pytest.raises(InputError, match=r"violates 8 of 8 constraints .* allow_violations=True"):
        local_entropy(instance, wrong, [0.2], method=Counting(), rng=1)
    found = local_entropy(instance, wrong, [0.2], method=Counting(), rng=1, allow_violations=True)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": [0.0]}, r"distances: got 0.0; allowed: a finite number > 0 and <= 0.5"),
        ({"distances": [0.6]}, "distances: got 0.6"),
        ({"distances": []}, "at least one"),
        ({"distances": [0.2], "fields": [0.1]}, "one of them"),
        ({"reference": None}, "reference: got None"),
        ({"reference": np.zeros(15)}, "-1 and \\+1"),
        ({"method": Focused()}, "chooses its own"),
        ({"method": Focused(), "reference": None, "distances": None, "fields": [0.1]}, "give these instead"),
        ({"method": "bethe"}, "method: got 'bethe'"),
    ],
)
def test_bad_input_gets_a_sentence(change, message):
    instance = taught(15)
    given = {"reference": instance.teacher, "distances": [0.2], "method": Bethe(), "rng": 1} | change
    with pytest.raises(InputError, match=message):
        local_entropy(instance, **given)


def test_models_that_no_method_treats():
    instance = Perceptron(0.5, prior=Spherical(), patterns="gaussian").sample(15, 1)
    for method in (Bethe(), TetheredSampling(), Counting(), Focused()):
        with pytest.raises(InputError, match=f"method: {type(method).__name__} needs binary weights"):
            local_entropy(instance, np.ones(15), [0.2], method=method, rng=1)
    taught_ = taught(15)
    with pytest.raises(InputError, match="without a tether"):
        around_the_teacher(Tethered(taught_, taught_.teacher, 0.1), Counting(), distances=[0.2])


def test_fields_that_do_not_rise():
    with pytest.raises(InputError, match=r"fields: .*at least 5 numbers, each above the one before"):
        TetheredSampling(fields=[0.0, 0.2, 0.1, 0.3, 0.4])


# References.


def test_references_of_every_kind():
    instance = taught(15, 0.6, 4)
    assert (reference(instance, "teacher", 1) == instance.teacher).all()
    typical, best = reference(instance, "typical", 1), reference(instance, "maximal margin", 1)
    found = reference(instance, ReinforcedBP(), 1)
    smallest = [instance.model.stabilities(instance, w).min() for w in (typical, found, best)]
    assert min(smallest) > 0
    assert max(smallest) == smallest[-1]
    # No solution has a larger margin, and one has this one.
    margin = smallest[-1]
    assert reference(instance, "typical", 1, margin=margin) is None
    above = reference(instance, "typical", 1, margin=0.9 * margin)
    assert instance.model.stabilities(instance, above).min() == pytest.approx(margin)


def test_a_reference_that_is_not_there():
    with pytest.raises(InputError, match="has no teacher"):
        reference(Perceptron(0.5).sample(15, 1), "teacher", 1)
    with pytest.raises(InputError, match="kind: got 'any'"):
        reference(taught(15), "any", 1)
    assert reference(Perceptron(3.0).sample(15, 1), "typical", 1) is None
    assert reference(Perceptron(3.0).sample(15, 1), ReinforcedBP(n_iterations=20), 1) is None


# The energy around a configuration.


def test_local_energy_is_the_mean_over_all_flips():
    instance = taught(11, 0.7, 5)
    signs = 1 - 2 * (np.arange(2**11)[:, None] >> np.arange(11) & 1)
    distances = np.array([1, 3]) / 11
    found = local_energy(instance, instance.teacher, distances, 2000, 1)
    for d, e, error in zip(distances, found.energies, found.errors, strict=True):
        there = signs[signs @ instance.teacher == round(11 * (1 - 2 * d))]
        exact = np.mean(instance.gauged @ there.T <= 0)
        assert abs(e - exact) < K * error
    assert found.reference_energy == 0


def test_local_energy_around_a_teacher_is_the_generalization_error():
    r"""For patterns that it has not adapted to, :math:`e(d) = \arccos(1 - 2d)/\pi` at large N."""
    instance = taught(1001, 1.0, 6)
    d = np.array([0.05, 0.2])
    found = local_energy(instance, instance.teacher, d, 50, 1)
    expected = np.arccos(1 - 2 * np.round(1001 * d) / 1001) / np.pi
    # One instance's own fluctuation is that of 1001 patterns, at most.
    assert (np.abs(found.energies - expected) < K * (found.errors + np.sqrt(expected / 1001))).all()


# Size and theory.


def test_belief_propagation_agrees_with_theory_around_the_teacher():
    """Mean of 12 instances of N = 501, within their own error and an allowance of 1/N."""
    model = Perceptron(0.5, rule=Teacher())
    d = [0.1, 0.2, 0.3]
    found = [around_the_teacher(model.sample(501, k), Bethe(), distances=d).entropies for k in range(12)]
    error = np.std(found, axis=0, ddof=1) / np.sqrt(12)
    expected = [franz_parisi(model, value, reference="teacher").local_entropy for value in d]
    assert (np.abs(np.mean(found, axis=0) - expected) < 4.5 * error + 1 / 501).all()


@pytest.mark.validation
def test_belief_propagation_at_full_size():
    """alpha = 0.5, N = 1001, d = 0.2: the mean of 24 instances within three standard errors of 0.311335."""
    model = Perceptron(0.5, rule=Teacher())
    found = [
        around_the_teacher(model.sample(1001, k), Bethe(), distances=[0.2]).entropies[0] for k in range(24)
    ]
    assert abs(np.mean(found) - 0.311335) < 3 * np.std(found, ddof=1) / np.sqrt(24)


@pytest.mark.validation
def test_sampling_a_thousand_weights_agrees_with_belief_propagation():
    """The same instance by walks that meet solutions and by messages, within the walks' own errors and 1/N."""
    instance, d = taught(1001, 0.3, 5), [0.1, 0.2, 0.3]
    walks = around_the_teacher(instance, TetheredSampling(), distances=d)
    messages = around_the_teacher(instance, Bethe(), distances=d)
    assert set(walks.statuses) == {Status.CONVERGED}
    assert (np.abs(walks.entropies - messages.entropies) < K * walks.errors + 1 / 1001).all()
    assert walks.errors.max() < 0.002


def test_many_replicas_agree_with_the_theory_of_clones():
    """Its centre is made of signs, the theory's is the clones' own mean: within one hundredth at N = 501."""
    model = Perceptron(0.5, rule=Teacher())
    d = np.array([0.1, 0.2, 0.3])
    found = [local_entropy(model.sample(501, k), None, d, method=Focused(), rng=1) for k in range(6)]
    expected = [replicated_entropy(model, np.inf, 1 - 2 * value).local_entropy for value in d]
    mean = np.mean([curve.entropies for curve in found], axis=0)
    error = np.std([curve.entropies for curve in found], axis=0, ddof=1) / np.sqrt(6)
    assert (np.abs(mean - expected) < 0.01 + 3 * error).all()
    assert {status for curve in found for status in curve.statuses} == {Status.CONVERGED}


# The task of a scan.


def test_the_task_answers_at_every_distance():
    point = {"model": Perceptron(0.3, rule=Teacher()), "solver": Bethe(), "N": 101, "distance": (0.1, 0.3)}
    answer = local_entropy_task({**point, "alpha": 0.5}, streams(1, point, 0))
    assert answer["local_entropy"].shape == answer["counted"].shape == (2,)
    assert answer["status"] is Status.CONVERGED
    assert answer["load"] == pytest.approx(0.5, abs=0.006)


def test_the_task_interpolates_between_whole_numbers_of_patterns():
    """At N = 15, 0.5 N = 7.5: half of the logarithm with seven patterns, half of that with eight."""
    model = Perceptron(0.5, rule=Teacher())
    point = {"model": model, "solver": Counting(n_draws=3), "N": 15, "distance": (0.2, 0.4)}
    answer = local_entropy_task(point, streams(1, point, 0))
    values = []
    for stream in streams(1, point, 0).disorder.spawn(3):
        full = model.with_alpha(8 / 15).sample(15, stream)
        fewer = Instance(full.patterns[:7], full.labels[:7], full.teacher, full.model)
        pair = [around_the_teacher(one, Counting(), distances=[0.2, 0.4]).entropies for one in (full, fewer)]
        values.append(np.mean(pair, axis=0))
    np.testing.assert_allclose(answer["local_entropy"], np.mean(values, axis=0), atol=1e-14)
    np.testing.assert_allclose(
        answer["local_entropy_error"], np.std(values, axis=0, ddof=1) / np.sqrt(3), atol=1e-14
    )
    assert answer["load"] == 0.5


def test_a_task_without_a_reference_says_so():
    point = {
        "model": Perceptron(3.0),
        "solver": Counting(),
        "N": 15,
        "distance": (0.2,),
        "reference": "typical",
    }
    answer = local_entropy_task(point, streams(1, point, 0))
    assert answer["status"] is Status.UNSATISFIABLE
    assert np.isnan(answer["local_entropy"]).all()
    with pytest.raises(InputError, match="point: got 'colour'"):
        local_entropy_task({**point, "colour": 1}, streams(1, point, 0))


def test_binary_entropy_has_its_maximum_at_one_half():
    assert binary_entropy(np.array([0.5]))[0] == pytest.approx(np.log(2))
