"""Volumes that ITK reads: formats that this package does not decode, and a second reading to compare with.

ITK is imported only here, and only when a file needs it: the import and the first image take three seconds. What ITK
reads is compared with the header. On its own it takes a missing slice for a wider gap, and fills missing files with
arbitrary memory.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import HeaderError, VolumeError, VoxelError
from monai_mriprep.formats.fields import compose_affine, regular_file_size, volume_sizes
from monai_mriprep.formats.header import Frame, Header, LibraryBody, checked_header
from monai_mriprep.volume.geometry import LPS_TO_RAS, Grid, reverse_axes, same_grid_problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ItkInformation", "itk_raising", "read_analyze", "read_image", "read_information", "read_voxels"]

PIXELS = {"i1": "SS", "u1": "UC", "i2": "SS", "u2": "US", "i4": "SI", "u4": "UI", "f4": "F", "f8": "D"} | dict.fromkeys(
    ("i8", "u8"), "ULL"
)
"""The ITK pixel type to read a number type as. Python's ITK lacks two of them: signed bytes are read as shorts, and
signed 64-bit numbers as unsigned ones, which keep every bit."""


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
"""Relative difference between a number as text and as float32."""


@dataclass(frozen=True)
class ItkInformation:
    """What ITK says of a file without reading its voxels: sizes, spacing, origin and axes, all x y z, in LPS."""

    path: Path
    sizes: tuple[int, int, int]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]
    dtype: np.dtype[np.generic]


def read_information(io: Any, path: Path) -> ItkInformation:
    """Ask one of ITK's readers about a file; no voxel is read.

    Raises
    ------
    HeaderError
        If the file is not one 3-D volume with one number a voxel.
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
    return ItkInformation(
        path,
        volume_sizes(path, [io.GetDimensions(axis) for axis in range(count)]),
        tuple(io.GetSpacing(axis) for axis in range(3)),
        tuple(io.GetOrigin(axis) for axis in range(3)),
        tuple(tuple(io.GetDirection(axis)[:3]) for axis in range(3)),
        np.dtype(COMPONENTS[kind]),
    )


def read_analyze(path: Path, data: Path) -> Header:
    """Read the header of an Analyze 7.5 volume whose voxels are in the file `data`.

    The format does not state the orientation; it is taken for LPS, as ITK does.

    Raises
    ------
    HeaderError
        If ITK cannot, or the header is not that of a scan.
    """
    body = LibraryBody("itk", (data,), regular_file_size(data))
    with itk_raising(HeaderError, path) as itk:
        found = read_information(itk.NiftiImageIO.New(), path)
    affine = LPS_TO_RAS @ compose_affine(path, found.axes, found.spacing, found.origin)
    frame = Frame.of_lps(found.axes, found.spacing, found.origin)
    return checked_header(path, found.sizes, affine, found.dtype, body, frame=frame)


def read_voxels(header: Header) -> NDArray[Any]:
    """Let ITK decode the voxels that a header describes.

    Parameters
    ----------
    header
        Of any volume that ITK can read.

    Returns
    -------
    array of shape (z, y, x), or (channel, z, y, x) of several
        Of type `Header.value_dtype`.

    Raises
    ------
    VoxelError
        If ITK cannot read it, or reads another geometry than the header states.
    """
    source = header.body.files if header.path.is_dir() else header.path
    array, grid = read_image(source, header.value_dtype, header.channels)
    problem = same_grid_problem(header.grid, grid)
    if problem is not None:
        differs = f"ITK reads another {problem} than the header states:\n  ITK    {grid}\n  header {header.grid}"
        raise VoxelError(header.path, differs)
    if isinstance(header.body, LibraryBody) and header.body.text_offset is not None:
        _compare_text(header.path, array, header.body.files[0], header.body.text_offset)
    return array


def _compare_text(path: Path, array: NDArray[Any], file: Path, start: int) -> None:
    """Refuse voxels as text that ITK misreads.

    ITK wraps numbers that the type cannot hold, and reads ``1e+18`` as 1 where the type is an integer.
    """
    text = file.read_bytes()[start:].replace(b",", b" ")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # all that numpy has to say of it before 2.3
            written = np.fromstring(text, np.float64, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        raise VoxelError(path, f"its text holds something that is no number: {error}; save it as binary") from error
    if written.size != array.size:
        raise VoxelError(path, f"the header claims {array.size} numbers, the text holds {written.size} numbers")
    off = ~np.isclose(written, array.ravel().astype(np.float64), rtol=TEXT_TOLERANCE, atol=0, equal_nan=True)
    if off.any():
        first = int(off.argmax())
        found = f"{written[first]:g} is written, ITK reads {array.flat[first]} as {array.dtype}"
        raise VoxelError(path, f"{found}; save the volume as binary")


def read_image(
    source: Path | Sequence[Path], dtype: np.dtype[np.generic], channels: int = 1
) -> tuple[NDArray[Any], Grid]:
    """Let ITK read a volume: the voxels (z, y, x), or (channel, z, y, x), as `dtype`, and their grid.

    Parameters
    ----------
    source
        A file, or the slices of a series in order.
    dtype
        Type of the returned values; those of the file are cast to it.
    channels
        Where there are several, the file is read as an image of four dimensions.

    Raises
    ------
    VoxelError
        If ITK cannot.
    """
    first, *_ = [source] if isinstance(source, Path) else source
    with itk_raising(VoxelError, first) as itk:
        image_type = itk.Image[getattr(itk, PIXELS[dtype.str[1:]]), 3 if channels == 1 else 4]
        if isinstance(source, Path):
            reader = itk.ImageFileReader[image_type].New(FileName=str(source))
        else:
            reader = itk.ImageSeriesReader[image_type].New(FileNames=[str(path) for path in source])
        reader.Update()
        image = reader.GetOutput()
        array: NDArray[Any] = itk.array_from_image(image).astype(dtype, copy=False)
        axes = itk.array_from_matrix(image.GetDirection()).T[:3, :3]
        affine = LPS_TO_RAS @ compose_affine(first, axes, list(image.GetSpacing())[:3], list(image.GetOrigin())[:3])
    z, y, x = array.shape[-3:]
    return array, Grid((z, y, x), reverse_axes(affine))


_ONE_THREAD = threading.RLock()
"""Held while ITK works: whether it shows warnings is said for all threads. It holds Python's lock anyhow."""


@contextmanager
def itk_raising(kind: type[VolumeError], path: Path) -> Iterator[Any]:
    """Import ITK with its warnings off, for one thread at a time. Its errors become a `kind` that names the file."""
    import itk

    with _ONE_THREAD:
        shown = itk.ProcessObject.GetGlobalWarningDisplay()
        itk.ProcessObject.SetGlobalWarningDisplay(False)
        try:
            yield itk
        except RuntimeError as error:
            raise kind(path, f"ITK cannot read it: {_shortened(str(error))}") from error
        finally:
            itk.ProcessObject.SetGlobalWarningDisplay(shown)


def _shortened(message: str) -> str:
    """The message of an ITK error, without source locations and memory addresses."""
    said = message.rpartition("ITK ERROR: ")[2] or message
    return " ".join(re.sub(r"\(0x[0-9a-f]+\)", "", said).split())
