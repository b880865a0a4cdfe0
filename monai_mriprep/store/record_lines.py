"""Files of records, line by line: read as they are, and appended to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from monai_mriprep.errors import RecordError
from monai_mriprep.store import calls
from monai_mriprep.store.attempts import record_files
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.layout import MANIFEST
from monai_mriprep.store.records import Opened, Record, read_record

__all__ = ["append_lines", "append_to", "file_lines", "first_record", "manifest_lines", "reading"]

LONGEST_LINE = 1 << 24
"""Bytes that are taken for one line; a longer one is damaged."""


def first_record(root: Folder, file: str) -> Record | Opened | None:
    """The first record of a file; None where it is none that can be read.

    Raises
    ------
    RecordError
        If the file cannot be read.
    """
    line, _ = next(file_lines(root, file), (b"", False))
    with suppress(RecordError):
        return read_record(line.decode(errors="replace"))
    return None


def manifest_lines(root: Folder) -> Iterator[tuple[bytes, bool]]:
    """The lines of all files of records, in the order in which they count; see `file_lines`.

    Raises
    ------
    RecordError
        If a file cannot be read.
    """
    for file in record_files(root):
        yield from file_lines(root, file)


def file_lines(root: Folder, name: str) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file of records as they are, each with False.

    A line without end comes in pieces. It is damaged, whatever it holds, and all pieces but the first have True.

    Raises
    ------
    RecordError
        If the file cannot be read.
    """
    with reading(root, name) as file:
        is_rest = False
        while line := file.readline(LONGEST_LINE):
            yield line, is_rest
            is_rest = not line.endswith(b"\n") and (is_rest or line.strip(b"\0") != b"")


@contextmanager
def reading(root: Folder, name: str) -> Iterator[IO[bytes]]:
    """Open a file of records as long as the block lasts.

    Raises
    ------
    RecordError
        If it cannot be read.
    """
    try:
        with root.reading(name) as file:
            yield file
    except OSError as error:
        msg = f"{root.path / name}: the records cannot be read ({error.strerror}); mend it, then run again"
        raise RecordError(msg) from error


def append_lines(root: Folder, lines: Sequence[str], name: str = MANIFEST) -> None:
    """Append lines to a file of records by one system call.

    A torn last line, all that a power cut can leave, is closed first. Only the name of a new file is synced;
    `Folder.sync_file` waits for the lines.

    Raises
    ------
    OSError
        If that fails.
    """
    is_new = root.status(name) is None
    descriptor = root.appending(name)
    try:
        append_to(descriptor, lines)
    finally:
        calls.close(descriptor)
    if is_new:
        root.sync()


def append_to(descriptor: int, lines: Sequence[str]) -> None:
    """The same for a file that is open for reading and appending.

    Raises
    ------
    OSError
        If that fails.
    """
    text = "".join(f"{line}\n" for line in lines)
    calls.write(descriptor, (_missing_newline(descriptor) + text).encode())


def _missing_newline(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""
