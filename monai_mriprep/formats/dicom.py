"""A folder that holds one DICOM series: read by ITK (GDCM), under checks that ITK does not make.

ITK takes the distance of the first and the last slice, divided by their number, for the spacing, whatever lies between
them; so a series that lost a slice becomes a volume that is wrong without a word. Here every slice has to stand where
the volume's grid says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.header import Frame, Header, LibraryBody, build_header, world_affine
from monai_mriprep.formats.itk_reader import Information, information, itk_or
from monai_mriprep.volume.geometry import LPS_TO_RAS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_series"]

GAP_TOLERANCE = 0.01
"""Slices of a series may be this much of their distance nearer or farther: their positions are decimal text."""
SHEAR_TOLERANCE_MM = 0.01
"""Slices may be moved this far within their planes."""


def read_series(folder: Path) -> Header:
    """Read the headers of a folder that holds one DICOM series, a file for each slice.

    Raises
    ------
    HeaderError
        If it holds no series, several, or anything else; if a slice is missing, stands at the place of another, or is
        moved or turned against the others: ITK would take each for a volume.
    """
    with itk_or(HeaderError, folder) as itk:
        slices = [information(itk.GDCMImageIO.New(), path) for path in _one_series(itk, folder)]
    return _stacked(folder, slices)


def _one_series(itk: Any, folder: Path) -> Sequence[Path]:
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


def _stacked(folder: Path, slices: Sequence[Information]) -> Header:
    """One volume of the slices, by their positions."""
    normal = np.cross(np.array(slices[0].axes[0]), np.array(slices[0].axes[1]))
    slices = sorted(slices, key=lambda part: float(normal @ part.origin))
    first = slices[0]
    _require_alike(folder, first, slices)
    step = _slice_distance(folder, slices, normal)
    axes, spacing = (*first.axes[:2], tuple(normal.tolist())), (*first.spacing[:2], step)
    body = LibraryBody.of_files("itk", [part.path for part in slices])
    return build_header(
        folder,
        (*first.sizes[:2], len(slices)),
        LPS_TO_RAS @ world_affine(folder, axes, spacing, first.origin),
        np.result_type(*(part.dtype for part in slices)),
        body,
        frame=Frame.of_lps(axes, spacing, first.origin),
    )


def _require_alike(folder: Path, first: Information, slices: Sequence[Information]) -> None:
    """One file a slice, two at least, all of one size, spacing and direction."""
    if len(slices) < 2 or first.sizes[2] != 1:
        raise HeaderError(folder, f"{len(slices)} file of {first.sizes[2]} slices; a file for each slice is expected")
    for part in slices:
        if part.sizes != first.sizes or not np.allclose(part.spacing[:2], first.spacing[:2], rtol=1e-4):
            raise HeaderError(folder, f"{part.path.name} has another size or spacing than {first.path.name}")
        if not np.allclose(part.axes, first.axes, atol=1e-4):
            raise HeaderError(folder, f"{part.path.name} is turned against {first.path.name}; are these several scans?")


def _slice_distance(folder: Path, slices: Sequence[Information], normal: NDArray[np.float64]) -> float:
    """Distance of neighbouring slices, mm; that of all of them, or an error that names two."""
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
