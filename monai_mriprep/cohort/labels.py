"""Suspects by their label."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import TypeVar, get_args

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.cohort.outliers import by_factor, few
from monai_mriprep.cohort.thresholds import EDGE, FEWEST, OUTSIDE, PARTS_FACTOR, RESOLVED, SHRUNK, USUAL, VOLUME_FACTOR
from monai_mriprep.cohort.words import figure
from monai_mriprep.errors import first_names
from monai_mriprep.measures.model import Side

__all__ = [
    "at_an_edge",
    "empty",
    "lost",
    "many_empty",
    "outside",
    "undeclared",
    "undeclared_labels",
    "unlike_in_parts",
    "unlike_in_volume",
    "without_a_class",
]

Found = Iterator[tuple[int, str]]
"""Place of a case in the cohort, and what is to be said of it."""

Item = TypeVar("Item")

SIDES = {"L": "left", "R": "right", "A": "front", "P": "back", "I": "lower", "S": "upper"}
SHOWN = 10
"""The largest number of values in a sentence."""


def undeclared(cases: Sequence[CohortCase]) -> Found:
    """Labels with values that the dataset does not declare."""
    for i, case in enumerate(cases):
        strange = [] if case.declared is None else sorted(set(case.before or ()).difference(case.declared))
        if strange:
            yield i, undeclared_labels(strange, case.declared or ())


def undeclared_labels(found: Sequence[int], declared: Sequence[int]) -> str:
    """A sentence for a label with values that its dataset does not declare."""
    shown, known = (first_names([*map(str, values)], SHOWN) for values in (found, declared))
    return f"the label holds {shown}, which dataset.json does not declare: it has {known}"


def empty(cases: Sequence[CohortCase]) -> Found:
    """Labels that hold background alone, where they are few."""
    known = [case.before for case in cases]
    labelled = sum(histogram is not None for histogram in known)
    found = [i for i, histogram in enumerate(known) if histogram is not None and not _classes(histogram)]
    for i in few(found, labelled) if labelled >= FEWEST else found:
        yield i, "the label holds no class, only background"


def many_empty(cases: Sequence[CohortCase]) -> Iterator[str]:
    """A sentence on labels that hold background alone, where they are too many to be suspects."""
    names = [case.name for case in cases if case.before is not None and not _classes(case.before)]
    if names and not any(empty(cases)):
        yield f"{len(names)} of {_labelled(cases)} labels hold no class, only background: {first_names(names, 3)}"


def without_a_class(cases: Sequence[CohortCase]) -> Found:
    """Labels that lack a class which nearly all others have; empty ones are not counted."""
    classes = {i: _classes(case.before) for i, case in enumerate(cases) if case.before and _classes(case.before)}
    having = Counter(value for found in classes.values() for value in found)
    others = len(classes) - 1
    usual = sorted(value for value, count in having.items() if count >= USUAL * others)
    lacking = [[(i, value) for i, found in classes.items() if value not in found] for value in usual]
    for i, values in _by_case(_few_of(lacking, len(classes))).items():
        names = first_names([*map(str, sorted(values))], SHOWN)
        has = min(having[value] for value in values)
        yield i, f"class {names} is missing, which {has} of the {others} other labels have"


def _classes(histogram: Mapping[int, int]) -> set[int]:
    return {value for value, count in histogram.items() if value > 0 and count}


def unlike_in_volume(cases: Sequence[CohortCase]) -> Found:
    """Classes that are larger or smaller than in the others."""
    batches = []
    for value, of_class in _by_class([case.classes for case in cases]):
        places, usual = by_factor(of_class, VOLUME_FACTOR)
        said = f"class {value} has {{}}; the median of all cases is {_ml(usual)}"
        batches.append([(i, said.format(_ml(of_class[i] or 0))) for i in places])
    return _few_of(batches, _labelled(cases))


def unlike_in_parts(cases: Sequence[CohortCase]) -> Found:
    """Classes that are in more or fewer parts than in the others."""
    batches = []
    for value, of_class in _by_class([case.label.components if case.label else None for case in cases]):
        places, usual = by_factor(of_class, PARTS_FACTOR)
        said = f"class {value} is in {{:g}} separate parts; the median of all cases is {figure(usual)}"
        batches.append([(i, said.format(of_class[i])) for i in places])
    return _few_of(batches, _labelled(cases))


def _labelled(cases: Sequence[CohortCase]) -> int:
    return sum(case.before is not None or case.label is not None for case in cases)


def _few_of(batches: Sequence[Sequence[tuple[int, Item]]], known: int) -> Iterator[tuple[int, Item]]:
    """What is found of each class, or side, as long as the cases are few that it is found in: of the rarest first.

    Something is rare in nearly every case, where there are fifty classes.
    """
    named: set[int] = set()
    for batch in sorted(batches, key=len):
        together = named | {i for i, _ in batch}
        if few(sorted(together), known):
            named = together
            yield from batch


def _by_case(found: Iterable[tuple[int, Item]]) -> dict[int, list[Item]]:
    """All that is found in each case."""
    by_case: dict[int, list[Item]] = defaultdict(list)
    for i, item in found:
        by_case[i].append(item)
    return by_case


def _by_class(cases: Sequence[Mapping[int, float] | None]) -> Iterator[tuple[int, list[float | None]]]:
    """Of each class what each case has; None where that is nothing."""
    for value in sorted({value for classes in cases if classes for value in classes}):
        yield value, [classes.get(value) if classes else None for classes in cases]


def outside(cases: Sequence[CohortCase]) -> Found:
    """Labels that lie in air, or beyond the scan."""
    shares = {i: case.label.outside for i, case in enumerate(cases) if case.label}
    usual = median(shares.values()) if len(shares) >= FEWEST else 0.0
    for i, share in shares.items():
        if share > usual + OUTSIDE:
            yield i, f"{share:.0%} of the label lies outside of the body, in air or beyond the scan"


def at_an_edge(cases: Sequence[CohortCase]) -> Found:
    """Labels that touch a side of the volume which few others touch."""
    touches = {i: case.label.touches for i, case in enumerate(cases) if case.label}
    counts = Counter(side for touched in touches.values() for side in touched)
    rare = [side for side in get_args(Side) if counts[side] < EDGE * len(touches)]
    touching = [[(i, SIDES[side]) for i, touched in touches.items() if side in touched] for side in rare]
    for i, sides in _by_case(_few_of(touching, len(touches))).items():
        yield i, f"the label touches the {' and the '.join(sides)} end of the scan, as hardly any other does"


def lost(cases: Sequence[CohortCase]) -> Found:
    """Classes that vanished or shrank by resampling."""
    for i, case in enumerate(cases):
        voxel = math.prod(case.target_grid.spacing) if case.target_grid else 0.0
        for value, (before, after) in (case.classes_kept or {}).items():
            if not after:
                yield i, f"class {value} vanished by resampling: it had {_ml(before)}"
            elif before >= RESOLVED * voxel and after < SHRUNK * before:
                yield i, f"class {value} shrank by resampling, from {_ml(before)} to {_ml(after)}"


def _ml(volume: float) -> str:
    """A volume in mm^3, as millilitres."""
    return f"{figure(volume / 1000)} ml"
