"""What is seen of a run while it runs: the package's log as lines on stderr, and a bar on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from monai_mriprep.cli.show import log
from monai_mriprep.errors import package_logger

if TYPE_CHECKING:
    from monai_mriprep.run.cases import Result

__all__ = ["log_lines", "progress"]

LOGGER = package_logger()


class _Lines(logging.Handler):
    """A line for each record; `show` writes it, which a bar replaces while it stands there."""

    def __init__(self) -> None:
        super().__init__()
        self.show: Callable[[str], None] = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write it; a stderr that is closed must not stop a run."""
        try:
            self.show(("warning: " if record.levelno == logging.WARNING else "") + record.getMessage())
        except Exception:  # noqa: BLE001 - as all handlers of the standard library
            self.handleError(record)


@contextmanager
def log_lines() -> Iterator[_Lines]:
    """Show what the package logs as lines on stderr, and leave its logger as it was."""
    handler, level = _Lines(), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        LOGGER.setLevel(level)
        LOGGER.removeHandler(handler)


@contextmanager
def progress(lines: _Lines) -> Iterator[Callable[[Result, int, int], None]]:
    """On a terminal a bar, and lines for warnings and failures alone; elsewhere the lines of the log say enough."""
    if not sys.stderr.isatty():
        yield lambda result, finished, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("preprocessing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    lines.setLevel(logging.WARNING)
    lines.show = partial(console.print, markup=False, highlight=False, emoji=False, soft_wrap=True)  # above the bar
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda result, finished, total: bar.update(task, completed=finished, total=total)
