"""Preprocessed files for MONAI's own `LoadImaged`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.image_reader import ImageReader
from monai.utils.enums import MetaKeys
from monai.utils.misc import ensure_tuple

from monai_mriprep.errors import NpzError
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.store.layout import OUTPUT_SUFFIX
from monai_mriprep.transforms.tensors import spacing_marks
from monai_mriprep.volume.geometry import reverse_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["NpzReader"]


class NpzReader(ImageReader):
    """Let MONAI's `LoadImaged` read preprocessed files, with spacing and affine.

    As MONAI's other readers it hands out x y z: the array is ``(C, W, H, D)``, and the affine maps an index x, y, z to
    RAS+ mm. So each voxel lies in the world where `LoadNpzd` has it, whose arrays are z y x.
    ``meta["array_axes"]`` is ``"xyz"``, by which the transforms of this package know the axes, and
    ``meta["original_channel_dim"]`` is 0. ``meta["affine_source"]`` and ``meta["target_spacing"]`` (z y x, mm) are
    those of `LoadNpzd`. Several files are stacked as channels. `LoadImaged` makes float32 of all it reads;
    ``dtype=None`` keeps the integers of a label.

    Examples
    --------
    >>> LoadImaged(["image", "label"], reader=NpzReader())  # doctest: +SKIP
    >>> LoadImaged(["image", "label"], reader="monai_mriprep.NpzReader")  # doctest: +SKIP
    """

    def verify_suffix(self, filename: Any) -> bool:
        """Whether each of the names ends in ``.npz``."""
        return all(str(name).lower().endswith(OUTPUT_SUFFIX) for name in ensure_tuple(filename))

    def read(self, data: Any, **kwargs: Any) -> list[Path]:
        """The files, one or several, which `get_data` reads: what is wrong with one is raised there.

        Here `LoadImaged` would go on to MONAI's other readers, and numpy's would take the arrays without their affine.

        Raises
        ------
        NpzError
            If a name does not end in ``.npz``; then another reader is the right one.
        """
        paths = [Path(name) for name in ensure_tuple(data)]
        for path in paths:
            if not self.verify_suffix(path):
                raise NpzError(path, "its name does not end in .npz; it is not for this reader")
        return paths

    def get_data(self, img: Sequence[Path]) -> tuple[NDArray[Any], dict[str, Any]]:
        """The array, x y z, channels first, and its metadata, which can be collated.

        Raises
        ------
        NpzError
            If a file is damaged or holds something else, or several do not lie on one grid.
        """
        first, *others = volumes = [read_npz(path) for path in img]
        grid = first.grid
        for path, volume in zip(img[1:], others, strict=True):
            if volume.grid != grid:
                raise NpzError(
                    path, f"does not lie on the grid of {img[0]}, so the two cannot be channels of one image"
                )
        array = np.concatenate([volume.array for volume in volumes]) if others else first.array
        affine = torch.from_numpy(reverse_axes(grid.affine))
        return array.transpose(0, 3, 2, 1), {
            MetaKeys.AFFINE: affine,
            MetaKeys.ORIGINAL_AFFINE: affine.clone(),
            MetaKeys.SPATIAL_SHAPE: torch.tensor(grid.shape[::-1]),
            MetaKeys.SPACE: "RAS",
            MetaKeys.ORIGINAL_CHANNEL_DIM: 0,
            "array_axes": "xyz",
            "affine_source": first.affine_source,
            **spacing_marks(first.spacing, grid),
        }
