"""One case: what each candidate spacing keeps of its label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from monai_mriprep import volume as compute
from monai_mriprep.dataset.checks import check_case
from monai_mriprep.dataset.outlines import CaseOutlines
from monai_mriprep.errors import DatasetError, LabelError, MriprepError
from monai_mriprep.formats.header import Outline
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.signed import signed
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Case
from monai_mriprep.run.estimates import Estimate, estimated, output_bytes
from monai_mriprep.steps import Step, steps_of
from monai_mriprep.steps.base import Volumes
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.types import IMAGE, LABEL, PREDICTION, Shape, Spacing
from monai_mriprep.volume.geometry import Grid, same_grid_problem

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from monai_mriprep.volume.resample import ResamplingPlan
    from monai_mriprep.volume.round_trip import Kept, Structures

__all__ = ["CaseKept", "Comparison", "Found", "Left", "Size", "needed_bytes"]

BYTES_PER_VOXEL = 20
"""Memory for a voxel of a label while its lesions are found, beside two copies of it as stored."""
TOO_LARGE = "does not fit into the memory"

Known = TypeVar("Known")


class Left(NamedTuple):
    """What is left of a class of one case: its Dice, and how many lesions are lost, with the ends of their volumes."""

    dice: float
    lost: int
    smallest_mm3: float
    largest_mm3: float


class Found(NamedTuple):
    """A class of one case: its lesions, and the volume of the smallest."""

    lesions: int
    smallest_mm3: float


class Size(NamedTuple):
    """What becomes of an image: its voxels, z y x, the memory that the case takes, and the disk space of its files."""

    shape: Shape
    memory_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class CaseKept:
    """What became of one case.

    Parameters
    ----------
    case
        Its name.
    problem
        Why it could not be compared; None where it was.
    read_voxels
        Of the image as stored.
    sizes
        One a candidate.
    found
        By the number of the class; empty where the label has none.
    left
        One a candidate, by the number of the class.
    """

    case: str
    problem: str | None = None
    read_voxels: int = 0
    sizes: tuple[Size, ...] = ()
    found: Mapping[int, Found] = field(default_factory=dict)
    left: tuple[Mapping[int, Left], ...] = ()


class Comparison:
    """Compares candidate spacings, case by case; several threads may do so at once.

    Parameters
    ----------
    recipe
        Of the run.
    spacings
        The candidates, in mm, z y x.
    memory
        Bytes that a case may take.
    ended
        Set where nobody waits for a case any more: what is under way gives up at the next candidate.
    """

    def __init__(self, recipe: Recipe, spacings: Iterable[Spacing], memory: int, ended: Event) -> None:
        straight = recipe.model_copy(update={"transpose": "none"})  # in another order the axes are as large
        self.steps = tuple(steps_of(straight, spacing) for spacing in spacings)
        self.resamplings = tuple(map(_resampling, self.steps))
        # what a crop leaves is not known without the image
        self.moves = tuple(step for step in takewhile(_is_before, self.steps[0]) if not step.depends_on_voxels)
        self.geometry, self.memory, self.ended = recipe.geometry, memory, ended

    def compare(self, case: Case, outlines: CaseOutlines) -> CaseKept:
        """What each candidate keeps of a case; whatever goes wrong is its problem."""
        try:
            return self._compared(case, outlines)
        except MriprepError as error:
            return CaseKept(case.name, str(error))
        except MemoryError:
            return CaseKept(case.name, f"{case.sources[LABEL.name][0]}: {TOO_LARGE}")
        except Exception as error:  # noqa: BLE001 - the border: a step from outside may raise anything
            return CaseKept(case.name, f"unexpected {type(error).__name__}: {error}")

    def _compared(self, case: Case, outlines: CaseOutlines) -> CaseKept:
        sizes = tuple(_size(case, _known(estimated(steps, *outlines, self.geometry))) for steps in self.steps)
        volume, grid = self._label(case, outlines)
        name = str(case.sources[LABEL.name][0])
        classes = _classes(volume, name)
        structures = compute.round_trip.structures_of(classes, name)
        if structures is None:
            return CaseKept(case.name, None, classes.size, sizes, left=({},) * len(sizes))
        plans = (_plans(step, volume, grid) for step in self.resamplings if not self.ended.is_set())
        losses = (compute.round_trip.kept(structures, there, back) for there, back in plans)
        mm3 = math.prod(grid.spacing)
        left = tuple(_left(structures, loss, mm3) for loss in losses)
        return CaseKept(case.name, None, classes.size, sizes, _found(structures, mm3), left)

    def _label(self, case: Case, outlines: CaseOutlines) -> tuple[torch.Tensor, Grid]:
        """The label as the resampling meets it, ``(1, D, H, W)``, and its grid."""
        import torch

        (path,), outline = case.sources[LABEL.name], _known(outlines.label)
        if needed_bytes(outline) > self.memory:
            raise LabelError(path, TOO_LARGE)
        images = case.sources[IMAGE.name]
        grid, header = read_header(images[0], _known(outlines.first).channels).grid, read_header(path)
        others = zip(images[1:], outlines.image[1:], strict=False)
        channels = [(images[0], grid), *((file, _known(one).grid) for file, one in others)]
        check_case({IMAGE.name: channels, LABEL.name: [(path, header.grid)]}, self.geometry)
        volume = torch.from_numpy(signed(header, compute.labels.narrowed(read_voxels(header))))[None]
        if same_grid_problem(grid, header.grid) is not None:
            volume = compute.onto.resample_label_onto(volume, header.grid, grid)
        for step in self.moves:
            params = step.plan(Volumes({LABEL: volume}, {LABEL: str(path)}), grid)
            volume = step.apply(volume, LABEL, grid, params)
            grid = step.grid(grid, params)
        return volume, grid


def needed_bytes(label: Outline) -> int:
    """Memory that a case takes at most, by the header of its label."""
    return 2 * label.nbytes + BYTES_PER_VOXEL * label.voxels


def _is_before(step: Step) -> bool:
    return not isinstance(step, Resampling)


def _resampling(steps: Iterable[Step]) -> Resampling:
    return next(step for step in steps if isinstance(step, Resampling))


def _known(found: Known | MriprepError | None) -> Known:
    """What a header says, or what follows from it; where it could not be read, that is raised."""
    if isinstance(found, MriprepError):
        raise found
    if found is None:
        msg = f"there is no {LABEL.name}"
        raise DatasetError(msg)
    return found


def _size(case: Case, estimate: Estimate) -> Size:
    disk = output_bytes(replace(case, output_voxels=estimate.voxels))
    return Size(estimate.grid.shape, estimate.memory_bytes, disk)


def _classes(label: torch.Tensor, name: str) -> NDArray[Any]:
    """The label as a run stores it, ``(D, H, W)``: whole numbers from 0 on; refused as there."""
    dtype, n_negative = compute.labels.plan_cast(label, name)
    return compute.labels.apply_cast(label, dtype, n_negative)[0].numpy()


def _plans(step: Resampling, label: torch.Tensor, grid: Grid) -> tuple[ResamplingPlan, ResamplingPlan]:
    """There as a label goes, and back as scores do."""
    params = step.plan(Volumes({LABEL: label}), grid)
    return step.plan_there(LABEL, grid, params), step.plan_back(PREDICTION, grid, params, linear=True)


def _found(structures: Structures, mm3: float) -> dict[int, Found]:
    volumes = structures.voxels_of_lesion * mm3
    of_class = [volumes[structures.rank_of_lesion == rank] for rank in range(1, len(structures.numbers) + 1)]
    return {
        number: Found(len(lesions), float(lesions.min()))
        for number, lesions in zip(structures.numbers, of_class, strict=True)
    }


def _left(structures: Structures, kept: Kept, mm3: float) -> dict[int, Left]:
    volumes, is_lost = structures.voxels_of_lesion * mm3, ~kept.lesions
    return {
        number: _left_of(dice, volumes[is_lost & (structures.rank_of_lesion == rank)])
        for rank, (number, dice) in enumerate(zip(structures.numbers, kept.dice.tolist(), strict=True), start=1)
    }


def _left_of(dice: float, lost: NDArray[np.float64]) -> Left:
    if not lost.size:
        return Left(dice, 0, math.inf, 0.0)
    return Left(dice, lost.size, float(lost.min()), float(lost.max()))
