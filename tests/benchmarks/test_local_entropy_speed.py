"""Time of a local entropy by belief propagation: 20 distances at N = 1001 in less than 20 s, on one thread."""

import numpy as np
import pytest

from physlearn.kernels.threads import one_thread
from physlearn.landscape import Bethe, local_entropy
from physlearn.models import Perceptron, Teacher
from physlearn.results import Status


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.7])
def test_belief_propagation_around_the_teacher(benchmark, alpha):
    instance = Perceptron(alpha, rule=Teacher()).sample(1001, 1)
    distances = np.linspace(0.02, 0.4, 20)

    def measure():
        return local_entropy(instance, instance.teacher, distances, method=Bethe(), rng=1)

    with one_thread():
        measure()
        curve = benchmark.pedantic(measure, rounds=3)
    assert set(curve.statuses) == {Status.CONVERGED}
    assert benchmark.stats.stats.min < 20
