"""Reports as text. The command line prints them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from monai_mriprep.dataset.second_reading import SecondReading
from monai_mriprep.errors import counted
from monai_mriprep.export.splits import patient_of
from monai_mriprep.run.dataset_report import CaseReport, DatasetReport, Needs
from monai_mriprep.run.dry_run import DryRun
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
    "check_text",
    "dry_run_text",
    "export_text",
    "prune_text",
    "repair_text",
    "report_text",
    "restore_text",
    "shown",
    "split_text",
    "verify_text",
]

MANY_CLASSES = 8
"""A label with more classes is shown as a count and a range."""


def check_text(report: DatasetReport, command: str | None = None) -> Iterator[str]:
    """Lines of text: the layout, the cases as a table, what is wrong, the outcome; and the command that runs it."""
    if report.cases:
        yield from _aligned(_check_rows(report.cases))
        yield ""
    if report.classes:
        yield from _aligned(_class_rows(report))
        yield ""
    if report.seen:
        yield report.seen
    if report.derivation:
        yield report.derivation
    if report.needs:
        yield from _needs_lines(report.needs)
    if report.second_reading:
        yield from _second_reading_lines(report.second_reading)
    yield from (f"fatal: {message}" for message in report.fatal)
    yield from (f"problem: {shown(case.case)}: {problem}" for case in report.cases for problem in case.problems)
    yield from (f"warning: {message}" for message in report.warnings)
    yield from (f"warning: {orphan.reason}" for orphan in report.orphans)
    yield from (f"warning: {shown(case.case)}: {warning}" for case in report.cases for warning in case.warnings)
    yield _outcome(report)
    if command is not None and report.status != "impossible":
        yield f"run it with:  {command}"


def _second_reading_lines(again: SecondReading) -> Iterator[str]:
    found = f"{len(again.problems)} differ" if again.problems else "no difference"
    yield f"one file of each kind was read a second time by ITK: {again.compared} of {again.kinds} kinds, {found}"
    yield from (f"  not read a second time: {reason}" for reason in again.unread)


def _outcome(report: DatasetReport) -> str:
    n_ready, n_cases = len(report.ready), len(report.cases)
    ready = f"{n_ready} of {n_cases} cases can be preprocessed"
    ready += f", {len(report.excluded)} excluded" if report.excluded else ""
    if report.fatal:
        return f"{report.root}: a run would not start"
    if report.status == "ready":
        return f"{report.root}: all is well, {ready}"
    of_cases = sum(len(case.problems) + len(case.warnings) for case in report.cases)
    findings = len(report.warnings) + len(report.orphans) + of_cases
    return f"{report.root}: {ready}; {counted(findings, 'finding')} to review"


def _check_rows(cases: Sequence[CaseReport]) -> Iterator[list[str]]:
    with_voxels = any(case.image_contents or case.label_contents for case in cases)
    extra = ["intensities", "non-zero", "labels"] if with_voxels else []
    at_most = ", at most" if any(case.is_upper_bound for case in cases) else ""
    costs = [f"{name}{at_most}" for name in ("output z y x", "memory", "disk")]
    yield ["case", "verdict", "size z y x", "spacing mm", "type", "axes x y z", *extra, *costs]
    for case in cases:
        grid = case.native_grid
        yield [
            shown(case.case),
            "problem" if case.problems else "warning" if case.warnings else "ok",
            _times(grid.shape) if grid else "?",
            " ".join(f"{value:.4g}" for value in grid.spacing) if grid else "?",
            case.dtype or "?",
            case.axes or "?",
            *(_summary_cells(case) if with_voxels else []),
            _times(case.target_shape) if case.target_shape else "?",
            shown_bytes(case.memory_bytes) if case.target_shape else "?",
            shown_bytes(case.output_bytes) if case.target_shape else "?",
        ]


def _class_rows(report: DatasetReport) -> Iterator[list[str]]:
    total = sum(count.voxels for count in report.classes)
    yield ["class", "cases", "voxels", "share"]
    for count in report.classes:
        yield [str(count.value), str(count.cases), str(count.voxels), f"{count.voxels / total:.3%}"]


def _summary_cells(case: CaseReport) -> list[str]:
    image, label = case.image_contents, case.label_contents
    cells = ["?", "?", "?"]
    if image is not None and case.grid is not None:
        voxels = case.grid.shape[0] * case.grid.shape[1] * case.grid.shape[2]
        cells[:2] = [f"{image.minimum:.5g} to {image.maximum:.5g}", f"{image.foreground / voxels:.1%}"]
    if label is not None:
        cells[2] = _classes(sorted(label.histogram)) or f"{label.minimum:g} to {label.maximum:g}"
    return cells


def _classes(values: Sequence[int]) -> str:
    if len(values) <= MANY_CLASSES:
        return " ".join(map(str, values))
    return f"{len(values)} from {values[0]} to {values[-1]}"


def _needs_lines(needs: Needs) -> Iterator[str]:
    at_most = ", at most" if needs.is_upper_bound else ""
    yield (
        f"estimates{at_most}: {shown_bytes(needs.output_bytes)} of disk ({shown_bytes(needs.free_bytes)} free in "
        f"{needs.output_root}); {shown_bytes(needs.memory_bytes)} of memory for the largest case "
        f"(of {shown_bytes(needs.available_bytes)}); {_duration(needs.seconds)} with "
        f"{counted(needs.workers, 'worker')}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def dry_run_text(found: DryRun) -> Iterator[str]:
    """Lines of text: what would be done with each case, who would be retired, the target, and what it would take."""
    yield from _aligned(_dry_run_rows(found))
    yield from (f"retire: {shown(case)}" for case in found.retired)
    yield from (f"exclude: {shown(case)}" for case in found.excluded)
    yield ""
    yield found.derivation
    if found.needs:
        yield from _needs_lines(found.needs)
    actions = Counter(case.action for case in found.cases)
    counts = [f"{actions['run']} to preprocess"]
    counts += [f"{actions['redo']} to do again"] if actions["redo"] else []
    counts += [f"{actions['skip']} already done"] if actions["skip"] else []
    counts += [f"{found.orphans} skipped (no partner)"] if found.orphans else []
    counts += [f"{len(found.excluded)} excluded"] if found.excluded else []
    counts += [f"{len(found.retired)} to retire"] if found.retired else []
    yield f"{', '.join(counts)}; nothing was written: {found.output_root}"


def _dry_run_rows(found: DryRun) -> Iterator[list[str]]:
    yield ["case", "action", "memory", "disk", "reason"]
    for case in found.cases:
        known = (case.memory_bytes, case.output_bytes) if case.memory_bytes else ()  # not where a header is unreadable
        costs = ["", ""] if case.action == "skip" else [*map(shown_bytes, known)] or ["?", "?"]
        yield [shown(case.case), case.action, *costs, case.reason]


def verify_text(report: VerifyReport) -> Iterator[str]:
    """Lines of text: one for each finding, then the outcome."""
    for kind, findings in {"problem": report.problems, "unfinished": report.unfinished}.items():
        yield from (f"{kind}: {shown(finding.subject)}: {finding.problem}" for finding in findings)
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
    """Lines of text: the verdict, one for each suspicion, then the file."""
    yield page.verdict
    for case in page.cases:
        yield from (f"  {shown(case.name)}: {one.kind}: {one.reason}" for one in case.suspicions)
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


def shown(name: str) -> str:
    """A name as it is; escaped if it holds characters that would break a line or a terminal."""
    return name if name.isprintable() else repr(name)


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _aligned(rows: Iterator[list[str]]) -> Iterator[str]:
    """Pad the columns, with two blanks between them."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
