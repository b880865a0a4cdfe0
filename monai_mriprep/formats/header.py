"""What a header claims, and whether the file can keep the promise.

A header is text from a stranger: every number in it is checked here, once for all formats, before a byte
is allocated. Nothing in this module reads a voxel.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

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
    "LibraryBody",
    "Reader",
    "beside",
    "build_header",
    "numbered_names",
    "numbers",
    "regular_file_size",
    "three_sizes",
    "world_affine",
]

Encoding = Literal["raw", "zlib", "gzip"]
Reader = Literal["built-in", "itk", "nibabel"]
"""Who decodes the voxels."""

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
    """Where the voxels are stored, for our own decoder.

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
    reader: ClassVar[Reader] = "built-in"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold voxels."""
        return (self.path,)

    @property
    def room(self) -> int:
        """The most bytes of voxels that it can hold."""
        decoded = self.size if self.encoding == "raw" else DEFLATE_MAX_RATIO * self.size + DEFLATE_SLACK
        return decoded - self.skip

    @property
    def stored(self) -> str:
        """What is there, for messages."""
        compressed = "" if self.encoding == "raw" else "compressed "
        return f"{max(self.size, 0)} {compressed}bytes that are stored in {self.path.name!r}"


@dataclass(frozen=True)
class LibraryBody:
    """Voxels that a library decodes, because our own decoder does not know how they are stored.

    Parameters
    ----------
    reader
        The library.
    files
        Every file that holds voxels, each found to be a regular one.
    room
        The most bytes of voxels that they can hold.
    text_at
        Where the first file's numbers begin, if they are written as text.
    streams
        The gzip streams among them, whose checksums no library looks at.
    """

    reader: Reader
    files: tuple[Path, ...]
    room: int
    text_at: int | None = None
    streams: tuple[Body, ...] = ()

    @classmethod
    def of_files(
        cls, reader: Reader, files: Iterable[Path], text_at: int | None = None, streams: Iterable[Body] = ()
    ) -> LibraryBody:
        """Bound by the sizes of the files, however the library decodes them: nothing expands more than deflate."""
        paths = tuple(files)
        room = sum(DEFLATE_MAX_RATIO * regular_file_size(path) + DEFLATE_SLACK for path in paths)
        return cls(reader, paths, room, text_at, tuple(streams))

    @property
    def stored(self) -> str:
        """What is there, for messages."""
        total = min(self.room, sum(path.stat().st_size for path in self.files))
        return f"{total} bytes that are stored in {len(self.files)} file(s), the first {self.files[0].name!r},"


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
        Where the voxels are, and who decodes them.
    slope, intercept
        A value is ``slope * stored + intercept`` (NIfTI only).
    stated_frame
        Spacing, origin and direction, where the file states them apart from each other (MetaImage only).
    """

    path: Path
    grid: Grid
    dtype: np.dtype[np.generic]
    body: Body | LibraryBody
    slope: float = 1.0
    intercept: float = 0.0
    stated_frame: Frame | None = None

    @property
    def frame(self) -> Frame:
        """Spacing, origin and direction, as the file states them if it does."""
        return self.stated_frame or Frame.of_grid(self.grid)

    @property
    def reader(self) -> Reader:
        """Who decodes the voxels: this package, or a library."""
        return self.body.reader

    @property
    def files(self) -> tuple[Path, ...]:
        """What the volume is made of: the file or folder that was asked for, then the others that hold voxels."""
        return tuple(dict.fromkeys((self.path, *self.body.files)))

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


def beside(header: Path, key: str, name: str) -> Path:
    """Find a file that a header names, in the header's own folder: a header never steers a read elsewhere.

    Where header and file are both links into another folder, that folder is the header's own, too. The name may hold
    blanks, and start with ``./``: programs write both every day.

    Raises
    ------
    HeaderError
        If the name is that of another folder's file, or cannot be followed. Whether the file exists is not asked.
    """
    name = name.removeprefix("./")
    if {"/", "\\", "\0"} & set(name) or name in {"", ".", ".."}:
        raise HeaderError(header, f"{key} = {name[:80]!r}; the name of a file in the same folder is expected")
    try:
        homes = header.parent.resolve(), header.resolve().parent
        path = next((home / name for home in homes if os.path.lexists(home / name)), homes[0] / name)
        inside = path.resolve().parent in homes
    except (OSError, RuntimeError, ValueError) as error:
        raise HeaderError(header, f"{key} = {name[:80]!r} cannot be followed: {error}") from error
    if not inside:
        raise HeaderError(header, f"{key} = {name[:80]!r} is a link out of the header's folder")
    return path


def numbered_names(header: Path, key: str, pattern: str) -> list[str]:
    """Names of the slices' files by a pattern of MetaImage and NRRD, ``slice%03d.raw first last step``.

    Raises
    ------
    HeaderError
        If it is another pattern, or one of no names.
    """
    found = re.fullmatch(r"([^%\s]*)%(0?[1-9]?)d([^%\s]*) (\d{1,6}) (\d{1,6}) ([1-9]\d{0,5})( 2)?", pattern)
    if found is None or int(found[4]) > int(found[5]):
        raise HeaderError(header, f"{key} = {pattern[:80]!r}; a pattern reads: slice%03d.raw first last step")
    before, width, after, first, last, step, _ = found.groups()
    return [f"{before}{number:{width}d}{after}" for number in range(int(first), int(last) + 1, int(step))]


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
    body: Body | LibraryBody,
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
    if claimed > body.room:
        problem = (
            f"the header claims {shown} voxels of {dtype.name}, {claimed} bytes, which the {body.stored} cannot hold; "
            "the file is truncated or its header is wrong"
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
