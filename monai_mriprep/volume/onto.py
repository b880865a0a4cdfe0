"""Put a volume onto any other grid, as the two headers say where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import TIE_TOLERANCE, Shape
from monai_mriprep.volume.axes import turn_onto
from monai_mriprep.volume.buffers import empty_float32
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["overlap", "resample_image_onto", "resample_label_onto"]

ORDER: Final = 3
BOUNDARY: Final = "nearest"
"""Of the spline that puts an image onto another grid."""
MARGIN = 12
"""Voxels by which the edge is repeated before the spline is fitted, as scipy does it: beyond, nothing is left of it."""


def overlap(one: Grid, other: Grid) -> bool:
    """Whether two grids meet: the box around `other`, along the axes of `one`, has a part of it."""
    to_one = np.linalg.inv(one.affine) @ other.affine
    corners = np.array(np.meshgrid(*([-0.5, n - 0.5] for n in other.shape))).reshape(3, -1)
    places = to_one[:3, :3] @ corners + to_one[:3, 3:]
    below, above = places.min(axis=1) < np.array(one.shape) - 0.5, places.max(axis=1) > -0.5
    return bool((below & above).all())


def resample_image_onto(image: torch.Tensor, image_grid: Grid, grid: Grid) -> torch.Tensor:
    """Resample an image onto any other grid by a cubic spline. Beyond its edge the edge is repeated.

    Parameters
    ----------
    image
        ``(C, D, H, W)`` in the memory of the CPU, any real type; not written to.
    image_grid
        The grid of the image.
    grid
        The grid of the result. If its axes are those of the image in whatever order and sense, the spline is
        separable; else scipy evaluates it, slice by slice.

    Returns
    -------
    torch.Tensor
        ``(C, *grid.shape)``, float32.
    """
    try:
        turn = turn_onto(image_grid.affine, grid.affine)
        plan = plan_resampling(turn.grid(image_grid), grid, ORDER, BOUNDARY)
    except ResamplingError:  # oblique to each other
        return _resampled_obliquely(image, np.linalg.inv(image_grid.affine) @ grid.affine, grid.shape)
    return apply_plan(turn.array(image), plan)


def _resampled_obliquely(image: torch.Tensor, to_image: NDArray[np.float64], shape: Shape) -> torch.Tensor:
    from scipy import ndimage

    result = empty_float32((len(image), *shape), image.device)
    for channel, resampled in zip(image, result, strict=True):
        padded = np.pad(channel.numpy().astype(np.float32, copy=False), MARGIN, mode="edge")
        spline = ndimage.spline_filter(padded, ORDER, np.float32, mode=BOUNDARY)
        for k, plane in enumerate(resampled.numpy()):
            start = to_image[:3, 3] + k * to_image[:3, 0] + MARGIN
            ndimage.affine_transform(
                spline, to_image[:3, :3], start, output=plane[None], order=ORDER, mode=BOUNDARY, prefilter=False
            )
    return result


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
