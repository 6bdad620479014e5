"""theory/replicated-entropy/derivation.md, step by step, against sums, moments and counts of the tests' own."""

import math

import numpy as np
import pytest
from independent import H, entropy, gaussian, log_2cosh, log_H, signs

from physlearn import Perceptron, SymmetricPerceptron, Teacher, replica_symmetric, replicated_entropy


@pytest.mark.parametrize("overlap", [0.2, 0.9, 0.999])
def test_pairs_in_a_window_are_counted_by_the_second_moment(overlap):
    """(SM.2) of the symmetric perceptron: the number of pairs is 2^N exp(N h(q)) p2(q)^P on average."""
    alpha, K = 1.6, 1.0
    z, weight = gaussian(K / math.sqrt(overlap), math.sqrt((1 - overlap) / overlap))
    edges = [(side * K - math.sqrt(overlap) * z) / math.sqrt(1 - overlap) for side in (-1, 1)]
    inside = 2 * (weight * (z > 0)) @ (H(edges[0]) - H(edges[1])) ** 2
    pairs = math.log(2) + entropy(overlap) + alpha * math.log(inside)
    point = replicated_entropy(SymmetricPerceptron(alpha, K), 2, overlap)
    assert point.local_entropy == pytest.approx(pairs / 2, abs=1e-10)


@pytest.mark.parametrize("overlap", [0.3, 0.99])
def test_the_midst_of_infinitely_many_clones_is_in_the_middle_of_the_window(overlap):
    alpha, K = 1.6, 1.0
    share = math.log1p(-2 * H(K / math.sqrt(1 - overlap)))
    point = replicated_entropy(SymmetricPerceptron(alpha, K), math.inf, overlap)
    assert point.local_entropy == pytest.approx(entropy(math.sqrt(overlap)) + alpha * share, abs=1e-10)


def pairs(rng, N, P, flips):
    """ln of the number of ordered pairs of solutions so many flips apart; None where there is none."""
    fields = signs(N) @ rng.standard_normal((N, P)).astype(np.float32)
    solutions = signs(N)[(fields > 0).all(axis=1)]
    count = np.count_nonzero(solutions @ solutions.T == N - 2 * flips)
    return math.log(count) if count else None


def test_pairs_of_solutions_are_those_of_an_enumeration():
    """Two sizes of one load and overlap, over C(N, flips) and extrapolated in 1/N."""
    rng = np.random.default_rng(3)
    values, errors = {}, {}
    for N, P, flips, n in ((6, 2, 1, 4000), (12, 4, 2, 1500)):
        found = [pairs(rng, N, P, flips) for _ in range(n)]
        kept = np.array([value for value in found if value is not None])
        assert len(kept) > 0.97 * n
        kept = (kept - math.log(math.comb(N, flips))) / (2 * N) + entropy(2 / 3) / 2
        values[N], errors[N] = kept.mean(), kept.std(ddof=1) / math.sqrt(n)
    extrapolated = 2 * values[12] - values[6]
    error = math.hypot(2 * errors[12], errors[6])
    assert error < 0.006
    theory = replicated_entropy(Perceptron(1 / 3), 2, 2 / 3).local_entropy
    assert abs(extrapolated - theory) < 4 * error + 0.5 / (6 * 12)
    # More than a curve of independent pairs would allow.
    assert abs(replica_symmetric(Perceptron(1 / 3)).entropy - theory) > 4 * error + 0.5 / (6 * 12)


def free_entropy(model, n, q1, q0, q0_hat, q1_hat, r=0.0, r_hat=0.0):
    """(CL.5) as it stands, in plain products of quadratures."""
    (z, z_weight), (y, y_weight) = gaussian(), gaussian(0.0, 0.1)
    fields = np.sqrt(q0_hat) * z[:, None] + r_hat + np.sqrt(q1_hat - q0_hat) * y
    shares = np.sqrt(q0) * z[:, None] + np.sqrt(q1 - q0) * y
    inner = np.log(np.exp(n * log_2cosh(fields)) @ y_weight) / n
    outer = np.log(np.exp(n * log_H((model.margin - shares) / np.sqrt(1 - q1))) @ y_weight) / n
    weight = 2 * H(-r * z / np.sqrt(q0 - r * r))
    legendre = -q1_hat * (1 - q1) / 2 + n / 2 * (q0 * q0_hat - q1 * q1_hat) - r_hat * r
    return legendre + z_weight @ inner + model.alpha * (z_weight * weight) @ outer


@pytest.mark.parametrize(
    ("model", "n"),
    [(Perceptron(0.5), 2), (Perceptron(0.3, 0.3), 5), (Perceptron(1.1, rule=Teacher()), 3)],
)
def test_the_free_entropy_is_that_of_the_page_and_stationary(model, n):
    q1 = 0.7
    point = replicated_entropy(model, n, q1)
    names = {
        "q0": point.group_overlap,
        "q0_hat": point.group_overlap_conjugate,
        "q1_hat": point.overlap_conjugate,
    }
    if isinstance(model.rule, Teacher):
        names |= {"r": point.teacher_overlap, "r_hat": point.teacher_overlap_conjugate}
    assert free_entropy(model, n, q1, **names) == pytest.approx(point.local_entropy, abs=1e-10)
    for name, value in names.items():
        step = 1e-4
        up, down = (free_entropy(model, n, q1, **{**names, name: value + side * step}) for side in (1, -1))
        assert (up - down) / (2 * step) == pytest.approx(0, abs=1e-6)
    up, down = (free_entropy(model, n, q1 + side * 1e-4, **names) for side in (1, -1))
    assert point.local_entropy_slope == pytest.approx((up - down) / 2e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "n"), [(Perceptron(0.5), 2), (Perceptron(0.3, 0.3), 5), (Perceptron(1.1, rule=Teacher()), 3)]
)
def test_the_eigenvalues_are_those_of_the_page(model, n):
    """(ST.1) by second differences of (CL.2) and (CL.3), and (ST.2) by weighted means."""
    q1 = 0.7
    point = replicated_entropy(model, n, q1)
    q0, q0_hat = point.group_overlap, point.group_overlap_conjugate
    r = point.order_parameters.get("teacher_overlap", 0.0)
    r_hat = point.conjugates.get("teacher_overlap_conjugate", 0.0)
    (z, z_weight), (y, y_weight) = gaussian(), gaussian(0.0, 0.1)
    width = np.sqrt(1 - q1)

    def weights(x):
        return log_2cosh(x[:, None] + np.sqrt(point.overlap_conjugate - q0_hat) * y)

    def fields(x):
        return log_H((model.margin - x[:, None] - np.sqrt(q1 - q0) * y) / width)

    def second(function, x):
        step = 1e-3
        return (function(x + step) - 2 * function(x) + function(x - step)) / step**2

    means = []
    for logarithm, x, outer in (
        (weights, np.sqrt(q0_hat) * z + r_hat, z_weight),
        (fields, np.sqrt(q0) * z, z_weight * 2 * H(-r * z / np.sqrt(q0 - r * r))),
    ):
        density = np.exp(n * logarithm(x)) * y_weight
        within = (density * second(logarithm, x) ** 2).sum(axis=1) / density.sum(axis=1)
        group = second(lambda x, inner=logarithm: np.log(np.exp(n * inner(x)) @ y_weight) / n, x)
        means.append((outer @ group**2, outer @ within))
    between, within = np.prod(means, axis=0)
    assert point.stability_between == pytest.approx(1 - model.alpha * between, abs=1e-5)
    assert point.stability_within == pytest.approx(1 - model.alpha * within, abs=1e-5)
    counted = [point.stability_between, point.stability_within][: 1 if n < 4 else 2]
    assert point.stability == min(counted)
