"""MetaImage headers (``.mha``, ``.mhd``): lines of ``Key = value`` that end with ``ElementDataFile``.

Read as ITK's MetaIO does: keys in any order, the later spellings of a key first, other keys (such as DICOM
tags) ignored; each row of ``TransformMatrix`` is the direction of one axis, in LPS. Stricter than MetaIO
where a guess could go wrong: spacing must be stated, and the data file must lie beside the header.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from monai_mriprep.dataset.claims import (
    Body,
    Frame,
    Header,
    build_header,
    numbers,
    regular_file_size,
    three_sizes,
    world_affine,
)
from monai_mriprep.errors import HeaderError
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
    """The keys of one header that matter, as text, and typed access to them."""

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


def read(path: Path, file_size: int, vectors: bool = False) -> Header:
    """Read the header of a regular file of `file_size` bytes.

    Parameters
    ----------
    path, file_size
        The file.
    vectors
        Take several numbers a voxel, too: the header's type is then a subarray, and `read_voxels` gives (z, y, x, C).

    Raises
    ------
    HeaderError
        As `monai_mriprep.dataset.headers.read_header`.
    """
    with path.open("rb") as file:
        fields = _read_fields(path, file)
        end = file.tell()
    dimensions = fields.integer("NDims")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise HeaderError(path, f"NDims = {dimensions}; 3 is expected")
    sizes = three_sizes(path, fields.integers(fields.need(*SIZE), "DimSize", dimensions))
    geometry = _geometry(fields, dimensions)
    affine = LPS_TO_RAS @ world_affine(path, *geometry)
    dtype = _dtype(fields, vectors)
    body = _body(fields, end, file_size, math.prod(sizes) * dtype.itemsize)
    return build_header(path, sizes, affine, dtype, body, frame=Frame.of_lps(*geometry))


def _read_fields(path: Path, file: BinaryIO) -> _Fields:
    """Everything up to and with ``ElementDataFile``; the file is left at the first byte after it."""
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
    flat = numbers(fields.path, DIRECTION[0], fields.find(*DIRECTION) or identity, dimensions**2)
    origin = numbers(fields.path, ORIGIN[0], fields.find(*ORIGIN) or "0 " * dimensions, dimensions)
    spacing = numbers(fields.path, SPACING[0], fields.need(*SPACING), dimensions)
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


def _body(fields: _Fields, header_end: int, file_size: int, nbytes: int) -> Body:
    """Where the voxels lie: `nbytes` of them, before compression."""
    if fields.find("BinaryData") and not fields.flag("BinaryData"):
        raise HeaderError(fields.path, "the voxels are stored as text; save the volume as binary")
    path, offset = fields.path, header_end
    if (name := fields.need("ElementDataFile")).upper() != "LOCAL":
        path, offset = _data_file(fields.path, name), 0
        file_size = regular_file_size(path)
    compressed = fields.flag("CompressedData")
    offset = _offset(fields, offset, file_size - nbytes, compressed)
    stored = file_size - offset
    if compressed and (size := fields.integer("CompressedDataSize", "0")):
        if not 0 < size <= stored:
            problem = f"CompressedDataSize = {size}, but {max(stored, 0)} bytes are stored; the file is truncated"
            raise HeaderError(fields.path, problem)
        stored = size
    return Body(path, offset, stored, "zlib" if compressed else "raw")


def _offset(fields: _Fields, start: int, start_from_end: int, compressed: bool) -> int:
    """``HeaderSize``: 0 means here, a number means that byte of the data file, -1 the last bytes of it."""
    size = fields.integer("HeaderSize", "0")
    if size < -1 or (size == -1 and compressed):
        fields.refuse("HeaderSize", str(size), "a number of bytes is expected, or -1 with uncompressed data")
    if size == -1:
        return max(start, start_from_end)
    return size or start


def _data_file(header: Path, name: str) -> Path:
    """Find the data file, which must lie in the header's own folder: a header never steers a read elsewhere.

    Where header and data are both links into another folder, that folder is the header's own, too. A name may hold
    blanks, and start with ``./``: programs write both every day.
    """
    name = name.removeprefix("./")
    if name.upper() == "LIST" or "%" in name:
        raise HeaderError(header, f"ElementDataFile = {name[:80]!r}; one volume in one data file is expected")
    if {"/", "\\", "\0"} & set(name) or name in {"", ".", ".."}:
        problem = f"ElementDataFile = {name[:80]!r}; LOCAL or a file name in the same folder is expected"
        raise HeaderError(header, problem)
    try:
        homes = header.parent.resolve(), header.resolve().parent
        path = next((home / name for home in homes if os.path.lexists(home / name)), homes[0] / name)
        inside = path.resolve().parent in homes
    except (OSError, RuntimeError, ValueError) as error:
        raise HeaderError(header, f"ElementDataFile = {name[:80]!r} cannot be followed: {error}") from error
    if not inside:
        raise HeaderError(header, f"ElementDataFile = {name[:80]!r} is a link out of the header's folder")
    return path
