"""The workers of MONAI's DataLoader as a mapper: the default of a run.

A worker that dies takes PyTorch's loader with it. The loader raises, drops what the other workers have finished, and
cannot say which case was whose. So each worker says which case it begins, through a pipe of ours. After a death all
workers are ended; the case of the dead one is lost, and those of the others are handed back.
"""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, Generic

import torch
from monai.data.dataloader import DataLoader
from torch.autograd.profiler import record_function

from monai_mriprep.errors import package_logger
from monai_mriprep.run.alone import one_by_one, over_the_limit
from monai_mriprep.run.children import START_METHOD, Children, become_worker, how_it_died
from monai_mriprep.run.mappers import Found, Item, Lost, Mapper, serial
from monai_mriprep.run.under_way import Named, UnderWay

__all__ = ["loader_workers"]

LOGGER = package_logger()

ANNOUNCEMENT = struct.Struct("=qq?d")
"""Process, number of the case, whether it is begun or finished, and when."""

BEGIN_SECONDS = {"fork": 5.0, "spawn": 60.0}
"""How long a case may lie in front of its worker; a spawned one imports MONAI first."""


def loader_workers(count: int, timeout: float | None = None) -> Mapper:
    """A mapper that works in processes side by side, with one thread each.

    As many cases are taken as there are workers. Where processes or their semaphores cannot be made, as with a full
    ``/dev/shm``, this is logged as a warning, and the cases are worked on one after the other.

    Parameters
    ----------
    count
        Processes, at least 1.
    timeout
        Seconds after which the worker of a case is killed; None is no limit.
    """

    def mapped(work: Callable[[Item], Found], cases: Iterable[Item]) -> Iterator[Found | Lost]:
        return _in_loader(count, timeout, work, cases)

    return mapped


def _in_loader(
    count: int, timeout: float | None, work: Callable[[Item], Found], cases: Iterable[Item]
) -> Iterator[Found | Lost]:
    problem: OSError | None = None
    with _Deaths() as deaths, Children() as children:
        under_way = _Listening(timeout, children)
        try:
            # Named, so that it lives until the workers are ended: its own clean-up waits 5 s for each of them.
            iterator = _started(count, work, cases, children, under_way)
        except OSError as error:
            if under_way.cases():
                raise
            problem = error
        else:
            with under_way:
                yield from _results(iterator, deaths, under_way)
            died = children.died()
            children.end()
            under_way.listen()
            yield from _lost(under_way, died)
    if problem is not None:
        LOGGER.warning("no workers can be started (%s): the cases are worked on one after the other", problem)
        mapper: Mapper = serial if timeout is None else one_by_one(timeout)
        yield from mapper(work, cases)


def _started(
    count: int, work: Callable[[Item], Found], cases: Iterable[Item], children: Children, under_way: _Listening
) -> Iterator[tuple[int, Found]]:
    """The workers' results, each with the number of its case."""
    children.context.Lock()  # an OSError where semaphores cannot be made; PyTorch's iterator would fall in two
    loader = DataLoader(
        _Announced(work, under_way.sender),
        batch_size=None,
        sampler=under_way.handed_out(cases),
        num_workers=count,
        collate_fn=_as_it_is,
        prefetch_factor=1,
        in_order=False,
        multiprocessing_context=children.context,
        worker_init_fn=become_worker,
        generator=torch.Generator(),  # of its own: a run must not draw from the global random numbers
    )
    try:
        with children.starting():
            return iter(loader)
    except RuntimeError as error:
        _require_death(error)
        return iter(())


def _results(iterator: Iterator[tuple[int, Found]], deaths: _Deaths, under_way: _Listening) -> Iterator[Found]:
    """The results until there are no more, or a worker dies."""
    try:
        deaths.hold_back()
        while (numbered := deaths.awaited(iterator)) is not None:
            number, result = numbered
            under_way.finish(number)
            yield result
    except RuntimeError as error:
        _require_death(error)


def _require_death(error: RuntimeError) -> None:
    """Raise an error that does not tell of a dead worker, or that has taken the place of a signal's exception."""
    if "DataLoader worker (pid" not in str(error):
        raise error
    if isinstance(error.__context__, BaseException) and not isinstance(error.__context__, Exception):
        raise error.__context__ from None  # a signal to the whole group, workers included


def _lost(under_way: _Listening, died: dict[int, int]) -> Iterator[Lost]:
    """The cases that cost a worker its life. The workers of the others were ended because of them."""
    for begun in under_way.cases():
        name = begun.case.name
        if name in under_way.timed_out:
            yield Lost(name, over_the_limit(under_way.timeout))
        elif begun.pid in died:
            yield Lost(name, how_it_died(died[begun.pid]))


def _as_it_is(result: Any) -> Any:
    return result


@dataclass(frozen=True)
class _Announced(Generic[Item, Found]):
    """The dataset of the loader: its item is the result of a case. A worker says when it begins and finishes one.

    Each message is one write of a few bytes, which a pipe takes whole or not at all, and without a lock, which a worker
    that is killed could hold for ever.
    """

    work: Callable[[Item], Found]
    sender: Connection

    def __getitem__(self, numbered: tuple[int, Item]) -> tuple[int, Found]:
        number, case = numbered
        self._say(number, False)
        result = self.work(case)
        self._say(number, True)
        return number, result

    def _say(self, number: int, finished: bool) -> None:
        self.sender.send_bytes(ANNOUNCEMENT.pack(os.getpid(), number, finished, time.monotonic()))


class _Listening(UnderWay):
    """Hears from the workers which case each has begun."""

    def __init__(self, timeout: float | None, children: Children) -> None:
        super().__init__(timeout, children.pids, BEGIN_SECONDS[START_METHOD])
        self._receiver, self.sender = children.context.Pipe(duplex=False)
        self._out: dict[int, Named] = {}

    def handed_out(self, cases: Iterable[Item]) -> Iterator[tuple[int, Item]]:
        """The cases, numbered."""
        for number, case in enumerate(cases):
            self._out[number] = case
            self.begin(case)
            yield number, case

    def finish(self, number: int) -> None:
        """The result of a case has arrived."""
        self.end(self._out.pop(number))

    def look(self, now: float) -> None:
        """Listen, then look."""
        self.listen()
        super().look(now)

    def listen(self) -> None:
        """Take in what the workers have said."""
        while self._receiver.poll():
            pid, number, finished, when = ANNOUNCEMENT.unpack(self._receiver.recv_bytes())
            case = self._out.get(number)
            if case is not None and finished:
                self.end(case)
            elif case is not None:  # if its result has just arrived, its second message follows
                self.begin(case, pid, when)


class _Deaths:
    """Lets PyTorch's handler tell of a dead worker only while a result is waited for.

    It raises an error wherever the main thread is: also in the middle of writing a record.
    """

    def __init__(self) -> None:
        self._handler: Any = None
        self._waiting = self._missed = False

    def __enter__(self) -> _Deaths:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGCHLD, self._handler)

    def hold_back(self) -> None:
        """Take the place of the handler. In another thread than the main one there is none to care for."""
        handler = signal.getsignal(signal.SIGCHLD)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGCHLD, self._notice)
            with record_function("results"):  # its first use imports a module, where the handler's error would be lost
                pass

    def _notice(self, number: int, frame: FrameType | None) -> None:
        if not self._waiting:
            self._missed = True
            return
        self._waiting = False  # it raises once
        self._handler(number, frame)
        self._waiting = True

    def awaited(self, iterator: Iterator[tuple[int, Found]]) -> tuple[int, Found] | None:
        """The next result, or None where there are no more."""
        try:
            self._waiting = True
            if self._missed:
                self._missed = False
                signal.raise_signal(signal.SIGCHLD)
            return next(iterator, None)
        finally:
            self._waiting = False
