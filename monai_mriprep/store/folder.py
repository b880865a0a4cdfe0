"""An open folder of the store: what is read, written, moved and removed in it.

Whoever can write to an output folder can plant links, pipes and folders there. So everything goes by a descriptor and
a bare name: nothing outside is reached, and only a regular file is taken for a file.
"""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from monai_mriprep.errors import OutputError
from monai_mriprep.store import calls
from monai_mriprep.store.layout import check_bare

__all__ = ["Folder", "opened", "temporary_name", "what_it_is"]


WITHOUT_LINKS = frozenset((errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))
"""What file systems say that give a file no second name; those in user space say ENOSYS."""


class Folder:
    """An open folder.

    Parameters
    ----------
    descriptor
        Closed by `close`, or at the end of `opened`.
    path
        For messages.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor = descriptor
        self.path = path

    def close(self) -> None:
        """Close the descriptor."""
        calls.close(self.descriptor)

    def folder(self, name: str) -> Folder:
        """Open a folder in this one.

        Raises
        ------
        OSError
            If there is none, or the name is a link or a file.
        """
        return Folder(calls.open_folder(check_bare(name), self.descriptor), self.path / name)

    def make_folder(self, name: str) -> bool:
        """Make a folder, unless the name is there; whether it was made."""
        try:
            calls.make_folder(check_bare(name), self.descriptor)
        except FileExistsError:
            return False
        return True

    def names(self) -> list[str]:
        """The names in it, sorted."""
        return sorted(calls.names(self.descriptor))

    def status(self, name: str) -> os.stat_result | None:
        """What a name is, or None if there is none; a link is a link."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return calls.status(check_bare(name), self.descriptor)
        return None

    def require(self, name: str) -> os.stat_result:
        """What a name is; a link is a link.

        Raises
        ------
        OSError
            If there is no such name.
        """
        return calls.status(check_bare(name), self.descriptor)

    def is_file(self, name: str) -> bool:
        """Whether a name is that of a regular file."""
        found = self.status(name)
        return found is not None and stat.S_ISREG(found.st_mode)

    def is_folder(self, name: str) -> bool:
        """Whether a name is that of a folder, and no link to one."""
        found = self.status(name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Open a regular file for reading.

        Raises
        ------
        OSError
            If there is none.
        """
        with os.fdopen(self._open(name, os.O_RDONLY), "rb") as file:
            yield file

    def read(self, name: str, limit: int = 1 << 26) -> bytes:
        """The content of a regular file.

        Raises
        ------
        OSError
            If there is none, or it holds more than `limit` bytes.
        """
        with self.reading(name) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"it holds more than {limit} bytes")
        return content

    def create(self, name: str, parts: Iterable[bytes | bytearray | memoryview], sync: bool = False) -> None:
        """Write a new file; if that fails, none is left.

        Parameters
        ----------
        name
            No file may have it.
        parts
            The content.
        sync
            Wait until it is on the disk. Without it, the disk starts to write in the background.
        """
        descriptor = self._open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            try:
                for part in parts:
                    calls.write(descriptor, part)
                if sync:
                    calls.fsync(descriptor)
                elif hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                calls.close(descriptor)
        except BaseException:
            with suppress(OSError):
                self.remove(name)
            raise

    def sync_file(self, name: str) -> None:
        """Wait until a file's content is on the disk."""
        descriptor = self._open(name, os.O_RDONLY)
        try:
            calls.fsync(descriptor)
        finally:
            calls.close(descriptor)

    def sync(self) -> None:
        """Wait until the names in it are on the disk; some file systems (SMB, vboxsf) have no such call for folders."""
        try:
            calls.fsync(self.descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise

    def move(self, name: str, folder: Folder, new_name: str) -> None:
        """Move a file, replacing the one that has the new name."""
        calls.rename(check_bare(name), self.descriptor, check_bare(new_name), folder.descriptor)

    def link(self, name: str, folder: Folder, new_name: str) -> None:
        """Give a file a second name."""
        calls.link(check_bare(name), self.descriptor, check_bare(new_name), folder.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, unless it is gone."""
        with suppress(FileNotFoundError):
            calls.unlink(check_bare(name), self.descriptor)

    def remove_folder(self, name: str) -> None:
        """Remove a folder if it is empty."""
        with suppress(OSError):
            calls.remove_folder(check_bare(name), self.descriptor)

    def replace(self, name: str, content: Iterable[bytes], staging: Folder) -> None:
        """Write a file that is there with its whole content, or as it was before.

        Parameters
        ----------
        name
            May be that of a file.
        content
            All of it, in pieces, which are taken one at a time.
        staging
            Where it is written and synced first.
        """
        temporary = temporary_name("json")
        staging.create(temporary, content, sync=True)
        try:
            staging.move(temporary, self, name)
            self.sync()
        except BaseException:
            with suppress(OSError):
                staging.remove(temporary)
            raise

    def create_whole(self, name: str, content: Iterable[bytes], staging: Folder) -> bool:
        """Write a file with its whole content, unless one is there; whether it was written.

        Parameters
        ----------
        name
            Of several processes that write it at once, one does.
        content
            All of it, in pieces.
        staging
            Where it is written and synced first.
        """
        temporary = temporary_name("json")
        staging.create(temporary, content, sync=True)
        try:
            return self._give_name(staging, temporary, name)
        finally:
            with suppress(OSError):
                staging.remove(temporary)

    def _give_name(self, staging: Folder, temporary: str, name: str) -> bool:
        try:
            staging.link(temporary, self, name)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in WITHOUT_LINKS:
                raise
            if self.status(name) is not None:  # a file system without second names
                return False
            staging.move(temporary, self, name)
        self.sync()
        return True

    def appending(self, name: str) -> int:
        """A descriptor for reading and appending to a regular file, which is made if it is missing; close it."""
        return self._open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def updating(self, name: str) -> int:
        """A descriptor for reading and writing a regular file, which is made if it is missing; close it."""
        return self._open(name, os.O_RDWR | os.O_CREAT)

    def _open(self, name: str, flags: int) -> int:
        descriptor = calls.open_file(check_bare(name), flags, self.descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            calls.close(descriptor)
            raise OSError(errno.EINVAL, "it is no regular file")
        return descriptor


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Open a folder by its path, which may lead over links: it is what the user has named.

    Raises
    ------
    OutputError
        If it is none.
    """
    try:
        folder = Folder(os.open(path, os.O_RDONLY | os.O_DIRECTORY), path)
    except OSError as error:
        msg = f"{path}: the output folder cannot be opened ({error.strerror}); give the output folder of a run"
        raise OutputError(msg) from error
    try:
        yield folder
    finally:
        folder.close()


def temporary_name(suffix: str) -> str:
    """A name that no other process and no other call gives."""
    return f"{os.getpid()}-{uuid.uuid4().hex}.{suffix}"


def what_it_is(mode: int) -> str:
    """In words, what a name is that should be a file or a folder."""
    kinds = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a pipe"}
    return kinds.get(stat.S_IFMT(mode), "a device")
