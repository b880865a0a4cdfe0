"""What a run, `check` and a training loop need of a dataset before its first voxel is read: pairs, headers, target.

Names, headers and the table of spacings decide it; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monai_mriprep.dataset.case_files import CaseFiles, Grouping
from monai_mriprep.dataset.checks import doubtful_spacings, mixed_axes, other_axes
from monai_mriprep.dataset.exclusions import NOBODY, Exclusions
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.outlines import CaseOutlines, read_outlines
from monai_mriprep.dataset.pairing import Orphan
from monai_mriprep.dataset.reading_ahead import read_each
from monai_mriprep.dataset.recognise import recognise, recognise_images
from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.dataset.target_choice import TargetChoice, choose_target
from monai_mriprep.dataset.training import Training
from monai_mriprep.dataset.unread_files import unread_files
from monai_mriprep.errors import DatasetError, MriprepError, StatisticsError, VolumeError, counted
from monai_mriprep.formats.header import Outline
from monai_mriprep.formats.names import SUFFIXES, refuse_address
from monai_mriprep.recipe import Recipe
from monai_mriprep.steps import Step, final_grid, native_steps
from monai_mriprep.types import IMAGE, LABEL, Shape, Spacing
from monai_mriprep.volume.axes import axis_codes
from monai_mriprep.volume.geometry import Grid

__all__ = [
    "Measures",
    "Survey",
    "layout_of",
    "survey_dataset",
]


class Measures(NamedTuple):
    """Spacing (mm) and size (voxels) of an image once it is to be resampled, z y x."""

    spacing: Spacing
    shape: Shape


@dataclass(frozen=True)
class Survey:
    """What names, headers and the table say of a dataset.

    A header that cannot be read is an error here, as a value. What stops a whole run is raised where it is asked for.

    Parameters
    ----------
    root
        The dataset.
    recipe
        What is to be done with it.
    layout
        Where its volumes are.
    grouping
        The cases, and the files left over.
    outlines
        Of the headers of each case, in their order.
    unread
        Files beside the volumes that are not read, a sentence for each folder.
    training
        Of a test set: the output folder whose recipe and target count.
    exclusions
        The list of excluded cases.
    excluded
        Names of the cases that it has left out: they are not among these, and no statistics are of them.
    """

    root: Path
    recipe: Recipe
    layout: Layout
    grouping: Grouping
    outlines: tuple[CaseOutlines, ...]
    unread: tuple[str, ...] = ()
    training: Training | None = None
    exclusions: Exclusions = NOBODY
    excluded: tuple[str, ...] = ()

    @cached_property
    def grids(self) -> tuple[Grid | MriprepError, ...]:
        """Where the image of each case lies once it is to be resampled, or why that cannot be told.

        Spacings and sizes of the dataset are those of these grids. They are upper bounds where a step before the
        resampling depends on the voxels.
        """
        steps = native_steps(self.recipe)
        return tuple(_grid_or_problem(steps, found.first) for found in self.outlines)

    @cached_property
    def measures(self) -> tuple[Measures | MriprepError, ...]:
        """Spacing and size of these grids, in the order of the cases."""
        steps = native_steps(self.recipe)
        return tuple(_measures_or_problem(steps, found.first) for found in self.outlines)

    @property
    def unreadable(self) -> tuple[MriprepError, ...]:
        """What is wrong with the images that `grids` has no grid of: their cases fail later, by their own names."""
        return tuple(found for found in self.measures if isinstance(found, MriprepError))

    @cached_property
    def statistics(self) -> SpacingStatistics:
        """Spacings of the images that can be read.

        Raises
        ------
        DatasetError, StatisticsError
            If there is not one.
        """
        return SpacingStatistics.from_spacings(found.spacing for found in self._known())

    @cached_property
    def median_size(self) -> tuple[float, float, float]:
        """Median number of their voxels, z y x; errors as of `statistics`."""
        z, y, x = np.median([found.shape for found in self._known()], axis=0).tolist()
        return z, y, x

    @cached_property
    def choice(self) -> TargetChoice:
        """The target spacing, and where it comes from.

        Raises
        ------
        DatasetError
            If there is no pair, or the target is not one of a scan.
        StatisticsError
            If the table is malformed or contradicts the scans, or there is none and not one header can be read.
        """
        self._require_pairs()
        return choose_target(self)

    @property
    def orphans(self) -> tuple[Orphan, ...]:
        """The files without a partner."""
        return self.grouping.orphans

    @property
    def doubts(self) -> tuple[str, ...]:
        """A warning of spacings that no scanner makes, or none."""
        found = zip(self.grouping.cases, self.measures, strict=True)
        images = ((self.layout.images / case.image[0], one) for case, one in found)
        return doubtful_spacings((image, one.spacing) for image, one in images if isinstance(one, Measures))

    @property
    def findings(self) -> tuple[str, ...]:
        """What needs review whatever the target, orphans apart."""
        return (
            *self.unread,
            *self.grouping.notes,
            *self.exclusions.unknown(self.root, (*self.excluded, *(case.name for case in self.grouping.cases))),
            *_sorting_mismatch(self.grouping.cases),
            *self.doubts,
            *self.mixed_axes,
        )

    @property
    def mixed_axes(self) -> tuple[str, ...]:
        """A warning of images in different orientations that the recipe keeps, or in others than the training set."""
        if self.recipe.orientation != "keep":
            return ()
        codes = [axis_codes(found.first.grid) for found in self.outlines if isinstance(found.first, Outline)]
        return mixed_axes(codes) if self.training is None else other_axes(codes, self.training.axes)

    @property
    def channel_of_labels(self) -> int:
        """The number of the channel on whose grid the labels lie; 0 if it is not the same in all cases."""
        found = {case.channel_of_label for case in self.outlines} - {None}
        return found.pop() or 0 if len(found) == 1 else 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What needs review in the dataset as a whole; errors as of `choice`."""
        misfit = () if self.recipe.orientation == "keep" else self.choice.misfit
        return (*self.warnings_whatever_the_target, *self.choice.notes, *self.choice.warnings, *misfit)

    @property
    def warnings_whatever_the_target(self) -> tuple[str, ...]:
        """Those that hold for a run which works to another target than that of the dataset, too."""
        return (*(orphan.reason for orphan in self.orphans), *self.findings)

    def _known(self) -> list[Measures]:
        self._require_pairs()
        known = [found for found in self.measures if isinstance(found, Measures)]
        if not known:
            images, first = counted(len(self.outlines), "paired image"), self.unreadable[0]
            msg = f"not one header of {images} can be read, so no target spacing; the first: {first}"
            raise StatisticsError(msg)
        return known

    def _require_pairs(self) -> None:
        if self.grouping.cases:
            return
        if self.excluded:
            msg = f"{self.exclusions.path}: excludes each case of {self.root} ({len(self.excluded)}); keep one at least"
            raise DatasetError(msg)
        raise DatasetError(_no_cases(self.layout, self.grouping))


def survey_dataset(
    root: Path,
    recipe: Recipe,
    with_labels: bool = False,
    training: Training | None = None,
    layout: Layout | None = None,
    exclusions: Exclusions = NOBODY,
) -> Survey:
    """Find the cases of a dataset and read their headers.

    Parameters
    ----------
    root
        Of a layout that `monai_mriprep.dataset.recognise.recognise` knows.
    recipe
        Its pattern pairs the files, its channels group them. The recipe of the survey has the channels of the dataset.
    with_labels
        Read the labels' headers, too.
    training
        Images alone are looked for, and its recipe and target count.
    layout
        Of the dataset, if it is known already.
    exclusions
        Cases that are left out, as if the dataset did not have them.

    Raises
    ------
    DatasetError, PairingError
        If there are no such folders, or two files claim one partner.
    """
    layout = layout or layout_of(root, training)
    if training is None:
        grouping = layout.cases(recipe.channels, recipe.pattern)
        recipe = recipe.model_copy(update={"channels": grouping.channels or None})
    else:
        recipe = training.recipe
        grouping = layout.cases(recipe.channels, with_labels=False)
    excluded = tuple(case.name for case in grouping.cases if case.name in exclusions)
    grouping = replace(grouping, cases=tuple(case for case in grouping.cases if case.name not in exclusions))
    read = partial(read_outlines, layout, channels=recipe.channel_count, with_label=with_labels)
    outlines = tuple(read_each(read, grouping.cases))
    unread = unread_files(layout.own_folders)
    return Survey(root, recipe, layout, grouping, outlines, unread, training, exclusions, excluded)


def layout_of(root: Path, training: Training | None = None) -> Layout:
    """The layout of a dataset, or of a test set.

    Raises
    ------
    DatasetError
        If it fits none.
    """
    refuse_address(root, DatasetError)
    return recognise(root) if training is None else recognise_images(root)


def _grid_or_problem(steps: Sequence[Step], outline: Outline | VolumeError) -> Grid | MriprepError:
    if isinstance(outline, VolumeError):
        return outline
    try:
        return final_grid(steps, outline.grid)
    except MriprepError as error:
        return error


def _measures_or_problem(steps: Sequence[Step], outline: Outline | VolumeError) -> Measures | MriprepError:
    grid = _grid_or_problem(steps, outline)
    return Measures(grid.spacing, grid.shape) if isinstance(grid, Grid) else grid


def _no_cases(layout: Layout, grouping: Grouping) -> str:
    """Say why there is not one case, and what to do."""
    sides = (layout.images, grouping.unpaired_images), (layout.labels, grouping.unpaired_labels)
    empty = " and ".join(str(folder) for folder, orphans in sides if folder is not None and not orphans)
    if empty:
        what = "" if layout.labels is None else f"no {IMAGE.name} has a {LABEL.name}: "
        return "; ".join([f"{what}there is no volume ({', '.join(SUFFIXES)}) in {empty}", *layout.notes])
    image, label = (f"{orphans[0].path.name!r}" for _, orphans in sides)
    return (
        f"no image has a label: not one name in {layout.labels} fits one in {layout.images}, such as {label} and "
        f"{image}; give each label its image's name, or give a `pattern` that finds the case in both"
    )


def _sorting_mismatch(cases: Iterable[CaseFiles]) -> Iterator[str]:
    """Say so where outputs that are sorted by name do not stand side by side: many loaders pair them by position."""
    pairs = [(case.output(IMAGE), case.output(LABEL)) for case in cases if case.label is not None]
    for one, other in zip(sorted(pairs), sorted(pairs, key=itemgetter(1)), strict=True):
        if one != other:
            yield (
                f"sorted by name, {one[0]} stands beside the label {other[1]}, which is not "
                "its own: a loader that pairs by position would mix up cases; use dataset.json, or pad the numbers"
            )
            return
