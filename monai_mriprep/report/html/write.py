"""Write the report of an output folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from monai_mriprep.errors import package_logger
from monai_mriprep.report.html.facts import Page
from monai_mriprep.report.html.folder import page_of_folder
from monai_mriprep.report.html.render import PictureOf, rendered
from monai_mriprep.report.html.stills import Drawn, Stored
from monai_mriprep.report.html.viewer.views import Views, views_of
from monai_mriprep.store.layout import MANIFEST, PARTIAL, REPORT_PAGES
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.pictures import remove_pages, remove_report
from monai_mriprep.store.store import AGAIN, Store, named_errors, open_store

__all__ = ["write_report", "write_stored_report"]


ANY_NUMBERS = np.errstate(all="ignore")
"""Grids in records may hold any."""


@ANY_NUMBERS
def write_report(root: Path) -> Page:
    """Write ``report.html`` into an output folder, from its records and pictures; missing pictures are drawn.

    Neither torch nor MONAI is loaded.

    Returns
    -------
    Page
        What it shows.

    Raises
    ------
    DiskFullError, OutputError
        If there are no records, or it cannot be written.
    """
    with open_store(root) as store:
        return _write_current(store, partial(Drawn, store))


@ANY_NUMBERS
def write_stored_report(store: Store) -> Page:
    """The same at the end of a run: only with pictures that are there.

    Raises
    ------
    DiskFullError, OutputError
        If there are no records, or it cannot be written.
    """
    return _write_current(store, lambda _: Stored(store))


def _write_current(store: Store, pictures_of: Callable[[Index], PictureOf]) -> Page:
    """Write it, and once more where records were deleted meanwhile: what `prune` has deleted must not be shown."""
    try:
        while True:
            records, index = _records(store), read_index(store.root)
            page = page_of_folder(store, index)  # before anything is made in a folder that may be no run's
            for message in store.prepare(()):
                package_logger().warning("%s", message)
            _write(store, index, page, pictures_of(index))
            if _records(store) == records:
                return page
            remove_report(store)
    finally:
        if store.has_folder(PARTIAL):
            store.leave()


def _records(store: Store) -> int | None:
    """Which file holds the records: a run appends to it, `prune` makes another."""
    found = store.root.status(MANIFEST)
    return found and found.st_ino


def _write(store: Store, index: Index, page: Page, picture_of: PictureOf) -> None:
    pages = set[str]()
    for file, content in rendered(page, picture_of, _views(store, index, page)):
        folder, _, name = file.rpartition("/")
        if folder:
            _write_further(store, name, content)
            pages.add(name)
        else:
            store.replace(name, content)
    _remove_others(store, pages)


def _views(store: Store, index: Index, page: Page) -> Views:
    """Of the suspects that were preprocessed, in the order of the page."""
    records = (index.done(case.name) for case in page.cases if case.reasons)
    outputs = {
        record.case: {role: output.path for role, output in record.outputs.items()} for record in records if record
    }
    return views_of(store.root, outputs)


def _write_further(store: Store, name: str, content: Iterable[bytes]) -> None:
    with named_errors(store.root.path / REPORT_PAGES / name, "cannot be written", AGAIN):
        if not store.has_folder(REPORT_PAGES):
            store.make_folders([REPORT_PAGES])
        store.folder(REPORT_PAGES).replace(name, content, store.staging)


def _remove_others(store: Store, pages: set[str]) -> None:
    """Pages of an earlier report that had more of them."""
    if not store.has_folder(REPORT_PAGES):
        return
    with named_errors(store.root.path / REPORT_PAGES, "an older page cannot be removed", AGAIN):
        remove_pages(store.folder(REPORT_PAGES), pages)
