"""What the voxels of a dataset say before a run: whether they can be read, and what images and labels hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from monai_mriprep.dataset.label_values import LabelValues, undeclared_labels
from monai_mriprep.dataset.second_reading import SecondReading, read_again
from monai_mriprep.dataset.survey import Survey
from monai_mriprep.dataset.voxel_summary import (
    MANY_VALUES,
    ImageSummary,
    LabelSummary,
    combined,
    summarize_image,
    summarize_label,
)
from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.header import Header, Outline
from monai_mriprep.formats.read import read_header
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.dataset_report import CaseReport, ClassCount
from monai_mriprep.run.estimates import shown_bytes
from monai_mriprep.volume.geometry import Grid

__all__ = ["check_voxels", "count_classes", "duplicates"]

COPIES = 4
"""Memory that reading a volume and looking at it takes, in volumes as stored (measured: 1.3 to 3.0)."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Outlines = Mapping[Path, Outline | VolumeError]


def check_voxels(
    survey: Survey, cases: Sequence[CaseReport], outlines: Outlines, memory: int, workers: int
) -> tuple[tuple[CaseReport, ...], SecondReading]:
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

    Returns
    -------
    tuple
        The cases, and what ITK made of one file of each kind.
    """
    room = memory // COPIES
    sizes = [outline.nbytes for outline in outlines.values() if isinstance(outline, Outline)]
    fitting = room // max((size for size in sizes if size <= room), default=1)
    judged = _mapped(partial(_check_case, survey.recipe, outlines, room), cases, min(workers, fitting))
    again = read_again(_headers(outlines), room)
    declared = survey.layout.label_values
    return tuple(_with_second_reading(_with_undeclared(case, declared), again) for case in judged), again


def _headers(outlines: Outlines) -> Iterator[Header]:
    """Of all files; one that cannot be read is named by the problems of its case."""
    for path, outline in outlines.items():
        with suppress(VolumeError):
            if isinstance(outline, Outline):
                yield read_header(path, outline.channels)


def _with_undeclared(report: CaseReport, declared: LabelValues | None) -> CaseReport:
    """Name the values of a label that the dataset does not declare."""
    label = report.label_contents
    if declared is None or label is None or not (strange := declared.undeclared(label.histogram)):
        return report
    return replace(report, warnings=(*report.warnings, undeclared_labels(strange, declared.values)))


def _check_case(recipe: Recipe, outlines: Outlines, room: int, report: CaseReport) -> CaseReport:
    """Read image and label, each as far as it can be read."""
    problems, warnings = [*report.problems], [*report.warnings]
    channels: list[ImageSummary | None] = []
    label = None
    for path in (report.image, *report.channels):
        found, unread = _attempt(summarize_image, path, outlines[path], room)
        problems += unread
        channels += found or (None,)
    problems += _of_channels(channels, ImageSummary.problems)
    warnings += _of_channels(channels, ImageSummary.warnings)
    if report.label is not None:
        label, label_problems = _attempt(summarize_label, report.label, outlines[report.label], room)
        problems += [*label_problems, *(label.problems(dict(recipe.label_map)) if label else ())]
        warnings += label.warnings() if label else ()
        warnings += [] if report.problems else _outside(report.grid, outlines[report.label], label)
    known = [channel for channel in channels if channel is not None]
    contents = combined(known) if len(known) == len(channels) else None
    return replace(
        report, problems=tuple(problems), warnings=tuple(warnings), image_contents=contents, label_contents=label
    )


def _of_channels(
    channels: Sequence[ImageSummary | None], say: Callable[[ImageSummary], Iterable[str]]
) -> Iterator[str]:
    """What is to be said of the channels that were read; which one, where there are several."""
    for number, channel in enumerate(channels):
        which = f"channel {number}: " if len(channels) > 1 else ""
        yield from (f"{which}{text}" for text in (say(channel) if channel else ()))


def _attempt(
    read: Callable[[Header], Outcome], path: Path, outline: Outline | VolumeError, room: int
) -> tuple[Outcome | None, list[str]]:
    """Summarise a volume, or say why not; a header that could not be read is a problem already."""
    if isinstance(outline, VolumeError):
        return None, []
    too_large = f"{path}: not read: {shown_bytes(outline.nbytes)} of voxels do not fit into the memory"
    try:
        fits = outline.nbytes <= room
        return (read(read_header(path, outline.channels)), []) if fits else (None, [too_large])
    except VolumeError as error:
        return None, [str(error)]
    except MemoryError:
        return None, [too_large]


def _with_second_reading(report: CaseReport, again: SecondReading) -> CaseReport:
    """Add what ITK read otherwise in a case's files."""
    files = report.files
    problems = (again.problems[file] for file in files if file in again.problems)
    warnings = (again.warnings[file] for file in files if file in again.warnings)
    return replace(report, problems=(*report.problems, *problems), warnings=(*report.warnings, *warnings))


def _outside(image: Grid | None, outline: Outline | VolumeError, label: LabelSummary | None) -> Iterator[str]:
    """Say so where classes lie outside the image: `resample_label` would cut them off."""
    if image is None or isinstance(outline, VolumeError) or label is None or label.box is None:
        return
    to_image = np.linalg.solve(image.affine, outline.grid.affine)
    corners = np.array(np.meshgrid(*zip(*label.box, strict=True))).reshape(3, -1)
    inside = to_image[:3, :3] @ corners + to_image[:3, 3:]
    low, high = inside.min(axis=1), inside.max(axis=1)
    last = np.array(image.shape) - 1
    if (high < 0).any() or (low > last).any():
        yield "all that the label marks lies outside the image; check that it belongs to this image"
    elif (low < -1).any() or (high > last + 1).any():
        yield "what the label marks reaches beyond the image, which cuts it off"


def _mapped(function: Callable[[Item], Outcome], items: Sequence[Item], threads: int) -> tuple[Outcome, ...]:
    """Apply a function to each item; threads suffice, because isal and numpy release the interpreter."""
    if threads <= 1:
        return tuple(map(function, items))
    with ThreadPoolExecutor(threads) as executor:
        return tuple(executor.map(function, items))


def duplicates(cases: Iterable[CaseReport]) -> Iterator[str]:
    """Name the scans that occur twice: one in training and its copy in validation is a leak."""
    names = defaultdict(list)
    for case in cases:
        if case.image_contents is not None and case.image_contents.foreground:
            names[case.image_contents.sha256, case.grid and case.grid.shape].append(case.case)
    for group in names.values():
        if len(group) > 1:
            yield f"the images of {', '.join(group)} have the same voxels; keep such cases out of different splits"


def count_classes(cases: Iterable[CaseReport]) -> tuple[ClassCount, ...]:
    """Add up the labels; those that are no labels are left out."""
    in_cases, voxels = Counter[int](), Counter[int]()
    for case in cases:
        if case.label_contents is not None and len(case.label_contents.histogram) <= MANY_VALUES:
            in_cases.update(case.label_contents.histogram.keys())
            voxels.update(case.label_contents.histogram)
    return tuple(ClassCount(value, in_cases[value], voxels[value]) for value in sorted(voxels))
