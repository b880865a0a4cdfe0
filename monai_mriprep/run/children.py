"""Processes of our own: how they start, what they leave to this one, and how they are ended."""

from __future__ import annotations

import copy
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Final

import torch

__all__ = ["START_METHOD", "Children", "become_worker", "how_it_died"]

START_METHOD: Final = "fork" if sys.platform == "linux" else "spawn"
"""Forked workers inherit the loaded libraries. Spawned ones import MONAI again, which takes 4 seconds each."""

PR_SET_PDEATHSIG = 1
"""Linux: send this process a signal when its parent dies (``prctl(2)``), so that no orphan goes on writing."""

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)

TERMINATE_SECONDS = 1.0
KILL_SECONDS = 5.0


class Children:
    """The processes that one piece of work has started, and no others of this program; they end with the block.

    Attributes
    ----------
    context
        What starts them, in place of the module `multiprocessing`.
    """

    def __init__(self) -> None:
        self._started: list[BaseProcess] = []
        self.context = _recording(self._started)

    def __enter__(self) -> Children:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self.end()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Around the start of processes: a signal waits until they are known here and, in each, till it is a worker."""
        with _deferred(*INTERRUPTS):
            before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def pids(self) -> set[int]:
        """Of those that were started."""
        return {child.pid for child in self._started if child.pid is not None}

    def died(self) -> dict[int, int]:
        """Exit code of each process that has ended, negative for a signal."""
        codes = {child.pid: child.exitcode for child in self._started if child.pid is not None}
        return {pid: code for pid, code in codes.items() if code is not None}

    def end(self) -> None:
        """End those that are alive, within a second or so; a signal waits meanwhile."""
        with _deferred(*INTERRUPTS, signal.SIGCHLD):  # PyTorch's handler would raise in the middle of this
            children = [child for child in self._started if child.pid is not None]
            for child in children:
                child.terminate()
            deadline = time.monotonic() + TERMINATE_SECONDS
            for child in children:
                child.join(max(0.0, deadline - time.monotonic()))
                if child.is_alive():
                    child.kill()
                    child.join(KILL_SECONDS)


def _recording(started: list[BaseProcess]) -> BaseContext:
    """A context of multiprocessing that enters every process that it makes into a list."""
    context: Any = copy.copy(multiprocessing.get_context(START_METHOD))
    make = context.Process

    def recorded(*args: Any, **kwargs: Any) -> BaseProcess:
        child: BaseProcess = make(*args, **kwargs)
        started.append(child)
        return child

    context.Process = recorded
    return context  # type: ignore[no-any-return]


@contextmanager
def _deferred(*numbers: signal.Signals) -> Iterator[None]:
    """Hold back signals until the end of the block; they arrive in the main thread alone."""
    handlers = {number: handler for number in numbers if (handler := signal.getsignal(number)) is not None}
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    for number in handlers:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for missed in dict.fromkeys(received):
            signal.raise_signal(missed)


def become_worker(_: int = 0) -> None:
    """The first act of a worker: one thread, no interest in Ctrl-C, and an end when its parent has one."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is not None and os.getppid() != parent.pid:  # it died before
            os._exit(1)


def how_it_died(code: int | None) -> str:
    """What became of a process, by its exit code."""
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL), most often because memory ran out"
    if code is not None and code < 0:
        return f"died ({signal.Signals(-code).name})"
    return f"ended with exit status {code}"
