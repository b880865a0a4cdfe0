"""Where the classes of a label are: a sample of the voxels of each, so that patches are placed without the label.

The sample is uniform over the voxels of a class, without repetition, and the same whenever it is drawn anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.errors import RecordError
from monai_mriprep.types import LABEL_MAX, Shape

__all__ = ["IN_ALL", "PER_CLASS", "ClassIndex", "sample_classes"]

PER_CLASS = 512
"""Voxels that are kept of a class at most."""

IN_ALL = 4096
"""Voxels that are kept of all classes at most; they share it evenly."""

DRAWN = 1 << 15
"""Places that are drawn from the whole volume first. Most classes then have all they need, and a class that has not is
so rare that all its voxels are few."""

PART_VOXELS = 1 << 20
"""Voxels in which rare classes are looked for at once: what that takes beside the label is the same for any size."""

LONGEST = 9
"""Bytes of a number in `ClassIndex.to_json`, of 7 bits each."""


@dataclass(frozen=True, eq=False)
class ClassIndex:
    """Some voxels of each class of a label: `monai_mriprep.volume.patch_places` places patches by it.

    Parameters
    ----------
    shape
        Of the label, ``(D, H, W)``.
    voxels
        How many voxels each class has in all; classes that do not occur are missing.
    places
        Of each of these classes, some of its voxels, or all: indices into the flat label, ascending, int64.
    """

    shape: Shape
    voxels: Mapping[int, int]
    places: Mapping[int, NDArray[np.int64]]

    def is_of(self, label: NDArray[Any]) -> bool:
        """Whether a label, ``(D, H, W)``, has these classes at these places."""
        if label.shape != self.shape:
            return False
        flat = label.reshape(-1)
        return all((flat[places] == value).all() for value, places in self.places.items())

    def to_json(self) -> dict[str, list[Any]]:
        """By class, its number of voxels, and its places in base64.

        A place is told by its distance from the one before it, the first by that from 0. A distance is written in bytes
        of 7 bits, the lowest first; the highest bit of a byte says that another one follows (unsigned LEB128).
        """
        return {str(value): [self.voxels[value], _packed(places)] for value, places in self.places.items()}

    @staticmethod
    def from_json(facts: Mapping[str, Any], shape: Shape) -> ClassIndex:
        """What `to_json` made of the index of a label of this shape.

        Raises
        ------
        RecordError
            If no label of this shape has such an index.
        """
        try:
            read = {int(value): (int(voxels), _unpacked(packed)) for value, (voxels, packed) in facts.items()}
        except (AttributeError, TypeError, ValueError, OverflowError, binascii.Error) as error:
            msg = f"the index of its classes cannot be read: {error}"
            raise RecordError(msg) from error
        index = ClassIndex(
            shape, {value: n for value, (n, _) in read.items()}, {value: places for value, (_, places) in read.items()}
        )
        if problem := _problem(index):
            msg = f"the index of its classes is not that of a label of {shape}: {problem}"
            raise RecordError(msg)
        return index


def _packed(places: NDArray[np.int64]) -> str:
    distances = np.diff(places, prepend=0)[:, None]
    rests = distances >> 7 * np.arange(LONGEST)
    is_there = rests > 0
    is_there[:, 0] = True
    more = np.where(rests >> 7 > 0, 128, 0)
    return base64.b64encode((rests & 127 | more)[is_there].astype(np.uint8).tobytes()).decode()


def _unpacked(packed: str) -> NDArray[np.int64]:
    raw = np.frombuffer(base64.b64decode(packed, validate=True), np.uint8)
    ends = np.flatnonzero(raw < 128) + 1
    starts = np.concatenate([[0], ends[:-1]])
    if len(ends) == 0 or ends[-1] != len(raw):
        msg = "a number has no end"
        raise ValueError(msg)
    shifts = np.arange(len(raw)) - np.repeat(starts, ends - starts)
    return np.cumsum(np.add.reduceat((raw & 127).astype(np.int64) << 7 * shifts, starts))


def _problem(index: ClassIndex) -> str | None:
    """Why no label has such an index; a sum that is too large for 64 bits does not ascend."""
    size = math.prod(index.shape)
    for value, places in index.places.items():
        if not 0 <= value <= LABEL_MAX:
            return f"{value} is no class"
        if places[0] < 0 or places[-1] >= size or (np.diff(places) <= 0).any():
            return f"voxels of class {value} are outside of it, or do not ascend"
        if len(places) > index.voxels[value]:
            return f"class {value} has {index.voxels[value]} voxels, of which {len(places)} are told"
    if sum(index.voxels.values()) > size:
        return f"the classes have {sum(index.voxels.values())} voxels"
    told = np.concatenate([*index.places.values(), np.zeros(0, np.int64)])
    return None if len(np.unique(told)) == len(told) else "two classes have one voxel"


def sample_classes(label: NDArray[Any], counts: Mapping[int, int], seed_text: str) -> ClassIndex:
    """Draw some voxels of each class.

    Parameters
    ----------
    label
        ``(D, H, W)``, integers; not written to. What is below 0 is no class.
    counts
        How many voxels each of its values has: `monai_mriprep.volume.labels.label_histogram`.
    seed_text
        The same text draws the same voxels: the name of the case.
    """
    depth, height, width = label.shape
    classes = [value for value in sorted(counts) if value >= 0][:IN_ALL]  # more values are no classes
    each = min(PER_CLASS, IN_ALL // max(1, len(classes)))
    random = _random(seed_text)
    flat = label.reshape(-1)
    drawn = random.randint(flat.size, size=DRAWN, dtype=np.int64)
    values = flat[drawn]
    found = {value: _first(drawn[values == value], each) for value in classes}
    rare = [value for value in classes if len(found[value]) < each]
    for value, places in _all_of(flat, rare):
        found[value] = places[random.permutation(len(places))[:each]]
    voxels = {value: counts[value] for value in classes}
    return ClassIndex((depth, height, width), voxels, {value: np.sort(places) for value, places in found.items()})


def _random(seed_text: str) -> np.random.RandomState:
    """The old generator, whose numbers numpy promises not to change."""
    digest = hashlib.sha256(seed_text.encode(errors="surrogatepass")).digest()
    return np.random.RandomState(np.frombuffer(digest, "<u4").astype(np.uint32))


def _first(drawn: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first places that differ, of places that were drawn with repetition."""
    _, firsts = np.unique(drawn[: 2 * count], return_index=True)
    return drawn[np.sort(firsts)[:count]]


def _all_of(flat: NDArray[Any], rare: Sequence[int]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """All voxels of each of these classes, which together are few."""
    if not rare:
        return
    places = np.concatenate([_places_of(flat, start, rare) for start in range(0, flat.size, PART_VOXELS)])
    values = flat[places]
    yield from ((value, places[values == value]) for value in rare)


def _places_of(flat: NDArray[Any], start: int, values: Sequence[int]) -> NDArray[np.int64]:
    part = flat[start : start + PART_VOXELS]
    places = np.flatnonzero(part >= values[0])  # the lowest: the background is seldom rare
    return places[np.isin(part[places], values)] + start
