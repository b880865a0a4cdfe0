"""stdout and stderr that drop what cannot be written: no full disk or closed pipe decides how a command ends."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO

__all__ = ["drop_what_cannot_be_written", "lost_result"]


class _Lenient(io.FileIO):
    """A file that drops what it cannot take, and remembers why."""

    error: OSError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write, or drop the data; also where a pipe is full and must not be waited for."""
        written: int | None = None
        try:
            written = super().write(data)
        except OSError as error:
            self.error = error
        return memoryview(data).nbytes if written is None else written


def drop_what_cannot_be_written() -> None:
    """Replace stdout and stderr by streams whose writes do not fail, those at the interpreter's exit included.

    A standard stream that was closed at the start leads to nowhere from here on. Without that the next file to be
    opened, such as a record, would get its number, and with it what libraries print there.
    """
    _open_standard_descriptors()
    sys.stdout, sys.stderr = _lenient(sys.stdout, 1), _lenient(sys.stderr, 2)


def lost_result() -> str | None:
    """Why a part of stdout was dropped; None if it was not, or if its reader had read enough and left."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, _Lenient) else None
    return None if error is None or error.errno == errno.EPIPE else os.strerror(error.errno or 0)


def _open_standard_descriptors() -> None:
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _lenient(stream: TextIO | None, number: int) -> TextIO:
    """A stream on the same descriptor; one that a caller has put in its place, such as a test, stays."""
    if stream is not None and (type(stream) is not io.TextIOWrapper or stream.fileno() != number):
        return stream
    buffer = io.BufferedWriter(_Lenient(number, "w", closefd=False))  # type: ignore[type-var]
    encoding = stream.encoding if stream is not None else None
    return io.TextIOWrapper(buffer, encoding, errors="backslashreplace", line_buffering=True)  # no name need be text
