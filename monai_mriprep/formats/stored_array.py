"""An array in an open zip archive: its header first, then those of its values that are wanted.

Nothing of it is believed. No more memory is taken than deflate can fill from the bytes that are there, and no value is
handed out before its checksum was compared.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from isal import igzip_lib, isal_zlib

from monai_mriprep.formats.npy import NpyHeader, read_npy_header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monai_mriprep.formats.blocks import Blocks

__all__ = ["Box", "StoredArray"]

LARGEST_HEADER = 4096
"""Bytes of numpy's header; that of a plain array has 128."""
AT_ONCE = 16
"""Blocks of a part that are inflated in one call at most: fewer calls are faster."""
DENSEST = 1032
"""Bytes that deflate can make of one."""

_OTHER_INDEX = "the index in the comment is not that of {}"

Box = tuple[slice, slice, slice]
"""Of the axes z, y, x: each from 0 or more up to a higher number, without a step."""


@dataclass(frozen=True)
class StoredArray:
    """An array in an open archive.

    Parameters
    ----------
    file
        The archive.
    info
        What its directory says of the entry.
    start
        The byte of the archive at which the entry begins.
    header
        What the entry says of the array.
    blocks
        Its index; None without one.
    """

    file: IO[bytes]
    info: zipfile.ZipInfo
    start: int
    header: NpyHeader
    blocks: Blocks | None

    @classmethod
    def find(cls, file: IO[bytes], info: zipfile.ZipInfo, blocks: Blocks | None = None) -> StoredArray:
        """Read the header of an entry, and compare it with the directory and the index.

        Raises
        ------
        ValueError, struct.error, isal.isal_zlib.error, SyntaxError, tokenize.TokenError, RecursionError
            If it is damaged, or no plain array of numbers; or if the index is that of another one.
        """
        _require_possible(info, file.seek(0, io.SEEK_END))
        n_name, n_extra = struct.unpack("<HH", _stored(file, info.header_offset + 26, 4))
        start = info.header_offset + 30 + int(n_name) + int(n_extra)
        head = _head(file, info, start) if blocks is None else _lead(file, info, start, blocks)
        header = read_npy_header(head)
        _require_plain(header, info)
        if blocks is not None and not blocks.fit(header, head, info.CRC):
            raise ValueError(_OTHER_INDEX.format(info.filename))
        return cls(file, info, start, header, blocks)

    def read(self) -> NDArray[Any]:
        """All values.

        Raises
        ------
        ValueError, isal.isal_zlib.error
            If they are truncated, or fail a checksum.
        """
        if self.blocks is None:
            return self._inflated().copy()  # torch does not support read-only arrays
        blocks, size = _OpenBlocks(self, self.blocks), self.blocks.rows
        whole = np.empty((math.prod(self.header.shape[:3]), self.header.shape[3]), self.header.dtype)
        for number in range(len(self.blocks.crcs)):  # each alone, so that each is held to its own length
            whole[size * number :][:size] = blocks.rows(number, number + 1)
        return whole.reshape(self.header.shape)

    def read_box(self, box: Box) -> NDArray[Any]:
        """Those in a box of an array ``(C, D, H, W)``; where there is an index, no other block is read.

        Raises
        ------
        ValueError, isal.isal_zlib.error
            If they are truncated, or fail a checksum.
        """
        z, y, x = box
        if self.blocks is None:
            return self._inflated()[:, z, y, x].copy()
        channels, depth, height, _ = self.header.shape
        c, d, h = np.ogrid[:channels, z, y]
        rows = ((c * depth + d) * height + h).reshape(-1)
        part = np.empty((len(rows), x.stop - x.start), self.header.dtype)
        numbers = rows // self.blocks.rows
        blocks = _OpenBlocks(self, self.blocks)
        for begin, end in _runs(np.unique(numbers)):
            own = slice(*np.searchsorted(numbers, (begin, end)))
            part[own] = blocks.rows(begin, end)[:, x][rows[own] - begin * self.blocks.rows]
        return part.reshape(channels, *(axis.stop - axis.start for axis in box))

    def _inflated(self) -> NDArray[Any]:
        """All values; not to be written to."""
        content = _stored(self.file, self.start, self.info.compress_size)
        if self.info.compress_type == zipfile.ZIP_DEFLATED:
            content = isal_zlib.decompressobj(-15).decompress(content, self.info.file_size + 1)
        if len(content) != self.info.file_size or isal_zlib.crc32(content) != self.info.CRC:
            msg = f"{self.info.filename} is truncated or fails its checksum"
            raise ValueError(msg)
        count = math.prod(self.header.shape)
        return np.frombuffer(content, self.header.dtype, count, self.header.start).reshape(self.header.shape)


class _OpenBlocks:
    """The blocks of an array, where they are in the archive."""

    def __init__(self, array: StoredArray, blocks: Blocks) -> None:
        self._array, self._blocks = array, blocks
        lead = array.info.compress_size - sum(blocks.lengths)
        self._places = [*accumulate(blocks.lengths, initial=array.start + lead)]
        *rows, width = array.header.shape
        self._n_rows, self._row = math.prod(rows), width * array.header.dtype.itemsize

    def rows(self, begin: int, end: int) -> NDArray[Any]:
        """All rows of the blocks from one up to another."""
        array, blocks, at = self._array, self._blocks, self._places[begin]
        size, n_rows = blocks.rows * self._row, min(end * blocks.rows, self._n_rows) - begin * blocks.rows
        stored = _stored(array.file, at, self._places[end] - at)
        raw = memoryview(_inflate(stored, n_rows * self._row, is_last=end == len(blocks.lengths)))
        crcs = [isal_zlib.crc32(raw[size * number :][:size]) for number in range(end - begin)]
        if len(raw) != n_rows * self._row or (*crcs,) != blocks.crcs[begin:end]:
            msg = f"{array.info.filename} is damaged: a block, of {begin} to {end}, is not what its index says"
            raise ValueError(msg)
        return np.frombuffer(raw, array.header.dtype).reshape(n_rows, -1)


def _runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The blocks of these ascending numbers, as they are inflated in one call: from one up to another."""
    is_cut = (np.diff(numbers) > 1) | (np.diff(numbers // AT_ONCE) > 0)
    for run in np.split(numbers, np.flatnonzero(is_cut) + 1):
        yield int(run[0]), int(run[-1]) + 1


def _require_possible(info: zipfile.ZipInfo, n_bytes: int) -> None:
    """Refuse an entry that claims to be larger than the archive, or to hold more than deflate can."""
    known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if not known or info.compress_size > n_bytes or info.file_size > DENSEST * (info.compress_size + 64):
        msg = f"{info.filename} claims {info.file_size} bytes from {info.compress_size}, more than deflate can hold"
        raise ValueError(msg)


def _head(file: IO[bytes], info: zipfile.ZipInfo, start: int) -> bytes:
    """The first bytes of an entry."""
    stored = _stored(file, start, min(info.compress_size, 2 * LARGEST_HEADER))
    if info.compress_type == zipfile.ZIP_STORED:
        return stored
    head: bytes = isal_zlib.decompressobj(-15).decompress(stored, LARGEST_HEADER)
    return head


def _lead(file: IO[bytes], info: zipfile.ZipInfo, start: int, blocks: Blocks) -> bytes:
    """The bytes of an entry before its first block."""
    if info.compress_type != zipfile.ZIP_DEFLATED:
        raise ValueError(_OTHER_INDEX.format(info.filename))
    size = info.compress_size - sum(blocks.lengths)
    return _inflate(_stored(file, start, size), LARGEST_HEADER, is_last=False)


def _require_plain(header: NpyHeader, info: zipfile.ZipInfo) -> None:
    """Refuse what is no array of numbers, or of another size than the directory says."""
    dtype = header.dtype
    if header.version != (1, 0):
        msg = f"{info.filename} is not in numpy's format 1.0"
        raise ValueError(msg)
    if header.fortran or dtype.kind not in "fiu" or dtype.itemsize > 8 or not dtype.isnative:
        msg = f"{info.filename} is not a plain array of numbers (native, up to 64 bits) in C order, but {dtype}"
        raise ValueError(msg)
    if header.start + math.prod(header.shape) * dtype.itemsize != info.file_size:
        msg = f"{info.filename} declares {header.shape} {dtype}, which is not what it holds"
        raise ValueError(msg)


def _inflate(stored: bytes | memoryview, n_raw: int, *, is_last: bool) -> bytes:
    """Inflate what was deflated alone, up to a byte more than `n_raw`; the stream must end there if it is the last."""
    inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE, hist_bits=15)
    raw: bytes = inflater.decompress(stored, n_raw + 1)
    if inflater.eof != is_last:
        msg = "a block ends where the index does not say so"
        raise ValueError(msg)
    return raw


def _stored(file: IO[bytes], start: int, size: int) -> bytes:
    """Bytes of the archive; fewer where it ends."""
    file.seek(start)
    return file.read(size)
