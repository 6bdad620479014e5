"""Tasks through joblib's engine, whichever that is: in chunks, and past tasks and workers that die."""

import contextlib
import itertools
import pickle
import secrets
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

from physlearn.processes import Died, Sealer, end_process, exists, revoke, run_numbered, take_answer
from physlearn.scan.tasks import Entry, Outcome, Setting, TaskError
from physlearn.scan.worker import Chunk, dead, mark

# Seconds of work that a chunk should hold, and tasks that it holds at most.
_CHUNK, _LARGEST = 0.1, 500
# Deaths of its process after which a task is run by itself, and those that it has not more.
_TRIES = 2
# Breakdowns of the engine in a row, and seconds, without a finished task, that end a run.
_HOPELESS, _HOPE = 3, 60.0
# Seconds in which an engine replaces workers that have died.
_RESTART = 60.0
# Seconds between two looks for calls whose end joblib was not told of.
_LOOK = 0.5


class Dispatch:
    """The outcomes of tasks in the order in which they end; the tasks are made as they are needed.

    Parameters
    ----------
    setting : Setting
    entries : iterator of Entry
    n_jobs : int or None
        As joblib takes it; None for what ``joblib.parallel_config`` says.
    unfinished : callable
        Of tasks whose engine has broken down, those whose end no worker has written down.
    """

    def __init__(
        self,
        setting: Setting,
        entries: Iterator[Entry],
        n_jobs: int | None,
        unfinished: Callable[[list[Entry]], list[Entry]],
    ) -> None:
        self._setting, self._entries, self._n_jobs = setting, entries, n_jobs
        self._unfinished, self._n_workers = unfinished, count_workers(n_jobs)
        self._in_flight: dict[int, list[Entry]] = {}
        self._again: deque[Entry] = deque()  # to be run once more, or not begun since their chunk took long
        self._alone: deque[Entry] = deque()  # have killed among others; by itself, a task has all memory
        self._deaths: Counter[int] = Counter()
        self._name = setting.journal or secrets.token_hex(4)
        self._sealer = Sealer(self._name, setting.coordinator)
        self._numbers = itertools.count()
        self._breakdowns, self._progress = 0, time.monotonic()  # in a row; when a task was finished last
        self._revoked: list[Path] = []  # marks of chunks that are lost
        self._seconds: float | None = None  # that a task takes, lately

    def __iter__(self) -> Generator[tuple[Entry, Outcome], None, None]:
        try:
            while True:
                try:
                    for entry, outcome in self._run():
                        self._hope()
                        yield entry, outcome
                except Exception as error:
                    self._breakdowns += 1
                    without = time.monotonic() - self._progress
                    if not _is_death(error) or (self._breakdowns >= _HOPELESS and without > _HOPE):
                        raise
                    yield from self._lost()
                else:
                    if not (self._again or self._alone) or self._is_late():
                        return
        finally:
            for _, process in self._under_way():
                end_process(process)
            for path in self._revoked:
                path.unlink(missing_ok=True)

    def _hope(self) -> None:
        self._breakdowns, self._progress = 0, time.monotonic()

    def _lost(self) -> Iterator[tuple[Entry, Outcome]]:
        """When a worker itself has died: what their processes still bring to an end; the rest is to be run again."""
        lost = {entry.index: entry for entries in self._in_flight.values() for entry in entries}
        for path, process in list(self._under_way()):
            while path.exists() and exists(process):
                time.sleep(_LOOK / 10)
        # Also of processes that had come to their end before anybody looked for them.
        outcomes = [take_answer(path) for path in self._marks()]
        self._in_flight.clear()
        n_lost = len(lost)
        for outcome in outcomes:
            if outcome is not None and outcome.status is not None:
                yield lost.pop(outcome.index), outcome
        left = self._unfinished(list(lost.values()))
        if len(left) < n_lost:
            self._hope()
        self._again += left

    def _under_way(self) -> Iterator[tuple[Path, int]]:
        """Marks of chunks, and the processes at work on them; no other chunk that is waiting is begun any more."""
        for path in self._marks():
            process = revoke(path)
            self._revoked.append(path)
            if process is not None:
                yield path, process

    def _marks(self) -> list[Path]:
        """Of the chunks that have been handed out."""
        directory = self._setting.directory
        return (
            [] if directory is None else [mark(directory, self._mark(number)) for number in self._in_flight]
        )

    def _mark(self, number: int) -> str:
        return f"{self._name}.{number}"

    def _is_late(self) -> bool:
        return time.time() >= self._setting.deadline

    def _run(self) -> Iterator[tuple[Entry, Outcome]]:
        """What is left, through the engine."""
        import joblib

        if not self._is_ready():
            left = f"of {self._n_workers} workers, fewer than two are left after {_RESTART:.0f} s"
            raise TaskError(f"{left}; what is finished is kept, and the same run goes on with new ones")

        def calls() -> Iterator[Any]:
            for entries in self._chunks():
                number = next(self._numbers)
                self._in_flight[number] = entries
                chunk = Chunk(self._setting, entries, self._mark(number), self._sealer)
                yield joblib.delayed(run_numbered)(number, chunk)

        for number, answers in self._through(calls()):
            entries, reason = self._in_flight.pop(number), None
            if answers and isinstance(answers[-1], Died):
                reason = answers.pop().reason
            n_begun = len(answers)
            self._again.extend(entries[n_begun + (reason is not None) :])
            for entry, answer in zip(entries, answers, strict=False):
                outcome = pickle.loads(answer) if isinstance(answer, bytes) else answer
                if outcome.status is not None:
                    old = outcome.seconds if self._seconds is None else self._seconds
                    self._seconds = max(outcome.seconds, 0.9 * old + 0.1 * outcome.seconds)
                yield entry, outcome
            if reason is not None:
                yield from self._killed(entries[n_begun : n_begun + 1], reason)

    def _killed(self, entries: list[Entry], reason: str) -> Iterator[tuple[Entry, Outcome]]:
        """A task over which a process has died, if it has not been written down: it is tried once more, then failed."""
        for entry in self._unfinished(entries):
            self._deaths[entry.index] += 1
            if self._deaths[entry.index] > _TRIES:
                yield entry, dead(entry, reason)
            elif self._deaths[entry.index] == _TRIES:
                self._alone.append(entry)
            else:
                self._again.append(entry)

    def _is_ready(self) -> bool:
        """Wait for workers that take the place of dead ones: joblib would run what is left here, with a lone one."""
        until = time.monotonic() + _RESTART
        while self._n_workers > 1:
            with contextlib.suppress(TimeoutError):  # of an engine that has none at all
                if count_workers(self._n_jobs) > 1:
                    return True
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True

    def _through(self, calls: Iterator[Any]) -> Iterator[tuple[int, list[Any]]]:
        """What joblib's engine answers; some can't give answers as they come, and get a few calls at a time."""
        import joblib

        def parallel(kind: str) -> Any:
            return joblib.Parallel(n_jobs=self._n_jobs, return_as=kind, batch_size=1, pre_dispatch="2*n_jobs")

        if not joblib.parallel.get_active_backend()[0].supports_return_generator:
            while group := list(itertools.islice(calls, 2 * self._n_workers)):
                yield from parallel("list")(group)
            return
        engine = parallel("generator_unordered")
        results = engine(calls)
        try:
            with _errors_told(engine):
                for result in results:  # noqa: UP028 - `yield from` would close them before the warning is caught
                    yield result
        finally:
            with warnings.catch_warnings():
                # Of a stopped run, joblib warns at length that some tasks were in vain.
                warnings.simplefilter("ignore")
                results.close()

    def _chunks(self) -> Iterator[list[Entry]]:
        """Tasks worth a fraction of a second: handing over a task costs less than that."""
        while not self._is_late():
            size = 1
            if self._seconds is not None and self._n_workers > 1:
                size = int(min(max(_CHUNK / max(self._seconds, 1e-9), 1), _LARGEST))
            chunk = [self._again.popleft() for _ in range(min(size, len(self._again)))]
            chunk += itertools.islice(self._entries, size - len(chunk))
            if not chunk:
                if self._alone and not self._in_flight:
                    yield [self._alone.popleft()]
                return
            yield chunk


def count_workers(n_jobs: int | None) -> int:
    """How many tasks joblib's engine runs at once."""
    import joblib

    return joblib.effective_n_jobs(n_jobs)


@contextlib.contextmanager
def _errors_told(engine: Any) -> Iterator[None]:
    """Tell joblib of calls that an engine has given up: of Dask's, it waits for ever (joblib 1.6).

    That reads what joblib keeps to itself; where it no longer does, nothing is told.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            for call in list(getattr(engine, "_jobs_set", ())):
                future = getattr(call, "job", None)
                if isinstance(future, Future) and future.done() and not future.cancelled():
                    error = future.exception()
                    if type(error).__name__ == "KilledWorker":
                        call._register_outcome({"status": "Error", "result": error})

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _is_death(error: Exception) -> bool:
    """Whether a worker has died; what tasks raise, or kill, is part of their outcomes."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
