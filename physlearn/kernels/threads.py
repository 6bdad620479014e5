"""How many threads compiled kernels may use, and how they share their work."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numba


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let the kernels called inside run on a single thread."""
    previous = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(previous)


def in_slices(work: Callable[[int, int], None], n_items: int) -> None:
    """Call ``work(first, last)`` on as many slices of ``range(n_items)`` as numba has threads, all at once.

    Python threads around kernels that release the interpreter's lock: unlike numba's own parallel loops,
    they may be nested in other threads and survive a fork, and compile faster. For the answer not to depend
    on the number of slices, an item must not depend on its neighbours; starting a thread takes some 0.1 ms.
    """
    n_slices = max(1, min(numba.get_num_threads(), n_items))
    ends = [n_items * k // n_slices for k in range(n_slices + 1)]
    if n_slices == 1:
        work(0, n_items)
        return
    with ThreadPoolExecutor(n_slices - 1) as pool:
        others = [pool.submit(work, ends[k], ends[k + 1]) for k in range(1, n_slices)]
        work(ends[0], ends[1])
        for other in others:
            other.result()


def n_threads() -> int:
    """How many threads the kernels called from here may use."""
    return numba.get_num_threads()
