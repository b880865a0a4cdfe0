"""Suspects by their image: its grid and its intensities."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from monai_mriprep.cohort.case import CohortCase, ImageNumbers
from monai_mriprep.cohort.outliers import by_difference, by_factor, few
from monai_mriprep.cohort.thresholds import INTENSITY_FACTOR, OFFSET, SIZE_FACTOR, SPACING_FACTOR, USUAL
from monai_mriprep.cohort.words import figure
from monai_mriprep.measures.model import ImageMeasures
from monai_mriprep.volume.axes import axis_codes

__all__ = ["unlike_in_intensity", "unlike_in_orientation", "unlike_in_size", "unlike_in_spacing"]

Found = Iterator[tuple[int, str]]
"""Place of a case in the cohort, and what is to be said of it."""


def unlike_in_spacing(cases: Sequence[CohortCase]) -> Found:
    """Voxels longer or shorter than the others' along an axis of the array."""
    for axis, name in enumerate("zyx"):
        values = [case.grid.spacing[axis] if case.grid else None for case in cases]
        places, median = by_factor(values, SPACING_FACTOR)
        yield from _told(f"the spacing along {name} is {{}} mm; {_usual(median, 'mm')}", values, places)


def unlike_in_size(cases: Sequence[CohortCase]) -> Found:
    """Scans that cover more or less of the patient along an axis of the array."""
    for axis, name in enumerate("zyx"):
        values = [case.grid.spacing[axis] * case.grid.shape[axis] if case.grid else None for case in cases]
        places, median = by_factor(values, SIZE_FACTOR)
        yield from _told(f"the scan is {{}} mm long in {name}; {_usual(median, 'mm')}", values, places)


def _told(sentence: str, values: Sequence[float | None], places: Sequence[int]) -> Found:
    """A sentence with the value of each case that is unlike the others."""
    return ((i, sentence.format(figure(values[i] or 0))) for i in places)


def _usual(median: float, unit: str = "") -> str:
    return f"the median of all cases is {figure(median)} {unit}".rstrip()


def unlike_in_orientation(cases: Sequence[CohortCase]) -> Found:
    """Scans whose axes run to other ends than nearly all of the others'."""
    codes = [case.grid and axis_codes(case.grid) for case in cases]
    counts = Counter(code for code in codes if code)
    if not counts:
        return
    ((usual, count),) = counts.most_common(1)
    others = [i for i, code in enumerate(codes) if code and code != usual]
    if count >= USUAL * (counts.total() - 1):
        for i in few(others, counts.total()):
            yield i, f"the axes x y z run to {codes[i]}; {count} of {counts.total()} cases have {usual}"


def unlike_in_intensity(cases: Sequence[CohortCase]) -> Found:
    """Channels with a wider or narrower range than the others', or far away from theirs."""
    channels = max((len(case.image) for case in cases), default=0)
    for number in range(channels):
        where = f" of channel {number}" if channels > 1 else ""
        spans = _each(cases, number, _span)
        places, median = by_factor(spans, INTENSITY_FACTOR)
        yield from _told(f"the intensities{where} span {{}} (5th to 95th percentile); {_usual(median)}", spans, places)
        offsets = _each(cases, number, _offset)
        places, median = by_difference(offsets, OFFSET)
        what = f"the median intensity{where} is {{}} times the span from the 5th to the 95th percentile"
        yield from _told(f"{what}; {_usual(median)}", offsets, places)


def _each(
    cases: Sequence[CohortCase], channel: int, value: Callable[[ImageMeasures | ImageNumbers], float | None]
) -> list[float | None]:
    """A value of a channel of each case, where it has been measured."""
    return [value(case.image[channel]) if len(case.image) > channel else None for case in cases]


def _span(image: ImageMeasures | ImageNumbers) -> float:
    """From the 5th to the 95th percentile; where they are equal, hardly anything."""
    return max(image.percentiles[5] - image.percentiles[1], sys.float_info.min)


def _offset(image: ImageMeasures | ImageNumbers) -> float | None:
    low, median, high = image.percentiles[1], image.percentiles[3], image.percentiles[5]
    return median / (high - low) if high > low else None
