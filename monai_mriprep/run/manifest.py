"""``manifest.jsonl``: one line an event, only ever appended to."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_mriprep.errors import write_error

__all__ = ["Manifest"]


class Manifest:
    """The record of a run.

    A line is written by one system call and synced. A torn last line, all that a power cut can leave, is passed over
    when reading, and closed before the next line is appended.

    Parameters
    ----------
    path
        The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any], sync: bool = True) -> None:
        """Add one event; the time is put in.

        Parameters
        ----------
        record
            What JSON can hold.
        sync
            Wait until a power cut cannot take it back.

        Raises
        ------
        DiskFullError
            If there is no space left for it.
        OutputError
            If it cannot be written for another reason.
        """
        line = json.dumps({**record, "time": round(time.time(), 3)}) + "\n"
        try:
            self._append(line, sync)
        except OSError as error:
            msg = f"{self.path}: the record cannot be written ({error.strerror}); free space or mend it, then run again"
            raise write_error(error, msg) from error

    def _append(self, line: str, sync: bool) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            content = (self._missing_newline(descriptor) + line).encode()
            if os.write(descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def events(self) -> Iterator[dict[str, Any]]:
        """Every event in order; lines that are not whole, or not ours, are passed over."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and all(isinstance(event.get(key), str) for key in ("case", "event")):
                    yield event

    def latest_and_done(self) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Both `latest` and `done`, read once."""
        latest, done = {}, {}
        for event in self.events():
            latest[event["case"]] = event
            if event["event"] == "done":
                done[event["case"]] = event
        return latest, done

    def latest(self) -> dict[str, dict[str, Any]]:
        """The last event of each case."""
        return self.latest_and_done()[0]

    def done(self) -> dict[str, dict[str, Any]]:
        """The record of each finished case, the last if there are several, whatever was tried since."""
        return self.latest_and_done()[1]

    @staticmethod
    def _missing_newline(descriptor: int) -> str:
        size = os.fstat(descriptor).st_size
        return "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""
