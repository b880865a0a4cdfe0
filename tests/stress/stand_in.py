"""In place of the store's system calls: counts them, and lets the n-th one fail, or the process end there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from monai_mriprep.store import calls

CALLS = (
    "open_file",
    "open_folder",
    "write",
    "fsync",
    "rename",
    "link",
    "unlink",
    "make_folder",
    "remove_folder",
    "names",
    "status",
)

Note = Callable[[str, tuple[Any, ...], Any], None]
"""Told of each call that was made: its name, its arguments, and what it returned."""


class Crash(BaseException):
    """The process ends here; no cleaning up."""


class StandIn:
    """Makes the calls, except that it does something else at the n-th.

    Nothing is really synced: what a power cut leaves is for a model to say.

    Parameters
    ----------
    number
        Of the call, from 1; 0 for none.
    error
        What is raised there: an error number, or None for a crash.
    lasting
        Every call after it fails, too; always so after a crash.
    end
        Of a call from which on the process has crashed; 0 for none.
    note, failed
        Told of each call that has an effect, and of each that fails.
    """

    def __init__(
        self,
        number: int = 0,
        error: int | None = None,
        lasting: bool = False,
        end: int = 0,
        note: Note = lambda name, arguments, found: None,
        failed: Callable[[str, tuple[Any, ...]], None] = lambda name, arguments: None,
    ) -> None:
        self.number = number
        self.error = error
        self.lasting = lasting or error is None
        self.end = end
        self.note = note
        self.failed = failed
        self.seen: list[str] = []

    def call(self, name: str, real: Callable[..., Any], *arguments: Any) -> Any:
        """One call."""
        self.seen.append(name)
        if len(self.seen) >= self.end > 0:
            raise Crash
        if self._is_struck():
            self._strike(name, real, arguments)
        return self._make(name, real, arguments)

    def _is_struck(self) -> bool:
        count = len(self.seen)
        return count == self.number or (self.lasting and count > self.number > 0)

    def _strike(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if name == "write" and len(self.seen) == self.number:  # a part of it arrives
            descriptor, content = arguments[0], memoryview(arguments[1]).cast("B")
            self._make(name, real, (descriptor, content[: len(content) // 2]))
        if self.error is None:
            raise Crash
        self.failed(name, arguments)
        raise OSError(self.error, os.strerror(self.error))

    def _make(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        found = None if name == "fsync" else real(*arguments)
        self.note(name, arguments, found)
        return found


@contextmanager
def standing_in(stand_in: StandIn) -> Iterator[StandIn]:
    """Put it in place of all calls."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            real = getattr(calls, name)
            patch.setattr(calls, name, lambda *arguments, n=name, r=real: stand_in.call(n, r, *arguments))
        yield stand_in
