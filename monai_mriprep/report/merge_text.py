"""What was merged, as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monai_mriprep.errors import counted, first_names
from monai_mriprep.report.lines import shown
from monai_mriprep.run.merge import MergeSummary
from monai_mriprep.store.layout import TABLE

__all__ = ["merge_text"]

NAMES = 10


def merge_text(found: MergeSummary) -> Iterator[str]:
    """Lines of text: the counts that there are, what is missing, and where the results are."""
    for heading, value in _rows(found):
        if value:
            yield f"{heading:<12}  {value}"


def _rows(found: MergeSummary) -> Iterator[tuple[str, object]]:
    yield "merged", f"{counted(found.files, 'file')} of records" if found.files else "nothing new"
    yield "done", str(found.done)
    yield "failed", _names(found.failed)
    yield "missing", _names(found.missing)
    yield "missing", f"{found.unknown} more, which no shard has begun" if found.unknown else ""
    yield "not begun", f"shards {first_names(found.not_begun, NAMES)}" if found.not_begun else ""
    yield "other list", _of_other_lists(found.other_lists)
    yield "suspects", _names(found.suspects)
    yield "warnings", len(found.warnings)
    yield "results", found.output_root
    yield "details", f"{found.output_root}/{TABLE}" if found.failed else ""
    yield "report", found.report
    yield "next", "" if found.is_complete else "start these shards again, or `run`, which does what is missing"


def _names(cases: Sequence[str]) -> str:
    return f"{len(cases)}: {first_names([*map(shown, cases)], NAMES)}" if cases else ""


def _of_other_lists(shards: Sequence[str]) -> str:
    if not shards:
        return ""
    return f"shards {first_names(shards, NAMES)} had another list of cases than the last one; cases may be missing"
