"""The voxels that the pixels of a panel show: the nearest one to each, wherever the volume lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.types import TIE_TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.pictures.planes import Panel
    from monai_mriprep.volume.geometry import Grid

__all__ = ["nearest_voxels", "voxels_per_pixel"]

NEGLIGIBLE = 0.02
"""Voxels by which a panel may run off the axes of a volume, and still count as parallel to them."""


def voxels_per_pixel(grid: Grid, panel: Panel) -> tuple[float, float]:
    """Voxels that one step down and one step right pass, along the axis that they run nearest to."""
    down, right = (float(np.abs(step @ grid.direction / grid.spacing).max()) for step in (panel.down, panel.right))
    return down, right


def nearest_voxels(voxels: NDArray[Any], grid: Grid, panel: Panel) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The values at the centres of pixels by nearest neighbour; and which of these lie in the volume.

    Parameters
    ----------
    voxels
        ``(z, y, x)``; where the axes are parallel to the panel's, one slice is read.
    grid
        Where they lie.
    panel
        Which pixels.

    Returns
    -------
    values, inside
        Both ``(height, width)``. Where a pixel lies outside, its value is that of a voxel at the edge.
    """
    steps = np.stack([panel.corner - grid.origin, panel.down, panel.right], axis=1)
    in_voxels = np.linalg.solve(grid.affine[:3, :3], steps).tolist()
    places = [_places(start, down, right, panel.height, panel.width) for start, down, right in in_voxels]
    nearest = [np.floor(place + 0.5 + TIE_TOLERANCE).astype(np.intp) for place in places]
    at = [np.minimum(np.maximum(index, 0), n - 1) for index, n in zip(nearest, voxels.shape, strict=True)]
    z, y, x = (index == within for index, within in zip(nearest, at, strict=True))
    shape = panel.height, panel.width
    return np.broadcast_to(_picked(voxels, at), shape), np.broadcast_to(z & y & x, shape)


def _places(start: float, down: float, right: float, height: int, width: int) -> NDArray[np.float64]:
    """Position of each pixel along one axis of the volume, in voxels; of one row or column where the others agree."""
    place = np.full((1, 1), start)
    if abs(down) * height > NEGLIGIBLE:
        place = place + down * np.arange(height)[:, None]
    if abs(right) * width > NEGLIGIBLE:
        place = place + right * np.arange(width)
    return place


def _picked(voxels: NDArray[Any], at: list[NDArray[np.intp]]) -> NDArray[Any]:
    """``voxels[at]`` with broadcasting; of a panel parallel to the axes by rows and columns, which is much faster."""
    for axis, fixed in enumerate(at):
        first, second = at[:axis] + at[axis + 1 :]
        turned = first.shape[0] == second.shape[1] == 1
        if fixed.size == 1 and (turned or first.shape[1] == second.shape[0] == 1):
            plane = voxels[(slice(None),) * axis + (fixed.item(),)]
            picked = plane[first.ravel()].take(
                second.ravel(), 1
            )  # `take` twice would copy a plane that is not contiguous
            return picked.T if turned else picked
    return np.asarray(voxels[tuple(at)])
