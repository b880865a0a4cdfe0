"""A volume of an output folder beside its record."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.dataset.voxel_summary import count_values
from monai_mriprep.errors import NpzError, OutputError, RecordError
from monai_mriprep.formats.npz import NpzVolume, decode_npz
from monai_mriprep.store.folder import Folder, what_it_is
from monai_mriprep.store.record_parts import OutputRecord
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import Store
from monai_mriprep.types import IMAGE, LABEL, Role

__all__ = ["DTYPES", "REMOVE", "differences", "examined", "file_problems", "trace_problems"]

DTYPES = {IMAGE.kind: ("float32",), LABEL.kind: ("int8", "int16")}
"""What the voxels of a role may be stored as, by what they are."""

REMOVE = "remove it, and `run` makes it again"


def file_problems(store: Store, role: Role, record: Done) -> Iterator[str]:
    """Compare the file of a role with its record: first its bytes, then what it holds."""
    yield from examined(store, role, record)[1]


def examined(store: Store, role: Role, record: Done) -> tuple[NpzVolume | None, tuple[str, ...]]:
    """What the file of a role holds, and what in it is not as recorded; None where it cannot be read."""
    output = record.outputs[role.name]
    folder, name = output.path.split("/")
    try:
        raw = _recorded_bytes(store.folder(folder), name, output)
        volume = decode_npz(raw, store.root.path / output.path)
        return volume, tuple(differences(volume, role, record))
    except NpzError as error:
        return None, (error.problem,)
    except OutputError as error:
        return None, (str(error),)
    except (OSError, MemoryError) as error:
        return None, (f"cannot be read: {error!r}",)


def _recorded_bytes(folder: Folder, name: str, expected: OutputRecord) -> bytes:
    """Refuse a file that is not, byte for byte, the one that was written; so what is decoded afterwards is ours."""
    found = folder.status(name)
    if found is None:
        msg = "is missing; `run` makes it again"
        raise RecordError(msg)
    if not stat.S_ISREG(found.st_mode):
        msg = f"is {what_it_is(found.st_mode)}; {REMOVE}"
        raise RecordError(msg)
    if found.st_size != expected.size:
        msg = f"has {found.st_size} bytes, {expected.size} were written; {REMOVE}"
        raise RecordError(msg)
    raw = folder.read(name, expected.size)
    if hashlib.sha256(raw).hexdigest() != expected.sha256:
        msg = f"is damaged or was changed: its SHA-256 is not the recorded one; {REMOVE}"
        raise RecordError(msg)
    return raw


def differences(volume: NpzVolume, role: Role, record: Done) -> Iterator[str]:
    """Compare what a file holds with what its record says; equal bytes make this a check of the writer."""
    array, grid = volume.array, record.target_grid
    channels = len(record.foreground.voxels) if role.kind == IMAGE.kind else 1
    shape, spacing = (channels, *grid.shape), tuple(volume.spacing.tolist())
    if array.shape != shape:
        yield f"has the shape {array.shape}; {shape} is recorded"
    if array.dtype.name not in DTYPES[role.kind]:
        yield f"holds {array.dtype.name}; {' or '.join(DTYPES[role.kind])} is expected"
    if spacing != record.spacing:
        yield f"has the spacing {spacing}; {record.spacing} is recorded"
    if volume.affine is None or not np.array_equal(volume.affine, grid.affine):
        yield "has an affine that is not the recorded one"
    if role.kind == IMAGE.kind and not np.isfinite(array).all():
        yield "holds values that are not finite"
    if role.kind == LABEL.kind:
        yield from _label_differences(array[0], record)


def _label_differences(label: NDArray[Any], record: Done) -> Iterator[str]:
    if (found := count_values(label)) != record.labels.after:
        yield f"holds the labels {found} (value: voxels); {record.labels.after} are recorded"
        return
    with suppress(RecordError):  # which `trace_problems` tells
        if record.classes is not None and not record.classes.is_of(label):
            yield "does not have the recorded voxels of its classes"


def trace_problems(record: Done) -> Iterator[str]:
    """Whether predictions find the way back, and patches their places."""
    try:
        _ = record.trace, record.frame, record.classes
    except RecordError as error:
        yield str(error)
