"""Read scans as nnU-Net's readers do: their facts from the same library, voxels by our readers, which are faster.

What ours do not read exactly alike, or refuse, nnU-Net's own reader reads, and has the last word on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.errors import VolumeError, VoxelError, warn
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.types import Shape

__all__ = ["read_images", "read_segmentation"]


class _Facts(NamedTuple):
    """What a reader says of a file: its voxels z y x, and nnU-Net's properties."""

    shape: Shape
    properties: dict[str, Any]


def read_images(reader: Any, paths: Sequence[str]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The channels of a case.

    Parameters
    ----------
    reader
        nnU-Net's, which the plans name.
    paths
        A file for each channel.

    Returns
    -------
    voxels
        ``(C, D, H, W)``, bit for bit those of `reader`.
    properties
        Those of `reader`.
    """
    facts_of = _FACTS.get(type(reader).__name__)
    ours = facts_of and _read_channels(facts_of, paths)
    return ours or reader.read_images(paths)


def read_segmentation(reader: Any, path: str) -> NDArray[Any]:
    """The label of a case, ``(1, D, H, W)``: of a type that int16 holds, or float32, as `reader` has them."""
    if type(reader).__name__ in _FACTS:
        values = _read_voxels(path)
        if values is not None:
            is_small = np.can_cast(values.dtype, np.int16)
            return (values if is_small else values.astype(np.float32))[None]
    segmentation: NDArray[Any] = reader.read_seg(path)[0]
    return segmentation


def _read_channels(
    facts_of: Callable[[str], _Facts | None], paths: Sequence[str]
) -> tuple[NDArray[np.float32], dict[str, Any]] | None:
    """None if the files are not all alike, or not for us."""
    first, *others = (facts_of(path) for path in paths)
    if first is None or any(other is None or repr(other.properties) != repr(first.properties) for other in others):
        return None
    voxels = np.empty((len(paths), *first.shape), np.float32)
    for channel, path in zip(voxels, paths, strict=True):
        values = _read_voxels(path)
        if values is None or values.shape != first.shape:
            return None
        channel[...] = values
    return voxels, first.properties


def _read_voxels(path: str) -> NDArray[Any] | None:
    """The voxels z y x; None where our readers refuse the file, or scale it, which libraries round differently."""
    try:
        header = read_header(Path(path))
        return None if header.scaled else read_voxels(header)
    except VoxelError as error:  # ITK reads a file that ends too early, and what is missing is 0
        warn([f"{error}; nnU-Net's own reader takes it as it is, or refuses it"])
    except VolumeError:
        pass
    return None


def _simpleitk_facts(path: str) -> _Facts | None:
    """As `SimpleITKIO` has them. Files that ITK cannot read are left to it."""
    import SimpleITK

    file = SimpleITK.ImageFileReader()
    file.SetFileName(path)
    try:
        file.ReadImageInformation()
    except RuntimeError:
        return None
    if file.GetDimension() != 3:
        return None
    x, y, z = file.GetSize()
    kept = {"spacing": file.GetSpacing(), "origin": file.GetOrigin(), "direction": file.GetDirection()}
    return _Facts((z, y, x), {"sitk_stuff": kept, "spacing": list(np.abs(kept["spacing"][::-1]))})


def _nibabel_facts(path: str) -> _Facts | None:
    """As `NibabelIO` has them."""
    import nibabel

    file: Any = nibabel.load(path)
    if file.ndim != 3:
        return None
    x, y, z = file.shape
    spacing = [float(size) for size in file.header.get_zooms()[::-1]]
    return _Facts((z, y, x), {"nibabel_stuff": {"original_affine": file.affine}, "spacing": spacing})


_FACTS: dict[str, Callable[[str], _Facts | None]] = {"SimpleITKIO": _simpleitk_facts, "NibabelIO": _nibabel_facts}
"""By the name of nnU-Net's reader. The others turn scans, or read other formats."""
