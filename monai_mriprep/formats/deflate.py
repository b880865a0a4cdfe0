"""Inflate a stored body piece by piece, so that no file decides how much memory it takes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, cast

from isal import igzip_lib

if TYPE_CHECKING:
    from io import FileIO

    from monai_mriprep.formats.header import Body

__all__ = ["CHUNK", "DeflateError", "first_bytes", "pieces"]

CHUNK = 1 << 18
"""Bytes read and inflated at a time: small enough to stay in the cache, and to bound what a bomb can do."""

GZIP_MAGIC = b"\x1f\x8b"
CONTAINERS = {"zlib": igzip_lib.DECOMP_ZLIB, "gzip": igzip_lib.DECOMP_GZIP}

DeflateError = cast("type[Exception]", igzip_lib.IsalError)
"""What isal raises for a stream that is not valid, or fails its checksum."""


def first_bytes(stored: bytes, count: int) -> bytes:
    """Inflate at most `count` bytes of a gzip stream that starts with `stored`.

    Raises
    ------
    DeflateError
        If it is not gzip.
    """
    decoded: bytes = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP).decompress(stored, count)
    return decoded


def pieces(body: Body, file: FileIO) -> Iterator[bytes]:
    """Inflate a body in pieces of at most `CHUNK` bytes, to its end and checksum.

    Parameters
    ----------
    body
        A compressed one; a gzip body may have several members.
    file
        Unbuffered, at the body's first byte.

    Raises
    ------
    DeflateError
        If the stream is not valid, or fails its checksum.
    EOFError
        If it ends too early.
    """
    source = _Stored(file, body.size)
    data = source.read()
    while data:
        rest = yield from _member(source, data, CONTAINERS[body.encoding])
        data = rest if body.encoding == "gzip" and rest.startswith(GZIP_MAGIC) else b""


class _Stored:
    """The stored bytes of a body, a chunk at a time, and not one byte more."""

    def __init__(self, file: FileIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self) -> bytes:
        data = self._file.read(min(CHUNK, self._left))
        self._left -= len(data)
        return data


def _member(source: _Stored, data: bytes, container: int) -> Generator[bytes, None, bytes]:
    """Inflate one stream that starts with `data`; returns the first bytes behind it."""
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
