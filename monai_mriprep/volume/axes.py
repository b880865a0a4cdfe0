"""How the axes of two arrays of one volume lie to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import DIRECTION_TOLERANCE
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Turn", "axis_codes", "turn_onto", "turn_to_codes"]

SAME_SIZE = {"torch.uint16": "int16", "torch.uint32": "int32", "torch.uint64": "int64"}
"""Types that torch does not flip, and those that it takes for them."""


@dataclass(frozen=True)
class Turn:
    """A permutation of the axes, then flips of some of them. No value is computed.

    Parameters
    ----------
    order
        ``order[a]`` is the axis, from 0, that becomes axis ``a``.
    reverse
        Whether axis ``a`` of the permuted array is then flipped.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    reverse: tuple[bool, bool, bool] = (False, False, False)

    @property
    def is_identity(self) -> bool:
        """Nothing to do."""
        return self == Turn()

    @property
    def back(self) -> Turn:
        """The inverse turn."""
        a, b, c = (self.order.index(axis) for axis in range(3))
        return Turn((a, b, c), (self.reverse[a], self.reverse[b], self.reverse[c]))

    def array(self, volume: torch.Tensor) -> torch.Tensor:
        """A ``(C, D, H, W)`` volume with its axes turned; the volume itself if there is nothing to do."""
        if self.is_identity:
            return volume
        if (signed := SAME_SIZE.get(str(volume.dtype))) is not None:
            import torch  # the volume is torch's, so this costs nothing

            return self.array(volume.view(getattr(torch, signed))).view(volume.dtype)
        turned = volume.permute(0, *(axis + 1 for axis in self.order))
        return turned.flip([axis + 1 for axis in range(3) if self.reverse[axis]])

    def box_before(self, box: Sequence[range], shape: Sequence[int]) -> tuple[range, range, range]:
        """The indices, along each axis, that voxels of the turned array had before; an axis that is flipped runs back.

        Parameters
        ----------
        box
            Of the turned array, z y x.
        shape
            Of the array before.
        """
        before = [range(0)] * 3
        for along, axis, reverse in zip(box, self.order, self.reverse, strict=True):
            last = shape[axis] - 1
            before[axis] = range(last - along.start, last - along.stop, -along.step) if reverse else along
        z, y, x = before
        return z, y, x

    def grid(self, grid: Grid) -> Grid:
        """The grid of the turned volume. Every voxel stays at its place in the world."""
        if self.is_identity:
            return grid
        z, y, x = (grid.shape[axis] for axis in self.order)
        columns = grid.affine[:3, list(self.order)]
        affine = np.eye(4)
        affine[:3, :3] = columns * np.where(self.reverse, -1, 1)
        affine[:3, 3] = grid.origin + columns @ np.where(self.reverse, np.subtract((z, y, x), 1), 0)
        first, second, third = self.order
        stated = None if grid.stated is None else (grid.stated[first], grid.stated[second], grid.stated[third])
        return Grid((z, y, x), affine, stated)


def turn_onto(affine: ArrayLike, reference: ArrayLike) -> Turn:
    """The turn after which an array's axes run as those of a reference.

    Parameters
    ----------
    affine
        4 x 4, of the array as it is.
    reference
        4 x 4; only the directions of its columns matter.

    Raises
    ------
    ResamplingError
        If the axes are not parallel to those of the reference within `DIRECTION_TOLERANCE`, such as after a rotation
        or a shear.
    """
    own, wanted = _directions(affine), _directions(reference)
    cosines = wanted.T @ own
    z, y, x = np.abs(cosines).argmax(axis=1).tolist()
    signs = np.sign(cosines[range(3), [z, y, x]])
    if {z, y, x} != {0, 1, 2} or np.abs(own[:, [z, y, x]] * signs - wanted).max() > DIRECTION_TOLERANCE:
        msg = (
            "the axes of the array are not those of its file, in whatever order: resample before rotating or shearing\n"
            f"  directions of the array {own.round(4).tolist()}\n  of the file, z y x {wanted.round(4).tolist()}"
        )
        raise ResamplingError(msg)
    negative = signs < 0
    return Turn((z, y, x), (bool(negative[0]), bool(negative[1]), bool(negative[2])))


def axis_codes(grid: Grid) -> str:
    """The ends that the file's axes x, y, z run to, such as ``LPS``; of an oblique grid the nearest.

    They are nibabel's `aff2axcodes`, and those that `turn_to_codes` leaves a volume alone for.
    """
    z, y, x = (ENDS[world][positive] for world, positive in _nearest_world_axes(grid.affine))
    return f"{x}{y}{z}"


def turn_to_codes(grid: Grid, codes: str) -> Turn:
    """The turn after which the axes run nearest to those that an orientation names.

    Parameters
    ----------
    grid
        Where the volume lies; it may be oblique.
    codes
        Three letters for the file's axes x, y, z, each the end that it runs to: ``RAS`` is right, anterior, superior,
        so the arrays, z y x, run to superior, anterior and right. Whatever the codes, which array axis lies nearest to
        which world axis is decided as nibabel does it (`nibabel.orientations.io_orientation`), and so MONAI.
    """
    has = _nearest_world_axes(grid.affine)
    wants = [(world, ends.index(code)) for code in codes[::-1] for world, ends in enumerate(ENDS) if code in ends]
    order = [[world for world, _ in has].index(world) for world, _ in wants]
    z, y, x = order
    negative = [has[axis][1] != positive for axis, (_, positive) in zip(order, wants, strict=True)]
    return Turn((z, y, x), (negative[0], negative[1], negative[2]))


ENDS = ("LR", "PA", "IS")
"""Of each world axis, the end of low coordinates, and that of high ones."""


def _nearest_world_axes(affine: NDArray[np.float64]) -> list[tuple[int, bool]]:
    """Of each array axis, the world axis that it runs nearest to, from 0, and whether it runs with it.

    As `nibabel.orientations.io_orientation`, whose import takes 0.2 s: shears are taken out by a polar decomposition,
    and the axis that lies nearest to one of the world's has the first choice.
    """
    left, _, right = np.linalg.svd(_directions(affine))
    rotation = left @ right
    found = [(0, True)] * 3
    for axis in np.argsort(-(rotation**2).max(axis=0), kind="stable").tolist():
        world = int(np.abs(rotation[:, axis]).argmax())
        found[axis] = (world, bool(rotation[world, axis] > 0))
        rotation[world] = 0
    return found


def _directions(affine: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    directions: NDArray[np.float64] = matrix / np.linalg.norm(matrix, axis=0)
    return directions
