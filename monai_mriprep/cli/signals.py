"""SIGINT and SIGTERM end a command once, in order, and within a time limit."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

__all__ = ["Stopped", "end_at_once_on_signals", "stop_on_signals"]

GRACE_SECONDS = 30
"""Ending the workers and writing the last records takes a second or two. A file system may hang."""

SOON_SECONDS = 0.01
"""After which an exception is raised again that was raised where Python drops it."""

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(BaseException):
    """Raised by the first signal, so that workers are ended, records are written and the lock is freed."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number
        self.word = WORDS[signal.Signals(number)]
        self.message = f"{self.word}; the same command resumes"


def stop_on_signals() -> None:
    """Raise `Stopped` on the first signal, and ignore those that follow; a signal that is ignored already stays so."""

    def stop(number: int, _: FrameType | None) -> None:
        stopped = Stopped(number)
        for each in WORDS:  # whoever is impatient must not break the clean-up
            signal.signal(each, signal.SIG_IGN)
        _end_after(GRACE_SECONDS, stopped)
        raise stopped

    _let_children_die(stop)
    for each in WORDS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, stop)
    sys.unraisablehook = _RaisedAgain(sys.unraisablehook)


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


class _RaisedAgain:
    """Hears of exceptions that Python drops, as in a finalizer or in a callback of an import: `Stopped` must not be."""

    def __init__(self, before: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self.before = before

    def __call__(self, dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, Stopped):
            signal.signal(signal.SIGALRM, _Again(dropped.exc_value))
            signal.setitimer(signal.ITIMER_REAL, SOON_SECONDS)
        else:
            self.before(dropped)


class _Again:
    """Raises an exception once more."""

    def __init__(self, stopped: Stopped) -> None:
        self.stopped = stopped

    def __call__(self, *_: object) -> None:
        _end_after(GRACE_SECONDS, self.stopped)
        raise self.stopped


def _end_after(seconds: int, stopped: Stopped) -> None:
    """Leave at once if somebody has caught the exception and goes on, or if the clean-up hangs."""

    def leave(*_: object) -> None:
        with suppress(OSError):
            os.write(2, f"error: {stopped.message}\n".encode())
        os._exit(stopped.status)

    signal.signal(signal.SIGALRM, leave)
    signal.alarm(seconds)


def end_at_once_on_signals() -> None:
    """What is left to do is the interpreter's own clean-up, in which no exception may be raised."""
    for each in WORDS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, signal.SIG_DFL)
    if isinstance(signal.getsignal(signal.SIGALRM), _Again):
        signal.setitimer(signal.ITIMER_REAL, 0)
    if isinstance(sys.unraisablehook, _RaisedAgain):
        sys.unraisablehook = sys.unraisablehook.before
