"""The files of a case appear together or not at all.

They are complete and synced under temporary names before a journal entry says where they go. From then on the case is
finished: after a crash, the next run finds the entry and moves the files. Files without an entry are waste. The entry
is removed once the manifest holds the record.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from monai_mriprep.formats.npz import WrittenFile
from monai_mriprep.formats.staging import move_files, place_files, sync_folder
from monai_mriprep.run.cases import Result

__all__ = ["commit_files", "pending_outputs", "recover", "remove_entry"]


class _Entry(BaseModel):
    """What stands in the journal of a case: its result, and its files as temporary name and final path.

    Both are relative, to the folder of temporary files and to the output folder.
    """

    model_config = ConfigDict(frozen=True)

    result: Result
    moves: tuple[tuple[str, str], ...]


def commit_files(partial: Path, result: Result, files: Sequence[WrittenFile]) -> None:
    """Enter the files in the journal, then move them into place; where there is no entry, they are removed.

    Parameters
    ----------
    partial
        Folder of the temporary files, which holds the journal too.
    result
        Kept in the entry until the manifest has its record.
    files
        Complete, in the order in which they are moved.

    Raises
    ------
    OutputError
        If a file cannot be moved: the entry stays, and `recover` tries again.
    """
    entry = _entry_path(partial, result.case)
    moves = [[file.temporary.name, f"{file.final.parent.name}/{file.final.name}"] for file in files]
    place_files(files, lambda: _write_synced(entry, json.dumps({"result": asdict(result), "moves": moves})))


def remove_entry(partial: Path, case: str) -> None:
    """Remove a case's entry: the manifest has its record."""
    _entry_path(partial, case).unlink(missing_ok=True)


def recover(partial: Path) -> list[Result]:
    """Finish what a crash interrupted, and clear away what it left; no worker may be alive.

    Returns
    -------
    list of Result
        Those whose files are now in place; give them to the manifest, then `remove_entry` of each.

    Raises
    ------
    OutputError
        If a file cannot be moved.
    """
    entries = _read_entries(partial)
    for entry in entries.values():
        move_files((partial / temporary, partial.parent / final) for temporary, final in entry.moves)
    for path in partial.glob("*"):
        if path not in entries:
            path.unlink()
    return [entry.result for entry in entries.values()]


def pending_outputs(partial: Path) -> set[str]:
    """Outputs, relative to the output folder, of cases that `recover` will record; nothing is changed."""
    return {final for entry in _read_entries(partial).values() for _, final in entry.moves}


def _read_entries(partial: Path) -> dict[Path, _Entry]:
    """The journal; an entry that a failing disk has garbled is skipped, so that its case is done again."""
    entries = {}
    for path in sorted(partial.glob("*.journal")):
        with suppress(ValueError):
            entries[path] = _Entry.model_validate(json.loads(path.read_text(encoding="utf-8")))
    return entries


def _entry_path(partial: Path, case: str) -> Path:
    return partial / f"{hashlib.sha256(os.fsencode(case)).hexdigest()}.journal"


def _unfinished(entry: Path) -> Path:
    return entry.with_suffix(".unfinished")


def _write_synced(entry: Path, text: str) -> None:
    """All or nothing: from the entry on the files are to be moved."""
    temporary = _unfinished(entry)
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(entry)
        sync_folder(entry.parent)
    except Exception:
        entry.unlink(missing_ok=True)
        temporary.unlink(missing_ok=True)
        raise
