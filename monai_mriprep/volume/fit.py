"""Put a volume on the grid that it should have: for what was padded, cropped or turned since."""

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
    """Cut off what reaches beyond a grid, such as padding, and repeat the edge where the volume ends before it.

    Axes in another order or sense are turned. Where the voxels are those of `whole`, no value is computed; a volume
    that was resampled since is resampled onto them.

    Parameters
    ----------
    volume
        ``(C, D, H, W)``, any real type; not written to.
    grid
        Where it lies.
    whole
        Where it is wanted.
    order
        Spline order for a volume whose voxels are others, 0 or 1.

    Returns
    -------
    tuple
        The volume, ``(C, *whole.shape)``; and ``(1, *whole.shape)`` bool, where it really was, or None if that is
        everywhere.

    Raises
    ------
    ResamplingError
        If the volume has no voxel on `whole`, or its axes are not those of `whole` in some order.
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
    """The voxels at these indices along z, y, x, which are moved to the edge where they lie beyond it."""
    for dim, index in enumerate(indices, start=1):
        size = volume.shape[dim]
        if not np.array_equal(index, np.arange(size)):
            volume = volume.index_select(dim, torch.from_numpy(index.clip(0, size - 1)).to(volume.device))
    return volume


def _product(inside: Sequence[NDArray[np.bool_]], device: torch.device) -> torch.Tensor | None:
    """``(1, D, H, W)`` from what is inside along each axis; None where all is."""
    if all(along.all() for along in inside):
        return None
    z, y, x = (torch.from_numpy(along).to(device) for along in inside)
    return (z[:, None, None] & y[:, None] & x)[None]
