"""Progress of a run: the package's log as lines on stderr, and on a terminal a bar."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from monai_mriprep.cli.show import escaped, log
from monai_mriprep.errors import RecipeError, package_logger

if TYPE_CHECKING:
    from monai_mriprep.run.cases import Result

__all__ = ["log_lines", "progress"]

LOGGER = package_logger()


PREFIXES = {logging.DEBUG: "debug: ", logging.WARNING: "warning: "}


class _LineHandler(logging.Handler):
    """Writes a line for each record, by its function `show`, which a progress bar replaces while it is visible."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.show: Callable[[str], None] = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or drop it: what a run does must not depend on it."""
        with suppress(Exception):
            self.show(PREFIXES.get(record.levelno, "") + escaped(record.getMessage()))


@contextmanager
def log_lines(verbose: bool = False, quiet: bool = False) -> Iterator[_LineHandler]:
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
    handler, level = _LineHandler(_level(verbose, quiet)), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(handler.level)
    try:
        yield handler
    finally:
        LOGGER.setLevel(level)
        LOGGER.removeHandler(handler)


def _level(verbose: bool, quiet: bool) -> int:
    if verbose and quiet:
        msg = "--verbose and --quiet contradict each other; give one of them"
        raise RecipeError(msg)
    return logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO


@contextmanager
def progress(lines: _LineHandler) -> Iterator[Callable[[Result, int, int], None]]:
    """On a terminal show a bar, and lines for warnings and failures, or for all if verbose; elsewhere only lines."""
    if not sys.stderr.isatty() or lines.level > logging.INFO:
        yield lambda result, finished, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("preprocessing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    if lines.level == logging.INFO:
        lines.setLevel(logging.WARNING)
    lines.show = partial(console.print, markup=False, highlight=False, emoji=False, soft_wrap=True)  # above the bar
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda result, finished, total: bar.update(task, completed=finished, total=total)
