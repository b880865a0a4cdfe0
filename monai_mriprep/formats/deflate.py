"""Inflate compressed voxels chunk by chunk, so that a hostile file cannot exhaust the memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, cast

from isal import igzip_lib

if TYPE_CHECKING:
    from io import FileIO

    from monai_mriprep.formats.header import Body

__all__ = ["CHUNK", "DeflateError", "inflate", "inflate_first"]

CHUNK = 1 << 18
"""Bytes that are read and inflated at a time: few enough to stay in the cache, and to bound a zip bomb."""

GZIP_MAGIC = b"\x1f\x8b"
CONTAINERS = {"zlib": igzip_lib.DECOMP_ZLIB, "gzip": igzip_lib.DECOMP_GZIP}

DeflateError = cast("type[Exception]", igzip_lib.IsalError)
"""The error of isal for a stream that is not valid or fails its checksum."""


def inflate_first(stored: bytes, count: int) -> bytes:
    """Inflate at most `count` bytes of a gzip stream that starts with `stored`.

    Raises
    ------
    DeflateError
        If it is not gzip.
    """
    decoded: bytes = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP).decompress(stored, count)
    return decoded


def inflate(body: Body, file: FileIO) -> Iterator[bytes]:
    """Inflate a body in chunks of at most `CHUNK` bytes, up to its end, and compare its checksum.

    Parameters
    ----------
    body
        Of encoding ``zlib`` or ``gzip``; a gzip stream may have several members.
    file
        Unbuffered, positioned at the first byte of the body.

    Raises
    ------
    DeflateError
        If the stream is not valid, or fails its checksum.
    EOFError
        If it ends too early.
    """
    source = _StoredBytes(file, body.size)
    data = source.read()
    while data:
        rest = yield from _inflate_member(source, data, CONTAINERS[body.encoding])
        data = rest if body.encoding == "gzip" and rest.startswith(GZIP_MAGIC) else b""


class _StoredBytes:
    """Reads the stored bytes of a body, a chunk at a time, and nothing after them."""

    def __init__(self, file: FileIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self) -> bytes:
        data = self._file.read(min(CHUNK, self._left))
        self._left -= len(data)
        return data


def _inflate_member(source: _StoredBytes, data: bytes, container: int) -> Generator[bytes, None, bytes]:
    """Inflate one member that starts with `data`; returns the first bytes after it."""
    engine = igzip_lib.IgzipDecompressor(flag=container)
    while not engine.eof:
        piece = engine.decompress(data, CHUNK)
        yield piece
        data = b""
        if not engine.eof and (engine.needs_input or not piece):
            data = source.read()
            if not data:
                msg = "the stream ends too early"
                raise EOFError(msg)
    rest: bytes = engine.unused_data
    return rest if len(rest) >= len(GZIP_MAGIC) else rest + source.read()
