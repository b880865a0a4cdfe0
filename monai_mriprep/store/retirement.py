"""``retired/``: where the files of a case go that has left the dataset; kept until somebody deletes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, closing
from itertools import count

from monai_mriprep.errors import package_logger
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.layout import OUTPUT_SUFFIX, RETIRED, VOLUME_FOLDERS, is_output
from monai_mriprep.store.record_parts import OutputRecord
from monai_mriprep.store.store import Store, named_errors

__all__ = ["remove_retired", "retire_output", "retired_files"]


def retire_output(store: Store, output: OutputRecord) -> str | None:
    """Move an output to ``retired/``, where it replaces nothing.

    Parameters
    ----------
    store
        Where.
    output
        As it is recorded. If it is missing, a run that a crash has ended may have moved it; it is looked for.

    Returns
    -------
    str or None
        Where it is, relative to the output folder; when this returns, that survives a power cut. None if there is none.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be moved.
    """
    folder, name = output.path.split("/")
    problem, remedy = f"cannot be moved to {store.root.path / RETIRED}", "mend it, then run again"
    with named_errors(store.root.path / output.path, problem, remedy), closing(_retired(store, folder)) as retired:
        new = _move(store.folder(folder), name, retired) or _moved_before(retired, name, output)
    return new and f"{RETIRED}/{folder}/{new}"


def _retired(store: Store, folder: str) -> Folder:
    """The folder in ``retired/``; what stands in its way is set aside."""
    _make_way(store, store.root, RETIRED)
    with closing(store.root.folder(RETIRED)) as parent:
        _make_way(store, parent, folder)
        return parent.folder(folder)


def _make_way(store: Store, parent: Folder, name: str) -> None:
    if parent.status(name) is not None and not parent.is_folder(name):
        package_logger().warning("%s", store.set_aside(parent, name))
    store.make_folders([name], parent)


def _move(folder: Folder, name: str, retired: Folder) -> str | None:
    """Give it its new name before the old one goes, so that even a disk that reorders both has the file."""
    found = folder.status(name)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    new = next(new for new in _names(name) if _is_free_or(found, retired.status(new)))
    if retired.status(new) is None:
        _link(folder, name, retired, new)
    retired.sync()
    folder.remove(name)
    folder.sync()
    return new


def _is_free_or(found: os.stat_result, there: os.stat_result | None) -> bool:
    """Whether nothing is there, or the same file, which a run that a crash has ended has given its new name."""
    return there is None or os.path.samestat(there, found)


def _link(folder: Folder, name: str, retired: Folder, new: str) -> None:
    try:
        folder.link(name, retired, new)
    except OSError:  # a file system without second names
        folder.move(name, retired, new)


def _moved_before(retired: Folder, name: str, output: OutputRecord) -> str | None:
    for new in _names(name):
        found = retired.status(new)
        if found is None or output.fits(found):
            return found and new
    return None


def _names(name: str) -> Iterator[str]:
    """What a file is called, and what it is called where that name is taken: ``a.npz``, ``a.2.npz``, ``a.3.npz``."""
    yield name
    for number in count(2):
        yield f"{name.removesuffix(OUTPUT_SUFFIX)}.{number}{OUTPUT_SUFFIX}"


def retired_files(store: Store) -> tuple[str, ...]:
    """The volumes in ``retired/``, relative to the output folder.

    Raises
    ------
    OutputError
        If they cannot be listed.
    """
    with _named_errors(store):
        return tuple(f"{RETIRED}/{folder.path.name}/{name}" for folder in _folders(store) for name in _volumes(folder))


def remove_retired(store: Store, paths: Collection[str]) -> None:
    """Delete volumes in ``retired/``; when this returns, that survives a power cut.

    Parameters
    ----------
    store
        Where.
    paths
        Relative to the output folder. What is no volume in ``retired/`` is left alone.

    Raises
    ------
    OutputError
        If one cannot be deleted.
    """
    with _named_errors(store):
        for folder in _folders(store):
            for name in _volumes(folder):
                if f"{RETIRED}/{folder.path.name}/{name}" in paths:
                    folder.remove(name)
            folder.sync()


def _folders(store: Store) -> Iterator[Folder]:
    """The folders in ``retired/`` that are there; each is closed when the next one is asked for."""
    if store.has_folder(RETIRED):
        with closing(store.root.folder(RETIRED)) as parent:
            for name in filter(parent.is_folder, VOLUME_FOLDERS):
                with closing(parent.folder(name)) as folder:
                    yield folder


def _volumes(folder: Folder) -> list[str]:
    return [name for name in folder.names() if is_output(name) and folder.is_file(name)]


def _named_errors(store: Store) -> AbstractContextManager[None]:
    return named_errors(store.root.path / RETIRED, "cannot be read or written", "mend it")
