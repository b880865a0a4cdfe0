"""What was measured in the voxels of a case, as its record holds it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from monai_mriprep.models import Count, Model, Whole

__all__ = ["BINS", "PERCENTILES", "CaseMeasures", "ImageMeasures", "LabelMeasures", "Side"]

PERCENTILES = (0.5, 5.0, 25.0, 50.0, 75.0, 95.0, 99.5)
"""Of the foreground of an image."""

BINS = 32
"""Of its histogram."""

Side = Literal["L", "R", "A", "P", "I", "S"]
"""Of the patient: left, right, front, back, below, above."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Point = Annotated[tuple[Finite, Finite, Finite], Field(strict=False)]
"""In RAS+ mm; JSON holds it as a list."""


class ImageMeasures(Model):
    """One channel of an image, over its foreground: the voxels that are not 0, or a sample of them.

    Parameters
    ----------
    percentiles
        Those of `PERCENTILES`, in the units of the scan.
    histogram
        How many voxels of the sample lie in each of `BINS` equal bins from the first of these percentiles to the last.
    thumbnail
        Base64 of 8 x 8 x 8 bytes in the order S, A, R of the patient: by it near-duplicates are found.
    """

    percentiles: Annotated[
        tuple[Finite, ...], Field(strict=False, min_length=len(PERCENTILES), max_length=len(PERCENTILES))
    ]
    histogram: Annotated[tuple[Count, ...], Field(strict=False, min_length=BINS, max_length=BINS)]
    thumbnail: Annotated[str, Field(max_length=1024)]


class LabelMeasures(Model):
    """A label on its own grid.

    Parameters
    ----------
    components
        Connected parts of each class above 0.
    touches
        Sides of the volume that the label reaches.
    outside
        Share of its voxels that lie outside the body, in air.
    centre
        Of all classes above 0, in RAS+ mm; None where there are none.
    voxel
        Volume of a voxel of its grid, in mm^3.
    """

    components: dict[Annotated[Whole, Field(strict=False)], Count]
    touches: Annotated[tuple[Side, ...], Field(strict=False)]
    outside: Share
    centre: Point | None
    voxel: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class CaseMeasures(Model):
    """All that was measured in a case.

    Parameters
    ----------
    image
        One a channel; empty where a channel has no foreground.
    label
        None where the image came alone.
    """

    image: Annotated[tuple[ImageMeasures, ...], Field(strict=False)]
    label: LabelMeasures | None = None
