"""Files that appear together: all are complete and on the disk before the first one is moved into place."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from monai_mriprep.errors import OutputError, package_logger, write_error
from monai_mriprep.formats.npz import NpzVolume, encode_npz, stored_crc
from monai_mriprep.store.folder import Folder, temporary_name
from monai_mriprep.store.layout import PARTIAL
from monai_mriprep.store.store import Store, make_store, open_store
from monai_mriprep.store.writers import this_writer

__all__ = ["Move", "StagedFile", "move_together", "removed_on_error", "save_volumes", "stage_files"]


class Move(NamedTuple):
    """A file that waits under a temporary name, and the folder and the bare name that it gets."""

    staged: str
    folder: str
    name: str


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


def stage_files(store: Store, volumes: Mapping[tuple[str, str], NpzVolume]) -> tuple[StagedFile, ...]:
    """Write volumes under temporary names; if one fails, none is left behind.

    The disk starts to write in the background; `Folder.sync_file` waits for it. Do other work in between.

    Parameters
    ----------
    store
        Where.
    volumes
        Each by the folder and the bare name that it is to get, the image first.

    Returns
    -------
    tuple of StagedFile
        In the order in which to move them, the image last: where an image is, its label is there, too.
    """
    files: list[StagedFile] = []
    with removed_on_error(store.staging, files):
        for (folder, name), volume in volumes.items():
            files.append(_stage(store.staging, Move(temporary_name("npz"), folder, name), volume))
    return tuple(reversed(files))


def save_volumes(root: Path, volumes: Mapping[tuple[str, str], NpzVolume], sync: bool = True) -> None:
    """Write volumes outside of a run, without records; they appear together, and are on the disk then.

    Parameters
    ----------
    root
        The output folder; made if it is missing, and so are the folders in it.
    volumes
        As in `stage_files`.
    sync
        Wait until they survive a power cut.

    Raises
    ------
    OSError, OutputError
        If they cannot be written.
    """
    make_store(root)
    with open_store(root, f"{this_writer().name}+{uuid.uuid4().hex}") as store:
        for folder in (PARTIAL, *(folder for folder, _ in volumes)):
            store.root.make_folder(folder)
        try:
            files = stage_files(store, volumes)
            with removed_on_error(store.staging, files):
                for file in files if sync else ():
                    store.staging.sync_file(file.move.staged)
                move_together(store, store.staging, [file.move for file in files])
            for folder in {folder for folder, _ in volumes} if sync else ():
                store.folder(folder).sync()
        finally:
            store.leave()


def _stage(staging: Folder, move: Move, volume: NpzVolume) -> StagedFile:
    parts = encode_npz(volume)
    staging.create(move.staged, parts)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with staging.reading(move.staged) as file:
        crc = stored_crc(file)
    status = staging.require(move.staged)
    return StagedFile(move, status.st_size, status.st_mtime_ns, digest.hexdigest(), crc)


@contextmanager
def removed_on_error(staging: Folder, files: Iterable[StagedFile]) -> Iterator[None]:
    """Remove temporary files if an error is raised inside, since the disk may be full."""
    try:
        yield
    except Exception:
        for file in files:
            with suppress(OSError):
                staging.remove(file.move.staged)
        raise


def move_together(store: Store, staging: Folder, moves: Sequence[Move]) -> None:
    """Move files into place: all of them, or none. What was moved before a crash stays moved.

    A file that is replaced keeps a second name among the temporary ones until all are in place.

    Parameters
    ----------
    store
        Where.
    staging
        The folder of the temporary files.
    moves
        In this order. Nothing is synced here.

    Raises
    ------
    DiskFullError, OutputError
        If one cannot be moved; the others are back under their temporary names, and the files before in their place.
    """
    started: list[Move] = []
    try:
        for move in moves:
            started.append(move)
            _move(store, staging, move)
    except OSError as error:
        for move in reversed(started):
            _move_back(store, staging, move)
        folder, name = moves[len(started) - 1][1:]
        place = store.root.path / folder / name
        msg = f"{place}: the finished file cannot be put there ({error.strerror}); mend it, then run again"
        raise write_error(error, msg) from error
    for move in moves:
        with suppress(OSError):
            staging.remove(_kept(move))


def _kept(move: Move) -> str:
    """The second name of a file that is replaced."""
    return move.staged.removesuffix("npz") + "old"


def _move(store: Store, staging: Folder, move: Move) -> None:
    if staging.status(move.staged) is None:
        return  # it was moved before a crash
    folder = store.folder(move.folder)
    if folder.is_file(move.name):
        with suppress(FileExistsError):  # a try that a crash has interrupted has kept it
            _keep(folder, staging, move)
    elif folder.status(move.name) is not None:
        package_logger().warning("%s", store.set_aside(folder, move.name))
    staging.move(move.staged, folder, move.name)


def _keep(folder: Folder, staging: Folder, move: Move) -> None:
    try:
        folder.link(move.name, staging, _kept(move))
    except FileExistsError:
        raise
    except OSError:  # a file system without second names: for a moment there is no file
        folder.move(move.name, staging, _kept(move))


def _move_back(store: Store, staging: Folder, move: Move) -> None:
    """Undo a move; raises nothing, since an error is under way already, and the next run tries all of it again."""
    with suppress(OSError, OutputError):
        folder = store.folder(move.folder)
        if staging.status(move.staged) is None:
            folder.move(move.name, staging, move.staged)
        if staging.status(_kept(move)) is not None:
            staging.move(_kept(move), folder, move.name)
            staging.remove(_kept(move))  # where both are names of one file, the move leaves both
