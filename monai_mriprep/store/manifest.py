"""``manifest.jsonl``: one record a line, only ever appended to."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_mriprep.errors import RecordError, write_error
from monai_mriprep.store.records import Done, Record, read_record

__all__ = ["Manifest", "Records"]

CASE = re.compile(r'"case": *("(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")')
"""Where a line names its case; what comes after it may be torn."""


@dataclass
class Records:
    """What a manifest says, by the name of the case.

    Parameters
    ----------
    latest
        The last record of each case.
    done
        The last record of success, whatever was tried since.
    unreadable
        What is wrong with the last line of a case, where that is no record. Such a case has no latest record, so that
        it is done again.
    """

    latest: dict[str, Record] = field(default_factory=dict)
    done: dict[str, Done] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Enter the next record."""
        self.latest[record.case] = record
        self.unreadable.pop(record.case, None)
        if isinstance(record, Done):
            self.done[record.case] = record

    def add_unreadable(self, line: str, problem: str) -> None:
        """Enter a line that is no record."""
        if (found := CASE.search(line)) is not None:
            case = str(json.loads(found[1], strict=False))
            self.latest.pop(case, None)
            self.unreadable[case] = problem


class Manifest:
    """The records of a run.

    A line is written by one system call and synced. A torn last line, all that a power cut can leave, is no record,
    and is closed before the next line is appended.

    Parameters
    ----------
    path
        The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any], sync: bool = True) -> None:
        """Add one record; its time is put in.

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

    def read(self) -> Records:
        """Every record, once; a line that is no record and names no case is skipped."""
        records = Records()
        if not self.path.exists():
            return records
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                try:
                    records.add(read_record(line))
                except RecordError as error:
                    records.add_unreadable(line, f"line {number} of {self.path.name} is no record ({error})")
        return records

    def latest(self) -> dict[str, Record]:
        """The last record of each case."""
        return self.read().latest

    def done(self) -> dict[str, Done]:
        """The last record of success of each case that has one, whatever was tried since."""
        return self.read().done

    @staticmethod
    def _missing_newline(descriptor: int) -> str:
        size = os.fstat(descriptor).st_size
        return "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""
