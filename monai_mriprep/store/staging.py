"""Files that appear together: all are complete and on the disk before the first one is moved into place."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from monai_mriprep.errors import package_logger, write_error
from monai_mriprep.formats.npz import NpzVolume, encode_npz, stored_crc
from monai_mriprep.store.folder import Folder, temporary_name
from monai_mriprep.store.layout import PARTIAL
from monai_mriprep.store.store import AGAIN, Store, make_store, named_errors, open_store
from monai_mriprep.store.writers import another_name

__all__ = [
    "Move",
    "StagedFile",
    "being_written",
    "is_undone",
    "move_together",
    "removed_on_error",
    "save_volumes",
    "stage_files",
    "take_back",
]


class Move(NamedTuple):
    """A file that waits under a temporary name, and the folder and the bare name that it gets."""

    staged: str
    folder: str
    name: str

    @property
    def path(self) -> str:
        """Where it goes, relative to the output folder."""
        return f"{self.folder}/{self.name}"

    @property
    def kept(self) -> str:
        """The second name, among the temporary ones, of a file that it replaces."""
        return self.staged.removesuffix("npz") + "old"


Moved = Sequence[tuple[Folder, Move]]
"""Files that were moved, each with the folder that it is in."""


@dataclass(frozen=True)
class StagedFile:
    """A complete temporary file, and where it belongs.

    Parameters
    ----------
    move
        From where to where.
    size, mtime_ns
        In bytes; time of the last change, in nanoseconds since 1970.
    sha256
        Of its bytes, hexadecimal.
    crc32
        Of its voxels, as the archive states it.
    """

    move: Move
    size: int
    mtime_ns: int
    sha256: str
    crc32: int


def stage_files(store: Store, volumes: Mapping[tuple[str, str], NpzVolume], threads: int = 1) -> tuple[StagedFile, ...]:
    """Write volumes under temporary names; if one fails, none is left behind.

    The disk starts to write in the background; `Folder.sync_file` waits for it. Do other work in between.

    Parameters
    ----------
    store
        Where.
    volumes
        Each by the folder and the bare name that it is to get, the image first.
    threads
        That deflate a volume.

    Returns
    -------
    tuple of StagedFile
        In the order in which to move them, the image last: where an image is, its label is there, too.

    Raises
    ------
    DiskFullError, OutputError
        If one cannot be written.
    """
    moves = {Move(temporary_name("npz"), folder, name): volume for (folder, name), volume in volumes.items()}
    with being_written(store, moves):
        files = [_stage(store.staging, move, volume, threads) for move, volume in moves.items()]
    return tuple(reversed(files))


def save_volumes(root: Path, volumes: Mapping[tuple[str, str], NpzVolume], threads: int = 1) -> None:
    """Write volumes outside of a run, without records; they appear together, and are on the disk then.

    Parameters
    ----------
    root
        The output folder; made if it is missing, and so are the folders in it.
    volumes, threads
        As in `stage_files`.

    Raises
    ------
    DiskFullError, OutputError
        If they cannot be written.
    """
    make_store(root)
    with open_store(root, another_name()) as store:
        store.make_folders([PARTIAL, *(folder for folder, _ in volumes)])
        try:
            moves = [file.move for file in stage_files(store, volumes, threads)]
            with being_written(store, moves):
                for move in moves:
                    store.staging.sync_file(move.staged)
                move_together(store, store.staging, moves)
                for folder in dict.fromkeys(move.folder for move in moves):
                    store.folder(folder).sync()
        finally:
            store.leave()


def _stage(staging: Folder, move: Move, volume: NpzVolume, threads: int) -> StagedFile:
    parts = encode_npz(volume, threads)
    staging.create(move.staged, parts)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with staging.reading(move.staged) as file:
        crc = stored_crc(file)
    status = staging.require(move.staged)
    return StagedFile(move, status.st_size, status.st_mtime_ns, digest.hexdigest(), crc)


@contextmanager
def removed_on_error(staging: Folder, moves: Iterable[Move]) -> Iterator[None]:
    """Remove the temporary files of moves if an error is raised inside, since the disk may be full."""
    try:
        yield
    except Exception:
        for move in moves:
            with suppress(OSError):
                staging.remove(move.staged)
        raise


@contextmanager
def being_written(store: Store, moves: Iterable[Move]) -> Iterator[None]:
    """Where the temporary files of moves cannot be written, remove them and say so.

    Raises
    ------
    DiskFullError, OutputError
        In place of an OSError.
    """
    with (
        named_errors(store.root.path, "the files of a case cannot be written", AGAIN),
        removed_on_error(store.staging, moves),
    ):
        yield


def move_together(store: Store, staging: Folder, moves: Sequence[Move], in_place: Collection[Move] = ()) -> None:
    """Move files into place: all of them, or none.

    A file that is replaced keeps a second name among the temporary ones until all are in place.

    Parameters
    ----------
    store
        Where.
    staging
        The folder of the temporary files.
    moves
        In this order. Nothing is synced here.
    in_place
        Those that were done before a crash.

    Raises
    ------
    DiskFullError, OutputError
        If one cannot be moved. The others are back under their temporary names, and the files before in their place;
        `is_undone` tells whether that has worked.
    """
    folders = [store.folder(move.folder) for move in moves]  # one that is missing is noticed before the first move
    moved: list[tuple[Folder, Move]] = []
    for folder, move in zip(folders, moves, strict=True):
        try:
            if move not in in_place:
                _move(store, staging, folder, move)
        except OSError as error:
            _move_back(staging, [(folder, move)], moved)
            msg = f"{folder.path / move.name}: the finished file cannot be put there ({error.strerror}); mend it"
            raise write_error(error, f"{msg}, then run again") from error
        moved.append((folder, move))
    for move in moves:
        with suppress(OSError):
            staging.remove(move.kept)


def is_undone(staging: Folder, moves: Iterable[Move]) -> bool:
    """Whether files that could not be moved together all wait again, and no file that they replace does."""
    return all(staging.is_file(move.staged) and staging.status(move.kept) is None for move in moves)


def take_back(store: Store, staging: Folder, moves: Sequence[Move], in_place: Collection[Move]) -> None:
    """Undo `move_together`: the files wait again, and those that they have replaced are back, or none if one has gone.

    Parameters
    ----------
    store, staging, moves
        As there.
    in_place
        Those that are still there. What else is there stays.

    Raises
    ------
    DiskFullError, OutputError
        If that fails.
    """
    with named_errors(staging.path, "an outdated case cannot be taken back", AGAIN):
        if set(in_place) == set(moves) and any(staging.status(move.kept) is None for move in moves):
            for move in moves:  # all was done, and of a pair before only one file may be left
                staging.remove(move.kept)
        places = [(store.folder(move.folder), move) for move in moves]
        moved = [(folder, move) for folder, move in places if move in in_place]
        empty = [(folder, move) for folder, move in places if folder.status(move.name) is None]
        _move_back(staging, empty, moved)
        for folder, move in (*empty, *moved):
            if staging.status(move.kept) is not None or (move in in_place and staging.status(move.staged) is None):
                raise OSError(errno.EIO, f"{folder.path / move.name} cannot be moved")
            folder.sync()


def _move(store: Store, staging: Folder, folder: Folder, move: Move) -> None:
    if folder.is_file(move.name):
        with suppress(FileExistsError):  # a try that a crash has interrupted has kept it
            _keep(folder, staging, move)
    elif folder.status(move.name) is not None:
        package_logger().warning("%s", store.set_aside(folder, move.name))
    staging.move(move.staged, folder, move.name)


def _keep(folder: Folder, staging: Folder, move: Move) -> None:
    try:
        folder.link(move.name, staging, move.kept)
    except FileExistsError:
        raise
    except OSError:  # a file system without second names: for a moment there is no file
        folder.move(move.name, staging, move.kept)


def _move_back(staging: Folder, failed: Moved, moved: Moved) -> None:
    """Undo moves, the last one first; raises nothing, since an error is under way already."""
    with suppress(OSError):
        for folder, move in (*failed, *reversed(moved)):
            if (folder, move) in moved:
                folder.move(move.name, staging, move.staged)
            if staging.status(move.kept) is not None:
                staging.move(move.kept, folder, move.name)
                staging.remove(move.kept)  # where both are names of one file, the move leaves both
