"""What a study file may hold: its keys, their kinds, and how a profile overrides them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from physlearn.inputs import integer, member, number, reject

KEYS = {
    "question": str,
    "seed": int,
    "task": str,
    "measure": list,
    "instances": int,
    "model": dict,
    "axes": dict,
    "constants": dict,
    "along": str,
    "points": list,
    "solver": list,
    "reference": list,
    "theory": list,
    "threshold": list,
    "refine": dict,
    "finite_size": dict,
    "figure": dict,
    "profiles": dict,
}
REQUIRED = ("question", "seed", "measure", "instances", "model", "axes", "solver")
NAMED = ("solver", "reference", "theory", "threshold")
MOST_POINTS = 1_000_000  # of a grid
_IN_WORDS = {str: "a string", int: "an integer", list: "a list", dict: "a table"}


def check_keys(content: Mapping[str, Any], required: tuple[str, ...]) -> None:
    """Raise unless a study and its profiles hold known keys of the right kinds, and those that are `required`."""
    only("", content, KEYS, required)
    for name, profile in content.get("profiles", {}).items():
        member(f"profiles.{name}", profile, dict, "a table")
        unknown = [key for key in profile if key not in KEYS or key == "profiles"]
        if unknown:
            allowed = "keys " + ", ".join(key for key in KEYS if key != "profiles")
            raise reject(f"profiles.{name}.{unknown[0]}", profile[unknown[0]], allowed)


def only(field: str, table: Any, kinds: Mapping[str, type], required: tuple[str, ...]) -> None:
    """Raise unless `table` has the required keys, no unknown ones, and values of the right kind."""
    prefix = f"{field}." if field else ""
    member(field, table, Mapping, "a table")
    for key, value in table.items():
        if key not in kinds:
            raise reject(prefix + key, value, "keys " + ", ".join(kinds))
        kind = kinds[key]
        if kind is float:
            number(prefix + key, value)
        elif not isinstance(value, kind) or isinstance(value, bool):
            raise reject(prefix + key, value, _in_words(prefix + key, kind))
    for key in required:
        if key not in table:
            raise reject(prefix + key, None, f"{_in_words(prefix + key, kinds[key])}, which is needed here")


def _in_words(field: str, kind: type) -> str:
    if field in NAMED:
        return f"{'at least one table' if field in REQUIRED else 'tables'} [[{field}]]"
    return _IN_WORDS.get(kind, "a number")


def overridden(base: Any, override: Any, field: str) -> Any:
    """`base` with the values of `override` in place; named tables in a list are found by their names."""
    if isinstance(base, Mapping) and isinstance(override, Mapping):
        merged = dict(base)
        for key, value in override.items():
            merged[key] = overridden(base[key], value, f"{field}.{key}") if key in base else value
        return merged
    if (
        isinstance(base, list)
        and isinstance(override, Mapping)
        and all(isinstance(item, dict) for item in base)
    ):
        names = [item.get("name") for item in base]
        for name in override:
            if name not in names:
                raise reject(f"{field}.{name}", override[name], "one of " + ", ".join(map(str, names)))
        return [
            overridden(item, override[name], f"{field}.{name}")
            if isinstance(name, str) and name in override
            else item
            for item, name in zip(base, names, strict=True)
        ]
    return override


def by_name(field: str, entries: list[Any]) -> dict[str, dict[str, Any]]:
    """The tables of a list by their names, which they lose."""
    named: dict[str, dict[str, Any]] = {}
    if field in ("solver",) and not entries:
        raise reject(field, entries, "at least one table [[solver]]")
    for entry in entries:
        name = member(field, entry, dict, f"tables [[{field}]]").get("name")
        if not isinstance(name, str) or not name or name in named:
            raise reject(f"{field}.name", name, "a string, different in every table")
        named[name] = {key: value for key, value in entry.items() if key != "name"}
    return named


def axis_values(field: str, values: Any) -> list[Any]:
    """A list as it is; {start, stop, num} as equal steps, rounded so that finer grids share their points."""
    if isinstance(values, list) and values:
        return values
    if isinstance(values, Mapping):
        only(field, values, {"start": float, "stop": float, "num": int}, ("start", "stop", "num"))
        num = integer(f"{field}.num", values["num"], at_least=1, at_most=MOST_POINTS)
        with np.errstate(all="ignore"):
            grid = np.linspace(values["start"], values["stop"], num)
        return [float(f"{value:.12g}") for value in grid]
    raise reject(field, values, "a list of values, or {start, stop, num}")
