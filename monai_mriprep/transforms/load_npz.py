"""Preprocessed files as tensors that carry their geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai.transforms.transform import MapTransform, Transform
from monai.utils.enums import TransformBackends

from monai_mriprep.formats.npz import read_npz
from monai_mriprep.transforms.tensors import as_tracked, from_file, spacing_marks

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

    import torch
    from monai.config import KeysCollection

__all__ = ["LoadNpz", "LoadNpzd"]


class LoadNpz(Transform):
    """Read one preprocessed volume: see `LoadNpzd`."""

    backend = (TransformBackends.TORCH,)

    def __call__(self, path: str | Path) -> torch.Tensor:
        """Return the volume, ``(1, D, H, W)``."""
        volume = read_npz(path)
        loaded = from_file(path, volume.array, volume.grid.affine, affine_source=volume.affine_source)
        loaded.meta |= spacing_marks(volume.spacing, volume.grid)
        return as_tracked(loaded)


class LoadNpzd(MapTransform):
    """Read preprocessed volumes: a path becomes a ``(1, D, H, W)`` MetaTensor.

    The affine comes from the archive's comment. Without one it is ``diag(spacing)``, and the metadata says so:
    ``meta["affine_source"]`` is ``"file"`` or ``"spacing"``. ``meta["target_spacing"]`` is the stored triple (z y x).

    Parameters
    ----------
    keys
        Which entries to read.
    allow_missing_keys
        Skip entries that are not there instead of raising.

    Raises
    ------
    NpzError
        If a file is damaged or holds something else.
    """

    backend = LoadNpz.backend

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.load = LoadNpz()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the volumes."""
        return {**data, **{key: self.load(data[key]) for key in self.key_iterator(data)}}
