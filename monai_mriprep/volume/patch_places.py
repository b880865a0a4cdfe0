"""Where random patches lie: by the rule of MONAI's `RandCropByLabelClasses`, and by the same draws of a generator.

A class is drawn by its ratio, then one of its voxels, which is the centre; a patch that would reach over an edge is
moved inside. Reference: `generate_label_classes_crop_centers` and `correct_crop_centers` of `monai.transforms.utils`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import Shape
from monai_mriprep.volume.class_index import ClassIndex

__all__ = ["any_centre", "check_ratios", "draw_centres", "missing_classes", "patch_start"]


def check_ratios(ratios: Sequence[float] | None) -> tuple[float, ...] | None:
    """Refuse ratios by which no class can be drawn.

    Raises
    ------
    ResamplingError
        With what is expected.
    """
    if ratios is None:
        return None
    given = tuple(ratios)
    if not all(0 <= ratio < float("inf") for ratio in given) or not any(given):
        msg = f"ratios must be one number a class, from class 0 on, each 0 or more and one above 0, not {ratios}"
        raise ResamplingError(msg)
    return given


def draw_centres(
    index: ClassIndex, ratios: Sequence[float] | None, count: int, random: np.random.RandomState
) -> NDArray[np.int64] | None:
    """Draw voxels of a label, each of a class that was drawn by its ratio.

    Parameters
    ----------
    index
        Of the label.
    ratios
        How often each class is drawn, from class 0 on; classes without one are not. A class that is not there is left
        out. None draws all that are there equally often.
    count
        How many voxels.
    random
        Where the numbers come from.

    Returns
    -------
    array or None
        ``(count, 3)``: z, y, x. None where no class that is there has a ratio above 0; nothing is drawn then.
    """
    given = dict.fromkeys(index.places, 1.0) if ratios is None else dict(enumerate(ratios))
    shares = {value: given[value] for value in index.places if given.get(value, 0) > 0}
    if not shares:
        return None
    classes, weights = list(shares), np.array(list(shares.values()))
    drawn = random.choice(len(classes), size=count, p=weights / weights.sum())
    of_each = [index.places[classes[number]] for number in drawn]
    return np.stack(np.unravel_index([places[random.randint(len(places))] for places in of_each], index.shape), axis=1)


def any_centre(size: Shape, shape: Shape, random: np.random.RandomState) -> Shape:
    """Draw the middle of a patch that lies anywhere in a volume; each place inside has the same chance.

    Parameters
    ----------
    size
        Of the patch.
    shape
        Of the volume.
    random
        Where the numbers come from.
    """
    z, y, x = (random.randint(max(whole - own, 0) + 1) + own // 2 for own, whole in zip(size, shape, strict=True))
    return z, y, x


def missing_classes(index: ClassIndex, ratios: Sequence[float] | None) -> list[int]:
    """The classes that have a ratio above 0, and no voxel."""
    return [value for value, ratio in enumerate(ratios or ()) if ratio > 0 and value not in index.places]


def patch_start(centre: Sequence[int] | NDArray[np.int64], size: Shape, shape: Shape) -> Shape:
    """The first voxel of a patch around a voxel, moved inside where it would reach over an edge.

    Along an axis that is shorter than the patch it is negative: the volume then lies in the middle of the patch, where
    `SpatialPad` has it.

    Parameters
    ----------
    centre
        A voxel.
    size
        Of the patch.
    shape
        Of the volume.
    """
    z, y, x = (
        min(max(int(voxel) - own // 2, 0), whole - own) if own <= whole else -((own - whole) // 2)
        for voxel, own, whole in zip(centre, size, shape, strict=True)
    )
    return z, y, x
