"""Which axes of its file a volume's array has: a mark, a declaration, or an error; never a guess."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.utils.enums import TraceKeys

from monai_mriprep.errors import MriprepWarning, ResamplingError
from monai_mriprep.transforms.tensors import has_place
from monai_mriprep.types import ArrayAxes
from monai_mriprep.volume.axes import Turn, turn_onto
from monai_mriprep.volume.geometry import Grid, reverse_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CACHES", "ZYX_AFFINE", "FileAxes", "check_array_axes", "file_axes"]

CACHES = "PersistentDataset and CacheNTransDataset hand out such tensors unless track_meta=True and weights_only=False"

ZYX_AFFINE = "zyx_affine"
"""In the metadata of what steps were applied to: the affine of its array in z y x, as they have left it. After an
orientation its columns are no longer the file's axes; ``original_affine`` stays the file's, for MONAI's `SaveImage`."""

READERS = {
    "ITKReader": {"spacing", "space", "spatial_shape", "original_channel_dim", "original_affine"},
    "NibabelReader": {"as_closest_canonical", "spatial_shape", "original_affine"},
}
"""What MONAI's readers leave in the metadata; both hand out x y z."""


@dataclass(frozen=True)
class FileAxes:
    """The axes of a volume's file, or those that an orientation has made of them.

    Parameters
    ----------
    array_axes
        In which order the loader handed them out: what the columns of `original_affine` are called.
    original_affine
        4 x 4, of the array as it was loaded, in RAS+ mm.
    zyx_affine
        4 x 4; its columns run along the axes that are called z, y, x.
    """

    array_axes: ArrayAxes
    original_affine: NDArray[np.float64]
    zyx_affine: NDArray[np.float64]

    @classmethod
    def of_file(cls, array_axes: ArrayAxes, affine: NDArray[np.float64]) -> FileAxes:
        """Those of an array as it was loaded."""
        return cls(array_axes, affine, affine if array_axes == "zyx" else reverse_axes(affine))

    def turn(self, grid: Grid) -> Turn:
        """From the axes that an array has now to z y x."""
        return turn_onto(grid.affine, self.zyx_affine)

    @property
    def as_loaded(self) -> Turn:
        """From z y x to the order in which the loader handed out the axes."""
        return Turn() if self.array_axes == "zyx" else Turn((2, 1, 0))

    @property
    def mark(self) -> dict[str, Any]:
        """For the metadata: strings and tensors, which can be collated."""
        return {"array_axes": self.array_axes, "original_affine": torch.from_numpy(self.original_affine.copy())}


def check_array_axes(array_axes: ArrayAxes | None) -> ArrayAxes | None:
    """Refuse what is not an order of axes.

    Raises
    ------
    ResamplingError
        If it is neither ``xyz`` nor ``zyx``, nor left out.
    """
    if array_axes is not None and array_axes not in get_args(ArrayAxes):
        msg = f"array_axes must be xyz or zyx, not {array_axes!r}"
        raise ResamplingError(msg)
    return array_axes


def file_axes(volume: torch.Tensor, name: str, declared: ArrayAxes | None) -> FileAxes:
    """What is known of the axes.

    Parameters
    ----------
    volume
        ``(C, ...)``. Our loaders mark theirs, ``meta["array_axes"]``.
    name
        What to call it in a message.
    declared
        The order in which the loader handed them out, for a volume without the mark.

    Raises
    ------
    ResamplingError
        If there is neither mark nor declaration, or the two contradict each other or what MONAI's readers do; or if
        the array was transposed without its affine.

    Warns
    -----
    MriprepWarning
        If the volume is a plain tensor, whose voxels are taken to be of 1 mm.
    """
    if not has_place(volume):
        return _axes_of_plain(name, declared)
    marked: ArrayAxes | None = volume.meta.get("array_axes")
    array_axes: ArrayAxes | None = marked or declared
    if array_axes is None:
        msg = (
            f"{name}: not known whether its array is x y z or z y x. Load it with LoadVolumed, or declare it: "
            'array_axes="xyz" after LoadImaged, array_axes="zyx" for arrays of your own in z y x'
        )
        raise ResamplingError(msg)
    if marked is not None and declared not in (None, marked):
        msg = f"{name}: its loader marked the array {marked}, array_axes says {declared}; leave array_axes out"
        raise ResamplingError(msg)
    if marked is None:
        _check_reader(volume, name, declared)
    else:
        _check_affine(volume, name)
    axes = FileAxes.of_file(array_axes, _matrix(volume.meta.get("original_affine", volume.affine)))
    return replace(axes, zyx_affine=_matrix(volume.meta.get(ZYX_AFFINE, axes.zyx_affine)))


def _matrix(affine: Any) -> NDArray[np.float64]:
    matrix: NDArray[np.float64] = torch.as_tensor(affine).detach().cpu().numpy().astype(np.float64)
    return matrix


def _axes_of_plain(name: str, declared: ArrayAxes | None) -> FileAxes:
    if declared is None:
        msg = (
            f"{name}: a plain tensor has no affine, so its spacing is not known. {CACHES}; so do EnsureTyped("
            "track_meta=False) and set_track_meta(False). To take its voxels for 1 mm all the same, pass array_axes"
        )
        raise ResamplingError(msg)
    warnings.warn(f"{name}: a plain tensor has no affine; its voxels are taken for 1 mm. {CACHES}", MriprepWarning, 4)
    return FileAxes.of_file(declared, np.eye(4))


def _check_affine(volume: MetaTensor, name: str) -> None:
    """Refuse an array of ours that was transposed behind its affine."""
    if _is_reversed(volume):
        msg = (
            f"{name}: its array has the file's shape the other way round; Transposed and permute turn the array alone, "
            "not the affine. Use Orientationd"
        )
        raise ResamplingError(msg)


def _check_reader(volume: MetaTensor, name: str, declared: ArrayAxes | None) -> None:
    """Refuse a declaration that contradicts what MONAI's readers hand out."""
    reader = next((reader for reader, keys in READERS.items() if keys <= volume.meta.keys()), None)
    if reader is not None and (declared == "zyx" or _is_reversed(volume)):
        msg = (
            f"{name}: MONAI's {reader} loaded it in x y z order; reverse_indexing=True and Transposed turn the array "
            'alone, not the affine. Use LoadVolumed; or LoadImaged without them, and array_axes="xyz"'
        )
        raise ResamplingError(msg)


def _is_reversed(volume: MetaTensor) -> bool:
    """Whether the array had the file's shape the other way round when it was loaded; MONAI's history holds shapes."""
    of_file = torch.as_tensor(volume.meta.get("spatial_shape", ())).tolist()
    sizes = (done[TraceKeys.ORIG_SIZE] for done in volume.applied_operations if TraceKeys.ORIG_SIZE in done)
    loaded = torch.as_tensor(next(sizes, volume.shape[1:])).tolist()
    return loaded != of_file and loaded == of_file[::-1]
