"""The way back of what may have been cropped or padded since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import TIE_TOLERANCE, Boundary
from monai_mriprep.volume.resample import apply_plan, plan_resampling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monai_mriprep.volume.geometry import Grid

__all__ = ["resample_back"]


def resample_back(
    volume: torch.Tensor,
    grid: Grid,
    whole: Grid,
    source: Grid,
    order: int | Sequence[int] = 0,
    boundary: Boundary = "nearest",
) -> torch.Tensor:
    """Resample a volume, or what is left of it, to the grid that the whole was made from.

    What reaches beyond the whole, such as padding, is left out. A voxel of `source` that lies outside what is there
    becomes 0; beyond the ends of the whole the edge is repeated, as it is for a volume that is whole.

    Parameters
    ----------
    volume
        ``(C, D, H, W)``, any real type; not written to.
    grid
        Where it lies: a part of `whole`, or more than it; or another grid with its axes.
    whole
        The grid that `source` was resampled to.
    source
        Where the result is to lie. All three share their axes.
    order, boundary
        As for `plan_resampling`.

    Returns
    -------
    torch.Tensor
        ``(C, *source.shape)``, of the type that `apply_plan` gives.

    Raises
    ------
    ResamplingError
        If `grid` and `whole` have no voxel in common, or the grids do not share their axes.
    """
    volume, grid = _without_margin(volume, grid, whole)
    low, high = _covered(grid, whole, source)
    if (high <= low).any():
        low = high = np.zeros(3, dtype=np.int64)
        result = volume[:, :0, :0, :0]
    else:
        result = apply_plan(volume, plan_resampling(grid, source.part(low, high), order, boundary))
    margins = [int(n) for before, after in zip(low, source.shape - high, strict=True) for n in (after, before)][::-1]
    return torch.nn.functional.pad(result, margins) if any(margins) else result


def _without_margin(volume: torch.Tensor, grid: Grid, whole: Grid) -> tuple[torch.Tensor, Grid]:
    """The voxels that are those of the whole, on the very same grid but for what was cropped.

    A volume whose voxels are others, because it was resampled since, stays as it is.
    """
    shift = np.linalg.solve(whole.affine, grid.affine)
    begin = np.rint(shift[:3, 3]).astype(np.int64)
    shift[:3, 3] -= begin
    if np.abs(shift - np.eye(4)).max() > TIE_TOLERANCE:
        return volume, grid
    low, high = np.maximum(begin, 0), np.minimum(begin + grid.shape, whole.shape)
    if (high <= low).any():
        msg = (
            f"the volume has no voxel of the grid that it should come from:\n  the volume's {grid}\n  the other {whole}"
        )
        raise ResamplingError(msg)
    z, y, x = (slice(*ends) for ends in zip(low - begin, high - begin, strict=True))
    return volume[:, z, y, x], whole.part(low, high)


def _covered(grid: Grid, whole: Grid, source: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First, and one past the last, voxel of `source` along z, y, x whose nearest voxel is one of `grid`."""
    to_whole, to_grid = np.linalg.solve(whole.affine, source.affine), np.linalg.solve(grid.affine, whole.affine)
    ends = np.zeros((2, 3), dtype=np.int64)
    for axis in range(3):
        positions = to_whole[axis, axis] * np.arange(source.shape[axis]) + to_whole[axis, 3]
        positions = np.clip(positions, 0, whole.shape[axis] - 1)  # beyond its ends the edge is repeated
        nearest = np.floor(to_grid[axis, axis] * positions + to_grid[axis, 3] + 0.5 + TIE_TOLERANCE)
        inside = np.flatnonzero((nearest >= 0) & (nearest < grid.shape[axis]))
        ends[:, axis] = (inside[0], inside[-1] + 1) if len(inside) else 0
    return ends[0], ends[1]
