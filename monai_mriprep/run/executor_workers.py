"""Any executor of `concurrent.futures`, such as that of a cluster's library, as a mapper and as an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from uuid import uuid4

from monai_mriprep.run.cases import Case
from monai_mriprep.run.cluster_worker import one_at_a_time, settle
from monai_mriprep.run.engines import Outcome, Work
from monai_mriprep.run.mappers import Found, Item, Lost, Mapper
from monai_mriprep.run.under_way import UnderWay

__all__ = ["Executors", "executor_workers"]


@dataclass(frozen=True)
class Executors:
    """Executors as an engine. The memory of their workers is not known, so cases of any size run side by side.

    Parameters
    ----------
    make
        Makes an executor; one is in use at a time.
    workers
        How many workers it has.
    """

    make: Callable[[], Executor]
    workers: int

    def at_once(self, case: Case) -> int:
        """As many as there are workers."""
        return self.workers

    def too_large(self, case: Case) -> str:
        """Nobody can tell."""
        return f"the case needs about {case.memory_bytes / 2**20:.0f} MiB"

    def mapper(self, at_once: int, total: int) -> Mapper:
        """One executor for each use."""
        return executor_workers(self.make, at_once)

    def alone(self, work: Work, case: Case) -> Outcome:
        """In another executor."""
        (outcome,) = executor_workers(self.make, 1)(work, [case])
        return outcome


def executor_workers(make: Callable[[], Executor], window: int) -> Mapper:
    """A mapper that submits cases to an executor.

    An executor does not say which case has cost a worker its life. If one breaks, all cases under way are lost. If the
    future of one case has an error, that case is lost.

    Parameters
    ----------
    make
        Called once for each use; the executor is shut down afterwards, and cases under way are waited for.
    window
        Cases that are under way at once, at least 1: as many as the executor has workers.
    """

    def mapped(work: Callable[[Item], Found], cases: Iterable[Item]) -> Iterator[Found | Lost]:
        return _in_executor(make, window, work, cases)

    return mapped


def _in_executor(
    make: Callable[[], Executor], window: int, work: Callable[[Item], Found], cases: Iterable[Item]
) -> Iterator[Found | Lost]:
    cases, futures = iter(cases), dict[Future[Found], Item]()
    with _shut_down_at_end(make(), futures) as executor, UnderWay() as under_way:
        is_whole = True
        while True:
            for case in islice(cases, window - len(futures) if is_whole else 0):
                under_way.begin(case)
                futures[_submitted(executor, work, case)] = case
            if not futures:
                return
            for case, ended in _ended(futures):
                under_way.end(case)
                is_whole = is_whole and not isinstance(ended, BrokenExecutor)
                yield _lost(case, ended) if isinstance(ended, BaseException) else ended


def _submitted(executor: Executor, work: Callable[[Item], Found], case: Item) -> Future[Found]:
    """The future of a case; where the executor takes no more, one that says so."""
    try:
        return executor.submit(_carry_out, work, case, uuid4().hex)
    except RuntimeError as error:
        future: Future[Found] = Future()
        future.set_exception(error if isinstance(error, BrokenExecutor) else _ShutDownError(*error.args))
        return future


class _ShutDownError(BrokenExecutor):
    """Somebody else has shut the executor down, or it was made once and is used again."""


def _carry_out(work: Callable[[Item], Found], case: Item, _: str) -> Found:
    """Work on a case. With a number of its own it is never the same call as one before, whose outcome may be kept."""
    settle()
    return one_at_a_time(work, case)


def _ended(futures: dict[Future[Found], Item]) -> list[tuple[Item, Found | BaseException]]:
    """Take out what has ended, with its result or error. As long as a future is there, Dask keeps its result.

    When the worker dies that has the result, Dask does the case again.
    """
    done = wait(futures, return_when=FIRST_COMPLETED).done
    return [(futures.pop(future), _error(future) or future.result()) for future in done]


def _error(future: Future[Found]) -> BaseException | None:
    return CancelledError() if future.cancelled() else future.exception()


def _lost(case: Item, error: BaseException) -> Lost:
    if isinstance(error, _ShutDownError):
        return Lost(case.name, f"could not begin ({error}): the executor must be a new one whenever one is made")
    if isinstance(error, BrokenExecutor):
        return Lost(case.name, "died, or one beside it did")
    return Lost(case.name, f"was lost ({type(error).__name__}: {error})")


@contextmanager
def _shut_down_at_end(executor: Executor, futures: Iterable[Future[Found]]) -> Iterator[Executor]:
    """Whatever happens, what was not begun is dropped, and what was is waited for."""
    try:
        yield executor
    finally:
        for future in futures:
            future.cancel()
        executor.shutdown()
