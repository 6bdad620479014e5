"""From names in TOML to classes and functions: members of ``physlearn.<family>.__all__``, nothing else."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, get_args, get_type_hints

from physlearn.inputs import InputError, reject
from physlearn.results import SaddlePoint
from physlearn.scan.schema import axis_values

FAMILIES = ("models", "solvers", "landscape", "meanfield", "plotting")
_ANSWERS = (SaddlePoint, float, "SaddlePoint", "float")


def _public(family: str) -> dict[str, Any]:
    module = import_module(f"physlearn.{family}")
    return {name: getattr(module, name) for name in module.__all__}


def resolve(
    field: str,
    name: Any,
    families: tuple[str, ...] = FAMILIES,
    fits: Callable[[Callable[..., Any]], bool] = inspect.isfunction,
) -> Callable[..., Any]:
    """The public function that a name such as ``"meanfield.capacity"`` stands for, or an `InputError`.

    Only functions that `fits` holds true of are allowed.
    """
    family, _, member = name.partition(".") if isinstance(name, str) else ("", "", "")
    functions = {
        f"{known}.{key}": value
        for known in families
        if family in (known, "") or family not in families
        for key, value in _public(known).items()
        if inspect.isfunction(value) and fits(value)
    }
    if not isinstance(name, str) or name not in functions or not member:
        raise reject(field, name, "one of " + ", ".join(sorted(functions)))
    return functions[name]


def construct(
    field: str, table: Any, kind: type | tuple[type, ...] | None = None, family: str = "models"
) -> Any:
    """The object that a table ``{class = "Perceptron", alpha = 0.5}`` describes; values may be such tables.

    Parameters
    ----------
    field : str
        Where the table stands, for messages: ``"model"``, ``"solver.amp"``.
    table : mapping
        ``class`` and the class's keyword arguments.
    kind : type or tuple of types, optional
        What the class must be, or be derived from.
    family : str
        Where the class is looked up: a member of ``physlearn.<family>.__all__``.
    """
    if not isinstance(table, Mapping):
        raise reject(field, table, 'a table with a class, such as {class = "Perceptron"}')
    public = {name: value for name, value in _public(family).items() if inspect.isclass(value)}
    classes = {
        name: value
        for name, value in public.items()
        if not _is_base(value, public.values()) and (kind is None or issubclass(value, kind))
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
            names = f"one of {', '.join(parameters)}" if parameters else "nothing"
            raise reject(f"{field}.{key}", value, f"{names} as keys of {function.__name__}")
    kinds = _kinds(function)
    filled = {key: _filled(f"{field}.{key}", value, kinds.get(key)) for key, value in arguments.items()}
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


def _filled(field: str, value: Any, kind: tuple[type, ...] | None = None) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"start", "stop", "num"}:  # a schedule
            return tuple(axis_values(field, value))
        return construct(field, value, kind)
    return tuple(_filled(field, item) for item in value) if isinstance(value, list) else value


def _kinds(function: Callable[..., Any]) -> dict[str, tuple[type, ...]]:
    """The classes of the library that each parameter is annotated with, where it is."""
    try:
        hints = get_type_hints(function if inspect.isfunction(function) else function.__init__)
    except NameError:  # an annotation for type checkers only
        return {}
    kinds = {}
    for key, hint in hints.items():
        options = [item for item in get_args(hint) or (hint,) if inspect.isclass(item)]
        own = tuple(item for item in options if item.__module__.startswith("physlearn."))
        if own:
            kinds[key] = own
    return kinds


def _is_base(value: type, others: Iterable[type]) -> bool:
    """Whether `value` is there to be derived from: an abstract class, or the root of a family."""
    is_root = value.__bases__ == (object,)
    return inspect.isabstract(value) or (
        is_root and any(issubclass(other, value) and other is not value for other in others)
    )


def is_of_a_model(function: Callable[..., Any]) -> bool:
    """Whether it makes a curve along the load: a saddle point, or a number, of a model."""
    signature = inspect.signature(function)
    return next(iter(signature.parameters)) == "model" and signature.return_annotation in _ANSWERS


def is_threshold(function: Callable[..., Any]) -> bool:
    """Whether a load is what it may return: a single number."""
    return inspect.signature(function).return_annotation in (float, "float")


def function_and_arguments(
    field: str, entry: Mapping[str, Any], fits: Callable[..., bool] = is_of_a_model
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The mean-field function that a table calls and its arguments, none of them unknown."""
    function = resolve(f"{field}.call", entry["call"], ("meanfield",), fits)
    arguments = entry.get("arguments", {})
    allowed = [name for name in inspect.signature(function).parameters if name != "model"]
    for key, value in arguments.items():
        if key not in allowed:
            what = ", ".join(allowed) or "no arguments"
            raise reject(f"{field}.arguments.{key}", value, f"{what} for {function.__name__}")
    return function, arguments


def with_axes(table: Any, axes: Mapping[str, list[Any]], family: str, field: str | None = None) -> Any:
    """`table` with the first value of each axis that is a field of its class."""
    if not isinstance(table, Mapping):
        return table
    import physlearn

    kind = getattr(getattr(physlearn, family), str(table.get("class")), None)
    names = {item.name for item in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    for name in axes:
        if name in names and name in table:
            raise reject(f"{field or family}.{name}", table[name], f"no value here, since {name} is an axis")
    return {**table, **{name: values[0] for name, values in axes.items() if name in names}}
