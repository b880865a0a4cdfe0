"""Any executor of `concurrent.futures`, such as that of a cluster's library, as a mapper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from itertools import islice

from monai_mriprep.run.mappers import Found, Item, Lost, Mapper
from monai_mriprep.run.under_way import Named, UnderWay

__all__ = ["executor_workers"]


def executor_workers(make: Callable[[], Executor], window: int) -> Mapper:
    """A mapper that submits cases to an executor.

    An executor does not say which case has cost a worker its life. If one breaks, all cases under way are lost.

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
    futures: dict[Future[Found], Named] = {}
    cases = iter(cases)
    with _shut_down_at_end(make()) as executor, UnderWay() as under_way:
        try:
            while _submit(executor, work, islice(cases, window - len(futures)), futures, under_way):
                done, _ = wait(futures, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    under_way.end(futures.pop(future))
                    yield result
        except BrokenExecutor:
            pass
    for case in futures.values():
        yield Lost(case.name, "died, or one beside it did")


def _submit(
    executor: Executor,
    work: Callable[[Item], Found],
    cases: Iterable[Item],
    futures: dict[Future[Found], Named],
    under_way: UnderWay,
) -> bool:
    """Submit the cases; whether any are under way."""
    for case in cases:
        futures[executor.submit(work, case)] = case
        under_way.begin(case)
    return bool(futures)


@contextmanager
def _shut_down_at_end(executor: Executor) -> Iterator[Executor]:
    """Whatever happens, what was not begun is dropped, and what was is waited for."""
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
