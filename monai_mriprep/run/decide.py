"""What to do with a case, given what is recorded of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
    for role, path in (("image", case.image), ("label", case.label)):
        if not _is_recorded(path, record["sources"][role]):
            return Decision("redo", f"source {role} changed: {path}")
    for role, path in (("image", case.image_npz), ("label", case.label_npz)):
        if not _is_recorded(path, record["outputs"][role]):
            return Decision("redo", f"output {role} is missing or changed: {path}")
    return Decision("skip", "done before")


def _is_recorded(path: Path, facts: Mapping[str, Any]) -> bool:
    """Size and modification time are the recorded ones."""
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (facts["size"], facts["mtime_ns"])
