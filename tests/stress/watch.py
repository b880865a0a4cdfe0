"""Watch `imagesTr` and `labelsTr` while a run is killed: what appears there, and is it whole at first sight?"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from monai_mriprep.store.layout import is_probe
from tests.runs import OUTPUT_FOLDERS, assert_complete

IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_NONBLOCK = 0x2, 0x80, 0x100, 0o4000
EVENT = struct.Struct("iIII")


class Watch:
    """The kernel tells every name that appears (inotify misses none); a thread opens each new file at once.

    Parameters
    ----------
    output
        OUTPUT_ROOT; its two folders are made.
    """

    def __init__(self, output: Path) -> None:
        self.folders = [output / name for name in OUTPUT_FOLDERS]
        self.problems: list[str] = []
        self.opened = self.appeared = 0
        self._seen: set[tuple[str, int, int]] = set()
        self._events = inotify(self.folders)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch; everything that was seen must have been in order."""
        self._ended.set()
        self._thread.join(timeout=30)
        os.close(self._events)
        assert self.problems == []

    def _look(self) -> None:
        while not self._ended.is_set():
            self._open_new_files()
            for kind, name in (event for event in read_events(self._events) if not is_probe(event[1])):
                self.appeared += 1
                if kind != IN_MOVED_TO or not name.endswith(".npz"):
                    self.problems.append(f"{name} did not appear by being moved there, complete (event {kind:#x})")
            self._ended.wait(0.001)

    def _open_new_files(self) -> None:
        entries = (entry for folder in self.folders for entry in os.scandir(folder))
        for entry in (entry for entry in entries if not is_probe(entry.name)):
            try:
                content = self._content_if_new(entry)
                if content is not None:
                    self.opened += 1
                    assert_complete(content)
            except FileNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001  whatever is wrong with it
                self.problems.append(f"{entry.path}: {error!r}")

    def _content_if_new(self, entry: os.DirEntry[str]) -> bytes | None:
        with Path(entry.path).open("rb") as file:
            status = os.fstat(file.fileno())
            identity = (entry.path, status.st_ino, status.st_mtime_ns)
            if identity in self._seen:
                return None
            self._seen.add(identity)
            return file.read()


def inotify(folders: list[Path]) -> int:
    """Descriptor that tells of every file that is made in, moved to or modified in the folders."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(IN_NONBLOCK)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        assert libc.inotify_add_watch(descriptor, os.fsencode(folder), IN_MODIFY | IN_MOVED_TO | IN_CREATE) >= 0
    return descriptor


def read_events(descriptor: int) -> Iterator[tuple[int, str]]:
    """What has happened since the last call: kind and file name."""
    try:
        data = os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return
    while data:
        _, kind, _, length = EVENT.unpack_from(data)
        yield kind, os.fsdecode(data[EVENT.size : EVENT.size + length].rstrip(b"\0"))
        data = data[EVENT.size + length :]
