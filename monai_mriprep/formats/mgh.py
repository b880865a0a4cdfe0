"""FreeSurfer's volumes (``.mgz``, ``.mgh``), header and voxels by nibabel."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import HeaderError, VoxelError
from monai_mriprep.formats.deflate import DeflateError, inflate_first
from monai_mriprep.formats.fields import volume_sizes
from monai_mriprep.formats.header import Body, Header, LibraryBody, checked_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read", "read_voxels"]

HEADER_BYTES = 90
"""The first bytes of the header; the rest is not used."""
GEOMETRY_FLAG = 28
"""Byte of ``goodRASFlag``, which says whether the header states a geometry. Without one it would be a guess."""


def read(path: Path, file_size: int, channels: int = 1) -> Header:
    """Read the header of a regular file of `file_size` bytes; so many `channels` are expected.

    Raises
    ------
    HeaderError
        As `monai_mriprep.formats.read.read_header`.
    """
    from nibabel.freesurfer.mghformat import MGHHeader
    from nibabel.wrapstruct import WrapStructError

    compressed = path.name.lower().endswith(".mgz")
    with path.open("rb") as file:
        block = file.read(1 << 16)
    try:
        block = inflate_first(block, HEADER_BYTES) if compressed else block
        fields: Any = MGHHeader(block[:HEADER_BYTES], check=False)
        dtype = np.dtype(fields.get_data_dtype())
    except (DeflateError, WrapStructError, KeyError) as error:
        raise HeaderError(path, f"no FreeSurfer volume, or a damaged one: {error!r}") from error
    if fields["version"] != 1 or not np.frombuffer(block, ">i2", 1, GEOMETRY_FLAG)[0]:
        raise HeaderError(path, "it is not of version 1 of FreeSurfer's format, or it does not state where it lies")
    sizes = volume_sizes(path, [int(size) for size in fields["dims"]], channels)
    with np.errstate(all="ignore"):
        affine = np.array(fields.get_affine(), dtype=np.float64)
    streams = [Body(path, 0, file_size, "gzip")] if compressed else []
    body = LibraryBody.of_files("nibabel", [path], streams=streams)
    return checked_header(path, sizes, affine, dtype, body, channels=channels)


def read_voxels(header: Header) -> NDArray[Any]:
    """Let nibabel decode the voxels (z, y, x).

    Raises
    ------
    VoxelError
        If it cannot.
    """
    from nibabel.freesurfer.mghformat import MGHImage

    opened = gzip.open if header.path.name.lower().endswith(".mgz") else open
    try:
        with opened(header.path, "rb") as stream:
            stored: Any = np.asarray(MGHImage.from_stream(stream).dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise VoxelError(header.path, f"nibabel cannot read the voxels: {error}") from error
    values: NDArray[Any] = np.array(stored.reshape(header.shape[::-1]).T, header.value_dtype, order="C")
    return values
