"""Put a volume onto any other grid, as the two headers say where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from monai_mriprep.types import TIE_TOLERANCE, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.volume.geometry import Grid

__all__ = ["resample_label_onto"]


def resample_label_onto(label: torch.Tensor, label_grid: Grid, grid: Grid) -> torch.Tensor:
    """Resample a label onto any other grid by nearest neighbour. Voxels outside the label become 0.

    Parameters
    ----------
    label
        ``(C, D, H, W)``, any type, which is kept.
    label_grid
        The grid of the label.
    grid
        The grid of the result; its axes may be flipped, permuted or oblique to the label's.
    """
    to_label = np.linalg.inv(label_grid.affine) @ grid.affine
    rest = _positions(to_label, grid.shape)
    result = label.new_empty((len(label), *grid.shape))
    for k in range(grid.shape[0]):
        result[:, k] = _pick_slice(label, to_label[:3, 0] * k + rest)
    return result


def _positions(to_label: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """Position in the label, in voxels, of each voxel of the first slice; shape (H, W, 3)."""
    rows = np.arange(shape[1])[:, None, None] * to_label[:3, 1]
    columns = np.arange(shape[2])[None, :, None] * to_label[:3, 2]
    total: NDArray[np.float64] = rows + columns + to_label[:3, 3]
    return total


def _pick_slice(label: torch.Tensor, positions: NDArray[np.float64]) -> torch.Tensor:
    nearest = torch.from_numpy(np.floor(positions + 0.5 + TIE_TOLERANCE).astype(np.int64)).to(label.device)
    sizes = torch.tensor(label.shape[1:], device=label.device)
    inside = ((nearest >= 0) & (nearest < sizes)).all(dim=-1)
    k, j, i = torch.minimum(nearest.clamp(min=0), sizes - 1).unbind(-1)
    return torch.where(inside, label[:, k, j, i], torch.zeros((), dtype=label.dtype, device=label.device))
