"""What is seen of a run while it runs: the package's log as lines on stderr, and a bar on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from monai_mriprep.cli.show import log
from monai_mriprep.logs import LOGGER

if TYPE_CHECKING:
    from monai_mriprep.run.cases import Result

__all__ = ["log_lines", "progress"]


class _Lines(logging.Handler):
    """A line on stderr for each record, through whatever stands there: a bar of rich keeps below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it; a stderr that is closed must not stop a run."""
        try:
            log(("warning: " if record.levelno == logging.WARNING else "") + record.getMessage())
        except Exception:  # noqa: BLE001 - as all handlers of the standard library
            self.handleError(record)


@contextmanager
def log_lines() -> Iterator[logging.Handler]:
    """Show what the package logs as lines on stderr, and leave its logger as it was."""
    handler, level = _Lines(), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        LOGGER.setLevel(level)
        LOGGER.removeHandler(handler)


def _is_terminal() -> bool:
    return sys.stderr.isatty()


@contextmanager
def progress(lines: logging.Handler) -> Iterator[Callable[[Result, int, int], None]]:
    """On a terminal a bar, and lines for warnings and failures alone; elsewhere the lines of the log say enough."""
    if not _is_terminal():
        yield lambda result, finished, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("preprocessing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    lines.setLevel(logging.WARNING)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda result, finished, total: bar.update(task, completed=finished, total=total)
