"""The command ``physlearn curve``: theory at a point or over a grid, as numbers or as a figure."""

import argparse
import csv
import dataclasses
import inspect
import io
import itertools
import json
import math
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physlearn.inputs import InputError, reject

if TYPE_CHECKING:
    import xarray

    from physlearn.models import Model

_TABLES = (".csv", ".json", ".nc")
_FIGURES = (".png", ".pdf", ".svg")
_DRAWN = "drawn"  # the variable of a figure, which keeps its long name
_EPILOG = """\
A value of --set is a TOML value, or a bare word; where a prior, rule or channel is needed, a class:
margin=-0.5, rule=Teacher, 'prior={class="Binary"}'. Its key is model (default: Perceptron), a field of
the model, or an argument of the function. --over spans a grid; in a figure its longest axis of numbers
is the horizontal one, and every other combination a line. `physlearn list` tells names.

examples:
  physlearn curve replica_symmetric --set prior=Spherical --set margin=0.5 --over alpha=0.1:1:10
  physlearn curve bayes_optimal --set rule=Teacher --over branch=informed,uninformed --over alpha=1:2:101 --out b.png
  physlearn curve capacity --set prior=Spherical --over margin=0:2:21 --format json
"""


def add_parsers(commands: Any) -> None:
    """Add the command to the parsers of ``physlearn``."""
    curve = commands.add_parser(
        "curve",
        help="a curve of the theory: numbers or a figure",
        description="Evaluate a function of the mean-field theory at a point or over a grid.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    curve.add_argument("name", metavar="NAME", help="a theory, such as replica_symmetric")
    curve.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="the model, a field of it,"
                       " or an argument of the function")  # fmt: skip
    curve.add_argument("--over", metavar="NAME=VALUES", action="append", default=[], help="an axis:"
                       " START:STOP:NUM, or values between commas")  # fmt: skip
    curve.add_argument("--variable", metavar="NAME", action="append", default=[], help="only this variable"
                       " (in a figure, default: the first)")  # fmt: skip
    curve.add_argument("--format", choices=("csv", "json"), help="on the standard output (default: csv)")
    curve.add_argument("--out", metavar="FILE", help="a file: " + ", ".join((*_TABLES, *_FIGURES)))
    curve.set_defaults(function=_curve)


@dataclasses.dataclass(frozen=True)
class _Request:
    """What is to be evaluated: a function, its model where it takes one, axes, and other arguments."""

    function: Callable[..., Any]
    model: "Model | None"
    over: dict[str, list[Any]]
    fixed: dict[str, Any]
    given: dict[str, Any]  # as it was set, for titles


def _curve(options: argparse.Namespace) -> int:
    out = None if options.out is None else _checked_out(options.out, options.format)
    request = _request(options)
    is_figure = out is not None and out.suffix.lower() in _FIGURES
    horizontal = _horizontal(request) if is_figure else ""
    try:
        with _warnings_told():
            data = _evaluated(request)
        shown = _shown(data, options.variable)
        if out is None:
            text = _json(request, data, shown) if options.format == "json" else _csv(request, data, shown)
            for line in text.splitlines(
                keepends=True
            ):  # one long write would not notice a reader that leaves
                sys.stdout.write(line)
            sys.stdout.flush()
            return 0
        if is_figure:
            _draw(request, data, shown if options.variable else shown[:1], horizontal, out)
        else:
            _write(request, data, shown, out)
    except KeyboardInterrupt as error:
        error.add_note("nothing has been written.")
        raise
    print(f"written: {out}", flush=True)
    return 0


def _checked_out(name: str, chosen: str | None) -> Path:
    from physlearn.scan.storage import check_directory

    path = Path(name)
    if path.suffix.lower() not in (*_TABLES, *_FIGURES):
        raise reject("--out", name, "a file that ends in one of " + ", ".join((*_TABLES, *_FIGURES)))
    if chosen is not None:
        raise reject("--format", chosen, "no format with --out, where the file's ending says it")
    if path.is_dir():
        raise reject("--out", name, "a file, and this is a directory")
    check_directory(path.parent)
    return path


def _request(options: argparse.Namespace) -> _Request:
    from physlearn.cli.about import parts_of, theories
    from physlearn.cli.assignments import MOST_POINTS, assignments, axes

    known = theories()
    function = known.get(options.name.removeprefix("meanfield."))
    if function is None:
        raise reject("NAME", options.name, "one of " + ", ".join(known))
    given, over = assignments(options.set), axes(options.over)
    for key in over:
        if key in given:
            raise reject("--over", key, "names that --set does not give")
    arguments = list(inspect.signature(function).parameters)
    takes_model = arguments[0] == "model"
    kind = _model_class(given) if takes_model else None
    fields = [field.name for field in dataclasses.fields(kind)] if kind else []
    keys = arguments[1:] if takes_model else arguments
    for key in (*given, *over):
        if key not in (*keys, *fields) and not (takes_model and key == "model" and key in given):
            what = f"fields of {kind.__name__} ({', '.join(fields)}) or " if kind else ""
            what = f"model, {what}" if kind and key in given else what
            what += f"arguments of {function.__name__} ({', '.join(keys) or 'none'})"
            raise reject("--set" if key in given else "--over", key, what)
        if key in keys and isinstance(given.get(key), int) and abs(given[key]) > MOST_POINTS:
            raise reject("--set", f"{key}={given[key]}", f"whole numbers up to {MOST_POINTS}")
    parts = parts_of(function)
    fixed = {key: _built(key, value, parts.get(key)) for key, value in given.items() if key in keys}
    model = None
    if kind is not None:
        model = _model(function, kind, {k: v for k, v in given.items() if k in fields}, over)
        parts = {**parts_of(kind), **parts}
    over = {name: [_built(name, value, parts.get(name)) for value in values] for name, values in over.items()}
    for name, values in over.items():
        if model is not None and name in fields:
            for value in values:  # the model checks them before anything is computed
                dataclasses.replace(model, **{name: value})
    return _Request(function, model, over, fixed, given)


def _model_class(given: dict[str, Any]) -> type:
    """The class of the model; what a table ``model = {class = ...}`` says moves up beside the other keys."""
    from physlearn.cli.about import classes
    from physlearn.models import Model

    table = given.pop("model", "Perceptron")
    table = dict(table) if isinstance(table, Mapping) else {"class": table}
    known, name = classes("models", Model), table.pop("class", None)
    if not isinstance(name, str) or name not in known:
        raise reject("model", name, "one of " + ", ".join(known))
    for key, value in table.items():
        if key in given:
            raise reject("--set", f"{key}={value}", f"every name once, and {key} is given twice")
    given.update(table)
    return known[name]


def _model(function: Callable[..., Any], kind: type, given: dict[str, Any], over: Mapping) -> "Model":
    """The model at the first value of every axis; thresholds, which are numbers, ignore its load."""
    from physlearn.cli.about import parts_of
    from physlearn.models import Model
    from physlearn.scan import construct

    parts = parts_of(kind)
    fields = {field.name for field in dataclasses.fields(kind)}
    values = {**given, **{name: axis[0] for name, axis in over.items() if name in fields}}
    if "alpha" not in values:
        if inspect.signature(function).return_annotation not in (float, "float"):
            raise reject(
                "alpha",
                None,
                f"a load (--set alpha=1 or --over alpha=0.1:2:50), which {function.__name__} needs",
            )
        values["alpha"] = 1.0
    tables = {
        key: {"class": value} if key in parts and isinstance(value, str) else value
        for key, value in values.items()
    }
    return construct("model", {"class": kind.__name__, **tables}, Model)


def _built(field: str, value: Any, kinds: tuple[type, ...] | None) -> Any:
    """The object that a class's name or table stands for, where one of these kinds is wanted; else the value."""
    from physlearn.scan import construct

    if kinds and isinstance(value, str):
        value = {"class": value}
    return construct(field, value, kinds) if kinds and isinstance(value, Mapping) else value


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Tell each warning once, in a line on the standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(" ".join(str(entry.message).split()) for entry in caught):
        print(f"physlearn: {text}", file=sys.stderr)


def _evaluated(request: _Request) -> "xarray.Dataset":
    """The curve; without axes, the single point."""
    from physlearn.meanfield import curve

    over, fixed = dict(request.over), dict(request.fixed)
    if not over and request.model is not None:
        over = {"alpha": [request.model.alpha]}
    elif not over:
        # A grid needs an axis: the first argument is one for as long as it takes.
        first = next(iter(inspect.signature(request.function).parameters.values()))
        if first.name in fixed or first.default is not first.empty:
            over = {first.name: [fixed.pop(first.name, first.default)]}
        else:
            raise reject(
                first.name, None, f"a value (--set or --over), since {request.function.__name__} needs it"
            )
    try:
        data = curve(request.function, request.model, over, **fixed)
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        allowed = f"arguments that {request.function.__name__} takes ({error})"
        raise reject("--set", {**request.given, **request.over}, allowed) from error
    data = data if request.over else data.isel({name: 0 for name in over}, drop=True)
    data.attrs = {key: json.dumps(value) for key, value in _described(request).items() if value is not None}
    return data


def _described(request: _Request) -> dict[str, Any]:
    """Function, model and arguments as plain data, without what varies or is ignored."""
    from physlearn.scan.storage import describe

    model = describe(request.model)
    if model is not None:
        ignored = [] if "alpha" in request.given else ["alpha"]
        model = {key: value for key, value in model.items() if key not in (*request.over, *ignored)}
    fixed = {key: describe(value) for key, value in request.fixed.items()}
    return {"function": request.function.__name__, "model": model, "arguments": fixed}


def _shown(data: "xarray.Dataset", wanted: list[str]) -> list[str]:
    """The variables to be shown, beside axes and status."""
    names = [str(name) for name in data.data_vars if name != "status"]
    for name in wanted:
        if name not in names:
            raise reject("--variable", name, "one of " + ", ".join(names))
    return list(dict.fromkeys(wanted)) or names


def _columns(request: _Request, data: "xarray.Dataset", shown: list[str]) -> dict[str, list[Any]]:
    """Axes, variables and the status by name, one row a point; trajectories have a row for each time."""
    import numpy as np
    import xarray

    from physlearn.results import Status

    dims = [*request.over, *(str(name) for name in data.dims if name not in request.over)]
    grid = xarray.DataArray(np.empty([data.sizes[name] for name in dims]), dims=dims)
    columns = {
        name: data[name].variable.set_dims(dict(grid.sizes)).transpose(*dims).values.ravel().tolist()
        for name in (*dims, *shown, "status")
    }
    columns["status"] = [Status.from_code(code).name for code in columns["status"]]
    return columns


def _csv(request: _Request, data: "xarray.Dataset", shown: list[str]) -> str:
    columns = _columns(request, data, shown)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")  # which writes floats as repr does: all digits
    table.writerow(columns)
    table.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _json(request: _Request, data: "xarray.Dataset", shown: list[str]) -> str:
    import physlearn

    columns = {
        name: [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]
        for name, values in _columns(request, data, shown).items()
    }
    content = {"physlearn": physlearn.__version__, **_described(request), "axes": list(request.over)}
    return json.dumps({**content, "columns": columns}, indent=1, allow_nan=False) + "\n"


def _write(request: _Request, data: "xarray.Dataset", shown: list[str], out: Path) -> None:
    from physlearn.scan.storage import provenance, write, write_text
    from physlearn.scan.variables import annotate

    if out.suffix.lower() == ".nc":
        chosen = annotate(data[[*shown, "status"]])
        write(chosen.assign_attrs(provenance()), out)
    else:
        form = _json if out.suffix.lower() == ".json" else _csv
        write_text(form(request, data, shown), out)


def _horizontal(request: _Request) -> str:
    """The axis that a figure has as its horizontal one: time, or the longest one of numbers."""
    from physlearn.plotting.style import LINES
    from physlearn.results import Trajectory

    is_path = inspect.signature(request.function).return_annotation in (Trajectory, "Trajectory")
    numeric = {
        name: len(values)
        for name, values in request.over.items()
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    }
    if not is_path and max(numeric.values(), default=0) < 2:
        shown = ", ".join(request.over) or "no axis"
        raise reject("--over", shown, "in a figure, an axis of at least two numbers, such as alpha=0.1:2:50")
    chosen = "time" if is_path else max(numeric, key=lambda name: numeric[name])
    n_lines = math.prod(len(values) for name, values in request.over.items() if name != chosen)
    if n_lines > len(LINES):
        allowed = f"in a figure, at most {len(LINES)} of them, so that each has a colour of its own"
        raise reject("--over", f"axes that make {n_lines} lines over {chosen}", allowed)
    return chosen


def _draw(request: _Request, data: "xarray.Dataset", shown: list[str], horizontal: str, out: Path) -> None:
    import numpy as np

    from physlearn import plotting
    from physlearn.plotting.figures import plt
    from physlearn.scan.storage import replacing, unwritable
    from physlearn.scan.variables import VARIABLES

    for name in shown:
        if data[name].dtype.kind not in "fiu" or not np.isfinite(data[name].values).any():
            numeric = [str(key) for key, entry in data.data_vars.items() if entry.dtype.kind in "fiu"]
            drawn = [key for key in numeric if key != "status" and np.isfinite(data[key].values).any()]
            found = ", ".join(dict.fromkeys(_columns(request, data, [])["status"]))
            allowed = f"with status {found}, one of {', '.join(drawn) or 'none'} in a figure"
            raise reject("--variable", name, allowed)
    panels = [
        {"theory": _lines(data, name, horizontal), "variable": _DRAWN, "x": horizontal} for name in shown
    ]
    figure = plotting.phase_diagram(panels=panels, columns=min(2, len(panels)))
    figure.suptitle(_title(request), fontsize=10.5)
    for ax, name in zip(figure.axes, shown, strict=False):
        if ax.get_ylabel() == "fraction of instances":  # zeros and ones in a theory are no outcomes
            ax.set_ylabel(VARIABLES.get(name, (name.replace("_", " "),))[0])
            ax.autoscale(axis="y")
    if len(panels) == 1:
        figure.set_size_inches(6, 4.4)
    try:
        with replacing(out) as path:
            figure.savefig(path, dpi=150, format=out.suffix[1:].lower())
    except OSError as error:
        raise unwritable(out.parent, error) from error
    finally:
        plt.close(figure)


def _title(request: _Request) -> str:
    model = [] if request.model is None else [type(request.model).__name__]
    parts = [f"{key} = {value}" for key, value in request.given.items()]
    text = ", ".join([request.function.__name__.replace("_", " "), *model, *parts])
    return textwrap.fill(text if len(text) < 160 else text[:157] + "...", 70)


def _lines(data: "xarray.Dataset", name: str, horizontal: str) -> "xarray.Dataset":
    """The dataset that `physlearn.plotting.curves` draws, with its lines along ``theory``.

    Where a branch of larger free entropy is another line, it is the equilibrium one: for every other axis, only the
    difference to the largest among the branches is kept of the free entropy.
    """
    from physlearn.scan.variables import annotate

    data = annotate(data).sortby(horizontal)
    if horizontal == "time":
        data = data.drop_vars(
            "status"
        )  # each time is what it is, whether the last one is a fixed point or not
    data = data.assign({_DRAWN: data[name]})
    if "free_entropy" in data:
        free_entropy = data["free_entropy"]
        data = data.drop_vars("free_entropy")
        if "branch" in data.dims:
            data["free_entropy"] = free_entropy - free_entropy.max("branch")
    others = [str(axis) for axis in data.dims if axis != horizontal]
    if not others:
        return data
    labels = [
        ", ".join(f"{axis} = {value}" for axis, value in zip(others, values, strict=True))
        for values in itertools.product(*(data[axis].values for axis in others))
    ]
    stacked = data.stack(theory=others).drop_vars(["theory", *others])
    return stacked.assign_coords(theory=labels)
