"""What the package says of bad input: one sentence with the field, what was given and what is allowed."""

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np


class InputError(ValueError):
    """Raised for bad input; its text is one sentence that names the field, the value given and what is allowed."""


def reject(field: str, given: Any, allowed: str) -> InputError:
    """The error to raise for a `field` that was `given` something other than what is `allowed`."""
    shown = given if isinstance(given, str) and " " in given else repr(given)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return InputError(f"{field}: got {shown}; allowed: {allowed}.")


def number(
    field: str,
    value: Any,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
) -> float:
    """`value` as a finite float inside the given bounds, or an `InputError`."""
    bounds = [
        text
        for limit, text in (
            (above, f"> {above:g}"),
            (at_least, f">= {at_least:g}"),
            (below, f"< {below:g}"),
            (at_most, f"<= {at_most:g}"),
        )
        if math.isfinite(limit)
    ]
    allowed = " and ".join(["a finite number" + (" " + bounds[0] if bounds else ""), *bounds[1:]])
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.ndarray)):
        raise reject(field, value, allowed)
    if isinstance(value, np.ndarray) and value.ndim:
        raise reject(field, value, allowed)
    try:
        result = float(value)
    except OverflowError:  # of an integer or a fraction beyond the range of doubles
        raise reject(field, value, allowed) from None
    if (
        not math.isfinite(result)
        or result <= above
        or result < at_least
        or result >= below
        or result > at_most
    ):
        raise reject(field, value, allowed)
    return result


def integer(field: str, value: Any, *, at_least: int | None = None, at_most: int | None = None) -> int:
    """`value` as an int inside the given bounds, or an `InputError`; whole floats are not taken."""
    bounds = [f">= {at_least}"] if at_least is not None else []
    bounds += [f"<= {at_most}"] if at_most is not None else []
    allowed = " and ".join(["an integer" + (" " + bounds[0] if bounds else ""), *bounds[1:]])
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise reject(field, value, allowed)
    result = int(value)
    if (at_least is not None and result < at_least) or (at_most is not None and result > at_most):
        raise reject(field, value, allowed)
    return result


def choice(field: str, value: Any, options: Iterable[Any]) -> Any:
    """`value`, as Python's own if it is NumPy's, if it is one of `options`, or an `InputError`."""
    options = tuple(options)
    if isinstance(value, np.generic):
        value = value.item()
    if not any(type(value) is type(option) and value == option for option in options):
        raise reject(field, value, "one of " + ", ".join(repr(option) for option in options))
    return value


def keep(item: Any, **checked: Any) -> None:
    """Let the fields of a frozen dataclass be their checked values: Python numbers, whatever was given."""
    for field, value in checked.items():
        object.__setattr__(item, field, value)


def member(field: str, value: Any, kind: type | tuple[type, ...], allowed: str) -> Any:
    """`value` if it is an instance of `kind`, or an `InputError`."""
    if not isinstance(value, kind):
        raise reject(field, value, allowed)
    return value
