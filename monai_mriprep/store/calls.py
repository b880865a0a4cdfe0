"""The system calls of the store, one function each: the one place where a test can let any of them fail.

A folder is an open descriptor, and a name is bare, so nothing is reached through a link.
"""

from __future__ import annotations

import os

__all__ = [
    "close",
    "fsync",
    "link",
    "make_folder",
    "names",
    "open_file",
    "open_folder",
    "remove_folder",
    "rename",
    "status",
    "unlink",
    "write",
]


def open_file(name: str, flags: int, folder: int) -> int:
    """Open a name in a folder. No link is followed, and what is no file, such as a pipe, does not block."""
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666, dir_fd=folder)


def open_folder(name: str, folder: int) -> int:
    """Open a folder in a folder. No link is followed."""
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)


def close(descriptor: int) -> None:
    """Close a descriptor."""
    os.close(descriptor)


def write(descriptor: int, content: bytes | bytearray | memoryview) -> None:
    """Write all of it: on a full disk one call may write a part and succeed, and the next one raises."""
    left = memoryview(content).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]


def fsync(descriptor: int) -> None:
    """Wait until a file's content, or the names in a folder, survive a power cut."""
    os.fsync(descriptor)


def rename(name: str, folder: int, new_name: str, new_folder: int) -> None:
    """Move a name, replacing a file that has the new one."""
    os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder)


def link(name: str, folder: int, new_name: str, new_folder: int) -> None:
    """Give a file a second name."""
    os.link(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder, follow_symlinks=False)


def unlink(name: str, folder: int) -> None:
    """Remove a name."""
    os.unlink(name, dir_fd=folder)


def make_folder(name: str, folder: int) -> None:
    """Make a folder."""
    os.mkdir(name, dir_fd=folder)


def remove_folder(name: str, folder: int) -> None:
    """Remove an empty folder."""
    os.rmdir(name, dir_fd=folder)


def names(folder: int) -> list[str]:
    """The names in a folder, in no order."""
    return os.listdir(folder)


def status(name: str, folder: int) -> os.stat_result:
    """What a name is; a link is a link."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False)
