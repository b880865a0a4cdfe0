"""What a run did, as a table for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from monai_mriprep.errors import counted, first_names
from monai_mriprep.report.lines import shown
from monai_mriprep.store.layout import TABLE

if TYPE_CHECKING:
    from monai_mriprep.run.session import RunSummary

__all__ = ["duration", "run_text"]

NAMES = 3


def run_text(summary: RunSummary) -> Iterator[str]:
    """Lines of text: the counts that there are, how long it took, and where the results are."""
    for heading, value in _rows(summary):
        if value:
            yield f"{heading:<12}  {value}"


def _rows(summary: RunSummary) -> Iterator[tuple[str, object]]:
    of_cases = sum(len(result.warnings) for result in (*summary.done, *summary.failed))
    yield "done", str(len(summary.done))
    yield "already done", len(summary.skipped)
    yield "failed", _names([result.case for result in summary.failed])
    yield "suspects", _names(summary.suspects)
    yield "no partner", f"{counted(summary.orphans, 'file')}, skipped" if summary.orphans else ""
    yield "excluded", len(summary.excluded)
    yield "retired", len(summary.retired)
    yield "warnings", len(summary.warnings) + of_cases
    yield "time", duration(summary.seconds)
    yield "results", summary.output_root
    has_details = summary.shard is None and (summary.failed or of_cases)  # of shards `merge` writes them
    yield "details", f"{summary.output_root}/{TABLE}" if has_details else ""
    yield "report", summary.report
    yield "shard", summary.shard
    merge = shlex.join(["monai-mriprep", "merge", str(summary.output_root)])
    yield "next", f"{merge}, when all shards have ended" if summary.shard else ""


def _names(cases: Sequence[str]) -> str:
    return f"{len(cases)}: {first_names([*map(shown, cases)], NAMES)}" if cases else ""


def duration(seconds: float) -> str:
    """A time in words: ``1.2 s``, ``2 min 05 s``, ``3 h 07 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
