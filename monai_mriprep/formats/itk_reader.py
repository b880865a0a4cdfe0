"""What ITK reads in our place, and a second time beside us.

ITK is imported here alone, and only where a file needs it: the import and its first image cost three seconds. Its
answer is held against the header, because ITK itself takes a missing slice for a wider gap, and a short list of files
for whatever lies in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import HeaderError, VolumeError, VoxelError
from monai_mriprep.formats.header import (
    Frame,
    Header,
    LibraryBody,
    build_header,
    regular_file_size,
    three_sizes,
    world_affine,
)
from monai_mriprep.volume.geometry import LPS_TO_RAS, Grid, reverse_axes, same_grid_problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Information", "information", "itk_or", "read_analyze", "read_image", "read_voxels"]

PIXELS = {"i1": "SS", "u1": "UC", "i2": "SS", "u2": "US", "i4": "SI", "u4": "UI", "f4": "F", "f8": "D"} | dict.fromkeys(
    ("i8", "u8"), "ULL"
)
"""The ITK type to read a number type as. Python's ITK lacks two: signed bytes fit into shorts, and signed 64-bit
numbers go through the unsigned ones and back, bit for bit."""


COMPONENTS = {
    "char": "i1",
    "unsigned_char": "u1",
    "short": "i2",
    "unsigned_short": "u2",
    "int": "i4",
    "unsigned_int": "u4",
    "long": "l",
    "unsigned_long": "L",
    "long_long": "i8",
    "unsigned_long_long": "u8",
    "float": "f4",
    "double": "f8",
}


TEXT_TOLERANCE = 1e-6
"""Relative, between a number as text and as float32."""


@dataclass(frozen=True)
class Information:
    """What ITK says of a file without its voxels: sizes, spacing and origin x y z, and the axes' directions, in LPS."""

    path: Path
    sizes: tuple[int, int, int]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]
    dtype: np.dtype[np.generic]


def information(io: Any, path: Path) -> Information:
    """Ask one of ITK's readers, without its voxels.

    Raises
    ------
    HeaderError
        If the file is not one volume of one number a voxel.
    """
    io.SetFileName(str(path))
    io.ReadImageInformation()
    count = io.GetNumberOfDimensions()
    if io.GetNumberOfComponents() != 1:
        problem = f"{io.GetNumberOfComponents()} numbers a voxel (RGB or vectors); one is expected"
        raise HeaderError(path, problem)
    kind = io.GetComponentTypeAsString(io.GetComponentType())
    if kind not in COMPONENTS:
        raise HeaderError(path, f"ITK reads voxels of type {kind}; integers or real numbers are expected")
    return Information(
        path,
        three_sizes(path, [io.GetDimensions(axis) for axis in range(count)]),
        tuple(io.GetSpacing(axis) for axis in range(3)),
        tuple(io.GetOrigin(axis) for axis in range(3)),
        tuple(tuple(io.GetDirection(axis)[:3]) for axis in range(3)),
        np.dtype(COMPONENTS[kind]),
    )


def read_analyze(path: Path, data: Path) -> Header:
    """Read the header of an Analyze 7.5 volume, whose voxels lie in `data`.

    The format does not say how a volume lies; ITK takes its axes for left, posterior and superior.

    Raises
    ------
    HeaderError
        If ITK cannot, or the header is not that of a scan.
    """
    body = LibraryBody("itk", (data,), regular_file_size(data))
    with itk_or(HeaderError, path) as itk:
        found = information(itk.NiftiImageIO.New(), path)
    affine = LPS_TO_RAS @ world_affine(path, found.axes, found.spacing, found.origin)
    frame = Frame.of_lps(found.axes, found.spacing, found.origin)
    return build_header(path, found.sizes, affine, found.dtype, body, frame=frame)


def read_voxels(header: Header) -> NDArray[Any]:
    """Let ITK decode what a header of ours describes.

    Parameters
    ----------
    header
        Of any volume that ITK can read.

    Returns
    -------
    array of shape (z, y, x)
        Of type `Header.value_dtype`.

    Raises
    ------
    VoxelError
        If ITK cannot, or finds another volume than the header describes.
    """
    array, grid = read_image(header.body.files if header.path.is_dir() else header.path, header.value_dtype)
    problem = same_grid_problem(header.grid, grid)
    if problem is not None:
        differs = f"ITK reads another {problem} than the header states:\n  ITK    {grid}\n  header {header.grid}"
        raise VoxelError(header.path, differs)
    if isinstance(header.body, LibraryBody) and header.body.text_at is not None:
        _compare_text(header.path, array, header.body.files[0], header.body.text_at)
    return array


def _compare_text(path: Path, array: NDArray[Any], file: Path, start: int) -> None:
    """Refuse text that ITK reads as other numbers, or does not read to its end.

    It wraps round what the type cannot hold, and takes of ``1e+18`` the 1 where the type is whole.
    """
    text = file.read_bytes()[start:].replace(b",", b" ")
    try:
        written = np.fromstring(text, np.float64, sep=" ")
    except ValueError as error:
        raise VoxelError(path, f"its text holds something that is no number: {error}; save it as binary") from error
    if written.size != array.size:
        raise VoxelError(path, f"the header claims {array.size} numbers, the text holds {written.size} numbers")
    off = ~np.isclose(written, array.ravel().astype(np.float64), rtol=TEXT_TOLERANCE, atol=0, equal_nan=True)
    if off.any():
        first = int(off.argmax())
        found = f"{written[first]:g} is written, ITK reads {array.flat[first]} as {array.dtype}"
        raise VoxelError(path, f"{found}; save the volume as binary")


def read_image(source: Path | Sequence[Path], dtype: np.dtype[np.generic]) -> tuple[NDArray[Any], Grid]:
    """Let ITK read a volume: voxels (z, y, x) as `dtype`, and where they lie.

    Parameters
    ----------
    source
        A file, or the slices of a series in order.
    dtype
        Of the values; what the file holds is cast to it.

    Raises
    ------
    VoxelError
        If ITK cannot.
    """
    first, *_ = [source] if isinstance(source, Path) else source
    with itk_or(VoxelError, first) as itk:
        image_type = itk.Image[getattr(itk, PIXELS[dtype.str[1:]]), 3]
        if isinstance(source, Path):
            reader = itk.ImageFileReader[image_type].New(FileName=str(source))
        else:
            reader = itk.ImageSeriesReader[image_type].New(FileNames=[str(path) for path in source])
        reader.Update()
        image = reader.GetOutput()
        array: NDArray[Any] = itk.array_from_image(image).astype(dtype, copy=False)
        axes = itk.array_from_matrix(image.GetDirection()).T
        affine = LPS_TO_RAS @ world_affine(first, axes, list(image.GetSpacing()), list(image.GetOrigin()))
    z, y, x = array.shape
    return array, Grid((z, y, x), reverse_axes(affine))


@contextmanager
def itk_or(kind: type[VolumeError], path: Path) -> Iterator[Any]:
    """Import ITK, without its warnings; what it raises becomes an error of ours that names the file."""
    import itk

    shown = itk.ProcessObject.GetGlobalWarningDisplay()
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield itk
    except RuntimeError as error:
        raise kind(path, f"ITK cannot read it: {_in_short(str(error))}") from error
    finally:
        itk.ProcessObject.SetGlobalWarningDisplay(shown)


def _in_short(message: str) -> str:
    """What ITK says, without the places in its source and in memory."""
    said = message.rpartition("ITK ERROR: ")[2] or message
    return " ".join(re.sub(r"\(0x[0-9a-f]+\)", "", said).split())
