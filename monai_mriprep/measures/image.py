"""What is measured in one channel of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.measures.model import BINS, PERCENTILES, ImageMeasures
from monai_mriprep.measures.sample import lattice
from monai_mriprep.measures.thumbnail import thumbnail_of
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SAMPLE", "measure_image"]

SAMPLE = 2**16
"""Voxels that are looked at in an image that has more: 40 x 40 x 40. Three hundred of them lie beyond each of the outer
percentiles."""


def measure_image(voxels: NDArray[Any], grid: Grid) -> ImageMeasures | None:
    """Percentiles, histogram and thumbnail of a channel; None where all of it is 0.

    They are taken from at most `SAMPLE` voxels, evenly spread, the same ones each time. Where none of these belongs to
    the foreground, all voxels that do are taken for percentiles and histogram. The thumbnail shows what lies between
    the outer percentiles, and background as the lower one: so z-scores in a background of 0 look like the scan itself.

    Parameters
    ----------
    voxels
        ``(D, H, W)``, integers, or finite numbers up to `monai_mriprep.types.IMAGE_MAX`.
    grid
        Where they lie.
    """
    sample = lattice(voxels, SAMPLE)
    foreground = sample[sample != 0]
    if not foreground.size:
        foreground = voxels[voxels != 0]
    if not foreground.size:
        return None
    ordered = np.sort(foreground)
    percentiles = np.percentile(ordered, PERCENTILES).astype(np.float64)
    low, high = percentiles[0], percentiles[-1]
    return ImageMeasures(
        percentiles=tuple(percentiles.tolist()),
        histogram=tuple(_histogram(ordered, low, high)),
        thumbnail=thumbnail_of(np.where(sample == 0, low, sample).clip(low, high), grid),
    )


def _histogram(ordered: NDArray[Any], low: float, high: float) -> list[int]:
    """Counts of equal bins from `low` to `high`, which the last one includes; all in the last where these are equal."""
    edges = np.linspace(low, high, BINS + 1)
    below = [*np.searchsorted(ordered, edges[:-1]), np.searchsorted(ordered, edges[-1], "right")]
    counts: list[int] = np.diff(below).tolist()
    return counts
