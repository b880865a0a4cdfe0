"""What is known before a run, as text: that of `check`, and that of a dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from monai_mriprep.cohort.case import Suspect
from monai_mriprep.dataset.pairing import Orphan
from monai_mriprep.dataset.second_reading import SecondReading
from monai_mriprep.errors import counted, first_names
from monai_mriprep.report.groups import Finding, said_once
from monai_mriprep.report.lines import rough_time, shown, table
from monai_mriprep.run.dataset_report import CaseReport, DatasetReport, Needs
from monai_mriprep.run.dry_run import CaseOutlook, DryRun
from monai_mriprep.run.estimates import shown_bytes

__all__ = ["check_text", "dry_run_text", "needs_text"]

MANY_CLASSES = 8
"""A label with more classes is shown as a count and a range."""

MANY_CASES = 20
"""Of more cases, so many are shown: those first that need review, or of which something rare is to be said."""


VERDICTS = ("problem", "suspect", "warning", "ok")
"""The gravest first."""

COSTS = [[f"{name}{bound}" for name in ("output z y x", "memory", "disk")] for bound in ("", ", at most")]
"""Headings: of estimates, and of upper bounds."""

SPARE = ("disk", "disk, at most", "type", "non-zero", "memory", "memory, at most", "axes", "intensities")
"""Columns that are left out where there is no room for all, in this order."""


def check_text(report: DatasetReport, width: int | None = None, everything: bool = False) -> Iterator[str]:
    """Lines of text: the cases as a table, the layout, what is wrong, the outcome.

    Parameters
    ----------
    report
        Of `monai_mriprep.run.check.check_dataset`.
    width
        Of the tables at most, in characters: columns that do not fit are left out. None is no limit.
    everything
        Show all cases, however many there are, and what is found in each; not what many have in common, once.
    """
    if report.cases:
        yield from _case_table(report, width, everything)
        yield ""
    if report.classes:
        yield from table(_class_rows(report))
        yield ""
    if report.seen:
        yield report.seen
    if report.derivation:
        yield report.derivation
    if report.needs:
        yield needs_text(report.needs)
    if report.second_reading:
        yield from _second_reading_lines(report.second_reading)
    yield from (f"fatal: {message}" for message in report.fatal)
    yield from (f"problem: {sentence}" for sentence in _of_cases(report.cases, "problems", everything))
    yield from (f"warning: {message}" for message in report.warnings)
    yield from (f"warning: {sentence}" for sentence in _of_orphans(report.orphans, everything))
    yield from (f"warning: {sentence}" for sentence in _of_cases(report.cases, "warnings", everything))
    yield from (f"suspect: {sentence}" for sentence in _of_suspects(_suspects(report), everything))
    yield _outcome(report)


def _of_cases(cases: Iterable[CaseReport], kind: Literal["problems", "warnings"], everything: bool) -> Iterator[str]:
    texts = ((case.case, text) for case in cases for text in (case.problems if kind == "problems" else case.warnings))
    return _said((Finding(case, f"{shown(case)}: {text}") for case, text in texts), everything)


def _of_orphans(orphans: Iterable[Orphan], everything: bool) -> Iterator[str]:
    return _said((Finding(orphan.path.name, orphan.reason) for orphan in orphans), everything, "file")


def _of_suspects(suspects: Sequence[Suspect], everything: bool) -> Iterator[str]:
    """Each, unless they are too many to be looked at."""
    is_short = everything or len(suspects) <= MANY_CASES
    return _said((Finding(one.case, f"{shown(one.case)}: {one.reason}") for one in suspects), is_short)


def _suspects(report: DatasetReport) -> list[Suspect]:
    """Those with another reason than a problem, which is said anyhow."""
    return [suspect for suspect in report.suspects if suspect.kind != "failed"]


def _said(findings: Iterable[Finding], everything: bool, noun: str = "case") -> Iterator[str]:
    return (finding.text for finding in findings) if everything else said_once(findings, noun)


def _case_table(report: DatasetReport, width: int | None, everything: bool) -> Iterator[str]:
    cases, verdicts = report.cases, _verdicts(report)
    is_short = everything or len(cases) <= MANY_CASES
    ranked = cases if is_short else sorted(cases, key=lambda case: VERDICTS.index(verdicts[case.case]))
    listed, rest = (ranked, ()) if is_short else (ranked[:MANY_CASES], ranked[MANY_CASES:])
    yield from table(_check_rows(listed, verdicts), width, SPARE)
    yield from _and_more(verdicts[case.case] for case in rest)


def _and_more(kinds: Iterable[str]) -> Iterator[str]:
    """How many cases are not in a table, by a word for each."""
    counts = Counter(kinds)
    if counts:
        facts = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        yield f"... and {counts.total()} more: {facts} (-v shows all)"


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
    findings = len(report.warnings) + len(report.orphans) + len(_suspects(report)) + of_cases
    return f"{report.root}: {ready}; {counted(findings, 'finding')} to review"


def _check_rows(cases: Sequence[CaseReport], verdicts: Mapping[str, str]) -> Iterator[list[str]]:
    with_voxels = any(case.image_contents or case.label_contents for case in cases)
    extra = ["intensities", "non-zero", "labels"] if with_voxels else []
    costs = COSTS[any(case.is_upper_bound for case in cases)]
    yield ["case", "verdict", "size z y x", "spacing mm", "type", "axes", *extra, *costs]
    for case in cases:
        grid = case.native_grid
        yield [
            shown(case.case),
            verdicts[case.case],
            _times(grid.shape) if grid else "?",
            " ".join(f"{value:.4g}" for value in grid.spacing) if grid else "?",
            case.dtype or "?",
            case.axes or "?",
            *(_summary_cells(case) if with_voxels else []),
            _times(case.target_shape) if case.target_shape else "?",
            shown_bytes(case.memory_bytes) if case.target_shape else "?",
            shown_bytes(case.output_bytes) if case.target_shape else "?",
        ]


def _verdicts(report: DatasetReport) -> dict[str, str]:
    """Of each case, by its name."""
    suspects = {suspect.case for suspect in report.suspects}
    return {case.case: _verdict(case, case.case in suspects) for case in report.cases}


def _verdict(case: CaseReport, is_suspect: bool) -> str:
    return "problem" if case.problems else "suspect" if is_suspect else "warning" if case.warnings else "ok"


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


def needs_text(needs: Needs) -> str:
    """What a run takes of disk, memory and time, and what there is."""
    at_most = ", at most" if needs.is_upper_bound else ""
    free = "" if needs.free_bytes is None else f" ({shown_bytes(needs.free_bytes)} free in {needs.output_root})"
    return (
        f"estimates{at_most}: {shown_bytes(needs.output_bytes)} of disk{free}; {shown_bytes(needs.memory_bytes)} of "
        f"memory for the largest case (of {shown_bytes(needs.available_bytes)}); {rough_time(needs.seconds)} with "
        f"{counted(needs.workers, 'worker')}"
    )


def dry_run_text(found: DryRun, width: int | None = None, everything: bool = False) -> Iterator[str]:
    """Lines of text: what would be done with each case, who would be retired, the target, and what it would take.

    Parameters
    ----------
    found
        Of `monai_mriprep.run.dry_run.dry_run`.
    width, everything
        As in `check_text`.
    """
    is_short = everything or len(found.cases) <= MANY_CASES
    common = Counter((case.action, case.reason) for case in found.cases)
    ranked = found.cases if is_short else sorted(found.cases, key=lambda case: common[case.action, case.reason])
    listed, rest = (ranked, ()) if is_short else (ranked[:MANY_CASES], ranked[MANY_CASES:])
    yield from table(_dry_run_rows(listed), width, ("disk", "memory"))
    yield from _and_more(case.action for case in rest)
    yield from _names("retire", found.retired, everything)
    yield from _names("exclude", found.excluded, everything)
    yield ""
    yield found.derivation
    if found.needs:
        yield needs_text(found.needs)
    actions = Counter(case.action for case in found.cases)
    counts = [f"{actions['run']} to preprocess"]
    counts += [f"{actions['redo']} to do again"] if actions["redo"] else []
    counts += [f"{actions['skip']} already done"] if actions["skip"] else []
    counts += [f"{found.orphans} skipped (no partner)"] if found.orphans else []
    counts += [f"{len(found.excluded)} excluded"] if found.excluded else []
    counts += [f"{len(found.retired)} to retire"] if found.retired else []
    yield f"{', '.join(counts)}; nothing was written: {found.output_root}"


def _names(what: str, cases: Sequence[str], everything: bool) -> Iterator[str]:
    """Who is to leave: a line for each, or of many the first ones."""
    names = [shown(case) for case in cases]
    if everything or len(names) <= MANY_CASES:
        yield from (f"{what}: {name}" for name in names)
    else:
        yield f"{what}: {first_names(names, 3)}"


def _dry_run_rows(cases: Iterable[CaseOutlook]) -> Iterator[list[str]]:
    yield ["case", "action", "memory", "disk", "reason"]
    for case in cases:
        known = (case.memory_bytes, case.output_bytes) if case.memory_bytes else ()  # not where a header is unreadable
        costs = ["", ""] if case.action == "skip" else [*map(shown_bytes, known)] or ["?", "?"]
        yield [shown(case.case), case.action, *costs, case.reason]


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
