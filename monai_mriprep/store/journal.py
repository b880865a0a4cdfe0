"""The files of a case appear together or not at all.

They are complete and synced under temporary names before a journal entry says where they go. From then on the case is
finished: after a crash, the next run finds the entry and moves the files. Files without an entry are waste. The entry
is removed once the manifest holds the record.

Nothing that stands in an entry is believed. It must be sealed, name temporary files of its own folder and outputs of
the role table, and the files must be those of its record, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from monai_mriprep.errors import OutputError, RecordError
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.layout import ROLE_FOLDERS, is_entry, is_output, is_staged, is_temporary
from monai_mriprep.store.lines import seal, unseal
from monai_mriprep.store.records import Done, check_record
from monai_mriprep.store.staging import Move, StagedFile, move_together, removed_on_error
from monai_mriprep.store.store import Store
from monai_mriprep.store.writers import Writer

__all__ = ["commit_files", "entry_name", "pending_outputs", "recover", "recover_case"]

LARGEST_ENTRY = 1 << 24
"""Bytes that are read of one."""


@dataclass(frozen=True)
class _Entry:
    """A case that is finished: its record, as plain values, and where its files go."""

    record: dict[str, Any]
    done: Done
    moves: tuple[Move, ...]


def commit_files(store: Store, record: dict[str, Any], files: Sequence[StagedFile]) -> None:
    """Enter the files in the journal, then move them into place.

    Parameters
    ----------
    store
        Where.
    record
        Kept in the entry until the manifest has it.
    files
        Complete, in the order in which they are moved.

    Raises
    ------
    OutputError
        If a file cannot be moved. None of them is in place then, and the temporary files are removed.
    """
    staging, entry = store.staging, entry_name(record["case"])
    moves = [file.move for file in files]
    with removed_on_error(staging, files):
        for file in files:
            staging.sync_file(file.move.staged)
        _enter(staging, entry, seal({"record": record, "moves": moves}))
        try:
            move_together(store, staging, moves)
        except OutputError:
            if all(staging.is_file(move.staged) for move in moves):  # else the next run has to finish or undo it
                staging.remove(entry)
            raise


def _enter(staging: Folder, entry: str, text: str) -> None:
    """All or nothing: from the entry on the files are to be moved."""
    staging.remove(entry)
    try:
        staging.create(entry, [text.encode()], sync=True)
        staging.sync()
    except Exception:
        with suppress(OSError):
            staging.remove(entry)
        raise


def entry_name(case: str) -> str:
    """Of the journal entry of a case."""
    return f"{hashlib.sha256(os.fsencode(case)).hexdigest()}.journal"


def recover(store: Store, staging: Folder, keep: Callable[[Sequence[dict[str, Any]]], None]) -> tuple[str, ...]:
    """Finish what a crash interrupted, entry by entry, and clear away what it left; no writer of it may be alive.

    A file that is not ours is left where it is.

    Parameters
    ----------
    store, staging
        Where.
    keep
        Called with the records of the cases whose files are in place; when it returns, they are on the disk.

    Returns
    -------
    tuple of str
        What could not be used or finished.
    """
    finished, waiting, problems = {}, set[str](), []
    for name in filter(is_entry, staging.names()):
        try:
            finished[name] = _finish(store, staging, name)
        except RecordError as error:
            problems.append(
                f"{staging.path / name}: this entry of the journal cannot be used ({error}); its case is done again"
            )
        except OutputError as error:
            problems.append(f"a finished case waits to be put in place: {error}")
            waiting |= {name, *_files_of(staging, name)}
    keep(list(finished.values()))
    foreign = [name for name in staging.names() if name not in waiting and not _clear(staging, name)]
    if foreign:
        shown = ", ".join(foreign[:3]) + ", ..." * (len(foreign) > 3)
        problems.append(f"{staging.path}: no run of ours has left {shown} there; it is left alone")
    return tuple(problems)


def recover_case(store: Store, case: str) -> dict[str, Any] | None:
    """The record of a case that one of the writer's dead workers has finished; None if it has not."""
    try:
        return _finish(store, store.staging, entry_name(case))
    except OutputError:
        return None


def pending_outputs(staging: Folder) -> Iterator[str]:
    """Outputs, relative to the output folder, of cases that `recover` will record; nothing is changed."""
    for name in filter(is_entry, staging.names()):
        with suppress(RecordError):
            yield from (f"{move.folder}/{move.name}" for move in _read_entry(staging, name).moves)


def _finish(store: Store, staging: Folder, name: str) -> dict[str, Any]:
    """The record of an entry, whose files are in place afterwards."""
    entry = _read_entry(staging, name)
    for role, move in zip(_roles(entry.moves), entry.moves, strict=True):
        _require_recorded(store, staging, move, entry.done.outputs[role].sha256)
    move_together(store, staging, entry.moves)
    return entry.record


def _require_recorded(store: Store, staging: Folder, move: Move, sha256: str) -> None:
    """Refuse a file that is not the recorded one, byte for byte: under its temporary name, else where it goes."""
    places = ((staging, move.staged), (store.folder(move.folder), move.name))
    folder, name = next((place for place in places if place[0].status(place[1]) is not None), places[0])
    digest = hashlib.sha256()
    try:
        with folder.reading(name) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        msg = f"{folder.path / name}: {error.strerror}"
        raise RecordError(msg) from error
    if digest.hexdigest() != sha256:
        msg = f"{folder.path / name} is not the file that it tells of"
        raise RecordError(msg)


def _roles(moves: Sequence[Move]) -> list[str]:
    names = {folder: role for role, folder in ROLE_FOLDERS.items()}
    return [names[move.folder] for move in moves]


def _read_entry(staging: Folder, name: str) -> _Entry:
    try:
        _, facts = unseal(staging.read(name, LARGEST_ENTRY).decode(errors="replace"))
    except OSError as error:
        msg = f"it cannot be read: {error.strerror}"
        raise RecordError(msg) from error
    try:
        record, moves = _record_and_moves(facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = "it is of another form"
        raise RecordError(msg) from error
    done = check_record({**record, "time": 0})
    expected = {file.path for file in done.outputs.values()} if isinstance(done, Done) else set[str]()
    named = [f"{move.folder}/{move.name}" for move in moves]
    are_ours = all(
        is_staged(move.staged) and move.folder in ROLE_FOLDERS.values() and is_output(move.name) for move in moves
    )
    if not (isinstance(done, Done) and are_ours and set(named) == expected and len(named) == len(expected)):
        msg = "its files are not those of its record"
        raise RecordError(msg)
    return _Entry(record, done, moves)


def _record_and_moves(facts: dict[str, Any]) -> tuple[dict[str, Any], tuple[Move, ...]]:
    """Of either form: up to 0.3.0 an entry held a result, and each file's place as one path."""
    if "result" not in facts:
        return dict(facts["record"]), tuple(Move(*map(str, move)) for move in facts["moves"])
    result = facts["result"]
    head = {"event": result["status"], "case": result["case"], "error": result["error"], "warnings": result["warnings"]}
    moves = ((str(staged), *str(final).split("/", 1)) for staged, final in facts["moves"])
    return {**head, **result["facts"]}, tuple(Move(*move) for move in moves)


def _files_of(staging: Folder, name: str) -> set[str]:
    """The temporary files that an entry names, and the second names of those they replace."""
    with suppress(RecordError):
        staged = {move.staged for move in _read_entry(staging, name).moves}
        return staged | {name.removesuffix("npz") + "old" for name in staged}
    return set()


def _clear(staging: Folder, name: str) -> bool:
    """Remove a temporary file of ours; whether the name is one of ours."""
    if Writer.of(name) is not None:  # where versions up to 0.3.0 put their files, each writer has its folder
        return True
    if not is_temporary(name) or not staging.is_file(name):
        return False
    with suppress(OSError):
        staging.remove(name)
    return True
