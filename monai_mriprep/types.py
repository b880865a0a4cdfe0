"""The names of tuples, tolerances and roles.

Unless a name says otherwise, every tuple is in array axis order: z, y, x.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = [
    "DIRECTION_TOLERANCE",
    "FLOAT_HALF_TOLERANCE",
    "FOREGROUND",
    "HALF_TOLERANCE",
    "IMAGE",
    "IMAGE_MAX",
    "LABEL",
    "LABEL_INTEGRALITY_TOLERANCE",
    "LABEL_MAX",
    "ORIGIN_TOLERANCE",
    "OUTSIDE",
    "PREDICTION",
    "ROLES",
    "ROLE_OF_FOLDER",
    "SAME_SPACING_TOLERANCE",
    "SCANNER_SPACING_MM",
    "SEPARATE_THRESHOLD",
    "SPACING_TOLERANCE",
    "TEST_ROLES",
    "TIE_TOLERANCE",
    "ArrayAxes",
    "Boundary",
    "Clip",
    "Crop",
    "Foreground",
    "GeometryPolicy",
    "GridRule",
    "IntensityRule",
    "Kind",
    "LabelOutside",
    "LabelRule",
    "Role",
    "SeparateAxis",
    "Shape",
    "Spacing",
    "TargetRule",
    "Tolerance",
    "beyond_float32",
]

Shape = tuple[int, int, int]
"""Voxels along z, y, x."""

Spacing = tuple[float, float, float]
"""Millimetres along z, y, x."""

ArrayAxes = Literal["xyz", "zyx"]
"""The file's axes in the order of the array's axes, as a loader returned them."""

Kind = Literal["image", "label", "mask", "prediction"]
"""What the voxels of a volume are, which decides how they are interpolated: intensities, class numbers, true or false,
or what a network predicts."""


class Role(NamedTuple):
    """What a volume is to its case.

    Parameters
    ----------
    name
        The key in data dictionaries, records and tables.
    folder
        Where its preprocessed files are, in the output folder; empty for what is never stored.
    kind
        What its voxels are.
    required
        Whether a training case must have it.
    """

    name: str
    folder: str
    kind: Kind
    required: bool = False

    @property
    def is_continuous(self) -> bool:
        """Whether a value between those of two voxels means anything: that of a class number or a mask does not."""
        return self.kind in ("image", "prediction")


IMAGE = Role("image", "imagesTr", "image", required=True)
LABEL = Role("label", "labelsTr", "label", required=True)
FOREGROUND = Role("foreground", "", "mask")
PREDICTION = Role("prediction", "", "prediction")

ROLES = (IMAGE, LABEL)
"""What a training case is read from and stored as, in this order. The first fixes the grid; files are moved into place
in the opposite order, so that an image never appears without the rest."""

TEST_ROLES = (IMAGE._replace(folder="imagesTs"),)
"""The same of a case of a test set."""

ROLE_OF_FOLDER = {role.folder: role for role in (*ROLES, *TEST_ROLES)}
"""The role of the volumes in each folder of an output folder."""

TargetRule = Literal["published", "nnunet"]
GridRule = Literal["monai", "nnunet", "itk", "nnunet_exact"]
Boundary = Literal["nearest", "mirror"]
Crop = Literal["none", "nonzero", "nonzero_filled"]
Clip = bool | Literal["slice"]
"""Whether a resampled image is limited to the range that it had: not, by channel, or by slice."""
LabelRule = Literal["nearest", "linear"]
LabelOutside = Literal[0, -1]
SeparateAxis = Literal["none", "auto"]
IntensityRule = Literal["zscore", "percentile", "none"]
GeometryPolicy = Literal["strict", "resample_label", "resample"]
Foreground = Literal["carried", "resampled", "native", "resampled_positive", "crop", "filled"]


class Tolerance(NamedTuple):
    """A length that is small compared to a voxel of any size: the smaller of `mm` and the `share` of its edge."""

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
"""A size this close to a half counts as the half (and rounds to even), so that noise in headers does not decide."""
FLOAT_HALF_TOLERANCE = 1e-9
"""The same under ``grid: itk``, which rounds plainly: only rounding errors of float64 are tolerated."""
TIE_TOLERANCE = 1e-4
"""A nearest-neighbour position within this many voxels of a tie rounds up."""

SEPARATE_THRESHOLD = 3.0
"""Where the longest edge of a voxel is more than this many times the shortest, nnU-Net interpolates within slices."""

# Do image and label lie on one grid? Real headers of one scan differ by about 1e-6.
SPACING_TOLERANCE = Tolerance(1e-3, 1e-3)
"""Largest difference of spacings on one axis; the share is of the image's spacing there."""
DIRECTION_TOLERANCE = 1e-3
"""Largest difference of direction cosines (0.06 degrees)."""
ORIGIN_TOLERANCE = Tolerance(1e-2, 1e-2)
"""Largest distance between the centres of the first voxels; the share is of the image's smallest spacing."""

SCANNER_SPACING_MM = 0.02
"""No MR scanner makes voxels with a shorter edge. A header that says so is probably in metres."""

# Images
IMAGE_MAX = 2.0**125
"""The largest magnitude of an image value (4.3e37). A cubic spline in three dimensions overshoots by less than the
factor 4, the difference of two such values is twice as large, and float32 ends at 2 to the power of 128."""


def beyond_float32(value: float) -> str:
    """The problem, in words, with a value whose magnitude is over `IMAGE_MAX`."""
    return (
        f"holds the value {value:g}; magnitudes up to {IMAGE_MAX:.2g} can be computed with in float32: repair the scan "
        "(is it a mark for voxels that are missing?), or leave it out"
    )


# Labels
OUTSIDE = -1
"""The label of voxels outside of the body, where a recipe tells them from the background, 0."""
LABEL_MAX = 32767
"""The largest class number: what int16 holds."""
LABEL_INTEGRALITY_TOLERANCE = 1e-3
"""A label value this close to an integer is that integer."""
