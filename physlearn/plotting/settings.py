"""Where matplotlib keeps its settings and fonts: it looks for that as soon as it is imported, so this comes first."""

import os
import sys
from pathlib import Path

from physlearn.folders import private_folder

__all__: list[str] = []


def _has_folders() -> bool:
    """Whether matplotlib finds writable folders for its settings and fonts; without them it complains at length."""
    if os.environ.get("MPLCONFIGDIR") or not sys.platform.startswith("linux"):
        return True
    try:
        for variable, default in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache")):
            folder = Path(os.environ.get(variable) or Path.home() / default, "matplotlib")
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                return False
    except (OSError, RuntimeError):  # the latter where there is no home at all
        return False
    return True


if not _has_folders():
    os.environ["MPLCONFIGDIR"] = private_folder("matplotlib")
