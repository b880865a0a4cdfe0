"""What `plan` has written, as text."""

from __future__ import annotations

from collections.abc import Iterator

from monai_mriprep.errors import counted, first_names
from monai_mriprep.report.lines import rough_time
from monai_mriprep.run.estimates import shown_bytes
from monai_mriprep.run.planning import PlanSummary
from monai_mriprep.store.layout import CASES

__all__ = ["plan_text"]


def plan_text(found: PlanSummary) -> Iterator[str]:
    """Lines of text: the target, how much there is to do, and where the list is."""
    at_most = ", at most" if found.is_upper_bound else ""
    todo = found.cases - found.finished
    yield found.derivation
    yield (
        f"estimates{at_most}: {rough_time(found.seconds)} on one core for {counted(todo, 'case')} "
        f"({rough_time(found.longest_seconds)} for the longest), {shown_bytes(found.memory_bytes)} of memory for the "
        f"largest, {shown_bytes(found.output_bytes)} of disk"
    )
    counts = [f"{todo} to do"]
    counts += [f"{found.finished} already done"] if found.finished else []
    counts += [f"{found.orphans} skipped (no partner)"] if found.orphans else []
    counts += [f"{len(found.excluded)} excluded"] if found.excluded else []
    counts += [f"{len(found.retired)} to retire ({first_names(found.retired)})"] if found.retired else []
    yield f"{counted(found.cases, 'case')}: {', '.join(counts)}"
    yield f"{found.output_root}/{CASES}: SHA-256 {found.sha256}"
