"""An output folder that somebody else could write to, and what lies outside of it and must stay untouched."""

from __future__ import annotations

import ctypes
import io
import os
import shutil
import signal
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_mriprep.cli import main
from tests.runs import done_records, write_cases

CASES = ("case_0", "case_1")
SETTINGS = ("--workers", "0")

IN_ACCESS, IN_OPEN, IN_NONBLOCK = 0x1, 0x20, 0o4000
IN_CHANGED = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""Modified, attributes, moved from, moved to, created, deleted, the watched one deleted, or moved."""
EVENT = struct.Struct("iIII")


def command(*arguments: object) -> tuple[int, str]:
    """Run a command in this process; its exit status, and all that it printed. Signals are handled as before."""
    text, before = io.StringIO(), sys.argv
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = ["monai-mriprep", *map(str, arguments)]
    try:
        with redirect_stdout(text), redirect_stderr(text):
            main()
    except SystemExit as ended:
        return int(ended.code or 0), text.getvalue()
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
    raise AssertionError


@dataclass(frozen=True)
class Site:
    """A dataset of two cases, a folder where both are finished, and predictions of both."""

    dataset: Path
    output: Path
    predictions: Path

    @classmethod
    def make(cls, root: Path) -> Site:
        """Preprocess it."""
        site = cls(write_cases(root / "dataset", len(CASES)), root / "out", root / "predictions")
        status, text = site.run()
        assert status == 0, text
        site.predictions.mkdir()
        for case, record in done_records(site.output).items():
            np.savez(site.predictions / f"{case}.npz", np.zeros(record.target_grid.shape, np.uint8))
        return site

    def copied(self, root: Path) -> Site:
        """The same with an output folder of its own."""
        return Site(self.dataset, shutil.copytree(self.output, root / "out"), self.predictions)

    def run(self, *options: object) -> tuple[int, str]:
        """Preprocess what is left to do."""
        return command("run", self.dataset, self.output, *SETTINGS, *options)

    def verify(self) -> tuple[int, str]:
        return command("verify", self.output)

    def restore(self) -> tuple[int, str]:
        return command("restore", self.output, self.predictions, self.output.parent / "restored")

    def split(self) -> tuple[int, str]:
        return command("split", self.output, "-k", 2)

    def repair(self) -> tuple[int, str]:
        return command("repair", self.output)

    def readers(self) -> Iterator[tuple[int, str]]:
        """Every command that finishes nothing there."""
        yield from (self.verify(), self.restore(), self.split())


class Outside:
    """Files and folders beside the output folder, and a watch on them.

    Parameters
    ----------
    root
        Is made.
    """

    def __init__(self, root: Path) -> None:
        self.file, self.folder = root / "file", root / "folder"
        self.folder.mkdir(parents=True)
        self.file.write_bytes(b"precious")
        for name in ("imagesTr", "labelsTr", "victim"):
            (self.folder / name).mkdir()
            (self.folder / name / "case_1.npz").write_bytes(b"precious, too")
        for name in ("manifest.jsonl", "run.json", f"1-{'0' * 32}.npz", f"{'0' * 64}.journal"):
            (self.folder / name).write_bytes(b"{}")
        self.root = root

    @contextmanager
    def untouched(self, watched: bool = True) -> Iterator[None]:
        """Nothing of it is read, written, renamed or deleted inside; where a file has a second name, not changed."""
        before = self._state()
        with closing(_Inotify([self.root, *self.root.rglob("*")])) as watch:
            yield
            seen = watch.events()
        assert self._state() == before
        assert not watched or seen == []

    def _state(self) -> dict[str, tuple[int, int, int, bytes | None]]:
        found = {}
        for path in (self.root, *self.root.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, content)
        return found


class _Inotify:
    """What is done to files and folders, as the kernel tells it."""

    def __init__(self, paths: list[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(IN_NONBLOCK)
        kinds = IN_OPEN | IN_ACCESS | IN_CHANGED
        self.paths = {libc.inotify_add_watch(self.descriptor, os.fsencode(path), kinds): path for path in paths}
        assert min(self.paths) >= 0

    def events(self) -> list[tuple[str, str]]:
        """Each event's kind and place."""
        try:
            data = os.read(self.descriptor, 1 << 20)
        except BlockingIOError:
            return []
        found = []
        while data:
            watch, kind, _, length = EVENT.unpack_from(data)
            name = os.fsdecode(data[EVENT.size : EVENT.size + length].rstrip(b"\0"))
            found.append((hex(kind), f"{self.paths[watch]}/{name}"))
            data = data[EVENT.size + length :]
        return found

    def close(self) -> None:
        os.close(self.descriptor)


def plant(path: Path, kind: str, outside: Outside) -> None:
    """Put something in place of a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    PLANTED[kind](path, outside)


def _folder(path: Path, _: Outside) -> None:
    (path / "in it").mkdir(parents=True)
    (path / "in it" / "file").write_bytes(b"of somebody")


PLANTED: dict[str, Callable[[Path, Outside], object]] = {
    "link to a file": lambda path, outside: path.symlink_to(outside.file),
    "link to a folder": lambda path, outside: path.symlink_to(outside.folder),
    "dangling link": lambda path, outside: path.symlink_to(outside.root / "victim"),
    "link to itself": lambda path, _: path.symlink_to(path.name),
    "second name": lambda path, outside: path.hardlink_to(outside.file),
    "pipe": lambda path, _: os.mkfifo(path),
    "socket": lambda path, _: os.mknod(path, stat.S_IFSOCK | 0o600),
    "device": lambda path, _: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5)),
    "folder": _folder,
    "file": lambda path, _: path.write_bytes(b"rubbish"),
}
"""What can stand in the place of something of ours."""
