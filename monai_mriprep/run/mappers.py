"""Mappers: how a function is carried out on many cases, here one after the other; other modules do it side by side.

Whoever has a mapper needs to know neither how many processes there are nor of what kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from monai_mriprep.run.under_way import Named, UnderWay

__all__ = ["Found", "Item", "Lost", "Mapper", "OfCase", "serial"]


class OfCase(Protocol):
    """What becomes of an item, such as a `monai_mriprep.run.cases.Result`."""

    @property
    def case(self) -> str:
        """The item's name."""


Item = TypeVar("Item", bound=Named)
Found = TypeVar("Found", bound=OfCase)


@dataclass(frozen=True)
class Lost:
    """A case without a result: its worker has died, or had to be ended. Nobody works on it any more.

    Parameters
    ----------
    case
        Its name.
    reason
        What became of the worker, such as ``was killed (SIGKILL)``.
    """

    case: str
    reason: str


class Mapper(Protocol):
    """Takes cases as it has room for them, never all at once, and yields what becomes of each, in any order.

    A mapper may end early. Of the cases that it has taken and yielded nothing of, nobody works on one then. The caller
    hands them out again.
    """

    def __call__(self, work: Callable[[Item], Found], cases: Iterable[Item], /) -> Iterator[Found | Lost]:
        """Carry out some work, which can be pickled and raises no `Exception`, on cases or other items with names."""


def serial(work: Callable[[Item], Found], cases: Iterable[Item]) -> Iterator[Found | Lost]:
    """Work on one case after the other, in this process. A mapper."""
    with UnderWay() as under_way:
        for case in cases:
            under_way.begin(case)
            result = work(case)
            under_way.end(case)
            yield result
