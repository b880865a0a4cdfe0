"""Threads of this process as a mapper: for what waits for files, or works outside of the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from monai_mriprep.run.mappers import Found, Item, Lost, Mapper
from monai_mriprep.windows import mapped_in_window

__all__ = ["thread_workers"]


def thread_workers(count: int) -> Mapper:
    """A mapper of so many threads. No item is ever lost, and few are taken ahead of what was yielded.

    Parameters
    ----------
    count
        Threads; with one, or none, the caller's own works.
    """

    def mapped(work: Callable[[Item], Found], cases: Iterable[Item]) -> Iterator[Found | Lost]:
        return mapped_in_window(work, cases, count)

    return mapped
