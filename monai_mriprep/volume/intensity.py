"""Moments of the foreground, and z-scores over it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.errors import ResamplingError, VoxelError
from monai_mriprep.types import IMAGE_MAX, beyond_float32
from monai_mriprep.volume.threads import map_slices, share_out

__all__ = [
    "FLOAT32_NOISE",
    "Moments",
    "channels_with_masks",
    "exact_moments",
    "float32_moments",
    "foreground_moments",
    "moment_problems",
    "require_finite_moments",
    "require_magnitudes",
    "require_scores",
    "standardize",
    "unstandardize",
]


FLOAT32_NOISE = 4e-7
"""A deviation below this share of the mean counts as 0: resampling a constant in float32 gives as much."""

ORDINARY = 1e30
"""If the mean is below this, the difference of a value and the mean is within the range of float32."""


@dataclass(frozen=True)
class Moments:
    """Mean and population standard deviation of `count` voxels; both 0 where there are none."""

    count: int
    mean: float
    std: float


def foreground_moments(image: torch.Tensor, foreground: torch.Tensor | None = None) -> tuple[Moments, ...]:
    """Mean and population standard deviation over the foreground, of each channel.

    Accumulated in float64, slice by slice, so that the bits are the same on every device and for every number of
    threads. Slices are merged in their order by the parallel algorithm of Chan, Golub and LeVeque (1983), which does
    not lose digits if the mean is much larger than the deviation.

    Parameters
    ----------
    image
        ``(C, D, H, W)``, any real type.
    foreground
        Non-zero inside; of the shape of `image`, or of one channel for all. By default the non-zero voxels of each
        channel.

    Returns
    -------
    tuple of Moments
        One for each channel.

    Raises
    ------
    ResamplingError
        If the shapes differ.
    """
    return tuple(_channel_moments(values, mask) for values, mask in channels_with_masks(image, foreground))


def channels_with_masks(
    image: torch.Tensor, foreground: torch.Tensor | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The values of each channel, ``(D, H, W)``, and what of it is foreground, bool.

    Parameters, errors
        As of `foreground_moments`.
    """
    values = _array(image)
    mask = values != 0 if foreground is None else _array(foreground) != 0
    if mask.shape[1:] != values.shape[1:] or len(mask) not in (1, len(values)):
        msg = f"foreground {mask.shape} and image {values.shape} differ in shape"
        raise ResamplingError(msg)
    return zip(values, np.broadcast_to(mask, values.shape), strict=True)


def _array(volume: torch.Tensor) -> np.ndarray:
    """As a numpy array; bfloat16, which numpy does not have, as float32."""
    volume = volume.detach().cpu()
    array: np.ndarray = (volume.float() if volume.dtype == torch.bfloat16 else volume).numpy()
    return array


def _channel_moments(values: np.ndarray, mask: np.ndarray) -> Moments:
    """Moments of one channel, ``(D, H, W)``."""
    count, mean, squares = 0, 0.0, 0.0
    for added, slice_mean, slice_squares in _moments_of_slices(values, mask):
        if added:
            delta, total = slice_mean - mean, count + added
            squares += slice_squares + delta * delta * count * added / total
            mean += delta * added / total
            count = total
    std = math.sqrt(squares / count) if count else 0.0
    return Moments(count, mean, std if std > FLOAT32_NOISE * abs(mean) else 0.0)


def _moments_of_slices(values: np.ndarray, mask: np.ndarray) -> list[tuple[int, float, float]]:
    """`_slice_moments` of each slice, in their order."""
    found = [(0, 0.0, 0.0)] * len(values)

    def work(numbers: Iterable[int]) -> None:
        buffer = np.empty(values.shape[1:])
        for number in numbers:
            found[number] = _slice_moments(values[number], mask[number], buffer)

    share_out(len(values), work)
    return found


def _slice_moments(value: np.ndarray, inside: np.ndarray, buffer: np.ndarray) -> tuple[int, float, float]:
    """Voxels of one slice's foreground, their mean, and the sum of squared deviations from it."""
    count = int(np.count_nonzero(inside))
    if not count:
        return 0, 0.0, 0.0
    np.multiply(value, inside, out=buffer)
    mean = float(buffer.sum()) / count
    np.subtract(buffer, mean, out=buffer)
    np.multiply(buffer, inside, out=buffer)
    np.square(buffer, out=buffer)
    return count, mean, float(buffer.sum())


def float32_moments(values: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Mean and population standard deviation as numpy adds them up in float32, which nnU-Net normalises by.

    Parameters
    ----------
    values
        Any shape. Numpy adds along what is contiguous in memory: a view of a crop and its copy differ in the last
        digits, and where there are many rows in more of them.
    mask
        Of the same shape; the values to take.

    Returns
    -------
    mean, std
        Not finite where float32 cannot hold the sums: see `require_finite_moments`.
    """
    chosen = values if mask is None else values[mask]
    with np.errstate(over="ignore", invalid="ignore"):
        return float(chosen.mean()), float(chosen.std())


def exact_moments(values: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> Moments:
    """`float32_moments`, and the number of voxels; of none all are 0."""
    count = values.size if mask is None else int(np.count_nonzero(mask))
    return Moments(count, *float32_moments(values, mask)) if count else Moments(0, 0.0, 0.0)


def require_finite_moments(moments: Sequence[Moments], name: str) -> None:
    """Refuse an image of which float32 cannot hold the sums of the values or of their squares.

    Raises
    ------
    VoxelError
        With the moments; `name` is what to call the image, such as its file.
    """
    for one in moments:
        if not (math.isfinite(one.mean) and math.isfinite(one.std)):
            found = f"mean {one.mean:g} and deviation {one.std:g}"
            raise VoxelError(name, f"its values have {found} in float32, which cannot hold their sums: repair the scan")


def require_magnitudes(image: torch.Tensor, name: str) -> tuple[float, float]:
    """The lowest and the highest value of an image; refuses magnitudes that are too large to compute with.

    Parameters
    ----------
    image
        Any shape, any real type.
    name
        What to call it in the error, such as its file.

    Raises
    ------
    VoxelError
        If a magnitude is over `IMAGE_MAX`, or is nan.
    """
    low, high = (float(value) for value in torch.aminmax(image.detach()))
    largest = high if abs(high) >= abs(low) else low
    if not abs(largest) <= IMAGE_MAX:
        raise VoxelError(name, beyond_float32(largest))
    return low, high


def require_scores(image: torch.Tensor, moments: Sequence[Moments], epsilon: float, name: str) -> None:
    """Refuse an image whose z-scores exceed the range of float32.

    This can only happen if the mean is huge or the deviation below 1; the voxels are only searched then.

    Raises
    ------
    VoxelError
        If they do.
    """
    for channel, its_moments in zip(image, moments, strict=True):
        divisor = its_moments.std + epsilon if its_moments.std else 1.0
        if divisor >= 1 and abs(its_moments.mean) < ORDINARY:
            continue
        mean = its_moments.mean
        farthest = max(require_magnitudes(channel, name), key=lambda value: abs(value - mean))
        if not abs(farthest - mean) / divisor <= torch.finfo(torch.float32).max:
            score = f"{farthest:g}, far from the foreground's mean {mean:g} and deviation {its_moments.std:g}"
            raise VoxelError(name, f"holds the value {score}; float32 cannot hold its z-score: repair the scan")


def moment_problems(moments: Sequence[Moments]) -> Iterator[str]:
    """A sentence for each channel that has no z-scores, because its foreground is constant or empty."""
    for channel, its_moments in enumerate(moments):
        if not its_moments.std:
            done = "only its mean is subtracted" if its_moments.count else "its values are kept"
            what = "constant" if its_moments.count else "empty"
            where = f" of channel {channel}" if len(moments) > 1 else ""
            yield f"the foreground{where} is {what}; {done}"


def standardize(image: torch.Tensor, moments: Sequence[Moments], epsilon: float = 0.0) -> torch.Tensor:
    """``(image - mean) / (std + epsilon)`` of the whole image, as new float32; if `std` is 0, ``image - mean``.

    Parameters
    ----------
    image
        ``(C, D, H, W)``, any real type; not written to.
    moments
        One for each channel, from `foreground_moments`. A channel without foreground keeps its values.
    epsilon
        In units of the image.
    """

    def change(channel: int, values: torch.Tensor, scores: torch.Tensor) -> None:
        _standardize_slice(values, scores, moments[channel], epsilon)

    return map_slices(image, change)


def _standardize_slice(values: torch.Tensor, scores: torch.Tensor, moments: Moments, epsilon: float) -> None:
    mean = float(np.float32(moments.mean))
    rest = moments.mean - mean  # torch rounds scalars to float32; for a large mean that is many deviations
    scores.copy_(values)
    if moments.count:
        scores.sub_(mean).sub_(rest)
    if moments.std:
        scores.div_(moments.std + epsilon)


def unstandardize(scores: torch.Tensor, moments: Sequence[Moments], epsilon: float = 0.0) -> torch.Tensor:
    """The inverse of `standardize`, computed in float64.

    Parameters
    ----------
    scores
        ``(C, D, H, W)``; not written to.
    moments, epsilon
        Those that `standardize` was given.

    Returns
    -------
    torch.Tensor
        float32, in units of the image.
    """
    channels = [
        scores_of.double() * (one.std + epsilon if one.std else 1.0) + (one.mean if one.count else 0.0)
        for scores_of, one in zip(scores, moments, strict=True)
    ]
    return torch.stack(channels).float()
