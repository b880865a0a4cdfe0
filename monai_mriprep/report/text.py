"""Reports as text. The command line prints them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from monai_mriprep.errors import counted
from monai_mriprep.export.splits import patient_of
from monai_mriprep.report.groups import Finding, said_once
from monai_mriprep.report.lines import shown
from monai_mriprep.run.estimates import shown_bytes
from monai_mriprep.run.prune import PruneSummary
from monai_mriprep.verify.audit import VerifyReport
from monai_mriprep.verify.repair import RepairReport

if TYPE_CHECKING:
    from monai_mriprep.export.nnunet_raw import ExportSummary
    from monai_mriprep.export.splits import Fold
    from monai_mriprep.report.html.facts import Page
    from monai_mriprep.restore.command import RestoreSummary

__all__ = [
    "export_text",
    "prune_text",
    "repair_text",
    "report_text",
    "restore_text",
    "split_text",
    "verify_text",
]


def verify_text(report: VerifyReport) -> Iterator[str]:
    """Lines of text: one for each problem, and for each kind of what is unfinished; then the outcome."""
    yield from (f"problem: {shown(finding.subject)}: {finding.problem}" for finding in report.problems)
    unfinished = (Finding(one.subject, f"{shown(one.subject)}: {one.problem}") for one in report.unfinished)
    yield from (f"unfinished: {sentence}" for sentence in said_once(unfinished))
    if report.unfinished:
        yield "what is unfinished, the next `run` does"
    if report.retired:
        files = counted(report.retired, "file")
        yield f"{files} of cases that left the dataset: in retired/, until `prune` deletes what is there"
    intact = f"{len(report.intact)} of {report.cases} cases intact, {shown_bytes(report.bytes_read)} read"
    things = len(report.problems)
    outcome = counted(things, "problem") if things else "everything there is as recorded"
    yield f"{report.root}: {intact}; {outcome}"


def prune_text(summary: PruneSummary, is_dry: bool = False) -> Iterator[str]:
    """Lines of text: one for each file and case, then the outcome; `is_dry` where nothing was deleted."""
    deleted = "would be deleted" if is_dry else "deleted"
    yield from (f"{deleted}: {shown(path)}" for path in summary.files)
    yield from (f"{deleted}: records of {shown(case)}" for case in summary.cases)
    if summary.run_warnings:
        yield f"{deleted}: {counted(summary.run_warnings, 'warning')} of runs that named files of theirs"
    counts = ", ".join((counted(len(summary.files), "file"), counted(summary.records, "record")))
    yield f"{summary.root}: {counts} of {counted(len(summary.cases), 'retired case')} {deleted}"


def repair_text(report: RepairReport) -> Iterator[str]:
    """Lines of text: one for each note, problem and rebuilt record, then the outcome."""
    yield from (f"warning: {note}" for note in report.notes)
    yield from (f"problem: {shown(finding.subject)}: {finding.problem}" for finding in report.problems)
    yield from (f"rebuilt: {shown(case)}" for case in report.rebuilt)
    outcome = f"{counted(len(report.rebuilt), 'record')} rebuilt, {report.trusted} good before"
    yield f"{report.root}: {outcome}" + (f"; {counted(len(report.problems), 'problem')}" if report.problems else "")


def restore_text(summary: RestoreSummary) -> Iterator[str]:
    """Lines of text: how many, then one for each prediction that was refused."""
    counts = [f"{len(summary.restored)} restored"]
    counts += [f"{len(summary.refused)} REFUSED"] if summary.refused else []
    yield f"{', '.join(counts)}: {summary.folder}"
    yield from (f"  refused: {problem}" for problem in summary.refused)


def report_text(page: Page, file: Path) -> Iterator[str]:
    """Lines of text: the verdict, one for each kind of failure and of suspicion, then the file."""
    yield page.verdict
    suspicions = [(case.name, one) for case in page.cases for one in case.suspicions]
    for kind, failed in (("failed", True), ("suspect", False)):
        of_kind = ((case, one.reason) for case, one in suspicions if (one.kind == "failed") == failed)
        findings = (Finding(case, f"{shown(case)}: {reason}") for case, reason in of_kind)
        yield from (f"{kind}: {sentence}" for sentence in said_once(findings))
    yield str(file)


def export_text(summary: ExportSummary) -> Iterator[str]:
    """Lines of text: how many, the new numbers of labels, then what was refused or is still to be done."""
    counts = [f"{len(summary.exported)} exported"]
    counts += [f"{len(summary.kept)} there before"] if summary.kept else []
    counts += [f"{len(summary.removed)} removed"] if summary.removed else []
    counts += [f"{len(summary.refused)} REFUSED"] if summary.refused else []
    yield f"{', '.join(counts)}: {summary.folder}"
    yield "labels: " + (", ".join(f"{old} is {new}" for old, new in summary.labels.items()) or "none")
    yield from (f"  refused: {shown(one.case)}: {one.problem}" for one in summary.refused)
    yield from summary.notes


def split_text(splits: Sequence[Fold], file: Path, patient: str | None) -> Iterator[str]:
    """Lines of text: one for each fold, then the file; `patient` finds the patients in the names of cases."""
    yield "fold  train   val  patients of val"
    for number, fold in enumerate(splits):
        patients = list(dict.fromkeys(patient_of(case, patient) for case in fold.val))
        more = ", ..." if len(patients) > 8 else ""
        yield f"{number:4} {len(fold.train):6} {len(fold.val):5}  {len(patients)}: {', '.join(patients[:8])}{more}"
    yield str(file)
