"""The channels of an image: read from one file or from several, on the grid of the first, in one number type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_mriprep.dataset.checks import CHANNEL_REMEDY, check_grids
from monai_mriprep.errors import GeometryError, VoxelError
from monai_mriprep.formats.signed import signed, signed_type
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.types import GeometryPolicy
from monai_mriprep.volume.geometry import same_grid_problem
from monai_mriprep.volume.onto import overlap, resample_image_onto, resample_label_onto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monai_mriprep.formats.header import Header

__all__ = ["read_channels"]

EXACT_IN_FLOAT64 = 2**53
"""Up to here float64 holds every whole number."""


def read_channels(headers: Sequence[Header], geometry: GeometryPolicy = "strict") -> NDArray[Any]:
    """Read the voxels of an image.

    Parameters
    ----------
    headers
        From `monai_mriprep.formats.read.read_channel_headers`; the grid of the first is that of the image.
    geometry
        ``resample`` puts a channel that lies on another grid onto it, by a cubic spline, as float32. It is exactly 0
        where the nearest voxel of its file is, and where its file does not reach: a spline would leave hardly a voxel
        at 0, and the foreground is what is not.

    Returns
    -------
    array of shape (C, z, y, x)
        Of a type that torch computes with, and that holds every value of every channel exactly.

    Raises
    ------
    GeometryError
        If a channel lies on another grid and is not to be resampled, or does not even meet that of the first.
    VoxelError
        If voxels cannot be read, or no number type holds those of all channels.
    """
    first, *others = headers
    if not others:
        return signed(first, read_voxels(first)).reshape(first.channels, *first.grid.shape)
    moves = [_must_move(first, header, number, geometry) for number, header in enumerate(headers)]
    kinds = [np.float32 if moved else signed_type(h.value_dtype) for h, moved in zip(headers, moves, strict=True)]
    array = np.empty((len(headers), *first.grid.shape), np.result_type(*kinds))
    for channel, header, moved in zip(array, headers, moves, strict=True):
        voxels = signed(header, read_voxels(header))
        channel[...] = _moved(voxels, header, first) if moved else _exact(voxels, header, array.dtype)
    return array


def _must_move(first: Header, header: Header, number: int, geometry: GeometryPolicy) -> bool:
    """Whether a channel lies on another grid than the first; an error where that is not accepted."""
    if same_grid_problem(first.grid, header.grid) is None:
        return False
    if geometry != "resample":
        names = "channel 0", f"channel {number}"
        check_grids(first.path, first.grid, header.path, header.grid, names, CHANNEL_REMEDY)
    if not overlap(first.grid, header.grid):
        msg = (
            f"{header.path}: channel {number} lies beside channel 0, {first.path}: no voxel is in both\n"
            f"  channel 0: {first.grid}\n  channel {number}: {header.grid}"
        )
        raise GeometryError(msg)
    return True


def _moved(voxels: NDArray[Any], header: Header, first: Header) -> NDArray[Any]:
    """A channel on the grid of the first; its zeros go by nearest neighbour."""
    image = torch.from_numpy(voxels)[None]
    foreground = resample_label_onto(image != 0, header.grid, first.grid)
    moved = resample_image_onto(image, header.grid, first.grid)
    return moved.where(foreground, moved.new_zeros(()))[0].numpy()


def _exact(voxels: NDArray[Any], header: Header, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The voxels; refused where the type that is shared with fractions may not hold so large a whole number."""
    if dtype.kind == "f" and voxels.dtype == np.int64:
        largest = max(int(voxels.max()), -int(voxels.min()))
        if largest > EXACT_IN_FLOAT64:
            problem = (
                f"the value {largest} is not held exactly beside the fractions of another channel; convert the file"
            )
            raise VoxelError(header.path, problem)
    return voxels
