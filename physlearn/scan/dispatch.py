"""Tasks through joblib's engine, whichever that is: in chunks, and past workers that die."""

import itertools
import secrets
import time
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from typing import Any

from physlearn.scan.tasks import Entry, Outcome, Setting, dead, run_chunk

# Seconds of work that a chunk should hold, and tasks that it holds at most.
_CHUNK, _LARGEST = 0.1, 500


class Dispatch:
    """The outcomes of tasks in the order in which they end; the tasks are made as they are needed.

    Parameters
    ----------
    setting : Setting
    entries : iterator of Entry
    n_jobs : int or None
        As joblib takes it; None for what ``joblib.parallel_config`` says.
    """

    def __init__(self, setting: Setting, entries: Iterator[Entry], n_jobs: int | None) -> None:
        import joblib

        self._setting, self._entries, self._n_jobs = setting, entries, n_jobs
        self._in_flight: dict[int, list[Entry]] = {}
        self._again: deque[Entry] = deque()  # handed back, since their chunk took long
        self._name = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._seconds: float | None = None  # that a task takes, lately
        self.n_workers = joblib.effective_n_jobs(n_jobs)

    def __iter__(self) -> Iterator[tuple[Entry, Outcome]]:
        while True:
            try:
                yield from self._run(self._chunks(), "2*n_jobs")
                if not self._again or time.time() >= self._setting.deadline:
                    return
                continue
            except Exception as error:
                if not _is_death(error):
                    raise
                lost = [entry for chunk in self._in_flight.values() for entry in chunk]
                self._in_flight.clear()
            yield from self._one_by_one(lost)

    def _run(self, chunks: Iterator[list[Entry]], ahead: str | int) -> Iterator[tuple[Entry, Outcome]]:
        """Chunks through the engine, so many of them `ahead` of its workers."""
        import joblib

        def calls() -> Iterator[Any]:
            for chunk in chunks:
                number = next(self._numbers)
                self._in_flight[number] = chunk
                yield joblib.delayed(_numbered)(number, self._setting, chunk, f"{self._name}-{number}")

        for number, outcomes in self._through(calls(), ahead):
            entries = self._in_flight.pop(number)
            self._again.extend(entries[len(outcomes) :])
            for entry, outcome in zip(entries, outcomes, strict=False):
                if outcome.status is not None:
                    old = outcome.seconds if self._seconds is None else self._seconds
                    self._seconds = max(outcome.seconds, 0.9 * old + 0.1 * outcome.seconds)
                yield entry, outcome

    def _through(self, calls: Iterator[Any], ahead: str | int) -> Iterator[tuple[int, list[Outcome]]]:
        """What joblib's engine answers; some can't give answers as they come, and get a few calls at a time."""
        import joblib

        def parallel(kind: str) -> Any:
            return joblib.Parallel(n_jobs=self._n_jobs, return_as=kind, batch_size=1, pre_dispatch=ahead)

        if not joblib.parallel.get_active_backend()[0].supports_return_generator:
            while group := list(itertools.islice(calls, 2 * self.n_workers)):
                yield from parallel("list")(group)
            return
        results = parallel("generator_unordered")(calls)
        try:
            yield from results
        finally:
            with warnings.catch_warnings():
                # Of a stopped run, joblib warns at length that some tasks were in vain.
                warnings.simplefilter("ignore")
                results.close()

    def _chunks(self) -> Iterator[list[Entry]]:
        """Tasks worth a fraction of a second: handing over a task costs less than that, and a kill not much more."""
        while time.time() < self._setting.deadline:
            size = 1
            if self._seconds is not None and self.n_workers > 1:
                size = int(min(max(_CHUNK / max(self._seconds, 1e-9), 1), _LARGEST))
            chunk = [self._again.popleft() for _ in range(min(size, len(self._again)))]
            chunk += itertools.islice(self._entries, size - len(chunk))
            if not chunk:
                return
            yield chunk

    def _one_by_one(self, entries: list[Entry]) -> Iterator[tuple[Entry, Outcome]]:
        """Again, those under way when a worker died, each alone: one that kills its worker twice more has failed."""
        for entry in entries:
            reason = ""
            for _ in range(2):
                if time.time() >= self._setting.deadline:
                    return
                try:
                    yield from self._run(iter([[entry]]), 1)
                    break
                except Exception as error:
                    if not _is_death(error):
                        raise
                    reason = " ".join(str(error).split())
                    self._in_flight.clear()
            else:
                yield entry, dead(entry, reason)


def _numbered(number: int, setting: Setting, entries: list[Entry], name: str) -> tuple[int, list[Outcome]]:
    return number, run_chunk(setting, entries, name)


def _is_death(error: Exception) -> bool:
    """Whether a worker process has died; what tasks raise is part of their outcomes."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
