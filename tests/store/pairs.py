"""Pairs of small volumes on their way into an output folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_mriprep.formats.npz import NpzVolume
from monai_mriprep.store.journal import commit_files, entry_name, recover
from monai_mriprep.store.staging import StagedFile, stage_files
from monai_mriprep.store.store import Store
from tests.runs import ROLE_FOLDERS, done_line


def volume(value: float = 1.0) -> NpzVolume:
    return NpzVolume(np.full((1, 2, 3, 4), value, np.float32), np.ones(3), np.eye(4))


def stage(store: Store, value: float = 1.0, name: str = "a") -> tuple[StagedFile, ...]:
    """Image and label, in the order in which they are moved."""
    return stage_files(store, {(folder, f"{name}.npz"): volume(value) for folder in ROLE_FOLDERS.values()})


def record_of(files: Sequence[StagedFile], case: str = "a", **changes: Any) -> dict[str, Any]:
    """The record of a case with these files, without a time."""
    roles = {folder: role for role, folder in ROLE_FOLDERS.items()}
    outputs = {roles[file.move.folder]: _output(file) for file in files}
    line = done_line(case, outputs=outputs, **changes)
    return {key: value for key, value in line.items() if key != "time"}


def _output(file: StagedFile) -> dict[str, Any]:
    place = file.move.path
    return {
        "path": place,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "sha256": file.sha256,
        "crc32": file.crc32,
    }


def commit(store: Store, files: Sequence[StagedFile], case: str = "a") -> None:
    """Put a pair in place, and forget its entry, as if the manifest had the record."""
    commit_files(store, record_of(files, case), files)
    store.staging.remove(entry_name(case))


def recovered(store: Store) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The records of the cases that recovery finishes, and what needs review."""
    records: list[dict[str, Any]] = []
    problems = recover(store, store.staging, records.extend)
    return records, problems


def left_in(store: Store) -> list[str]:
    """Names in the writer's folder of temporary files."""
    return sorted(path.name for path in store.staging.path.iterdir())


def by_place(files: Sequence[StagedFile]) -> dict[str, str]:
    """The hashes that staged files will have where they go."""
    return {file.move.path: file.sha256 for file in files}
