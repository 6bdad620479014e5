"""Saddle points: published and recomputed numbers, statuses, and the derivative check of every potential."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from catalogue import Gaussian, Probit

from physlearn.inputs import InputError
from physlearn.meanfield import bayes_optimal, check_stationary, replica_symmetric
from physlearn.meanfield.equations import Conjugates, Equations
from physlearn.models import (
    Channel,
    GeneralizedLinear,
    Perceptron,
    Prior,
    Spherical,
    Storage,
    SymmetricPerceptron,
    Teacher,
    Threshold,
)
from physlearn.quadrature import G, H, log_H
from physlearn.results import Status


@dataclass(frozen=True)
class Ternary(Prior):
    """Weights -1, 0 and 1, each counted once."""

    norm = "free"

    def log_partition(self, field, precision):
        return np.logaddexp(0, np.logaddexp(field, -field) - precision / 2)

    def _weights(self, field, precision):
        total = self.log_partition(field, precision)
        return np.exp(field - precision / 2 - total), np.exp(-field - precision / 2 - total)

    def mean(self, field, precision):
        up, down = self._weights(field, precision)
        return up - down

    def variance(self, field, precision):
        up, down = self._weights(field, precision)
        return up + down - (up - down) ** 2

    def sample(self, N, rng):
        return rng.integers(-1, 2, N)


@dataclass(frozen=True)
class Tempered(Channel):
    """A violated pattern costs `beta`: P(y|h) = 1 if y h > 0, else exp(-beta)."""

    beta: float = 1.0

    @property
    def edges(self):
        return (0.0,)

    def _parts(self, label, mean, variance):
        width, gain = np.sqrt(variance), -np.expm1(-self.beta)
        x = -label * mean / width
        return x, width, gain, np.exp(-self.beta) + gain * H(x)

    def log_partition(self, label, mean, variance):
        return np.log(self._parts(label, mean, variance)[3])

    def gradient(self, label, mean, variance):
        x, width, gain, total = self._parts(label, mean, variance)
        return label * gain * G(x) / (total * width)

    def curvature(self, label, mean, variance):
        x, width, gain, total = self._parts(label, mean, variance)
        return gain * G(x) / total * (x - gain * G(x) / total) / width**2


# alpha, margin, q, q_hat, s of binary storage, to the digits of the reference.
STORAGE = [
    (0.1, 0.0, 0.0634349384, 0.0721447638, 0.6227792106),
    (0.3, 0.0, 0.1908379221, 0.2859786460, 0.4748289266),
    (0.5, 0.0, 0.3223853632, 0.6680349895, 0.3143900669),
    (0.5, 0.1, 0.378733269, 0.917741061, 0.258883916),
]


@pytest.mark.parametrize(("alpha", "margin", "q", "q_hat", "s"), STORAGE)
def test_binary_storage(alpha, margin, q, q_hat, s):
    point = replica_symmetric(Perceptron(alpha, margin))
    assert point.status is Status.CONVERGED
    assert point.residual <= 1e-10
    assert point.overlap == pytest.approx(q, abs=1e-9)
    assert point.overlap_conjugate == pytest.approx(q_hat, abs=1e-9)
    assert point.entropy == pytest.approx(s, abs=1e-9)


def test_the_saddle_point_at_capacity_lies_in_the_proven_interval():
    # Huang: alpha_* in [0.833078599, 0.833078600], q_* and q_hat_* in the intervals below.
    points = [replica_symmetric(Perceptron(alpha)) for alpha in (0.833078599, 0.833078600)]
    assert points[0].entropy > 0 > points[1].entropy
    for point in points:
        assert 0.56394907949 - 2e-9 < point.overlap < 0.56394908030 + 2e-9
        assert 2.5763513100 - 2e-8 < point.overlap_conjugate < 2.5763513224 + 2e-8
        assert 1 - point.stability == pytest.approx(0.5444, abs=5e-5)


def test_spherical_storage():
    point = replica_symmetric(Perceptron(1.0, prior=Spherical()))
    assert point.overlap == pytest.approx(0.5853118518, abs=1e-10)
    assert point.free_entropy == pytest.approx(-0.8558205967, abs=1e-10)
    assert point.status is Status.CONVERGED  # a volume below one is no contradiction


def test_bayes_optimal_teacher():
    point = bayes_optimal(Perceptron(1.0, rule=Teacher()))
    assert point.overlap == pytest.approx(0.560714737, abs=1e-9)
    assert point.entropy == pytest.approx(0.106108268, abs=1e-9)
    assert point.generalization_error == pytest.approx(0.31052644, abs=1e-8)
    assert point.generalization_error_bayes == pytest.approx(0.23062609, abs=1e-8)


def test_the_symmetric_perceptron_is_annealed():
    point = replica_symmetric(SymmetricPerceptron(0.9, 1.2))
    inside = math.erf(1.2 / math.sqrt(2))
    assert point.overlap == 0
    assert point.entropy == pytest.approx(math.log(2) + 0.9 * math.log(inside), abs=1e-12)
    slope = 2 * 1.2 * G(1.2) / inside
    assert point.stability == pytest.approx(1 - 0.9 * slope**2, abs=1e-10)


@pytest.mark.parametrize(
    ("model", "status"),
    [
        (Perceptron(0.84), Status.UNPHYSICAL),
        (Perceptron(1.27), Status.UNPHYSICAL),
        (Perceptron(4 / math.pi), Status.NO_SOLUTION),
        (Perceptron(4 / math.pi + 1e-6), Status.NO_SOLUTION),
        (Perceptron(5.0), Status.NO_SOLUTION),
        (Perceptron(1.999, prior=Spherical()), Status.CONVERGED),
        (Perceptron(2.001, prior=Spherical()), Status.NO_SOLUTION),
        (Perceptron(0.97, 0.5, Spherical()), Status.NO_SOLUTION),
        (Perceptron(2.0, 0.5, rule=Teacher()), Status.NO_SOLUTION),
        (SymmetricPerceptron(3.0), Status.UNPHYSICAL),
        (Perceptron(1.3, rule=Teacher()), Status.UNPHYSICAL),
        (Perceptron(1.6, rule=Teacher()), Status.CONVERGED),
    ],
    ids=repr,
)
def test_status_says_where_there_is_no_solution(model, status):
    point = replica_symmetric(model)
    assert point.status is status
    if status is Status.NO_SOLUTION:
        assert point.overlap == 1
        assert math.isnan(point.entropy)
    assert point.is_physical == (status is Status.CONVERGED)


def test_perfect_learning():
    for point in (
        bayes_optimal(Perceptron(1.6, rule=Teacher())),
        bayes_optimal(Perceptron(0.5, rule=Teacher()), "informed"),
        replica_symmetric(Perceptron(1.6, rule=Teacher())),
    ):
        assert point.status is Status.CONVERGED
        assert point.overlap == point.teacher_overlap == point.estimator_overlap == 1
        assert point.entropy == point.generalization_error == point.generalization_error_bayes == 0


MODELS = [
    Perceptron(0.5),
    Perceptron(1.1),
    Perceptron(0.4, 0.7),
    Perceptron(2.0, -1.0),
    Perceptron(1.3, prior=Spherical()),
    Perceptron(1.0, -0.5, Spherical()),
    SymmetricPerceptron(0.8),
    Perceptron(1.2, rule=Teacher()),
    Perceptron(0.6, 0.3, rule=Teacher()),
    Perceptron(2.0, -0.4, rule=Teacher()),
    Perceptron(1.5, prior=Spherical(), rule=Teacher()),
    Perceptron(0.8, 0.2, Spherical(), Teacher()),
    GeneralizedLinear(0.9, Tempered(2.0)),
    GeneralizedLinear(1.4, Probit(0.3), rule=Teacher()),
    GeneralizedLinear(1.1, prior=Gaussian(), rule=Teacher()),
    GeneralizedLinear(0.7, Threshold(0.2), Gaussian()),
    GeneralizedLinear(0.7, Threshold(0.2), Ternary()),
    GeneralizedLinear(0.9, prior=Ternary(), rule=Teacher()),
]


@pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: f"{type(model.prior).__name__}-{model.channel}-{model.rule}"
)
def test_the_gradient_of_every_potential_vanishes(model):
    point = replica_symmetric(model)
    assert point.residual <= 1e-10
    assert check_stationary(point, tolerance=1e-7) < 1e-7


@pytest.mark.parametrize(
    "name", ["overlap", "teacher_overlap", "overlap_conjugate", "teacher_overlap_conjugate"]
)
def test_the_derivative_check_sees_a_displaced_point(name):
    point = replica_symmetric(Perceptron(1.2, -0.1, rule=Teacher()))
    store = "conjugates" if name.endswith("conjugate") else "order_parameters"
    entries = getattr(point, store)
    moved = replace(point, **{store: {**entries, name: entries[name] * (1 + 1e-4)}})
    with pytest.raises(ArithmeticError, match="not stationary"):
        check_stationary(moved)


@pytest.mark.parametrize("margin", [-0.01, -0.03, -0.07])
@pytest.mark.parametrize("alpha", [3.0, 6.0, 9.9])
def test_the_derivative_check_is_as_sharp_as_rounding_lets_it_be(alpha, margin):
    # 1 - r^2/q is 1e-8 to 1e-12 here, which is all that a difference may move over.
    point = replica_symmetric(Perceptron(alpha, margin, rule=Teacher()))
    check_stationary(point)
    rest = 1 - point.teacher_overlap**2 / point.overlap
    values = {**point.order_parameters, "teacher_overlap": 1 - (1 - point.teacher_overlap) * 1.1}
    with pytest.raises(ArithmeticError, match="not stationary"):
        check_stationary(replace(point, order_parameters=values))
    values = {**point.order_parameters, "overlap": point.overlap - 2 * rest}
    with pytest.raises(InputError, match="overlaps that two replicas and the teacher can have"):
        check_stationary(replace(point, order_parameters=values))


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (replica_symmetric(Perceptron(5.0)), "point: got status NO_SOLUTION with an overlap of 1;"),
        (bayes_optimal(Perceptron(2.0, rule=Teacher())), "point: got status CONVERGED with an overlap of 1;"),
        (3, "point: got 3"),
    ],
    ids=["none", "perfect", "number"],
)
def test_where_there_is_no_gradient_the_check_says_so(point, message):
    with pytest.raises(InputError, match=message) as error:
        check_stationary(point)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "model",
    [
        Perceptron(1.2, rule=Teacher()),
        Perceptron(1.4926, rule=Teacher()),
        Perceptron(2.5, prior=Spherical(), rule=Teacher()),
        GeneralizedLinear(1.4, Probit(0.3), rule=Teacher()),
        GeneralizedLinear(0.9, prior=Ternary(), rule=Teacher()),
    ],
    ids=repr,
)
def test_replica_symmetry_becomes_bayes_optimal_for_a_matched_student(model):
    free, constrained = replica_symmetric(model), bayes_optimal(model)
    assert free.teacher_overlap == pytest.approx(free.overlap, abs=1e-9)
    for name in (
        "overlap",
        "overlap_conjugate",
        "teacher_overlap_conjugate",
        "entropy",
        "stability",
        "estimator_overlap",
    ):
        assert getattr(free, name) == pytest.approx(getattr(constrained, name), abs=1e-8)


def test_independent_gaussian_weights_learn_as_well_as_spherical_ones():
    free = bayes_optimal(GeneralizedLinear(1.0, prior=Gaussian(), rule=Teacher()))
    sphere = bayes_optimal(Perceptron(1.0, prior=Spherical(), rule=Teacher()))
    assert free.self_overlap == pytest.approx(1.0, abs=1e-12)
    for name in ("overlap", "overlap_conjugate", "entropy", "stability", "generalization_error_bayes"):
        assert getattr(free, name) == pytest.approx(getattr(sphere, name), abs=1e-11)


@pytest.mark.parametrize("q_hat", [5.0, 40.0, 200.0])
def test_what_is_not_known_of_the_teacher_stays_accurate_near_perfect_learning(q_hat):
    # 1 - r^2/q, of the general equations, where Nishimori says it is 1 - q: a number far below rounding.
    model = Perceptron(1.5, rule=Teacher())
    order = Equations(model).order(Conjugates(q_hat, math.sqrt(q_hat)))
    assert order.teacher_variance == pytest.approx(order.variance, rel=1e-9, abs=0)
    matched = Equations(model, matched=True).order(Conjugates(q_hat, math.sqrt(q_hat)))
    assert order.variance == pytest.approx(matched.variance, rel=1e-9, abs=0)
    assert 0 < order.variance < 1e-43 or q_hat < 200


@pytest.mark.parametrize("beta", [0.5, 2.0, 8.0])
def test_the_entropy_of_a_soft_channel_is_thermodynamic(beta):
    # s = phi + beta e with the energy e = -d phi/d beta.
    phi = {
        k: replica_symmetric(GeneralizedLinear(0.8, Tempered(beta + 1e-3 * k))).free_entropy
        for k in (-1, 0, 1)
    }
    point = replica_symmetric(GeneralizedLinear(0.8, Tempered(beta)))
    assert point.entropy == pytest.approx(phi[0] - beta * (phi[1] - phi[-1]) / 2e-3, abs=1e-6)
    assert point.entropy > point.free_entropy


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
def test_a_matched_posterior_answers_as_uncertainly_as_the_teacher(noise):
    # Nishimori: E ln P(y|h) is the same for a student drawn from the posterior as for the teacher.
    alpha = 0.8
    point = replica_symmetric(GeneralizedLinear(alpha, Probit(noise), rule=Teacher()))
    h = np.linspace(-12, 12, 200001)
    log_p = log_H(h / noise)
    of_teacher = 2 * np.trapezoid(G(h) * np.exp(log_p) * log_p, h)
    assert (point.free_entropy - point.entropy) / alpha == pytest.approx(of_teacher, abs=1e-8)


@pytest.mark.parametrize("noise", [1e-5, 1e-3, 0.3])
def test_the_entropy_of_a_matched_student_counts_the_teachers_own_noise(noise):
    # One integral by Nishimori; the width of the peak is the noise, so in its units.
    alpha = 0.8
    point = bayes_optimal(GeneralizedLinear(alpha, Probit(noise), rule=Teacher()))
    u = np.linspace(-12, 12, 20001) / max(1, noise)
    log_p = log_H(u)
    of_teacher = 2 * noise * np.trapezoid(G(noise * u) * np.exp(log_p) * log_p, u)
    # Differences of numbers of order one keep 1e-15; of the integral itself ten digits are asked.
    assert (point.free_entropy - point.entropy) / alpha == pytest.approx(of_teacher, rel=1e-10, abs=1e-14)


class Careless(Channel):
    """The sign, with a quotient that is zero over zero in the tail."""

    def log_partition(self, label, mean, variance):
        return log_H(-label * mean / np.sqrt(variance))

    def gradient(self, label, mean, variance):
        x = -label * mean / np.sqrt(variance)
        with np.errstate(all="ignore"):
            return label * G(x) / H(x) / np.sqrt(variance)

    def curvature(self, label, mean, variance):
        g = self.gradient(label, mean, variance)
        return -g * (g + label * mean / variance)


def test_a_channel_that_fails_in_the_tails_is_told_where():
    for alpha, rule in ((1.6, Teacher()), (1.27, Storage())):
        with (
            pytest.raises(
                InputError, match=r"^channel: got .*Careless.*, whose gradient is not finite at label"
            ) as error,
            np.errstate(invalid="ignore"),
        ):
            replica_symmetric(GeneralizedLinear(alpha, Careless(), rule=rule))
        assert "\n" not in str(error.value)


def test_a_soft_channel_hardens():
    hard = replica_symmetric(Perceptron(0.5))
    soft = replica_symmetric(GeneralizedLinear(0.5, Tempered(40.0)))
    assert soft.entropy == pytest.approx(hard.entropy, abs=1e-9)


def test_limits_of_margin_and_load():
    assert replica_symmetric(Perceptron(1.0, -8.0)).entropy == pytest.approx(math.log(2), abs=1e-12)
    assert replica_symmetric(Perceptron(1e-9)).entropy == pytest.approx(math.log(2) * (1 - 1e-9), abs=1e-13)
    wide = bayes_optimal(GeneralizedLinear(1.0, Probit(1e4), rule=Teacher()))
    assert wide.overlap < 1e-7
    assert wide.generalization_error_bayes == pytest.approx(0.5, abs=1e-4)


def test_entropy_falls_as_the_energy_of_constraints_says():
    # ds/d alpha is the mean log of the fraction that one more pattern leaves: E ln H, by the envelope theorem.
    s = {k: replica_symmetric(Perceptron(0.5 + 1e-4 * k)).entropy for k in (-1, 1)}
    point = replica_symmetric(Perceptron(0.5))
    q = point.overlap
    z = np.linspace(-12, 12, 20001)
    mean = np.trapezoid(G(z) * log_H(-math.sqrt(q / (1 - q)) * z), z)
    assert (s[1] - s[-1]) / 2e-4 == pytest.approx(mean, abs=1e-7)


def test_a_start_chooses_the_branch():
    model = Perceptron(1.3, rule=Teacher())
    away = replica_symmetric(model, start={"overlap": 1 - 1e-9, "teacher_overlap": 1 - 1e-9})
    assert away.overlap == 1
    assert away.branch == "continued"
    near = replica_symmetric(model, start=replica_symmetric(Perceptron(1.29, rule=Teacher())))
    assert near.overlap == pytest.approx(bayes_optimal(model).overlap, abs=1e-9)
    assert replica_symmetric(
        Perceptron(0.5), start=replica_symmetric(Perceptron(9.0))
    ).overlap == pytest.approx(0.3223853632, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replica_symmetric("perceptron"), "model: got 'perceptron'"),
        (lambda: replica_symmetric(Perceptron(1.0), start={"q": 0.5}), "start: got"),
        (lambda: replica_symmetric(Perceptron(1.0), start={"overlap": 1.5}), r"overlap'\]: got 1.5"),
        (lambda: replica_symmetric(Perceptron(1.0), start=0.5), "start: got 0.5"),
        (lambda: bayes_optimal(Perceptron(1.0)), r"rule: got Storage\(\)"),
        (lambda: bayes_optimal(Perceptron(1.0, 0.2, rule=Teacher())), "only a matched student"),
        (lambda: bayes_optimal(Perceptron(1.0, rule=Teacher()), "best"), "branch: got 'best'"),
    ],
)
def test_bad_input_gets_a_sentence(call, message):
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_saddle_point_becomes_a_dataset():
    data = bayes_optimal(Perceptron(1.0, rule=Teacher())).to_dataset()
    assert {
        "overlap",
        "teacher_overlap",
        "entropy",
        "stability",
        "status",
        "generalization_error_amp",
    } <= set(data)
    assert data.status == Status.CONVERGED.code
