"""What to do with a case, given what is recorded of it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from monai_mriprep.formats.npz import stored_crc
from monai_mriprep.run.cases import Case, Job

__all__ = ["Decision", "decide"]


@dataclass(frozen=True)
class Decision:
    """``run`` a new case, ``skip`` a finished one, ``redo`` one whose result no longer stands; and why."""

    action: Literal["run", "skip", "redo"]
    reason: str


def decide(job: Job, case: Case, record: Mapping[str, Any] | None) -> Decision:
    """Decide by the case's last record and the state of its files; nothing is changed.

    Parameters
    ----------
    job, case
        What is wanted.
    record
        The case's last event in the manifest, or None.
    """
    if record is None:
        return Decision("run", "no record")
    if record.get("event") != "done":
        return Decision("run", "failed before" if record.get("event") == "failed" else "interrupted before")
    if record.get("fingerprint") != job.fingerprint:
        return Decision("redo", "recipe, target spacing or version changed")
    for role, (path,) in case.sources.items():
        facts = _facts(record, "sources", role)
        if not (_is_unchanged(path, facts) and _has_its_data(path, facts.get("data"))):
            return Decision("redo", f"source {role} changed: {path}")
    for role, path in case.outputs.items():
        facts = _facts(record, "outputs", role)
        if not _is_unchanged(path, facts) or _crc(path) != facts.get("crc32"):
            return Decision("redo", f"output {role} is missing or changed: {path}")
    return Decision("skip", "done before")


def _facts(record: Mapping[str, Any], kind: str, role: str) -> Mapping[str, Any]:
    """What is recorded of a file; nothing where somebody has edited the record."""
    facts = record.get(kind, {})
    facts = facts.get(role, {}) if isinstance(facts, dict) else {}
    return facts if isinstance(facts, dict) else {}


def _is_unchanged(path: Path, facts: Mapping[str, Any]) -> bool:
    """Size and modification time are the recorded ones."""
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (facts.get("size"), facts.get("mtime_ns"))


def _has_its_data(source: Path, facts: Any) -> bool:
    """The same of the other files that hold its voxels, each beside the header, beside what that links to, or in it.

    Version 0.1 recorded one at most, and not as a list.
    """
    files = [facts] if isinstance(facts, dict) else facts or []
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        return False
    homes = (source, source.parent, source.resolve().parent) if files else ()
    return all(any(_is_unchanged(home / Path(str(file.get("path"))).name, file) for home in homes) for file in files)


def _crc(path: Path) -> int | None:
    """The checksum that the archive's directory states; reading the array is the business of ``verify``."""
    try:
        return stored_crc(path)
    except (OSError, zipfile.BadZipFile, KeyError):
        return None
