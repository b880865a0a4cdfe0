"""``manifest.jsonl``: one line an event, only ever appended to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one event; the time is put in."""
        line = json.dumps({**record, "time": round(time.time(), 3)}) + "\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, (self._missing_newline(descriptor) + line).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def events(self) -> Iterator[dict[str, Any]]:
        """Every event in order; lines that are not whole are passed over."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    yield event

    def latest(self) -> dict[str, dict[str, Any]]:
        """The last event of each case."""
        return {event["case"]: event for event in self.events() if "case" in event}

    @staticmethod
    def _missing_newline(descriptor: int) -> str:
        size = os.fstat(descriptor).st_size
        return "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""
