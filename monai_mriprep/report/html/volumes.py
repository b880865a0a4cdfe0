"""Volumes of the classes of a label, in millilitres."""

from __future__ import annotations

from dataclasses import dataclass

from monai_mriprep.cohort.case import CohortCase

__all__ = ["ClassVolume", "class_volumes"]


@dataclass(frozen=True)
class ClassVolume:
    """The volume of one class in ml, as scanned and on the target grid; None where that is not known."""

    value: int
    before: float
    after: float | None

    @property
    def kept(self) -> float | None:
        """The share of the volume that is there after; None where that is not known."""
        return None if self.after is None or not self.before else self.after / self.before


def class_volumes(case: CohortCase) -> tuple[ClassVolume, ...]:
    """The volume of each class of a label, by the number that it has after, if that is known."""
    kept = case.classes_kept
    if kept is not None:
        return tuple(ClassVolume(value, before / 1000, after / 1000) for value, (before, after) in sorted(kept.items()))
    return tuple(ClassVolume(value, before / 1000, None) for value, before in sorted((case.classes or {}).items()))
