"""MetaImage headers (``.mha``, ``.mhd``): lines of ``Key = value`` that end with ``ElementDataFile``.

Read as ITK's MetaIO does: keys may come in any order, the newer spelling of a key wins, unknown keys (such as DICOM
tags) are ignored, and each row of ``TransformMatrix`` is the direction of one axis in LPS. Stricter than MetaIO where a
guess could be wrong: the spacing must be stated, and data files must be in the header's folder. ITK decodes voxels
written as text, and volumes with one file a slice.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.fields import (
    compose_affine,
    parse_numbers,
    regular_file_size,
    sibling_file,
    slice_file_names,
    volume_sizes,
)
from monai_mriprep.formats.header import Body, Frame, Header, LibraryBody, checked_header
from monai_mriprep.volume.geometry import LPS_TO_RAS

__all__ = ["read"]

MAX_HEADER_BYTES = 1 << 20
MAX_DIMENSIONS = 10
"""As in MetaIO."""

ELEMENT_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # 4 bytes on disk, whatever the platform's long
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}

SIZE = ("DimSize",)
SPACING = ("ElementSpacing", "ElementSize")
DIRECTION = ("TransformMatrix", "Rotation", "Orientation")
ORIGIN = ("Offset", "Position", "Origin")
BIG_ENDIAN = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
TYPE = ("NDims", "ElementType", "ElementNumberOfChannels")
DATA = ("BinaryData", "CompressedData", "CompressedDataSize", "HeaderSize", "ElementDataFile")
KEYS = frozenset((*SIZE, *SPACING, *DIRECTION, *ORIGIN, *BIG_ENDIAN, *TYPE, *DATA))


class _Fields:
    """The fields of one header that are used, as text, with typed access to them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text: dict[str, str] = {}

    def add(self, key: str, value: str) -> None:
        if key in KEYS and self.text.setdefault(key, value) != value:
            self.refuse(key, value, f"it was {self.text[key][:80]!r} before; a key may be given once")

    def refuse(self, key: str, value: str, expected: str) -> NoReturn:
        raise HeaderError(self.path, f"{key} = {value[:80]!r}; {expected}")

    def find(self, *keys: str) -> str | None:
        return next((self.text[key] for key in keys if key in self.text), None)

    def need(self, *keys: str) -> str:
        value = self.find(*keys)
        if value is None:
            raise HeaderError(self.path, f"{' or '.join(keys)} is missing in the MetaImage header")
        return value

    def flag(self, *keys: str) -> bool:
        value = self.find(*keys) or "False"
        if value[:1] not in set("TtFf10"):
            self.refuse(keys[0], value, "True or False is expected")
        return value[0] in "Tt1"

    def integer(self, key: str, default: str | None = None) -> int:
        return self.integers(self.find(key) or default or self.need(key), key)[0]

    def integers(self, value: str, key: str, count: int = 1) -> list[int]:
        try:
            values = [int(token) for token in value.split()]
        except ValueError:
            values = []
        if len(values) != count:
            self.refuse(key, value, f"{count} whole number{'s are' if count > 1 else ' is'} expected")
        return values


def read(path: Path, file_size: int, channels: int = 1, vectors: bool = False) -> Header:
    """Read the header of a regular file of `file_size` bytes.

    Parameters
    ----------
    path, file_size
        The file.
    channels
        How many volumes are expected.
    vectors
        Also accept several numbers a voxel. The header's dtype is then a subarray, and the voxels are (z, y, x, C).

    Raises
    ------
    HeaderError
        As `monai_mriprep.formats.read.read_header`.
    """
    with path.open("rb") as file:
        fields = _read_fields(path, file)
        end = file.tell()
    dimensions = fields.integer("NDims")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise HeaderError(path, f"NDims = {dimensions}; 3 is expected")
    sizes = volume_sizes(path, fields.integers(fields.need(*SIZE), "DimSize", dimensions), channels)
    geometry = _geometry(fields, dimensions)
    affine = LPS_TO_RAS @ compose_affine(path, *geometry)
    dtype = _dtype(fields, vectors)
    body = _body(fields, end, file_size, (*sizes, channels), dtype)
    return checked_header(path, sizes, affine, dtype, body, frame=Frame.of_lps(*geometry), channels=channels)


def _read_fields(path: Path, file: BinaryIO) -> _Fields:
    """Read up to the line ``ElementDataFile``. Leaves the file at the first byte after it."""
    fields = _Fields(path)
    while line := file.readline(max(0, MAX_HEADER_BYTES - file.tell())):
        text = os.fsdecode(line)
        key, equals, value = text.partition("=" if "=" in text else ":")
        if equals:
            fields.add(key.strip(), value.strip())
        if "ElementDataFile" in fields.text:
            return fields
    problem = f"no ElementDataFile in its first {file.tell()} bytes; it is not a MetaImage, or it is truncated"
    raise HeaderError(path, problem)


def _geometry(fields: _Fields, dimensions: int) -> tuple[list[list[float]], list[float], list[float]]:
    """Directions of the axes, spacing and origin of the first three dimensions; x y z, LPS."""
    identity = " ".join(str(int(i % (dimensions + 1) == 0)) for i in range(dimensions**2))
    flat = parse_numbers(fields.path, DIRECTION[0], fields.find(*DIRECTION) or identity, dimensions**2)
    origin = parse_numbers(fields.path, ORIGIN[0], fields.find(*ORIGIN) or "0 " * dimensions, dimensions)
    spacing = parse_numbers(fields.path, SPACING[0], fields.need(*SPACING), dimensions)
    axes = [flat[row * dimensions : row * dimensions + 3] for row in range(3)]
    return axes, spacing[:3], origin[:3]


def _dtype(fields: _Fields, vectors: bool) -> np.dtype[np.generic]:
    channels = fields.integer("ElementNumberOfChannels", "1")
    if channels < 1 or (channels > 1 and not vectors):
        problem = f"{channels} numbers a voxel (RGB or vectors); one is expected: store each channel as a file"
        raise HeaderError(fields.path, problem)
    name = fields.need("ElementType")
    if name not in ELEMENT_TYPES:
        fields.refuse("ElementType", name, f"one of {', '.join(ELEMENT_TYPES)} is expected")
    dtype = np.dtype(ELEMENT_TYPES[name]).newbyteorder(">" if fields.flag(*BIG_ENDIAN) else "<")
    return dtype if channels == 1 else np.dtype((dtype, (channels,)))


def _body(
    fields: _Fields, end: int, file_size: int, sizes: Sequence[int], dtype: np.dtype[np.generic]
) -> Body | LibraryBody:
    """Where the voxels are stored; `end` is the offset of the first byte after the header."""
    nbytes = math.prod(sizes) * dtype.itemsize
    as_text = fields.find("BinaryData") is not None and not fields.flag("BinaryData")
    compressed = fields.flag("CompressedData")
    name = fields.need("ElementDataFile")
    if names := _slice_names(fields, name, end):
        if as_text or compressed or len(names) != sizes[2]:
            problem = f"{len(names)} data files for {sizes[2]} slices; one uncompressed file a slice is expected"
            raise HeaderError(fields.path, problem)
        return _slice_files(fields, names, nbytes // sizes[2])
    path, offset = fields.path, end
    if name.upper() != "LOCAL":
        path, offset = sibling_file(fields.path, "ElementDataFile", name), 0
        file_size = regular_file_size(path)
    if as_text:
        return LibraryBody("itk", (path,), dtype.itemsize * _most_numbers(file_size - offset), offset)
    offset = _offset(fields, offset, file_size - nbytes, compressed)
    stored = file_size - offset
    if compressed and (size := fields.integer("CompressedDataSize", "0")):
        if not 0 < size <= stored:
            problem = f"CompressedDataSize = {size}, but {max(stored, 0)} bytes are stored; the file is truncated"
            raise HeaderError(fields.path, problem)
        stored = size
    return Body(path, offset, stored, "zlib" if compressed else "raw")


def _most_numbers(characters: int) -> int:
    """The largest count of numbers in a text: each takes a digit and a blank."""
    return (characters + 1) // 2


def _slice_names(fields: _Fields, name: str, end: int) -> list[str]:
    """Names of the slices' files, from the lines after ``LIST`` or from a pattern; empty if there is one data file."""
    if re.fullmatch(r"LIST( 2D?)?", name):
        with fields.path.open("rb") as file:
            file.seek(end)
            lines = os.fsdecode(file.read(MAX_HEADER_BYTES)).splitlines()
        return [line.strip() for line in lines if line.strip()] or [""]
    if "%" not in name:
        return []
    return slice_file_names(fields.path, "ElementDataFile", name)


def _slice_files(fields: _Fields, names: Sequence[str], nbytes: int) -> LibraryBody:
    """One file a slice of `nbytes`. Each size is checked: ITK fills the rest of a short file with arbitrary memory."""
    files = tuple(sibling_file(fields.path, "ElementDataFile", name) for name in names)
    whole = max(0, fields.integer("HeaderSize", "0")) + nbytes
    for path in files:
        if (size := regular_file_size(path)) < whole:
            problem = f"a slice takes {whole} bytes, but {path.name!r} has {size}; it is truncated"
            raise HeaderError(fields.path, problem)
    return LibraryBody("itk", files, nbytes * len(files))


def _offset(fields: _Fields, start: int, start_from_end: int, compressed: bool) -> int:
    """Offset by ``HeaderSize``: 0 means `start`, -1 the end of the file minus the voxels, else a byte of the file."""
    size = fields.integer("HeaderSize", "0")
    if size < -1 or (size == -1 and compressed):
        fields.refuse("HeaderSize", str(size), "a number of bytes is expected, or -1 with uncompressed data")
    if size == -1:
        return max(start, start_from_end)
    return size or start
