"""How far a run has come, how fast it is, and how long it may still take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice

__all__ = ["Pace", "clock_time", "shown_rate"]

LEAST_SECONDS = 1.0
"""After which the number of cases says how fast it goes."""

UNITS = (("s", 1), ("min", 60), ("h", 3600))


class Pace:
    """Told of each case that ends, it says how long those that are left may take.

    It goes by the work in the cases, not by their number: the largest ones come first. Of the cases that are under
    way, half is taken for done, and what passed before the first case began does not count. So the first estimate is
    of use already.

    Parameters
    ----------
    work
        Of each case, in the order in which they are begun, in any unit. Where it is empty, all cases are alike.
    workers
        How many are worked on at once.
    now
        Seconds of a clock.
    """

    def __init__(self, work: Mapping[str, float], workers: int = 1, now: Callable[[], float] = time.monotonic) -> None:
        self.finished, self.failed, self.total = 0, 0, len(work)
        self._open, self._done, self._workers, self._now = dict(work), 0.0, max(1, workers), now
        self._begun: float | None = None
        self._last = 0.0
        self._end: float | None = None

    def end(self, case: str, seconds: float, total: int, failed: bool = False) -> None:
        """A case has ended, one of so many, after so many seconds of work on it. One that has failed took no time."""
        now = self._last = self._now()
        if self.finished == 0 and not self._open:
            self._open = {str(number): 1.0 for number in range(total)}
        self.finished, self.failed, self.total = self.finished + 1, self.failed + failed, total
        work = self._open.pop(case if case in self._open else next(iter(self._open), case), 0.0)
        if not failed:
            self._begun = now - seconds if self._begun is None else self._begun
            self._done += work
            self._end = now + self._left(now - self._begun)

    def _left(self, passed: float) -> float:
        """Seconds that the rest takes, where what is done took so many."""
        under_way = sum(islice(self._open.values(), self._workers - 1)) / 2
        return passed * (sum(self._open.values()) - under_way) / (self._done + under_way or 1.0)

    def left(self) -> float | None:
        """Seconds that the rest may take; None where no case was done."""
        return None if self._end is None else max(0.0, self._end - self._now())

    def rate(self) -> float:
        """Cases a second; 0 where that cannot be told yet."""
        passed = 0.0 if self._begun is None else self._last - self._begun
        return self.finished / passed if passed >= LEAST_SECONDS else 0.0


def clock_time(seconds: float) -> str:
    """Minutes and seconds, ``2:05``, or hours, ``3:07:00``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def shown_rate(rate: float) -> str:
    """Cases a second, minute or hour, whichever gives a number over 1: ``5.7 cases/s``."""
    unit, seconds = next(((unit, seconds) for unit, seconds in UNITS if rate * seconds >= 1), UNITS[-1])
    return f"{rate * seconds:.{1 if rate * seconds < 10 else 0}f} cases/{unit}"
