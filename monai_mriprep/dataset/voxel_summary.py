"""A summary of the voxels of an image and of a label, without torch, for checks before a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import counted
from monai_mriprep.measures.label import box_of
from monai_mriprep.types import IMAGE_MAX, LABEL_INTEGRALITY_TOLERANCE, LABEL_MAX, Shape, beyond_float32
from monai_mriprep.volume.label_map import renumbered_histogram, unclear_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MANY_VALUES",
    "ImageSummary",
    "LabelSummary",
    "combined",
    "count_values",
    "summarize_image",
    "summarize_label",
]

MANY_VALUES = 255
"""A label with more different values than this seems to hold intensities, not classes."""


@dataclass(frozen=True)
class ImageSummary:
    """Intensities of an image.

    Parameters
    ----------
    minimum, maximum
        Of all voxels.
    foreground
        Voxels that are not zero.
    is_constant
        Whether all voxels of the foreground have one value.
    sha256
        Of the voxels in native byte order, so that equal scans have equal hashes, however they are compressed.
    """

    minimum: float
    maximum: float
    foreground: int
    is_constant: bool
    sha256: str

    def problems(self) -> Iterator[str]:
        """What would make the case fail."""
        largest = max(self.minimum, self.maximum, key=abs)
        if abs(largest) > IMAGE_MAX:
            yield f"the image {beyond_float32(largest)}"

    def warnings(self) -> Iterator[str]:
        """What needs review."""
        if not self.foreground:
            yield "the image is 0 everywhere: it has no foreground, and is left as it is"
        elif self.is_constant:
            yield f"all {self.foreground} non-zero voxels of the image have one value: only their mean is subtracted"


@dataclass(frozen=True)
class LabelSummary:
    """Values of a label.

    Parameters
    ----------
    minimum, maximum
        Of all voxels.
    fractional
        Voxels that are not within `monai_mriprep.types.LABEL_INTEGRALITY_TOLERANCE` of an integer.
    negative
        Voxels below 0.
    histogram
        Number of voxels of each rounded value; empty if the range is too wide for classes.
    box
        Bounding box of the voxels above 0: first and last index, z y x. None if there are none.
    """

    minimum: float
    maximum: float
    fractional: int
    negative: int
    histogram: dict[int, int]
    box: tuple[Shape, Shape] | None

    def problems(self, new_numbers: Mapping[int, int] = MappingProxyType({})) -> Iterator[str]:
        """What would make the case fail, where the recipe gives labels these new numbers."""
        if self.fractional:
            yield f"the label has {counted(self.fractional, 'fractional voxel')}; it must hold class numbers"
        largest = max(renumbered_histogram(self.histogram, new_numbers), default=self.maximum)
        if largest > LABEL_MAX:
            yield (
                f"the label's largest value is {largest:g}, over {LABEL_MAX}; "
                "renumber the labels, or check that this is one"
            )
        yield from unclear_labels(self.histogram, new_numbers)

    def warnings(self, lowest: int = 0) -> Iterator[str]:
        """What needs review; `lowest` is the lowest value that the recipe keeps, 0 or -1."""
        below = sum(count for value, count in self.histogram.items() if value < lowest) if lowest else self.negative
        if below:
            than = f" below {lowest}" if lowest else ""
            yield f"{counted(below, 'negative label voxel')}{than} (down to {self.minimum:g}) will become 0"
        if len(self.histogram) > MANY_VALUES:
            yield f"the label has {len(self.histogram)} different values; that looks like intensities, not like classes"


def summarize_image(voxels: NDArray[Any]) -> ImageSummary:
    """Sum up a channel, ``(D, H, W)``, of finite values."""
    foreground = voxels[voxels != 0]
    is_constant = foreground.size > 0 and foreground.min() == foreground.max()
    digest = hashlib.sha256(voxels.data)
    return ImageSummary(
        float(voxels.min()), float(voxels.max()), foreground.size, bool(is_constant), digest.hexdigest()
    )


def combined(channels: Sequence[ImageSummary]) -> ImageSummary:
    """The summary of all channels of an image; `foreground` is the mean over the channels, rounded."""
    if len(channels) == 1:
        return channels[0]
    digest = hashlib.sha256("".join(channel.sha256 for channel in channels).encode())
    return ImageSummary(
        min(channel.minimum for channel in channels),
        max(channel.maximum for channel in channels),
        round(sum(channel.foreground for channel in channels) / len(channels)),
        any(channel.is_constant for channel in channels),
        digest.hexdigest(),
    )


def summarize_label(voxels: NDArray[Any]) -> LabelSummary:
    """Sum up a label, ``(D, H, W)``, of finite values."""
    low, high = float(voxels.min()), float(voxels.max())
    fractional = sum(map(_fractional, voxels)) if voxels.dtype.kind == "f" else 0
    negative = int(np.count_nonzero(voxels < -0.5))  # noise around 0 is 0
    has_classes = max(high, -low) <= 2 * LABEL_MAX
    histogram = count_values(voxels) if has_classes else {}
    return LabelSummary(low, high, fractional, negative, histogram, _corners(voxels))


def _corners(label: NDArray[Any]) -> tuple[Shape, Shape] | None:
    if (box := box_of(label)) is None:
        return None
    z, y, x = box
    return (z.start, y.start, x.start), (z.stop - 1, y.stop - 1, x.stop - 1)


def _fractional(plane: NDArray[Any]) -> int:
    return int(np.count_nonzero(np.abs(plane - np.rint(plane)) > LABEL_INTEGRALITY_TOLERANCE))


def count_values(voxels: NDArray[Any]) -> dict[int, int]:
    """Number of voxels of each rounded value of an array (z, y, x).

    Counted slice by slice, because the copy takes 8 bytes a voxel. The counts take 8 bytes for each value of the range.
    """
    low, high = round(float(voxels.min())), round(float(voxels.max()))
    counts = np.zeros(high - low + 1, np.int64)
    for plane in voxels:
        counts += np.bincount(np.rint(plane).astype(np.int64).ravel() - low, minlength=len(counts))
    return {int(i) + low: int(counts[i]) for i in np.flatnonzero(counts)}
