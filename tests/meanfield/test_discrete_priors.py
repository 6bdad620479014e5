"""Discrete priors of any normalisation: the entropy of a single configuration, and what is judged by it."""

import math

import numpy as np
import pytest

from physlearn.inputs import InputError
from physlearn.meanfield import (
    algorithmic_threshold,
    bayes_optimal,
    capacity,
    information_theoretic_threshold,
    replica_symmetric,
    state_evolution,
)
from physlearn.meanfield import bayes as bayes_module
from physlearn.meanfield.equations import Equations
from physlearn.models import Binary, GeneralizedLinear, Perceptron, Prior, Spherical, Teacher
from physlearn.results import Status


class Atomic(Prior):
    """Weights `values` with masses `masses`."""

    def __init__(self, values, masses, norm="free"):
        self.values, self.masses, self.norm = np.array(values, dtype=float), np.array(masses), norm

    def _terms(self, field, precision):
        field, precision = (
            np.asarray(x, dtype=float)[..., None] for x in np.broadcast_arrays(field, precision)
        )
        return np.log(self.masses) + field * self.values - precision * self.values**2 / 2

    def log_partition(self, field, precision):
        return np.logaddexp.reduce(self._terms(field, precision), axis=-1)

    def _probability(self, field, precision):
        return np.exp(self._terms(field, precision) - self.log_partition(field, precision)[..., None])

    def mean(self, field, precision):
        return self._probability(field, precision) @ self.values

    def variance(self, field, precision):
        distance = self.values - self.mean(field, precision)[..., None]
        return (self._probability(field, precision) * distance**2).sum(axis=-1)

    def sample(self, N, rng):
        return rng.choice(self.values, N, p=self.masses / self.masses.sum())


TERNARY = Atomic([-1, 0, 1], [1 / 3, 1 / 3, 1 / 3])
COUNTED = Atomic([-1, 0, 1], [1.0, 1.0, 1.0])
BIASED = Atomic([-1, 1], [0.2, 0.8], "fixed")
ENTROPY = -0.8 * math.log(0.8) - 0.2 * math.log(0.2)


@pytest.mark.parametrize(
    ("prior", "mass", "equal"),
    [
        (Binary(), 0.0, True),
        (TERNARY, -math.log(3), True),
        (COUNTED, 0.0, True),
        (BIASED, -ENTROPY, False),
        (Atomic(np.arange(-5, 6) / 5, np.full(11, 2.0)), math.log(2), True),
        (Spherical(), -math.inf, False),
    ],
    ids=["binary", "ternary", "counted", "biased", "fine", "sphere"],
)
def test_the_mass_of_a_weight_is_found_from_its_cumulants(prior, mass, equal):
    atoms = Equations(GeneralizedLinear(1.0, prior=prior)).atoms
    assert atoms.log_mass == pytest.approx(mass, abs=1e-8)
    assert atoms.are_equal == equal


def test_normalising_a_prior_shifts_entropies_and_nothing_else():
    loads = []
    for prior in (TERNARY, COUNTED):
        model = GeneralizedLinear(1.0, prior=prior, rule=Teacher())
        informed, other = bayes_optimal(model, "informed"), bayes_optimal(model)
        assert informed.overlap == informed.teacher_overlap == informed.self_overlap == pytest.approx(2 / 3)
        assert informed.generalization_error == 0
        floor = 0.0 if prior is COUNTED else -math.log(3)
        assert informed.free_entropy == informed.entropy == pytest.approx(floor, abs=1e-9)
        assert bayes_optimal(model, "dominant").branch == "uninformed"
        assert other.status is Status.CONVERGED
        loads.append(information_theoretic_threshold(model))
        above = model.with_alpha(loads[-1] + 0.01)
        assert replica_symmetric(above).status is Status.UNPHYSICAL
        assert bayes_optimal(above, "dominant").branch == "informed"
        end = state_evolution(model.with_alpha(1.02 * algorithmic_threshold(model)), 60)
        assert end.status is Status.CONVERGED
        assert end.overlap[-1] == end.teacher_overlap[-1] == pytest.approx(2 / 3)
    assert loads == pytest.approx([2.3352, 2.3352], abs=5e-5)
    assert loads[0] == pytest.approx(loads[1], abs=1e-9)


def test_unequal_masses():
    point, informed = (
        bayes_optimal(GeneralizedLinear(0.6, prior=BIASED, rule=Teacher()), branch)
        for branch in ("uninformed", "informed")
    )
    assert point.overlap == pytest.approx(0.585433, abs=2e-6)
    assert point.status is Status.CONVERGED
    assert point.entropy < 0
    assert informed.entropy == pytest.approx(-ENTROPY, abs=1e-9)
    dominant = bayes_optimal(GeneralizedLinear(0.6, prior=BIASED, rule=Teacher()), "dominant")
    assert dominant.branch == "uninformed"


def test_fewer_than_one_configuration_is_unphysical_whatever_the_norm():
    for prior, floor in ((COUNTED, 0.0), (TERNARY, -math.log(3))):
        point = replica_symmetric(GeneralizedLinear(1.2, prior=prior))
        assert point.entropy - floor == pytest.approx(-0.038, abs=5e-4)
        assert point.status is Status.UNPHYSICAL
        assert replica_symmetric(GeneralizedLinear(1.1, prior=prior)).status is Status.CONVERGED
    assert capacity(TERNARY) == pytest.approx(capacity(COUNTED), abs=1e-9)
    with pytest.raises(InputError, match="all with the same mass"):
        capacity(BIASED)


@pytest.mark.parametrize("alpha", [1e-9, 1e-5, 4e-4, 0.01])
def test_a_teacher_that_is_known_stays_known_at_any_load(alpha):
    assert bayes_optimal(Perceptron(alpha, rule=Teacher()), "informed").overlap == 1


def test_a_missing_transition_gets_a_sentence(monkeypatch):
    # Where the search ends before the informed branch takes the lead.
    monkeypatch.setattr(bayes_module, "algorithmic_threshold", lambda model: 1.1)
    with pytest.raises(InputError, match="takes the lead") as error:
        information_theoretic_threshold(Perceptron(1.0, rule=Teacher()))
    assert "\n" not in str(error.value)
