"""What is known of a case where it is compared with others, and what is said of it then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from monai_mriprep.measures.model import CaseMeasures, ImageMeasures, LabelMeasures, Side
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.label_map import renumbered_histogram

__all__ = ["CaseNumbers", "CohortCase", "ImageNumbers", "LabelNumbers", "Suspect"]


class ImageNumbers(NamedTuple):
    """What cases are compared by of `monai_mriprep.measures.model.ImageMeasures`."""

    percentiles: tuple[float, ...]
    thumbnail: str


class LabelNumbers(NamedTuple):
    """The numbers of `monai_mriprep.measures.model.LabelMeasures`."""

    components: Mapping[int, int]
    touches: tuple[Side, ...]
    outside: float
    centre: tuple[float, float, float] | None
    voxel: float | None


class CaseNumbers(NamedTuple):
    """What cases are compared by of their measures, in a third of the memory: all cases are held at once.

    Parameters
    ----------
    image
        One a channel; empty where a channel has no foreground.
    label
        None where the image came alone.
    """

    image: tuple[ImageNumbers, ...]
    label: LabelNumbers | None

    @classmethod
    def of(cls, measures: CaseMeasures) -> CaseNumbers:
        """Those of a case."""
        image, label = measures.image, measures.label
        return cls(
            tuple(ImageNumbers(channel.percentiles, channel.thumbnail) for channel in image),
            LabelNumbers(label.components, label.touches, label.outside, label.centre, label.voxel) if label else None,
        )

    def without_thumbnails(self) -> CaseNumbers:
        """What is left to be held when duplicates have been looked for."""
        return self._replace(image=tuple(channel._replace(thumbnail="") for channel in self.image))


@dataclass(frozen=True, slots=True)
class CohortCase:
    """What is known of a case; None where it is not.

    Parameters
    ----------
    name
        Of the case.
    grid
        Of the image as it was scanned.
    measures
        Of its voxels, as they were scanned.
    before, after
        Voxels of each label value as stored, and of each class on the target grid.
    label_grid
        Of the label, where it is not `grid`, and was not measured.
    target_grid
        That of `after`.
    error
        Why the case failed.
    declared
        The label values that the dataset declares.
    exact
        SHA-256 of the image's voxels.
    new_numbers
        The recipe's ``label_map``: what became of which value on the way from `before` to `after`.
    """

    name: str
    grid: Grid | None = None
    measures: CaseMeasures | CaseNumbers | None = None
    before: Mapping[int, int] | None = None
    after: Mapping[int, int] | None = None
    label_grid: Grid | None = None
    target_grid: Grid | None = None
    error: str | None = None
    declared: tuple[int, ...] | None = None
    exact: str | None = None
    new_numbers: Mapping[int, int] = field(default_factory=dict)

    @property
    def image(self) -> Sequence[ImageMeasures | ImageNumbers]:
        """Measures of its channels; none where they are not known, or one has no foreground."""
        return () if self.measures is None else self.measures.image

    @property
    def label(self) -> LabelMeasures | LabelNumbers | None:
        """Measures of its label; None where they are not known, or it is empty."""
        label = None if self.measures is None else self.measures.label
        return None if label is None or label.centre is None else label

    @property
    def classes(self) -> Mapping[int, float] | None:
        """Volume of each class above 0, in mm^3, as stored; None where there is no label, or its grid is not known."""
        return self._volumes_before(self.before)

    @property
    def classes_kept(self) -> Mapping[int, tuple[float, float]] | None:
        """The same before and after, under the numbers that the classes have then."""
        renumbered = None if self.before is None else renumbered_histogram(self.before, self.new_numbers)
        before, after = self._volumes_before(renumbered), _volumes(self.after, _voxel_of(self.target_grid))
        if before is None or after is None:
            return None
        return {value: (volume, after.get(value, 0.0)) for value, volume in before.items()}

    def _volumes_before(self, histogram: Mapping[int, int] | None) -> dict[int, float] | None:
        measured = None if self.label is None else self.label.voxel
        return _volumes(histogram, measured or _voxel_of(self.label_grid or self.grid))


def _voxel_of(grid: Grid | None) -> float | None:
    """The volume of a voxel, in mm^3."""
    return None if grid is None else math.prod(grid.spacing)


def _volumes(histogram: Mapping[int, int] | None, voxel: float | None) -> dict[int, float] | None:
    """Of each class above 0, in mm^3."""
    if histogram is None or voxel is None:
        return None
    return {value: count * voxel for value, count in histogram.items() if value > 0 and count > 0}


@dataclass(frozen=True)
class Suspect:
    """A reason to look at a case.

    Parameters
    ----------
    case
        Its name.
    kind
        One of `monai_mriprep.cohort.suspects.KINDS`.
    reason
        A sentence for people.
    """

    case: str
    kind: str
    reason: str
