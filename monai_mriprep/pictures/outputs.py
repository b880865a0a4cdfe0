"""Pictures of cases whose scans were not drawn while they were read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_mriprep.formats.npz import read_npz
from monai_mriprep.pictures.draw import draw
from monai_mriprep.pictures.scan import Scan

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["draw_outputs"]

TITLE = "preprocessed (no picture was kept of the scan as it was)"


def draw_outputs(image: Path, label: Path | None = None) -> bytes:
    """What a run has written for a case: one scan, whose title says that the one before is not shown.

    Parameters
    ----------
    image, label
        Files of an output folder, of any version; of the image the first channel is shown.

    Returns
    -------
    bytes
        As `draw.draw`.

    Raises
    ------
    NpzError
        If a file is damaged, or holds something else.
    """
    volume = read_npz(image)
    if label is None:
        return draw([Scan(volume.array[0], volume.grid, title=TITLE)])
    outlined = read_npz(label)
    return draw([Scan(volume.array[0], volume.grid, outlined.array[0], outlined.grid, title=TITLE)])
