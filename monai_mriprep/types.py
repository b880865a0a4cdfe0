"""The names of tuples and tolerances.

Unless a name says otherwise, every tuple is in array axis order: z, y, x.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = [
    "DIRECTION_TOLERANCE",
    "FLOAT_HALF_TOLERANCE",
    "HALF_TOLERANCE",
    "IMAGE_MAX",
    "LABEL_INTEGRALITY_TOLERANCE",
    "LABEL_MAX",
    "ORIGIN_TOLERANCE",
    "SAME_SPACING_TOLERANCE",
    "SCANNER_SPACING_MM",
    "SPACING_TOLERANCE",
    "TIE_TOLERANCE",
    "ArrayAxes",
    "Boundary",
    "Foreground",
    "GeometryPolicy",
    "GridRule",
    "Shape",
    "Spacing",
    "TargetRule",
    "Tolerance",
]

Shape = tuple[int, int, int]
"""Voxels along z, y, x."""

Spacing = tuple[float, float, float]
"""Millimetres along z, y, x."""

ArrayAxes = Literal["xyz", "zyx"]
"""Which of the file's axes is the array's first, second and third, as a loader handed them out."""

TargetRule = Literal["published", "nnunet"]
GridRule = Literal["monai", "nnunet", "itk"]
Boundary = Literal["nearest", "mirror"]
GeometryPolicy = Literal["strict", "resample_label"]
Foreground = Literal["carried", "resampled", "native", "resampled_positive"]


class Tolerance(NamedTuple):
    """A length that is small beside a voxel, whatever its size: `mm`, or the `share` of an edge where that is less."""

    mm: float
    share: float

    def at(self, edge: float) -> float:
        """The tolerance in mm for an edge of this many mm."""
        return min(self.mm, self.share * edge)

    def __str__(self) -> str:
        return f"{self.mm:g} mm or {self.share:g} of"


# Resampling
SAME_SPACING_TOLERANCE = Tolerance(1e-3, 1e-3)
"""An axis whose spacing is this close to its target is left as it is, bit for bit; the share is of its spacing."""
HALF_TOLERANCE = 1e-4
"""A size this close to a half counts as the half (and rounds to even), so header noise cannot decide it."""
FLOAT_HALF_TOLERANCE = 1e-9
"""The same under ``grid: itk``, which follows plain rounding: only the rounding of affines to float64 is tolerated."""
TIE_TOLERANCE = 1e-4
"""A nearest-neighbour position within this many voxels of a tie rounds up."""

# Do image and label lie on one grid? Real headers of one scan differ by about 1e-6.
SPACING_TOLERANCE = Tolerance(1e-3, 1e-3)
"""Largest difference of spacings on one axis; the share is of the image's spacing there."""
DIRECTION_TOLERANCE = 1e-3
"""Largest difference of direction cosines (0.06 degrees)."""
ORIGIN_TOLERANCE = Tolerance(1e-2, 1e-2)
"""Largest distance between the centres of the first voxels; the share is of the image's smallest spacing."""

SCANNER_SPACING_MM = 0.02
"""No MR scanner makes voxels with a shorter edge; such a header is likely in metres."""

# Images
IMAGE_MAX = 2.0**125
"""The largest magnitude that is computed with (4.3e37): a cubic spline in three dimensions overshoots by less than the
factor 4, the difference of two such values is twice that, and float32 ends at 2 to the power of 128."""

# Labels
LABEL_MAX = 32767
"""The largest class number: what int16 holds."""
LABEL_INTEGRALITY_TOLERANCE = 1e-3
"""A label value this close to an integer is that integer."""
