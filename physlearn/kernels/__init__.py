"""The compiled loops: plain arrays in, arrays and scalars out. The only folder that imports numba."""

import os

from numba import config, njit

from physlearn.folders import private_folder


def _has_cache() -> bool:
    """Whether numba finds a writable folder for compiled functions; without one, ``cache=True`` raises."""
    try:
        njit(cache=True)(lambda: None)
    except RuntimeError:
        return False
    return True


def _ensure_cache() -> None:
    """Give numba a temporary cache where package and home are read-only; child processes inherit it."""
    if not _has_cache():
        config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = private_folder("numba")


_ensure_cache()


def cache_folder() -> str:
    """Where the compiled loops of this folder are kept between runs."""
    return njit(cache=True)(lambda: None).stats.cache_path
