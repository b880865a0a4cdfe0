"""Ways to get cases done. Each hands every case to the same function and yields results as they come.

A worker that dies takes PyTorch's loader with it: the loader raises and drops what the others have finished. So every
case is announced before it is started and entered in a journal when it is finished; after a death the finished ones
are collected from there, those that were under way are tried once more, each alone, and the rest gets a new loader.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset

from monai_mriprep.run.cases import Case, Result

__all__ = ["run_in_workers", "run_serially"]

Work = Callable[[Case], Result]

START_METHOD: Final = "fork" if sys.platform == "linux" else "spawn"
"""Forked workers inherit the loaded libraries; importing MONAI again costs each 4 seconds."""


PR_SET_PDEATHSIG = 1
"""Linux's request to be signalled when the parent dies (``prctl(2)``): no orphan goes on writing."""


def run_serially(work: Work, cases: Sequence[Case]) -> Iterator[Result]:
    """Do the cases one after the other in this process."""
    yield from map(work, cases)


def run_in_workers(
    work: Work, cases: Sequence[Case], workers: int, interrupted: Callable[[], tuple[list[Result], set[str]]]
) -> Iterator[Result]:
    """Do the cases in worker processes; whatever happens to a worker, each case gets its result.

    Parameters
    ----------
    work
        Picklable; must not raise.
    cases
        In the order in which they are started.
    workers
        Processes, at least 1.
    interrupted
        Called after a death, when no worker is left: the results of cases that were finished but not yet yielded,
        and the names of those that were under way.
    """
    left = {case.name: case for case in cases}
    while left:
        try:
            for result in _load(work, list(left.values()), workers):
                del left[result.case]
                yield result
        except _WorkerDeathError:
            finished, under_way = interrupted()
            recovered = [result for result in finished if left.pop(result.case, None) is not None]
            yield from recovered
            retried = under_way & left.keys()
            if not recovered and not retried:  # a worker that dies before it announces a case might do so for ever
                retried = set(list(left)[:1])
            for name in retried:
                yield _alone(work, left.pop(name))


class _WorkerDeathError(Exception):
    """A worker has ended before its work."""


def _load(work: Work, cases: Sequence[Case], workers: int) -> Iterator[Result]:
    loader = DataLoader(
        Dataset(cases, transform=work),
        batch_size=1,
        num_workers=min(workers, len(cases)),
        collate_fn=_only,
        prefetch_factor=1,
        in_order=False,
        multiprocessing_context=START_METHOD,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # of its own: a run must not draw from the global random numbers
    )
    with _own_children_ended():
        try:
            # Held by a name, for when it goes it waits 5 s for each worker: they are to be ended before.
            iterator = iter(loader)
            for result in iterator:
                with _deaths_held_back() as deaths:
                    yield result
                if deaths:
                    signal.raise_signal(signal.SIGCHLD)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise _WorkerDeathError from error


def _only(batch: Sequence[Any]) -> Any:
    """A batch is one result, which must not be collated into tensors."""
    return batch[0]


def _start_worker(_: int = 0) -> None:
    """One thread; and signals are the main process's business, which ends its workers itself."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _deaths_held_back() -> Iterator[list[int]]:
    """Keep PyTorch from reporting a dead worker: it raises wherever the main thread just is, such as in a record.

    The list that is given receives a signal for each child that ends.
    """
    deaths: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield deaths
        return
    before = signal.signal(signal.SIGCHLD, lambda number, _: deaths.append(number))
    try:
        yield deaths
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


@contextmanager
def _own_children_ended() -> Iterator[None]:
    """End the processes that were started inside, at once: an interrupted run must not wait for a long case."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        with _deaths_held_back():
            _end(set(multiprocessing.active_children()) - others)
        raise


def _end(children: Collection[multiprocessing.process.BaseProcess]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        child.join(timeout=1)
        if child.is_alive():
            child.kill()
            child.join(timeout=1)


def _alone(work: Work, case: Case) -> Result:
    """Try a case in a process of its own; if that dies too, the case is what kills it."""
    context = multiprocessing.get_context(START_METHOD)
    receiver, sender = context.Pipe(duplex=False)
    with _own_children_ended():
        process = context.Process(target=_send_result, args=(sender, work, case))  # type: ignore[attr-defined]
        process.start()
        sender.close()
        try:
            result: Result | None = receiver.recv()
        except (EOFError, OSError):  # the end in the middle of a message is an OSError
            result = None
        process.join()
    return result or Result(case.name, "failed", _cause_of_death(case, process.exitcode))


def _send_result(sender: multiprocessing.connection.Connection, work: Work, case: Case) -> None:
    _start_worker()
    sender.send(work(case))


def _cause_of_death(case: Case, exitcode: int | None) -> str:
    estimate = f"the case needs about {case.bytes_needed / 2**20:.0f} MiB"
    if exitcode == -signal.SIGKILL:
        return f"its worker was killed twice, the second time while it ran alone: most often out of memory ({estimate})"
    how = signal.Signals(-exitcode).name if exitcode and exitcode < 0 else f"exit status {exitcode}"
    return f"its worker died twice ({how}), the second time while it ran alone ({estimate})"
