"""Where the panels of a picture stand: as large as it allows, to one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.pictures.planes import PLANES, Panel, panel_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.pictures.planes import View

__all__ = ["TITLE", "Layout", "lay_out"]

MAX_SIZE = 432, 576
"""Pixels of a picture, at most; down and across."""
GAP = 6
"""Pixels around panels, and between them."""
TITLE = 18
"""Pixels of the line above a scan."""
HEADS = TITLE, 0
"""Pixels before the panels of a scan, down and across."""
ARRANGEMENTS = (
    ((0, 0), (0, 1), (0, 2)),
    ((0, 0), (1, 0), (2, 0)),
    ((0, 0), (1, 0), (1, 1)),
)
"""Row and column of the axial, coronal and sagittal panel: in a row, in a column, around a corner."""


@dataclass(frozen=True)
class Layout:
    """A picture's size in pixels, its panels (scan by scan, in the order of `PLANES`), and where titles begin."""

    width: int
    height: int
    panels: tuple[Panel, ...]
    titles: tuple[tuple[int, int], ...]


def lay_out(view: View, count: int) -> Layout:
    """Place three panels for each of so many scans.

    The panels of a scan stand in a row, in a column or around a corner, and the scans below or beside one another:
    whichever shows them largest, which depends on the extents in mm alone.
    """
    shown = view.high - view.low
    extents = np.array([shown[[up, left]] for up, left in PLANES.values()])
    options = [(np.array(cells), times) for times in ((count, 1), (1, count)) for cells in ARRANGEMENTS]
    cells, times = max(options, key=lambda option: _scale(extents, *option))  # the first one of equals
    scale = _scale(extents, cells, times)
    sizes = np.maximum(1, np.rint(extents * scale)).astype(int)
    (height, tops, down), (width, lefts, across) = (
        _placed(sizes[:, axis], cells[:, axis], HEADS[axis], times[axis], count) for axis in (0, 1)
    )
    panels = [
        panel_of(view, 1 / scale, scan, plane, (int(left), int(top)), (int(h), int(w)))
        for scan in range(count)
        for plane, top, left, (h, w) in zip(PLANES, down[scan], across[scan], sizes, strict=True)
    ]
    return Layout(width, height, tuple(panels), tuple(zip(lefts, tops, strict=True)))


def _scale(extents: NDArray[np.float64], cells: NDArray[np.int64], times: tuple[int, int]) -> float:
    """Pixels a mm with which all panels fit into a picture."""
    fits = []
    for axis in (0, 1):
        tracks = _longest(extents[:, axis], cells[:, axis])
        room = (MAX_SIZE[axis] - GAP) / times[axis] - HEADS[axis] - (GAP + 1) * len(tracks)
        fits.append(room / tracks.sum())
    return float(min(fits))


def _longest(lengths: NDArray[Any], tracks: NDArray[np.int64]) -> NDArray[Any]:
    """Length of each row or column: that of the longest of its panels."""
    return np.array([lengths[tracks == track].max() for track in range(tracks.max() + 1)])


def _placed(
    sizes: NDArray[np.int64], tracks: NDArray[np.int64], head: int, times: int, count: int
) -> tuple[int, list[int], list[list[int]]]:
    """Along one axis: pixels of the picture, where each scan begins, and where each of its panels, in mid-cell."""
    longest = _longest(sizes, tracks)
    begins = head + np.cumsum([0, *(longest + GAP)])
    scans = GAP + begins[-1] * np.minimum(np.arange(count), times - 1)
    panels = begins[tracks] + (longest[tracks] - sizes) // 2
    return int(GAP + begins[-1] * times), scans.tolist(), (scans[:, None] + panels).tolist()
