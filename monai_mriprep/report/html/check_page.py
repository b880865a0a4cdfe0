"""The facts of a page about raw data: what `check` has found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from monai_mriprep import __version__
from monai_mriprep.cohort.case import Suspect
from monai_mriprep.errors import counted, first_names
from monai_mriprep.report.groups import Finding, said_once
from monai_mriprep.report.html.axes import shown_row
from monai_mriprep.report.html.facts import (
    CaseFacts,
    Count,
    Fact,
    Page,
    count_of,
    counted_as,
    looks,
    recipe_fact,
    target_fact,
    worst_first,
)
from monai_mriprep.report.outlook import needs_text
from monai_mriprep.run.dataset_report import CaseReport, DatasetReport

__all__ = ["WHAT", "page_of_check"]

WHAT = "dataset check"
"""What the page is, in its title."""

PLACES = (
    "The pictures show the scans where their headers put them, each with its label. A box is drawn around a label that "
    "lies on another grid than its image."
)
MOST_NAMED = 10
"""Excluded cases that are named."""
MOST_CLASSES = 30


def page_of_check(report: DatasetReport, command: str = "") -> Page:
    """What is known of a dataset before a run.

    Parameters
    ----------
    report
        Of a check that has read the voxels.
    command
        That runs the dataset.
    """
    cases = worst_first(_cases(report))
    root = report.root.resolve()
    return Page(
        title=root.name,
        verdict=_verdict(report, cases),
        counts=tuple(_counts(report, cases)),
        facts=tuple(_facts(report, root, command)),
        cases=cases,
        made=datetime.now(),
        version=__version__,
        notes=(*report.warnings, *_orphans(report)),
        target=report.target_spacing,
        channels=(report.recipe and report.recipe.channels) or (),
        about_pictures=PLACES if any(case.label for case in report.cases) else "",
        key=f"check {root}",
        stops=report.fatal,
        what=WHAT,
        failed="problem",
        failures="Problems",
    )


def _cases(report: DatasetReport) -> Iterator[CaseFacts]:
    reasons: dict[str, list[Suspect]] = defaultdict(list)
    for suspect in report.suspects:
        reasons[suspect.case].append(suspect)
    for case, cohort in zip(report.cases, report.cohort, strict=True):
        yield CaseFacts(cohort, tuple(reasons[case.case]), case.warnings, planned=_planned(case))


def _planned(case: CaseReport) -> str:
    if case.target_shape is None:
        return ""
    return f"{'at most ' * case.is_upper_bound}{shown_row(case.target_shape)}"


def _verdict(report: DatasetReport, cases: tuple[CaseFacts, ...]) -> str:
    """One sentence on what a run can do, and one on what deserves a look."""
    if report.fatal:
        return "A run would not start."
    total, ready = len(cases), len(report.ready)
    said = {1: "The one case", 2: "Both cases"}.get(total, f"All {total} cases")
    if ready < total:
        said = f"{ready} of {counted(total, 'case')}"
    return f"{said} can be preprocessed. {looks(cases)}"


def _counts(report: DatasetReport, cases: tuple[CaseFacts, ...]) -> Iterator[Count]:
    yield counted_as(len(cases), "case", "all")
    yield Count(len(report.ready), "ready")
    yield Count(count_of(cases, "failed"), "with a problem", "failed")
    yield counted_as(count_of(cases, "suspect"), "suspect", "suspect")
    yield Count(count_of(cases, "warning"), "with warnings", "warning")
    others = {"skipped (no partner)": len(report.orphans), "excluded": len(report.excluded)}
    yield from (Count(number, name) for name, number in others.items() if number)


def _facts(report: DatasetReport, root: Path, command: str) -> Iterator[Fact]:
    yield Fact("Dataset", (str(root), *([report.seen] if report.seen else ())))
    if report.target_spacing is not None:
        yield target_fact(report.target_spacing, report.derivation or "")
    if report.recipe is not None:
        yield recipe_fact(report.recipe.as_dict())
    if report.classes:
        found = [f"{count.value} in {counted(count.cases, 'case')}" for count in report.classes]
        yield Fact("Label values", (first_names(found, MOST_CLASSES),))
    if report.excluded:
        yield Fact("Excluded", (first_names(report.excluded, MOST_NAMED),))
    if report.needs is not None:
        needs = replace(report.needs, output_root=Path(report.needs.output_root).resolve())
        name, _, text = needs_text(needs).partition(": ")
        yield Fact(name.capitalize(), (text,))
    if command and report.status != "impossible":
        yield Fact("Run it with", (command,))


def _orphans(report: DatasetReport) -> Iterator[str]:
    return said_once((Finding(orphan.path.name, orphan.reason) for orphan in report.orphans), "file")
