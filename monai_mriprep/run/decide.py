"""What to do with a case, given what is recorded of it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from monai_mriprep.errors import counted
from monai_mriprep.formats.npz import stored_crc
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.store.record_parts import Origin, OutputRecord, RecordedFile, SourceRecord
from monai_mriprep.store.records import Done, Failed, Record, Retired, Started
from monai_mriprep.store.store import Store

__all__ = ["EXCLUDED_BEFORE", "Decision", "decide"]


@dataclass(frozen=True, slots=True)
class Decision:
    """``run`` a new case, ``skip`` a finished one, ``redo`` one whose result no longer stands; and why."""

    action: Literal["run", "skip", "redo"]
    reason: str


DONE_BEFORE = Decision("skip", "done before")
EXCLUDED_BEFORE = Decision("run", "an earlier run excluded it")


def decide(job: Job, case: Case, record: Record | None, store: Store) -> Decision:
    """Decide by the case's last record and the state of its files; nothing is changed.

    Parameters
    ----------
    job, case
        What is wanted.
    store
        Where the outputs are; a link in place of one is none.
    record
        The case's last one in the manifest, or None.
    """
    if isinstance(record, Retired) and record.excluded is not None:
        return EXCLUDED_BEFORE
    if not isinstance(record, Done):
        return Decision("run", _NOT_DONE[type(record)])
    if record.redo < job.redo:
        return Decision("redo", "all cases are done again")
    if record.fingerprint != job.fingerprint:
        return Decision("redo", "recipe, target spacing or version changed")
    if record.repaired:
        return Decision("redo", "its record was rebuilt from its files, which do not tell whether its sources changed")
    if record.sources.keys() != case.sources.keys():
        before, now = (" and ".join(files) for files in (record.sources, case.sources))
        return Decision("redo", f"it was made of {before}; now it is {now}")
    for role, paths in case.sources.items():
        sources = record.sources[role]
        if len(sources) != len(paths):
            return Decision("redo", f"source {role} was of {counted(len(sources), 'channel')}; now it has {len(paths)}")
        for path, source in zip(paths, sources, strict=True):
            if not (_is_unchanged(path, source, case.origins) and _has_unchanged_data(path, source, case.origins)):
                return Decision("redo", f"source {role} changed: {_told(path, case.origins)}")
            if not case.outputs and not _is_there(path, source, case.origins):
                return Decision("redo", f"source {role} is in another place: {_told(path, case.origins)}")
    if record.outputs.keys() != case.outputs.keys():
        return Decision("redo", _OTHER_OUTPUTS[bool(case.outputs)])
    for role, place in case.outputs.items():
        if not _is_intact(store, place, record.outputs[role]):
            return Decision("redo", f"output {role} is missing or changed: {store.root.path / place}")
    return DONE_BEFORE


_OTHER_OUTPUTS = {True: "it has a record, and no volumes", False: "it had volumes, and is to have none"}

_NOT_DONE = {
    type(None): "no record",
    Failed: "failed before",
    Started: "interrupted before",
    Retired: "what it had was retired",
}


def _told(path: Path, origins: Mapping[str, Origin]) -> str:
    """What a source is called: by its object, if it is a copy of one."""
    origin = origins.get(str(path))
    return str(path) if origin is None else origin.address


def _is_there(path: Path, recorded: RecordedFile, origins: Mapping[str, Origin]) -> bool:
    """Whether it is where the record says: of a virtual folder that is what training reads."""
    told = _told(path, origins)
    return told == recorded.path or os.path.realpath(told) == os.path.realpath(recorded.path)


def _is_unchanged(path: Path, recorded: RecordedFile, origins: Mapping[str, Origin]) -> bool:
    """Size and modification time are the recorded ones; of a copy of an object, what the store says of that."""
    origin = origins.get(str(path))
    if origin is not None:
        return recorded.is_of(origin)
    try:
        return recorded.fits(path.stat())
    except OSError:
        return False


def _has_unchanged_data(path: Path, source: SourceRecord, origins: Mapping[str, Origin]) -> bool:
    """The same of the other files that hold its voxels, each beside the header, beside what that links to, or in it."""
    homes = (path, path.parent, path.resolve().parent) if source.data else ()
    return all(any(_is_unchanged(home / Path(file.path).name, file, origins) for home in homes) for file in source.data)


def _is_intact(store: Store, place: str, recorded: OutputRecord) -> bool:
    """Size, time and the checksum that its directory states; reading the array is the business of ``verify``."""
    if store.is_stage:
        return place in store.elsewhere and recorded.is_of(store.elsewhere[place])
    folder, name = place.split("/")
    try:
        with store.folder(folder).reading(name) as file:
            return recorded.fits(os.fstat(file.fileno())) and stored_crc(file) == recorded.crc32
    except (OSError, zipfile.BadZipFile, KeyError):
        return False
