"""Volumes of the classes of a label, in millilitres, from its voxels and its grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.label_map import renumbered_histogram

__all__ = ["ClassVolume", "class_volumes"]


@dataclass(frozen=True)
class ClassVolume:
    """The volume of one class in ml, as scanned and on the target grid; None where it is not known."""

    value: int
    before: float | None
    after: float | None

    @property
    def kept(self) -> float | None:
        """The share of the volume that is there after; None where there was none, or it is not known."""
        return None if not self.before or self.after is None else self.after / self.before


def class_volumes(case: CohortCase) -> tuple[ClassVolume, ...]:
    """The volume of each class above 0 that a case has, before or after, under the number that it has after."""
    voxels = None if case.before is None else renumbered_histogram(case.before, case.new_numbers)
    before = _millilitres(voxels, case.label_grid or case.grid)
    after = _millilitres(case.after, case.target_grid)
    values = sorted({*(before or ()), *(after or ())})
    return tuple(ClassVolume(value, _of(before, value), _of(after, value)) for value in values)


def _of(volumes: Mapping[int, float] | None, value: int) -> float | None:
    return None if volumes is None else volumes.get(value, 0.0)


def _millilitres(voxels: Mapping[int, int] | None, grid: Grid | None) -> dict[int, float] | None:
    """Of each class above 0; None where that is not known, as of a test set, or of a grid."""
    if not voxels or grid is None:
        return None
    voxel = abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000
    return {value: count * voxel for value, count in voxels.items() if value > 0}
