"""NRRD headers (``.nrrd``, ``.nhdr``): lines of ``field: value`` up to an empty line.

What a 3-D scan needs of http://teem.sourceforge.net/nrrd/format.html: raw or gzip encoding, in the same file or in one
next to it, and the three patient spaces (LPS, RAS, LAS). ITK reads the rest: voxels as text, skipped bytes, one file a
slice, and other spaces. What ITK reads is then compared with the header.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

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
from monai_mriprep.formats.header import Body, Encoding, Header, LibraryBody, checked_header
from monai_mriprep.volume.geometry import LPS_TO_RAS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read"]

MAX_HEADER_BYTES = 1 << 20

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
TYPES = {name: dtype for dtype, names in _TYPES.items() for name in names}

SPACES = {
    "left-posterior-superior": LPS_TO_RAS,
    "lps": LPS_TO_RAS,
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
}
ENCODINGS: dict[str, Encoding] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
TEXT_NUMBERS = ("ascii", "text", "txt")
TEXT = (*TEXT_NUMBERS, "hex")
DATA_FILE = ("data file", "datafile")
FILE_LIST = "list of data files"
"""Our key for the lines that follow ``data file: LIST``."""
SKIPS = ("line skip", "lineskip", "byte skip", "byteskip")
UNITS = re.compile(r'\s*("(mm|millimeters?|millimetres?|\?\?\?|)"\s*)*', re.IGNORECASE)

_VECTOR = re.compile(r"none|\([^()]*\)")


def read(path: Path, file_size: int, channels: int = 1) -> Header:
    """Read the header of a regular file of `file_size` bytes; so many `channels` are expected.

    Raises
    ------
    HeaderError
        As `monai_mriprep.formats.read.read_header`.
    """
    with path.open("rb") as file:
        fields = _read_fields(path, file)
        end = file.tell()
    sizes = _sizes(path, fields, channels)
    body = _body(path, fields, end, file_size)
    affine, spacing = _affine(path, fields), _stated_spacing(path, fields)
    return checked_header(path, sizes, affine, _dtype(path, fields), body, channels=channels, spacing=spacing)


def _body(path: Path, fields: dict[str, str], end: int, file_size: int) -> Body | LibraryBody:
    """Where the voxels are stored; `end` is the offset of the first byte after the header."""
    name = next((fields[key] for key in DATA_FILE if key in fields), None)
    files = (path,) if name is None else _data_files(path, fields, name)
    encoding = _required(path, fields, "encoding").lower()
    if encoding not in (*ENCODINGS, *TEXT):
        raise HeaderError(path, f"encoding: {encoding[:80]!r}; one of {', '.join((*ENCODINGS, *TEXT))} is expected")
    start = end if name is None else 0
    stored = [(file_size if name is None else regular_file_size(file)) - start for file in files]
    skips = any(fields.get(key, "0") != "0" for key in SKIPS)
    if skips or encoding in TEXT or len(files) > 1 or not _has_known_space(fields):
        is_text = encoding in TEXT_NUMBERS and not skips and len(files) == 1
        is_gzip = ENCODINGS.get(encoding) == "gzip" and not skips
        streams = [Body(file, start, size, "gzip") for file, size in zip(files, stored, strict=True) if is_gzip]
        body = LibraryBody.of_files("itk", files, start if is_text else None, streams)
        return replace(body, capacity=sum(stored)) if encoding == "raw" else body
    return Body(files[0], start, stored[0], ENCODINGS[encoding])


def _data_files(path: Path, fields: dict[str, str], name: str) -> tuple[Path, ...]:
    """The data file, or one file a slice where the header holds a list or a pattern of names."""
    names = [name]
    if FILE_LIST in fields:
        names = [line.strip() for line in fields[FILE_LIST].splitlines()]
    elif "%" in name:
        names = slice_file_names(path, "data file", name)
    files = tuple(sibling_file(path, "data file", name) for name in names)
    for file in files:
        regular_file_size(file)
    return files


def _has_known_space(fields: dict[str, str]) -> bool:
    return "space directions" in fields and fields.get("space", "").lower() in SPACES


def _read_fields(path: Path, file: BinaryIO) -> dict[str, str]:
    """Fields, in lower case, and their values. Leaves the file at the first byte after the header."""
    if not re.match(rb"NRRD000[1-5]\r?\n", file.readline(16)):
        raise HeaderError(path, "it does not start with NRRD0001 to NRRD0005")
    fields: dict[str, str] = {}
    while line := file.readline(max(0, MAX_HEADER_BYTES - file.tell())):
        text = os.fsdecode(line).strip()
        if not text:
            return fields
        key, separator, value = (part.strip() for part in text.partition(":"))
        if not separator or text.startswith("#") or value.startswith("="):
            continue
        if fields.setdefault(key.lower(), value) != value:
            raise HeaderError(path, f"the field {key!r} is given twice, with different values")
        if key.lower() in DATA_FILE and value.startswith("LIST"):
            fields[FILE_LIST] = os.fsdecode(file.read(MAX_HEADER_BYTES)).strip()
            return fields
    if not fields.keys() & set(DATA_FILE) or file.tell() >= MAX_HEADER_BYTES:
        raise HeaderError(path, f"no empty line ends the NRRD header in its first {file.tell()} bytes")
    return fields


def _required(path: Path, fields: dict[str, str], key: str) -> str:
    if key not in fields:
        raise HeaderError(path, f"the field {key!r} is missing in the NRRD header")
    return fields[key]


def _sizes(path: Path, fields: dict[str, str], channels: int) -> tuple[int, int, int]:
    text = _required(path, fields, "sizes")
    try:
        sizes = [int(token) for token in text.split()]
    except ValueError as error:
        raise HeaderError(path, f"sizes: {text[:80]!r}; whole numbers are expected") from error
    if fields.get("dimension") != str(len(sizes)):
        raise HeaderError(path, f"dimension: {fields.get('dimension')!r}, but {len(sizes)} sizes")
    if len(sizes) == 4 and "domain" not in (fields.get("kinds") or "domain").split()[0] and sizes[0] > 1:
        problem = f"{sizes[0]} numbers a voxel (RGB or vectors); one is expected: store each channel as a file"
        raise HeaderError(path, problem)
    if channels > 1 and _VECTOR.findall(fields.get("space directions", ""))[3:] != ["none"]:
        problem = "its channels must be the last axis, 'none' in its space directions; store each channel as a file"
        raise HeaderError(path, problem)
    return volume_sizes(path, sizes, channels)


def _dtype(path: Path, fields: dict[str, str]) -> np.dtype[np.generic]:
    name = _required(path, fields, "type").lower()
    if name not in TYPES:
        raise HeaderError(path, f"type: {name[:80]!r}; an integer or real type of up to 64 bits is expected")
    dtype = np.dtype(TYPES[name])
    if dtype.itemsize == 1 or ("endian" not in fields and fields.get("encoding", "").lower() in TEXT_NUMBERS):
        return dtype
    endian = _required(path, fields, "endian").lower()
    if endian not in {"little", "big"}:
        raise HeaderError(path, f"endian: {endian[:80]!r}; little or big is expected")
    return dtype.newbyteorder(">" if endian == "big" else "<")


def _affine(path: Path, fields: dict[str, str]) -> NDArray[np.float64]:
    """Voxel index i, j, k to RAS+ mm.

    A space that is not a patient space is taken for LPS, as ITK does.
    """
    units = fields.get("space units", "")
    if not UNITS.fullmatch(units):
        raise HeaderError(path, f"space units: {units[:80]!r}; millimetres are expected")
    if "space directions" not in fields:
        spacing = parse_numbers(path, "spacings", _required_spacings(path, fields), 3)
        return LPS_TO_RAS @ compose_affine(path, np.eye(3).tolist(), spacing, (0, 0, 0))
    space = fields.get("space", "").lower()
    steps = _steps(path, fields)
    origin = _vector(path, "space origin", fields.get("space origin", "(0,0,0)"))
    lengths = np.maximum(np.abs(steps).max(axis=1), 1e-300)  # scale first, so that no square overflows
    spacing = lengths * np.linalg.norm(steps / lengths[:, None], axis=1)
    return SPACES.get(space, LPS_TO_RAS) @ compose_affine(
        path, steps / np.maximum(spacing, 1e-300)[:, None], spacing.tolist(), origin
    )


def _steps(path: Path, fields: dict[str, str]) -> NDArray[np.float64]:
    """From voxel to voxel along x, y, z; a vector in each row."""
    return np.array([_vector(path, "space directions", text) for text in _axis_vectors(path, fields)])


def _stated_spacing(path: Path, fields: dict[str, str]) -> list[float] | None:
    """Of z, y, x, with ITK's rounding: a header states it only as the lengths of its vectors."""
    if "space directions" not in fields:
        return None
    return [math.sqrt(x * x + y * y + z * z) for x, y, z in _steps(path, fields)[::-1].tolist()]


def _required_spacings(path: Path, fields: dict[str, str]) -> str:
    if "spacings" not in fields or "axis mins" in fields or "axismins" in fields:
        raise HeaderError(path, "'space directions' is missing, so it is unknown how the voxels lie in the world")
    return fields["spacings"]


def _axis_vectors(path: Path, fields: dict[str, str]) -> list[str]:
    """The vectors of the first three spatial axes, as text."""
    text = fields["space directions"]
    found = [vector for vector in _VECTOR.findall(text) if vector != "none"]
    if len(found) < 3:
        raise HeaderError(path, f"space directions: {text[:80]!r}; three vectors are expected")
    return found[:3]


def _vector(path: Path, key: str, text: str) -> list[float]:
    return parse_numbers(path, key, text.strip("()").replace(",", " "), 3)
