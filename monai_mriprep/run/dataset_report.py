"""What is known of a dataset before a run, as plain facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from monai_mriprep.cohort.case import CohortCase, Suspect
from monai_mriprep.dataset.pairing import Orphan
from monai_mriprep.dataset.second_reading import SecondReading
from monai_mriprep.dataset.voxel_summary import ImageSummary, LabelSummary
from monai_mriprep.measures.model import CaseMeasures
from monai_mriprep.recipe import Recipe
from monai_mriprep.types import Shape, Spacing
from monai_mriprep.volume.geometry import Grid

__all__ = ["CaseReport", "ClassCount", "DatasetReport", "Needs", "Status"]

Status = Literal["ready", "attention", "impossible"]


@dataclass(frozen=True, slots=True)
class CaseReport:
    """What is known of one case.

    Parameters
    ----------
    case
        The image's stem.
    image, label
        The source files; of an image of several channels, the first. There is no label in a test set.
    channels
        The files of its further channels.
    grid, dtype, axes
        Of the image as stored, `axes` the ends that the file's axes x, y, z run to, such as ``LPS``; None where its
        header could not be read.
    native_grid
        Of the image when it is to be resampled, such as turned to the recipe's orientation.
    target_shape
        Predicted size of the output, z y x.
    memory_bytes, output_bytes
        Estimates of the peak memory of the case, and of its two files on disk.
    is_upper_bound
        Whether the voxels decide the grid, as for a crop, so that sizes and estimates say what they can be at most.
    problems
        Why the case would fail; none if it would not.
    warnings
        What needs review, though the case would be processed.
    image_contents, label_contents, measures
        Where the voxels were read.
    """

    case: str
    image: Path
    label: Path | None = None
    channels: tuple[Path, ...] = ()
    grid: Grid | None = None
    dtype: str | None = None
    axes: str | None = None
    native_grid: Grid | None = None
    target_shape: Shape | None = None
    memory_bytes: int = 0
    output_bytes: int = 0
    is_upper_bound: bool = False
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    image_contents: ImageSummary | None = None
    label_contents: LabelSummary | None = None
    measures: CaseMeasures | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All of its files, the image's channels first."""
        return (self.image, *self.channels, *(() if self.label is None else (self.label,)))


@dataclass(frozen=True)
class ClassCount:
    """A value of the labels: in how many cases, and in how many voxels of all of them as stored."""

    value: int
    cases: int
    voxels: int


@dataclass(frozen=True)
class Needs:
    """What the run would take, and what there is.

    Parameters
    ----------
    output_bytes, free_bytes
        Estimated disk of the whole output, and free space in `output_root`; None where that is in an object store.
    memory_bytes, available_bytes
        Estimated memory of the largest case, beside that of the program; and what this machine may use.
    seconds
        Estimated wall time with that many workers.
    is_upper_bound
        Whether the estimates say what it can be at most.
    """

    output_root: Path | str
    output_bytes: int
    free_bytes: int | None
    memory_bytes: int
    available_bytes: int
    workers: int
    seconds: float
    is_upper_bound: bool = False


@dataclass(frozen=True)
class DatasetReport:
    """What is known of a dataset.

    Parameters
    ----------
    root
        The dataset.
    seen
        Which layout it has, in words; None if it fits none.
    options
        What a run of it needs on the command line besides.
    fatal
        Why a run would not even start.
    warnings
        What needs review in the dataset as a whole, orphans apart.
    orphans
        Files without a partner.
    target_spacing, derivation
        Mm, z y x, and where it comes from; None where it cannot be told.
    cases
        In natural order.
    classes
        Values of the labels, where they were read.
    needs
        None where there is no target spacing.
    suspects
        Cases that deserve a look, those with a problem, too; where the voxels were read.
    second_reading
        What ITK made of one file of each kind; None where the voxels were not read.
    excluded
        Names of the cases that a list leaves out.
    cohort
        The cases as they are compared with each other, in the same order; where the voxels were read.
    recipe
        Of a run of it, with what its layout needs; None where that is not known.
    """

    root: Path
    seen: str | None = None
    options: tuple[str, ...] = ()
    fatal: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    target_spacing: Spacing | None = None
    derivation: str | None = None
    cases: tuple[CaseReport, ...] = ()
    classes: tuple[ClassCount, ...] = ()
    needs: Needs | None = None
    suspects: tuple[Suspect, ...] = ()
    second_reading: SecondReading | None = None
    excluded: tuple[str, ...] = ()
    cohort: tuple[CohortCase, ...] = ()
    recipe: Recipe | None = None

    @property
    def ready(self) -> tuple[CaseReport, ...]:
        """The cases that nothing is known against."""
        return tuple(case for case in self.cases if not case.problems)

    @property
    def status(self) -> Status:
        """``impossible`` if not one case can be processed; ``attention`` if something needs review."""
        if self.fatal or not self.ready:
            return "impossible"
        flawed = any(case.problems or case.warnings for case in self.cases)
        return "attention" if flawed or self.suspects or self.warnings or self.orphans else "ready"
