"""One file of each kind is read a second time, by ITK, as a check of this package's own readers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import VolumeError
from monai_mriprep.formats import itk_reader
from monai_mriprep.formats.header import Body, Header
from monai_mriprep.formats.names import stem
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import Grid, same_grid_problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SecondReading", "read_again"]

AXIS_TOLERANCE = 1e-3
"""An axis is straight if its direction cosines are this close to 0 and 1."""
SCALED_TOLERANCE = 1e-6
"""Share of the largest value: both readers round scaled values once, but from different sums."""


@dataclass(frozen=True)
class SecondReading:
    """The result of the comparison.

    Parameters
    ----------
    kinds
        Number of kinds of file: of format, number type, byte order, compression, scaling and orientation.
    compared
        Number of kinds of which a file was read twice.
    unread
        A sentence for each other kind: what ITK cannot read, and why.
    problems
        By file, how ITK's reading differs.
    warnings
        By NIfTI file, if ITK places it elsewhere because it prefers another of sform, qform and pixdim.
    """

    kinds: int
    compared: int
    unread: tuple[str, ...] = ()
    problems: Mapping[Path, str] = field(default_factory=dict)
    warnings: Mapping[Path, str] = field(default_factory=dict)


def read_again(headers: Iterable[Header], max_bytes: int) -> SecondReading:
    """Read the smallest file of each kind twice.

    Parameters
    ----------
    headers
        Of all files. Those that a library decodes anyway are left out.
    max_bytes
        Larger files (in bytes of voxels) are left out.
    """
    by_kind: dict[tuple[object, ...], list[Header]] = defaultdict(list)
    for header in headers:
        if isinstance(header.body, Body) and header.nbytes <= max_bytes:
            by_kind[_kind(header, header.body)].append(header)
    unread: list[str] = []
    problems: dict[Path, str] = {}
    warnings: dict[Path, str] = {}
    for alike in by_kind.values():
        smallest = min(alike, key=lambda header: header.nbytes)
        try:
            values, grid = itk_reader.read_image(smallest.path, smallest.value_dtype, smallest.channels)
            voxels = read_voxels(smallest)
        except VolumeError as error:
            unread.append(str(error))
            continue
        if difference := _difference(smallest, voxels, values):
            problems[smallest.path] = difference
        if misplaced := _misplaced(smallest, grid):
            (warnings if _is_nifti(smallest) else problems).setdefault(smallest.path, misplaced)
    return SecondReading(len(by_kind), len(by_kind) - len(unread), tuple(unread), problems, warnings)


def _kind(header: Header, body: Body) -> tuple[object, ...]:
    suffix, is_one = header.path.name[len(stem(header.path)) :].lower(), header.channels == 1
    stored = header.dtype.str, body.encoding, body.path == header.path, header.scaled, is_one
    return suffix, *stored, _orientation(header.grid)


def _orientation(grid: Grid) -> tuple[object, ...]:
    """The nearest world axis of each array axis, its sign, and whether the volume is oblique."""
    cosines = grid.direction
    nearest = np.abs(cosines).argmax(axis=0)
    signs = np.sign(cosines[nearest, range(3)])
    oblique = np.abs(np.abs(cosines) - np.abs(cosines).round()).max() > AXIS_TOLERANCE
    return (*nearest.tolist(), *signs.tolist(), bool(oblique))


def _difference(header: Header, voxels: NDArray[Any], values: NDArray[Any]) -> str | None:
    if voxels.shape != values.shape:
        return (
            f"{header.path}: ITK reads {values.shape} voxels (z y x), this package {voxels.shape}; tell us of this file"
        )
    differ = voxels != values
    if header.scaled:
        differ = np.abs(voxels - values) > SCALED_TOLERANCE * np.abs(values).max()
    if not differ.any():
        return None
    first = tuple(int(index) for index in np.argwhere(differ)[0])
    return (
        f"{header.path}: ITK reads other values in {np.count_nonzero(differ)} of {differ.size} voxels, at {first} "
        f"({'channel ' if voxels.ndim > 3 else ''}z y x) {values[first]} in place of {voxels[first]}; trust neither, "
        "and report this file"
    )


def _misplaced(header: Header, grid: Grid) -> str | None:
    problem = same_grid_problem(header.grid, grid)
    if problem is None:
        return None
    rule = "; here the sform counts before the qform, as in nibabel and MONAI" if _is_nifti(header) else ""
    return f"{header.path}: ITK reads another {problem}{rule}\n  here {header.grid}\n  ITK  {grid}"


def _is_nifti(header: Header) -> bool:
    return header.path.name.lower().endswith((".nii", ".nii.gz", ".hdr"))
