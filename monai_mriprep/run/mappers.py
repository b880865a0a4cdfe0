"""Mappers: how a function is carried out on many cases, here one after the other; other modules do it side by side.

Whoever has a mapper needs to know neither how many processes there are nor of what kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.under_way import UnderWay

__all__ = ["Lost", "Mapper", "Outcome", "Work", "serial"]

Work = Callable[[Case], Result]
"""What is done with a case; it can be pickled, and must not raise an `Exception`."""


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


Outcome = Result | Lost

Mapper = Callable[[Work, Iterable[Case]], Iterator[Outcome]]
"""Takes cases as it has room for them, never all at once, and yields what becomes of each, in any order.

A mapper may end early. Of the cases that it has taken and yielded nothing of, nobody works on one then. The caller
hands them out again.
"""


def serial(work: Work, cases: Iterable[Case]) -> Iterator[Outcome]:
    """Work on one case after the other, in this process. A mapper."""
    with UnderWay() as under_way:
        for case in cases:
            under_way.begin(case)
            result = work(case)
            under_way.end(case)
            yield result
