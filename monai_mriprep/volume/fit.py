"""Put a volume back onto a grid from which it was padded, cropped or turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import TIE_TOLERANCE
from monai_mriprep.volume.axes import turn_onto
from monai_mriprep.volume.resample import apply_plan, plan_resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.volume.geometry import Grid

__all__ = ["fit_onto"]


def fit_onto(volume: torch.Tensor, grid: Grid, whole: Grid, order: int = 0) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Crop a volume to a grid, and repeat its edge where it ends before that grid.

    Axes in another order or sense are turned. If its voxels coincide with those of `whole`, no value is computed;
    otherwise it is resampled.

    Parameters
    ----------
    volume
        ``(C, D, H, W)``, any real type; not written to.
    grid
        Its grid.
    whole
        The grid of the result.
    order
        Spline order, 0 or 1, if it must be resampled.

    Returns
    -------
    tuple
        The volume, ``(C, *whole.shape)``; and a mask ``(1, *whole.shape)``, bool, of the voxels that it covered, or
        None if it covered all.

    Raises
    ------
    ResamplingError
        If the volume does not overlap `whole`, or its axes are not parallel to those of `whole`.
    """
    turn = turn_onto(grid.affine, whole.affine)
    volume, grid = turn.array(volume), turn.grid(grid)
    begin = _offset(grid, whole)
    if begin is None:
        plan = plan_resampling(grid, whole, order)
        fitted, inside = apply_plan(volume, plan), [~axis.outside for axis in plan.axes]
    else:
        indices = [np.arange(n) - first for n, first in zip(whole.shape, begin, strict=True)]
        inside = [(index >= 0) & (index < n) for index, n in zip(indices, grid.shape, strict=True)]
        fitted = _taken(volume, indices)
    if not all(along.any() for along in inside):
        msg = (
            f"the volume has no voxel of the grid that it should come from:\n  the volume's {grid}\n  the other {whole}"
        )
        raise ResamplingError(msg)
    return fitted, _product(inside, volume.device)


def _offset(grid: Grid, whole: Grid) -> NDArray[np.int64] | None:
    """The index, z y x, of the first voxel of `grid` on `whole`; None where their voxels do not coincide."""
    to_whole = np.linalg.solve(whole.affine, grid.affine)
    begin = np.rint(to_whole[:3, 3]).astype(np.int64)
    to_whole[:3, 3] -= begin
    return begin if np.abs(to_whole - np.eye(4)).max() <= TIE_TOLERANCE else None


def _taken(volume: torch.Tensor, indices: Sequence[NDArray[np.int64]]) -> torch.Tensor:
    """The voxels at these indices along z, y, x. Indices beyond an edge take the voxel at the edge."""
    for dim, index in enumerate(indices, start=1):
        size = volume.shape[dim]
        if not np.array_equal(index, np.arange(size)):
            volume = volume.index_select(dim, torch.from_numpy(index.clip(0, size - 1)).to(volume.device))
    return volume


def _product(inside: Sequence[NDArray[np.bool_]], device: torch.device) -> torch.Tensor | None:
    """The mask ``(1, D, H, W)`` of what is inside along every axis; None if everything is."""
    if all(along.all() for along in inside):
        return None
    z, y, x = (torch.from_numpy(along).to(device) for along in inside)
    return (z[:, None, None] & y[:, None] & x)[None]
