"""The lock of an output folder: one run at a time, or one of each of its parts.

It is a courtesy: it spares two runs each other's work. Nothing is lost without it, as on a file system that has none,
because each writer has temporary files of its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from monai_mriprep.errors import LockedError, OutputError, package_logger
from monai_mriprep.store import calls
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.layout import LOCK

__all__ = ["exclusive", "shared"]

_HOLDER = re.compile(r"[0-9]{1,10} on [A-Za-z0-9._-]{1,255}")

_locks_of_this_process: dict[Path, object] = {}
"""Locks that this process holds. The kernel would grant them to it a second time, and free both when one is closed."""


@contextmanager
def exclusive(root: Folder, shard: Shard | None = None) -> Iterator[None]:
    """Hold the lock of an output folder; for a part of a run the byte of its number alone.

    The kernel keeps the lock (POSIX ``fcntl``) and frees it when this process ends, also by a crash. Forked workers do
    not inherit it. Where the file system has no locks, that is logged.

    Raises
    ------
    LockedError
        If another process holds it, or another thread of this one.
    OutputError
        If its file cannot be opened.
    """
    place, own = root.path.resolve(), object()
    if _locks_of_this_process.setdefault(place, own) is not own:
        raise _locked_by_this_process(root)
    try:
        with _locked(root, shard):
            yield
    finally:
        del _locks_of_this_process[place]


@contextmanager
def _locked(root: Folder, shard: Shard | None) -> Iterator[None]:
    try:
        descriptor = root.updating(LOCK)
    except OSError as error:
        msg = f"{root.path / LOCK}: the lock cannot be opened ({error.strerror}); mend it, or choose another folder"
        raise OutputError(msg) from error
    try:
        _lock(root, descriptor, fcntl.LOCK_EX, "another run is alive there", _bytes_of(shard))
        if os.fstat(descriptor).st_nlink == 1:  # else it is somebody else's file, too
            with suppress(OSError):  # on a full disk the lock works without the name of its holder
                os.ftruncate(descriptor, 0)
                if shard is None:  # of several parts no name would be the right one
                    os.pwrite(descriptor, f"{os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        calls.close(descriptor)


@contextmanager
def shared(root: Folder) -> Iterator[None]:
    """Hold a shared lock: no run can start, but other readers can. Nothing is written.

    Raises
    ------
    LockedError
        If a run is alive there.
    OutputError
        If its file cannot be opened, so that nobody can tell.
    """
    if root.path.resolve() in _locks_of_this_process:
        raise _locked_by_this_process(root)
    if not root.is_file(LOCK):
        yield
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(root.reading(LOCK))
        except OSError as error:
            msg = f"{root.path / LOCK}: cannot be opened ({error.strerror}), so a run may be alive there; mend it"
            raise OutputError(msg) from error
        _lock(root, file.fileno(), fcntl.LOCK_SH, "a run is alive there")
        yield


def _bytes_of(shard: Shard | None) -> tuple[int, ...]:
    """How many bytes are locked, and from where; else it is all of them, those after the end included."""
    return () if shard is None else (1, shard.number)


def _lock(root: Folder, descriptor: int, kind: int, refusal: str, place: tuple[int, ...] = ()) -> None:
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB, *place)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            once = "start each shard once" if place else "start one run at a time"
            package_logger().warning("%s: this file system has no locks (%s); %s", root.path, error.strerror, once)
            return
        found = _HOLDER.match(os.pread(descriptor, 300, 0).decode(errors="replace"))  # it may be any file's text
        holder = found[0] if found else "unknown, or shards"
        msg = f"{root.path}: {refusal} (process {holder}); wait for its end, or choose another folder"
        raise LockedError(msg) from error


def _locked_by_this_process(root: Folder) -> LockedError:
    return LockedError(f"{root.path}: another run is alive there, in this process ({os.getpid()}); wait for its end")
