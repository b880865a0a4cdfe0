"""Decode the voxels that a header describes, directly into an array of their size.

The checked header decides how much memory is used, not the file. isal inflates several times as fast as zlib. Encodings
that this module does not know are decoded by a library: see `LibraryBody`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.errors import VoxelError
from monai_mriprep.formats import itk_reader, mgh
from monai_mriprep.formats.deflate import DeflateError, inflate
from monai_mriprep.formats.header import Body, Header, LibraryBody, Reader

if TYPE_CHECKING:
    from io import FileIO

__all__ = ["read_voxels"]


def read_voxels(header: Header) -> NDArray[Any]:
    """Read the values of a volume.

    Parameters
    ----------
    header
        From `monai_mriprep.formats.read.read_header`.

    Returns
    -------
    array of shape (z, y, x), or (channel, z, y, x) of several
        C-contiguous, writable, of type `Header.value_dtype`: the stored type in native byte order, or float32 where
        the header scales.

    Raises
    ------
    VoxelError
        If the data are truncated, corrupt, longer than claimed, or hold values that are not finite.
    """
    body = header.body
    values = _decode(header, body) if isinstance(body, Body) else _decoded_by_library(header, body)
    _require_finite(header, values)
    return values


_LIBRARIES: dict[Reader, Callable[[Header], NDArray[Any]]] = {"itk": itk_reader.read_voxels, "nibabel": mgh.read_voxels}


def _decoded_by_library(header: Header, body: LibraryBody) -> NDArray[Any]:
    for stream in body.streams:
        _require_intact(header, stream)
    return _LIBRARIES[body.reader](header)


def _require_intact(header: Header, stream: Body) -> None:
    """Inflate a stream only to compare its checksum."""
    try:
        with stream.path.open("rb", buffering=0) as file:
            file.seek(stream.offset)
            for _ in inflate(stream, file):
                pass
    except (DeflateError, EOFError, OSError) as error:
        problem = f"the compressed voxels in {stream.path.name!r} are damaged: {error}; copy or export it again"
        raise VoxelError(header.path, problem) from error


def _decode(header: Header, body: Body) -> NDArray[Any]:
    stored = np.empty(header.shape, header.dtype)
    _fill(header, body, stored.reshape(-1).view(np.uint8).data)
    return _scaled(header, _native_byte_order(stored))


def _fill(header: Header, body: Body, target: memoryview) -> None:
    try:
        with body.path.open("rb", buffering=0) as file:
            file.seek(body.offset)
            found = _read_into(file, target) if body.encoding == "raw" else _inflate_into(header, body, file, target)
    except OSError as error:
        raise VoxelError(header.path, f"the voxels cannot be read: {error.strerror or error}") from error
    if found != len(target):
        count = f"only {found}" if found < len(target) else "more"
        problem = f"the header claims {len(target)} bytes of voxels, {count} were found; copy or export the file again"
        raise VoxelError(header.path, problem)


def _read_into(file: FileIO, target: memoryview) -> int:
    """Fill `target` from the file; returns how many bytes were found."""
    found = 0
    while found < len(target) and (count := file.readinto(target[found:])):
        found += count
    return found


def _inflate_into(header: Header, body: Body, file: FileIO, target: memoryview) -> int:
    """Fill `target` from a deflate stream, compare its checksum, and return how many bytes were found.

    Stops at the first chunk that exceeds `target`.
    """
    found = -body.skip
    try:
        for chunk in inflate(body, file):
            start, found = found, found + len(chunk)
            if found > len(target):
                break
            if found > 0:
                target[max(start, 0) : found] = chunk[max(-start, 0) :]
    except (DeflateError, EOFError) as error:
        problem = f"the compressed voxels are damaged after {max(found, 0)} of {len(target)} bytes: {error}"
        raise VoxelError(header.path, problem) from error
    return max(found, 0)


def _native_byte_order(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))


def _scaled(header: Header, stored: NDArray[Any]) -> NDArray[Any]:
    """Apply slope and intercept in float64, slice by slice, and round once to float32."""
    if not header.scaled:
        return stored
    values = np.empty(stored.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        slices = (array.reshape(-1, *array.shape[-2:]) for array in (values, stored))
        for value, source in zip(*slices, strict=True):
            value[...] = source.astype(np.float64) * header.slope + header.intercept
    return values


def _require_finite(header: Header, values: NDArray[Any]) -> None:
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values)
    if not finite.all():
        count = finite.size - np.count_nonzero(finite)
        first = tuple(int(i) for i in np.unravel_index(np.argmin(finite), finite.shape))
        problem = (
            f"{count} of {finite.size} voxels are not finite (nan or infinite), the first at {first} "
            f"({'channel, ' if len(header.shape) > 3 else ''}z, y, x); "
            "finite values are expected: repair the scan or leave it out"
        )
        raise VoxelError(header.path, problem)
