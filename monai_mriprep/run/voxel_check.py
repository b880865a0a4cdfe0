"""What the voxels of a dataset say before a run: whether they can be read, and what images and labels hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from monai_mriprep.cohort.case import CohortCase, Suspect
from monai_mriprep.cohort.labels import many_empty
from monai_mriprep.cohort.suspects import find_suspects
from monai_mriprep.dataset.second_reading import SecondReading, read_again
from monai_mriprep.dataset.survey import Survey
from monai_mriprep.dataset.voxel_summary import MANY_VALUES
from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.header import Header, Outline
from monai_mriprep.formats.read import read_header
from monai_mriprep.run.dataset_report import CaseReport, ClassCount
from monai_mriprep.run.voxel_reading import CaseReader, KeepPicture, Outlines
from monai_mriprep.types import Shape
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.windows import mapped_in_window

__all__ = ["VoxelCheck", "check_voxels", "count_classes"]

COPIES = 4
"""Memory that reading a case and looking at it takes, in its largest volume as stored (measured: 1.3 to 3.0)."""


@dataclass(frozen=True)
class VoxelCheck:
    """What the voxels of a dataset say.

    Parameters
    ----------
    cases
        Judged by their voxels, too.
    cohort
        The same as they are compared with each other.
    suspects
        Cases that deserve a look, the impossible ones, too.
    warnings
        What needs review in the dataset as a whole.
    second_reading
        What ITK made of one file of each kind.
    """

    cases: tuple[CaseReport, ...]
    cohort: tuple[CohortCase, ...]
    suspects: tuple[Suspect, ...]
    warnings: tuple[str, ...]
    second_reading: SecondReading


def check_voxels(
    survey: Survey,
    cases: Sequence[CaseReport],
    outlines: Outlines,
    memory: int,
    workers: int,
    keep_picture: KeepPicture | None = None,
) -> VoxelCheck:
    """Judge cases by their voxels, too; as many at once as the memory allows.

    Parameters
    ----------
    survey
        Of the dataset.
    cases
        Judged by their headers.
    outlines
        Of the header of each of their files, or what is wrong with it.
    memory
        Bytes that there are.
    workers
        Threads.
    keep_picture
        Given a picture of each case.
    """
    room = memory // COPIES
    sizes = [outline.nbytes for outline in outlines.values() if isinstance(outline, Outline)]
    fitting = room // max((size for size in sizes if size <= room), default=1)
    reader = CaseReader(survey.recipe, outlines, room, keep_picture)
    # Threads suffice, because isal and numpy release the interpreter.
    judged = tuple(mapped_in_window(reader.read, cases, min(workers, fitting)))
    again = read_again(_headers(outlines), room)
    judged = tuple(_with_second_reading(case, again) for case in judged)
    declared = None if survey.layout.label_values is None else survey.layout.label_values.values
    cohort = tuple(_in_cohort(case, outlines, declared) for case in judged)
    suspects = find_suspects(cohort)
    in_air = {suspect.case for suspect in suspects if suspect.kind == "label_outside"}
    placed = tuple(case if case.case in in_air else _with_place(case, outlines) for case in judged)
    return VoxelCheck(placed, cohort, suspects, tuple(many_empty(cohort)), again)


def _headers(outlines: Outlines) -> Iterator[Header]:
    """Of all files; one that cannot be read is named by the problems of its case."""
    for path, outline in outlines.items():
        with suppress(VolumeError):
            if isinstance(outline, Outline):
                yield read_header(path, outline.channels)


def _in_cohort(report: CaseReport, outlines: Outlines, declared: tuple[int, ...] | None) -> CohortCase:
    """What is known of a case where it is compared with others."""
    outline = None if report.label is None else outlines[report.label]
    return CohortCase(
        report.case,
        report.grid,
        report.measures,
        before=(report.label_contents.histogram or None) if report.label_contents else None,
        label_grid=outline.grid if isinstance(outline, Outline) else None,
        error="\n".join(report.problems) or None,
        declared=declared,
        exact=report.image_contents.sha256 if report.image_contents else None,
    )


def _with_second_reading(report: CaseReport, again: SecondReading) -> CaseReport:
    """Add what ITK read otherwise in a case's files."""
    files = report.files
    problems = (again.problems[file] for file in files if file in again.problems)
    warnings = (again.warnings[file] for file in files if file in again.warnings)
    return replace(report, problems=(*report.problems, *problems), warnings=(*report.warnings, *warnings))


def _with_place(report: CaseReport, outlines: Outlines) -> CaseReport:
    """Say so where classes lie outside the image: `resample_label` would cut them off."""
    outline = None if report.label is None else outlines[report.label]
    box = report.label_contents.box if report.label_contents else None
    if report.problems or report.grid is None or not isinstance(outline, Outline) or box is None:
        return report
    return replace(report, warnings=(*report.warnings, *_outside(report.grid, outline.grid, box)))


def _outside(image: Grid, label: Grid, box: tuple[Shape, Shape]) -> Iterator[str]:
    to_image = np.linalg.solve(image.affine, label.affine)
    corners = np.array(np.meshgrid(*zip(*box, strict=True))).reshape(3, -1)
    inside = to_image[:3, :3] @ corners + to_image[:3, 3:]
    low, high = inside.min(axis=1), inside.max(axis=1)
    last = np.array(image.shape) - 1
    if (high < 0).any() or (low > last).any():
        yield "all that the label marks lies outside the image; check that it belongs to this image"
    elif (low < -1).any() or (high > last + 1).any():
        yield "what the label marks reaches beyond the image, which cuts it off"


def count_classes(cases: Iterable[CaseReport]) -> tuple[ClassCount, ...]:
    """Add up the labels; those that are no labels are left out."""
    in_cases, voxels = Counter[int](), Counter[int]()
    for case in cases:
        if case.label_contents is not None and len(case.label_contents.histogram) <= MANY_VALUES:
            in_cases.update(case.label_contents.histogram.keys())
            voxels.update(case.label_contents.histogram)
    return tuple(ClassCount(value, in_cases[value], voxels[value]) for value in sorted(voxels))
