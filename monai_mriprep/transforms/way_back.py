"""The way back that a tensor carries in its history: the trace of what was done to it, and how it is walked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from monai.data.meta_tensor import MetaTensor
from monai.utils.enums import TraceKeys

from monai_mriprep.errors import ResamplingError
from monai_mriprep.steps import Trace, backward
from monai_mriprep.transforms.axes import CACHES, ZYX_AFFINE
from monai_mriprep.transforms.tensors import file_of, grid_of, on_grid, tensor_of
from monai_mriprep.types import LABEL, PREDICTION
from monai_mriprep.volume.axes import turn_onto
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MARKS", "put_back", "recorded_way", "trace_of"]

# MONAI does this for its other names in a MetaTensor; without it no tensor with a history can be read from a
# PersistentDataset's cache.
torch.serialization.add_safe_globals([TraceKeys])

TRACE = "trace"
NEAREST, LINEAR = "nearest", "bilinear"
"""MONAI's names; `Invertd` with `nearest_interp` writes the first over the second."""

MARKS = ("target_spacing", "grid_spacing", ZYX_AFFINE)
"""Metadata, each a tensor, that are true only of what steps have made."""


def recorded_way(trace: Trace, is_continuous: bool, place: MetaTensor) -> dict[str, Any]:
    """What a history holds of it, as plain values.

    Parameters
    ----------
    trace
        What was done.
    is_continuous
        Whether the volume goes back linearly, unless it holds integers.
    place
        The grid and the metadata of the volume before.
    """
    return {
        "mode": LINEAR if is_continuous else NEAREST,
        TRACE: trace.to_json(),
        "own_grid": grid_of(place).to_json(),  # may differ from the first key's by noise
        "marks": {name: torch.as_tensor(place.meta[name]).tolist() for name in MARKS if name in place.meta},
    }


def put_back(volume: torch.Tensor, key: str, transform: str) -> MetaTensor:
    """The volume before a transform: on exactly its shape and affine, with the history that it had.

    Parameters
    ----------
    volume
        ``(C, D, H, W)``, wherever it lies now.
    key
        What to call it in a message.
    transform
        The name of the class whose last record in the history is undone.

    Raises
    ------
    ResamplingError
        If there is none, or the volume does not lie where the transform has left it.
    """
    operations = _history(volume)
    index = _last_record(operations, key, transform)
    extra = operations[index][TraceKeys.EXTRA_INFO]
    role = LABEL if extra["mode"] == NEAREST else PREDICTION
    tensor, source = backward(Trace.from_json(extra[TRACE]), tensor_of(volume), role, grid_of(volume))
    own = Grid.from_json(extra["own_grid"])
    turned = turn_onto(own.affine, source.affine).back.array(tensor).contiguous()
    result = on_grid(turned, own, volume)
    for name in MARKS:
        result.meta.pop(name, None)
    result.meta |= {name: torch.tensor(value, dtype=torch.float64) for name, value in extra["marks"].items()}
    result.applied_operations = operations[:index]
    return result


def trace_of(volume: torch.Tensor) -> Trace:
    """What `ApplyStepsd` has done last to a tensor, from its history.

    Raises
    ------
    ResamplingError
        If the history does not tell.
    """
    operations = _history(volume)
    index = _last_record(operations, file_of(volume, "the tensor"))
    return Trace.from_json(operations[index][TraceKeys.EXTRA_INFO][TRACE])


def _history(volume: torch.Tensor) -> list[dict[Any, Any]]:
    return list(volume.applied_operations) if isinstance(volume, MetaTensor) else []


def _last_record(operations: Sequence[Mapping[Any, Any]], name: str, transform: str = "") -> int:
    """Where the history has the last trace, of one transform or of any.

    What stands after it, such as the padding of a batch, has no place on the original grid.
    """
    for index in reversed(range(len(operations))):
        found = operations[index]
        if TRACE in found.get(TraceKeys.EXTRA_INFO, ()) and transform in ("", found[TraceKeys.CLASS_NAME]):
            return index
    sought = transform or "ApplyStepsd"
    msg = (
        f"{name}: no record of {sought} in the history of the tensor; a plain tensor has none. {CACHES}. "
        "What was loaded from an .npz goes back by `restore`"
    )
    raise ResamplingError(msg)
