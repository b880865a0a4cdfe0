"""Suspects by their image: its grid and its intensities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.cohort.outliers import by_difference, by_factor, few
from monai_mriprep.cohort.thresholds import INTENSITY_FACTOR, OFFSET, SIZE_FACTOR, SPACING_FACTOR, USUAL
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
        yield from ((i, f"the spacing along {name} is {values[i]:.3g} mm; {_usual(median, 'mm')}") for i in places)


def unlike_in_size(cases: Sequence[CohortCase]) -> Found:
    """Scans that cover more or less of the patient along an axis of the array."""
    for axis, name in enumerate("zyx"):
        values = [case.grid.spacing[axis] * case.grid.shape[axis] if case.grid else None for case in cases]
        places, median = by_factor(values, SIZE_FACTOR)
        yield from ((i, f"the scan is {values[i]:.3g} mm long in {name}; {_usual(median, 'mm')}") for i in places)


def _usual(median: float, unit: str = "") -> str:
    return f"the median of all cases is {median:.3g} {unit}".rstrip()


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
        what = f"the intensities{where} span {{:.3g}} (5th to 95th percentile); {_usual(median)}"
        yield from ((i, what.format(spans[i])) for i in places)
        offsets = _each(cases, number, _offset)
        places, median = by_difference(offsets, OFFSET)
        what = f"the median intensity{where} is {{:.3g}} times their span (5th to 95th percentile); {_usual(median)}"
        yield from ((i, what.format(offsets[i])) for i in places)


def _each(
    cases: Sequence[CohortCase], channel: int, value: Callable[[ImageMeasures], float | None]
) -> list[float | None]:
    """A value of a channel of each case, where it has been measured."""
    return [value(case.image[channel]) if len(case.image) > channel else None for case in cases]


def _span(image: ImageMeasures) -> float:
    """From the 5th to the 95th percentile; where they are equal, hardly anything."""
    return max(image.percentiles[5] - image.percentiles[1], math.ulp(0.0))


def _offset(image: ImageMeasures) -> float | None:
    low, median, high = image.percentiles[1], image.percentiles[3], image.percentiles[5]
    return median / (high - low) if high > low else None
