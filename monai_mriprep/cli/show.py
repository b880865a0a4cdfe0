"""What a person reads: lines on stderr, the progress, the summary of a run; and the exit status that goes with it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from monai_mriprep.run.cases import Case, Result
    from monai_mriprep.run.decide import Decision
    from monai_mriprep.run.session import RunSummary

__all__ = [
    "ATTENTION",
    "COULD_NOT_START",
    "INTERRUPTED",
    "OK",
    "TERMINATED",
    "fail",
    "log",
    "log_redone",
    "progress",
    "summarize",
    "warn",
]

OK, ATTENTION, COULD_NOT_START, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def log(message: str) -> None:
    """Write a line to stderr."""
    typer.echo(message, err=True)


def log_redone(decisions: Iterable[tuple[Case, Decision]]) -> None:
    """Say why finished cases are done again; a reason that many share is said once."""
    reasons = Counter(decision.reason for _, decision in decisions if decision.action == "redo")
    for reason, count in reasons.items():
        log(f"redo: {reason}" + f" ({count} cases)" * (count > 1))


def warn(messages: Iterable[str]) -> None:
    """Write a line for each warning."""
    for message in messages:
        log(f"warning: {message}")


def fail(message: str, status: int = COULD_NOT_START) -> int:
    """Say what went wrong, and return the exit status."""
    log(f"error: {message}")
    return status


@contextmanager
def progress() -> Iterator[Callable[[Result, int, int], None]]:
    """A bar on a terminal, a line for each case elsewhere; failures and warnings are always lines."""
    if not sys.stderr.isatty():
        yield _report_case
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("preprocessing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def observe(result: Result, finished: int, total: int) -> None:
            bar.update(task, completed=finished, total=total)
            if result.error or result.warnings:
                _report_case(result, finished, total)

        yield observe


def _report_case(result: Result, finished: int, total: int) -> None:
    warn(result.warnings)
    if result.error:
        log(f"[{finished}/{total}] {result.case}: FAILED: {result.error}")
    else:
        shape = " x ".join(map(str, result.facts["target_grid"]["shape"]))
        seconds = sum(result.facts["seconds"].values())
        log(f"[{finished}/{total}] {result.case}: {shape} in {seconds:.2f} s")


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
