"""One case in the form of nnU-Net's raw data: its names, and what its sources hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.dataset.checks import check_grids
from monai_mriprep.errors import LabelError, VoxelError
from monai_mriprep.formats.read import read_channel_headers, read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.store.record_parts import RecordedFile, SourceRecord
from monai_mriprep.store.records import Done
from monai_mriprep.types import IMAGE, LABEL, ROLES, TEST_ROLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.formats.header import Frame

__all__ = ["SUFFIX", "RawCase", "numbered"]

SUFFIX = ".nii.gz"
FIRST_CHANNEL = "_0000"

ONE_GRID = "nnU-Net takes channels and label on one grid only; put them there in the dataset, then run again"


@dataclass(frozen=True)
class RawCase:
    """A finished case, as nnU-Net is to find it.

    Parameters
    ----------
    record
        Of the case.
    """

    record: Done

    @property
    def name(self) -> str:
        """The case in nnU-Net's file names; a ``_0000`` at its end, which nnU-Net adds itself, is left out."""
        return self.record.case.removesuffix(FIRST_CHANNEL) or self.record.case

    @property
    def folder(self) -> str:
        """That of its images: ``imagesTr``, or ``imagesTs`` of a test set."""
        (image, *_) = ROLES if self.is_training else TEST_ROLES
        return image.folder

    @property
    def is_training(self) -> bool:
        """Whether it has a label."""
        return LABEL.name in self.record.sources

    @property
    def channels(self) -> int:
        """How many its image has."""
        return len(self.record.foreground.mean)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths in nnU-Net's folder: the label, if there is one, then the channels."""
        images = (f"{self.folder}/{self.name}_{channel:04d}{SUFFIX}" for channel in range(self.channels))
        return (*([f"{LABEL.folder}/{self.name}{SUFFIX}"] if self.is_training else []), *images)

    @property
    def sources(self) -> tuple[SourceRecord, ...]:
        """Its files, the image's first."""
        return tuple(file for files in self.record.sources.values() for file in files)

    @property
    def labels(self) -> tuple[int, ...]:
        """The classes of its source."""
        return tuple(value for value in self.record.labels.before if value > 0)

    def problem(self) -> str | None:
        """Why its sources cannot be taken for those that were preprocessed; None if they can."""
        if self.record.repaired:
            return "its record was rebuilt and does not know its sources; `run` does it again"
        files = (part for file in self.sources for part in (file, *file.data))
        return next((why for why in map(_change, files) if why), None)

    def volumes(self, classes: Sequence[int]) -> Iterator[tuple[NDArray[Any], Frame]]:
        """The voxels, z y x, and the place of each of `files`, in their order; all have the place of the image.

        Parameters
        ----------
        classes
            The classes of all cases, in the order of their new numbers, from 1.

        Raises
        ------
        VolumeError
            If a file cannot be read.
        GeometryError
            If they do not lie on one grid, within the tolerances of a run.
        """
        paths = [file.path for file in self.record.sources[IMAGE.name]]
        images = read_channel_headers(paths, self.channels)
        first = images[0]
        if self.is_training:
            (source,) = self.record.sources[LABEL.name]
            label = read_header(source.path)
            check_grids(first.path, first.grid, label.path, label.grid, remedy=ONE_GRID)
            yield numbered(read_voxels(label), classes, label.path), first.frame
        for number, header in enumerate(images):
            names = "channel 0", f"channel {number}"
            check_grids(first.path, first.grid, header.path, header.grid, names, ONE_GRID)
            for voxels in _writable(read_voxels(header), header.path).reshape(-1, *first.grid.shape):
                yield voxels, first.frame


def _change(file: RecordedFile) -> str | None:
    """What has become of a source since it was preprocessed; None if it is as it was."""
    try:
        status = Path(file.path).stat()
    except OSError as error:
        return f"{file.path} cannot be found ({error.strerror})"
    return None if file.fits(status) else f"{file.path} has changed since it was preprocessed; `run` does it again"


def _writable(voxels: NDArray[Any], path: Path) -> NDArray[Any]:
    """The same numbers in 32 bits, where they are whole ones of 64, which few programs read.

    Raises
    ------
    VoxelError
        If 32 bits do not hold them.
    """
    if voxels.dtype.kind == "f" or voxels.dtype.itemsize < 8:
        return voxels
    low, high = int(voxels.min()), int(voxels.max())
    for dtype in (np.int32, np.uint32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return voxels.astype(dtype)
    raise VoxelError(path, f"holds whole numbers from {low} to {high}, which 32 bits do not hold; convert it to floats")


def numbered(label: NDArray[Any], classes: Sequence[int], path: Path) -> NDArray[Any]:
    """A label whose classes are numbered from 1 without gaps; all that is not positive is the background, 0.

    Parameters
    ----------
    label
        ``(D, H, W)``, any real type; fractions are rounded.
    classes
        In ascending order.
    path
        For the error.

    Raises
    ------
    LabelError
        If it holds another class.
    """
    known = np.array([0, *classes])
    result = np.empty(label.shape, np.uint8 if len(known) <= 256 else np.uint16)
    for plane, numbers in zip(label, result, strict=True):
        values = np.maximum(np.rint(plane), 0)
        numbers[...] = places = np.searchsorted(known, values).clip(max=len(known) - 1)
        if (wrong := values[known[places] != values]).size:
            raise LabelError(path, f"holds the class {wrong[0]:g}, which its record does not name; run again")
    return result
