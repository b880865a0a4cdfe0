"""What was found of target spacings, as it stands in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from monai_mriprep.models import Count

__all__ = ["Advice", "Candidate", "Cost", "Lost", "Structure", "Uncompared", "Worst", "on_front"]

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Triple = tuple[Positive, Positive, Positive]
Number = Annotated[int, Field(gt=0, le=32767)]
"""A class; JSON has it as text."""


class _Plain(BaseModel):
    """Frozen; keys that a later version may add are ignored."""

    model_config = ConfigDict(frozen=True)


class Structure(_Plain):
    """A class of the labels: the cases that have it, its lesions in all of them, and the volume of the smallest."""

    cases: Count
    lesions: Count
    smallest_mm3: Positive


class Lost(_Plain):
    """Lesions of a class that have no voxel on the grid of a candidate, and their volumes; null where there are none.

    A lesion is a part of a class whose voxels share a face, an edge or a corner.
    """

    lesions: Count
    smallest_mm3: Positive | None = None
    largest_mm3: Positive | None = None


class Worst(_Plain):
    """The lowest Dice of a class, and the case that has it."""

    dice: Share
    case: str


class Cost(_Plain):
    """What a run to a spacing would take: voxels of all images, disk, memory of the largest case, wall time."""

    voxels: Count
    output_bytes: Count
    memory_bytes: Count
    seconds: FiniteFloat


class Candidate(_Plain):
    """A target spacing.

    Parameters
    ----------
    spacing
        In mm, z y x.
    names
        What it is, such as ``median``.
    dice
        Of each class, what is left of it there and back: the mean over the cases that have it.
    mean_dice
        The mean of these.
    worst, lost
        Of each class.
    voxels
        Of all images, by those of the default.
    cost
        Of a run.
    shape
        The median size of an image, voxels, z y x.
    default
        Whether a run would choose it.
    front
        Whether no other candidate has a higher `mean_dice` with no more voxels, or as high a one with fewer.
    """

    spacing: Triple
    names: tuple[str, ...]
    dice: dict[Number, Share]
    mean_dice: Share
    worst: dict[Number, Worst]
    lost: dict[Number, Lost]
    voxels: Positive
    cost: Cost
    shape: Triple
    default: bool
    front: bool

    @property
    def lost_lesions(self) -> int:
        """Of all classes."""
        return sum(one.lesions for one in self.lost.values())


class Uncompared(_Plain):
    """A case that could not be compared, and why."""

    case: str
    problem: str


class Advice(_Plain):
    """What is left of the labels of a dataset at each of some target spacings.

    Parameters
    ----------
    dataset
        Its folder.
    target_spacing, derivation
        What a run would choose, and why.
    cases
        How many were compared.
    labels
        The classes that were found, with the numbers of the recipe's ``label_map``.
    candidates
        Those with most voxels first.
    empty
        Cases whose label holds no class: they count for the voxels alone.
    failed
        Cases that could not be compared.
    warnings
        What needs review.
    """

    dataset: str
    target_spacing: Triple
    derivation: str
    cases: Count
    labels: dict[Number, Structure]
    candidates: tuple[Candidate, ...]
    empty: tuple[str, ...] = ()
    failed: tuple[Uncompared, ...] = ()
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Advice:
        """Refuse what no comparison makes: whoever shows it counts on one default, a front, and the same classes."""
        classes = self.labels.keys()
        told = (one.dice.keys() == one.worst.keys() == one.lost.keys() == classes for one in self.candidates)
        if not classes or not all(told) or [one.default for one in self.candidates].count(True) != 1:
            msg = "its candidates are not those of one comparison"
            raise ValueError(msg)
        if not any(one.front for one in self.candidates):
            msg = "none of its candidates is on the front"
            raise ValueError(msg)
        return self

    @property
    def lesions(self) -> int:
        """Of all classes, in all cases."""
        return sum(structure.lesions for structure in self.labels.values())

    @property
    def default(self) -> Candidate:
        """The target that a run would choose."""
        return next(one for one in self.candidates if one.default)


def on_front(values: Iterable[tuple[float, float]]) -> tuple[bool, ...]:
    """Which pairs of voxels and Dice are on the Pareto front: none other is as good in both, and better in one."""
    pairs = tuple(values)
    return tuple(not any(_is_better(other, one) for other in pairs) for one in pairs)


def _is_better(other: tuple[float, float], one: tuple[float, float]) -> bool:
    return other != one and other[0] <= one[0] and other[1] >= one[1]
