"""An output folder, opened: its folders by name, what stood in their way, and who else writes there."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_mriprep.errors import OutputError, write_error
from monai_mriprep.store.folder import Folder, opened, temporary_name, what_it_is
from monai_mriprep.store.layout import FILES, FOLDERS, MANIFEST, PARTIAL, PROBE, SET_ASIDE, is_probe
from monai_mriprep.store.writers import this_writer

__all__ = ["Store", "make_store", "open_store"]


class Store:
    """An output folder.

    Parameters
    ----------
    root
        The folder.
    writer
        Name of the writer whose files are staged here; by default this process.
    """

    def __init__(self, root: Folder, writer: str | None = None) -> None:
        self.root = root
        self.writer = writer or this_writer().name
        self._folders: dict[str, Folder] = {}

    def folder(self, name: str) -> Folder:
        """A folder in it, such as ``imagesTr``; opened once.

        Raises
        ------
        OutputError
            If it is missing, or a link or a file.
        """
        if name not in self._folders:
            self._folders[name] = self._open(self.root, name)
        return self._folders[name]

    def has_folder(self, name: str) -> bool:
        """Whether there is a folder of this name in it, and no link or file."""
        found = self.root.status(name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    @property
    def partial(self) -> Folder:
        """The folder of all temporary files."""
        return self.folder(PARTIAL)

    @property
    def staging(self) -> Folder:
        """The folder of the writer's temporary files and journal; made if it is missing."""
        key = f"{PARTIAL}/{self.writer}"
        if key not in self._folders:
            self.partial.make_folder(self.writer)
            self._folders[key] = self._open(self.partial, self.writer)
        return self._folders[key]

    def replace(self, name: str, content: bytes) -> None:
        """Write one of the files in it: it has the new content or, after a crash, the one before.

        Raises
        ------
        DiskFullError, OutputError
            If it cannot be written.
        """
        try:
            self.root.replace(name, content, self.staging)
        except OSError as error:
            msg = (
                f"{self.root.path / name}: cannot be written ({error.strerror}); free space or mend it, then run again"
            )
            raise write_error(error, msg) from error

    def leave(self) -> None:
        """Remove the writer's folder, if it is empty."""
        self.partial.remove_folder(self.writer)

    def settle(self) -> tuple[str, ...]:
        """Make the folders, and set aside what stands where a folder or a file of ours must be.

        Returns
        -------
        tuple of str
            What was set aside, in words.

        Raises
        ------
        OutputError
            If that cannot be done.
        """
        try:
            found = [*self._in_the_way(FOLDERS, stat.S_ISDIR), *self._in_the_way(FILES, stat.S_ISREG)]
            messages = tuple(self.set_aside(self.root, name) for name in found)
            for name in FOLDERS:
                self.root.make_folder(name)
            self._own_manifest()
        except OSError as error:
            facts = f"{self.root.path}: the output folder cannot be written to ({error.strerror})"
            msg = f"{facts}; mend it, or choose another"
            raise write_error(error, msg) from error
        return messages

    def set_aside(self, folder: Folder, name: str) -> str:
        """Move a name out of our way, whatever it is; returns what was done, in words."""
        found = folder.status(name)
        new, count = name + SET_ASIDE, 1
        while self.root.status(new) is not None:
            count += 1
            new = f"{name}{SET_ASIDE}.{count}"
        folder.move(name, self.root, new)
        what = "gone" if found is None else what_it_is(found.st_mode)
        return f"{folder.path / name} is {what}, which is not followed; it is set aside as {self.root.path / new}"

    def probe(self, names: Iterable[str]) -> None:
        """Move a file into each of these folders and out again, and sync them.

        Raises
        ------
        OutputError
            If that does not work, such as where one of them is on another disk.
        """
        for folder in map(self.folder, names):
            try:
                self._probe(folder)
            except OSError as error:
                msg = (
                    f"{folder.path}: finished files cannot be moved there ({error.strerror}); it must be a writable "
                    f"folder of the same disk as {self.root.path}: mend it, or choose another output folder"
                )
                raise write_error(error, msg) from error

    def _probe(self, folder: Folder) -> None:
        for left in filter(is_probe, folder.names()):
            folder.remove(left)
        temporary = temporary_name("npz")
        self.staging.create(temporary, [b"probe"], sync=True)
        try:
            self.staging.move(temporary, folder, PROBE + temporary)
        except OSError:
            self.staging.remove(temporary)
            raise
        folder.remove(PROBE + temporary)
        folder.sync()

    def close(self) -> None:
        """Close the folders that were opened in it."""
        for folder in self._folders.values():
            folder.close()
        self._folders.clear()

    def _in_the_way(self, names: Iterable[str], is_right: Callable[[int], bool]) -> list[str]:
        modes = ((name, self.root.status(name)) for name in names)
        return [name for name, found in modes if found is not None and not is_right(found.st_mode)]

    def _own_manifest(self) -> None:
        """A manifest with a second name, as in a copy made of links, would grow there, too: it becomes our own."""
        found = self.root.status(MANIFEST)
        if found is not None and found.st_nlink > 1:
            self.replace(MANIFEST, self.root.read(MANIFEST, found.st_size))

    @staticmethod
    def _open(parent: Folder, name: str) -> Folder:
        try:
            return parent.folder(name)
        except OSError as error:
            found = parent.status(name)
            why = (
                error.strerror if found is None or stat.S_ISDIR(found.st_mode) else f"it is {what_it_is(found.st_mode)}"
            )
            msg = f"{parent.path / name}: the folder cannot be opened ({why}); give the output folder of a run"
            raise OutputError(msg) from error


@contextmanager
def open_store(path: Path, writer: str | None = None) -> Iterator[Store]:
    """Open an output folder that is there.

    Raises
    ------
    OutputError
        If there is none.
    """
    with opened(path) as root:
        store = Store(root, writer)
        try:
            yield store
        finally:
            store.close()


def make_store(path: Path) -> None:
    """Make an output folder, unless it is there.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{path}: the output folder cannot be made ({error.strerror}); choose another, or free the name"
        raise OutputError(msg) from error
