"""The histogram of a case as the outline of an area."""

from __future__ import annotations

import math
from dataclasses import dataclass

from monai_mriprep.measures.model import ImageMeasures

__all__ = ["HEIGHT", "WIDTH", "Histogram", "histogram_of"]

WIDTH, HEIGHT = 192, 48
"""In units of the drawing."""


@dataclass(frozen=True)
class Histogram:
    """A drawing: the outline, where the median lies, and the values at both ends."""

    path: str
    median: float
    low: float
    high: float
    width: int = WIDTH
    height: int = HEIGHT


def histogram_of(measures: ImageMeasures) -> Histogram:
    """The intensities of one channel; the highest bin reaches the top."""
    low, *_, high = measures.percentiles
    median = measures.percentiles[len(measures.percentiles) // 2]
    step = WIDTH / len(measures.histogram)
    top = max(*measures.histogram, 1)
    tops = (round(HEIGHT * (1 - count / top), 1) for count in measures.histogram)
    path = f"M0 {HEIGHT}" + "".join(f"V{y:g}h{step:g}" for y in tops) + f"V{HEIGHT}z"
    share = (median - low) / (high - low) if 0 < high - low < math.inf else 0.5
    return Histogram(path, round(WIDTH * share, 1), low, high)
