"""A folder that holds one DICOM series: ITK (GDCM) reads it, and the positions of its slices are checked here.

ITK divides the distance of the first and the last slice by their number, and takes the result for the spacing. So a
series that lost a slice becomes a wrong volume without a warning. Here every slice must lie where the grid of the
volume says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.fields import compose_affine
from monai_mriprep.formats.header import Frame, Header, LibraryBody, checked_header
from monai_mriprep.formats.itk_reader import ItkInformation, itk_raising, read_information
from monai_mriprep.volume.geometry import LPS_TO_RAS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_series"]

GAP_TOLERANCE = 0.01
"""Largest deviation of a slice distance, as a share of it. Positions are decimal text, so they are rounded."""
SHEAR_TOLERANCE_MM = 0.01
"""Largest shift of a slice within its plane."""


def read_series(folder: Path) -> Header:
    """Read the headers of a folder that holds one DICOM series, a file for each slice.

    Raises
    ------
    HeaderError
        If the folder holds no series, several, or other files. If a slice is missing, doubled, shifted or rotated: ITK
        itself would accept each of these.
    """
    with itk_raising(HeaderError, folder) as itk:
        slices = [read_information(itk.GDCMImageIO.New(), path) for path in _files_of_only_series(itk, folder)]
    return _stack_slices(folder, slices)


def _files_of_only_series(itk: Any, folder: Path) -> Sequence[Path]:
    """The files of the folder's only series."""
    finder = itk.GDCMSeriesFileNames.New(UseSeriesDetails=False, Recursive=False)
    finder.SetDirectory(str(folder))
    series = {uid: [Path(name) for name in finder.GetFileNames(uid)] for uid in finder.GetSeriesUIDs()}
    if len(series) != 1:
        held = ", ".join(f"{uid} ({len(files)} files)" for uid, files in series.items()) or "none"
        raise HeaderError(folder, f"a folder of one DICOM series is expected; it holds {len(series)}: {held}")
    (files,) = series.values()
    visible = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    others = sorted(visible - {file.name for file in files} - {"DICOMDIR"})
    if others:
        shown = ", ".join(map(repr, others[:5]))
        problem = f"{len(others)} of its files are no slices that ITK can read ({shown}); repair them or move them away"
        raise HeaderError(folder, problem)
    return files


def _stack_slices(folder: Path, slices: Sequence[ItkInformation]) -> Header:
    """Sort the slices by position, check them, and describe the volume that they form."""
    normal = np.cross(np.array(slices[0].axes[0]), np.array(slices[0].axes[1]))
    slices = sorted(slices, key=lambda part: float(normal @ part.origin))
    first = slices[0]
    _require_equal_slices(folder, first, slices)
    step = _slice_distance(folder, slices, normal)
    axes, spacing = (*first.axes[:2], tuple(normal.tolist())), (*first.spacing[:2], step)
    body = LibraryBody.of_files("itk", [part.path for part in slices])
    return checked_header(
        folder,
        (*first.sizes[:2], len(slices)),
        LPS_TO_RAS @ compose_affine(folder, axes, spacing, first.origin),
        np.result_type(*(part.dtype for part in slices)),
        body,
        frame=Frame.of_lps(axes, spacing, first.origin),
    )


def _require_equal_slices(folder: Path, first: ItkInformation, slices: Sequence[ItkInformation]) -> None:
    """Refuse fewer than two slices, several in a file, or different sizes, spacings or directions."""
    if len(slices) < 2 or first.sizes[2] != 1:
        raise HeaderError(folder, f"{len(slices)} file of {first.sizes[2]} slices; a file for each slice is expected")
    for part in slices:
        if part.sizes != first.sizes or not np.allclose(part.spacing[:2], first.spacing[:2], rtol=1e-4):
            raise HeaderError(folder, f"{part.path.name} has another size or spacing than {first.path.name}")
        if not np.allclose(part.axes, first.axes, atol=1e-4):
            raise HeaderError(folder, f"{part.path.name} is turned against {first.path.name}; are these several scans?")


def _slice_distance(folder: Path, slices: Sequence[ItkInformation], normal: NDArray[np.float64]) -> float:
    """The distance of neighbouring slices in mm, which must be the same for all; the error names the odd pair."""
    origins = np.array([part.origin for part in slices])
    depths = (origins - origins[0]) @ normal
    distances = np.diff(depths)
    mean = float(distances.mean())
    usual = float(np.median(distances))
    odd = int(np.abs(distances - usual).argmax())
    if usual <= 0 or abs(distances[odd] - usual) > GAP_TOLERANCE * usual:
        pair = f"{slices[odd].path.name} and {slices[odd + 1].path.name}"
        problem = f"{pair} are {distances[odd]:.4g} mm apart, others {usual:.4g} mm; is a slice missing or given twice?"
        raise HeaderError(folder, problem)
    aside = np.linalg.norm(origins - origins[0] - depths[:, None] * normal, axis=1)
    if aside.max() > SHEAR_TOLERANCE_MM:
        moved = slices[int(aside.argmax())].path.name
        raise HeaderError(
            folder, f"{moved} is moved by {aside.max():.4g} mm within its plane; a tilted stack is no grid"
        )
    return mean
