"""Files that appear together: all are complete and on the disk before the first one is moved into place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from monai_mriprep.errors import write_error
from monai_mriprep.formats.npz import NpzVolume, WrittenFile, stage_npz

__all__ = ["move_files", "place_files", "removed_on_error", "stage_files", "sync_folder"]


def stage_files(volumes: Mapping[Path, NpzVolume], partial: Path) -> tuple[WrittenFile, ...]:
    """Write volumes under temporary names; if one fails, none is left behind.

    Parameters
    ----------
    volumes
        Each by its final path, the image first.
    partial
        Folder of temporary files, on the same file system.

    Returns
    -------
    tuple of WrittenFile
        In the order in which to move them, the image last: where an image is, its label is there, too.
    """
    files: list[WrittenFile] = []
    with removed_on_error(files):
        for final, volume in volumes.items():
            files.append(stage_npz(final, partial, volume))
    return tuple(reversed(files))


def place_files(files: Sequence[WrittenFile], decide: Callable[[], None] = lambda: None) -> None:
    """Wait until the files are on the disk, then move them into place.

    Parameters
    ----------
    files
        In the order in which they are moved.
    decide
        Called between the two, such as to write a journal. After an error up to here the temporary files are removed.
        After a later one they stay, so that the move can be finished.

    Raises
    ------
    OutputError
        If a file cannot be moved.
    """
    with removed_on_error(files):
        for file in files:
            file.sync()
        decide()
    move_files((file.temporary, file.final) for file in files)


def move_files(moves: Iterable[tuple[Path, Path]]) -> None:
    """Move the files that have not been moved yet, replacing existing ones, and sync the folders.

    Raises
    ------
    OutputError
        If a file cannot be moved.
    """
    folders = []
    for temporary, final in moves:
        try:
            if temporary.exists():
                final.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(final)
                folders.append(final.parent)
        except OSError as error:
            msg = f"{final}: the finished file cannot be put there ({error.strerror}); mend it, then run again"
            raise write_error(error, msg) from error
    for folder in folders:
        sync_folder(folder)


@contextmanager
def removed_on_error(files: Iterable[WrittenFile]) -> Iterator[None]:
    """Remove temporary files if an error is raised inside, since the disk may be full."""
    try:
        yield
    except Exception:
        for file in files:
            file.temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk and survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
