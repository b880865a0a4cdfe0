"""Records rebuilt from the volumes alone: what the comments of a case's files say is enough to restore predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from monai_mriprep.dataset.voxel_summary import count_values
from monai_mriprep.errors import GeometryError, RecordError
from monai_mriprep.formats.names import natural_key
from monai_mriprep.models import checked
from monai_mriprep.store.layout import RUN
from monai_mriprep.store.lock import exclusive, shared
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.merging import merge_records
from monai_mriprep.store.provenance import rebuilt_record
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.store.takeover import take_over
from monai_mriprep.types import IMAGE, LABEL, ROLE_OF_FOLDER
from monai_mriprep.verify.audit import Finding
from monai_mriprep.verify.pairs import SelfToldVolume, UnusableFileError, read_pair
from monai_mriprep.verify.volumes import REMOVE, differences, trace_problems
from monai_mriprep.volume.geometry import Grid

__all__ = ["RepairReport", "repair_output"]

_DONE = TypeAdapter(Done)


@dataclass(frozen=True)
class RepairReport:
    """What became of the records of an output folder.

    Parameters
    ----------
    root
        The folder.
    rebuilt
        Names of the cases whose record was written anew.
    trusted
        How many cases had a good record, which was left as it is.
    problems
        Files that no record could be rebuilt from, and why.
    notes
        What else needs review.
    """

    root: Path
    rebuilt: tuple[str, ...]
    trusted: int
    problems: tuple[Finding, ...]
    notes: tuple[str, ...]


def repair_output(output_root: str | Path) -> RepairReport:
    """Rebuild the records of cases that have none that can be trusted, from their files alone.

    Both files of a case are read; their checksums and the seals of their comments must be right, and they must say that
    they were made together. A rebuilt record says so (``repaired``), and knows neither the time nor the content of the
    sources, so that a later run does the case again. Good records are not touched.

    Parameters
    ----------
    output_root
        From a run.

    Raises
    ------
    RecordError
        If there are no volumes, or a newer version has written the records.
    LockedError
        If a run is alive in the folder.
    OutputError
        If the folder cannot be written to.
    """
    with open_store(Path(output_root)) as store:
        with shared(store.root):  # else nothing is made in a folder that is no run's
            _require_volumes(store)
        aside = store.prepare(())
        with exclusive(store.root):
            try:
                store.own_manifest()
                merge_records(store)
                recorder = Recorder(store)
                notes = (*aside, *take_over(recorder), *_notes_on_run(store))
                return _repair(store, recorder, notes)
            finally:
                store.leave()


def _require_volumes(store: Store) -> None:
    if not any(store.volumes()):
        msg = (
            f"{store.root.path}: no volumes there to rebuild records from; give the output folder of a run. That of a "
            "run with --virtual has none: the same run makes its records again"
        )
        raise RecordError(msg)


def _notes_on_run(store: Store) -> Iterator[str]:
    if store.root.status(RUN) is None:
        yield f"{RUN} is missing: the next `run` writes it; give it the recipe and the dataset of these volumes"


def _repair(store: Store, recorder: Recorder, notes: tuple[str, ...]) -> RepairReport:
    owners = _owners(read_index(store.root))
    trusted, rebuilt = len(set(owners.values())), []
    problems: dict[str, Finding] = {}
    for path in tuple(_unowned(store, owners)):
        if path in owners:  # with another file of its case
            continue
        try:
            pair = read_pair(store, path)
            record = _rebuilt(path, pair, owners)
        except UnusableFileError as error:
            problems.setdefault(error.path, Finding(error.path, error.problem))
            continue
        recorder.add(record)
        rebuilt.append(record["case"])
        owners |= {found.output.path: record["case"] for found in pair.values()}
    recorder.flush()
    return RepairReport(store.root.path, tuple(rebuilt), trusted, tuple(problems.values()), notes)


def _owners(index: Index) -> dict[str, str]:
    """The case of each file that a good record tells of."""
    good = (record for record in index.all_done() if record.case not in index.damaged)
    return {file.path: record.case for record in good for file in record.outputs.values()}


def _unowned(store: Store, owners: Mapping[str, str]) -> Iterator[str]:
    """Volumes of no good record, images first."""
    yield from (path for path in sorted(store.volumes(), key=natural_key) if path not in owners)


def _rebuilt(path: str, pair: Mapping[str, SelfToldVolume], owners: Mapping[str, str]) -> dict[str, Any]:
    """The record of a case. It fits the files, and predictions find the way back by it.

    Raises
    ------
    UnusableFileError
        If there is none.
    """
    taken = [found.output.path for found in pair.values() if found.output.path in owners]
    case = pair[IMAGE.name].origin.case
    if taken or case in owners.values():
        whose = f"{taken[0]} is that of the case {owners[taken[0]]}" if taken else f"the case {case} has other files"
        raise UnusableFileError(path, f"by a good record, {whose}; remove it")
    facts, record = _record_of(path, pair, _labels(pair))
    for problem in trace_problems(record):
        raise UnusableFileError(path, problem)
    for found in pair.values():
        role = ROLE_OF_FOLDER[found.output.path.split("/")[0]]
        for problem in differences(found.volume, role, record):
            raise UnusableFileError(found.output.path, f"{problem}; {REMOVE}")
    return facts


def _labels(pair: Mapping[str, SelfToldVolume]) -> dict[int, int]:
    """Voxels of each label; a case of a test set has none."""
    if LABEL.name not in pair:
        return {}
    label = pair[LABEL.name]
    labels, told = count_values(label.volume.array[0]), label.origin.labels_after
    if told not in (None, labels):
        problem = f"holds the labels {labels} (value: voxels); its comment says {told}; {REMOVE}"
        raise UnusableFileError(label.output.path, problem)
    return labels


def _record_of(path: str, pair: Mapping[str, SelfToldVolume], labels: Mapping[int, int]) -> tuple[dict[str, Any], Done]:
    """As plain values, and checked."""
    image = pair[IMAGE.name]
    try:
        _, depth, height, width = image.volume.array.shape
        grid = Grid((depth, height, width), np.asarray(image.volume.affine))
        z, y, x = image.volume.spacing.tolist()
        outputs = {role: found.output for role, found in pair.items()}
        classes = pair[LABEL.name].origin.classes if LABEL.name in pair else None
        facts = rebuilt_record(image.origin, grid, (z, y, x), outputs, labels, classes)
        return facts, checked(_DONE, {**facts, "time": 0.0})
    except (RecordError, GeometryError) as error:
        raise UnusableFileError(path, f"its comment makes no record ({error}); {REMOVE}") from error
