"""Scans that occur twice: one in training and its copy in validation is a leak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.cohort.thresholds import ALIKE, SAME, SAME_SHAPE
from monai_mriprep.errors import first_names
from monai_mriprep.measures.thumbnail import EDGE, read_thumbnail

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["duplicates", "near_duplicates"]

BLOCK = 1024
"""Cases that are compared with all others at once; with ten thousand this takes 40 MB."""

Found = Iterator[tuple[int, str]]
"""Place of a case in the cohort, and what is to be said of it."""

ADVICE = "keep them out of different splits"


def duplicates(cases: Sequence[CohortCase]) -> Found:
    """Images that have the same voxels."""
    for group in _same_voxels(cases):
        for i in group:
            others = first_names([cases[j].name for j in group if j != i], 3)
            yield i, f"the image has the same voxels as that of {others}; {ADVICE}"


def _same_voxels(cases: Sequence[CohortCase]) -> list[list[int]]:
    groups = defaultdict(list)
    for i, case in enumerate(cases):
        if case.exact is not None and case.measures is not None and case.measures.image:
            groups[case.exact, case.grid and case.grid.shape].append(i)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(cases: Sequence[CohortCase]) -> Found:
    """Images that show the same, though their files are turned, in other units or otherwise written anew.

    Two thumbnails that correlate by `ALIKE` are confirmed by the shape of their percentiles, or by `SAME`. The first
    channel is compared.
    """
    known_copies = {i: group for group in _same_voxels(cases) for i in group}
    places, thumbnails, shapes = _portraits(cases)
    for start in range(0, len(places), BLOCK):
        alike = thumbnails[start : start + BLOCK] @ thumbnails.T
        for row in np.flatnonzero(np.count_nonzero(alike >= ALIKE, axis=1) > 1):
            i = places[start + row]
            close = np.flatnonzero(alike[row] >= ALIKE)
            is_same = np.abs(shapes[close] - shapes[start + row]).max(axis=1) <= SAME_SHAPE
            known = {i, *known_copies.get(i, ())}
            same = [places[j] for j in close[is_same | (alike[row, close] >= SAME)]]
            if others := [cases[j].name for j in same if j not in known]:
                yield i, f"the image shows the same as that of {first_names(others, 3)}; {ADVICE}"


def _portraits(cases: Sequence[CohortCase]) -> tuple[list[int], NDArray[np.float32], NDArray[np.float64]]:
    """Places of the cases with a thumbnail that shows anything; thumbnails of mean 0 and length 1; percentiles.

    The percentiles are those around the median, in units of the span from the 5th to the 95th.
    """
    places, thumbnails, shapes = [], [], []
    for i, case in enumerate(cases):
        image = case.measures.image[0] if case.measures and case.measures.image else None
        blocks = None if image is None else read_thumbnail(image.thumbnail)
        if image is None or blocks is None or not np.ptp(blocks):
            continue
        centred = blocks.ravel() - blocks.mean()
        percentiles = np.array(image.percentiles)
        places.append(i)
        thumbnails.append((centred / np.linalg.norm(centred)).astype(np.float32))
        shapes.append((percentiles - percentiles[3]) / max(percentiles[5] - percentiles[1], np.finfo(float).tiny))
    return places, np.array(thumbnails, np.float32).reshape(-1, EDGE**3), np.array(shapes)
