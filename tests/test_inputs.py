"""Bad input: one sentence with the field, what was given and what is allowed."""

from fractions import Fraction

import numpy as np
import pytest

from physlearn.inputs import InputError, choice, integer, member, number, reject


def test_a_sentence_names_field_value_and_what_is_allowed():
    assert str(reject("alpha", -1, "numbers > 0")) == "alpha: got -1; allowed: numbers > 0."
    assert str(reject("name", "AMP", "names")) == "name: got 'AMP'; allowed: names."
    assert str(reject("w", "shape (3,)", "others")) == "w: got shape (3,); allowed: others."
    assert len(str(reject("long", list(range(1000)), "short"))) < 120
    assert isinstance(reject("a", 1, "b"), ValueError)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.array(0.5)])
def test_numbers_become_floats(value):
    assert number("x", value, above=0, at_most=1) == float(value)
    assert type(number("x", value)) is float


@pytest.mark.parametrize(
    "value",
    [
        np.nan,
        np.inf,
        -np.inf,
        True,
        np.True_,
        "1",
        None,
        [1.0],
        np.array([1.0]),
        1j,
        10**400,
        Fraction(10**400),
    ],
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(InputError, match=r"^x: got .*; allowed: a finite number\.$"):
        number("x", value)


@pytest.mark.parametrize(
    ("value", "bounds", "allowed"),
    [
        (0, {"above": 0}, "a finite number > 0"),
        (-1, {"at_least": 0}, "a finite number >= 0"),
        (1, {"below": 1}, "a finite number < 1"),
        (2, {"above": 0, "at_most": 1}, "a finite number > 0 and <= 1"),
    ],
)
def test_bounds_are_kept_and_told(value, bounds, allowed):
    with pytest.raises(InputError) as caught:
        number("x", value, **bounds)
    assert str(caught.value) == f"x: got {value}; allowed: {allowed}."


def test_integers_are_integers():
    assert integer("n", np.int8(3), at_least=3, at_most=3) == 3
    assert type(integer("n", np.int64(3))) is int
    for value in (3.0, True, "3", None, 2, 4):
        with pytest.raises(InputError, match=r"^n: got .*; allowed: an integer >= 3 and <= 3\.$"):
            integer("n", value, at_least=3, at_most=3)


def test_choices_and_members():
    assert choice("c", "a", ("a", "b")) == "a"
    for value, own in ((np.str_("a"), "a"), (np.True_, True), (np.int64(3), 3)):
        kept = choice("c", value, ("a", True, 3))
        assert (kept, type(kept)) == (own, type(own))
    assert member("m", 1, int, "integers") == 1
    for value in ("c", 1, None, True):
        with pytest.raises(InputError, match=r"^c: got .*; allowed: one of 'a', 0\.$"):
            choice("c", value, ("a", 0))
    with pytest.raises(InputError, match=r"^c: got"):
        choice("c", False, (0, 1))
    with pytest.raises(InputError, match=r"^m: got 'a'; allowed: integers\.$"):
        member("m", "a", int, "integers")
