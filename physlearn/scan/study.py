"""A study: the TOML file that says what is scanned, and which theory stands beside it."""

import dataclasses
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, choice, integer, member, number, reject
from physlearn.models import Model
from physlearn.results import SaddlePoint
from physlearn.scan.engine import Scan, run_task
from physlearn.scan.figures import check_figure
from physlearn.scan.names import call, construct, resolve
from physlearn.scan.storage import write, write_text
from physlearn.scan.variables import OUTCOMES, annotate
from physlearn.solvers import Solver

if TYPE_CHECKING:
    import xarray

_KEYS = {
    "question": str,
    "seed": int,
    "task": str,
    "measure": list,
    "instances": int,
    "model": dict,
    "axes": dict,
    "solver": list,
    "theory": list,
    "threshold": list,
    "finite_size": dict,
    "figure": dict,
    "profiles": dict,
}
_REQUIRED = ("question", "seed", "measure", "instances", "model", "axes", "solver")
_NAMED = ("solver", "theory", "threshold")
_LARGEST = 10_000_000  # more weights than any instance here can have patterns for
_MOST_POINTS = 1_000_000  # of a grid
_ANSWERS = (SaddlePoint, float, "SaddlePoint", "float")
_IN_WORDS = {str: "a string", int: "an integer", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Study:
    """What a study file says under one profile.

    Attributes
    ----------
    name : str
        Name of the file's folder.
    profile : str or None
    configuration : dict
        The file's content, with the profile's values in place.
    """

    name: str
    profile: str | None
    configuration: dict[str, Any]

    @classmethod
    def load(cls, source: str | Path, profile: str | None = None) -> "Study":
        """Read and check a study: a TOML file, its folder, or the name of a study in the package."""
        path = _find(source)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise reject("study", str(path), f"a TOML file that can be read ({error})") from error
        except OSError as error:
            raise reject("study", str(path), f"a TOML file that can be read ({error.strerror})") from error
        _check_keys(content, required=())
        profiles = content.pop("profiles", {})
        if profile is not None:
            if profile not in profiles:
                raise reject(
                    "profile", profile, "one of " + (", ".join(map(repr, profiles)) or "none in this study")
                )
            content = _merged(content, profiles[profile], f"profiles.{profile}")
        _check_keys(content, required=_REQUIRED)
        name = path.resolve().parent.name if path.name == "study.toml" else path.stem
        study = cls(name, profile, content)
        study.check()
        return study

    @property
    def question(self) -> str:
        """What the study asks."""
        return self.configuration["question"]

    @cached_property
    def scan(self) -> Scan:
        """The grid of points, ready to run."""
        content = self.configuration
        measure = content["measure"]
        if not measure or not all(isinstance(name, str) for name in measure):
            raise reject("measure", measure, "a list of names of observables")
        if len(set(measure)) < len(measure):
            raise reject("measure", measure, "names of observables, each of them once")
        axes = {name: _grid(f"axes.{name}", values) for name, values in content["axes"].items()}
        for name in ("alpha", "N"):
            if name not in axes:
                raise reject(f"axes.{name}", None, "a list of values, or {start, stop, num}")
        entries = _by_name("solver", content["solver"])
        solvers = {
            name: construct(f"solver.{name}", _with_axes(table, axes, "solvers"), Solver, "solvers")
            for name, table in entries.items()
        }
        for name in ("solver", "solvers", "model", "measure", "instance", "status"):
            if name in axes:
                raise reject(
                    f"axes.{name}", axes[name], "axes that are N and fields of the model or a solver"
                )
        several = {"solver": list(solvers)} if len(solvers) > 1 else {}
        constants = {"model": self.model, "solvers": solvers, "measure": tuple(measure)}
        constants |= {} if several else {"solver": next(iter(solvers))}
        task = resolve("task", content.get("task", "solvers.solve_task"), ("solvers",))
        if list(inspect.signature(task).parameters) != ["point", "streams"]:
            raise reject("task", content["task"], "functions task(point, streams) such as solvers.solve_task")
        return Scan(task, {**several, **axes}, constants, content["instances"], content["seed"])

    @cached_property
    def model(self) -> Model:
        """The model, at the first value of every axis that is one of its fields."""
        axes = {name: _grid(f"axes.{name}", values) for name, values in self.configuration["axes"].items()}
        table = _with_axes(self.configuration["model"], axes, "models", "model")
        try:
            return construct("model", table, Model)
        except InputError as error:
            name, colon, rest = str(error).removeprefix("model.").partition(":")
            raise InputError(f"axes.{name}{colon}{rest}" if name in axes else str(error)) from error

    def check(self) -> None:
        """Raise an `InputError` for whatever can be found wrong without running the study."""
        integer("instances", self.configuration["instances"], at_least=1)
        integer("seed", self.configuration["seed"], at_least=0)
        scan = self.scan
        fields = {item.name for item in dataclasses.fields(self.model)}
        of_solvers = {
            item.name for solver in scan.constants["solvers"].values() for item in dataclasses.fields(solver)
        }
        for name, values in scan.axes.items():
            if name in fields:
                _tried(
                    f"axes.{name}",
                    values,
                    lambda value, name=name: dataclasses.replace(self.model, **{name: value}),
                )
            elif name == "N":
                _tried("axes.N", values, self._sample_nothing)
            elif name != "solver" and name not in of_solvers:
                allowed = ", ".join(sorted({"N"} | fields | of_solvers))
                raise reject(f"axes.{name}", list(values), f"axes named {allowed}")
        for name, solver in scan.constants["solvers"].items():
            for item in dataclasses.fields(solver):
                if item.name in scan.axes and item.name not in fields:
                    _tried(
                        f"axes.{item.name}",
                        scan.axes[item.name],
                        lambda value, solver=solver, key=item.name: dataclasses.replace(
                            solver, **{key: value}
                        ),
                    )
            refusal = solver.supports(self.model)
            if refusal:
                raise InputError(f"solver.{name}: {refusal}")
        self._check_theory()
        self._check_finite_size()
        if "figure" in self.configuration:
            figure = self.configuration["figure"]
            _only("figure", figure, {"call": str, "arguments": dict}, ("call",))
            variables = (*self.configuration["measure"], "load")
            self._check_plane("figure")
            check_figure(figure, variables, list(scan.constants["solvers"]), ["alpha"])

    def _sample_nothing(self, N: Any) -> None:
        """Let the model check N, on an instance without patterns."""
        self.model.with_alpha(1e-12).sample(integer("N", N, at_least=1, at_most=_LARGEST), 0)

    def _check_theory(self) -> None:
        for name, entry in _by_name("theory", self.configuration.get("theory", [])).items():
            _only(f"theory.{name}", entry, {"call": str, "arguments": dict, "num": int}, ("call",))
            _function_and_arguments(f"theory.{name}", entry)
            integer(f"theory.{name}.num", entry.get("num", 2), at_least=2, at_most=_MOST_POINTS)
        thresholds = _by_name("threshold", self.configuration.get("threshold", []))
        for name, entry in thresholds.items():
            _only(f"threshold.{name}", entry, {"call": str, "arguments": dict}, ("call",))
            _function_and_arguments(f"threshold.{name}", entry, _is_threshold)

    def _check_finite_size(self) -> None:
        if "finite_size" not in self.configuration:
            return
        entry = self.configuration["finite_size"]
        _only("finite_size", entry, {"variable": str, "solver": str, "exponent": float}, ("variable",))
        self._check_plane("finite_size")
        outcomes = [name for name in self.configuration["measure"] if name in OUTCOMES]
        if entry["variable"] not in outcomes:
            allowed = f"one of {', '.join(OUTCOMES)} that is measured"
            raise reject("finite_size.variable", entry["variable"], allowed)
        names = list(self.scan.constants["solvers"])
        choice("finite_size.solver", entry.get("solver", names[0]), names)
        number("finite_size.exponent", entry.get("exponent", 1.0), above=0)

    def _check_plane(self, key: str) -> None:
        """Raise an `InputError` for an axis that figures and fits can't show."""
        for name, values in self.scan.axes.items():
            if name not in ("alpha", "N", "solver"):
                raise reject(f"axes.{name}", list(values), f"alpha and N alone in a study with [{key}]")

    def check_measure(self) -> None:
        """Run every solver's smallest point; raise an `InputError` for an observable that none has."""
        scan = self.scan
        smallest = {name: min(values) for name, values in scan.axes.items() if name != "solver"}
        found: set[str] = set()
        for solver in scan.constants["solvers"]:
            point = {**scan.constants, **smallest, "solver": solver, "measure": None}
            found |= set(run_task(scan.task, point, scan.seed, (0,))[1]) - {"status"}
        for name in scan.constants["measure"]:
            if name not in found:
                raise reject("measure", name, "one of " + ", ".join(sorted(found)))

    def run(
        self, out: str | Path, n_jobs: int | None = 1, max_runtime: float | None = None
    ) -> dict[str, Path]:
        """Simulate what is missing in the directory `out`, add the theory, and return the files written.

        ``result.nc`` holds the simulation, ``theory.nc`` curves and thresholds, ``finite_size.nc`` the
        extrapolated threshold (its attribute ``refused`` says why where there is none), ``study.json`` the
        configuration.
        """
        out = Path(out)
        # What is wrong with the directory or the theory is found before the long run.
        self.scan.stored(out)
        theory = self.theory()
        self.check_measure()
        if n_jobs == -1 and max_runtime is None:
            # Starting workers takes longer than a small study; what is left after a second goes to them.
            self.scan.run(out, 1, 1.0, progress=False)
        result = self.scan.run(out, n_jobs, max_runtime)
        files = {"result": out / "result.nc", "theory": write(theory, out / "theory.nc")}
        finite_size = self.finite_size(result)
        if finite_size is not None:
            files["finite_size"] = write(finite_size, out / "finite_size.nc")
        files["study"] = write_text(self.to_json(), out / "study.json")
        return files

    def to_json(self) -> str:
        """Name, profile and configuration, for whoever reads the data later."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    def theory(self) -> "xarray.Dataset":
        """The theory's curves along ``theory`` and the load, and its thresholds along ``threshold``."""
        import xarray

        thresholds = {}
        for name, entry in _by_name("threshold", self.configuration.get("threshold", [])).items():
            function, arguments = _function_and_arguments(f"threshold.{name}", entry, _is_threshold)
            load = call(f"threshold.{name}.arguments", function, arguments, model=self.model)
            thresholds[name] = number(f"threshold.{name}", load)
        loads = np.array(list(thresholds.values()), dtype=float)
        curves = self._curves(loads)
        data = xarray.Dataset()
        if curves:
            index = xarray.Variable("theory", list(curves))
            parts = [part.drop_attrs(deep=False) for part in curves.values()]
            data = xarray.concat(
                parts, index, join="outer", data_vars="all", coords="minimal", compat="equals"
            )
        if thresholds:
            data["threshold_load"] = (
                "threshold",
                loads,
                {"long_name": "load of the threshold", "units": "1"},
            )
            data = data.assign_coords(threshold=list(thresholds))
        return annotate(data)

    def _curves(self, thresholds: np.ndarray) -> "dict[str, xarray.Dataset]":
        """The curve of each entry, over all axes that are fields of the model, the load on a grid of its own."""
        from physlearn.meanfield import curve

        fields = {item.name for item in dataclasses.fields(self.model)}
        axes = {name: np.array(values) for name, values in self.scan.axes.items() if name in fields}
        loads = axes.pop("alpha")
        # A curve may jump at a threshold: both sides of it belong to the grid.
        sides = np.concatenate([thresholds * (1 - 1e-6), thresholds * (1 + 1e-6)])
        sides = sides[(sides > loads.min()) & (sides < loads.max())]
        curves = {}
        for name, entry in _by_name("theory", self.configuration.get("theory", [])).items():
            # The simulation's loads do too, so that tables compare without interpolating.
            grid = np.linspace(loads.min(), loads.max(), entry.get("num", 200))
            over = {**axes, "alpha": np.union1d(grid, np.concatenate([loads, sides]))}
            function, arguments = _function_and_arguments(f"theory.{name}", entry)
            given = {"function": function, "model": self.model, "over": over}
            curves[name] = call(f"theory.{name}.arguments", curve, arguments, **given)
        return curves

    def finite_size(self, result: "xarray.Dataset") -> "xarray.Dataset | None":
        """The threshold seen by the simulation, extrapolated in the size; None if the study asks for none.

        Where the data do not allow it, an empty dataset whose attribute ``refused`` says why.
        """
        if "finite_size" not in self.configuration:
            return None
        import xarray

        from physlearn.estimates import finite_size_threshold

        entry = self.configuration["finite_size"]
        chosen = result.sel(solver=entry["solver"]) if "solver" in result.dims else result
        chosen = chosen[[entry["variable"], "load"]].transpose("N", "alpha", "instance")
        try:
            threshold = finite_size_threshold(
                chosen["load"].mean("instance").values,
                chosen["N"].values,
                chosen[entry["variable"]].values,
                exponent=entry.get("exponent", 1.0),
                rng=self.configuration["seed"],
            )
        except InputError as error:
            return xarray.Dataset(attrs={"refused": str(error)})
        data = threshold.to_dataset()
        data.attrs |= {"variable": entry["variable"], "solver": entry.get("solver", "")}
        return annotate(data)


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_dir():
        path = path / "study.toml"
    if path.is_file():
        return path
    # In an installed package the studies are data; in a checkout they stand beside it.
    home = Path(__file__).resolve().parents[1]
    for place in (home / "share" / "simulations", home.parent / "simulations"):
        if (place / str(source) / "study.toml").is_file():
            return place / str(source) / "study.toml"
    raise reject("study", str(source), "the path of a study.toml, or the name of a study")


def _check_keys(content: Mapping[str, Any], required: tuple[str, ...]) -> None:
    _only("", content, _KEYS, required)
    for name, profile in content.get("profiles", {}).items():
        member(f"profiles.{name}", profile, dict, "a table")
        unknown = [key for key in profile if key not in _KEYS or key == "profiles"]
        if unknown:
            allowed = "keys " + ", ".join(key for key in _KEYS if key != "profiles")
            raise reject(f"profiles.{name}.{unknown[0]}", profile[unknown[0]], allowed)


def _only(field: str, table: Any, kinds: Mapping[str, type], required: tuple[str, ...]) -> None:
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
    if field in _NAMED:
        return f"{'at least one table' if field in _REQUIRED else 'tables'} [[{field}]]"
    return _IN_WORDS.get(kind, "a number")


def _merged(base: Any, override: Any, field: str) -> Any:
    """`base` with the values of `override` in place; named tables in a list are found by their names."""
    if isinstance(base, Mapping) and isinstance(override, Mapping):
        merged = dict(base)
        for key, value in override.items():
            merged[key] = _merged(base[key], value, f"{field}.{key}") if key in base else value
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
        changed = [override.get(name, {}) for name in names]
        return [
            _merged(item, value, f"{field}.{item['name']}") for item, value in zip(base, changed, strict=True)
        ]
    return override


def _by_name(field: str, entries: list[Any]) -> dict[str, dict[str, Any]]:
    named: dict[str, dict[str, Any]] = {}
    if field in ("solver",) and not entries:
        raise reject(field, entries, "at least one table [[solver]]")
    for entry in entries:
        name = member(field, entry, dict, f"tables [[{field}]]").get("name")
        if not isinstance(name, str) or not name or name in named:
            raise reject(f"{field}.name", name, "a string, different in every table")
        named[name] = {key: value for key, value in entry.items() if key != "name"}
    return named


def _is_of_a_model(function: Callable[..., Any]) -> bool:
    """Whether it makes a curve along the load: a saddle point, or a number, of a model."""
    signature = inspect.signature(function)
    return next(iter(signature.parameters)) == "model" and signature.return_annotation in _ANSWERS


def _is_threshold(function: Callable[..., Any]) -> bool:
    """Whether a load is what it may return: a single number."""
    return inspect.signature(function).return_annotation in (float, "float")


def _function_and_arguments(
    field: str, entry: Mapping[str, Any], fits: Callable[..., bool] = _is_of_a_model
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


def _grid(field: str, values: Any) -> list[Any]:
    """A list as it is; {start, stop, num} as equal steps, rounded so that finer grids share their points."""
    if isinstance(values, list) and values:
        return values
    if isinstance(values, Mapping):
        _only(field, values, {"start": float, "stop": float, "num": int}, ("start", "stop", "num"))
        num = integer(f"{field}.num", values["num"], at_least=1, at_most=_MOST_POINTS)
        with np.errstate(all="ignore"):
            grid = np.linspace(values["start"], values["stop"], num)
        return [float(f"{value:.12g}") for value in grid]
    raise reject(field, values, "a list of values, or {start, stop, num}")


def _with_axes(table: Any, axes: Mapping[str, list[Any]], family: str, field: str | None = None) -> Any:
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


def _tried(field: str, values: Any, build: Any) -> None:
    for value in values:
        try:
            build(value)
        except InputError as error:
            raise InputError(f"{field.rpartition('.')[0]}.{error}") from error
