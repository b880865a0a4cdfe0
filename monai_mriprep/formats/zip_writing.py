"""A zip archive of arrays: each an entry in numpy's format, deflated by ISA-L, an order of magnitude faster than zlib.

Timestamps are fixed, so that equal input gives equal bytes.

Reference: the ZIP file format specification (APPNOTE), and numpy's NEP 1 for the entries.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Entry", "archive", "comment_field"]

LEVEL = 1
"""ISA-L's level: 0 is larger, 2 and 3 are slower and hardly smaller on float32 (measured)."""
CHUNK = 1 << 18
"""Bytes that are compressed and added to the checksum at a time, while they are in cache."""
LARGE = 0xFFFF_0000
"""Entries and offsets of this many bytes or more need the ZIP64 fields."""
DOS_DATE = (1 << 5) | 1
"""1980-01-01, the earliest date a zip archive can hold."""


def archive(entries: Sequence[Entry], comment: bytes) -> Iterator[bytes]:
    """The bytes of the archive, in order."""
    directory, offset = b"", 0
    for entry in entries:
        directory += entry.directory_header(offset)
        for part in (entry.local_header(), *entry.parts):
            offset += len(part)
            yield part
    yield directory + _end_of_directory(len(entries), offset, len(directory)) + comment_field(comment)


def comment_field(comment: bytes) -> bytes:
    """The archive's comment, preceded by its length."""
    return struct.pack("<H", len(comment)) + comment


@dataclass(frozen=True)
class Entry:
    """One deflated file of the archive."""

    name: bytes
    crc: int
    n_raw: int
    parts: Sequence[bytes]

    @classmethod
    def deflate(cls, name: str, array: NDArray[Any]) -> Entry:
        """An array in numpy's format."""
        array = np.ascontiguousarray(array)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
        crc, n_raw, parts = 0, 0, []
        deflater = isal_zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
        for raw in (header.getvalue(), *_chunks(array)):
            crc = isal_zlib.crc32(raw, crc)
            n_raw += len(raw)
            parts.append(deflater.compress(raw))
        parts.append(deflater.flush())
        return cls(name.encode(), crc, n_raw, [part for part in parts if part])

    @property
    def n_deflated(self) -> int:
        """Bytes in the archive."""
        return sum(map(len, self.parts))

    def _fields(self, *, offset: int | None) -> tuple[bytes, bytes]:
        """The fields that both headers share, and the ZIP64 extra field, empty if it is not needed."""
        is_large = max(self.n_raw, self.n_deflated, offset or 0) >= LARGE
        sizes = (0xFFFF_FFFF, 0xFFFF_FFFF) if is_large else (self.n_deflated, self.n_raw)
        extra = b""
        if is_large:
            wide = (self.n_raw, self.n_deflated) if offset is None else (self.n_raw, self.n_deflated, offset)
            extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide)
        version = 45 if is_large else 20
        fields = struct.pack("<5H3I2H", version, 0, 8, 0, DOS_DATE, self.crc, *sizes, len(self.name), len(extra))
        return fields, extra

    def local_header(self) -> bytes:
        """What stands before the entry."""
        fields, extra = self._fields(offset=None)
        return b"PK\x03\x04" + fields + self.name + extra

    def directory_header(self, offset: int) -> bytes:
        """What the directory says of an entry that begins at `offset`."""
        fields, extra = self._fields(offset=offset)
        place = 0xFFFF_FFFF if extra else offset
        return b"PK\x01\x02" + fields[:2] + fields + struct.pack("<3H2I", 0, 0, 0, 0, place) + self.name + extra


def _chunks(array: NDArray[Any]) -> Iterator[memoryview]:
    raw = array.reshape(-1).view(np.uint8).data
    return (raw[start : start + CHUNK] for start in range(0, len(raw), CHUNK))


def _end_of_directory(n_entries: int, offset: int, size: int) -> bytes:
    """The end record without its comment, after its ZIP64 form where the offset needs that."""
    wide = b""
    if offset >= LARGE:
        record = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, n_entries, n_entries, size, offset)
        locator = struct.pack("<IQI", 0, offset + size, 1)
        wide = b"PK\x06\x06" + record + b"PK\x06\x07" + locator
    place = 0xFFFF_FFFF if wide else offset
    return wide + b"PK\x05\x06" + struct.pack("<4H2I", 0, 0, n_entries, n_entries, size, place)
