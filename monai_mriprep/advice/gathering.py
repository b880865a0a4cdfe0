"""What all cases say of candidate spacings, gathered case by case, so that many cases take little memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monai_mriprep.advice.case import CaseKept, Found, Left, Size
from monai_mriprep.advice.model import Candidate, Cost, Lost, Structure, Uncompared, Worst, on_front
from monai_mriprep.advice.spacings import CandidateSpacing
from monai_mriprep.run.estimates import run_seconds

__all__ = ["Gathering"]


class Gathering:
    """What was gathered so far.

    Parameters
    ----------
    candidates
        The default first.
    workers
        Of the run whose time is estimated.
    """

    def __init__(self, candidates: Sequence[CandidateSpacing], workers: int) -> None:
        self.candidates, self.workers = candidates, workers
        self.failed: list[Uncompared] = []
        self.empty: list[str] = []
        self.cases = 0
        self._classes: dict[int, _Class] = {}
        self._of_candidates = [_OfCandidate() for _ in candidates]

    def add(self, kept: CaseKept) -> None:
        """Take what became of a case."""
        if kept.problem is not None:
            self.failed.append(Uncompared(case=kept.case, problem=kept.problem))
            return
        self.cases += 1
        if not kept.found:
            self.empty.append(kept.case)
        for number, found in kept.found.items():
            self._classes.setdefault(number, _Class()).add(found)
        for of_candidate, size, left in zip(self._of_candidates, kept.sizes, kept.left, strict=True):
            of_candidate.add(kept, size, left)

    @property
    def labels(self) -> dict[int, Structure]:
        """The classes that were found; none where all labels are empty."""
        return {number: one.told() for number, one in sorted(self._classes.items())}

    def told(self) -> tuple[Candidate, ...]:
        """The candidates, those with most voxels first; there is a case, and a class."""
        found = list(zip(self.candidates, self._of_candidates, strict=True))
        fronts = on_front((gathered.voxels, gathered.mean_dice) for _, gathered in found)
        default = self._of_candidates[0]
        told = (
            gathered.told(spacing, default, front, self.workers)
            for (spacing, gathered), front in zip(found, fronts, strict=True)
        )
        return tuple(sorted(told, key=lambda one: -one.voxels))


@dataclass
class _Class:
    """A class in all cases."""

    cases: int = 0
    lesions: int = 0
    smallest_mm3: float = math.inf

    def add(self, found: Found) -> None:
        self.cases += 1
        self.lesions += found.lesions
        self.smallest_mm3 = min(self.smallest_mm3, found.smallest_mm3)

    def told(self) -> Structure:
        return Structure(cases=self.cases, lesions=self.lesions, smallest_mm3=self.smallest_mm3)


@dataclass
class _OfClass:
    """What a candidate leaves of a class in all cases that have it."""

    dice: float = 0.0
    cases: int = 0
    lost: int = 0
    smallest_mm3: float = math.inf
    largest_mm3: float = 0.0
    worst: tuple[float, str] = (math.inf, "")

    def add(self, left: Left, case: str) -> None:
        self.dice, self.cases, self.lost = self.dice + left.dice, self.cases + 1, self.lost + left.lost
        self.smallest_mm3 = min(self.smallest_mm3, left.smallest_mm3)
        self.largest_mm3 = max(self.largest_mm3, left.largest_mm3)
        if left.dice < self.worst[0]:
            self.worst = left.dice, case

    @property
    def mean_dice(self) -> float:
        return self.dice / self.cases

    def told_worst(self) -> Worst:
        dice, case = self.worst
        return Worst(dice=dice, case=case)

    def told_lost(self) -> Lost:
        if not self.lost:
            return Lost(lesions=0)
        return Lost(lesions=self.lost, smallest_mm3=self.smallest_mm3, largest_mm3=self.largest_mm3)


@dataclass
class _OfCandidate:
    """What all cases say of a candidate; of each case its voxels read and written, and its size there, are kept."""

    voxels: int = 0
    output_bytes: int = 0
    memory_bytes: int = 0
    of_cases: array[int] = field(default_factory=lambda: array("q"))
    of_class: dict[int, _OfClass] = field(default_factory=dict)

    def add(self, kept: CaseKept, size: Size, left: Mapping[int, Left]) -> None:
        written = math.prod(size.shape)
        self.voxels += written
        self.output_bytes += size.output_bytes
        self.memory_bytes = max(self.memory_bytes, size.memory_bytes)
        self.of_cases.extend((kept.read_voxels, written, *size.shape))
        for number, one in left.items():
            self.of_class.setdefault(number, _OfClass()).add(one, kept.case)

    @property
    def mean_dice(self) -> float:
        """Of the classes."""
        return float(np.mean([one.mean_dice for one in self.of_class.values()]))

    def told(self, candidate: CandidateSpacing, default: _OfCandidate, front: bool, workers: int) -> Candidate:
        """As it stands in JSON."""
        classes = dict(sorted(self.of_class.items()))
        of_cases = np.array(self.of_cases).reshape(-1, 5)
        z, y, x = np.median(of_cases[:, 2:], axis=0).tolist()
        work = list(map(tuple, of_cases[:, :2].tolist()))
        return Candidate(
            spacing=candidate.spacing,
            names=candidate.names,
            dice={number: one.mean_dice for number, one in classes.items()},
            mean_dice=self.mean_dice,
            worst={number: one.told_worst() for number, one in classes.items()},
            lost={number: one.told_lost() for number, one in classes.items()},
            voxels=self.voxels / default.voxels,
            cost=Cost(
                voxels=self.voxels,
                output_bytes=self.output_bytes,
                memory_bytes=self.memory_bytes,
                seconds=round(run_seconds(work, workers), 1),
            ),
            shape=(z, y, x),
            default=self is default,
            front=front,
        )
