"""Processes that work on cases side by side, and yield results as they come.

A worker that dies takes PyTorch's loader with it: the loader raises, and drops what the other workers have finished. So
a case is announced before it starts, and its result is written to a journal when it is finished. After a death the
finished cases are collected from the journal. Those that were under way are tried once more, each in a process of its
own. The rest gets a new loader.
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
from torch.utils.data import Sampler

from monai_mriprep.run.cases import Case, Result

__all__ = ["run_in_workers"]

Work = Callable[[Case], Result]

START_METHOD: Final = "fork" if sys.platform == "linux" else "spawn"
"""Forked workers inherit the loaded libraries. Spawned ones import MONAI again, which takes 4 seconds each."""


PR_SET_PDEATHSIG = 1
"""Linux: send this process a signal when its parent dies (``prctl(2)``), so that no orphan goes on writing."""


def run_in_workers(
    work: Work,
    cases: Sequence[Case],
    workers: int,
    announce: Callable[[str], None],
    finished: Callable[[str], Result | None],
) -> Iterator[Result]:
    """Process the cases in worker processes. Each case gets a result, even if its worker dies.

    Parameters
    ----------
    work
        Called with each case; picklable, and must not raise.
    cases
        In the order in which they are started.
    workers
        Processes, at least 1.
    announce
        Called with the name of each case that is handed to a worker.
    finished
        Called after a worker has died, when none is left: the result of a case that was finished and not yielded yet.
    """
    left = {case.name: case for case in cases}
    while left:
        handed_out = _HandedOut(list(left.values()), announce)
        try:
            for result in _run_loader(work, handed_out, workers):
                del left[result.case]
                yield result
        except _WorkerDeathError:
            for name in [name for name in handed_out.names if name in left]:
                case = left.pop(name)
                yield finished(name) or _try_alone(work, case, announce)


def _try_alone(work: Work, case: Case, announce: Callable[[str], None]) -> Result:
    announce(case.name)
    return _run_in_own_process(work, case)


class _HandedOut(Sampler[int]):
    """Hands the cases to the loader, in order, and knows which ones it has handed out."""

    def __init__(self, cases: Sequence[Case], announce: Callable[[str], None]) -> None:
        self.cases = cases
        self.announce = announce
        self.names: list[str] = []

    def __iter__(self) -> Iterator[int]:
        for number, case in enumerate(self.cases):
            self.announce(case.name)
            self.names.append(case.name)
            yield number

    def __len__(self) -> int:
        return len(self.cases)


class _WorkerDeathError(Exception):
    """A worker has died before it finished its work."""


def _run_loader(work: Work, handed_out: _HandedOut, workers: int) -> Iterator[Result]:
    loader = DataLoader(
        Dataset(handed_out.cases, transform=work),
        sampler=handed_out,
        batch_size=1,
        num_workers=min(workers, len(handed_out)),
        collate_fn=_unbatched,
        prefetch_factor=1,
        in_order=False,
        multiprocessing_context=START_METHOD,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # of its own: a run must not draw from the global random numbers
    )
    with _children_ended_on_error():
        try:
            # Named, so that it lives until the workers are ended: its own clean-up waits 5 s for each of them.
            iterator = iter(loader)
            for result in iterator:
                with _child_signals_deferred() as deaths:
                    yield result
                if deaths:
                    signal.raise_signal(signal.SIGCHLD)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise _WorkerDeathError from error


def _unbatched(batch: Sequence[Any]) -> Any:
    """The one result of a batch, which must not be collated into tensors."""
    return batch[0]


def _start_worker(_: int = 0) -> None:
    """Use one thread, and ignore Ctrl-C: the main process ends its workers itself."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _child_signals_deferred() -> Iterator[list[int]]:
    """Hold back the signal that a child has ended, and yield a list that receives one entry for each.

    PyTorch raises in its handler, wherever the main thread is: also in the middle of writing a record.
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
def _children_ended_on_error() -> Iterator[None]:
    """On an error end the processes that were started inside, so that an interrupted run does not wait for them."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        with _child_signals_deferred():
            _end_processes(set(multiprocessing.active_children()) - others)
        raise


def _end_processes(children: Collection[multiprocessing.process.BaseProcess]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        child.join(timeout=1)
        if child.is_alive():
            child.kill()
            child.join(timeout=1)


def _run_in_own_process(work: Work, case: Case) -> Result:
    """Process a case in a process of its own. If that dies, too, the case is the cause, and has failed."""
    context = multiprocessing.get_context(START_METHOD)
    receiver, sender = context.Pipe(duplex=False)
    with _children_ended_on_error():
        process = context.Process(target=_run_and_send, args=(sender, work, case))  # type: ignore[attr-defined]
        process.start()
        sender.close()
        try:
            result: Result | None = receiver.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            result = None
        process.join()
    return result or Result(case.name, "failed", _cause_of_death(case, process.exitcode))


def _run_and_send(sender: multiprocessing.connection.Connection, work: Work, case: Case) -> None:
    _start_worker()
    sender.send(work(case))


def _cause_of_death(case: Case, exitcode: int | None) -> str:
    estimate = f"the case needs about {case.memory_bytes / 2**20:.0f} MiB"
    if exitcode == -signal.SIGKILL:
        return f"its worker was killed twice, the second time while it ran alone: most often out of memory ({estimate})"
    how = signal.Signals(-exitcode).name if exitcode and exitcode < 0 else f"exit status {exitcode}"
    return f"its worker died twice ({how}), the second time while it ran alone ({estimate})"
