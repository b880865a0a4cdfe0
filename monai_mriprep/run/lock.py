"""One run at a time in an output folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monai_mriprep.errors import LockedError, OutputError

__all__ = ["exclusive", "shared"]

_held: dict[Path, object] = {}
"""Locks of this process, which the kernel would grant it once more, and free as soon as one of the two is closed."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file as long as this process lives, and no longer, however it ends.

    The kernel keeps the lock (POSIX ``fcntl``), so a crash leaves none behind; forked workers do not inherit it.

    Raises
    ------
    LockedError
        If another process holds it, or another thread of this one.
    OutputError
        If the file cannot be opened or locked.
    """
    place, own = path.resolve(), object()
    if _held.setdefault(place, own) is not own:
        raise _own_run(path)
    try:
        with _locked(path):
            yield
    finally:
        del _held[place]


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
            _require_refusal(path, error)
            holder = os.read(descriptor, 100).decode(errors="replace").strip() or "unknown"
            msg = f"{path.parent}: another run is alive there (process {holder}); wait for it, or choose another folder"
            raise LockedError(msg) from error
        with suppress(OSError):  # on a full disk the lock holds without its holder's name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Keep runs out while an output folder is read; other readers may share it, and nothing is written.

    Raises
    ------
    LockedError
        If a run is alive there.
    OutputError
        If the file cannot be locked.
    """
    if path.resolve() in _held:
        raise _own_run(path)
    if not path.is_file():
        yield
        return
    with path.open("rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            _require_refusal(path, error)
            holder = file.read(100).decode(errors="replace").strip() or "unknown"
            msg = f"{path.parent}: a run is alive there (process {holder}); wait for its end"
            raise LockedError(msg) from error
        yield


def _own_run(path: Path) -> LockedError:
    return LockedError(f"{path.parent}: another run is alive there, in this process ({os.getpid()}); wait for its end")


def _require_refusal(path: Path, error: OSError) -> None:
    """Tell a lock that another process holds from a file system that has none."""
    if error.errno not in (errno.EACCES, errno.EAGAIN):
        msg = f"{path}: cannot be locked ({error.strerror}); use a file system that has locks"
        raise OutputError(msg) from error
