"""The sources of a case beside its record: of a virtual folder they are what training reads."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from monai_mriprep.formats.digest import sha256_of
from monai_mriprep.formats.names import address_in
from monai_mriprep.store.record_parts import RecordedFile
from monai_mriprep.store.records import Done

__all__ = ["source_files", "source_problems"]

AGAIN = "`run --virtual` does its case again"


def source_files(record: Done) -> Iterator[RecordedFile]:
    """What a case was read from, the other files of its voxels included; objects of a store are left out."""
    for source in (source for of_role in record.sources.values() for source in of_role):
        yield from (file for file in (source, *source.data) if address_in(file.path) is None)


def source_problems(record: Done) -> Iterator[tuple[str, str]]:
    """The path of each source that is not as recorded, and why; every byte is read of those that seem to be."""
    for file in source_files(record):
        if problem := _problem(file):
            yield file.path, problem


def _problem(file: RecordedFile) -> str | None:
    path = Path(file.path)
    try:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return f"is no file and no folder; {AGAIN}"
        if not file.fits(found):
            return f"has another size or time than when it was read; {AGAIN}"
        if sha256_of(path) != file.sha256:
            return f"has changed, though its size and time are the same: its SHA-256 is not the recorded one; {AGAIN}"
    except OSError as error:
        return f"cannot be read ({error.strerror}); mend that, or {AGAIN}"
    return None
