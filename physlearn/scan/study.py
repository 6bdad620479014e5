"""A study: the TOML file that says what is scanned, and which theory stands beside it."""

import dataclasses
import inspect
import itertools
import json
import math
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, choice, integer, number, reject
from physlearn.landscape import LocalEntropyMethod
from physlearn.models import Model
from physlearn.results import Status
from physlearn.scan.crossings import crossings, limits
from physlearn.scan.dataset import check_measure, shown_along
from physlearn.scan.directory import Directory
from physlearn.scan.engine import Scan
from physlearn.scan.figures import check_figure
from physlearn.scan.journal import Reader
from physlearn.scan.names import call, construct, function_and_arguments, is_threshold, resolve, with_axes
from physlearn.scan.refine import refine
from physlearn.scan.schema import MOST_POINTS, REQUIRED, axis_values, by_name, check_keys, only, overridden
from physlearn.scan.storage import write, write_text
from physlearn.scan.tasks import Entry, Setting, run_entry
from physlearn.scan.threads import single_threaded
from physlearn.scan.variables import OUTCOMES, annotate
from physlearn.solvers import Solver

if TYPE_CHECKING:
    import xarray

_LARGEST = 10_000_000  # more weights than any instance here can have patterns for
# The families of tasks, and what their solvers are.
_FAMILIES: dict[str, type] = {"solvers": Solver, "landscape": LocalEntropyMethod}
_REFINE = {"variable": str, "solver": str, "level": float, "rounds": int, "num": int, "resolution": float}


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
        except (
            ValueError,
            RecursionError,
        ) as error:  # tomllib's own, bad UTF-8, and integers of too many digits
            raise reject("study", str(path), f"a TOML file that can be read ({error})") from error
        except OSError as error:
            raise reject("study", str(path), f"a TOML file that can be read ({error.strerror})") from error
        check_keys(content, required=())
        profiles = content.pop("profiles", {})
        if profile is not None:
            if profile not in profiles:
                raise reject(
                    "profile", profile, "one of " + (", ".join(map(repr, profiles)) or "none in this study")
                )
            content = overridden(content, profiles[profile], f"profiles.{profile}")
        check_keys(content, required=REQUIRED)
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
        axes = {name: axis_values(f"axes.{name}", values) for name, values in content["axes"].items()}
        for name in ("alpha", "N"):
            if name not in axes:
                raise reject(f"axes.{name}", None, "a list of values, or {start, stop, num}")
        for name in ("solver", "solvers", "model", "measure", "instance", "status"):
            if name in axes:
                raise reject(
                    f"axes.{name}", axes[name], "axes that are N and fields of the model or a solver"
                )
        task = resolve("task", content.get("task", "solvers.solve_task"), tuple(_FAMILIES))
        if list(inspect.signature(task).parameters)[:2] != ["point", "streams"]:
            raise reject("task", content["task"], "functions task(point, streams) such as solvers.solve_task")
        constants = {"model": self.model, **self.constants}
        measure = (*measure, *({"load"} - set(measure)))
        return Scan(
            task, {"solver": self.solvers, **self._references, **axes}, constants, content["instances"],
            content["seed"], measure, self._points(axes), content.get("along"),
        )  # fmt: skip

    @cached_property
    def constants(self) -> dict[str, Any]:
        """What the task is given beside model, solver and axes: numbers, strings, lists, or {start, stop, num}."""
        return {
            name: axis_values(f"constants.{name}", value) if isinstance(value, (list, dict)) else value
            for name, value in self.configuration.get("constants", {}).items()
        }

    def _points(self, axes: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The points beside the grid: [[points]] give values for some axes, the others take all of theirs."""
        known = {"solver": list(self.solvers), **axes}
        known |= {name: list(references) for name, references in self._references.items()}
        points = []
        for k, entry in enumerate(self.configuration.get("points", [])):
            for name in entry:
                if name not in known:
                    raise reject(f"points[{k}].{name}", entry[name], "axes " + ", ".join(known))
            values = [np.atleast_1d(entry.get(name, along)).tolist() for name, along in known.items()]
            points += [dict(zip(known, point, strict=True)) for point in itertools.product(*values)]
        return points if len(self.solvers) > 1 else [_without(point, "solver") for point in points]

    @cached_property
    def _family(self) -> str:
        """Where the classes of [[solver]] are looked up: beside the task."""
        family = str(self.configuration.get("task", "")).partition(".")[0]
        return family if family in _FAMILIES else "solvers"

    @cached_property
    def solvers(self) -> dict[str, Any]:
        """The solvers by their names, at the first value of every axis that is one of their fields."""
        axes = {
            name: axis_values(f"axes.{name}", values) for name, values in self.configuration["axes"].items()
        }
        return {
            name: construct(
                f"solver.{name}", with_axes(table, axes, self._family), _FAMILIES[self._family], self._family
            )
            for name, table in by_name("solver", self.configuration["solver"]).items()
        }

    @cached_property
    def _references(self) -> dict[str, dict[str, Any]]:
        """The axis of what is measured around, if there are tables [[reference]]: what each of these solvers finds."""
        tables = self.configuration.get("reference", [])
        if not tables:
            return {}
        if self._family != "landscape":
            raise reject("reference", tables, "none, as only tasks of the landscape measure around something")
        found = by_name("reference", tables)
        built = {
            name: construct(f"reference.{name}", table, Solver, "solvers") for name, table in found.items()
        }
        return {"reference": built}

    @cached_property
    def model(self) -> Model:
        """The model, at the first value of every axis that is one of its fields."""
        axes = {
            name: axis_values(f"axes.{name}", values) for name, values in self.configuration["axes"].items()
        }
        table = with_axes(self.configuration["model"], axes, "models", "model")
        try:
            return construct("model", table, Model)
        except InputError as error:
            name, colon, rest = str(error).removeprefix("model.").partition(":")
            raise InputError(f"axes.{name}{colon}{rest}" if name in axes else str(error)) from error

    @property
    def _of_references(self) -> tuple[str, ...]:
        """Axes that are no fields of a model or a solver."""
        return ("margin_of_reference",) if self._family == "landscape" else ()

    def check(self) -> None:
        """Raise an `InputError` for whatever can be found wrong without running the study."""
        integer("instances", self.configuration["instances"], at_least=1)
        integer("seed", self.configuration["seed"], at_least=0)
        scan = self.scan
        fields = {item.name for item in dataclasses.fields(self.model)}
        of_solvers = {item.name for solver in self.solvers.values() for item in dataclasses.fields(solver)}
        for name, values in scan.axes.items():
            if name in fields:
                _tried(
                    f"axes.{name}",
                    values,
                    lambda value, name=name: dataclasses.replace(self.model, **{name: value}),
                )
            elif name == "N":
                _tried("axes.N", values, self._sample_nothing)
            elif name not in {"solver", *self._references, *self._of_references} | of_solvers:
                allowed = ", ".join(sorted({"N", *self._of_references} | fields | of_solvers))
                raise reject(f"axes.{name}", list(values), f"axes named {allowed}")
        for name, solver in self.solvers.items():
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
        self._check_refine()
        self._check_finite_size()
        if "figure" in self.configuration:
            figure = self.configuration["figure"]
            only("figure", figure, {"call": str, "arguments": dict}, ("call",))
            variables = (*self.configuration["measure"], "load")
            axes = {name: list(values) for name, values in scan.axes.items() if name != "solver"}
            if scan.along is not None:
                axes[scan.along] = list(self.constants[scan.along])
            check_figure(figure, variables, list(self.solvers), axes)

    def _sample_nothing(self, N: Any) -> None:
        """Let the model check N, on an instance without patterns."""
        self.model.with_alpha(1e-12).sample(integer("N", N, at_least=1, at_most=_LARGEST), 0)

    def _check_theory(self) -> None:
        for name, entry in by_name("theory", self.configuration.get("theory", [])).items():
            kinds = {"call": str, "arguments": dict, "num": int, "over": dict}
            only(f"theory.{name}", entry, kinds, ("call",))
            function_and_arguments(f"theory.{name}", entry)
            integer(f"theory.{name}.num", entry.get("num", 2), at_least=2, at_most=MOST_POINTS)
        thresholds = by_name("threshold", self.configuration.get("threshold", []))
        for name, entry in thresholds.items():
            only(f"threshold.{name}", entry, {"call": str, "arguments": dict}, ("call",))
            function_and_arguments(f"threshold.{name}", entry, is_threshold)
        if thresholds:
            self._check_thresholds()

    def _check_finite_size(self) -> None:
        if "finite_size" not in self.configuration:
            return
        entry = self.configuration["finite_size"]
        is_outcome = entry.get("variable") in OUTCOMES
        kinds = {"variable": str, "solver": str if is_outcome else list, "exponent": float}
        only("finite_size", entry, kinds, ("variable",))
        if is_outcome:
            self._check_outcome("finite_size", entry)
        else:
            choice("finite_size.variable", entry["variable"], self.configuration["measure"])
            for name in entry.get("solver", []):
                choice("finite_size.solver", name, list(self.solvers))
        number("finite_size.exponent", entry.get("exponent", 1.0), above=0)

    def _check_refine(self) -> None:
        if "refine" not in self.configuration:
            return
        entry = self.configuration["refine"]
        only("refine", entry, _REFINE, ("variable",))
        self._check_outcome("refine", entry)
        number("refine.level", entry.get("level", 0.5), above=0, below=1)
        number("refine.resolution", entry.get("resolution", 1.0), above=0)
        for key in ("rounds", "num"):
            integer(f"refine.{key}", entry.get(key, 3), at_least=1, at_most=1000)

    def _check_outcome(self, key: str, entry: Mapping[str, Any]) -> None:
        """Raise an `InputError` unless the table names an outcome that is measured, and one of the solvers."""
        outcomes = [name for name in self.configuration["measure"] if name in OUTCOMES]
        if entry["variable"] not in outcomes:
            raise reject(
                f"{key}.variable", entry["variable"], f"one of {', '.join(OUTCOMES)} that is measured"
            )
        names = list(self.solvers)
        choice(f"{key}.solver", entry.get("solver", names[0]), names)

    def _check_thresholds(self) -> None:
        """Raise an `InputError` for an axis of the model along which a threshold of the theory would be a curve."""
        fields = {item.name for item in dataclasses.fields(self.model)} - {"alpha"}
        for name, values in self.scan.axes.items():
            if name in fields:
                raise reject(f"axes.{name}", list(values), "alpha and N alone in a study with [threshold]")

    def check_measure(self, out: str | Path | None = None) -> None:
        """Raise an `InputError` for an observable that no solver has.

        What solvers have is seen from a finished task in the directory `out`, or else from their smallest one. Where
        that fails, as others may not, nothing is known and nothing refused.
        """
        scan = self.scan
        found: set[str] = set()
        unseen = dict(self.solvers)
        if out is not None:
            for record in Reader(Path(out)).records():
                if record["status"] not in (Status.FAILED.code, Status.UNSATISFIABLE.code):
                    found |= set(record["values"])
                    unseen.pop(record["point"].get("solver"), None)
        smallest = {name: min(values) for name, values in scan.axes.items() if name != "solver"}
        objects = {name: values[smallest[name]] for name, values in self._references.items()}
        for name, solver in unseen.items():
            address = {"solver": name, **smallest}
            point = {**scan.constants, **smallest, **objects, "solver": solver}
            entry = Entry(0, point, address, 0, tuple(address))
            with single_threaded():
                outcome = run_entry(Setting(scan.task, scan.seed), entry)
            if outcome.is_refusal:
                raise InputError(f"{outcome.error} (at {entry.place})")
            if outcome.error:
                return
            found |= set(outcome.values)
        check_measure(self.configuration["measure"], found)

    def run(
        self, out: str | Path, n_jobs: int | None = 1, max_runtime: float | None = None, **options: Any
    ) -> dict[str, Path]:
        """Simulate what is missing in the directory `out`, add the theory, and return the files written.

        ``result.nc`` holds the simulation, ``theory.nc`` curves and thresholds, ``finite_size.nc`` the
        extrapolated threshold (its attribute ``refused`` says why where there is none), ``study.json`` the
        configuration. Other `options` are those of `Scan.run`; of a shard, only the simulation is run.
        """
        out = Path(out)
        # What is wrong with the directory or the theory is found before the long run.
        self.scan.check_directory(out)
        stop = math.inf if max_runtime is None else time.monotonic() + max_runtime
        theory = self.theory()
        self.check_measure(out)
        result = self._simulate(out, n_jobs, stop, **options)
        files = {"result": out / "result.nc", "study": write_text(self.to_json(), out / "study.json")}
        if options.get("shard") is not None:
            return files
        if result.sizes["alpha"] > len(self.scan.axes["alpha"]):
            theory = self.theory(result["alpha"].values)
        files["theory"] = write(theory, out / "theory.nc")
        finite_size = self.finite_size(result)
        if finite_size is not None:
            files["finite_size"] = write(finite_size, out / "finite_size.nc")
        return files

    def _simulate(self, out: Path, n_jobs: int | None, stop: float, **options: Any) -> "xarray.Dataset":
        """The scan, then the points that its refinement adds, round by round, then those of earlier refinements."""

        def run(scan: Scan) -> "xarray.Dataset":
            left = None if stop == math.inf else max(0.0, stop - time.monotonic())
            return scan.run(out, n_jobs, left, **options)

        scan, is_whole = self.scan, options.get("shard") is None
        if n_jobs == -1 and stop == math.inf and is_whole:
            # Starting workers takes longer than a small study; what is left after a second goes to them.
            scan.run(out, 1, 1.0, progress=False)
        result = run(scan)
        entry = dict(self.configuration.get("refine", {}))
        rounds, solver = entry.pop("rounds", 3), entry.pop("solver", None)
        chosen = {"solver": solver} if "solver" in result.dims and solver else None
        for _ in range(rounds if entry and is_whole else 0):
            if (result["status"] == Status.NOT_RUN.code).any():
                break
            points = refine(result, **entry, select=chosen)
            if not points:
                break
            scan = scan.with_points(points)
            result = run(scan)
        # They are the same, unless the study has grown since.
        earlier = scan.with_points(Directory(out).extra(scan.axes)) if entry and is_whole else scan
        return result if earlier == scan else run(earlier)

    def to_json(self) -> str:
        """Name, profile and configuration, for whoever reads the data later."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    def theory(self, loads: "np.ndarray | None" = None) -> "xarray.Dataset":
        """The theory's curves along ``theory`` and the load, and its thresholds along ``threshold``.

        The curves have points at all `loads`, by default at those of the axis.
        """
        import xarray

        thresholds = {}
        for name, entry in by_name("threshold", self.configuration.get("threshold", [])).items():
            function, arguments = function_and_arguments(f"threshold.{name}", entry, is_threshold)
            load = call(f"threshold.{name}.arguments", function, arguments, model=self.model)
            thresholds[name] = number(f"threshold.{name}", load)
        ends = np.array(list(thresholds.values()), dtype=float)
        curves = self._curves(ends, np.array(self.scan.axes["alpha"] if loads is None else loads))
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
                ends,
                {"long_name": "load of the threshold", "units": "1"},
            )
            data = data.assign_coords(threshold=list(thresholds))
        return annotate(data)

    def _curves(self, thresholds: np.ndarray, loads: np.ndarray) -> "dict[str, xarray.Dataset]":
        """The curve of each entry, over all axes that are fields of the model, the load on a grid of its own."""
        from physlearn.meanfield import curve

        fields = {item.name for item in dataclasses.fields(self.model)}
        axes = {name: np.array(values) for name, values in self.scan.axes.items() if name in fields}
        axes.pop("alpha")
        # A curve may jump at a threshold: both sides of it belong to the grid.
        sides = np.concatenate([thresholds * (1 - 1e-6), thresholds * (1 + 1e-6)])
        sides = sides[(sides > loads.min()) & (sides < loads.max())]
        curves = {}
        for name, entry in by_name("theory", self.configuration.get("theory", [])).items():
            # The simulation's loads do too, so that tables compare without interpolating.
            grid = np.linspace(loads.min(), loads.max(), entry.get("num", 200))
            along = {
                key: axis_values(f"theory.{name}.over.{key}", v) for key, v in entry.get("over", {}).items()
            }
            grid = loads if along else np.union1d(grid, np.concatenate([loads, sides]))
            over = {**axes, "alpha": grid, **along}
            function, arguments = function_and_arguments(f"theory.{name}", entry)
            given = {"function": function, "model": self.model, "over": over}
            found = call(f"theory.{name}.arguments", curve, arguments, **given)
            curves[name] = shown_along(found, self.configuration.get("along"), list(along))
        return curves

    def finite_size(self, result: "xarray.Dataset") -> "xarray.Dataset | None":
        """The thresholds seen by the simulation, extrapolated in the size (`crossings`); None if none is asked for."""
        if "finite_size" not in self.configuration:
            return None
        entry = self.configuration["finite_size"]
        if entry["variable"] not in OUTCOMES:
            return limits(result, entry)
        return crossings(result, entry, self.configuration["seed"])


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


def _without(point: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in point.items() if key != name}


def _tried(field: str, values: Any, build: Any) -> None:
    for value in values:
        try:
            build(value)
        except InputError as error:
            raise InputError(f"{field.rpartition('.')[0]}.{error}") from error
