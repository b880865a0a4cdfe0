"""The page about raw data, as a file that the user has named."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from monai_mriprep.report.html.check_page import WHAT, page_of_check
from monai_mriprep.report.html.facts import CaseFacts
from monai_mriprep.report.html.page_file import require_place, write_page
from monai_mriprep.report.html.render import Picture
from monai_mriprep.report.html.stills import AS_SCANNED, picture_from
from monai_mriprep.run.dataset_report import DatasetReport

__all__ = ["CheckReport", "check_report"]

IN_MEMORY = 1 << 26
"""Bytes of pictures, those of 1,600 cases at least; more go to the disk."""


@contextmanager
def check_report(file: Path) -> Iterator[CheckReport]:
    """The report of a check, from before the first case is read.

    Parameters
    ----------
    file
        Where the page is to be.

    Raises
    ------
    OutputError
        If the file is no page by its name, if it is there and no check has made it, or if nothing can be written there.
    """
    require_place(file, WHAT, "a check")
    with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(file.parent)) as kept:
        yield CheckReport(file, _Pictures(kept))


@dataclass(frozen=True, eq=False)
class CheckReport:
    """A report that is not yet written: its file, and the pictures of it."""

    file: Path
    _pictures: _Pictures

    def keep_picture(self, case: str, content: bytes) -> None:
        """Keep the picture of a case, WebP; any thread may do so."""
        self._pictures.keep(case, content)

    def write(self, found: DatasetReport, command: str = "") -> None:
        """Write the page, and further ones into a folder beside it where there are many cases; each whole or as before.

        Parameters
        ----------
        found
            By the check, which has read the voxels.
        command
            That runs the dataset.

        Raises
        ------
        DiskFullError, OutputError
            If it cannot be written.
        """
        write_page(self.file, page_of_check(found, command), self._pictures)


class _Pictures:
    """Pictures of cases, until they are written.

    Parameters
    ----------
    file
        Open and empty: they are kept there, so that those of many cases take no memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def keep(self, case: str, content: bytes) -> None:
        """Keep the picture of a case; any thread may do so."""
        with self._lock:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(content)
            self._places[case] = start, len(content)

    def __call__(self, case: CaseFacts) -> Picture | None:
        """The picture of a case; None if there is none."""
        if case.name not in self._places:
            return None
        start, size = self._places[case.name]
        with self._lock:
            self._file.seek(start)
            return picture_from(self._file.read(size), AS_SCANNED)
