"""What came of locking a folder, and of making its cases again: as text, and as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from monai_mriprep.errors import counted
from monai_mriprep.report.facts import plain
from monai_mriprep.report.lines import shown

if TYPE_CHECKING:
    from monai_mriprep.proof.lock import LockReport
    from monai_mriprep.proof.reproduce import ReproduceReport

__all__ = ["lock_json", "lock_text", "reproduce_json", "reproduce_text"]


def lock_text(found: LockReport) -> Iterator[str]:
    """Lines of text: one for each problem, then the outcome."""
    yield from (f"problem: {shown(finding.subject)}: {finding.problem}" for finding in found.problems)
    left_out = f", {len(found.left_out)} not finished and left out" if found.left_out else ""
    if found.problems:
        yield f"{found.root}: {counted(len(found.problems), 'problem')}; nothing is locked"
    else:
        yield f"{found.root}: {counted(found.cases, 'case')} locked{left_out}; sha256 {found.sha256}"


def lock_json(found: LockReport) -> dict[str, Any]:
    """What was found, without the lock."""
    problems = [{"subject": finding.subject, "problem": finding.problem} for finding in found.problems]
    facts: dict[str, Any] = plain(found)
    del facts["lines"]
    return {**facts, "problems": problems}


def reproduce_text(found: ReproduceReport) -> Iterator[str]:
    """Lines of text: what differs, in what this machine is unlike that of the lock, then the outcome."""
    yield from (f"differs: {one.subject}: {one.kind}: {one.problem}" for one in found.differences)
    for case in found.differ:
        yield from (
            f"differs: {shown(case.case)}: {one.kind}: {shown(one.subject)}: {one.problem}" for one in case.differences
        )
    yield from (f"unlike: {shown(text)}" for text in found.unlike)
    made = len(found.exact) + len(found.close) + len(found.differ)
    what = "records alone, for there were no volumes" if found.virtual else "all arrays"
    near = "numbers in six digits" if found.virtual else "labels to the bit, images within 2e-6 of their range"
    how = "to the bit" if found.to_the_bit else near
    more = f"; {found.unfinished} more were not finished, and are not in it" if found.unfinished else ""
    yield f"{found.lock}: {made} of {counted(found.cases, 'case')} made again from {found.dataset}{more}"
    yield f"compared: {what}; asked for: {how}"
    counts = [f"{len(found.exact)} equal to the bit"]
    within = "in six digits" if found.virtual else f"within {found.deviation:.1e} of the range"
    counts += [f"{len(found.close)} {within}"] if found.close else []
    counts += [f"{len(found.differ)} NOT as locked"] if found.differ else []
    yield ", ".join(counts)


def reproduce_json(found: ReproduceReport) -> dict[str, Any]:
    """Everything; an item of ``differ`` has the name of a case and its differences."""
    facts: dict[str, Any] = plain(found)
    facts["differences"] = [one._asdict() for one in found.differences]
    facts["differ"] = [
        {"case": case.case, "differences": [one._asdict() for one in case.differences]} for case in found.differ
    ]
    return {"proven": found.is_proven, **facts}
