"""What a header says of its volume, and the checks that every header must pass.

A header is untrusted input. Every number in it is checked here, once for all formats, before memory is allocated for
the voxels. Nothing in this module reads a voxel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np

from monai_mriprep.errors import GeometryError, HeaderError
from monai_mriprep.formats.fields import regular_file_size
from monai_mriprep.types import Shape
from monai_mriprep.volume.geometry import LPS_TO_RAS, Grid, reverse_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "SPACING_RANGE_MM",
    "Body",
    "Encoding",
    "Frame",
    "Header",
    "LibraryBody",
    "Outline",
    "Reader",
    "checked_header",
]

Encoding = Literal["raw", "zlib", "gzip"]
Reader = Literal["built-in", "itk", "nibabel"]
"""Who decodes the voxels."""

DEFLATE_MAX_RATIO = 1032
"""The largest expansion of a deflate stream: 258 bytes for 2 bits (zlib's technical details)."""
DEFLATE_SLACK = 4096
"""Bytes added to that bound, so that it is never too tight for a short stream."""

SPACING_RANGE_MM = (1e-6, 1e4)
"""A spacing outside this range is not that of a scan, and a target size computed from it would be absurd."""
WORLD_LIMIT_MM = 1e7
"""No scan lies farther from the origin of its world (10 km)."""


@dataclass(frozen=True)
class Body:
    """Where the voxels are stored, for the decoder of this package.

    Parameters
    ----------
    path
        The file that holds them, which may be another than the header's.
    offset
        Where they begin in that file, in bytes.
    size
        Number of bytes stored from there on; of compressed data, the compressed bytes.
    encoding
        ``raw``, or the container of the deflate stream.
    skip
        Bytes to skip at the start of the decoded stream (a compressed NIfTI's header).
    """

    path: Path
    offset: int
    size: int
    encoding: Encoding
    skip: int = 0
    reader: ClassVar[Reader] = "built-in"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold voxels."""
        return (self.path,)

    @property
    def capacity(self) -> int:
        """The largest number of bytes of voxels that it can hold."""
        decoded = self.size if self.encoding == "raw" else DEFLATE_MAX_RATIO * self.size + DEFLATE_SLACK
        return decoded - self.skip

    @property
    def shown_size(self) -> str:
        """How many bytes are stored, in words, for messages."""
        compressed = "" if self.encoding == "raw" else "compressed "
        return f"{max(self.size, 0)} {compressed}bytes that are stored in {self.path.name!r}"


@dataclass(frozen=True)
class LibraryBody:
    """Voxels in an encoding that a library decodes, not this package.

    Parameters
    ----------
    reader
        The library.
    files
        Every file that holds voxels; each is a regular file.
    capacity
        The largest number of bytes of voxels that they can hold.
    text_offset
        Byte of the first file where the numbers begin, if they are written as text.
    streams
        The gzip streams among them. Their checksums are compared here, because the libraries do not.
    """

    reader: Reader
    files: tuple[Path, ...]
    capacity: int
    text_offset: int | None = None
    streams: tuple[Body, ...] = ()

    @classmethod
    def of_files(
        cls, reader: Reader, files: Iterable[Path], text_offset: int | None = None, streams: Iterable[Body] = ()
    ) -> LibraryBody:
        """Bound the capacity by the sizes of the files; no encoding expands more than deflate."""
        paths = tuple(files)
        capacity = sum(DEFLATE_MAX_RATIO * regular_file_size(path) + DEFLATE_SLACK for path in paths)
        return cls(reader, paths, capacity, text_offset, tuple(streams))

    @property
    def shown_size(self) -> str:
        """How many bytes are stored, in words, for messages."""
        total = min(self.capacity, sum(path.stat().st_size for path in self.files))
        return f"{total} bytes that are stored in {len(self.files)} file(s), the first {self.files[0].name!r},"


@dataclass(frozen=True)
class Frame:
    """Spacing, origin and direction with every digit that a file states.

    An affine is their product and may lose the last digit.

    Parameters
    ----------
    spacing
        Mm, z y x.
    origin
        Centre of voxel (0, 0, 0), mm, RAS+.
    direction
        3 rows of 3; column ``a`` is the unit vector of array axis ``a`` (z, y, x) in RAS+.
    """

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[tuple[float, ...], ...]

    @classmethod
    def of_grid(cls, grid: Grid) -> Frame:
        """Spacing, origin and direction of an affine, for files that state only that."""
        return cls(grid.spacing, tuple(grid.origin.tolist()), tuple(map(tuple, grid.direction.tolist())))

    @classmethod
    def of_lps(cls, axes: Iterable[Sequence[float]], spacing: Sequence[float], origin: Sequence[float]) -> Frame:
        """Convert from ITK's convention (axes x y z, world LPS). Signs and order change, digits do not."""
        to_ras = np.diag(LPS_TO_RAS)[:3]
        columns = np.asarray(list(axes), dtype=np.float64)[::-1].T * to_ras[:, None]
        return cls(
            tuple(map(float, spacing[::-1])), tuple((to_ras * origin).tolist()), tuple(map(tuple, columns.tolist()))
        )


class Outline(NamedTuple):
    """What planning needs of a header: little enough to be kept of every file of a large dataset.

    Parameters
    ----------
    shape
        Voxels along z, y, x.
    affine
        The bytes of its grid's affine, a fifth of what a `Grid` takes.
    dtype, scaled, reader, channels
        As in `Header`.
    """

    shape: Shape
    affine: bytes
    dtype: np.dtype[np.generic]
    scaled: bool = False
    reader: Reader = "built-in"
    channels: int = 1

    @classmethod
    def of(
        cls,
        grid: Grid,
        dtype: np.dtype[np.generic],
        scaled: bool = False,
        reader: Reader = "built-in",
        channels: int = 1,
    ) -> Outline:
        """The outline of a volume on a grid."""
        return cls(grid.shape, grid.affine.tobytes(), _shared(dtype), scaled, reader, channels)

    def sharing(self, other: Outline) -> Outline:
        """The same, with the shape and the affine of another in memory, where they are equal."""
        is_same = (self.shape, self.affine) == (other.shape, other.affine)
        return self._replace(shape=other.shape, affine=other.affine) if is_same else self

    @property
    def grid(self) -> Grid:
        """Where the volume lies."""
        return Grid(self.shape, np.frombuffer(self.affine).reshape(4, 4))

    @property
    def voxels(self) -> int:
        """Number of values: of voxels, in each channel."""
        return self.channels * math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded voxels, as stored."""
        return self.voxels * self.dtype.itemsize

    @property
    def value_dtype(self) -> np.dtype[np.generic]:
        """Type of the values that `read_voxels` gives, in native byte order."""
        return np.dtype(np.float32) if self.scaled else self.dtype.newbyteorder("=")


@lru_cache(maxsize=64)
def _shared(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """One object for all equal types; a type with a byte order is otherwise a new one in each header."""
    return dtype


@dataclass(frozen=True)
class Header:
    """Everything that is known of a volume before its voxels are read.

    Parameters
    ----------
    path
        The file that was asked for.
    grid
        Size and affine, z y x, RAS+.
    dtype
        Type as stored on disk, byte order included.
    body
        Where the voxels are, and who decodes them.
    slope, intercept
        A value is ``slope * stored + intercept`` (NIfTI only).
    stated_frame
        Spacing, origin and direction, where the file states them separately (MetaImage, DICOM, Analyze).
    channels
        Number of volumes on the grid, one after the other: the size of a fourth dimension.
    """

    path: Path
    grid: Grid
    dtype: np.dtype[np.generic]
    body: Body | LibraryBody
    slope: float = 1.0
    intercept: float = 0.0
    stated_frame: Frame | None = None
    channels: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the voxels as they are read: ``(D, H, W)``, or ``(C, D, H, W)`` of several channels."""
        return self.grid.shape if self.channels == 1 else (self.channels, *self.grid.shape)

    @property
    def frame(self) -> Frame:
        """Spacing, origin and direction: as the file states them, else those of the affine."""
        return self.stated_frame or Frame.of_grid(self.grid)

    @property
    def reader(self) -> Reader:
        """Who decodes the voxels: this package, or a library."""
        return self.body.reader

    @property
    def files(self) -> tuple[Path, ...]:
        """The file or folder that was asked for, then the other files that hold its voxels."""
        return tuple(dict.fromkeys((self.path, *self.body.files)))

    @property
    def outline(self) -> Outline:
        """What planning needs of it."""
        return Outline.of(self.grid, self.dtype, self.scaled, self.reader, self.channels)

    @property
    def voxels(self) -> int:
        """Number of values: of voxels, in each channel."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded voxels, as stored."""
        return self.voxels * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether a value differs from the stored number: there is a slope or an intercept."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def value_dtype(self) -> np.dtype[np.generic]:
        """Type of the values that `read_voxels` gives, in native byte order."""
        return self.outline.value_dtype


def checked_header(
    path: Path,
    sizes: tuple[int, int, int],
    affine: NDArray[np.float64],
    dtype: np.dtype[np.generic],
    body: Body | LibraryBody,
    scaling: tuple[float, float] = (1.0, 0.0),
    frame: Frame | None = None,
    channels: int = 1,
    spacing: Sequence[float] | None = None,
) -> Header:
    """Check what the reader of a format found, and return it as a `Header`.

    Parameters
    ----------
    path
        The header's file.
    sizes
        Voxels along x, y, z.
    affine
        Voxel index i, j, k (x, y, z) to RAS+ mm.
    dtype, body, scaling, frame, channels
        As in `Header`.
    spacing
        Mm, z y x, where a header without a frame states it beside its affine.

    Raises
    ------
    HeaderError
        If the geometry is not that of a scan, the file cannot hold that many voxels, or ITK would have to decode
        several channels.
    """
    grid = _checked_grid(path, sizes, affine, spacing if frame is None else frame.spacing)
    header = Header(path, grid, dtype, body, *scaling, frame, channels)
    if channels > 1 and header.reader == "itk":
        problem = f"{channels} channels as text, one file a slice, or in a space of its own; store each as a file"
        raise HeaderError(path, problem)
    claimed, shown = header.nbytes, " x ".join(map(str, (*sizes, channels)[: 3 + (channels > 1)]))
    if claimed > body.capacity:
        problem = (
            f"the header claims {shown} voxels of {dtype.name}, {claimed} bytes, which the {body.shown_size} "
            "cannot hold; the file is truncated or its header is wrong"
        )
        raise HeaderError(path, problem)
    return header


def _checked_grid(
    path: Path, sizes: tuple[int, int, int], affine: NDArray[np.float64], stated: Sequence[float] | None
) -> Grid:
    if not np.isfinite(affine).all() or np.abs(affine).max() > WORLD_LIMIT_MM:
        raise HeaderError(path, f"the affine is not finite, or not in millimetres: {affine.tolist()}")
    low, high = SPACING_RANGE_MM
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < low or spacing.max() > high:
        problem = f"the spacing is {spacing.tolist()} mm (x y z); from {low:g} to {high:g} mm is possible"
        raise HeaderError(path, problem)
    try:
        return Grid(sizes[::-1], reverse_axes(affine), None if stated is None else (stated[0], stated[1], stated[2]))
    except GeometryError as error:
        raise HeaderError(path, str(error)) from error
