"""How datasets reach the disk, and what they say of where they come from."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import platform
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physlearn.inputs import InputError, reject

if TYPE_CHECKING:
    import xarray

# Of larger arrays a description holds a digest.
_LARGE = 64


def write(dataset: "xarray.Dataset", path: str | Path) -> Path:
    """Store `dataset` as NetCDF: into a temporary file first, so that `path` is never half-written."""
    with _told(path), replacing(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")
    return Path(path)


def write_text(text: str, path: str | Path) -> Path:
    """Store `text` in the same way."""
    with _told(path), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


@contextlib.contextmanager
def replacing(path: str | Path, *, sync: bool = True) -> Iterator[Path]:
    """A temporary file that takes the place of `path` at the end, if nothing was raised; on the disk, if `sync`."""
    path = Path(path)
    # Hosts may share a folder, and threads a process.
    owner = f"{platform.node()}.{os.getpid()}.{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{owner}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if sync:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def _told(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(Path(path).parent, error) from error


def unwritable(directory: str | Path, error: OSError) -> InputError:
    """What is said where the system refuses to write into a directory."""
    reason = error.strerror or error
    return reject("out", str(directory), f"a directory that can be written, on a disk with room ({reason})")


def check_directory(path: str | Path) -> None:
    """Raise unless the directory `path` can be written, or made; nothing is made yet."""
    path = Path(path)
    allowed = "a directory that can be written"
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise reject("out", str(path), f"{allowed} ({there} is not a directory)")
    if not os.access(there, os.W_OK | os.X_OK):
        raise reject("out", str(path), f"{allowed} ({there} is read-only here)")


def read(path: str | Path) -> "xarray.Dataset":
    """The dataset stored under `path`, in memory."""
    import xarray

    try:
        return xarray.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError) as error:
        raise reject("out", str(path), f"a NetCDF file that can be read ({error})") from error


def provenance() -> dict[str, str]:
    """Versions and platform, for a dataset's attributes."""
    from physlearn import __version__

    versions = {name: version(name) for name in ("numpy", "numba", "scipy", "xarray", "joblib")}
    return {
        "physlearn": __version__,
        "python": platform.python_version(),
        **versions,
        "platform": platform.platform(),
    }


def describe(value: Any, _above: tuple[int, ...] = ()) -> Any:
    """`value` as plain data for JSON: dataclasses as tables with a class, functions by their names."""
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if id(value) in _above:
        return "..."
    above = (*_above, id(value))
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else f"<{key!r}>": describe(item, above)
            for key, item in value.items()
        }
    if isinstance(value, np.ndarray) and value.size > _LARGE:
        digest = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).hexdigest()
        return {"array": str(value.dtype), "shape": list(value.shape), "digest": digest}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [describe(item, above) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"set": sorted(json.dumps(describe(item, above)) for item in value)}
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {item.name: describe(getattr(value, item.name), above) for item in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, functools.partial):
        parts = {"function": value.func, "arguments": value.args, "keywords": value.keywords}
        return {"class": name, **describe(parts, above)}
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "__dict__"):  # not its repr, which may hold an address
        return {"class": type(value).__name__, **describe(vars(value), above)}
    return repr(value)


def difference(there: Any, here: Any, name: str = "") -> str:
    """The first place where two descriptions differ, in words."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in {**there, **here}:
            if there.get(key) != here.get(key):
                return difference(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
    shown = [text if len(text) <= 60 else text[:57] + "..." for text in (repr(there), repr(here))]
    return f"{name} is {shown[0]} there and {shown[1]} here"
