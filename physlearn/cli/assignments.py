"""What ``--set key=value`` and ``--over name=values`` say: TOML values, bare words, and grids."""

import itertools
import math
import re
import tomllib
from collections.abc import Sequence
from typing import Any

import numpy as np

from physlearn.inputs import reject

MOST_POINTS = 1_000_000  # of a grid, or of a trajectory
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # TOML takes neither .5 nor 1.
_VALUE = 'a TOML value or a bare word, such as 0.5, Teacher or {class="Binary"}'
_AXIS = "NAME=START:STOP:NUM, NAME=VALUE,VALUE or NAME=VALUE, such as alpha=0.1:2:50"


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """The values that ``--set`` gives, by key."""
    return {
        key: _value("--set", text)
        for key, text in _by_key("--set", texts, "KEY=VALUE, such as margin=0.5").items()
    }


def axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """The values along each axis that ``--over`` gives, by name."""
    grid = {name: _axis(name, text) for name, text in _by_key("--over", texts, _AXIS).items()}
    n_points = math.prod(len(values) for values in grid.values())
    if n_points > MOST_POINTS:
        raise reject("--over", f"a grid of {n_points} points", f"at most {MOST_POINTS}")
    return grid


def _by_key(option: str, texts: Sequence[str], allowed: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, _, value = (part.strip() for part in text.partition("="))
        if not key.isidentifier() or not value:
            raise reject(option, text, allowed)
        if key in found:
            raise reject(option, text, f"every name once, and {key} is given twice")
        found[key] = value
    return found


def _axis(name: str, text: str) -> list[Any]:
    if ":" in text and not any(mark in text for mark in "\"'{["):
        return _range(name, text)
    values = _parsed(f"[{text}]")
    if values is None:
        values = [_value("--over", entry.strip()) for entry in text.split(",")]
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        raise reject("--over", f"{name}={text}", "finite numbers")
    distinct = {value if isinstance(value, (int, float)) else repr(value) for value in values}
    if not values or len(distinct) < len(values):
        raise reject("--over", f"{name}={text}", "at least one value, and each of them once")
    return values


def _range(name: str, text: str) -> list[float]:
    """START:STOP:NUM as equal steps, both ends included, rounded so that finer grids share their points."""
    parts = [part.strip() for part in text.split(":")]
    if len(parts) != 3 or not all(_NUMBER.fullmatch(part) for part in parts[:2]):
        raise reject("--over", f"{name}={text}", f"{_AXIS}, with finite numbers")
    start, stop = (float(part) for part in parts[:2])
    num = int(parts[2]) if parts[2].isdecimal() and len(parts[2]) < 20 else 0
    if not 2 <= num <= MOST_POINTS:
        raise reject("--over", f"{name}={text}", f"a number of points NUM >= 2 and <= {MOST_POINTS}")
    with np.errstate(all="ignore"):
        grid = [float(f"{value:.12g}") for value in np.linspace(start, stop, num)]
    if any(a == b for a, b in itertools.pairwise(grid)):
        raise reject("--over", f"{name}={text}", "steps that twelve digits can tell apart")
    return grid


def _value(option: str, text: str) -> Any:
    """What `text` says: a TOML value, a number as Python writes it, or a bare word."""
    values = _parsed(text)
    if values is not None:
        return values
    if _NUMBER.fullmatch(text):
        return float(text)
    if _WORD.fullmatch(text):
        return text
    raise reject(option, text, _VALUE)


def _parsed(text: str) -> Any:
    """The one TOML value in `text`, or None."""
    if "\n" in text:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return None
