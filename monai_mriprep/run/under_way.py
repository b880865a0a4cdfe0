"""The cases that are being worked on: for how long, and what is done about one that takes far too long."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from monai_mriprep.errors import package_logger
from monai_mriprep.run.cases import Case
from monai_mriprep.run.estimates import case_seconds

__all__ = ["Begun", "Named", "UnderWay", "shown_seconds", "unusual_seconds"]

LOGGER = package_logger()

TIMES_THE_ESTIMATE = 10
LEAST_SECONDS = 60.0
"""The estimate is of an idle machine with a local disk, so only what is far beyond it is worth a line."""

LOOK_SECONDS = 0.5


class Named(Protocol):
    """A case, or another item that is worked on."""

    @property
    def name(self) -> str:
        """Its name; no other item has it."""


@dataclass
class Begun:
    """A case that was handed out.

    Parameters
    ----------
    case
        Which.
    since
        When it was handed out or, once its worker has said so, begun; seconds of `time.monotonic`.
    pid
        Process that has begun it, if that is known.
    unusual
        Seconds after which the next line is due.
    """

    case: Named
    since: float
    pid: int | None
    unusual: float


class UnderWay:
    """Watches over cases that are being worked on, by a thread, as long as the block lasts.

    A case that takes far longer than estimated is logged, at doubling intervals. If there is a limit, the process of
    a case that has exceeded it is killed.

    Parameters
    ----------
    timeout
        Seconds for a case. None is no limit.
    pids
        Returns the processes that work. For a case that was handed out and not begun, those without a case are killed.
    grace
        Seconds that a case may wait until it is begun, beyond the limit.
    """

    def __init__(
        self,
        timeout: float | None = None,
        pids: Callable[[], Iterable[int]] = tuple,
        grace: float = 0.0,
    ) -> None:
        self.timeout = timeout
        self.timed_out: set[str] = set()
        self._pids, self._grace = pids, grace
        self._begun: dict[str, Begun] = {}  # changed by single operations only, so that it needs no lock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mriprep-under-way", daemon=True)

    def __enter__(self) -> UnderWay:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(timeout=5)  # a handler of the log may hang

    def begin(self, case: Named, pid: int | None = None, since: float | None = None) -> None:
        """A case was handed out, or a process has begun it."""
        since = time.monotonic() if since is None else since
        self._begun[case.name] = Begun(case, since, pid, unusual_seconds(case))

    def end(self, case: Named) -> None:
        """A case has its result."""
        self._begun.pop(case.name, None)

    def cases(self) -> list[Begun]:
        """Those that are under way."""
        return list(self._begun.values())

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Say which cases take too long at this time, and end those over the limit."""
        for begun in self.cases():
            self._report(begun, now - begun.since)
            limit = self._limit(begun)
            if limit is not None and now - begun.since > limit:
                self.timed_out.add(begun.case.name)
                self._kill(begun)

    def _report(self, begun: Begun, seconds: float) -> None:
        if seconds < begun.unusual:
            return
        while begun.unusual <= seconds:
            begun.unusual *= 2
        estimate = shown_seconds(max(1.0, _estimated_seconds(begun.case)))
        LOGGER.warning("%s: under way for %s, estimated %s", begun.case.name, shown_seconds(seconds), estimate)

    def _limit(self, begun: Begun) -> float | None:
        if self.timeout is None or begun.pid is not None:
            return self.timeout
        return self.timeout + self._grace

    def _kill(self, begun: Begun) -> None:
        busy = {other.pid for other in self.cases()}
        for pid in set(self._pids()) - busy if begun.pid is None else {begun.pid}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def unusual_seconds(case: Named) -> float:
    """After how long a case is worth a line."""
    return max(LEAST_SECONDS, TIMES_THE_ESTIMATE * _estimated_seconds(case))


def _estimated_seconds(item: Named) -> float:
    """Of a case; of other items nothing is known."""
    return case_seconds(item) if isinstance(item, Case) else 0.0


def shown_seconds(seconds: float) -> str:
    """Write a time for people: in seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
