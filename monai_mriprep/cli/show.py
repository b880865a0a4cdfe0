"""Output of the commands: results on stdout, lines on stderr, the summary of a run, and the exit status."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import typer

from monai_mriprep.cli.terminal import fitted, has_colour, painted

if TYPE_CHECKING:
    from monai_mriprep.run.session import RunSummary

__all__ = [
    "ATTENTION",
    "COULD_NOT_START",
    "OK",
    "escaped",
    "fail",
    "log",
    "prepared",
    "report",
    "say",
    "say_exactly",
    "summarize",
    "warn",
]

OK, ATTENTION, COULD_NOT_START = 0, 1, 2


CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # all but the line feed, which ends the lines of our own messages
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"  # ends of lines and changes of direction of unicode
)
"""Characters that would steer a terminal, or hide what a line says; file names may hold them."""


def escaped(message: str) -> str:
    r"""A message with its control characters written out, as ``\x1b``; line feeds stay."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), message)


def say(result: object, end: str = "\n") -> None:
    """Write a result to stdout."""
    typer.echo(escaped(f"{result}{end}"), nl=False)


def say_exactly(lines: Iterable[str]) -> None:
    """Write lines to stdout as they are, each with its line end: what a hash is of must not be escaped."""
    for line in lines:
        typer.echo(line, nl=False)


def report(lines: Iterable[str], facts: Mapping[str, Any], as_json: bool) -> None:
    """Write a result to stdout: as lines for people, or as JSON for scripts."""
    if as_json:
        say(json.dumps(facts, indent=2))
    else:
        _show("\n".join(lines), sys.stdout)


def log(message: str) -> None:
    """Write a line to stderr."""
    _show(message, sys.stderr)


def _show(text: str, stream: TextIO) -> None:
    typer.echo(prepared(text, stream), stream, color=True)


def prepared(text: str, stream: TextIO) -> str:
    """A text as a stream shows it: control characters written out, long lines broken on a terminal, with colours."""
    shown = fitted(escaped(text), stream)
    return painted(shown) if has_colour(stream) else shown


def warn(messages: Iterable[str], everything: bool = True) -> None:
    """Write a line for each warning; of many of one kind in a row only for the first ones, if not for everything."""
    from monai_mriprep.report.groups import first_ones

    lines = (f"warning: {message}" for message in messages)
    for line in lines if everything else first_ones(lines):
        log(line)


def fail(message: str, status: int = COULD_NOT_START) -> int:
    """Say what went wrong, and return the exit status."""
    log(f"error: {message}")
    return status


def summarize(summary: RunSummary, facts: Mapping[str, Any] | None = None) -> int:
    """Say what the run did, by these facts as JSON if they are given, and return the exit status."""
    from monai_mriprep.report.run_text import run_text

    report(run_text(summary), facts or {}, as_json=facts is not None)
    if summary.stopped:
        return fail(f"stopped: {summary.stopped}", ATTENTION)
    return ATTENTION if summary.failed else OK
