"""Segments and flips between typical solutions: identities, limits, exact connectivity, and sampled solutions."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

from physlearn import Enumeration, Perceptron, Spherical, Status, Teacher, curve, replica_symmetric, solve
from physlearn.inputs import InputError
from physlearn.meanfield import (
    check_stationary,
    connectivity_barrier,
    convex_margin,
    franz_parisi,
    is_linearly_connected,
    kernel_margin,
    linear_connectivity,
    maximal_margin,
)
from physlearn.meanfield.connectivity import pair_of

SPHERE = Perceptron(1.0, margin=-0.5, prior=Spherical())
# Model, the two margins, and the path.
CASES = {
    "sphere": (SPHERE, (-0.5, -0.35), "segment"),
    "sphere, far": (Perceptron(2.0, margin=-1.0, prior=Spherical()), (-1.0, -0.8), "segment"),
    "taught sphere": (
        Perceptron(1.0, margin=-0.5, prior=Spherical(), rule=Teacher()),
        (-0.5, -0.4),
        "segment",
    ),
    "binary": (Perceptron(0.6, margin=-0.5), (-0.5, -0.4), "segment"),
    "flips": (Perceptron(0.5), (0.0, 0.2), "flips"),
    "taught flips": (Perceptron(0.7, rule=Teacher()), (0.0, 0.2), "flips"),
}


@pytest.mark.parametrize("rule", [{}, {"rule": Teacher()}])
@pytest.mark.parametrize("margin", [0.05, 0.3, "maximal"])
def test_the_overlap_is_the_free_one_of_franz_and_parisi(rule, margin):
    """Solutions around a typical one are most numerous at the overlap of two independent ones."""
    model = Perceptron(0.6 if rule else 0.4, **rule)
    pair = linear_connectivity(model, 0.5, 0.0, margin)
    around = franz_parisi(model, (1 - pair.typical_overlap) / 2, margin)
    assert around.local_entropy_slope == pytest.approx(0, abs=1e-9)
    assert around.typical_overlap == pytest.approx(pair.typical_overlap, abs=1e-10)
    assert around.local_entropy == pytest.approx(pair.first_entropy, abs=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_the_covariance_of_the_entropies_is_stationary(name):
    model, margins, path = CASES[name]
    point = linear_connectivity(model, 0.5, *margins, path=path)
    assert point.status is Status.CONVERGED
    assert point.residual < 1e-9
    assert check_stationary(point, 1e-8) < 1e-8


@pytest.mark.parametrize("name", CASES)
def test_ends_may_be_exchanged(name):
    model, (first, second), path = CASES[name]
    there = linear_connectivity(model, 0.3, first, second, path=path)
    back = linear_connectivity(model, 0.7, second, first, path=path)
    assert there.typical_overlap == pytest.approx(back.typical_overlap, abs=1e-11)
    assert there.training_error == pytest.approx(back.training_error, rel=1e-9)
    assert there.training_error > 1e-6


@pytest.mark.parametrize("path", ["segment", "flips"])
def test_one_margin_is_the_limit_of_two(path):
    model = Perceptron(0.6, margin=-0.5)
    one = linear_connectivity(model, 0.4, path=path)
    two = linear_connectivity(model, 0.4, -0.5, -0.5 + 1e-5, path=path)
    assert one.typical_overlap == replica_symmetric(model).overlap
    assert two.typical_overlap == pytest.approx(one.typical_overlap, abs=1e-4)
    assert two.training_error == pytest.approx(one.training_error, abs=1e-5)


def drawn_fields(pair, n, rng):
    """Fields of both ends on n patterns, drawn as (LC.3) says: the cavity's, then the solution's, then the label."""
    first, second, t = pair.first, pair.second, pair.overlap
    covariance = np.array([[first.overlap, t], [t, second.overlap]])
    if pair.has_teacher:
        r = [first.teacher_overlap, second.teacher_overlap]
        covariance = np.block([[covariance, np.array([r]).T], [np.array([r]), np.ones((1, 1))]])
    values, vectors = np.linalg.eigh(covariance)
    cavity = rng.standard_normal((n, len(values))) * np.sqrt(np.maximum(values, 0)) @ vectors.T
    if pair.has_teacher:
        cavity *= np.sign(cavity[:, 2:])
    fields = []
    for point, omega in zip((first, second), cavity.T, strict=False):
        width = math.sqrt(1 - point.overlap)
        above = ndtr(-(point.model.margin - omega) / width)
        fields.append(omega - width * ndtri(above * rng.random(n)))
    return fields


@pytest.mark.parametrize("name", CASES)
def test_drawn_fields_have_these_errors(name):
    model, margins, path = CASES[name]
    rng = np.random.default_rng(3)
    pair = pair_of(model.alpha, margins, model.teacher_channel is not None, model.prior)
    n = 400_000
    first, second = drawn_fields(pair, n, rng)
    for p in (0.2, 0.6):
        point = linear_connectivity(model, p, *margins, path=path)
        c = math.sqrt(1 - 2 * p * (1 - p) * (1 - point.typical_overlap))
        field = (1 - p) * first + p * second
        noise = math.sqrt(1 - c**2) * rng.standard_normal(n)
        error = np.mean((field / c if path == "segment" else field + noise) < model.margin)
        assert abs(error - point.training_error) < 4 * math.sqrt(point.training_error / n) + 1e-6


def test_without_constraints_the_fields_are_independent():
    """alpha to 0: t to 0, and half of the flips between two half-normal fields."""

    def wrong(x):  # the sum of two half-normal fields has this density
        density = 2 * math.exp(-(x**2) / 4) / math.sqrt(math.pi) * math.erf(x / 2)
        return density * ndtr(-(x / 2) * math.sqrt(2))

    expected = quad(wrong, 0, 20)[0]
    point = linear_connectivity(Perceptron(1e-6), 0.5, path="flips")
    assert point.typical_overlap < 1e-5
    assert point.training_error == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rule", [{}, {"rule": Teacher()}])
@pytest.mark.parametrize("prior", [{}, {"prior": Spherical()}])
def test_margins_that_nothing_violates(prior, rule):
    point = connectivity_barrier(Perceptron(0.5, margin=-38.0, **prior, **rule), -38.0, -37.0)
    assert point.status is Status.CONVERGED
    assert point.typical_overlap == pytest.approx(0, abs=1e-12)
    assert point.training_error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("prior", [{}, {"prior": Spherical()}])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_solutions_of_no_negative_margin_are_convex(prior, margin):
    model = Perceptron(0.4, margin=margin, **prior)
    assert is_linearly_connected(model, margin, margin + 0.1)
    assert connectivity_barrier(model, margin, margin + 0.1).training_error == 0


def test_flips_meet_a_lower_barrier_between_larger_margins():
    """alpha = 0.5: from 16 per cent between zero margins to 5 per cent between maximal ones."""
    model = Perceptron(0.5)
    barriers = [
        connectivity_barrier(model, *pair, path="flips").training_error
        for pair in [(0.0, 0.0), (0.0, 0.1), (0.0, "maximal"), ("maximal", "maximal")]
    ]
    assert barriers == sorted(barriers, reverse=True)
    assert barriers[0] > 3 * barriers[-1]


def test_the_barrier_is_the_largest_error():
    model, margins, path = CASES["sphere"]
    barrier = connectivity_barrier(model, *margins, path=path)
    data = curve(
        linear_connectivity,
        model,
        over={"position": np.linspace(0, 1, 41)},
        first_margin=margins[0],
        second_margin=margins[1],
    )
    errors = data.training_error.values
    assert errors[0] == errors[-1] == 0
    assert 0 < barrier.training_error - errors.max() < 1e-3 * errors.max()
    assert abs(barrier.position - data.position.values[errors.argmax()]) < 1 / 40


@pytest.mark.parametrize(
    "model", [SPHERE, CASES["taught sphere"][0], CASES["binary"][0], Perceptron(3.0, -0.5, Spherical())]
)
def test_margins_of_connection(model):
    """Beyond them there is no barrier at all; before, there is one. The kernel lies inside the convex region."""
    kernel, convex = kernel_margin(model), convex_margin(model)
    assert model.margin < convex < kernel < 0
    pair = linear_connectivity(model, 0.5, None, kernel)
    assert kernel == pytest.approx(model.margin * pair.typical_overlap, abs=1e-11)
    for first, second in [(model.margin, kernel), (convex, convex)]:
        # Where it is the kernel's, the barrier opens next to the end of the model's margin.
        for step, connected in [(1e-3, True), (-2e-2, False)]:
            shifted = (first if first == model.margin else first + step, second + step)
            assert is_linearly_connected(model, *shifted) is connected
            assert (connectivity_barrier(model, *shifted).training_error == 0) is connected
    assert not is_linearly_connected(model)


def test_the_star_has_no_kernel_at_large_loads():
    with pytest.raises(InputError, match="alpha: got 4, where no typical solutions"):
        kernel_margin(Perceptron(4.0, margin=-0.5, prior=Spherical()))
    with pytest.warns(UserWarning, match="Replica symmetry is unstable at load 4"):
        convex_margin(Perceptron(4.0, margin=-0.5, prior=Spherical()))


def test_a_teacher_is_one_more_solution_of_zero_margin():
    """Nishimori: two solutions overlap as each does with the teacher; half way they know more than either."""
    model = Perceptron(0.7, rule=Teacher())
    point = linear_connectivity(model, 0.5, path="segment")
    r = replica_symmetric(model).teacher_overlap
    assert point.typical_overlap == pytest.approx(r, abs=1e-10)
    assert point.generalization_error == pytest.approx(
        math.acos(r / math.sqrt((1 + r) / 2)) / math.pi, abs=1e-10
    )
    flipped = linear_connectivity(model, 0.5, path="flips")
    assert flipped.generalization_error == pytest.approx(math.acos(r) / math.pi, abs=1e-10)


def length(w):
    return np.linalg.norm(w, axis=-1, keepdims=True)


def walk(patterns, w, margin, n_steps, rng):
    """Uniform solutions on the sphere: each step draws from what a random great circle has of them."""
    B, _, N = patterns.shape
    for _ in range(n_steps):
        v = rng.standard_normal(w.shape)
        v -= w * (v * w).sum(axis=-1, keepdims=True) / N
        v *= math.sqrt(N) / length(v)
        a, b = (np.einsum("bpn,bn->bp", patterns, u) / math.sqrt(N) for u in (w, v))
        radius, phase = np.hypot(a, b), np.arctan2(b, a)
        half = np.arccos(np.clip(margin / radius, -1, 1))
        start, end = (phase + half) % (2 * np.pi), (phase - half) % (2 * np.pi)  # of what violates a pattern
        start[radius <= -margin] = end[radius <= -margin] = 2 * np.pi
        order = np.argsort(start, axis=1)
        start, end = (np.take_along_axis(angle, order, axis=1) for angle in (start, end))
        left = np.concatenate([np.zeros((B, 1)), np.maximum.accumulate(end, axis=1)], axis=1)
        right = np.concatenate([start, np.full((B, 1), 2 * np.pi)], axis=1)
        gaps = np.maximum(right - left, 0)
        total = np.cumsum(gaps, axis=1)
        u = rng.random((B, 1)) * total[:, -1:]
        k = np.argmax(total > u, axis=1)[:, None]
        angle = (np.take_along_axis(left - total + gaps, k, axis=1) + u)[:, 0, None]
        w = np.cos(angle) * w + np.sin(angle) * v
        w *= math.sqrt(N) / length(w)
    return w


def first_solutions(patterns, margin, rng):
    B, _, N = patterns.shape
    w = rng.standard_normal((B, N))
    while True:
        w *= math.sqrt(N) / length(w)
        missing = np.maximum(margin + 0.02 - np.einsum("bpn,bn->bp", patterns, w) / math.sqrt(N), 0)
        if not (missing > 0.02).any():
            return w
        w += 0.3 * np.einsum("bp,bpn->bn", missing, patterns) / math.sqrt(N)


def sampled(model, margins, N, n_instances, n_steps, n_samples, rng, positions):
    """Overlap, and errors on the segment, of independently sampled solutions: means over instances, errors."""
    P = round(model.alpha * N)
    patterns = rng.standard_normal((n_instances, P, N))
    if model.teacher_channel is not None:
        teacher = rng.standard_normal((n_instances, N))
        patterns *= np.sign(np.einsum("bpn,bn->bp", patterns, teacher))[..., None]
    ends = [first_solutions(patterns, margin, rng) for margin in margins]
    rows = []
    for sample in range(n_samples + 2):
        ends = [walk(patterns, w, margin, n_steps, rng) for w, margin in zip(ends, margins, strict=True)]
        if sample < 2:
            continue
        row = [(ends[0] * ends[1]).sum(axis=-1) / N]
        for p in positions:
            w = (1 - p) * ends[0] + p * ends[1]
            fields = np.einsum("bpn,bn->bp", patterns, w) / length(w)
            row.append((fields <= model.margin).mean(axis=-1))
        rows.append(row)
    each = np.mean(rows, axis=0)
    return each.mean(axis=-1), each.std(axis=-1) / math.sqrt(n_instances)


def check_sampled(name, N, n_instances, n_steps, n_samples, allowance):
    model, margins, _ = CASES[name]
    positions = (0.2, 0.5)
    found, errors = sampled(
        model, margins, N, n_instances, n_steps, n_samples, np.random.default_rng(1), positions
    )
    points = [linear_connectivity(model, p, *margins) for p in positions]
    theory = np.array([points[0].typical_overlap, *(point.training_error for point in points)])
    assert np.all(np.abs(found - theory) < 4 * errors + allowance * np.maximum(theory, 1e-3))
    assert errors[0] < 0.02


def test_sampled_solutions_of_the_sphere():
    """N = 40: within 4 standard errors, and a fifth for the size."""
    check_sampled("sphere, far", 40, 32, 600, 6, 0.2)


@pytest.mark.validation
@pytest.mark.parametrize("name", ["sphere", "sphere, far", "taught sphere"])
def test_more_sampled_solutions_of_the_sphere(name):
    """N = 100: within 4 standard errors, and 5 per cent for the size."""
    check_sampled(name, 100, 32, 3000, 4, 0.05)


def enumerated(N, P, n_instances, margin, rng):
    """Overlap of a zero-margin solution and one of this margin, and errors half way by flips."""
    rows = []
    for _ in range(n_instances):
        instance = Perceptron(P / N, patterns="gaussian").sample(N, rng)
        found = solve(instance, Enumeration(), rng)
        if found.status is not Status.CONVERGED and not found.n_solutions:
            continue
        w = found.configurations().astype(np.float64)
        good = (w @ instance.gauged.T).min(axis=1) / math.sqrt(N) > margin
        if not good.any():
            continue
        first, second = w[rng.integers(len(w), size=400)], w[good][rng.integers(good.sum(), size=400)]
        between = np.where(rng.random(first.shape) < 0.5, first, second)
        rows.append([(first * second).mean(), (between @ instance.gauged.T < 0).mean()])
    return np.mean(rows, axis=0), np.std(rows, axis=0) / math.sqrt(len(rows))


def test_enumeration_of_small_systems():
    """N = 9, 15 and 21, extrapolated by a parabola in 1/N: within 4 standard errors."""
    rng = np.random.default_rng(4)
    sizes, numbers = (9, 15, 21), (2000, 1500, 250)
    found = [enumerated(N, N // 3, n, 0.3, rng) for N, n in zip(sizes, numbers, strict=True)]
    x = 1 / np.array(sizes)
    weights = np.array([np.prod([x[j] / (x[j] - x[i]) for j in range(3) if j != i]) for i in range(3)])
    means, errors = (np.array(rows) for rows in zip(*found, strict=True))
    limit, error = weights @ means, np.sqrt(weights**2 @ errors**2)
    point = linear_connectivity(Perceptron(1 / 3), 0.5, 0.0, 0.3, path="flips")
    theory = np.array([point.typical_overlap, point.training_error])
    assert np.all(np.abs(limit - theory) < 4 * error)
    assert np.all(error < 0.02)


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (linear_connectivity, (SPHERE, 1.1), "position: got 1.1; allowed"),
        (linear_connectivity, (SPHERE, 0.5, -0.6), "first_margin: got -0.6; allowed: at least the model's"),
        (linear_connectivity, (SPHERE, 0.5, -0.5, 0.5), "second_margin: got 0.5, of which there are no sol"),
        (linear_connectivity, (SPHERE, 0.5, "maximal"), "first_margin: got 'maximal'; allowed: numbers"),
        (
            linear_connectivity,
            (Perceptron(0.3), 0.5, 1.0),
            "first_margin: got 1; allowed: margins up to 0.895",
        ),
        (linear_connectivity, (Perceptron(0.9), 0.5), "alpha: got 0.9"),
        (kernel_margin, (Perceptron(0.3),), "margin: got 0.0; allowed: negative margins"),
        (is_linearly_connected, (0.5,), "model: got 0.5"),
    ],
)
def test_bad_input_is_one_sentence(function, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        function(*arguments)


def test_bad_paths():
    with pytest.raises(InputError, match="path: got 'flips'; allowed: 'segment'"):
        linear_connectivity(SPHERE, 0.5, path="flips")
    with pytest.raises(InputError, match="path: got 'arc'"):
        linear_connectivity(SPHERE, 0.5, path="arc")


def test_the_maximal_margin_is_a_margin():
    named = linear_connectivity(Perceptron(0.5), 0.5, "maximal")
    assert named == linear_connectivity(Perceptron(0.5), 0.5, maximal_margin(0.5))
