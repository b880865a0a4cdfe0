"""The progress bar of a terminal; it is redrawn below all other lines, which its console writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

__all__ = ["Bar", "shown_bar"]


class Bar:
    """What moves it, and what writes above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)

    def show(self, text: str) -> None:
        """Write lines above the bar. Colours may be in them; nothing in them is markup."""
        self._progress.console.print(Text.from_ansi(text), soft_wrap=True)

    def redraw(self) -> None:
        """Draw it now, without waiting until it is due: what comes next may leave no time for that."""
        self._progress.refresh()

    def move(self, finished: int, total: int) -> None:
        """So many of so many cases have ended."""
        self._progress.update(self._task, completed=finished, total=total)


class _Facts(ProgressColumn):
    """A text beside the bar; drawn anew each time, so that a clock in it runs."""

    def __init__(self, text: Callable[[], str]) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis"))
        self._text = text

    def render(self, task: Task) -> Text:
        text = Text(self._text())
        text.highlight_regex(r"\d+ failed", "red")
        return text


@contextmanager
def shown_bar(facts: Callable[[], str]) -> Iterator[Bar]:
    """Show a bar until the block ends, and right of it what `facts` returns."""
    console = Console(stderr=True, highlight=False)
    with Progress(
        BarColumn(None), _Facts(facts), console=console, transient=True, expand=True, refresh_per_second=4
    ) as progress:
        os.register_at_fork(after_in_child=_leave_streams)
        yield Bar(progress)


def _leave_streams() -> None:
    """A forked process writes past the bar: it must not wait for a lock that another thread held at the fork."""
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        if isinstance(stream, FileProxy):
            setattr(sys, name, stream.rich_proxied_file)
