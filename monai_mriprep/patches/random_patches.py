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
from monai_mriprep.volume.patch_places import any_centre, check_ratios, draw_centres, patch_start

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
        if min(self.size) < 1:
            msg = f"a patch has three sizes of at least 1 voxel, z y x, not {self.size}"
        elif np.shape(self.scale) != (2,) or not 0 < self.scale[0] <= self.scale[1] < np.inf:
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
            Voxels of each class on `recorded`. Without them, or where none has a ratio, a patch lies anywhere.
        recorded
            The grid of the preprocessed label.
        """
        drawn = None if classes is None or self.ratios is None else draw_centres(classes, self.ratios, 1, random)
        middle = any_centre(self.size, grid.shape, random) if drawn is None else _nearest(recorded, drawn[0], grid)
        start = patch_start(middle, self.size, grid.shape)
        turned = np.flatnonzero(random.rand(3) < self.flip_prob)
        return DrawnPatch(start, float(random.uniform(*self.scale)), tuple(turned.tolist()))


def _nearest(grid: Grid, voxel: NDArray[np.int64], other: Grid) -> list[int]:
    """The voxel of another grid that is nearest to one of a grid; it may lie just outside."""
    world = grid.affine[:3, :3] @ voxel + grid.origin
    nearest: list[int] = np.rint(np.linalg.solve(other.affine[:3, :3], world - other.origin)).astype(int).tolist()
    return nearest
