"""A model of a disk: what may be found there after a power cut, given what was written and what was synced.

A file's content is certain once the file was synced, a name once its folder was. Whatever else was done may be there or
not: a write whole, in part, or as zeros; of several names any one. Two kinds of file system are told apart:

- *ordered*: changes of names reach the disk in the order in which they were made, a rename as a whole (ext4, XFS, ...);
- not ordered: each name of each folder by itself. A file that was moved may be found in both folders, or in neither.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(eq=False)
class File:
    """A file: what of it is certain, what was written since, and when it was changed last."""

    certain: bytes = b""
    mtime_ns: int = 0
    writes: list[tuple[int, bytes]] = field(default_factory=list)

    def content(self) -> bytes:
        """As programs see it before the power cut."""
        return patched(self.certain, self.writes)

    def found(self, draw: random.Random) -> bytes:
        """As it may be found after the power cut."""
        kind = draw.choice(["kept", "lost", "torn", "zeros"])
        if kind == "kept" or not self.writes:
            return self.content()
        if kind == "lost":
            return self.certain
        if kind == "torn":
            return self.content()[: draw.randint(len(self.certain), max(len(self.certain), len(self.content())))]
        return patched(self.certain, [(at, draw.choice([data, bytes(len(data))])) for at, data in self.writes])


def patched(content: bytes, writes: list[tuple[int, bytes]]) -> bytes:
    """The content with these writes."""
    grown = bytearray(content)
    for at, data in writes:
        grown.extend(bytes(max(0, at + len(data) - len(grown))))
        grown[at : at + len(data)] = data
    return bytes(grown)


@dataclass(eq=False)
class Folder:
    """A folder: its names at the start, and how many of all changes of names are certain for it."""

    names: dict[str, Node] = field(default_factory=dict)
    certain: int = 0


Node = File | Folder


def _is_entry(name: str, node: Node | None) -> bool:
    """Whether this is a whole entry of a journal, and certain."""
    return name.endswith(".journal") and isinstance(node, File) and not node.writes


class Change(NamedTuple):
    """A name of a folder that has become that of something else, or of nothing."""

    folder: Folder
    name: str
    node: Node | None
    is_whole: bool = True
    """False for the first half of a rename: on an ordered disk it is there with the second one only."""


class Disk:
    """Follows the calls that are made in a folder.

    Parameters
    ----------
    root
        The folder. All that is there at the start is certain.

    Attributes
    ----------
    entered
        Names of journal entries that were certain at some time.
    acknowledged
        Those of them that were removed then: somebody relies on the record.
    """

    def __init__(self, root: Path) -> None:
        self._nodes: dict[int, Node] = {}
        self.folders: list[Folder] = []
        self.changes: list[Change] = []
        self.entered = {path.name for path in root.rglob("*.journal")}
        self.acknowledged: set[str] = set()
        self.root = self._read(root)

    def _read(self, path: Path) -> Node:
        status = path.stat()
        if path.is_dir():
            node: Node = self._new_folder({child.name: self._read(child) for child in path.iterdir()})
        elif status.st_ino in self._nodes:
            return self._nodes[status.st_ino]
        else:
            node = File(path.read_bytes(), status.st_mtime_ns)
        self._nodes[status.st_ino] = node
        return node

    def _new_folder(self, names: dict[str, Node]) -> Folder:
        self.folders.append(Folder(names))
        return self.folders[-1]

    def note(self, name: str, arguments: tuple[Any, ...], found: Any) -> None:
        """Follow a call."""
        follow = getattr(self, f"_on_{name}", None)
        if follow is not None:
            follow(*arguments, found)

    def _on_open_file(self, name: str, flags: int, folder: int, descriptor: int) -> None:
        if flags & os.O_CREAT and self._of(folder, name) is None:
            status = os.fstat(descriptor)
            self._nodes[status.st_ino] = File(b"", status.st_mtime_ns)
            self._change(folder, name, self._nodes[status.st_ino])

    def _on_write(self, descriptor: int, content: bytes, _: None) -> None:
        file, data = self._at(descriptor), bytes(content)
        file.writes.append((os.lseek(descriptor, 0, os.SEEK_CUR) - len(data), data))
        file.mtime_ns = os.fstat(descriptor).st_mtime_ns

    def _on_fsync(self, descriptor: int, _: None) -> None:
        node = self._at(descriptor)
        if isinstance(node, Folder):
            node.certain = len(self.changes)
            self.entered |= {name for name, child in self._names(node, node.certain).items() if _is_entry(name, child)}
        else:
            node.certain, node.writes = node.content(), []

    def _on_rename(self, name: str, folder: int, new_name: str, new_folder: int, _: None) -> None:
        node = self._of(folder, name)
        if node is not self._of(new_folder, new_name):  # two names of one file: nothing happens
            self._change(folder, name, None, is_whole=False)
            self._change(new_folder, new_name, node)

    def _on_link(self, name: str, folder: int, new_name: str, new_folder: int, _: None) -> None:
        self._change(new_folder, new_name, self._of(folder, name))

    def _on_unlink(self, name: str, folder: int, _: None) -> None:
        self.acknowledged |= self.entered & {name}
        self._change(folder, name, None)

    def _on_make_folder(self, name: str, folder: int, _: None) -> None:
        node = self._nodes[os.stat(name, dir_fd=folder).st_ino] = self._new_folder({})
        self._change(folder, name, node)

    def _on_remove_folder(self, name: str, folder: int, _: None) -> None:
        self._change(folder, name, None)

    def lose(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Follow a sync that has failed: what it was to keep is gone, and no later sync keeps it."""
        node = self._at(arguments[0]) if name == "fsync" else None
        if isinstance(node, File):
            node.writes = []

    def _at(self, descriptor: int) -> Any:
        return self._nodes[os.fstat(descriptor).st_ino]

    def _change(self, folder: int, name: str, node: Node | None, is_whole: bool = True) -> None:
        self.changes.append(Change(self._at(folder), name, node, is_whole))

    def _of(self, folder: int, name: str) -> Node | None:
        """What a name is, as programs see it."""
        return self._names(self._at(folder), len(self.changes)).get(name)

    def _names(self, folder: Folder, count: int) -> dict[str, Node | None]:
        """The names of a folder after the first changes of all."""
        changed = {change.name: change.node for change in self.changes[:count] if change.folder is folder}
        return {**folder.names, **changed}

    def after_power_cut(self, path: Path, draw: random.Random, ordered: bool) -> None:
        """Write what may be found after a power cut to a new folder."""
        names = self._found_ordered(draw) if ordered else self._found_in_any_order(draw)
        _Found(names, draw).write_folder(self.root, path)

    def _found_ordered(self, draw: random.Random) -> dict[Folder, dict[str, Node | None]]:
        least = max(folder.certain for folder in self.folders)
        ends = [n for n in range(least, len(self.changes) + 1) if n == 0 or self.changes[n - 1].is_whole]
        count = draw.choice(ends)
        return {folder: self._names(folder, count) for folder in self.folders}

    def _found_in_any_order(self, draw: random.Random) -> dict[Folder, dict[str, Node | None]]:
        return {folder: dict(self._drawn_names(folder, draw)) for folder in self.folders}

    def _drawn_names(self, folder: Folder, draw: random.Random) -> Iterator[tuple[str, Node | None]]:
        certain = self._names(folder, folder.certain)
        later = [change for change in self.changes[folder.certain :] if change.folder is folder]
        for name in sorted({*certain, *(change.name for change in later)}):
            yield name, draw.choice([certain.get(name), *(change.node for change in later if change.name == name)])


class _Found:
    """Writes a folder as it is found."""

    def __init__(self, names: dict[Folder, dict[str, Node | None]], draw: random.Random) -> None:
        self.names = names
        self.draw = draw
        self.places: dict[Node, Path] = {}

    def write_folder(self, folder: Folder, path: Path) -> None:
        path.mkdir()
        self.places[folder] = path
        for name, node in self.names[folder].items():
            if isinstance(node, Folder) and node not in self.places:  # a folder has one name
                self.write_folder(node, path / name)
            elif isinstance(node, File):
                self.write_file(node, path / name)

    def write_file(self, file: File, path: Path) -> None:
        if file in self.places:
            os.link(self.places[file], path)
            return
        self.places[file] = path
        path.write_bytes(file.found(self.draw))
        os.utime(path, ns=(file.mtime_ns, file.mtime_ns))
