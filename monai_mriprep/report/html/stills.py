"""The picture of a case: the one that its run has drawn, or one of the preprocessed files alone."""

from __future__ import annotations

import io
from contextlib import suppress
from warnings import catch_warnings, simplefilter

from monai_mriprep.errors import MriprepError, OutputError
from monai_mriprep.formats.npz import NpzVolume
from monai_mriprep.report.html.facts import CaseFacts
from monai_mriprep.report.html.render import Picture
from monai_mriprep.report.html.viewer.views import read_volume
from monai_mriprep.store.manifest import Index
from monai_mriprep.store.pictures import read_picture, write_picture
from monai_mriprep.store.record_parts import OutputRecord
from monai_mriprep.store.store import Store
from monai_mriprep.types import IMAGE, LABEL

__all__ = ["AS_SCANNED", "Drawn", "Stored", "picture_from"]

AS_SCANNED = "as scanned"
BOTH, BEFORE_ALONE = "as scanned and as preprocessed", "as scanned; it could not be preprocessed"
AFTER_ALONE = "as preprocessed; no picture was drawn of what was before"
MOST_PIXELS = 1 << 24
"""Of a picture; ours have less than a tenth of them."""


class Stored:
    """Pictures that are there.

    Parameters
    ----------
    store
        The output folder.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def __call__(self, case: CaseFacts) -> Picture | None:
        """The picture of a case; None if there is none that can be shown."""
        content = read_picture(self.store.root.path, case.name)
        return None if content is None else picture_from(content, _shows(case))


class Drawn(Stored):
    """Pictures that are there, and where one is missing, one of the preprocessed files, which is kept if it can be.

    Parameters
    ----------
    store
        The output folder.
    index
        Its records.
    """

    def __init__(self, store: Store, index: Index) -> None:
        super().__init__(store)
        self.index = index

    def __call__(self, case: CaseFacts) -> Picture | None:
        """The picture of a case; None if there is none, and none can be drawn."""
        there = super().__call__(case)
        if there is not None or not case.is_done:
            return there
        with suppress(MriprepError, OSError, ValueError, MemoryError):  # `verify` finds what is missing or damaged
            content = self._draw(case)
            if case.cohort.measures is None:  # else the run has drawn before and after, and that picture was lost
                self._keep(case, content)
            return picture_from(content, AFTER_ALONE)
        return None

    def _keep(self, case: CaseFacts, content: bytes) -> None:
        with suppress(OutputError):
            write_picture(self.store, case.name, content)

    def _draw(self, case: CaseFacts) -> bytes:
        from monai_mriprep.pictures.draw import draw
        from monai_mriprep.pictures.scan import Scan

        record = self.index.done(case.name)
        files = {} if record is None else record.outputs
        image, label = (self._read(files[role.name]) if role.name in files else None for role in (IMAGE, LABEL))
        if image is None:
            msg = f"{case.name}: no preprocessed image"
            raise OutputError(msg)
        scan = Scan(image.array[0], image.grid, None if label is None else label.array[0], title="preprocessed")
        return draw([scan])

    def _read(self, file: OutputRecord) -> NpzVolume:
        return read_volume(self.store.root, file.path)


def _shows(case: CaseFacts) -> str:
    """What a picture that is there shows: a run that has drawn it has measured the case, too."""
    if not case.is_done:
        return BEFORE_ALONE
    return AFTER_ALONE if case.cohort.measures is None else BOTH


def picture_from(content: bytes, shows: str) -> Picture | None:
    """A picture that shows this; None where the content is no WebP, or one that would fill the memory of a browser."""
    from PIL import Image

    with suppress(OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning), catch_warnings():
        simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
            if image.width * image.height <= MOST_PIXELS:
                return Picture(content, *image.size, shows, is_whole=shows != AFTER_ALONE)
    return None
