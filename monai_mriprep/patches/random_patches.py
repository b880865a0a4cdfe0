"""Which patch of a case is drawn: where it begins, its scale, and the axes that are turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import Shape
from monai_mriprep.volume.class_index import ClassIndex
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.patch_places import check_ratios, draw_centres, missing_classes, patch_start

__all__ = ["DrawnPatch", "RandomPatches"]


class DrawnPatch(NamedTuple):
    """Arguments of `monai_mriprep.patches.virtual_dataset.VirtualDataset.patch`."""

    start: Shape
    scale: float
    flip: tuple[int, ...]


@dataclass(frozen=True)
class RandomPatches:
    """How patches are drawn.

    Parameters
    ----------
    size
        Voxels, z y x.
    ratios
        How often the middle is a voxel of class 0, 1 and so on; None where every place has the same chance.
    scale
        Lowest and highest factor of the spacing.
    flip_prob
        How likely each axis is turned.

    Raises
    ------
    ResamplingError
        If one of them is not valid.
    """

    size: Shape
    ratios: tuple[float, ...] | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    flip_prob: float = 0.0

    def __post_init__(self) -> None:
        check_ratios(self.ratios)
        low, high = self.scale
        if len(self.size) != 3 or min(self.size) < 1:
            msg = f"a patch has three sizes of at least 1 voxel, z y x, not {self.size}"
        elif not 0 < low <= high < np.inf:
            msg = f"scale is the lowest and the highest factor of the spacing, both positive, not {self.scale}"
        elif not 0 <= self.flip_prob <= 1:
            msg = f"flip_prob is a probability, 0 to 1, not {self.flip_prob}"
        else:
            return
        raise ResamplingError(msg)

    def draw(self, random: np.random.RandomState, grid: Grid, classes: ClassIndex | None, recorded: Grid) -> DrawnPatch:
        """Draw one.

        Parameters
        ----------
        random
            As many numbers are drawn from it for every case that has the same classes.
        grid
            What the patch is cut from.
        classes
            Voxels of each class on `recorded`; without them every place has the same chance.
        recorded
            The grid of the preprocessed label.
        """
        if classes is None or not self._may_draw(classes):
            beyond_first = (max(n - length, 0) for n, length in zip(grid.shape, self.size, strict=True))
            z, y, x = (int(random.randint(last + 1)) for last in beyond_first)
        else:
            (centre,) = draw_centres(classes, self.ratios, 1, random)
            z, y, x = patch_start(_nearest(recorded, centre, grid), self.size, grid.shape)
        turned = np.flatnonzero(random.rand(3) < self.flip_prob)
        return DrawnPatch((z, y, x), float(random.uniform(*self.scale)), tuple(turned.tolist()))

    def _may_draw(self, classes: ClassIndex) -> bool:
        """Whether a class that is there has a ratio; where none has, every place has the same chance."""
        wanted = [value for value, ratio in enumerate(self.ratios or ()) if ratio > 0]
        return wanted != missing_classes(classes, self.ratios)


def _nearest(grid: Grid, voxel: NDArray[np.int64], other: Grid) -> list[int]:
    """The voxel of another grid that is nearest to one of a grid."""
    world = grid.affine[:3, :3] @ voxel + grid.origin
    found = np.rint(np.linalg.solve(other.affine[:3, :3], world - other.origin)).astype(int)
    nearest: list[int] = np.clip(found, 0, np.subtract(other.shape, 1)).tolist()
    return nearest
