"""Predictions as people store them: arrays in z y x, or volumes whose headers say where they lie."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.errors import DatasetError, RecordError, ResamplingError
from monai_mriprep.formats import metaimage
from monai_mriprep.formats.header import regular_file_size
from monai_mriprep.formats.names import SUFFIXES, natural_key, stem
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.axes import Turn, turn_onto
from monai_mriprep.volume.geometry import Grid, reverse_axes, same_grid_problem

__all__ = ["list_predictions", "prediction_stem", "read_prediction"]

ARRAYS = (".npz", ".npy")

ARRAY_NAMES = ("arr_0", "probabilities")
"""What an ``.npz`` calls its array: numpy and this package, nnU-Net; any other name where there is only one."""

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
        If it does not fit the grid, or is not a readable array of real numbers; the caller adds the name of the file.
    VolumeError
        If a MetaImage or NRRD cannot be read.
    """
    name = path.name.lower()
    if name.endswith(ARRAYS):
        array = _read_array(path)
    elif name.endswith((".nii", ".nii.gz")):
        array = _with_axes_of(target, *_read_nifti(path))
    else:
        array = _with_axes_of(target, *_read_volume(path))
    _check(array, target)
    array = array[None] if array.ndim == 3 else array
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _read_array(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            content: Any = np.load(file, allow_pickle=False)
            array: NDArray[Any] = content if isinstance(content, np.ndarray) else content[_array_name(content.files)]
            return array
    except _DAMAGED as error:
        msg = f"not a readable array: {error}"
        raise RecordError(msg) from error


def _array_name(found: list[str]) -> str:
    names = [name for name in found if name != "spacing"]
    chosen = [name for name in ARRAY_NAMES if name in names] or names
    if not chosen or (len(names) > 1 and chosen is names):
        msg = f"it holds {', '.join(names) or 'none'}; one is expected, or one named {' or '.join(ARRAY_NAMES)}"
        raise ValueError(msg)
    return chosen[0]


def _read_nifti(path: Path) -> tuple[NDArray[Any], Grid]:
    """Channels may be the fourth dimension (MONAI, FSL) or the fifth (NIfTI's own vectors)."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image: Any = nibabel.load(path)
        array = np.asanyarray(image.dataobj).T
        array = array[:, 0] if array.ndim == 5 and array.shape[1] == 1 else array
        if array.ndim not in (3, 4):
            msg = f"{array.ndim} dimensions; three are expected, and one for channels"
            raise ValueError(msg)
        z, y, x = array.shape[-3:]
        return array, Grid((z, y, x), reverse_axes(image.affine))
    except (*_DAMAGED, ImageFileError, HeaderDataError) as error:
        msg = f"not a readable NIfTI volume: {error}"
        raise RecordError(msg) from error


def _read_volume(path: Path) -> tuple[NDArray[Any], Grid]:
    is_metaimage = path.name.lower().endswith((".mha", ".mhd"))
    header = metaimage.read(path, regular_file_size(path), vectors=True) if is_metaimage else read_header(path)
    voxels = read_voxels(header)
    return np.moveaxis(voxels, -1, 0) if voxels.ndim == 4 else voxels, header.grid


def _with_axes_of(target: Grid, array: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """Turn the last three axes so that they run as those of `target`; the voxels must then coincide."""
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
    array = np.moveaxis(array, [axis - 3 for axis in turn.order], (-3, -2, -1))
    return np.flip(array, tuple(axis - 3 for axis in range(3) if turn.reverse[axis]))


def _check(array: NDArray[Any], target: Grid) -> None:
    if array.ndim not in (3, 4) or array.shape[-3:] != target.shape or not len(array):
        hint = " (it seems to be x y z)" if array.shape[-3:] == target.shape[::-1] else ""
        msg = f"its shape is {array.shape}{hint}; the record says {target.shape}, z y x, with channels before it"
        raise RecordError(msg)
    if array.dtype.kind not in "biuf":
        msg = f"holds {array.dtype}; integers, booleans or real numbers are expected"
        raise RecordError(msg)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        msg = "holds values that are not finite (nan or infinite): put numbers in their place, such as -1e4 in logits"
        raise RecordError(msg)
