"""Scans that occur twice: one in training and its copy in validation is a leak."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.cohort.thresholds import ALIKE, SAME, SAME_SHAPE
from monai_mriprep.errors import first_names
from monai_mriprep.measures.model import PERCENTILES
from monai_mriprep.measures.thumbnail import EDGE, read_thumbnail

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["duplicates", "near_duplicates"]

BLOCK = 1024
"""Cases that are compared with as many others at once; this takes 10 MB, however many there are."""

CLOSE = (2 * (1 - ALIKE)) ** 0.5 + 1e-3
"""How far two vectors of length 1 lie apart at most that correlate by `ALIKE`, and some for rounding."""

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
    yield from sorted(_near_duplicates(cases))


def _near_duplicates(cases: Sequence[CohortCase]) -> Found:
    known_copies = {i: group for group in _same_voxels(cases) for i in group}
    portraits = _Portraits.of(cases)
    for row, close, alike in portraits.alike():
        i = portraits.places[row]
        is_same = np.abs(portraits.shapes[close] - portraits.shapes[row]).max(axis=1) <= SAME_SHAPE
        known = {i, *known_copies.get(i, ())}
        same = [portraits.places[j] for j in close[is_same | (alike >= SAME)]]
        if others := [cases[j].name for j in same if j not in known]:
            yield i, f"the image shows the same as that of {first_names(others, 3)}; {ADVICE}"


class _Portraits(NamedTuple):
    """Cases with a thumbnail that shows anything.

    Parameters
    ----------
    places
        Where they stand in the cohort.
    blocks
        ``(N, EDGE**3)`` bytes: their thumbnails.
    shapes
        ``(N, 7)``: their percentiles around the median, in units of the span from the 5th to the 95th.
    """

    places: list[int]
    blocks: NDArray[np.uint8]
    shapes: NDArray[np.float64]

    @classmethod
    def of(cls, cases: Sequence[CohortCase]) -> _Portraits:
        """Those of a cohort."""
        places, blocks, percentiles = [], bytearray(), array("d")
        for i, case in enumerate(cases):
            image = case.measures.image[0] if case.measures and case.measures.image else None
            thumbnail = None if image is None else read_thumbnail(image.thumbnail)
            if image is not None and thumbnail is not None and np.ptp(thumbnail):
                places.append(i)
                blocks += thumbnail.tobytes()
                percentiles.extend(image.percentiles)
        numbers = np.frombuffer(percentiles).reshape(-1, len(PERCENTILES))
        spans = np.maximum(numbers[:, 5] - numbers[:, 1], np.finfo(float).tiny)
        shapes = (numbers - numbers[:, 3:4]) / spans[:, None]
        return cls(places, np.frombuffer(blocks, np.uint8).reshape(-1, EDGE**3), shapes)

    def alike(self) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.float32]]]:
        """Each row that another one correlates with: itself and these, ascending, with the correlations.

        Correlated thumbnails of length 1 are close to each other, and so are their lengths along any direction. Along
        the one in which they differ most they are sorted, so that a block of them is compared with its neighbours.
        """
        along = self._along_widest()
        order = np.argsort(along, kind="stable")
        along = along[order]
        for start in range(0, len(order), BLOCK):
            rows = order[start : start + BLOCK]
            ends = along[start] - CLOSE, along[start + len(rows) - 1] + CLOSE
            near = order[np.searchsorted(along, ends[0], "left") : np.searchsorted(along, ends[1], "right")]
            yield from self._alike(rows, np.sort(near))

    def _alike(
        self, rows: NDArray[np.intp], near: NDArray[np.intp]
    ) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.float32]]]:
        """Those of some rows, compared with some others, few at a time."""
        ours = self.units(rows)
        found = []
        for start in range(0, len(near), BLOCK):
            correlations = ours @ self.units(near[start : start + BLOCK]).T
            one, other = np.nonzero(correlations >= ALIKE)
            found.append((one, near[other + start], correlations[one, other]))
        one, other, values = map(np.concatenate, zip(*found, strict=True))
        for row in np.flatnonzero(np.bincount(one, minlength=len(rows)) > 1):
            yield int(rows[row]), other[one == row], values[one == row]

    def units(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Thumbnails of mean 0 and length 1."""
        centred = self.blocks[rows].astype(np.float64)
        centred -= centred.mean(axis=1, keepdims=True)
        centred /= np.linalg.norm(centred, axis=1, keepdims=True)
        return centred.astype(np.float32)

    def _along_widest(self) -> NDArray[np.float64]:
        """How far each lies along the direction in which they differ most; one block needs no order."""
        if len(self.places) <= BLOCK:
            return np.zeros(len(self.places))
        total, products = np.zeros(EDGE**3), np.zeros((EDGE**3, EDGE**3))
        for units in self._in_blocks():
            total += units.sum(axis=0)
            products += units.T @ units
        mean = total / len(self.places)
        widest = np.linalg.eigh(products - np.outer(total, mean))[1][:, -1]
        return np.concatenate([units @ widest for units in self._in_blocks()])

    def _in_blocks(self) -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(self.places), BLOCK):
            yield self.units(slice(start, start + BLOCK)).astype(np.float64)
