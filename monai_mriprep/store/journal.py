"""The files of a case appear together or not at all.

They are complete and synced under temporary names before a journal entry says where they go. From then on the case is
finished: after a crash, the next run finds the entry and moves the files. Files without an entry are waste. The entry
is removed once the manifest holds the record.

Nothing that stands in an entry is believed. It must be sealed, name temporary files of its own folder and outputs of
the role table, and the files must be those of its record, byte for byte.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from monai_mriprep.errors import OutputError, RecordError, counted, first_names
from monai_mriprep.formats.digest import sha256_of_content
from monai_mriprep.formats.sealed import NewerVersionError, seal, unseal
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.layout import PARTIAL, is_entry, is_staged, is_temporary
from monai_mriprep.store.outdated import IsOutdated, never
from monai_mriprep.store.record_parts import OutputRecord
from monai_mriprep.store.records import Done, check_record
from monai_mriprep.store.staging import Move, StagedFile, being_written, is_undone, move_together, take_back
from monai_mriprep.store.store import Store
from monai_mriprep.store.writers import Writer

__all__ = ["commit_files", "entry_name", "pending_records", "recover", "recover_case"]

LARGEST_ENTRY = 1 << 24
"""Bytes that are read of one."""


@dataclass(frozen=True)
class _Entry:
    """A case that is finished: its record, as plain values, and where its files go."""

    record: dict[str, Any]
    done: Done
    moves: tuple[Move, ...]

    @property
    def recorded(self) -> dict[str, OutputRecord]:
        """Its files, by their path."""
        return {file.path: file for file in self.done.outputs.values()}


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
    DiskFullError, OutputError
        If a file cannot be written or moved. None of them is in place then, and the temporary files are removed.
    """
    staging, entry = store.staging, entry_name(record["case"])
    moves = [file.move for file in files]
    with being_written(store, moves):
        for move in moves:
            staging.sync_file(move.staged)
        _enter(staging, entry, seal({"record": record, "moves": moves}))
    try:
        move_together(store, staging, moves)
    except OutputError:
        _withdraw(staging, entry, moves)
        raise


def _enter(staging: Folder, entry: str, text: str) -> None:
    """All or nothing: from the entry on the files are to be moved."""
    try:
        staging.replace(entry, [text.encode()], staging)
    except Exception:
        with suppress(OSError):
            staging.remove(entry)
        raise


def _withdraw(staging: Folder, entry: str, moves: Sequence[Move]) -> None:
    """Remove an entry and then its files, unless one is still in place: then `recover` has to finish it."""
    with suppress(OSError):
        if is_undone(staging, moves):
            for name in (entry, *(move.staged for move in moves)):
                staging.remove(name)


def entry_name(case: str) -> str:
    """Of the journal entry of a case."""
    return f"{hashlib.sha256(os.fsencode(case)).hexdigest()}.journal"


def recover(
    store: Store,
    staging: Folder,
    keep: Callable[[Sequence[dict[str, Any]]], None],
    is_outdated: IsOutdated = never,
) -> tuple[str, ...]:
    """Finish what a crash interrupted, entry by entry, and clear away what it left; no writer of it may be alive.

    A file that is not ours is left where it is.

    Parameters
    ----------
    store, staging
        Where.
    keep
        Called with the records of the cases whose files are in place; when it returns, they are on the disk.
    is_outdated
        Tells a case that later runs have gone on without. It is dropped, and what was moved of it is taken back.

    Returns
    -------
    tuple of str
        What could not be used or finished.

    Raises
    ------
    NewerVersionError
        If a newer version has written an entry; it is left there.
    """
    finished, dropped, waiting, problems = [], [], set[str](), []
    for name in filter(is_entry, staging.names()):
        try:
            entry = _read_entry(staging, name)
            if is_outdated(entry.done, staging.require(name).st_mtime):
                _take_back(store, staging, entry)
                dropped.append(entry.done.case)
            else:
                finished.append(_finish(store, staging, entry))
        except NewerVersionError as error:
            msg = f"{staging.path / name}: {error}"
            raise NewerVersionError(msg) from error
        except RecordError as error:
            problems.append(
                f"{staging.path / name}: this entry of the journal cannot be used ({error}); its case is done again"
            )
        except (OutputError, OSError) as error:
            problems.append(f"{staging.path / name}: a finished case waits to be put in place ({error})")
            waiting |= {name, *_files_of(staging, name)}
    keep(finished)
    foreign = [name for name in staging.names() if name not in waiting and not _clear(staging, name)]
    if foreign:
        problems.append(f"{staging.path}: no run of ours has left {first_names(foreign, 3)} there; it is left alone")
    if dropped:
        what = "older than the records or the last --redo, and not put in place"
        problems.append(f"{staging.path}: {counted(len(dropped), 'finished case')} {what}: {first_names(dropped)}")
    return tuple(problems)


def recover_case(store: Store, case: str) -> dict[str, Any] | None:
    """The record of a case that one of the writer's dead workers has finished; None if it has not."""
    try:
        record = _finish(store, store.staging, _read_entry(store.staging, entry_name(case)))
    except (OutputError, OSError):
        return None
    return record if record["case"] == case else None


def pending_records(store: Store, is_outdated: IsOutdated = never) -> Iterator[Done]:
    """Records of the cases that are finished by the journals of all writers, as `recover` finds them."""
    if not store.has_folder(PARTIAL):
        return
    yield from _records_in(store.partial, is_outdated)
    for name in store.partial.names():
        if Writer.of(name) is not None and store.partial.is_folder(name):
            with suppress(FileNotFoundError), closing(store.partial.folder(name)) as staging:
                yield from _records_in(staging, is_outdated)


def _records_in(staging: Folder, is_outdated: IsOutdated) -> Iterator[Done]:
    for name in filter(is_entry, staging.names()):
        with suppress(RecordError, OSError):
            done = _read_entry(staging, name).done
            if not is_outdated(done, staging.require(name).st_mtime):
                yield done


def _take_back(store: Store, staging: Folder, entry: _Entry) -> None:
    """Undo what was moved of a case, unless a later run has put its own file there."""
    still_there = {move for move in _moved(staging, entry) if _is_still_there(store, move, entry)}
    take_back(store, staging, entry.moves, still_there)


def _moved(staging: Folder, entry: _Entry) -> set[Move]:
    """Those of its files that were moved before a crash."""
    return {move for move in entry.moves if staging.status(move.staged) is None}


def _is_still_there(store: Store, move: Move, entry: _Entry) -> bool:
    found, recorded = store.folder(move.folder).status(move.name), entry.recorded[move.path]
    return found is not None and recorded.fits(found)


def _finish(store: Store, staging: Folder, entry: _Entry) -> dict[str, Any]:
    """The record of an entry, whose files are in place afterwards."""
    in_place = _moved(staging, entry)
    for move in entry.moves:
        place = (store.folder(move.folder), move.name) if move in in_place else (staging, move.staged)
        _require_recorded(*place, entry.recorded[move.path])
    move_together(store, staging, entry.moves, in_place)
    return entry.record


def _require_recorded(folder: Folder, name: str, recorded: OutputRecord) -> None:
    """Refuse a file that is not the recorded one, byte for byte; an OSError where the disk does not let us see."""
    try:
        with folder.reading(name) as file:
            has_its_size = os.fstat(file.fileno()).st_size == recorded.size  # else it could be read for hours
            is_recorded = has_its_size and sha256_of_content(file) == recorded.sha256
    except OSError as error:
        if folder.is_file(name):  # the disk fails, which says nothing of the file
            raise
        msg = f"{folder.path / name}: {error.strerror}"
        raise RecordError(msg) from error
    if not is_recorded:
        msg = f"{folder.path / name} is not the file that it tells of"
        raise RecordError(msg)


def _read_entry(staging: Folder, name: str) -> _Entry:
    try:
        _, facts = unseal(staging.read(name, LARGEST_ENTRY).decode(errors="replace"))
    except OSError as error:
        if staging.is_file(name) and error.errno != errno.EFBIG:  # the disk fails, which says nothing of the entry
            raise
        msg = f"it cannot be read: {error.strerror}"
        raise RecordError(msg) from error
    try:
        record, moves = _record_and_moves(facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = "it is of another form"
        raise RecordError(msg) from error
    done = check_record({**record, "time": 0})
    places = sorted(file.path for file in done.outputs.values()) if isinstance(done, Done) else []
    are_staged = all(is_staged(move.staged) for move in moves)  # places are checked with the record
    if not (isinstance(done, Done) and are_staged and sorted(move.path for move in moves) == places):
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
    """The temporary files that an entry names, and the second names of those they replace; all, where none can tell."""
    try:
        return {file for move in _read_entry(staging, name).moves for file in (move.staged, move.kept)}
    except (RecordError, OSError):
        return set(staging.names())


def _clear(staging: Folder, name: str) -> bool:
    """Remove a temporary file of ours; whether the name is one of ours."""
    if Writer.of(name) is not None and staging.is_folder(name):  # of another writer, in the folder of them all
        return True
    if not is_temporary(name) or not staging.is_file(name):
        return False
    with suppress(OSError):
        staging.remove(name)
    return True
