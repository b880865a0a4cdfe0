"""Preprocessed files as tensors that carry their geometry, and the way back to their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from monai.config import KeysCollection
from monai.transforms.inverse import InvertibleTransform
from monai.utils.enums import TraceKeys, TransformBackends

from monai_mriprep.formats.npz import NpzPart, Roi, check_roi, read_npz, read_npz_part
from monai_mriprep.transforms.tensors import VOLUME, as_tracked, from_file, spacing_marks
from monai_mriprep.transforms.way_back import WayBackd, way_of_file

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

    from monai_mriprep.formats.npz import NpzVolume

__all__ = ["LoadNpz", "LoadNpzd", "tensor_of_file"]


class LoadNpzd(WayBackd):
    """Read preprocessed volumes: a path becomes a ``(C, D, H, W)`` MetaTensor.

    The affine comes from the archive's comment. Without one it is ``diag(spacing)``, and the metadata says so:
    ``meta["affine_source"]`` is ``"file"`` or ``"spacing"``. ``meta["target_spacing"]`` is the stored triple (z y x).

    Its inverse, which `Invertd` calls, puts a volume back on the grid of the source. What a run did to the case stands
    in the comment of the file since 0.4.0; where it does not, in the records of the output folder, if the file still
    lies there.

    With a `roi` it reads that part alone, in a fraction of the time: voxels, affine and metadata are those of a crop of
    the whole, as MONAI's `SpatialCropd` makes it, and ``meta["patch_start"]`` is its first voxel in the volume (z y x).
    A part goes back to the grid of the source with zeros around it.

    Parameters
    ----------
    keys
        Which entries to read.
    allow_missing_keys
        Skip entries that are not there instead of raising.
    roi
        Of every key, a slice of each axis, z, y and x, as of a numpy array; without a step. None: all.

    Raises
    ------
    NpzError
        If a file is damaged or holds something else, or has no voxel in the `roi`.
    ResamplingError
        From the constructor, if `roi` is not three slices.
    """

    backend = (TransformBackends.TORCH,)

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, roi: Roi | None = None) -> None:
        super().__init__(keys, allow_missing_keys)
        self.roi = None if roi is None else check_roi(roi)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the volumes."""
        return {**data, **{key: self._load(data[key]) for key in self.key_iterator(data)}}

    def _load(self, path: str | Path) -> torch.Tensor:
        volume = read_npz(path) if self.roi is None else read_npz_part(path, self.roi)
        return tensor_of_file(self, path, volume)


def tensor_of_file(transform: WayBackd, path: str | Path, volume: NpzVolume, **meta: Any) -> torch.Tensor:
    """What a transform makes of a volume that was read, or of a part of it; with its own record of the way back.

    Parameters
    ----------
    transform
        Who returns it.
    path, volume
        The file, and what was read of it.
    meta
        What else the metadata say.
    """
    loaded = from_file(path, volume.array, volume.grid.affine, affine_source=volume.affine_source, **meta)
    loaded.meta |= spacing_marks(volume.spacing, volume.grid)
    if isinstance(volume, NpzPart):
        affine, shape = torch.from_numpy(volume.whole.affine.copy()), torch.tensor(volume.whole.shape)
        whole = {"original_affine": affine, "spatial_shape": shape}
        loaded.meta |= {**whole, "patch_start": torch.tensor(volume.start)}
    if transform.tracing:
        way = {TraceKeys.EXTRA_INFO: way_of_file(path, volume)}
        loaded.push_applied_operation({**transform.get_transform_info(), **way})
    return as_tracked(loaded)


class LoadNpz(InvertibleTransform):
    """Read one preprocessed volume, or a part of it: see `LoadNpzd`."""

    backend = LoadNpzd.backend

    def __init__(self, roi: Roi | None = None) -> None:
        self.of_one = LoadNpzd(VOLUME, roi=roi)

    def __call__(self, path: str | Path) -> torch.Tensor:
        """Return the volume, ``(C, D, H, W)``."""
        result: torch.Tensor = self.of_one({VOLUME: path})[VOLUME]
        return result

    def inverse(self, volume: Any) -> torch.Tensor:
        """Return it on the grid of its source."""
        result: torch.Tensor = self.of_one.inverse({VOLUME: volume})[VOLUME]
        return result
