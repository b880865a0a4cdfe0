"""NIfTI-1 and NIfTI-2 headers, of single files (``.nii``, ``.nii.gz``) and of pairs (``.hdr`` with ``.img``).

nibabel turns the sform or qform into an affine. Types, offsets and units are checked here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.deflate import DeflateError, inflate_first
from monai_mriprep.formats.fields import regular_file_size, volume_sizes
from monai_mriprep.formats.header import Body, Header, checked_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["is_pair", "read", "read_pair", "require_voxels_near"]

HEADER_BYTES = {348: 352, 540: 544}
"""Size of the header, which is its first field, and the smallest offset that voxels may have in a single file."""
Magic = dict[int, tuple[int, bytes]]
MAGIC: Magic = {348: (344, b"n+1\0"), 540: (4, b"n+2\0\r\n\x1a\n")}
PAIR_MAGIC: Magic = {348: (344, b"ni1\0"), 540: (4, b"ni2\0\r\n\x1a\n")}

DATA_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
MM_PER_UNIT = {1: 1e3, 3: 1e-3}
"""Metres and micrometres are converted, as in ITK; any other unit is taken for millimetres."""


def read(path: Path, file_size: int, channels: int = 1) -> Header:
    """Read the header of a regular file of `file_size` bytes; so many `channels` are expected.

    Raises
    ------
    HeaderError
        As `monai_mriprep.formats.read.read_header`.
    """
    compressed = path.name.lower().endswith(".gz")
    block = _header_block(path, compressed)
    found = _identify(block, MAGIC)
    if found is None:
        raise HeaderError(path, f"no NIfTI-1 or NIfTI-2 single-file header in its first {len(block)} bytes")
    fields = _fields(*found, block)
    offset = _offset(path, float(fields["vox_offset"]), HEADER_BYTES[found[0]])
    body = Body(path, 0, file_size, "gzip", offset) if compressed else Body(path, offset, file_size - offset, "raw")
    return _header(path, fields, found[1], body, channels)


def require_voxels_near(path: Path, limit: int) -> None:
    """Refuse a single file whose voxels begin after `limit` bytes, for a reader that reads all that stands before them.

    Raises
    ------
    ValueError
        If they do, or it is no NIfTI file.
    """
    block = _header_block(path, path.name.lower().endswith(".gz"))
    found = _identify(block, MAGIC)
    if found is None:
        msg = f"no NIfTI-1 or NIfTI-2 single-file header in its first {len(block)} bytes"
        raise ValueError(msg)
    offset = float(_fields(*found, block)["vox_offset"])
    if not offset <= limit:
        msg = f"vox_offset = {offset:.0f}: its header claims more than {limit} bytes"
        raise ValueError(msg)


def is_pair(path: Path) -> bool:
    """Whether a ``.hdr`` file is NIfTI. Without the magic it is Analyze 7.5, which does not state its orientation."""
    return _identify(_header_block(path, compressed=False), PAIR_MAGIC) is not None


def read_pair(path: Path, data: Path, channels: int = 1) -> Header:
    """Read a ``.hdr`` file whose voxels are in the file `data`; so many `channels` are expected.

    Raises
    ------
    HeaderError
        As `monai_mriprep.formats.read.read_header`.
    """
    block = _header_block(path, compressed=False)
    found = _identify(block, PAIR_MAGIC)
    if found is None:
        raise HeaderError(path, f"no header of a NIfTI pair in its first {len(block)} bytes")
    fields = _fields(*found, block)
    offset = _offset(path, float(fields["vox_offset"]), 0)
    return _header(path, fields, found[1], Body(data, offset, regular_file_size(data) - offset, "raw"), channels)


def _header(path: Path, fields: Any, byte_order: str, body: Body, channels: int) -> Header:
    dimensions = int(fields["dim"][0])
    if not 1 <= dimensions <= 7:
        raise HeaderError(path, f"dim[0] = {dimensions}; 3 dimensions are expected")
    sizes = volume_sizes(path, [int(size) for size in fields["dim"][1 : 1 + dimensions]], channels)
    dtype = _dtype(path, int(fields["datatype"]), byte_order)
    affine, scaling, spacing = _affine(path, fields), _scaling(path, fields), _stated_spacing(fields)
    return checked_header(path, sizes, affine, dtype, body, scaling, channels=channels, spacing=spacing)


def _header_block(path: Path, compressed: bool) -> bytes:
    """The first decoded bytes of a file, enough for the longest header."""
    longest = max(HEADER_BYTES.values())
    with path.open("rb") as file:
        if not compressed:
            return file.read(longest)
        stored = file.read(1 << 16)
    try:
        return inflate_first(stored, longest)
    except DeflateError as error:
        raise HeaderError(path, f"no gzip stream, or a damaged one, though its name ends in .gz: {error}") from error


def _identify(block: bytes, magics: Magic) -> tuple[int, str] | None:
    """Size and byte order of the header, from its first field and its magic; None if it is not NIfTI."""
    for byte_order in "<>":
        size = int(np.frombuffer(block[:4].ljust(4), f"{byte_order}i4")[0])
        if size in HEADER_BYTES and len(block) >= HEADER_BYTES[size] - 4:
            start, magic = magics[size]
            if block[start : start + len(magic)] == magic:
                return size, byte_order
    return None


def _fields(header_size: int, byte_order: str, block: bytes) -> Any:
    """Wrap the header in nibabel's own class, unchecked."""
    import nibabel

    kind: Any = nibabel.Nifti1Header if header_size == 348 else nibabel.Nifti2Header
    return kind(block[:header_size], endianness=byte_order, check=False)


def _offset(path: Path, offset: float, least: int) -> int:
    """Offset of the voxels in bytes; 0 means directly after the header."""
    if offset == 0:
        return least
    if not math.isfinite(offset) or offset < least or offset != int(offset):
        raise HeaderError(path, f"vox_offset = {offset:g}; a whole number of at least {least} is expected")
    return int(offset)


def _dtype(path: Path, code: int, byte_order: str) -> np.dtype[np.generic]:
    if code not in DATA_TYPES:
        kind = {32: "complex", 1792: "complex", 2048: "complex", 128: "RGB", 2304: "RGBA"}.get(code, "not supported")
        problem = f"data type {code} ({kind}); one integer or real number a voxel is expected, up to 64 bits"
        raise HeaderError(path, problem)
    return np.dtype(DATA_TYPES[code]).newbyteorder(byte_order)  # type: ignore[arg-type]


def _affine(path: Path, fields: Any) -> NDArray[np.float64]:
    """Voxel index i, j, k to RAS+ mm: the sform, else the qform, else nibabel's centred grid."""
    from nibabel.spatialimages import HeaderDataError

    if fields["pixdim"][0] == 0:
        fields["pixdim"][0] = 1  # qfac: "if pixdim[0] = 0.0 (which should not occur), we take qfac = 1" (nifti1.h)
    try:
        with np.errstate(all="ignore"):
            affine = np.array(fields.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise HeaderError(path, f"the orientation in the header is not valid: {error}") from error
    affine[:3] *= _mm_per_unit(fields)
    return affine


def _mm_per_unit(fields: Any) -> float:
    return MM_PER_UNIT.get(int(fields["xyzt_units"]) & 7, 1.0)


def _stated_spacing(fields: Any) -> list[float]:
    """Of z, y, x; the columns of the affine have it but for their rounding to float32."""
    return [abs(float(edge)) * _mm_per_unit(fields) for edge in fields["pixdim"][3:0:-1]]


def _scaling(path: Path, fields: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0, or one that is not finite, means no scaling, as in nibabel."""
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise HeaderError(path, f"scl_inter = {intercept}; a finite number is expected")
    return slope, intercept
