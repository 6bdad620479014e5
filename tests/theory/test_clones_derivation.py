"""theory/clones/derivation.md, step by step, against sums, moments and counts of the tests' own."""

import math

import numpy as np
import pytest
from independent import H, entropy, gaussian, signs

from physlearn import Perceptron, SymmetricPerceptron, replica_symmetric, replicated_entropy


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
