"""The values of a prediction, resampled onto the grid of its source image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.types import LABEL_INTEGRALITY_TOLERANCE
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import ResamplingPlan, apply_plan, plan_resampling

__all__ = ["restore_array"]

LABEL_TYPES = (np.uint8, np.int16, np.int32)
"""For class numbers of a type that the formats do not have, the first that holds them."""

WRITABLE = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32"})


def restore_array(prediction: NDArray[Any], target: Grid, source: Grid, probabilities: bool = False) -> NDArray[Any]:
    """Resample one prediction, by the table of `restore`.

    Parameters
    ----------
    prediction
        ``(C, D, H, W)`` on `target`.
    target, source
        The grid it is on, and the one it goes to.
    probabilities
        Keep floats.

    Returns
    -------
    array
        ``(D, H, W)`` class numbers; or float32, ``(C, D, H, W)`` of several channels.

    Raises
    ------
    ValueError
        If the values can be neither class numbers nor probabilities.
    """
    is_float = prediction.dtype.kind == "f"
    if not is_float or (not probabilities and len(prediction) == 1 and _all_whole(prediction)):
        return _restore_classes(prediction, plan_resampling(target, source, order=0))
    plan = plan_resampling(target, source, order=1)
    if probabilities:
        channels = [_linear(channel, plan) for channel in prediction]
        return channels[0] if len(channels) == 1 else np.stack(channels)
    if len(prediction) > 1:
        return _highest_channel(prediction, plan)
    low, high = float(prediction.min()), float(prediction.max())
    if low < 0 or high > 1:
        msg = (
            f"values from {low:g} to {high:g} are neither class numbers nor probabilities; store integers, or several "
            "channels, or ask for the values themselves with --probabilities"
        )
        raise ValueError(msg)
    return (_linear(prediction[0], plan) >= 0.5).astype(np.uint8)


def _all_whole(prediction: NDArray[Any]) -> bool:
    return bool((np.abs(prediction - np.rint(prediction)) <= LABEL_INTEGRALITY_TOLERANCE).all())


def _restore_classes(prediction: NDArray[Any], plan: ResamplingPlan) -> NDArray[Any]:
    if len(prediction) > 1:
        msg = f"{len(prediction)} channels of {prediction.dtype}; class numbers in one channel are expected, or floats"
        raise ValueError(msg)
    labels = _class_numbers(prediction)
    return apply_plan(torch.from_numpy(labels), plan)[0].numpy()


def _class_numbers(prediction: NDArray[Any]) -> NDArray[Any]:
    """In a type that every format has."""
    if prediction.dtype.name in WRITABLE:
        return prediction
    low, high = int(prediction.min().round()), int(prediction.max().round())
    for dtype in LABEL_TYPES:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            whole = np.rint(prediction) if prediction.dtype.kind == "f" else prediction
            return whole.astype(dtype)
    msg = f"class numbers from {low} to {high}; 32 bits are the most"
    raise ValueError(msg)


def _linear(channel: NDArray[Any], plan: ResamplingPlan) -> NDArray[np.float32]:
    volume = torch.from_numpy(np.array(channel, np.float32)[None])
    return apply_plan(volume, plan)[0].numpy()


def _highest_channel(prediction: NDArray[Any], plan: ResamplingPlan) -> NDArray[Any]:
    """Argmax, one channel at a time, so that memory does not grow with their number; of equals the first."""
    highest = _linear(prediction[0], plan)
    classes = np.zeros(highest.shape, np.uint8 if len(prediction) <= 256 else np.int16)
    for number, channel in enumerate(prediction[1:], 1):
        values = _linear(channel, plan)
        classes[values > highest] = number
        np.maximum(highest, values, out=highest)
    return classes
