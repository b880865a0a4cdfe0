"""Progress of a run: the package's log as lines on stderr, and on a terminal a bar."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from math import ceil
from typing import TYPE_CHECKING

from monai_mriprep.cli import clock
from monai_mriprep.cli.pace import Pace, clock_time, shown_rate
from monai_mriprep.cli.show import log, prepared
from monai_mriprep.cli.terminal import can_redraw
from monai_mriprep.errors import RecipeError, package_logger
from monai_mriprep.report.groups import Finding, Repeats, kind_of, said_once

if TYPE_CHECKING:
    from monai_mriprep.cli.bar import Bar
    from monai_mriprep.run.cases import Result

__all__ = ["LineHandler", "Watch", "log_lines", "watched"]

LOGGER = package_logger()

PREFIXES = {logging.DEBUG: "debug: ", logging.WARNING: "warning: "}

QUIET_SECONDS = 10.0
"""Where there is no bar, so long at least nothing is said of the progress; and a tenth of the time that has passed."""

MANY_ALIKE = 10
"""Failures of one kind that are told one by one."""


class LineHandler(logging.Handler):
    """Writes a line for each record, by its function `show`, which a bar replaces while it is visible.

    A record with an attribute ``case`` has none, for a `Watch`, or the result, tells what it says; and of many
    warnings of one kind in a row, before the first case, only the first ones have. A log in detail has them all.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.show: Callable[[str], object] = log
        self._repeats: Repeats | None = None if self.is_detailed else Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or drop it: what a run does must not depend on it."""
        with suppress(Exception):
            if self.is_detailed or "case" not in record.__dict__:
                for line in self._lines(record):
                    self.show(line)

    def _lines(self, record: logging.LogRecord) -> Iterator[str]:
        line = PREFIXES.get(record.levelno, "") + record.getMessage()
        if self._repeats is None:
            yield line
        elif record.levelno == logging.WARNING:
            yield from self._repeats.passed(line)
        else:
            yield from (*self._repeats.left_out(), line)

    def leave_out_nothing(self) -> None:
        """From here on, as when cases are under way, each record counts."""
        for line in () if self._repeats is None else self._repeats.left_out():
            self.show(line)
        self._repeats = None

    def close(self) -> None:
        """Say how many records were left out last."""
        self.leave_out_nothing()
        super().close()

    @property
    def is_detailed(self) -> bool:
        """Whether it was asked for by ``--verbose``."""
        return self.level <= logging.DEBUG

    @property
    def is_quiet(self) -> bool:
        """Whether it was asked for by ``--quiet``."""
        return self.level > logging.INFO


@contextmanager
def log_lines(verbose: bool = False, quiet: bool = False) -> Iterator[LineHandler]:
    """Show what the package logs as lines on stderr; afterwards its logger is as before.

    Parameters
    ----------
    verbose, quiet
        With details, or warnings and errors alone; by default what lies between.

    Raises
    ------
    RecipeError
        If both are asked for.
    """
    handler, level = LineHandler(_level(verbose, quiet)), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(handler.level)
    try:
        yield handler
    finally:
        LOGGER.setLevel(level)
        LOGGER.removeHandler(handler)
        handler.close()


def _level(verbose: bool, quiet: bool) -> int:
    if verbose and quiet:
        msg = "--verbose and --quiet contradict each other; give one of them"
        raise RecipeError(msg)
    return logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO


class Watch:
    """Shows how a run goes on: each failure at once, warnings of one kind together at the end. An `Observer`."""

    def __init__(self, lines: LineHandler, pace: Pace) -> None:
        self._lines, self._pace = lines, pace
        self._warnings: list[Finding] = []
        self._alike: dict[tuple[str, ...], list[str]] = {}
        self._said: float | None = None
        self._doing: str | None = None
        self.bar: Bar | None = None

    def __call__(self, result: Result, finished: int, total: int) -> None:
        """A case has ended."""
        seconds = sum(result.facts.get("seconds", {}).values())
        self._pace.end(result.case, seconds, total, failed=result.error is not None)
        if not self._lines.is_detailed:
            self._warnings += (Finding(result.case, text) for text in result.warnings)
            self._say_failure(result, f"[{finished}/{total}] {result.case}: FAILED")
        if self.bar is not None:
            self.bar.move(finished, total)
        elif not self._lines.is_quiet:
            self._say_now_and_then()

    def _say_failure(self, result: Result, place: str) -> None:
        """Say it with its reason; of those that have failed for a reason of one kind before, with the first one."""
        if result.error is None:
            return
        alike = self._alike.setdefault(kind_of(Finding(result.case, result.error)), [])
        alike.append(result.case)
        if len(alike) == 1:
            self._lines.show(f"{place}: {result.error}")
        elif len(alike) <= MANY_ALIKE:
            self._lines.show(f"{place}, as {alike[0]} did")
        elif len(alike) == MANY_ALIKE + 1:
            self._lines.show(f"{place}, as {alike[0]} did; more of that kind are counted, and told by -v")

    def _say_now_and_then(self) -> None:
        now = clock.elapsed()
        if self._said is None:
            self._said = now
        elif now - self._said >= max(QUIET_SECONDS, now / 10):
            self._lines.show(self.facts())
            self._said = now

    def facts(self) -> str:
        """How far the run is: ``[412/1000] 3 failed, 1:43 left, 1:12 elapsed, 5.7 cases/s``."""
        pace, left, rate = self._pace, self._pace.left(), self._pace.rate()
        is_over = 0 < pace.total == pace.finished
        facts = {
            self._doing: self._doing,
            f"{pace.failed} failed": pace.failed,
            "finishing": is_over,
            f"{clock_time(ceil(left or 0))} left": left is not None and not is_over,
            f"{clock_time(clock.elapsed())} elapsed": True,
            shown_rate(rate): rate,
        }
        said = ", ".join(fact for fact, is_known in facts.items() if fact and is_known)
        return f"[{pace.finished}/{pace.total}] {said}" if pace.total else said

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Say what takes its time, as long as the block lasts."""
        self._doing = what
        if self.bar is not None:
            self.bar.redraw()
        elif not self._lines.is_quiet:
            self._lines.show(f"{what} ...")
        yield
        self._doing = None

    def close(self) -> None:
        """Say how far it came, where that is not the end, and what needs review."""
        if 0 < self._pace.finished < self._pace.total and not self._lines.is_quiet:
            self._lines.show(self.facts())
        for sentence in said_once(self._warnings):
            self._lines.show(f"warning: {sentence}")


@contextmanager
def watched(lines: LineHandler, work: Mapping[str, float] | None = None, workers: int = 1) -> Iterator[Watch]:
    """Watch over a run: on a terminal with a bar, elsewhere with a line now and then.

    Parameters
    ----------
    lines
        Of `log_lines`. The bar's console takes them over, so that they stand above it.
    work, workers
        Of `Pace`.
    """
    watch = Watch(lines, Pace(work or {}, workers))
    lines.leave_out_nothing()
    try:
        with _bar(watch, lines) if can_redraw(sys.stderr) and not lines.is_quiet else nullcontext():
            yield watch
    finally:
        watch.close()


@contextmanager
def _bar(watch: Watch, lines: LineHandler) -> Iterator[None]:
    from monai_mriprep.cli.bar import shown_bar  # loads rich, 50 ms

    before = lines.show
    with shown_bar(watch.facts) as bar:
        watch.bar = bar
        lines.show = lambda text: bar.show(prepared(text, sys.stderr))
        try:
            yield
        finally:
            lines.show, watch.bar = before, None
