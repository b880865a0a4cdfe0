"""What a header claims, and whether the file can keep the promise.

A header is text from a stranger: every number in it is checked here, once for all formats, before a byte
is allocated. Nothing in this module reads a voxel.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from monai_mriprep.errors import GeometryError, HeaderError
from monai_mriprep.volume.geometry import LPS_TO_RAS, Grid, reverse_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Body",
    "Encoding",
    "Frame",
    "Header",
    "build_header",
    "numbers",
    "regular_file_size",
    "three_sizes",
    "world_affine",
]

Encoding = Literal["raw", "zlib", "gzip"]

DEFLATE_MAX_RATIO = 1032
"""Deflate cannot expand more: 258 bytes for 2 bits (zlib's technical details)."""
DEFLATE_SLACK = 4096

SPACING_RANGE_MM = (1e-6, 1e4)
"""Voxels outside are no voxels of a scan; sizes derived from them would be absurd."""
WORLD_LIMIT_MM = 1e7
UNIT_LENGTH_TOLERANCE = 1e-2
"""A direction vector this far from unit length leaves open what the spacing is."""


@dataclass(frozen=True)
class Body:
    """Where the voxels are stored.

    Parameters
    ----------
    path
        The file that holds them; not always the header's.
    offset
        Bytes of that file before them.
    size
        Bytes stored from there on, compressed if they are.
    encoding
        ``raw``, or the container of the deflate stream.
    skip
        Bytes of the decoded stream before the first voxel.
    """

    path: Path
    offset: int
    size: int
    encoding: Encoding
    skip: int = 0


@dataclass(frozen=True)
class Frame:
    """Spacing, origin and direction as a file states them, every digit; their product, the affine, may lose the last.

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
        """What the affine says, where a file states nothing else."""
        return cls(grid.spacing, tuple(grid.origin.tolist()), tuple(map(tuple, grid.direction.tolist())))

    @classmethod
    def of_lps(cls, axes: Iterable[Sequence[float]], spacing: Sequence[float], origin: Sequence[float]) -> Frame:
        """ITK's terms, axes x y z and world LPS, to ours; signs and order change, no digit does."""
        to_ras = np.diag(LPS_TO_RAS)[:3]
        columns = np.asarray(list(axes), dtype=np.float64)[::-1].T * to_ras[:, None]
        return cls(
            tuple(map(float, spacing[::-1])), tuple((to_ras * origin).tolist()), tuple(map(tuple, columns.tolist()))
        )


@dataclass(frozen=True)
class Header:
    """Everything known about a volume without decoding a voxel.

    Parameters
    ----------
    path
        The file that was asked for.
    grid
        Size and affine, z y x, RAS+.
    dtype
        Type as stored on disk, byte order included.
    body
        Where the voxels are.
    slope, intercept
        A value is ``slope * stored + intercept`` (NIfTI only).
    stated_frame
        Spacing, origin and direction, where the file states them apart from each other (MetaImage only).
    """

    path: Path
    grid: Grid
    dtype: np.dtype[np.generic]
    body: Body
    slope: float = 1.0
    intercept: float = 0.0
    stated_frame: Frame | None = None

    @property
    def frame(self) -> Frame:
        """Spacing, origin and direction, as the file states them if it does."""
        return self.stated_frame or Frame.of_grid(self.grid)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.grid.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded voxels, as stored."""
        return self.voxels * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether stored values have to be scaled."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def value_dtype(self) -> np.dtype[np.generic]:
        """Type of the values that `read_voxels` gives, in native byte order."""
        return np.dtype(np.float32) if self.scaled else self.dtype.newbyteorder("=")


def regular_file_size(path: Path) -> int:
    """Bytes of a regular, non-empty file; it is not opened, so a pipe or device cannot block or feed us.

    Raises
    ------
    HeaderError
        If it is missing, a loop of links, empty, or anything but a regular file.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise HeaderError(path, f"the file cannot be found: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise HeaderError(path, "not a regular file (a folder, pipe or device); a volume must be one")
    if status.st_size == 0:
        raise HeaderError(path, "the file is empty (0 bytes); copy or export it again")
    return status.st_size


def three_sizes(path: Path, sizes: Sequence[int]) -> tuple[int, int, int]:
    """Sizes x y z of a 3-D volume; further dimensions of size 1 are dropped.

    Raises
    ------
    HeaderError
        If a size is not positive, or there are not three dimensions.
    """
    shown = " x ".join(map(str, sizes))
    if any(size < 1 for size in sizes):
        raise HeaderError(path, f"the size is {shown}; every size must be at least 1")
    if len(sizes) < 3 or any(size != 1 for size in sizes[3:]):
        remedy = "split the series, one file per volume" if len(sizes) > 3 else "store the slices as one volume"
        raise HeaderError(path, f"{len(sizes)} dimensions ({shown} voxels); one 3-D volume is expected: {remedy}")
    return sizes[0], sizes[1], sizes[2]


def numbers(path: Path, key: str, text: str, count: int) -> list[float]:
    """Parse the `count` finite numbers of a header field.

    Raises
    ------
    HeaderError
        If there are more or fewer, or one is not a finite number.
    """
    try:
        values = [float(token) for token in text.split()]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise HeaderError(path, f"{key} = {text[:80]!r}; {count} finite numbers are expected")
    return values


def world_affine(
    path: Path, axes: Iterable[Sequence[float]], spacing: Sequence[float], origin: Sequence[float]
) -> NDArray[np.float64]:
    """Build the 4 x 4 affine, x y z, of unit vectors along each axis, spacing and origin, all x y z.

    Raises
    ------
    HeaderError
        If a spacing is not positive, or a vector has not the length 1.
    """
    if min(spacing) <= 0:
        shown = " ".join(f"{value:g}" for value in spacing)
        raise HeaderError(path, f"the spacing is {shown} mm (x y z); every spacing must be positive")
    vectors = np.asarray(list(axes), dtype=np.float64)
    if np.abs(vectors).max() > 2 or np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > UNIT_LENGTH_TOLERANCE:
        raise HeaderError(path, f"the directions of the axes must have length 1; they are {vectors.tolist()}")
    affine = np.eye(4)
    affine[:3, :3] = vectors.T * np.asarray(spacing)
    affine[:3, 3] = origin
    return affine


def build_header(
    path: Path,
    sizes: tuple[int, int, int],
    affine: NDArray[np.float64],
    dtype: np.dtype[np.generic],
    body: Body,
    scaling: tuple[float, float] = (1.0, 0.0),
    frame: Frame | None = None,
) -> Header:
    """Check what a format's reader found, and freeze it.

    Parameters
    ----------
    path
        The header's file.
    sizes
        Voxels along x, y, z.
    affine
        Voxel index i, j, k (x, y, z) to RAS+ mm.
    dtype, body, scaling, frame
        As in `Header`.

    Raises
    ------
    HeaderError
        If the geometry is not that of a scan, or the file cannot hold that many voxels.
    """
    header = Header(path, _grid(path, sizes, affine), dtype, body, *scaling, frame)
    claimed, shown = header.nbytes, " x ".join(map(str, sizes))
    room = body.size if body.encoding == "raw" else DEFLATE_MAX_RATIO * body.size + DEFLATE_SLACK
    if claimed + body.skip > room:
        kind = "are stored" if body.encoding == "raw" else "compressed bytes are stored"
        problem = (
            f"the header claims {shown} voxels of {dtype.name}, {claimed} bytes, which the {max(body.size, 0)} bytes "
            f"that {kind} in {body.path.name!r} cannot hold; the file is truncated or its header is wrong"
        )
        raise HeaderError(path, problem)
    return header


def _grid(path: Path, sizes: tuple[int, int, int], affine: NDArray[np.float64]) -> Grid:
    if not np.isfinite(affine).all() or np.abs(affine).max() > WORLD_LIMIT_MM:
        raise HeaderError(path, f"the affine is not finite, or not in millimetres: {affine.tolist()}")
    low, high = SPACING_RANGE_MM
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < low or spacing.max() > high:
        problem = f"the spacing is {spacing.tolist()} mm (x y z); from {low:g} to {high:g} mm is possible"
        raise HeaderError(path, problem)
    try:
        return Grid(sizes[::-1], reverse_axes(affine))
    except GeometryError as error:
        raise HeaderError(path, str(error)) from error
