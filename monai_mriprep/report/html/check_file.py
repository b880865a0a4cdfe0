"""The page about raw data, as a file that the user has named: where it may be, and how it gets there."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from monai_mriprep.errors import OutputError
from monai_mriprep.report.html.check_page import WHAT, page_of_check
from monai_mriprep.report.html.facts import CaseFacts, Page
from monai_mriprep.report.html.render import Picture, PictureOf, rendered
from monai_mriprep.report.html.stills import AS_SCANNED, picture_from
from monai_mriprep.run.dataset_report import DatasetReport
from monai_mriprep.store.folder import Folder, opened
from monai_mriprep.store.pictures import remove_pages
from monai_mriprep.store.store import named_errors

__all__ = ["CheckReport", "check_report"]

SUFFIX = ".html"
OURS = (b'<meta name="generator" content="monai-mriprep ', f"{WHAT}</title>".encode())
"""What a page of a check has in its head; a run's report is not replaced."""
HEAD = 1 << 16
"""Bytes that hold the head of a page, and more."""
IN_MEMORY = 1 << 26
"""Bytes of pictures, those of 1,600 cases at least; more go to the disk."""
FURTHER = "_files"
"""What the folder of further pages has behind the name of the first: browsers name what belongs to a page so."""
MEND = "mend it, or name another file"


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
    _check_place(file)
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
        _write(self.file, page_of_check(found, command), self._pictures)


def _check_place(file: Path) -> None:
    if file.suffix != SUFFIX:
        msg = f"{file}: a report is a page; give a name that ends in {SUFFIX}"
        raise OutputError(msg)
    if not file.parent.is_dir():
        msg = f"{file}: there is no folder {file.parent}; make it, or name another file"
        raise OutputError(msg)
    if os.path.lexists(file) and not _is_ours(file):
        msg = f"{file}: is no page of a check, and is not replaced; move it away, or name another file"
        raise OutputError(msg)
    with _staging(file):
        pass


def _is_ours(file: Path) -> bool:
    try:
        if not file.is_file():  # a pipe would keep us waiting
            return False
        with file.open("rb") as content:
            head = content.read(HEAD)
        return all(mark in head for mark in OURS)
    except OSError:
        return False


@contextmanager
def _staging(file: Path) -> Iterator[Folder]:
    """A hidden folder beside the file, which is gone in the end."""
    with (
        named_errors(file, "cannot be written", MEND),
        tempfile.TemporaryDirectory(prefix=".report-", dir=file.parent) as made,
        opened(Path(made)) as staging,
    ):
        yield staging


def _write(file: Path, page: Page, picture_of: PictureOf) -> None:
    with _staging(file) as staging, opened(file.parent) as parent:
        written = set[str]()
        further = f"{file.stem}{FURTHER}"
        for path, content in rendered(page, picture_of, front=file.name, further=further):
            folder, _, name = path.rpartition("/")
            if folder:
                parent.make_folder(folder)
            with _folder(parent, folder) as place:
                place.replace(name, content, staging)
            written.add(path)
        _remove_others(parent, further, written)


@contextmanager
def _folder(parent: Folder, name: str) -> Iterator[Folder]:
    """A folder in another one; without a name that itself."""
    if not name:
        yield parent
        return
    with closing(parent.folder(name)) as folder:
        yield folder


def _remove_others(parent: Folder, folder: str, written: set[str]) -> None:
    """Pages of an earlier report that had more of them."""
    if not parent.is_folder(folder):
        return
    with _folder(parent, folder) as place:
        remove_pages(place, {path.removeprefix(f"{folder}/") for path in written if path.startswith(f"{folder}/")})


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
