"""A private folder for what is cached, where neither the package nor the home can be written to."""

import contextlib
import os
import stat
import tempfile

__all__ = ["private_folder"]


def private_folder(name: str) -> str:
    """A folder of this user's own among the temporary files, for one `name` the same one each time.

    What is cached may be executed: a folder that somebody else owns or may write to is not used, but a new one made.
    """
    if hasattr(os, "getuid"):
        path = os.path.join(tempfile.gettempdir(), f"physlearn-{name}-{os.getuid()}")
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode=0o700)
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return path
    return tempfile.mkdtemp(prefix=f"physlearn-{name}-")
