"""Where a patch is put: around a voxel of a class, within the volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_mriprep.types import Shape
from monai_mriprep.volume.class_index import ClassIndex

__all__ = ["draw_centre", "missing_classes", "start_around", "start_of_padded"]


def draw_centre(index: ClassIndex, ratios: Sequence[float], random: np.random.RandomState) -> Shape | None:
    """Draw a class by its share of the ratios, then one of its voxels, all with the same chance.

    Parameters
    ----------
    index
        Of a label.
    ratios
        One for each class from 0, as in MONAI's `RandCropByLabelClasses`; those of classes that the label lacks count
        for nothing, so that the others share.
    random
        Two numbers are drawn from it.

    Returns
    -------
    tuple or None
        Its indices z, y, x; None where the label has none of the classes.
    """
    chances = np.array([ratio * (value in index.places) for value, ratio in enumerate(ratios)], np.float64)
    if not chances.any():
        return None
    places = index.places[int(random.choice(len(chances), p=chances / chances.sum()))]
    z, y, x = np.unravel_index(int(places[random.randint(len(places))]), index.shape)
    return int(z), int(y), int(x)


def missing_classes(index: ClassIndex, ratios: Sequence[float]) -> list[int]:
    """The classes that ought to be drawn, and do not occur."""
    return [value for value, ratio in enumerate(ratios) if ratio > 0 and value not in index.places]


def start_around(centre: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> Shape:
    """Where a patch begins whose middle is nearest to a voxel, and that lies inside, as MONAI corrects crop centres.

    Along an axis that is shorter than the patch it is where `start_of_padded` says.
    """
    z, y, x = (
        start_of_padded(n, length) if length >= n else min(max(middle - length // 2, 0), n - length)
        for middle, length, n in zip(centre, size, shape, strict=True)
    )
    return z, y, x


def start_of_padded(n: int, size: int) -> int:
    """Where a patch begins along an axis of `n` voxels, not more than its own: padded as by MONAI's `SpatialPad`."""
    return -((size - n) // 2)
