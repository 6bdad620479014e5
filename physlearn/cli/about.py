"""The commands ``physlearn list`` and ``physlearn info``: what there is, and what it runs on."""

import argparse
import inspect
import json
import os
import platform
import tomllib
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "xarray", "joblib", "dask", "matplotlib")
_OPTIONAL = ("dask",)
_ON_ONE_THREAD = "every scan task runs on one thread of each"
_EPILOG = """\
models and their parts can be named in a study file (class = "Perceptron") and in
physlearn curve (--set model=Perceptron --set rule=Teacher).
"""


def add_parsers(commands: Any) -> None:
    """Add the commands to the parsers of ``physlearn``."""
    listed = commands.add_parser(
        "list",
        help="models, solvers, theories and studies, each in a line",
        description="List what there is by name, each with a line on what it is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listed.add_argument("group", nargs="?", choices=tuple(_GROUPS), help="only these (default: all)")
    listed.set_defaults(function=_list)
    info = commands.add_parser(
        "info",
        help="versions, machine, threads and caches",
        description="Tell versions, machine, threads and caches: what a report of a problem should hold.",
    )
    info.set_defaults(function=_info)
    for parser in (listed, info):
        parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def classes(family: str, kind: type = object) -> dict[str, type]:
    """The public classes of ``physlearn.<family>`` that are of a `kind` and not only there to be derived from."""
    from physlearn.scan.names import _is_base, _public

    public = {name: value for name, value in _public(family).items() if inspect.isclass(value)}
    return {
        name: value
        for name, value in public.items()
        if issubclass(value, kind) and not _is_base(value, public.values())
    }


def theories() -> dict[str, Callable[..., Any]]:
    """The public functions of ``physlearn.meanfield`` that make a curve: a SaddlePoint, a Trajectory or a number."""
    from physlearn.results import SaddlePoint, Trajectory
    from physlearn.scan.names import _public

    answers = (SaddlePoint, Trajectory, float)
    allowed = (*answers, *(answer.__name__ for answer in answers))
    return {
        name: value
        for name, value in _public("meanfield").items()
        if inspect.isfunction(value)
        and inspect.signature(value).return_annotation in allowed
        and not name.startswith("check_")
    }


def parts_of(function: Callable[..., Any]) -> dict[str, tuple[type, ...]]:
    """The kinds of models' parts (priors, channels, rules) that parameters of `function` are annotated with."""
    from physlearn.scan.names import _kinds

    found = {
        key: tuple(kind for kind in kinds if kind.__module__.startswith("physlearn.models"))
        for key, kinds in _kinds(function).items()
    }
    return {key: kinds for key, kinds in found.items() if kinds}


def _summary(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0].strip()


def _models() -> list[dict[str, Any]]:
    """Models, then the parts of models and solvers: each with the field that takes it."""
    from physlearn.models import Model
    from physlearn.solvers import Solver

    models = classes("models", Model)
    owners = [*models.values(), *classes("solvers", Solver).values()]
    takes = {key: kinds for owner in owners for key, kinds in parts_of(owner).items()}
    takes.pop("model", None)  # what a wrapper takes are the models themselves
    entries = [{"name": name, "kind": "model", "summary": _summary(value)} for name, value in models.items()]
    for key, kinds in takes.items():
        entries += [
            {"name": name, "kind": key, "summary": _summary(value)}
            for name, value in classes("models").items()
            if issubclass(value, kinds)
        ]
    return entries


def _solvers() -> list[dict[str, Any]]:
    from physlearn.solvers import Solver

    return [{"name": name, "summary": _summary(value)} for name, value in classes("solvers", Solver).items()]


def _theories() -> list[dict[str, Any]]:
    return [{"name": name, "summary": _summary(value)} for name, value in theories().items()]


def _studies() -> list[dict[str, Any]]:
    """The studies of the package, or of the checkout that it is in, as `Study.load` finds them."""
    import physlearn

    home = Path(physlearn.__file__).resolve().parent
    entries: dict[str, dict[str, Any]] = {}
    for place in (home / "share" / "simulations", home.parent / "simulations"):
        for path in sorted(place.glob("*/study.toml")):
            entries.setdefault(path.parent.name, {"name": path.parent.name, **_study(path)})
    return sorted(entries.values(), key=lambda entry: entry["name"])


def _study(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {"summary": f"{path} can't be read ({error})", "profiles": []}
    return {"summary": str(content.get("question", "")), "profiles": list(content.get("profiles", {}))}


_GROUPS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "models": _models,
    "solvers": _solvers,
    "theories": _theories,
    "studies": _studies,
}


def _list(options: argparse.Namespace) -> int:
    groups = [options.group] if options.group else list(_GROUPS)
    found = {group: _GROUPS[group]() for group in groups}
    if options.format == "json":
        return _print(json.dumps(found, indent=1, ensure_ascii=False))
    width = max(len(entry["name"]) for entries in found.values() for entry in entries or [{"name": ""}])
    blocks = []
    for group, entries in found.items():
        lines = [group]
        for entry in entries:
            notes = [f"{entry['kind']}: "] if entry.get("kind", "model") != "model" else [""]
            notes += [entry["summary"]]
            notes += [f" Profiles: {', '.join(entry['profiles'])}."] if entry.get("profiles") else []
            lines.append(f"  {entry['name']:{width}}  {''.join(notes)}".rstrip())
        blocks.append("\n".join(lines if entries else [*lines, "  none here"]))
    return _print("\n\n".join(blocks))


def _print(text: str) -> int:
    # Flushed here, where a reader that has left is noticed in time.
    print(text, flush=True)
    return 0


def _info(options: argparse.Namespace) -> int:
    import physlearn

    facts = {
        "physlearn": physlearn.__version__,
        "installed in": str(Path(physlearn.__file__).resolve().parent),
        "python": platform.python_version(),
        **_versions(),
        "platform": platform.platform(),
        **_machine(),
        "threads": _threads(),
        "numba cache": _cache(),
    }
    if options.format == "json":
        return _print(json.dumps(facts, indent=1, ensure_ascii=False))
    width = max(len(name) for name in facts)
    return _print("\n".join(f"{name:{width}}  {line}" for name, line in _lines(facts)))


def _lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for name, value in facts.items():
        if name == "threads":
            libraries = [
                f"{entry['library']} {entry['version']}: {entry['threads']}" for entry in value["blas"]
            ]
            lines.append((name, "; ".join([f"numba: {value['numba']}", *libraries])))
            lines.append(("", value["note"]))
        elif name == "numba cache":
            lines.append((name, f"{value['folder']} ({value['megabytes']} MB)"))
        elif name == "memory in GB":
            lines.append((name, "unknown" if value is None else str(value)))
        else:
            lines.append((name, str(value)))
    return lines


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name not in _OPTIONAL:
                found[name] = "not found"
    return found


def _machine() -> dict[str, Any]:
    import joblib

    try:
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        memory = None
    return {"processor": platform.machine(), "cores": joblib.cpu_count(), "memory in GB": memory}


def _threads() -> dict[str, Any]:
    import scipy.linalg  # noqa: F401  its BLAS is to be seen too
    from threadpoolctl import threadpool_info

    from physlearn.kernels.threads import n_threads

    blas = [
        {"library": pool["internal_api"], "version": pool["version"], "threads": pool["num_threads"]}
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    distinct = [entry for k, entry in enumerate(blas) if entry not in blas[:k]]
    return {"numba": n_threads(), "blas": distinct, "note": _ON_ONE_THREAD}


def _cache() -> dict[str, Any]:
    from physlearn.kernels import cache_folder

    folder = Path(cache_folder())
    size = sum(path.stat().st_size for path in folder.glob("*.nb[ic]"))
    return {"folder": str(folder), "megabytes": round(size / 1e6, 1)}
