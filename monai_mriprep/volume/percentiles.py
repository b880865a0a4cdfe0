"""From intensities to the range 0 to 1, by two percentiles of the foreground, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.volume.intensity import FLOAT32_NOISE, channels_with_masks
from monai_mriprep.volume.threads import map_slices

__all__ = ["PERCENTILES", "Window", "foreground_windows", "to_unit_range", "to_window", "window_problems"]

PERCENTILES = (0.5, 99.5)
"""Those that nnU-Net clips CT to: one voxel in a hundred is cut off, half of them at either end."""

LEAST_SPAN = float(np.finfo(np.float32).tiny)
"""A shorter range is none in float32."""


@dataclass(frozen=True)
class Window:
    """The percentiles of `count` voxels; both 0 where there are none."""

    count: int
    low: float
    high: float

    @property
    def span(self) -> float:
        """From one to the other; 0 where they are apart by no more than the noise of a constant in float32."""
        noise = FLOAT32_NOISE * max(abs(self.low), abs(self.high))
        return self.high - self.low if self.high - self.low > max(noise, LEAST_SPAN) else 0.0


def foreground_windows(image: torch.Tensor, foreground: torch.Tensor | None = None) -> tuple[Window, ...]:
    """The 0.5 and 99.5 percentile of the foreground of each channel, as numpy's linear method finds them.

    They lie between two voxels' values, so neither device nor threads change a bit.

    Parameters
    ----------
    image
        ``(C, D, H, W)``, any real type.
    foreground
        As in `monai_mriprep.volume.intensity.foreground_moments`.

    Raises
    ------
    ResamplingError
        If the shapes differ.
    """
    return tuple(_window(values[mask]) for values, mask in channels_with_masks(image, foreground))


def _window(values: NDArray[np.generic]) -> Window:
    """Of the voxels of a foreground, ``(N,)``, which are put in another order."""
    if not values.size:
        return Window(0, 0.0, 0.0)
    places = [(values.size - 1) * percent / 100 for percent in PERCENTILES]
    values.partition(sorted({end for place in places for end in (math.floor(place), math.ceil(place))}))
    low, high = (_between(float(values[math.floor(p)]), float(values[math.ceil(p)]), p % 1) for p in places)
    return Window(values.size, low, high)


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def window_problems(windows: Sequence[Window]) -> Iterator[str]:
    """A sentence for each channel that has no such range, because its foreground is empty, or nearly constant."""
    for channel, window in enumerate(windows):
        where = f" of channel {channel}" if len(windows) > 1 else ""
        if not window.count:
            yield f"the foreground{where} is empty; its values are kept"
        elif not window.span:
            low, high = PERCENTILES
            both = f"the {low:g} and the {high:g} percentile of the foreground{where} are both {window.low:g}"
            yield f"{both}; only that is subtracted"


def to_unit_range(image: torch.Tensor, windows: Sequence[Window]) -> torch.Tensor:
    """Clip the whole image to the percentiles, and map them to 0 and 1, as new float32.

    Parameters
    ----------
    image
        ``(C, D, H, W)``, any real type; not written to.
    windows
        One for each channel. A channel without foreground keeps its values; one without span loses only its percentile.
    """

    def change(channel: int, values: torch.Tensor, scaled: torch.Tensor) -> None:
        window = windows[channel]
        low = float(np.float32(window.low))
        rest = window.low - low  # torch rounds scalars to float32, which may be much of a narrow range
        scaled.copy_(values).sub_(low).sub_(rest)
        if window.span:
            scaled.div_(window.span).clamp_(0, 1)

    return map_slices(image, change)


def to_window(scaled: torch.Tensor, windows: Sequence[Window]) -> torch.Tensor:
    """The inverse of `to_unit_range`, computed in float64; what was clipped stays clipped.

    Parameters
    ----------
    scaled
        ``(C, D, H, W)``; not written to.
    windows
        Those that `to_unit_range` was given.

    Returns
    -------
    torch.Tensor
        float32, in units of the image.
    """
    channels = [
        values.double() * (window.span or 1.0) + window.low for values, window in zip(scaled, windows, strict=True)
    ]
    return torch.stack(channels).float()
