"""One thread for every task: with two BLAS threads the last bits of a product differ."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

# What libraries read when they are loaded, which may be in the middle of a task.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class _Limit:
    """The limit on the BLAS of this process: the first of several tasks sets it, the last one lifts it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._n_modules = -1
        self._controller: Any = None
        self._before: dict[str, int] = {}
        self._environment: dict[str, str | None] = {}

    def begin(self) -> Any:
        """Limit what is loaded, and what will be; returns the libraries with threads of their own, OpenMP's."""
        with self._lock:
            joined = self._look()
            if not self._users:
                self._before = {library.filepath: library.num_threads for library in self._blas()}
                self._environment = {name: os.environ.get(name) for name in _VARIABLES}
                os.environ.update(dict.fromkeys(_VARIABLES, "1"))
            if joined or not self._users:
                self._set(dict.fromkeys(self._before, 1), 1)
            self._users += 1
            return self._controller.select(user_api="openmp")

    def end(self) -> None:
        """Lift the limit, also of libraries that have joined meanwhile."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            for name, value in self._environment.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            self._look()
            self._set(self._before, max(self._before.values(), default=1))

    def _look(self) -> bool:
        """Find the loaded libraries, which takes a millisecond: again only when a module has joined."""
        from threadpoolctl import ThreadpoolController

        if len(sys.modules) == self._n_modules:
            return False
        self._n_modules = len(sys.modules)
        self._controller = ThreadpoolController()
        return True

    def _blas(self) -> list[Any]:
        return [item for item in self._controller.lib_controllers if item.user_api == "blas"]

    def _set(self, numbers: dict[str, int], otherwise: int) -> None:
        for library in self._blas():
            # Since version 3.8 threadpoolctl lets one thread alone set this, which need not be that of a task.
            set_number = getattr(library, "_real_set_num_threads", library.set_num_threads)
            set_number(numbers.get(library.filepath, otherwise))


_limit = _Limit()


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """One BLAS, one OpenMP and one Numba thread; the first for the whole process, the others for this thread."""
    from physlearn.kernels.threads import one_thread

    with one_thread():  # first, since it may load OpenMP
        openmp = _limit.begin()
        try:
            with openmp.limit(limits=1):
                yield
        finally:
            _limit.end()
