"""An output folder, opened: its folders by name, what stood in their way, and who else writes there."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from monai_mriprep.errors import OutputError, write_error
from monai_mriprep.formats.names import refuse_address
from monai_mriprep.store.attempts import attempts_in
from monai_mriprep.store.folder import Folder, opened, temporary_name, what_it_is
from monai_mriprep.store.layout import (
    FILES,
    FOLDERS,
    MANIFEST,
    PARTIAL,
    PROBE,
    ROLE_FOLDERS,
    SET_ASIDE,
    VOLUME_FOLDERS,
    is_output,
    is_probe,
)
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.writers import this_writer

__all__ = ["AGAIN", "Store", "make_store", "named_errors", "open_store"]

ANOTHER = "mend it, or choose another output folder"
AGAIN = "free space or mend it, then run again"


class Store:
    """An output folder.

    Parameters
    ----------
    root
        The folder.
    writer
        Name of the writer whose files are staged here; by default this process.
    elsewhere
        Where this folder is but a stage for another place, the volumes that are there, by their paths; it grows.
    """

    def __init__(self, root: Folder, writer: str | None = None, elsewhere: Mapping[str, Origin] | None = None) -> None:
        self.root = root
        self.writer = writer or this_writer().name
        self.is_stage = elsewhere is not None
        self.elsewhere = {} if elsewhere is None else elsewhere
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
        return self.root.is_folder(name)

    def volumes(self) -> Iterator[str]:
        """Paths, relative to it, of the volumes in the folders of the roles, as far as they are there; not sorted."""
        for folder in filter(self.has_folder, VOLUME_FOLDERS):
            yield from (f"{folder}/{name}" for name in self.folder(folder).names() if is_output(name))

    def holds(self, path: str) -> bool:
        """Whether a volume is there, by its path relative to the output folder, or in the place that it stands for."""
        folder, name = path.split("/")
        return path in self.elsewhere or self.folder(folder).is_file(name)

    @property
    def partial(self) -> Folder:
        """The folder of all temporary files."""
        return self.folder(PARTIAL)

    @property
    def staging(self) -> Folder:
        """The folder of the writer's temporary files and journal; made if it is missing.

        Raises
        ------
        DiskFullError, OutputError
            If it cannot be made.
        """
        key = f"{PARTIAL}/{self.writer}"
        if key not in self._folders:
            self.make_folders([self.writer], self.partial)
            self._folders[key] = self._open(self.partial, self.writer)
        return self._folders[key]

    def borrow(self) -> None:
        """Open the folder of another writer's temporary files, which is never made anew: it ends with its writer.

        So a worker that outlives its run cannot write into an output folder that another run has taken over.

        Raises
        ------
        OutputError
            If it is not there.
        """
        try:
            self._folders[f"{PARTIAL}/{self.writer}"] = self.partial.folder(self.writer)
        except OSError as error:
            gone = "the run that has handed out this case has ended, or another one has taken its place"
            msg = f"{self.partial.path / self.writer}: cannot be opened ({error.strerror}): {gone}"
            raise OutputError(msg) from error

    def require_staging(self) -> None:
        """Stop a writer that was wrongly told to have ended: its cases fail, and it would record that of all of them.

        Raises
        ------
        OutputError
            If the folder of its temporary files is gone.
        """
        try:
            is_gone = f"{PARTIAL}/{self.writer}" in self._folders and self.partial.status(self.writer) is None
        except OSError:  # a disk that fails says nothing of it
            is_gone = False
        if is_gone:
            msg = (
                f"{self.partial.path / self.writer}: is gone, for another process was told that this one had ended "
                "(--take-over), and has taken its place; run again when that has ended"
            )
            raise OutputError(msg)

    def make_folders(self, names: Iterable[str], parent: Folder | None = None) -> None:
        """Make folders in the output folder, or in one in it, where they are missing; they survive a power cut.

        Raises
        ------
        DiskFullError, OutputError
            If they cannot be made.
        """
        parent = parent or self.root
        with named_errors(parent.path, "no folder can be made there"):
            made = [parent.make_folder(name) for name in names]
            if any(made):
                parent.sync()

    def replace(self, name: str, content: Iterable[bytes]) -> None:
        """Write one of the files in it: it has the new content or, after a crash, the one before.

        Parameters
        ----------
        name
            Of the file.
        content
            All of it, in pieces, which are taken one at a time.

        Raises
        ------
        DiskFullError, OutputError
            If it cannot be written.
        """
        with named_errors(self.root.path / name, "cannot be written", AGAIN):
            self.root.replace(name, content, self.staging)

    def leave(self) -> None:
        """Remove the writer's folder, if it is empty."""
        self.partial.remove_folder(self.writer)

    def prepare(self, folders: Iterable[str] = tuple(ROLE_FOLDERS.values())) -> tuple[str, ...]:
        """Make the folders, and set aside what stands where a folder or a file of ours must be.

        Parameters
        ----------
        folders
            Those of the volumes; by default of a training set.

        Returns
        -------
        tuple of str
            What was set aside, in words.

        Raises
        ------
        OutputError
            If that cannot be done.
        """
        with named_errors(self.root.path, "the output folder cannot be written to"):
            files = (*FILES, *(attempt.file for attempt in attempts_in(self.root)))
            aside = [*self._cleared(self.root, FOLDERS, stat.S_ISDIR), *self._cleared(self.root, files, stat.S_ISREG)]
        self.make_folders((*folders, PARTIAL))
        with named_errors(self.partial.path, "the folder of temporary files cannot be written to"):
            aside += self._cleared(self.partial, [self.writer], stat.S_ISDIR)
        return tuple(aside)

    def set_aside(self, folder: Folder, name: str) -> str:
        """Move a name out of our way, whatever it is.

        Returns
        -------
        str
            What was done, in words.

        Raises
        ------
        OSError
            If it cannot be moved.
        """
        what = what_it_is(folder.require(name).st_mode)
        new, count = name + SET_ASIDE, 1
        while self.root.status(new) is not None:
            count += 1
            new = f"{name}{SET_ASIDE}.{count}"
        folder.move(name, self.root, new)
        return f"{folder.path / name} is {what}, which cannot be used here; it is set aside as {self.root.path / new}"

    def own_manifest(self) -> None:
        """A manifest with a second name, as in a copy made of links, would grow there, too: it becomes our own.

        The lock is held: a line that another run appends meanwhile would be lost.

        Raises
        ------
        DiskFullError, OutputError
            If it cannot be copied.
        """
        with named_errors(self.root.path / MANIFEST, "the records cannot be copied", AGAIN):
            found = self.root.status(MANIFEST)
            if found is not None and found.st_nlink > 1:
                with self.root.reading(MANIFEST) as file:
                    content = file.read()
                self.root.replace(MANIFEST, [content], self.staging)

    def probe(self, names: Iterable[str]) -> None:
        """Move a file into each of these folders and out again, and sync them.

        Raises
        ------
        OutputError
            If that does not work, such as where one of them is on another disk.
        """
        for folder in map(self.folder, names):
            problem = f"finished files cannot be moved there from {self.partial.path}, which must be on the same disk"
            with named_errors(folder.path, problem):
                self._probe(folder)

    def _probe(self, folder: Folder) -> None:
        for left in filter(is_probe, folder.names()):
            if folder.is_file(left):
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

    def _cleared(self, folder: Folder, names: Iterable[str], is_right: Callable[[int], bool]) -> list[str]:
        """Set aside what has one of these names and is of another kind; returns that in words."""
        kinds = ((name, folder.status(name)) for name in names)
        wrong = [name for name, found in kinds if found is not None and not is_right(found.st_mode)]
        return [self.set_aside(folder, name) for name in wrong]

    @staticmethod
    def _open(parent: Folder, name: str) -> Folder:
        try:
            return parent.folder(name)
        except OSError as error:
            why = error.strerror
            with suppress(OSError):  # a disk that fails says no more
                found = parent.status(name)
                if found is not None and not stat.S_ISDIR(found.st_mode):
                    why = f"it is {what_it_is(found.st_mode)}"
            msg = f"{parent.path / name}: the folder cannot be opened ({why}); give the output folder of a run"
            raise OutputError(msg) from error


@contextmanager
def named_errors(path: Path, problem: str, remedy: str = ANOTHER) -> Iterator[None]:
    """Raise the errors of the system as ours, which name a path, the problem, and what to do.

    Raises
    ------
    DiskFullError, OutputError
        In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        msg = f"{path}: {problem} ({error.strerror}); {remedy}"
        raise write_error(error, msg) from error


@contextmanager
def open_store(
    path: Path,
    writer: str | None = None,
    borrowed: bool = False,
    elsewhere: Mapping[str, Origin] | None = None,
) -> Iterator[Store]:
    """Open an output folder that is there.

    Parameters
    ----------
    path, writer, elsewhere
        As in `Store`.
    borrowed
        Work for a writer that must be there: see `Store.borrow`.

    Raises
    ------
    OutputError
        If there is none, or no such writer.
    """
    refuse_address(path, OutputError)
    with opened(path) as root:
        store = Store(root, writer, elsewhere)
        try:
            if borrowed:
                store.borrow()
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
    refuse_address(path, OutputError)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{path}: the output folder cannot be made ({error.strerror}); choose another, or free the name"
        raise OutputError(msg) from error
