"""What the values of a prediction mean, and how each kind of them goes back to the grid of the source image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.steps import Trace, backward, backward_classes
from monai_mriprep.types import LABEL_INTEGRALITY_TOLERANCE

__all__ = ["restore_array"]

LABEL_TYPES = (np.uint8, np.int16, np.int32)
"""For class numbers of a type that the formats do not have, the first that holds them."""

WRITABLE = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32"})


def restore_array(prediction: NDArray[Any], trace: Trace, probabilities: bool = False) -> NDArray[Any]:
    """Take one prediction back to the grid of its source, by the table of `restore`.

    Parameters
    ----------
    prediction
        ``(C, D, H, W)``, z y x, on ``trace.target``; not written to.
    trace
        What was done to the case, and is undone here: see `monai_mriprep.steps.backward`.
    probabilities
        Keep floats.

    Returns
    -------
    array
        ``(D, H, W)`` class numbers on ``trace.source``; or float32, ``(C, D, H, W)`` of several channels.

    Raises
    ------
    ValueError
        If the values can be neither class numbers nor probabilities.
    """
    if prediction.dtype.kind != "f" or (not probabilities and len(prediction) == 1 and _all_whole(prediction)):
        return _undone(_class_numbers(prediction), trace)
    if probabilities:
        return _every_channel(prediction, trace)
    if len(prediction) > 1:
        return _highest_channel(prediction, trace)
    low, high = float(prediction.min()), float(prediction.max())
    if low < 0 or high > 1:
        msg = (
            f"values from {low:g} to {high:g} are neither class numbers nor probabilities; store integers, or several "
            "channels, or ask for the values themselves with --probabilities"
        )
        raise ValueError(msg)
    return (_undone_float(prediction[0], trace) >= 0.5).astype(np.uint8)


def _all_whole(prediction: NDArray[Any]) -> bool:
    return bool((np.abs(prediction - np.rint(prediction)) <= LABEL_INTEGRALITY_TOLERANCE).all())


def _class_numbers(prediction: NDArray[Any]) -> NDArray[Any]:
    """The one channel, in an integer type that every format has."""
    if len(prediction) > 1:
        msg = f"{len(prediction)} channels of {prediction.dtype}; class numbers in one channel are expected, or floats"
        raise ValueError(msg)
    channel: NDArray[Any] = prediction[0]
    if channel.dtype.name in WRITABLE:
        return channel
    low, high = int(channel.min().round()), int(channel.max().round())
    for dtype in LABEL_TYPES:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return (np.rint(channel) if channel.dtype.kind == "f" else channel).astype(dtype)
    msg = f"class numbers from {low} to {high}; 32 bits are the most"
    raise ValueError(msg)


def _undone(channel: NDArray[Any], trace: Trace) -> NDArray[Any]:
    """One channel, ``(D, H, W)``, on the grid of the source."""
    volume, _ = backward(trace, _tensor(channel[None]))
    restored: NDArray[Any] = volume[0].numpy()
    return restored


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.require(array, requirements="W"))  # torch warns of others


def _undone_float(channel: NDArray[Any], trace: Trace) -> NDArray[np.float32]:
    return _undone(channel.astype(np.float32, copy=False), trace)


def _every_channel(prediction: NDArray[Any], trace: Trace) -> NDArray[np.float32]:
    """``(C, D, H, W)``; or ``(D, H, W)`` of one channel."""
    channels = np.empty((len(prediction), *trace.source.shape), np.float32)
    for result, channel in zip(channels, prediction, strict=True):
        result[...] = _undone_float(channel, trace)
    return channels[0] if len(channels) == 1 else channels


def _highest_channel(prediction: NDArray[Any], trace: Trace) -> NDArray[Any]:
    """The number of the highest channel, of equals the first."""
    scores = prediction.astype(np.float32) if prediction.dtype.itemsize > 4 else prediction
    classes: NDArray[Any] = backward_classes(trace, _tensor(scores))[0].numpy()
    return classes
