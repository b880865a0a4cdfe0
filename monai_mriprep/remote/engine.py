"""An engine whose cases have their files at hand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from monai_mriprep.remote.read_ahead import ReadAhead
from monai_mriprep.run.cases import Case

if TYPE_CHECKING:
    from monai_mriprep.run.engines import Engine, Outcome, Work
    from monai_mriprep.run.mappers import Mapper

__all__ = ["WithFiles"]


class WithFiles:
    """An `monai_mriprep.run.engines.Engine`: another one, which gets each case when its files are here.

    Parameters
    ----------
    engine
        That works on the cases.
    ahead
        That brings their files.
    """

    def __init__(self, engine: Engine, ahead: ReadAhead) -> None:
        self._engine, self._ahead = engine, ahead

    def at_once(self, case: Case) -> int:
        """As many as that engine says."""
        return self._engine.at_once(case)

    def too_large(self, case: Case) -> str:
        """What that engine says."""
        return self._engine.too_large(case)

    def mapper(self, at_once: int, total: int) -> Mapper:
        """The mapper of that engine; it asks for a case, and so for its files, when it has room for it."""
        mapper = self._engine.mapper(at_once, total)

        def mapped(work: Callable[[Any], Any], cases: Iterable[Any]) -> Iterator[Any]:
            outcomes = mapper(work, self._ahead.at_hand(cases))
            try:
                yield from outcomes
            finally:
                if isinstance(outcomes, Generator):
                    outcomes.close()

        return mapped

    def alone(self, work: Work, case: Case) -> Outcome:
        """By itself, by that engine."""
        (at_hand,) = self._ahead.at_hand([case])
        return self._engine.alone(work, at_hand)
