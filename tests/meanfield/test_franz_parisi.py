"""Solutions around a typical solution and around the teacher: identities, limits, the whole plane, and enumeration."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import log_ndtr

from physlearn import Perceptron, Spherical, Status, SymmetricPerceptron, Teacher, capacity, curve
from physlearn.inputs import InputError
from physlearn.meanfield import (
    check_stationary,
    franz_parisi,
    is_isolated,
    is_monotonic,
    isolation_distance,
    loss_of_monotonicity,
    maximal_margin,
    replica_symmetric,
)
from physlearn.meanfield.constrained import FranzParisiEquations
from physlearn.meanfield.local_entropy import slope_minimum
from physlearn.meanfield.references import reference_of
from physlearn.models import Binary, GeneralizedLinear, Threshold

STORAGE, TAUGHT = Perceptron(0.5), Perceptron(0.5, rule=Teacher())
# Model and arguments: margins of the reference above, at and below that of the solutions; both rules; the teacher.
CASES = {
    "storage": (STORAGE, {}),
    "with a margin": (STORAGE, {"reference_margin": 0.3}),
    "maximal margin": (STORAGE, {"reference_margin": "maximal"}),
    "below the margin": (Perceptron(0.4, margin=0.1), {"reference_margin": 0.0}),
    "taught": (TAUGHT, {}),
    "taught with a margin": (TAUGHT, {"reference_margin": 0.3}),
    "taught beyond capacity": (Perceptron(1.1, rule=Teacher()), {"reference_margin": 0.02}),
    "around the teacher": (TAUGHT, {"reference": "teacher"}),
    "a margin around the teacher": (
        Perceptron(0.5, margin=0.1, rule=Teacher()),
        {"reference": "teacher"},
    ),
}


def entropy_of_distance(d):
    return -d * math.log(d) - (1 - d) * math.log(1 - d)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("distance", [0.4, 0.05])
def test_the_gradient_vanishes(name, distance):
    model, arguments = CASES[name]
    point = franz_parisi(model, distance, **arguments)
    assert point.residual < 1e-10
    assert check_stationary(point, 1e-8) < 1e-8
    assert point.overlap > point.reference_overlap**2 - 1e-12  # positive variance, given the reference


@pytest.mark.parametrize("name", CASES)
def test_the_slope_is_the_derivative(name):
    model, arguments = CASES[name]
    step = 1e-3
    points = [franz_parisi(model, 0.15 + k * step, **arguments) for k in (-2, -1, 0, 1, 2)]
    f = [point.local_entropy for point in points]
    assert points[2].local_entropy_slope == pytest.approx(
        (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * step), abs=1e-8
    )


@pytest.mark.parametrize("model", [STORAGE, Perceptron(0.3, margin=0.2), Perceptron(0.8)])
def test_at_the_distance_of_two_solutions_it_is_replica_symmetric(model):
    point = replica_symmetric(model)
    there = franz_parisi(model, (1 - point.overlap) / 2)
    assert there.overlap == pytest.approx(point.overlap, abs=1e-10)
    assert there.typical_overlap == pytest.approx(point.overlap, abs=1e-10)
    assert there.overlap_conjugate == pytest.approx(point.overlap_conjugate, abs=1e-9)
    assert there.reference_overlap_conjugate == pytest.approx(point.overlap_conjugate, abs=1e-9)
    assert there.local_entropy == pytest.approx(point.entropy, abs=1e-10)
    assert there.local_entropy_slope == pytest.approx(0, abs=1e-9)
    assert there.stability == pytest.approx(point.stability, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_maximum_counts_all_solutions(name):
    """Whatever the reference, most solutions lie at one distance from it; there S_hat is what the reference implies."""
    model, arguments = CASES[name]
    top = brentq(lambda d: franz_parisi(model, d, **arguments).local_entropy_slope, 0.1, 0.49, xtol=1e-14)
    point, free = franz_parisi(model, top, **arguments), replica_symmetric(model)
    assert point.local_entropy == pytest.approx(free.entropy, abs=1e-10)
    assert point.overlap == pytest.approx(free.overlap, abs=1e-9)
    if "typical_overlap" in point.order_parameters:
        assert point.reference_overlap == pytest.approx(point.typical_overlap, abs=1e-9)
    if "teacher_overlap" in point.order_parameters:
        assert point.teacher_overlap == pytest.approx(free.teacher_overlap, abs=1e-9)


@pytest.mark.parametrize("distance", [0.5, 0.2, 0.02, 0.003])
def test_the_teacher_is_a_typical_solution(distance):
    """Nishimori: of a matched student, by quite different integrals."""
    typical = franz_parisi(TAUGHT, distance)
    teacher = franz_parisi(TAUGHT, distance, reference="teacher")
    assert typical.local_entropy == pytest.approx(teacher.local_entropy, abs=1e-10)
    assert typical.overlap == pytest.approx(teacher.overlap, abs=1e-9)
    assert typical.teacher_overlap == pytest.approx(typical.typical_overlap, abs=1e-9)
    assert typical.generalization_error == pytest.approx(math.acos(typical.teacher_overlap) / math.pi)


def test_around_the_teacher_it_is_replica_symmetry_at_fixed_overlap():
    """By quadrature of the equations of replica_symmetric, at the overlap with the teacher where they hold."""
    point = replica_symmetric(TAUGHT)
    there = franz_parisi(TAUGHT, (1 - point.teacher_overlap) / 2, reference="teacher")
    assert there.local_entropy == pytest.approx(point.entropy, abs=1e-11)
    assert there.reference_overlap_conjugate == pytest.approx(point.teacher_overlap_conjugate, abs=1e-9)
    assert there.local_entropy_slope == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("rule", [{}, {"rule": Teacher()}])
@pytest.mark.parametrize("alpha", [0.05, 0.4, 0.7])
def test_the_whole_plane_is_smooth(alpha, rule):
    """Both ends and the middle of the margins: cold, forwards and backwards lead to the same curve, without a gap."""
    model = Perceptron(alpha, **rule)
    grid = np.geomspace(0.5, 0.002, 12)
    for share in (0.0, 0.6, 1.0):
        margin = share * maximal_margin(model)
        down = curve(franz_parisi, model, over={"distance": grid}, reference_margin=margin)
        up = curve(franz_parisi, model, over={"distance": grid[::-1]}, reference_margin=margin)
        cold = [franz_parisi(model, d, margin).local_entropy for d in grid]
        assert down.residual.max() < 1e-8
        np.testing.assert_allclose(up.local_entropy[::-1], down.local_entropy, atol=1e-9)
        np.testing.assert_allclose(cold, down.local_entropy, atol=1e-9)
        positive = down.local_entropy.values > 0
        codes = np.where(positive, Status.CONVERGED.code, Status.UNPHYSICAL.code)
        assert down.status.values.tolist() == codes.tolist()


def test_near_capacity_and_near_the_reference_the_saddle_point_ends_and_says_so():
    data = curve(franz_parisi, Perceptron(0.83), over={"distance": [0.2, 0.05, 0.01, 0.004, 0.002]})
    names = [Status.from_code(code).name for code in data.status.values]
    assert names == ["CONVERGED", "UNPHYSICAL", "UNPHYSICAL", "NO_SOLUTION", "NO_SOLUTION"]
    assert np.isnan(data.local_entropy.values).tolist() == [False] * 3 + [True] * 2


def test_close_to_a_reference_without_margin_a_square_root_is_lost():
    """(SD.1) with its constant, where the entropy of the distance still dominates."""
    alpha, margin = 0.02, 0.3
    model = Perceptron(alpha, margin=margin)
    q = replica_symmetric(model).overlap
    density = quad(
        lambda x: (
            math.exp(
                -(x**2) / 2
                - ((margin - q**0.5 * x) ** 2) / (2 * (1 - q))
                - log_ndtr(-(margin - q**0.5 * x) / (1 - q) ** 0.5)
            )
            / (2 * math.pi * (1 - q) ** 0.5)
        ),
        -9,
        9,
    )[0]
    lost = -2 * density * quad(lambda s: log_ndtr(s), 0, 40)[0]
    for d in (1e-3, 1e-4):
        cost = entropy_of_distance(d) - franz_parisi(model, d).local_entropy
        assert cost == pytest.approx(alpha * lost * math.sqrt(d), rel=3 * math.sqrt(d) + 0.01)


def test_close_to_a_reference_with_margin_nothing_is_lost():
    for model in (STORAGE, TAUGHT):
        point = franz_parisi(model, 1e-3, 0.4)
        assert point.local_entropy == pytest.approx(entropy_of_distance(1e-3), abs=1e-8)
        assert point.overlap == pytest.approx(point.reference_overlap**2, abs=1e-7)


def test_typical_references_are_isolated_and_those_with_a_margin_are_not():
    assert is_isolated(STORAGE)
    assert is_isolated(TAUGHT)
    assert is_isolated(TAUGHT, reference="teacher")
    assert not is_monotonic(STORAGE)
    assert not is_isolated(STORAGE, 0.1)
    assert not is_isolated(STORAGE, "maximal")
    assert is_monotonic(STORAGE, "maximal")
    assert not is_monotonic(STORAGE, 0.02)
    assert not is_isolated(Perceptron(0.5, margin=-0.3, rule=Teacher()), reference="teacher")


def test_the_width_of_the_barrier():
    width = isolation_distance(STORAGE)
    assert 0.005 < width < 0.01  # between the signs of the curve's reference values
    assert franz_parisi(STORAGE, width).local_entropy == pytest.approx(0, abs=1e-10)
    assert isolation_distance(STORAGE, 0.3) == 0
    assert isolation_distance(STORAGE, 0.02) < width  # an island beyond a gap: the references' own cluster
    assert is_isolated(STORAGE, 0.02)
    assert franz_parisi(STORAGE, 2e-5, 0.02).local_entropy > 0


def test_monotonicity_is_lost_where_the_slope_touches_zero():
    alpha = loss_of_monotonicity(STORAGE, 0.1)
    below, above = (Perceptron(alpha + shift) for shift in (-1e-4, 1e-4))
    assert is_monotonic(below, 0.1)
    assert not is_monotonic(above, 0.1)
    slope, d = slope_minimum(Perceptron(alpha), 0.1)
    assert slope == pytest.approx(0, abs=1e-4)
    near = [franz_parisi(Perceptron(alpha), d * factor, 0.1).local_entropy_slope for factor in (0.8, 1.25)]
    assert min(near) > slope


def test_with_a_teacher_monotonicity_is_lost_later():
    """Around the maximal margin at the load 1.0466."""
    below, above = (Perceptron(alpha, rule=Teacher()) for alpha in (1.0456, 1.0476))
    assert is_monotonic(below, "maximal")
    assert not is_monotonic(above, "maximal")
    assert not is_isolated(above, "maximal")


def test_the_maximal_margin_inverts_the_capacity():
    for margin in (-0.2, 0.1, 1.0):
        assert maximal_margin(capacity(Binary(), margin)) == pytest.approx(margin, abs=1e-9)
    assert maximal_margin(Perceptron(0.3, margin=0.7)) == maximal_margin(0.3)
    largest = maximal_margin(Perceptron(0.3, rule=Teacher()))
    assert largest > maximal_margin(0.3)
    point = replica_symmetric(Perceptron(0.3, margin=largest, rule=Teacher()))
    assert point.entropy == pytest.approx(0, abs=1e-11)


def counted(model, N, n_instances, margin, ks):
    """(1/N) ln of the fraction of configurations at distance k/N that solve, mean over references and instances."""
    W = (2 * ((np.arange(2**N)[:, None] >> np.arange(N)) & 1) - 1).astype(np.float32)
    found = []
    for rng in np.random.default_rng(5).spawn(n_instances):
        instance = model.sample(N, rng)
        lowest = (W @ instance.gauged.T.astype(np.float32)).min(axis=1) / math.sqrt(N)
        solutions = W[lowest > 0]
        references = instance.teacher[None] if margin is None else W[lowest > margin][:200]
        if not len(references):
            continue
        distances = np.rint((N - solutions @ references.T.astype(np.float32)) / 2)
        numbers = np.array([(distances == k).sum(axis=0) for k in ks])
        found.append(np.log(np.maximum(numbers, 0.5)).mean(axis=1))
    logs = np.array(found) - [math.log(math.comb(N, k)) for k in ks]
    return logs.mean(axis=0) / N, logs.std(axis=0) / N / math.sqrt(len(logs))


@pytest.mark.parametrize(("margin", "rule"), [(None, Teacher()), (0.0, None), (0.3, None), (0.3, Teacher())])
def test_enumeration_of_small_systems(margin, rule):
    """N = 15: quenched means, 4 standard errors, and 0.06 for the size (0.03 at N = 21)."""
    N, ks = 15, (3, 5)
    model = Perceptron(6 / N, **({"rule": rule} if rule else {}))
    reference = "teacher" if margin is None else "typical"
    means, errors = counted(model, N, 80, margin, ks)
    for k, mean, error in zip(ks, means, errors, strict=True):
        theory = franz_parisi(model, k / N, margin, reference=reference).local_entropy
        assert abs(mean + entropy_of_distance(k / N) - theory) < 4 * error + 0.06


def test_finer_steps_change_nothing():
    source = reference_of(TAUGHT, 0.3, "typical")
    coarse = FranzParisiEquations(TAUGHT, source, 0.9)
    fine = FranzParisiEquations(TAUGHT, source, 0.9, fineness=0.4)
    x = coarse.natural_start()
    np.testing.assert_allclose(coarse.update(x), fine.update(x), atol=1e-12)


def test_any_perceptron_with_binary_weights():
    same = GeneralizedLinear(0.5, Threshold(0.0), Binary())
    assert franz_parisi(same, 0.1).local_entropy == franz_parisi(STORAGE, 0.1).local_entropy


def test_a_start_leads_to_the_same_point():
    far = franz_parisi(STORAGE, 0.4, 0.1)
    cold, warm = franz_parisi(STORAGE, 0.02, 0.1), franz_parisi(STORAGE, 0.02, 0.1, start=far)
    assert warm.branch == "continued"
    assert cold.branch == "typical"
    assert warm.local_entropy == pytest.approx(cold.local_entropy, abs=1e-11)
    again = franz_parisi(STORAGE, 0.02, 0.1, start=cold.conjugates)
    assert again.local_entropy == pytest.approx(cold.local_entropy, abs=1e-11)


def test_a_map_holds_what_exists():
    grid = {"alpha": [0.3, 0.6], "reference_margin": [0.0, 0.5, 2.0]}
    data = curve(franz_parisi, Perceptron(0.3), over=grid, distance=0.1)
    exists = data.status.values != Status.NO_SOLUTION.code
    assert exists.tolist() == [[True, True, False], [True, False, False]]
    assert np.isfinite(data.local_entropy.values).tolist() == exists.tolist()
    with pytest.raises(InputError, match=r"margins up to 0\.26272787"):
        curve(franz_parisi, Perceptron(0.6), over={"reference_margin": [1.0, 2.0]}, distance=0.1)


@pytest.mark.parametrize(
    ("model", "arguments", "sentence"),
    [
        (STORAGE, {"distance": 0.0}, "distance: got 0.0; allowed"),
        (STORAGE, {"distance": 0.51}, "distance: got 0.51; allowed"),
        (STORAGE, {"distance": math.nan}, "distance: got nan; allowed"),
        (
            Perceptron(0.3),
            {"reference_margin": 1.0},
            "reference_margin: got 1; allowed: margins up to 0.895391972",
        ),
        (Perceptron(0.9), {}, "alpha: got 0.9.*loads up to 0.833079 at margin 0"),
        (Perceptron(0.8, margin=0.2), {"reference_margin": 0.0}, "alpha: got 0.8.*loads up to 0.647"),
        (Perceptron(1.3, rule=Teacher()), {}, "alpha: got 1.3.*beside the teacher"),
        (STORAGE, {"reference": "teacher"}, "reference: got 'teacher'"),
        (STORAGE, {"reference": "nobody"}, "reference: got 'nobody'; allowed: one of"),
        (
            TAUGHT,
            {"reference": "teacher", "reference_margin": 0.1},
            "reference_margin: got 0.1; allowed: none",
        ),
        (STORAGE, {"reference_margin": "large"}, "reference_margin: got 'large'"),
        (STORAGE, {"start": 1}, "start: got 1"),
        (STORAGE, {"start": {"overlap": 0.3}}, "start: got"),
        (Perceptron(0.5, prior=Spherical(), rule=Teacher()), {}, "model: got Perceptron"),
        (SymmetricPerceptron(0.5), {}, "model: got Symmetric"),
        (3, {}, "model: got 3"),
    ],
)
def test_bad_input_is_one_sentence(model, arguments, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        franz_parisi(model, **{"distance": 0.1, **arguments})
    assert "\n" not in str(caught.value)


def test_bad_input_of_the_thresholds():
    with pytest.raises(InputError, match=r"reference_margin: got 0\.0; allowed: margins above the model's 0"):
        loss_of_monotonicity(STORAGE, 0.0)
    with pytest.raises(InputError, match="model: got -1"):
        maximal_margin(-1)
    with pytest.raises(InputError, match="model: got Perceptron"):
        maximal_margin(Perceptron(0.5, prior=Spherical(), rule=Teacher()))
