"""Where the voxels of a patch lie on the grid that it is cut from: scaled, flipped, and padded where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor

import numpy as np

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.geometry import Grid

__all__ = ["AxisPatch", "PatchGrid", "place_patch"]


@dataclass(frozen=True)
class AxisPatch:
    """One axis of a patch: voxel ``k`` lies at ``middle + (k - (size - 1) / 2) * scale`` on an axis of `n` voxels.

    Parameters
    ----------
    n
        Voxels of the axis that it is cut from.
    start, size
        Where the patch begins if its scale is 1, and its voxels. It may begin before the axis, or end after it.
    scale
        How far its voxels lie apart, in voxels of the axis; its middle stays where it is.
    flip
        Whether the array runs the other way.
    """

    n: int
    start: int
    size: int
    scale: float
    flip: bool

    def at(self, k: int) -> float:
        """Where voxel `k` lies, counted along the axis, in voxels of it."""
        half = (self.size - 1) / 2
        return self.start + half + (k - half) * self.scale

    @cached_property
    def filled(self) -> range:
        """Which voxels of the patch, counted along the axis, lie within its outer faces; the others are padding."""
        first = ceil((-0.5 - self.at(0)) / self.scale)
        last = floor((self.n - 0.5 - self.at(0)) / self.scale)
        return range(max(first, 0), min(last + 1, self.size))

    @property
    def wanted(self) -> range:
        """These voxels in the order of the array: on the axis, or on the scaled one that begins with the first."""
        begin = self.start + self.filled.start if self.scale == 1 else 0
        along = range(begin, begin + len(self.filled))
        return along[::-1] if self.flip else along

    @property
    def place(self) -> slice:
        """Where they are in the array."""
        begin, end = self.filled.start, self.filled.stop
        return slice(self.size - end, self.size - begin) if self.flip else slice(begin, end)


@dataclass(frozen=True)
class PatchGrid:
    """A patch of a grid.

    Parameters
    ----------
    whole
        The grid that it is cut from.
    axes
        z, y, x.
    """

    whole: Grid
    axes: tuple[AxisPatch, AxisPatch, AxisPatch]

    @property
    def is_scaled(self) -> bool:
        """Whether its voxels lie between those of the grid."""
        return any(axis.scale != 1 for axis in self.axes)

    @property
    def is_padded(self) -> bool:
        """Whether some of its voxels lie outside."""
        return any(len(axis.filled) < axis.size for axis in self.axes)

    @cached_property
    def grid(self) -> Grid:
        """Where its array lies."""
        firsts = [axis.at(axis.size - 1 if axis.flip else 0) for axis in self.axes]
        steps = [-axis.scale if axis.flip else axis.scale for axis in self.axes]
        return _placed(self.whole, [axis.size for axis in self.axes], firsts, steps)

    @property
    def filled_grid(self) -> Grid:
        """The voxels that lie inside, not flipped: the grid that `AxisPatch.wanted` counts on where it is scaled."""
        firsts = [axis.at(axis.filled.start) for axis in self.axes]
        return _placed(self.whole, [len(axis.filled) for axis in self.axes], firsts, [axis.scale for axis in self.axes])

    @property
    def wanted(self) -> tuple[range, range, range]:
        """The box that is to be made: see `AxisPatch.wanted`."""
        z, y, x = (axis.wanted for axis in self.axes)
        return z, y, x


def _placed(whole: Grid, shape: list[int], firsts: list[float], steps: list[float]) -> Grid:
    affine = whole.affine.copy()
    affine[:3, :3] = whole.affine[:3, :3] * steps
    affine[:3, 3] = whole.affine[:3, :3] @ np.array(firsts) + whole.origin
    z, y, x = shape
    return Grid((z, y, x), affine)


def place_patch(
    whole: Grid, start: Sequence[int], size: Sequence[int], scale: float = 1.0, flip: Sequence[int] = ()
) -> PatchGrid:
    """A patch of a grid.

    Parameters
    ----------
    whole
        The grid.
    start
        Where the patch begins, z y x. Along an axis that is not longer than the patch it plays no part.
    size
        Its voxels, z y x.
    scale
        Factor of the spacing.
    flip
        Axes that are turned the other way, from 0.

    Raises
    ------
    ResamplingError
        If it begins or ends outside of the grid, or an argument is not valid.
    """
    if not _are_three(start) or not set(flip) <= {0, 1, 2} or not 0 < scale < np.inf:
        msg = (
            "a patch has three whole numbers to begin at, z y x, axes 0 to 2 that are turned, a positive scale, not "
            f"{start!r}, {flip!r} and {scale!r}"
        )
        raise ResamplingError(msg)
    z, y, x = (
        AxisPatch(n, _start(n, int(begin), length), length, scale, axis in flip)
        for axis, (n, begin, length) in enumerate(zip(whole.shape, start, size, strict=True))
    )
    place = PatchGrid(whole, (z, y, x))
    if not all(len(axis.filled) for axis in place.axes):
        msg = (
            f"no voxel of a patch of {tuple(size)} voxels at {scale:g} of the spacing lies in {whole.shape}: scale less"
        )
        raise ResamplingError(msg)
    return place


def _are_three(start: Sequence[int]) -> bool:
    return len(start) == 3 and all(hasattr(begin, "__index__") for begin in start)


def _start(n: int, begin: int, size: int) -> int:
    if size >= n:
        return -((size - n) // 2)  # as `SpatialPad`
    if not 0 <= begin <= n - size:
        msg = f"a patch of {size} voxels begins at 0 to {n - size} along an axis of {n}, not at {begin}"
        raise ResamplingError(msg)
    return begin
