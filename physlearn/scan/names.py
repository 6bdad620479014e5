"""From names in TOML to classes and functions: members of ``physlearn.<family>.__all__``, nothing else."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from physlearn.inputs import InputError, reject

FAMILIES = ("models", "solvers", "meanfield", "plotting")


def _public(family: str) -> dict[str, Any]:
    module = import_module(f"physlearn.{family}")
    return {name: getattr(module, name) for name in module.__all__}


def resolve(field: str, name: Any, families: tuple[str, ...] = FAMILIES) -> Callable[..., Any]:
    """The public function that a name such as ``"meanfield.capacity"`` stands for, or an `InputError`."""
    family, _, member = name.partition(".") if isinstance(name, str) else ("", "", "")
    functions = {
        f"{known}.{key}": value
        for known in families
        if family in (known, "") or family not in families
        for key, value in _public(known).items()
        if inspect.isfunction(value)
    }
    if not isinstance(name, str) or name not in functions or not member:
        raise reject(field, name, "one of " + ", ".join(sorted(functions)))
    return functions[name]


def construct(field: str, table: Any, kind: type | None = None, family: str = "models") -> Any:
    """The object that a table ``{class = "Perceptron", alpha = 0.5}`` describes; values may be such tables.

    Parameters
    ----------
    field : str
        Where the table stands, for messages: ``"model"``, ``"solver.amp"``.
    table : mapping
        ``class`` and the class's keyword arguments.
    kind : type, optional
        What the class must be derived from.
    family : str
        Where the class is looked up: a member of ``physlearn.<family>.__all__``.
    """
    if not isinstance(table, Mapping):
        raise reject(field, table, 'a table with a class, such as {class = "Perceptron"}')
    classes = {
        name: value
        for name, value in _public(family).items()
        if inspect.isclass(value)
        and not inspect.isabstract(value)
        and (kind is None or _is_made_from(value, kind))
    }
    name = table.get("class")
    if not isinstance(name, str) or name not in classes:
        raise reject(f"{field}.class", name, "one of " + ", ".join(sorted(classes)))
    return call(field, classes[name], {key: value for key, value in table.items() if key != "class"})


def call(field: str, function: Callable[..., Any], arguments: Any, /, **given: Any) -> Any:
    """`function` called with the arguments of a table, in which tables with a class become objects.

    Keywords in `given` are passed where the function has a parameter of that name.
    """
    if not isinstance(arguments, Mapping):
        raise reject(field, arguments, "a table of arguments")
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for key, value in arguments.items():
        if key not in parameters and not takes_any:
            raise reject(
                f"{field}.{key}", value, f"one of {', '.join(parameters)} as keys of {function.__name__}"
            )
    filled = {key: _filled(f"{field}.{key}", value) for key, value in arguments.items()}
    filled = {key: value for key, value in given.items() if key in parameters} | filled
    missing = [
        key
        for key, item in parameters.items()
        if item.default is item.empty and key not in filled and not takes_any
    ]
    if missing:
        raise reject(f"{field}.{missing[0]}", None, f"a value, since {function.__name__} needs it")
    try:
        return function(**filled)
    except InputError as error:
        raise InputError(f"{field}.{error}") from error
    except (TypeError, ValueError) as error:
        raise reject(field, dict(arguments), f"arguments that {function.__name__} takes ({error})") from error


def _filled(field: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return construct(field, value)
    return tuple(_filled(field, item) for item in value) if isinstance(value, list) else value


def _is_made_from(value: type, kind: type) -> bool:
    return issubclass(value, kind) and value is not kind
