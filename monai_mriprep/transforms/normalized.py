"""Resampling and z-scores in one: the pair that is easily done wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monai_mriprep.transforms.spatial import AnisotropyAwareSpacing, AnisotropyAwareSpacingd
from monai_mriprep.transforms.tensors import file_of, on_grid, tensor_of
from monai_mriprep.transforms.values import normalized

if TYPE_CHECKING:
    import torch
    from monai.data.meta_tensor import MetaTensor

    from monai_mriprep.transforms.interpolation import Order
    from monai_mriprep.transforms.spatial import Course

__all__ = ["ResampleNormalize", "ResampleNormalized"]


class ResampleNormalized(AnisotropyAwareSpacingd):
    """Resample all keys to one spacing, and make z-scores of the images over their native foreground.

    The mask of the non-zero voxels of each image is taken on its own grid and carried to the target grid by nearest
    neighbour, because a spline leaves hardly any voxel at 0; mean and deviation are those of the image inside it. It
    equals `NonZeroMaskd`, `AnisotropyAwareSpacingd` and `NormalizeNonZerod` with that mask, bit for bit. What goes by
    nearest neighbour is a label, and only resampled. The inverse is that of `AnisotropyAwareSpacingd`: it returns the
    grid, and leaves the z-scores.

    Parameters
    ----------
    keys, target, **options
        As for `AnisotropyAwareSpacingd`.

    Examples
    --------
    >>> pair = ResampleNormalized(["image", "label"], target=(3.0, 1.0, 1.0))
    """

    def _resampled(self, volume: MetaTensor, course: Course, order: Order) -> torch.Tensor:
        resampled = super()._resampled(volume, course, order)
        if not np.any(order):
            return resampled
        mask = on_grid(volume.as_tensor() != 0, course.source, volume)
        carried = super()._resampled(mask, course, 0)
        return normalized(resampled, tensor_of(carried), file_of(volume, course.name))


class ResampleNormalize(AnisotropyAwareSpacing):
    """The same for one array or tensor: see `ResampleNormalized`.

    Parameters
    ----------
    target, mode, **options
        As for `AnisotropyAwareSpacing`.
    """

    of_keys = ResampleNormalized
