"""The lock of an output folder: one run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monai_mriprep.errors import LockedError, OutputError

__all__ = ["exclusive", "shared"]

_locks_of_this_process: dict[Path, object] = {}
"""Locks that this process holds. The kernel would grant them to it a second time, and free both when one is closed."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file.

    The kernel keeps the lock (POSIX ``fcntl``) and frees it when this process ends, also by a crash. Forked workers do
    not inherit it.

    Raises
    ------
    LockedError
        If another process holds it, or another thread of this one.
    OutputError
        If the file cannot be opened or locked.
    """
    place, own = path.resolve(), object()
    if _locks_of_this_process.setdefault(place, own) is not own:
        raise _locked_by_this_process(path)
    try:
        with _locked(path):
            yield
    finally:
        del _locks_of_this_process[place]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        msg = f"{path.parent}: the output folder cannot be written to ({error.strerror}); mend it, or choose another"
        raise OutputError(msg) from error
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            _require_lock_support(path, error)
            holder = os.read(descriptor, 100).decode(errors="replace").strip() or "unknown"
            msg = f"{path.parent}: another run is alive there (process {holder}); wait for it, or choose another folder"
            raise LockedError(msg) from error
        with suppress(OSError):  # on a full disk the lock works without the name of its holder
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold a shared lock: no run can start, but other readers can. Nothing is written.

    Raises
    ------
    LockedError
        If a run is alive there.
    OutputError
        If the file cannot be locked.
    """
    if path.resolve() in _locks_of_this_process:
        raise _locked_by_this_process(path)
    if not path.is_file():
        yield
        return
    with path.open("rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            _require_lock_support(path, error)
            holder = file.read(100).decode(errors="replace").strip() or "unknown"
            msg = f"{path.parent}: a run is alive there (process {holder}); wait for its end"
            raise LockedError(msg) from error
        yield


def _locked_by_this_process(path: Path) -> LockedError:
    return LockedError(f"{path.parent}: another run is alive there, in this process ({os.getpid()}); wait for its end")


def _require_lock_support(path: Path, error: OSError) -> None:
    """Raise an `OutputError` unless the error means that another process holds the lock."""
    if error.errno not in (errno.EACCES, errno.EAGAIN):
        msg = f"{path}: cannot be locked ({error.strerror}); use a file system that has locks"
        raise OutputError(msg) from error
