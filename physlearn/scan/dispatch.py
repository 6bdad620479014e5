"""Tasks through joblib's engine, whichever that is: in chunks, and past workers that die."""

import contextlib
import itertools
import secrets
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from physlearn.scan.tasks import Entry, Outcome, Setting, TaskError
from physlearn.scan.worker import chunk_name, dead, last_begun, run_chunk

# Seconds of work that a chunk should hold, and tasks that it holds at most.
_CHUNK, _LARGEST = 0.1, 500
# A death in which a task was the only one under way, in units of those in which it had neighbours.
_ALONE = 1_000_000
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
        self._again: deque[Entry] = deque()  # handed back, since their chunk took long or nobody began them
        self._once_more: deque[Entry] = deque()  # under way when a worker died, each a chunk of its own
        self._suspects: list[Entry] = []  # under way in two deaths
        self._deaths: Counter[int] = Counter()
        self._name = setting.journal or secrets.token_hex(4)
        self._numbers = itertools.count()
        self._seconds: float | None = None  # that a task takes, lately

    def __iter__(self) -> Generator[tuple[Entry, Outcome], None, None]:
        """Where a worker dies, an engine may end the others too: what was under way is run once more among the rest."""
        while True:
            try:
                yield from self._run(self._chunks())
            except Exception as error:
                if not _is_death(error):
                    raise
                under_way, others = self._lost()
                self._again += others
                for entry in under_way:
                    self._blame(entry)
            else:
                if not (self._again or self._once_more or self._suspects) or self._is_late():
                    return
            suspects, self._suspects = self._suspects, []
            yield from self._apart(suspects)

    def _blame(self, entry: Entry) -> None:
        """Once, a task may have had a neighbour that kills: only the second time it is suspect."""
        self._deaths[entry.index] += 1
        if self._deaths[entry.index] == 1:
            self._once_more.append(entry)
        else:
            self._suspects.append(entry)

    def _is_late(self) -> bool:
        return time.time() >= self._setting.deadline

    def _run(self, chunks: Iterator[list[Entry]]) -> Iterator[tuple[Entry, Outcome]]:
        """Chunks through the engine."""
        import joblib

        if not self._is_ready():
            raise TaskError(
                f"of {self._n_workers} workers, too few are left: some tasks kill theirs, perhaps for want of memory"
            )

        def calls() -> Iterator[Any]:
            for chunk in chunks:
                number = next(self._numbers)
                self._in_flight[number] = chunk
                yield joblib.delayed(_numbered)(number, self._setting, chunk, chunk_name(self._name, number))

        for number, outcomes in self._through(calls()):
            entries = self._in_flight.pop(number)
            self._again.extend(entries[len(outcomes) :])
            for entry, outcome in zip(entries, outcomes, strict=False):
                if outcome.has_killed:
                    self._blame(entry)
                    continue
                if outcome.status is not None:
                    old = outcome.seconds if self._seconds is None else self._seconds
                    self._seconds = max(outcome.seconds, 0.9 * old + 0.1 * outcome.seconds)
                yield entry, outcome

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

    def _through(self, calls: Iterator[Any]) -> Iterator[tuple[int, list[Outcome]]]:
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
        while not self._is_late() and len(self._suspects) < 2 * self._n_workers:
            if self._once_more:
                yield [self._once_more.popleft()]
                continue
            size = 1
            if self._seconds is not None and self._n_workers > 1:
                size = int(min(max(_CHUNK / max(self._seconds, 1e-9), 1), _LARGEST))
            chunk = [self._again.popleft() for _ in range(min(size, len(self._again)))]
            chunk += itertools.islice(self._entries, size - len(chunk))
            if not chunk:
                return
            yield chunk

    def _lost(self) -> tuple[list[Entry], list[Entry]]:
        """After a death, the tasks that were under way, as far as workers have noted it, and those not begun."""
        in_flight, directory = dict(self._in_flight), self._setting.directory
        self._in_flight.clear()
        begun: set[int | None] = set()
        if directory is not None:
            begun = {last_begun(directory, chunk_name(self._name, number)) for number in in_flight}
        lost = self._unfinished([entry for chunk in in_flight.values() for entry in chunk])
        under_way = [entry for entry in lost if entry.index in begun]
        if not under_way:
            return lost, []  # there are no notes to tell
        return under_way, [entry for entry in lost if entry.index not in begun]

    def _apart(self, entries: list[Entry]) -> Iterator[tuple[Entry, Outcome]]:
        """Suspects in ever smaller groups, until the one that kills is by itself.

        Where all workers end with the one that dies, a task has killed when it has died by itself twice: a worker that
        does nothing may be killed too.
        """
        groups = deque(_halves(entries))
        while groups and not self._is_late():
            group = groups.popleft()
            try:
                yield from self._run(iter([[entry] for entry in group]))
                under_way, self._suspects, reason, deaths = self._suspects, [], "", 2 * _ALONE
            except Exception as error:
                if not _is_death(error):
                    raise
                under_way, others = self._lost()
                groups += [others] if others else []
                reason, deaths = " ".join(str(error).split()), _ALONE
            if len(under_way) > 1:
                groups += _halves(under_way)
            elif under_way:
                (entry,) = under_way
                self._deaths[entry.index] += deaths
                if self._deaths[entry.index] < 2 * _ALONE:
                    groups.append(under_way)
                else:
                    yield entry, dead(entry, reason)


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


def _halves(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    middle = (len(entries) + 1) // 2
    return [half for half in (entries[:middle], entries[middle:]) if half]


def _numbered(number: int, setting: Setting, entries: list[Entry], name: str) -> tuple[int, list[Outcome]]:
    return number, run_chunk(setting, entries, name)


def _is_death(error: Exception) -> bool:
    """Whether a worker process has died; what tasks raise is part of their outcomes."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
