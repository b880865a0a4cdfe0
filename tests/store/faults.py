"""A stand-in for the store's system calls, which crashes or fails at any of them, or notes what is done."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_mriprep.store import calls

CHANGES = ("open_file", "write", "fsync", "rename", "link", "unlink", "make_folder", "remove_folder")
"""What changes a folder or waits for the disk."""


class Crash(BaseException):
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Crash at the n-th change, before it has any effect. What would come after it does not happen either."""
    count = iter(range(1_000_000))

    def crash() -> None:
        if next(count) >= number:
            raise Crash

    _before_each(monkeypatch, crash)


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, code: int, forever: bool = False) -> None:
    """The n-th change fails, and has no effect; with `forever`, all that come after it, too."""
    count = iter(range(1_000_000))

    def fail() -> None:
        current = next(count)
        if current == number or (forever and current > number):
            raise OSError(code, os.strerror(code))

    _before_each(monkeypatch, fail)


def _before_each(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    def acting(call):
        def wrapped(*arguments):
            act()
            return call(*arguments)

        return wrapped

    for name in CHANGES:
        monkeypatch.setattr(calls, name, acting(getattr(calls, name)))


def refuse(
    monkeypatch: pytest.MonkeyPatch, call: str, is_refused: Callable[..., bool], code: int = errno.EACCES
) -> None:
    """Let those calls of one kind fail whose arguments are as said."""
    real = getattr(calls, call)

    def wrapped(*arguments):
        if is_refused(*arguments):
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    monkeypatch.setattr(calls, call, wrapped)


def note(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A list of what is synced and moved from here on, in order, each by its name and its folder's."""
    seen: list[tuple[str, str]] = []
    fsync, rename = calls.fsync, calls.rename

    def noting_fsync(descriptor):
        seen.append(("sync", _place(descriptor)))
        fsync(descriptor)

    def noting_rename(name, folder, new_name, new_folder):
        seen.append(("move", f"{Path(_place(new_folder)).name}/{new_name}"))
        rename(name, folder, new_name, new_folder)

    monkeypatch.setattr(calls, "fsync", noting_fsync)
    monkeypatch.setattr(calls, "rename", noting_rename)
    return seen


def _place(descriptor: int) -> str:
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    return f"{path.parent.name}/{path.name}"
