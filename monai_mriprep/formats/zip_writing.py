"""A zip archive of arrays: each an entry in numpy's format, deflated by ISA-L, an order of magnitude faster than zlib.

Timestamps are fixed, so that equal input gives equal bytes.

Reference: the ZIP file format specification (APPNOTE), and numpy's NEP 1 for the entries.
"""

from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Entry", "Piece", "archive", "comment_field"]

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
    """One deflated file of the archive, in pieces that inflate each alone."""

    name: bytes
    pieces: Sequence[Piece]

    @classmethod
    def deflate(cls, name: str, array: NDArray[Any], n_bytes: int | None = None, threads: int = 1) -> Entry:
        """An array in numpy's format.

        Parameters
        ----------
        name
            Of the entry.
        array
            Of numbers.
        n_bytes
            Of a block of it, before it is deflated: the first piece is numpy's header, then each block is one. Without
            it, all is one piece.
        threads
            That share the pieces; the bytes are the same with any number.
        """
        array = np.ascontiguousarray(array)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
        lead, values = memoryview(header.getvalue()), array.reshape(-1).view(np.uint8).data
        pieces = [(lead, values)] if n_bytes is None else [(lead,), *((block,) for block in _split(values, n_bytes))]
        are_last = [*[False] * (len(pieces) - 1), True]
        with _mapping(min(threads, len(pieces))) as map_:
            return cls(name.encode(), list(map_(Piece.deflate, pieces, are_last)))

    @property
    def parts(self) -> Iterator[bytes]:
        """Its bytes in the archive."""
        return chain.from_iterable(piece.parts for piece in self.pieces)

    @property
    def n_deflated(self) -> int:
        """How many these are."""
        return sum(piece.n_deflated for piece in self.pieces)

    @property
    def n_raw(self) -> int:
        """How many there are before."""
        return sum(piece.n_raw for piece in self.pieces)

    @property
    def crc(self) -> int:
        """The CRC-32 of all of it."""
        crc = 0
        for piece in self.pieces:
            crc = isal_zlib.crc32_combine(crc, piece.crc, piece.n_raw)
        return crc

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


def _end_of_directory(n_entries: int, offset: int, size: int) -> bytes:
    """The end record without its comment, after its ZIP64 form where the offset needs that."""
    wide = b""
    if offset >= LARGE:
        record = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, n_entries, n_entries, size, offset)
        locator = struct.pack("<IQI", 0, offset + size, 1)
        wide = b"PK\x06\x06" + record + b"PK\x06\x07" + locator
    place = 0xFFFF_FFFF if wide else offset
    return wide + b"PK\x05\x06" + struct.pack("<4H2I", 0, 0, n_entries, n_entries, size, place)


@contextmanager
def _mapping(threads: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """What `map` does, by so many threads, which end with it."""
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


@dataclass(frozen=True)
class Piece:
    """A part of an entry that was deflated without a look at what stands before it."""

    parts: Sequence[bytes]
    n_raw: int
    crc: int

    @classmethod
    def deflate(cls, raw: Iterable[memoryview], is_last: bool) -> Piece:
        """These bytes, up to a full flush, or up to the end of the entry."""
        deflater = isal_zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
        crc, n_raw, parts = 0, 0, []
        for chunk in chain.from_iterable(_split(part, CHUNK) for part in raw):
            crc = isal_zlib.crc32(chunk, crc)
            n_raw += len(chunk)
            parts.append(deflater.compress(chunk))
        parts.append(deflater.flush(zlib.Z_FINISH if is_last else zlib.Z_FULL_FLUSH))
        return cls([part for part in parts if part], n_raw, crc)

    @property
    def n_deflated(self) -> int:
        """Bytes in the archive."""
        return sum(map(len, self.parts))


def _split(raw: memoryview, size: int) -> Iterator[memoryview]:
    return (raw[start : start + size] for start in range(0, len(raw), size))
