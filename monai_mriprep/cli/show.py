"""Output of the commands: results on stdout, lines on stderr, the summary of a run, and the exit status."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from monai_mriprep.run.session import RunSummary

__all__ = [
    "ATTENTION",
    "COULD_NOT_START",
    "OK",
    "escaped",
    "fail",
    "log",
    "say",
    "summarize",
    "warn",
]

OK, ATTENTION, COULD_NOT_START = 0, 1, 2


CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # all but the line feed, which ends the lines of our own messages
    "\u200e\u200f\u2028-\u202e\u2066-\u2069]"  # ends of lines and changes of direction of unicode
)
"""Characters that would steer a terminal, or hide what a line says; file names may hold them."""


def escaped(message: str) -> str:
    r"""A message with its control characters written out, as ``\x1b``; line feeds stay."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), message)


def say(result: object, end: str = "\n") -> None:
    """Write a result to stdout."""
    typer.echo(escaped(f"{result}{end}"), nl=False)


def log(message: str) -> None:
    """Write a line to stderr."""
    typer.echo(escaped(message), err=True)


def warn(messages: Iterable[str]) -> None:
    """Write a line for each warning."""
    for message in messages:
        log(f"warning: {message}")


def fail(message: str, status: int = COULD_NOT_START) -> int:
    """Say what went wrong, and return the exit status."""
    log(f"error: {message}")
    return status


def summarize(summary: RunSummary) -> int:
    """Say what the run did, and return the exit status."""
    counts = [f"{len(summary.done)} preprocessed"]
    counts += [f"{len(summary.skipped)} already done"] if summary.skipped else []
    counts += [f"{summary.orphans} skipped (no partner)"] if summary.orphans else []
    counts += [f"{len(summary.failed)} FAILED"] if summary.failed else []
    counts += [f"{len(summary.retired)} retired"] if summary.retired else []
    say(f"{', '.join(counts)} in {summary.seconds:.1f} s: {summary.output_root}")
    for result in summary.failed:
        say(f"  failed: {result.case}: {result.error}")
    if summary.stopped:
        return fail(f"stopped: {summary.stopped}", ATTENTION)
    return ATTENTION if summary.failed else OK
