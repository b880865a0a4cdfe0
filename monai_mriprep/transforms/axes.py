"""Which axes of its file a volume's array has: a mark, a declaration, or an error; never a guess."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.utils.enums import TraceKeys

from monai_mriprep.errors import MriprepWarning, ResamplingError
from monai_mriprep.transforms.tensors import grid_of, has_place
from monai_mriprep.types import ArrayAxes
from monai_mriprep.volume.axes import Turn, turn_onto
from monai_mriprep.volume.geometry import reverse_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["CACHES", "FileAxes", "check_array_axes", "file_axes"]

CACHES = "PersistentDataset and CacheNTransDataset hand out such tensors unless track_meta=True and weights_only=False"

READERS = {
    "ITKReader": {"spacing", "space", "spatial_shape", "original_channel_dim", "original_affine"},
    "NibabelReader": {"as_closest_canonical", "spatial_shape", "original_affine"},
}
"""What MONAI's readers leave in the metadata; both hand out x y z."""


@dataclass(frozen=True)
class FileAxes:
    """The axes of a volume's file.

    Parameters
    ----------
    array_axes
        What the columns of `affine` are called.
    affine
        4 x 4, of the array as it was loaded, in RAS+ mm.
    """

    array_axes: ArrayAxes
    affine: NDArray[np.float64]

    def turn(self, volume: torch.Tensor) -> Turn:
        """From the axes that the array has now to the file's, z y x."""
        return turn_onto(grid_of(volume).affine, self.affine if self.array_axes == "zyx" else reverse_axes(self.affine))

    @property
    def mark(self) -> dict[str, Any]:
        """For the metadata: strings and tensors, which can be collated."""
        return {"array_axes": self.array_axes, "original_affine": torch.from_numpy(self.affine.copy())}


def check_array_axes(array_axes: ArrayAxes | None) -> ArrayAxes | None:
    """Refuse what is not an order of axes."""
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
    affine = torch.as_tensor(volume.meta.get("original_affine", volume.affine))
    return FileAxes(array_axes, affine.detach().cpu().numpy().astype(np.float64))


def _axes_of_plain(name: str, declared: ArrayAxes | None) -> FileAxes:
    if declared is None:
        msg = (
            f"{name}: a plain tensor has no affine, so its spacing is not known. {CACHES}; so do EnsureTyped("
            "track_meta=False) and set_track_meta(False). To take its voxels for 1 mm all the same, pass array_axes"
        )
        raise ResamplingError(msg)
    warnings.warn(f"{name}: a plain tensor has no affine; its voxels are taken for 1 mm. {CACHES}", MriprepWarning, 4)
    return FileAxes(declared, np.eye(4))


def _check_affine(volume: MetaTensor, name: str) -> None:
    """Refuse an array of ours that was transposed behind its affine."""
    if _is_reversed(volume, volume.meta):
        msg = (
            f"{name}: its array has the file's shape the other way round; Transposed and permute turn the array alone, "
            "not the affine. Use Orientationd"
        )
        raise ResamplingError(msg)


def _check_reader(volume: MetaTensor, name: str, declared: ArrayAxes | None) -> None:
    """Refuse a declaration that contradicts what MONAI's readers hand out."""
    reader = next((name for name, keys in READERS.items() if keys <= volume.meta.keys()), None)
    if reader is not None and (declared == "zyx" or _is_reversed(volume, volume.meta)):
        msg = (
            f"{name}: MONAI's {reader} loaded it in x y z order; reverse_indexing=True and Transposed turn the array "
            'alone, not the affine. Use LoadVolumed; or LoadImaged without them, and array_axes="xyz"'
        )
        raise ResamplingError(msg)


def _is_reversed(volume: MetaTensor, meta: Mapping[str, Any]) -> bool:
    """Whether the array had the file's shape the other way round when it was loaded; MONAI's history holds shapes."""
    of_file = torch.as_tensor(meta.get("spatial_shape", ())).tolist()
    history = volume.applied_operations
    loaded = torch.as_tensor(history[0].get(TraceKeys.ORIG_SIZE, ()) if history else volume.shape[1:]).tolist()
    return loaded != of_file and loaded == of_file[::-1]
