"""What was found when two output folders were compared, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from monai_mriprep.types import Spacing
from monai_mriprep.volume.geometry import Grid

__all__ = ["Both", "CaseDifference", "ClassVolume", "Comparison", "Volume"]

Value = TypeVar("Value")
Both = tuple[Value, Value]
"""Of the first folder, and of the second."""

SAME_MM3 = 1e-6
"""A smaller share of a volume is the noise of affines."""


@dataclass(frozen=True)
class Volume:
    """What one value of the labels takes.

    Parameters
    ----------
    voxels_before, mm3_before
        In the sources. None where that is not known: the record was rebuilt, or the label lies on another grid than its
        image, so that no record has the size of its voxels.
    voxels, mm3
        In the preprocessed labels.
    """

    voxels_before: int | None = 0
    mm3_before: float | None = 0.0
    voxels: int = 0
    mm3: float = 0.0

    def __add__(self, other: Volume) -> Volume:
        return Volume(
            _sum(self.voxels_before, other.voxels_before),
            _sum(self.mm3_before, other.mm3_before),
            self.voxels + other.voxels,
            self.mm3 + other.mm3,
        )

    def is_like(self, other: Volume) -> bool:
        """Whether both are the same, as far as they are known."""
        counts = (self.voxels_before, other.voxels_before), (self.voxels, other.voxels)
        sizes = (self.mm3_before, other.mm3_before), (self.mm3, other.mm3)
        return all(_is_close(*pair) for pair in (*counts, *sizes))


@dataclass(frozen=True)
class ClassVolume:
    """One value of the labels, and what it takes in both folders."""

    value: int
    volumes: Both[Volume]

    @property
    def differs(self) -> bool:
        """Whether it takes more in one of them."""
        return not self.volumes[0].is_like(self.volumes[1])


@dataclass(frozen=True)
class CaseDifference:
    """What tells the two results of one case apart.

    Parameters
    ----------
    case
        Its name.
    status
        ``done``, ``failed`` or ``interrupted``. All else is told where both are ``done``.
    arrays
        Roles whose arrays differ: by the CRC-32 of the voxels, where the files do not have one SHA-256. Where one has
        no volumes, the image if other things were done to it, or found in it.
    sources
        Roles that were made of files with other bytes.
    grid
        The first thing in which the target grids differ: ``size``, ``spacing``, ``direction`` or ``origin``.
    target_grids
        Both.
    classes
        The values of the labels that do not take the same.
    """

    case: str
    status: Both[str]
    arrays: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    grid: str | None = None
    target_grids: Both[Grid] | None = None
    classes: tuple[ClassVolume, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether there is anything."""
        return self.status[0] != self.status[1] or bool(self.arrays or self.sources or self.grid or self.classes)


@dataclass(frozen=True)
class Comparison:
    """What tells two output folders apart.

    Parameters
    ----------
    roots
        The folders.
    cases
        How many cases each has recorded.
    recipe
        The keys that change voxels and have another value, each as ``key: before -> now``.
    target_spacing
        In mm, z y x; None where it is not known.
    versions
        Of packages, and of the algorithm, where they differ; None where one is not known.
    lost, added
        Names of the cases that only the first folder has, or only the second.
    changed
        The cases that differ.
    same
        Names of those that do not.
    classes
        Each value of the labels, over all cases that are done in both.
    unreadable
        What cannot be compared, for a record is damaged or missing; a sentence each.
    virtual
        Whether they have no volumes. Then what was done to each image is compared in place of its array.
    """

    roots: Both[Path]
    cases: Both[int]
    recipe: tuple[str, ...]
    target_spacing: Both[Spacing | None]
    versions: Mapping[str, Both[str | None]]
    lost: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[CaseDifference, ...]
    same: tuple[str, ...]
    classes: tuple[ClassVolume, ...]
    unreadable: tuple[str, ...]
    virtual: Both[bool] = (False, False)

    @property
    def is_equal(self) -> bool:
        """Whether both have the same cases and arrays, by the same recipe and to one target. Versions do not count."""
        found = self.recipe or self.lost or self.added or self.changed or self.unreadable
        return not found and self.target_spacing[0] == self.target_spacing[1]


Number = TypeVar("Number", int, float)


def _sum(one: Number | None, other: Number | None) -> Number | None:
    return None if one is None or other is None else one + other


def _is_close(one: float | None, other: float | None) -> bool:
    return one is None or other is None or math.isclose(one, other, rel_tol=SAME_MM3)
