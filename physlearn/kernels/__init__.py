"""The compiled loops: plain arrays in, arrays and scalars out. The only folder that imports numba."""

import contextlib
import os
import stat
import tempfile

from numba import config, njit


def _has_cache() -> bool:
    """Whether numba finds a writable folder for compiled functions; without one, ``cache=True`` raises."""
    try:
        njit(cache=True)(lambda: None)
    except RuntimeError:
        return False
    return True


def _private_folder() -> str:
    """A folder of this user's own among the temporary files, the same one each time.

    Cached code is executed: a folder that somebody else owns or may write to is not used, but a new one made.
    """
    if hasattr(os, "getuid"):
        path = os.path.join(tempfile.gettempdir(), f"physlearn-numba-{os.getuid()}")
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode=0o700)
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return path
    return tempfile.mkdtemp(prefix="physlearn-numba-")


def _ensure_cache() -> None:
    """Give numba a temporary cache where package and home are read-only; child processes inherit it."""
    if not _has_cache():
        config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = _private_folder()


_ensure_cache()
