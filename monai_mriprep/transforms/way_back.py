"""The way back that a tensor carries in its history: the trace of what was done to it, and how it is walked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.transform import MapTransform
from monai.utils.enums import TraceKeys

from monai_mriprep.errors import MriprepError, RecordError, ResamplingError
from monai_mriprep.formats.npz import NpzPart, NpzVolume
from monai_mriprep.steps import Trace, backward
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from monai_mriprep.transforms.axes import CACHES, ZYX_AFFINE
from monai_mriprep.transforms.tensors import as_tracked, file_of, grid_of, on_grid, tensor_of, volume_of
from monai_mriprep.types import LABEL, PREDICTION
from monai_mriprep.volume.axes import turn_onto
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

__all__ = ["MARKS", "WayBackd", "recorded_way", "trace_of", "way_of_file"]

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


def way_of_file(path: str | Path, volume: NpzVolume) -> dict[str, Any]:
    """What the history of a volume holds that was read from a preprocessed file.

    The trace is the one that the comment of the file holds, unread; it is empty where the comment has none.
    """
    is_continuous = volume.array.dtype.kind == "f" and volume.facts.get("role") != LABEL.name
    trace = volume.facts.get(TRACE)
    return {
        "mode": LINEAR if is_continuous else NEAREST,
        TRACE: trace if isinstance(trace, dict) else {},
        "file": str(path),
        "grid": (volume.whole if isinstance(volume, NpzPart) else volume.grid).to_json(),
        "marks": {},
    }


class WayBackd(MapTransform, InvertibleTransform):
    """What MONAI asks of a transform that can be undone by the record it leaves in the history of each volume."""

    def get_transform_info(self) -> dict[str, Any]:
        """As MONAI's, without the identity of this object: a copy in another process must be able to invert."""
        return {**super().get_transform_info(), TraceKeys.ID: TraceKeys.NONE}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` on the original grids: exactly their shape and affine.

        Integers go back by nearest neighbour, and so does what was recorded as ``nearest`` (labels, and whatever
        `Invertd` is asked for by `nearest_interp`); other floats linearly, each channel by itself, and their values
        are kept: z-scores are not undone. It starts from where the tensor lies now, so what was padded or cropped
        since goes back, too: padding is left out, and where nothing is left there are zeros. Keys that are no longer
        there, such as a mask that was deleted, are skipped.

        Raises
        ------
        ResamplingError
            If a tensor has no record of this transform, or does not lie where the transform has left it.
        RecordError
            If what was done to it cannot be read or found.
        """
        result = dict(data)
        for key in (key for key in self.keys if key in result):
            result[key] = as_tracked(_put_back(volume_of(result[key], str(key)), str(key), type(self).__name__))
        return result


def _put_back(volume: torch.Tensor, key: str, transform: str) -> MetaTensor:
    """The volume before a transform of this name, with the history that it had."""
    operations = _history(volume)
    index = _last_record(operations, key, transform)
    extra = operations[index][TraceKeys.EXTRA_INFO]
    role = LABEL if extra["mode"] == NEAREST else PREDICTION
    tensor, source = backward(_trace(extra), tensor_of(volume), role, grid_of(volume))
    own = Grid.from_json(extra["own_grid"]) if "own_grid" in extra else source
    turned = turn_onto(own.affine, source.affine).back.array(tensor).contiguous()
    result = on_grid(turned, own, volume)
    if "file" in extra:  # the tensor was never on its source's grid, and is now as if it were read from there
        result.meta |= {"original_affine": result.affine.clone(), "spatial_shape": torch.tensor(own.shape)}
        result.meta.pop("patch_start", None)
    for name in MARKS:
        result.meta.pop(name, None)
    result.meta |= {name: torch.tensor(value, dtype=torch.float64) for name, value in extra["marks"].items()}
    result.applied_operations = operations[:index]
    return result


def trace_of(volume: torch.Tensor) -> Trace:
    """What `ApplyStepsd` has done last to a tensor, from its history; or a run to the file that it was loaded from.

    Raises
    ------
    ResamplingError
        If the history does not tell.
    RecordError
        If what was done cannot be read or found.
    """
    operations = _history(volume)
    index = _last_record(operations, file_of(volume, "the tensor"))
    return _trace(operations[index][TraceKeys.EXTRA_INFO])


def _trace(extra: Mapping[str, Any]) -> Trace:
    """The trace of a record in a history.

    Raises
    ------
    RecordError
        If it is not whole; or, of a file, if neither its comment nor its folder has one that leads to its grid.
    """
    if "file" not in extra:
        return Trace.from_json(extra[TRACE])
    path = Path(extra["file"])
    try:
        trace = Trace.from_json(extra[TRACE]) if extra[TRACE] else _recorded_trace(path)
    except RecordError as error:
        msg = f"{path}: {error}"
        raise RecordError(msg) from error
    if trace.target != Grid.from_json(extra["grid"]):
        msg = f"{path}: what was done to it, as recorded, does not lead to its grid; preprocess the case again"
        raise RecordError(msg)
    return trace


def _recorded_trace(path: Path) -> Trace:
    """The trace of the case that a file of an output folder belongs to, from the records there."""
    root, place = path.absolute().parent.parent, f"{path.parent.name}/{path.name}"
    try:
        with open_store(root) as store:
            for record in read_index(store.root).all_done():
                if place in (output.path for output in record.outputs.values()):
                    return record.trace
            problem = f"no record in {root}"
    except MriprepError as error:
        problem = str(error)
    msg = (
        f"its comment does not hold what was done to it, so it goes back only by its record ({problem}): leave it in "
        "the output folder of its run, or use `restore` there"
    )
    raise RecordError(msg)


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
        "What was loaded from an .npz goes back by the inverse of LoadNpzd, or by `restore`"
    )
    raise ResamplingError(msg)
