"""SIGINT and SIGTERM end a command once, in order, and within a time limit."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["Stopped", "begins_anew", "end_at_once_on_signals", "stop_on_signals"]

GRACE_SECONDS = 30
"""Ending the workers and writing the last records takes a second or two. A file system may hang."""

AGAIN_SECONDS = 0.1
"""After which `Stopped` is raised again where it was dropped."""

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(BaseException):
    """Raised by the first signal, so that workers are ended, records are written and the lock is freed."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number
        self.word = WORDS[signal.Signals(number)]
        self.message = f"{self.word}; the same command resumes"


@contextmanager
def begins_anew() -> Iterator[None]:
    """Let a command that keeps nothing of what it has done say so when it is stopped."""
    try:
        yield
    except Stopped as stopped:
        stopped.message = f"{stopped.word}; nothing is left of it, and the same command begins anew"
        raise


def stop_on_signals() -> None:
    """Raise `Stopped` on the first signal, and ignore those that follow; a signal that is ignored already stays so."""

    def stop(number: int, _: FrameType | None) -> None:
        stopped = Stopped(number)
        for each in WORDS:  # whoever is impatient must not break the clean-up
            signal.signal(each, signal.SIG_IGN)
        _Insistence(stopped).begin()
        raise stopped

    _let_children_die(stop)
    for each in WORDS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, stop)
    sys.unraisablehook = _Silenced(sys.unraisablehook)


def _let_children_die(handler: Callable[..., object]) -> None:
    """Let forked children, such as those of nnU-Net's pools, die of signals as if there was no handler in Python.

    It would not be called while a child waits for a lock in C; and what arrives while Python forks, it forgets. A pool
    that ends its workers would wait for such a child for ever.
    """
    masks = threading.local()

    def hold_back() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, WORDS)

    def go_on() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def die() -> None:
        for each in WORDS:
            if signal.getsignal(each) is handler:
                signal.signal(each, signal.SIG_DFL)
        go_on()

    os.register_at_fork(before=hold_back, after_in_parent=go_on, after_in_child=die)


class _Silenced:
    """Shows exceptions that Python drops, as in a finalizer or in a callback of an import, but for `Stopped`."""

    def __init__(self, before: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self.before = before

    def __call__(self, dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, Stopped):
            self.before(dropped)


class _Insistence:
    """Raises `Stopped` again where it was dropped, as in code in C that is imported; leaves if the clean-up hangs."""

    def __init__(self, stopped: Stopped) -> None:
        self.stopped = stopped
        self.end = time.monotonic() + GRACE_SECONDS

    def begin(self) -> None:
        signal.signal(signal.SIGALRM, self)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS, AGAIN_SECONDS)

    def __call__(self, *_: object) -> None:
        if time.monotonic() > self.end:
            self.leave()
        if not _is_handled(self.stopped):
            raise self.stopped

    def leave(self, *_: object) -> None:
        with suppress(OSError):
            os.write(2, f"error: {self.stopped.message}\n".encode())
        os._exit(self.stopped.status)


def _is_handled(stopped: Stopped) -> bool:
    """Whether what runs now is a clean-up: a block of ``except``, ``finally`` or ``with`` that it has reached."""
    error = sys.exc_info()[1]
    while error is not None and error is not stopped:
        error = error.__context__
    return error is stopped


def end_at_once_on_signals() -> None:
    """What is left to do is the interpreter's own clean-up, in which no exception may be raised."""
    for each in WORDS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, signal.SIG_DFL)
    insistence = signal.getsignal(signal.SIGALRM)
    if isinstance(insistence, _Insistence):
        signal.signal(signal.SIGALRM, insistence.leave)
        signal.setitimer(signal.ITIMER_REAL, max(insistence.end - time.monotonic(), AGAIN_SECONDS))
    if isinstance(sys.unraisablehook, _Silenced):
        sys.unraisablehook = sys.unraisablehook.before
