"""Predictions as people store them: arrays in z y x, or volumes whose headers say where they lie."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.errors import DatasetError, RecordError, ResamplingError
from monai_mriprep.formats import metaimage, nifti
from monai_mriprep.formats.fields import regular_file_size
from monai_mriprep.formats.names import SUFFIXES, natural_key, stem
from monai_mriprep.formats.npy import read_npy_header
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.run.estimates import shown_bytes
from monai_mriprep.run.memory import available_memory
from monai_mriprep.volume.axes import Turn, turn_onto
from monai_mriprep.volume.geometry import Grid, reverse_axes, same_grid_problem

__all__ = ["list_predictions", "prediction_stem", "read_prediction"]

ARRAYS = (".npz", ".npy")

ARRAY_NAMES = ("arr_0", "probabilities")
"""What an ``.npz`` calls its array: numpy and this package, nnU-Net; any other name where there is only one."""

HEADER_BYTES = 1 << 16
"""Where the header of an ``.npy`` ends; numpy takes one of 10,000 characters at the most."""
NIFTI_HEADER_BYTES = 1 << 24
"""Where the voxels of a NIfTI volume begin, extensions of its header included."""

_DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, MemoryError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What numpy and nibabel raise for a file that is damaged or something else."""


def list_predictions(folder: str | Path) -> tuple[Path, ...]:
    """Arrays and volumes in a folder, in natural order; hidden files, subfolders and anything else are skipped.

    Parameters
    ----------
    folder
        Or a single file.

    Raises
    ------
    DatasetError
        If there is none.
    """
    folder = Path(folder)
    if folder.is_file():
        return (folder,)
    try:
        paths = [path for path in folder.iterdir() if _is_prediction(path)]
    except OSError as error:
        msg = f"{folder}: the predictions cannot be listed ({error.strerror})"
        raise DatasetError(msg) from error
    if not paths:
        msg = f"{folder}: holds no prediction; files that end in {', '.join(ARRAYS + SUFFIXES)} are looked for"
        raise DatasetError(msg)
    return tuple(sorted(paths, key=lambda path: natural_key(path.name)))


def _is_prediction(path: Path) -> bool:
    return path.name.lower().endswith(ARRAYS + SUFFIXES) and not path.name.startswith(".") and path.is_file()


def prediction_stem(path: Path) -> str:
    """File name without the suffix of an array or a volume."""
    return path.name[:-4] if path.name.lower().endswith(ARRAYS) else stem(path)


def read_prediction(path: Path, target: Grid) -> NDArray[Any]:
    """Read a prediction onto the grid that it was made on.

    Parameters
    ----------
    path
        An array is z y x, with channels before that if there are any. A volume lies where its header says; its axes
        may have another order or sense, as in a file that MONAI's `SaveImage` has written.
    target
        The grid.

    Returns
    -------
    array of shape (C, D, H, W)
        C-contiguous, native byte order.

    Raises
    ------
    RecordError
        If it does not fit the grid or the memory, which its header decides before a value is read; or is not a readable
        array of real numbers. The caller adds the name of the file.
    VolumeError
        If a MetaImage or NRRD cannot be read.
    """
    name = path.name.lower()
    if name.endswith(ARRAYS):
        array = _read_array(path, target)
    elif name.endswith((".nii", ".nii.gz")):
        array = _read_nifti(path, target)
    else:
        array = _read_volume(path, target)
    _require_finite(array)
    array = array[None] if array.ndim == 3 else array
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _read_array(path: Path, target: Grid) -> NDArray[Any]:
    """An ``.npy`` or the array of an ``.npz``, which numpy tells apart by their first bytes."""
    try:
        with path.open("rb") as file:
            is_archive, size = file.read(2) == b"PK", path.stat().st_size
            file.seek(0)
            return _from_archive(file, target) if is_archive else _from_stream(file, size, target)
    except _DAMAGED as error:
        msg = f"not a readable array: {error}"
        raise RecordError(msg) from error


def _from_archive(file: BinaryIO, target: Grid) -> NDArray[Any]:
    with zipfile.ZipFile(file) as archive:
        entries = {name.removesuffix(".npy"): archive.getinfo(name) for name in archive.namelist()}
        entry = entries[_array_name(list(entries))]
        with archive.open(entry) as stream:
            return _from_stream(stream, entry.file_size, target)


def _from_stream(stream: IO[bytes], size: int, target: Grid) -> NDArray[Any]:
    """Read an array of `size` bytes, once its header is known to be that of a prediction on the target."""
    shape, dtype, start = _declared(stream.read(HEADER_BYTES))
    _require_fit(shape, dtype, target)
    claimed = start + math.prod(shape) * dtype.itemsize
    if claimed > size:
        msg = f"its header claims {claimed} bytes ({shape} of {dtype}), and it has {size}; it is truncated"
        raise RecordError(msg)
    stream.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _declared(head: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape and type of an array, and where its values begin, by the first bytes of an ``.npy``."""
    _, shape, dtype, _, start = read_npy_header(head)
    if dtype.hasobject:
        msg = "it holds Python objects, which are never read from a file"
        raise ValueError(msg)
    return shape, dtype, start


def _array_name(found: list[str]) -> str:
    names = [name for name in found if name != "spacing"]
    chosen = [name for name in ARRAY_NAMES if name in names] or names
    if not chosen or (len(names) > 1 and chosen is names):
        msg = f"it holds {', '.join(names) or 'none'}; one is expected, or one named {' or '.join(ARRAY_NAMES)}"
        raise ValueError(msg)
    return chosen[0]


def _read_nifti(path: Path, target: Grid) -> NDArray[Any]:
    """Channels may be the fourth dimension (MONAI, FSL) or the fifth (NIfTI's own vectors)."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        nifti.require_voxels_near(path, NIFTI_HEADER_BYTES)  # nibabel reads all that stands before them
        image: Any = nibabel.load(path)
        shape = tuple(reversed(image.shape))
        shape = (shape[0], *shape[2:]) if len(shape) == 5 and shape[1] == 1 else shape
        if len(shape) not in (3, 4):
            msg = f"{len(shape)} dimensions; three are expected, and one for channels"
            raise ValueError(msg)
        z, y, x = shape[-3:]
        turn = _turn_to(target, Grid((z, y, x), reverse_axes(image.affine)))
        scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
        _require_fit((*shape[:-3], *target.shape), np.dtype(float) if scaled else image.get_data_dtype(), target)
        return _turned(turn, np.asanyarray(image.dataobj).T.reshape(shape))
    except (*_DAMAGED, ImageFileError, HeaderDataError) as error:
        msg = f"not a readable NIfTI volume: {error}"
        raise RecordError(msg) from error


def _read_volume(path: Path, target: Grid) -> NDArray[Any]:
    is_metaimage = path.name.lower().endswith((".mha", ".mhd"))
    header = metaimage.read(path, regular_file_size(path), vectors=True) if is_metaimage else read_header(path)
    turn = _turn_to(target, header.grid)
    _require_fit((*header.dtype.shape, *target.shape), header.value_dtype.base, target)
    voxels = read_voxels(header)
    return _turned(turn, np.moveaxis(voxels, -1, 0) if voxels.ndim == 4 else voxels)


def _turn_to(target: Grid, grid: Grid) -> Turn:
    """How the axes must turn so that they run as those of `target`; the voxels must then coincide."""
    try:
        turn = turn_onto(grid.affine, target.affine)
    except ResamplingError:
        turn = Turn()  # no turn helps, and the comparison says why
    turned = turn.grid(grid)
    if (problem := same_grid_problem(target, turned)) is not None:
        msg = (
            f"its {problem} is not the recorded one:\n  prediction {turned}\n  target     {target}\n"
            "give it the geometry of the preprocessed image, or store an array (.npz, .npy), which needs none"
        )
        raise RecordError(msg)
    return turn


def _turned(turn: Turn, array: NDArray[Any]) -> NDArray[Any]:
    """The last three axes turned."""
    array = np.moveaxis(array, [axis - 3 for axis in turn.order], (-3, -2, -1))
    return np.flip(array, tuple(axis - 3 for axis in range(3) if turn.reverse[axis]))


def _require_fit(shape: tuple[int, ...], dtype: np.dtype[Any], target: Grid) -> None:
    """Refuse, before a value is read, what is not on the target, holds no numbers, or does not fit into the memory."""
    if len(shape) not in (3, 4) or shape[-3:] != target.shape or shape[0] < 1:
        hint = " (it seems to be x y z)" if shape[-3:] == target.shape[::-1] else ""
        msg = f"its shape is {shape}{hint}; the record says {target.shape}, z y x, with channels before it"
        raise RecordError(msg)
    if dtype.kind not in "biuf":
        msg = f"holds {dtype}; integers, booleans or real numbers are expected"
        raise RecordError(msg)
    claimed, free = math.prod(shape) * dtype.itemsize, available_memory()
    if claimed > free:
        msg = f"it claims {shown_bytes(claimed)} ({shape} of {dtype}), and {shown_bytes(free)} of memory may be used"
        raise RecordError(msg)


def _require_finite(array: NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not all(np.isfinite(part).all() for part in array):
        msg = "holds values that are not finite (nan or infinite): put numbers in their place, such as -1e4 in logits"
        raise RecordError(msg)
