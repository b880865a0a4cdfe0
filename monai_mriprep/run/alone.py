"""One case in a process of its own, which can be watched, limited and lost without harm to any other."""

from __future__ import annotations

import multiprocessing.connection
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from monai_mriprep.run.children import Children, become_worker, how_it_died
from monai_mriprep.run.mappers import Found, Item, Lost, Mapper
from monai_mriprep.run.under_way import UnderWay, shown_seconds

__all__ = ["alone", "one_by_one", "over_the_limit"]

EXIT_SECONDS = 5.0
"""For a worker that has sent its result, or closed the pipe, to end."""


def alone(work: Callable[[Item], Found], case: Item, timeout: float | None = None) -> Found | Lost:
    """Work on a case in a process of its own.

    Parameters
    ----------
    work, case
        What to do, and with which case.
    timeout
        Seconds after which the process is killed; None is no limit.
    """
    with Children() as children:
        receiver, sender = children.context.Pipe(duplex=False)
        process = children.context.Process(target=_work_and_send, args=(sender, work, case), daemon=True)  # type: ignore[attr-defined]
        with receiver, sender:
            with children.starting():
                process.start()
            sender.close()
            with UnderWay(timeout) as under_way:
                under_way.begin(case, process.pid)
                result: Found | None = _received(receiver)
        process.join(EXIT_SECONDS)
    if result is not None:
        return result
    return Lost(case.name, over_the_limit(timeout) if under_way.timed_out else how_it_died(process.exitcode))


def _work_and_send(sender: multiprocessing.connection.Connection, work: Callable[[Item], Found], case: Item) -> None:
    become_worker()
    sender.send(work(case))


def _received(receiver: multiprocessing.connection.Connection) -> Any:
    try:
        return receiver.recv()
    except (EOFError, OSError):  # OSError: it died in the middle of a message
        return None


def over_the_limit(timeout: float | None) -> str:
    """Why a process was killed that has exceeded the limit of a case."""
    return f"had no result after {shown_seconds(timeout or 0)}, the limit of --case-timeout"


def one_by_one(timeout: float | None) -> Mapper:
    """A mapper that works on one case after the other, each in a process of its own, so that a limit can be kept."""

    def mapped(work: Callable[[Item], Found], cases: Iterable[Item]) -> Iterator[Found | Lost]:
        return (alone(work, case, timeout) for case in cases)

    return mapped
