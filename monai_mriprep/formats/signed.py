"""Number types that torch computes with, for those that a file may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import VoxelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.formats.header import Header

__all__ = ["signed", "signed_type"]

UNSIGNED_TO_SIGNED = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}
"""torch supports few operations on these unsigned types. The signed ones hold every value, of uint64 up to 2^63 - 1."""


def signed(header: Header, voxels: NDArray[Any]) -> NDArray[Any]:
    """The voxels in a type that torch computes with.

    Raises
    ------
    VoxelError
        If one is over what a 64-bit signed integer holds.
    """
    if voxels.dtype == np.uint64 and voxels.max() > np.iinfo(np.int64).max:
        raise VoxelError(header.path, f"the value {voxels.max()} is over that of a 64-bit signed integer")
    return voxels.astype(signed_type(voxels.dtype), copy=False)


def signed_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type itself, or the next wider signed one."""
    return np.dtype(UNSIGNED_TO_SIGNED.get(dtype.name, dtype))
