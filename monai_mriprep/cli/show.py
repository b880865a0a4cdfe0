"""Output of the commands: lines on stderr, the summary of a run, and the exit status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from monai_mriprep.run.session import RunSummary

__all__ = [
    "ATTENTION",
    "COULD_NOT_START",
    "OK",
    "fail",
    "log",
    "summarize",
    "warn",
]

OK, ATTENTION, COULD_NOT_START = 0, 1, 2


def log(message: str) -> None:
    """Write a line to stderr."""
    typer.echo(message, err=True)


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
    counts += [f"{len(summary.failed)} FAILED"] if summary.failed else []
    typer.echo(f"{', '.join(counts)} in {summary.seconds:.1f} s: {summary.output_root}")
    for result in summary.failed:
        typer.echo(f"  failed: {result.case}: {result.error}")
    if summary.stopped:
        return fail(f"stopped: {summary.stopped}", ATTENTION)
    return ATTENTION if summary.failed else OK
