"""The one who writes records: in groups, so that many small cases do not wait for the disk one by one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from monai_mriprep.errors import LockedError, OutputError
from monai_mriprep.formats.sealed import seal
from monai_mriprep.store import calls
from monai_mriprep.store.attempts import Shard, next_attempt
from monai_mriprep.store.description import share_description
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.layout import MANIFEST, VOLUME_FOLDERS
from monai_mriprep.store.record_lines import append_lines, append_to
from monai_mriprep.store.store import AGAIN, Store, named_errors

__all__ = ["Recorder", "ShardRecorder"]

GROUP_RECORDS = 64
GROUP_SECONDS = 1.0


class Recorder:
    """Appends records to a file of them, and syncs them in groups.

    A line is written at once. With the 64th record of a finished case, or the first that comes more than a second after
    the last sync, the file and the folders of volumes are synced. Only then are the journal entries of this group
    removed, so a power cut before it loses nothing.

    Parameters
    ----------
    store
        Where.
    file
        The name of the file; a shard has one of its own (`monai_mriprep.store.attempts`).
    """

    def __init__(self, store: Store, file: str = MANIFEST) -> None:
        self.store = store
        self.file = file
        self._entries: list[str] = []
        self._synced = time.monotonic()

    def enter(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append records, and sync them with their files; the caller removes their journal entries.

        Raises
        ------
        DiskFullError, OutputError
            If that fails.
        """
        for record in records:
            self._append(record)
        if records:
            self._sync()

    def add(self, record: Mapping[str, Any]) -> None:
        """Append one record; its time is put in.

        Raises
        ------
        DiskFullError
            If there is no space left for it.
        OutputError
            If it cannot be written for another reason.
        """
        self._append(record)
        if record["event"] != "done":
            return
        self._entries.append(entry_name(record["case"]))
        if len(self._entries) >= GROUP_RECORDS or time.monotonic() - self._synced > GROUP_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Sync what was added, and remove the journal entries.

        Raises
        ------
        DiskFullError, OutputError
            If that fails. The entries stay, and recovery writes their records anew: the system drops what it could not
            write, so that a second sync would keep nothing and find no fault.
        """
        entries, self._entries = self._entries, []
        if entries:
            self._sync()
        for entry in entries:
            with suppress(OSError):
                self.store.staging.remove(entry)

    def close(self) -> None:
        """Let go of the file."""

    def _append(self, record: Mapping[str, Any]) -> None:
        with self._named_errors():
            append_lines(self.store.root, [_line(record)], self.file)

    def _sync(self) -> None:
        with self._named_errors():
            self.store.root.sync_file(self.file)
            for name in filter(self.store.has_folder, VOLUME_FOLDERS):
                self.store.folder(name).sync()
        self._synced = time.monotonic()

    def _named_errors(self) -> AbstractContextManager[None]:
        return named_errors(self.store.root.path / self.file, "the records cannot be written", AGAIN)


class ShardRecorder(Recorder):
    """Appends records of a part of a run to a file of its own, which it makes when the first one comes.

    The file stays open. Who was wrongly told to have ended (``--take-over``) would else make it anew after a merge, or
    write into that of the next attempt, which may have its name.

    Parameters
    ----------
    store
        Where.
    shard
        Which part.
    opened
        The first record.
    """

    def __init__(self, store: Store, shard: Shard, opened: Mapping[str, Any]) -> None:
        super().__init__(store)
        self.shard = shard
        self.opened = opened
        self._descriptor: int | None = None

    def begin(self) -> None:
        """Make the file with its first record, unless that is done.

        Raises
        ------
        LockedError
            If somebody else makes it at this moment.
        DiskFullError, OutputError
            If it cannot be made.
        """
        if self._descriptor is not None:
            return
        share_description(self.store)
        self.file = next_attempt(self.store.root, self.shard).file
        with self._named_errors():
            self._create()
            self._descriptor = self.store.root.appending(self.file)
        share_description(self.store)  # again: without locks, a merge may have ended in between

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            calls.close(self._descriptor)
            self._descriptor = None

    def _create(self) -> None:
        root = self.store.root
        try:
            root.create(self.file, [f"{_line(self.opened)}\n".encode()], sync=True)
        except FileExistsError as error:
            msg = f"{root.path / self.file}: another process begins this shard; wait for its end"
            raise LockedError(msg) from error
        root.sync()

    def _append(self, record: Mapping[str, Any]) -> None:
        self.begin()
        with self._named_errors():
            append_to(self._require_own(), [_line(record)])

    def _require_own(self) -> int:
        """The file, as long as it has its name."""
        descriptor, found = self._descriptor, self.store.root.status(self.file)
        if descriptor is None or found is None or not os.path.samestat(found, os.fstat(descriptor)):
            msg = (
                f"{self.store.root.path / self.file}: is gone, for another process was told that this one had ended "
                "(--take-over), and has merged its records; start this shard again"
            )
            raise OutputError(msg)
        return descriptor


def _line(record: Mapping[str, Any]) -> str:
    return seal({**record, "time": round(time.time(), 3)})
