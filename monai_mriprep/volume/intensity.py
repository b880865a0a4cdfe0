"""Z-scores over the foreground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.buffers import empty_float32

__all__ = ["Moments", "foreground_moments", "standardize"]


FLOAT32_NOISE = 4e-7
"""A deviation below this share of the mean is what resampling in float32 makes of a constant."""


@dataclass(frozen=True)
class Moments:
    """Mean and population standard deviation of `count` voxels; both 0 where there are none."""

    count: int
    mean: float
    std: float


def foreground_moments(image: torch.Tensor, foreground: torch.Tensor | None = None) -> tuple[Moments, ...]:
    """Mean and population standard deviation over the foreground, of each channel.

    Accumulated in float64, slice by slice in a fixed order and on one thread: the same bits on every device and
    for every number of threads. Slices are merged by the parallel algorithm of Chan, Golub and LeVeque (1983),
    which does not lose digits where the mean is large beside the deviation.

    Parameters
    ----------
    image
        ``(C, D, H, W)``, any real type.
    foreground
        Non-zero inside; the shape of `image`, or one channel that counts for all. None means the non-zero voxels of
        each channel.

    Returns
    -------
    tuple of Moments
        One for each channel.

    Raises
    ------
    ResamplingError
        If the shapes differ.
    """
    values = _array(image)
    mask = values != 0 if foreground is None else _array(foreground) != 0
    if mask.shape[1:] != values.shape[1:] or len(mask) not in (1, len(values)):
        msg = f"foreground {mask.shape} and image {values.shape} differ in shape"
        raise ResamplingError(msg)
    return tuple(map(_channel_moments, values, np.broadcast_to(mask, values.shape)))


def _array(volume: torch.Tensor) -> np.ndarray:
    """For numpy, which has no bfloat16; float32 holds all of its values."""
    volume = volume.detach().cpu()
    array: np.ndarray = (volume.float() if volume.dtype == torch.bfloat16 else volume).numpy()
    return array


def _channel_moments(values: np.ndarray, mask: np.ndarray) -> Moments:
    """Of one channel, ``(D, H, W)``."""
    plane = values.shape[-2:]
    count, mean, squares = 0, 0.0, 0.0
    buffer = np.empty(plane)
    for value, inside in zip(values.reshape(-1, *plane), mask.reshape(-1, *plane), strict=True):
        added = int(np.count_nonzero(inside))
        if added:
            slice_mean, slice_squares = _slice_moments(value, inside, added, buffer)
            delta, total = slice_mean - mean, count + added
            squares += slice_squares + delta * delta * count * added / total
            mean += delta * added / total
            count = total
    std = math.sqrt(squares / count) if count else 0.0
    return Moments(count, mean, std if std > FLOAT32_NOISE * abs(mean) else 0.0)


def _slice_moments(value: np.ndarray, inside: np.ndarray, count: int, buffer: np.ndarray) -> tuple[float, float]:
    """Mean, and sum of squares about it, of one slice's foreground."""
    np.multiply(value, inside, out=buffer)
    mean = float(buffer.sum()) / count
    np.subtract(buffer, mean, out=buffer)
    np.multiply(buffer, inside, out=buffer)
    np.square(buffer, out=buffer)
    return mean, float(buffer.sum())


def standardize(image: torch.Tensor, moments: Sequence[Moments], epsilon: float = 0.0) -> torch.Tensor:
    """``(image - mean) / (std + epsilon)`` on the whole image, as new float32; without deviation only the mean goes.

    Parameters
    ----------
    image
        ``(C, D, H, W)``, any real type; not written to.
    moments
        One for each channel, from `foreground_moments`; without foreground the values stay as they are.
    epsilon
        In units of the image.
    """
    result = empty_float32(image.shape, image.device)
    for channel, scores, its_moments in zip(image, result, moments, strict=True):
        _standardize_channel(channel, scores, its_moments, epsilon)
    return result


def _standardize_channel(values: torch.Tensor, scores: torch.Tensor, moments: Moments, epsilon: float) -> None:
    """``(D, H, W)`` from `values` into `scores`."""
    mean = float(np.float32(moments.mean))
    rest = moments.mean - mean  # torch rounds scalars to float32, which is many deviations where the mean is large
    for value, out in zip(values, scores, strict=True):  # slices stay in cache
        out.copy_(value)
        if moments.count:
            out.sub_(mean).sub_(rest)
        if moments.std:
            out.div_(moments.std + epsilon)
