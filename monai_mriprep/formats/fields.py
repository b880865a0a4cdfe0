"""What the headers of several formats have in common: sizes, numbers, axes, and the files that they name.

All of it is untrusted input; nothing that a header names is opened here.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_mriprep.errors import HeaderError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "compose_affine",
    "parse_numbers",
    "regular_file_size",
    "sibling_file",
    "slice_file_names",
    "volume_sizes",
]

UNIT_LENGTH_TOLERANCE = 1e-2
"""Largest deviation of a direction vector from length 1; beyond it the spacing is ambiguous."""


def regular_file_size(path: Path) -> int:
    """Size in bytes of a regular, non-empty file. The file is not opened, so that a pipe or device cannot block.

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


def sibling_file(header: Path, key: str, name: str) -> Path:
    """Find a file that a header names. Only files of the header's own folder are accepted.

    If the header is a link, the folder that it points into counts as its own, too. The name may hold blanks and start
    with ``./``; programs write both.

    Raises
    ------
    HeaderError
        If the name leads to another folder, or is a link that cannot be followed. A missing file is no error here.
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


def slice_file_names(header: Path, key: str, pattern: str) -> list[str]:
    """Expand a pattern of file names, one file a slice, of MetaImage and NRRD: ``slice%03d.raw first last step``.

    Raises
    ------
    HeaderError
        If the pattern is malformed, or matches no name.
    """
    found = re.fullmatch(r"([^%\s]*)%(0?[1-9]?)d([^%\s]*) (\d{1,6}) (\d{1,6}) ([1-9]\d{0,5})( 2)?", pattern)
    if found is None or int(found[4]) > int(found[5]):
        raise HeaderError(header, f"{key} = {pattern[:80]!r}; a pattern reads: slice%03d.raw first last step")
    before, width, after, first, last, step, _ = found.groups()
    return [f"{before}{number:{width}d}{after}" for number in range(int(first), int(last) + 1, int(step))]


def volume_sizes(path: Path, sizes: Sequence[int], channels: int = 1) -> tuple[int, int, int]:
    """Sizes x y z of a volume. Dimensions beyond those that are expected must have size 1, and are dropped.

    Parameters
    ----------
    path
        The header's file.
    sizes
        Of all dimensions, the fastest first.
    channels
        How many volumes are expected: the size of the fourth dimension.

    Raises
    ------
    HeaderError
        If a size is not positive, there are not three dimensions, or another number of volumes.
    """
    shown = " x ".join(map(str, sizes))
    if any(size < 1 for size in sizes):
        raise HeaderError(path, f"the size is {shown}; every size must be at least 1")
    volumes, *further = (*sizes[3:], 1)
    if len(sizes) < 3 or volumes != channels or math.prod(further) > 1:
        expected = "one 3-D volume is" if channels == 1 else f"{channels} 3-D volumes, a channel each, are"
        raise HeaderError(
            path, f"{len(sizes)} dimensions ({shown} voxels); {expected} expected: {_remedy(sizes, channels)}"
        )
    return sizes[0], sizes[1], sizes[2]


def _remedy(sizes: Sequence[int], channels: int) -> str:
    """What to do about dimensions that are not those of so many channels."""
    if len(sizes) < 3:
        return "store the slices as one volume"
    split, key = "split the series, one file per volume", "`--channels NAME,NAME,...` (the recipe's key `channels`)"
    if math.prod(sizes[4:]) > 1:
        return split
    if channels > 1:
        return f"{key} names so many: a file holds them all, or there is one for each, whose name ends in the channel's"
    return f"{split}; or, of an image, name its {sizes[3]} volumes: {key}"


def parse_numbers(path: Path, key: str, text: str, count: int) -> list[float]:
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


def compose_affine(
    path: Path, axes: Iterable[Sequence[float]], spacing: Sequence[float], origin: Sequence[float]
) -> NDArray[np.float64]:
    """Compose a 4 x 4 affine from unit vectors along the axes, spacing and origin, all in the order x y z.

    Raises
    ------
    HeaderError
        If a spacing is not positive, or a vector does not have length 1.
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
