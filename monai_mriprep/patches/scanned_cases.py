"""The finished cases of an output folder, with the scans that they were made of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.digest import sha256_of
from monai_mriprep.formats.names import natural_key
from monai_mriprep.pipeline import preprocessing
from monai_mriprep.recipe import Recipe
from monai_mriprep.steps import AppliedStep, Trace
from monai_mriprep.steps.crop import NonZeroCrop
from monai_mriprep.steps.label_numbers import LabelNumbers
from monai_mriprep.steps.parts import require_parts
from monai_mriprep.steps.turned import Turned
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.layout import RUN
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.record_parts import RecordedFile, SourceRecord, one_or_several
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import open_store
from monai_mriprep.transforms.tensors import tensor_of
from monai_mriprep.types import ROLES, Role

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from monai_mriprep.volume.class_index import ClassIndex

__all__ = ["LoadCase", "ScannedCase", "finished_cases"]

ONLY_MOVING = (LabelNumbers, Turned, NonZeroCrop)
"""Steps that leave the number type of an image as it is, and are not worth doing again for each patch."""

AGAIN = "preprocess the case again (run)"


@dataclass(frozen=True)
class ScannedCase:
    """A finished case, as patches need it.

    Parameters
    ----------
    name
        Of the case.
    sources
        Its files by role, one a channel.
    moves
        The first steps: they only move voxels or renumber them, so they are done to the whole scan when it is read.
    trace
        What is done after them, to each patch by itself.
    classes
        Some voxels of each class on its target grid; None where its record does not tell.
    """

    name: str
    sources: Mapping[Role, tuple[Path, ...]]
    moves: tuple[AppliedStep, ...]
    trace: Trace
    classes: ClassIndex | None

    @staticmethod
    def of(
        name: str, sources: Mapping[Role, tuple[Path, ...]], whole: Trace, classes: ClassIndex | None
    ) -> ScannedCase:
        """By the whole trace of the case."""
        moves = tuple(takewhile(lambda one: isinstance(one.step, ONLY_MOVING), whole.steps))
        later = whole.steps[len(moves) :]
        return ScannedCase(name, sources, moves, Trace(later[0].grid_in if later else whole.target, later), classes)

    def moved(self, volume: torch.Tensor, role: Role) -> torch.Tensor:
        """A scan, ``(C, D, H, W)``, as `trace` begins with it."""
        for one in self.moves:
            volume = one.step.apply(volume, role, one.grid_in, one.params)
        return volume


def finished_cases(output_root: Path, dataset_root: Path | None) -> tuple[list[ScannedCase], LoadCase]:
    """The cases of an output folder that are finished by its recipe, in the natural order of their names.

    Parameters
    ----------
    output_root
        With or without volumes: only ``run.json`` and the records are read.
    dataset_root
        Where the dataset lies now; by default where each record says.

    Returns
    -------
    tuple
        The cases, and what reads their scans.

    Raises
    ------
    RecordError
        If the folder has no ``run.json`` or no finished case, a record does not tell what was done, or a source is
        missing or not as it was.
    ResamplingError
        If a step of the recipe makes no parts of a volume.
    """
    with open_store(output_root) as store:
        description = read_description(store)
        if description is None:
            msg = f"{output_root / RUN} is missing: the output folder of a run is expected, such as of `run --virtual`"
            raise RecordError(msg)
        cases = list(_cases(read_index(store.root).all_done(), description, dataset_root))
    if not cases:
        msg = f"{output_root}: no case is finished there; run first, such as `run --virtual`"
        raise RecordError(msg)
    load = LoadCase(Recipe(**description.recipe), description.target_spacing)
    return sorted(cases, key=lambda case: natural_key(case.name)), load


def _cases(records: Iterator[Done], description: RunDescription, dataset_root: Path | None) -> Iterator[ScannedCase]:
    for record in records:
        if record.fingerprint != description.fingerprint or record.redo != description.redo.number:
            continue  # of a recipe before, or not done again yet
        if record.recorded_trace is None:
            msg = f"{record.case}: its record does not tell what was done to it, as those before 0.3.0; {AGAIN}"
            raise RecordError(msg)
        trace = record.trace
        require_parts(one.step for one in trace.steps)
        roles = [role for role in ROLES if role.name in record.sources]
        moved = _Moved(Path(description.dataset_root), dataset_root)
        sources = {role: tuple(_unchanged(record, one, moved) for one in record.sources[role.name]) for role in roles}
        yield ScannedCase.of(record.case, sources, trace, record.classes)


@dataclass(frozen=True)
class _Moved:
    """A dataset that may lie elsewhere now."""

    before: Path
    now: Path | None

    def path(self, recorded: str) -> Path:
        path = Path(recorded)
        return path if self.now is None else self.now / os.path.relpath(path, self.before.absolute())


def _unchanged(record: Done, source: SourceRecord, moved: _Moved) -> Path:
    """The path of a source, which is as it was recorded, with all other files that hold its voxels."""
    if record.repaired:
        msg = f"{record.case}: its record was rebuilt, and does not tell where its scans are; {AGAIN}"
        raise RecordError(msg)
    for file in (source, *source.data):
        path = moved.path(file.path)
        if problem := _change(file, path):
            msg = f"{path}, a source of {record.case}, {problem}; put back what was preprocessed, or {AGAIN}"
            raise RecordError(msg)
    return moved.path(source.path)


def _change(file: RecordedFile, path: Path) -> str | None:
    """In what a file is not the recorded one; of another time, as a copy has it, the content decides."""
    try:
        status = path.stat()
        if file.fits(status):
            return None
        if file.size != status.st_size:
            return f"has {status.st_size} bytes, where {file.size} are recorded"
        return None if sha256_of(path) == file.sha256 else "holds something else than when it was preprocessed"
    except OSError as error:
        return f"cannot be read ({error.strerror}); dataset_root= says where the dataset lies now"


class LoadCase:
    """Reads the scans of a case as a run does, up to the first step that computes values.

    Parameters
    ----------
    recipe, target
        Of the run.
    """

    def __init__(self, recipe: Recipe, target: tuple[float, float, float]) -> None:
        self.recipe, self.target = recipe, target

    def __call__(self, case: ScannedCase) -> dict[Role, NDArray[Any]]:
        """By role, ``(C, D, H, W)`` as `ScannedCase.trace` begins with it, in the number type of the file.

        Whole numbers are int8 or int16 where that holds each of them.

        Raises
        ------
        MriprepError
            If a file cannot be read.
        """
        readers, _ = preprocessing(self.recipe, self.target, list(case.sources))
        data: dict[Any, Any] = {
            role.name: one_or_several([str(path) for path in paths]) for role, paths in case.sources.items()
        }
        for reader in readers:
            data = reader(data)
        volumes = {role: case.moved(tensor_of(data[role.name]), role).numpy() for role in case.sources}
        return {role: _narrowest(array) for role, array in volumes.items()}


def _narrowest(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in as few bytes as hold each of them."""
    if array.dtype.kind == "i":
        for dtype in (np.iinfo(np.int8), np.iinfo(np.int16)):
            if dtype.min <= array.min() and array.max() <= dtype.max:
                return array.astype(dtype.dtype, copy=False)
    return array
