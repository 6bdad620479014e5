"""Streams: addressed by what they are for, not by when they were asked for."""

import numpy as np
import pytest

from physlearn.inputs import InputError
from physlearn.random import Key, canonical, generator, point_hash, streams

POINT = {"alpha": 0.5, "N": 11, "solver": "AMP"}


def first(generators):
    return generators.disorder.random(), generators.dynamics.random()


def test_the_same_address_gives_the_same_streams():
    assert first(streams(1, POINT, 0)) == first(streams(1, dict(reversed(POINT.items())), 0))
    assert point_hash(POINT) == point_hash({"alpha": np.float64(0.5), "N": np.int64(11), "solver": "AMP"})
    assert point_hash({"N": 11}) == point_hash({"N": 11.0})


def test_disorder_depends_on_seed_size_and_instance_only():
    disorder = first(streams(1, POINT, 0))[0]
    assert first(streams(1, {**POINT, "alpha": 0.6, "solver": "annealing"}, 0))[0] == disorder
    others = [streams(2, POINT, 0), streams(1, {**POINT, "N": 13}, 0), streams(1, POINT, 1)]
    assert all(first(other)[0] != disorder for other in others)


def test_dynamics_depend_on_everything():
    dynamics = first(streams(1, POINT, 0))[1]
    changes = ({"alpha": 0.6}, {"N": 13}, {"solver": "annealing"}, {"beta": 1.0})
    others = [
        streams(2, POINT, 0),
        streams(1, POINT, 1),
        *(streams(1, {**POINT, **change}, 0) for change in changes),
    ]
    drawn = {first(other)[1] for other in others}
    assert len(drawn | {dynamics}) == len(others) + 1


def test_the_keys_are_those_written_down():
    expected = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(0, 11, 3))).random()
    assert streams(5, POINT, 3).disorder.random() == expected
    expected = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(1, *point_hash(POINT), 3))).random()
    assert streams(5, POINT, 3).dynamics.random() == expected
    assert (Key.DISORDER, Key.DYNAMICS) == (0, 1)


def test_hashes_are_those_of_earlier_versions():
    # Written down once: a change here changes the answer of every scan ever run.
    expected = (1461673421, 3462886149, 2817992536, 3049363610)
    assert point_hash({"alpha": 0.5, "N": 11}) == point_hash({"N": 11, "alpha": 0.5}) == expected


def test_points_that_differ_are_told_apart():
    values = [1, 1.5, "1", True, None, [1], {"a": 1}, {"a": 2}]
    assert len({repr(canonical(value)) for value in values}) == len(values)


def test_a_generator_comes_from_a_seed_or_is_passed_on():
    rng = np.random.default_rng(1)
    assert generator(rng) is rng
    assert generator(1).random() == np.random.default_rng(1).random()
    assert generator(np.random.SeedSequence(1)).random() == np.random.default_rng(1).random()


@pytest.mark.parametrize("rng", [None, -1, 1.5, True, "1"])
def test_there_is_no_default_seed(rng):
    with pytest.raises(InputError, match=r"^rng: got"):
        generator(rng)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(InputError, match=r"^seed: got"):
        streams(seed, POINT, 0)
