"""The peers' resampling, one thread each; all to the same number of voxels where they let us choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import MetaTensor
from monai.transforms import Spacing
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from numpy.typing import NDArray

from benchmarks.resampling import Resampling, Tool
from benchmarks.serve import serve


def monai_spacing(mode: int | str) -> Tool:
    """MONAI's `Spacing`; a number is the order of a spline, as in the mode of the same name."""

    def tool(
        volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
    ) -> Callable[[], Sequence[int]]:
        del target_shape
        tensor = MetaTensor(torch.from_numpy(volume)[None], affine=torch.diag(torch.tensor([*spacing, 1.0])))
        resample = Spacing(pixdim=tuple(target), mode=mode)
        return lambda: resample(tensor).shape[1:]

    return tool


def nnunet(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """nnU-Net's resize of order 3 along all axes."""
    del spacing, target
    return lambda: resample_data_or_seg(volume[None], target_shape, is_seg=False, order=3).shape[1:]


def nnunet_torch(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """nnU-Net's linear resampling by torch, along all axes."""
    tensor = torch.from_numpy(volume)[None]
    grid = (target_shape, spacing, target)
    return lambda: resample_torch_fornnunet(tensor, *grid, num_threads=1, force_separate_z=False).shape[1:]


def trilinear(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """Torch's own."""
    del spacing, target
    tensor = torch.from_numpy(volume)[None, None]
    return lambda: torch.nn.functional.interpolate(tensor, tuple(target_shape), mode="trilinear").shape[2:]


def simpleitk(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """SimpleITK's `Resample` by B-spline."""
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing(list(spacing[::-1]))
    del volume
    size, steps = [int(n) for n in target_shape[::-1]], list(target[::-1])
    grid = (image.GetOrigin(), steps, image.GetDirection(), 0.0, sitk.sitkFloat32)
    return lambda: sitk.Resample(image, size, sitk.Transform(), sitk.sitkBSpline, *grid).GetSize()[::-1]


if __name__ == "__main__":
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    cubic: dict[str, Tool] = {"monai": monai_spacing(3), "nnunet": nnunet, "simpleitk": simpleitk}
    linear: dict[str, Tool] = {
        "monai_bilinear": monai_spacing("bilinear"),
        "trilinear": trilinear,
        "nnunet_torch": nnunet_torch,
    }
    np.seterr(all="ignore")
    serve(Resampling({**cubic, **linear}).commands())
