"""A page as a file that the user has named: where it may be, and how it gets there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from monai_mriprep.errors import OutputError
from monai_mriprep.report.html.facts import Page
from monai_mriprep.report.html.render import PictureOf, rendered
from monai_mriprep.store.folder import Folder, opened
from monai_mriprep.store.pictures import remove_pages
from monai_mriprep.store.store import named_errors

__all__ = ["require_place", "write_page"]

SUFFIX = ".html"
GENERATOR = b'<meta name="generator" content="monai-mriprep '
HEAD = 1 << 16
"""Bytes that hold the head of a page, and more."""
FURTHER = "_files"
"""What the folder of further pages has behind the name of the first: browsers name what belongs to a page so."""
MEND = "mend it, or name another file"


def require_place(file: Path, what: str, maker: str) -> None:
    """Refuse a place where a page may not be, or cannot be written.

    Parameters
    ----------
    file
        Where the page is to be.
    what
        What the page is, as its title ends; another one is not replaced.
    maker
        What makes such pages, for the message.

    Raises
    ------
    OutputError
        If the file is no page by its name, if it is there and is none of these, or if nothing can be written there.
    """
    if file.suffix != SUFFIX:
        msg = f"{file}: a report is a page; give a name that ends in {SUFFIX}"
        raise OutputError(msg)
    if not file.parent.is_dir():
        msg = f"{file}: there is no folder {file.parent}; make it, or name another file"
        raise OutputError(msg)
    if os.path.lexists(file) and not _is_ours(file, what):
        msg = f"{file}: is no page of {maker}, and is not replaced; move it away, or name another file"
        raise OutputError(msg)
    with _staging(file):
        pass


def _is_ours(file: Path, what: str) -> bool:
    try:
        if not file.is_file():  # a pipe would keep us waiting
            return False
        with file.open("rb") as content:
            head = content.read(HEAD)
        return all(mark in head for mark in (GENERATOR, f"{what}</title>".encode()))
    except OSError:
        return False


def write_page(file: Path, page: Page, picture_of: PictureOf) -> None:
    """Write a page, and further ones into a folder beside it where there are many cases; each whole or as before.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
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
def _staging(file: Path) -> Iterator[Folder]:
    """A hidden folder beside the file, which is gone in the end."""
    with (
        named_errors(file, "cannot be written", MEND),
        tempfile.TemporaryDirectory(prefix=".report-", dir=file.parent) as made,
        opened(Path(made)) as staging,
    ):
        yield staging


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
