"""``.report/``: a picture of each case, drawn while its voxels were in memory.

A picture proves nothing and is derived, so it is not synced and not recorded: after a power cut one may be missing or
damaged, and `report` draws it anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from pathlib import Path

from monai_mriprep.errors import RecordError
from monai_mriprep.store.folder import Folder, opened, temporary_name
from monai_mriprep.store.layout import LONGEST_NAME, PICTURES, REPORT, REPORT_PAGES, is_page
from monai_mriprep.store.store import AGAIN, Store, named_errors

__all__ = [
    "picture_name",
    "read_picture",
    "remove_pages",
    "remove_pictures",
    "remove_report",
    "report_files",
    "write_picture",
]

SUFFIX = ".webp"
LARGEST = 1 << 20
"""Bytes that are read of one; ours have 40 KiB at most."""


def picture_name(case: str) -> str:
    """The bare name of the picture of a case: its own, or a digest of it where that would be too long for a file."""
    name = os.fsencode(f"{case}{SUFFIX}")
    if len(name) <= LONGEST_NAME:
        return os.fsdecode(name)
    return f"{hashlib.sha256(name).hexdigest()}{SUFFIX}"


def write_picture(store: Store, case: str, content: bytes) -> None:
    """Write the picture of a case; it replaces the one before.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    with named_errors(store.root.path / PICTURES, "a picture cannot be written there", AGAIN):
        if not store.has_folder(PICTURES):
            store.make_folders([PICTURES])
        temporary = temporary_name("json")
        store.staging.create(temporary, [content])
        try:
            store.staging.move(temporary, store.folder(PICTURES), picture_name(case))
        except OSError:
            with suppress(OSError):
                store.staging.remove(temporary)
            raise


def read_picture(root: Path, case: str) -> bytes | None:
    """The picture of a case, from the output folder; None if there is none that can be read.

    Raises
    ------
    OutputError
        If the output folder cannot be opened.
    """
    with opened(root) as folder, suppress(OSError, RecordError), closing(folder.folder(PICTURES)) as pictures:
        return pictures.read(picture_name(case), LARGEST)
    return None


def remove_pictures(store: Store, cases: Iterable[str]) -> None:
    """Remove the pictures of cases, as far as there are any.

    Raises
    ------
    OutputError
        If one cannot be removed.
    """
    with named_errors(store.root.path / PICTURES, "a picture cannot be removed", "mend it"):
        if store.has_folder(PICTURES):
            for case in cases:
                store.folder(PICTURES).remove(picture_name(case))


def remove_pages(folder: Folder, kept: Collection[str]) -> None:
    """Remove the further pages of an earlier report, which had more of them, but for those of these names.

    Raises
    ------
    OSError
        If one cannot be removed.
    """
    for name in folder.names():
        if is_page(name) and name not in kept:
            folder.remove(name)


def report_files(store: Store) -> tuple[str, ...]:
    """The report and its further pages, as far as they are there, relative to the output folder.

    Raises
    ------
    OutputError
        If they cannot be listed.
    """
    with named_errors(store.root.path / REPORT_PAGES, "cannot be listed", "mend it"):
        front = (REPORT,) if store.root.is_file(REPORT) else ()
        pages = store.folder(REPORT_PAGES).names() if store.has_folder(REPORT_PAGES) else []
    return (*front, *(f"{REPORT_PAGES}/{name}" for name in pages if is_page(name)))


def remove_report(store: Store) -> None:
    """Remove the report and its further pages, which show every case.

    Raises
    ------
    OutputError
        If one cannot be removed.
    """
    with named_errors(store.root.path / REPORT, "cannot be removed", "mend it"):
        for path in report_files(store):
            folder, _, name = path.rpartition("/")
            (store.folder(folder) if folder else store.root).remove(name)
