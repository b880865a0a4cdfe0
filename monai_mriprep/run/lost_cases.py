"""What becomes of a case whose worker was lost; the one rule above all mappers.

It may have been finished and not reported. Else it is tried once more, with nothing else under way. If it is lost
again, the case is the cause, and fails by name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Protocol

from monai_mriprep.errors import package_logger
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.engines import Outcome, Work
from monai_mriprep.run.mappers import Lost, Mapper

__all__ = ["Ledger", "without_losses"]

LOGGER = package_logger()

Alone = Callable[[Work, Case], Outcome]
"""Works on a case by itself, as `monai_mriprep.run.engines.Engine.alone` does."""


class Ledger(Protocol):
    """Knows what is handed out and finished, as `monai_mriprep.run.session.Session` does."""

    def announce(self, case: str) -> None:
        """A case is handed out."""

    def finished(self, case: str) -> Result | None:
        """The result of a case whose worker finished it and could not report it. Nobody works on it."""


def without_losses(mapper: Mapper, work: Work, cases: Iterable[Case], ledger: Ledger, alone: Alone) -> Iterator[Result]:
    """Have a mapper work on the cases, as often as it takes: each case gets one result, even if its worker is lost.

    Parameters
    ----------
    mapper, work, cases
        Who works, on what. The cases are taken as the mapper has room for them.
    ledger
        Is told of each case that is handed out, and asked for results that were not reported.
    alone
        Tries a lost case once more, when the mapper has ended.
    """
    counter = _Counter(cases, ledger)
    while counter.has_more():
        lost: list[tuple[Case, Lost]] = []
        yield from _one_use(mapper, work, counter, lost)
        for case, loss in lost:
            yield _second_try(alone, work, case, loss, ledger)


def _one_use(mapper: Mapper, work: Work, counter: _Counter, lost: list[tuple[Case, Lost]]) -> Iterator[Result]:
    """What one use of the mapper comes to: a result or a loss at least, else it might be used for ever."""
    came = False
    outcomes = mapper(work, counter)
    try:
        for outcome in outcomes:
            came = True
            case = counter.out.pop(outcome.case)
            if isinstance(outcome, Lost):
                lost.append((case, outcome))
            else:
                yield outcome
    finally:
        if isinstance(outcomes, Generator):
            outcomes.close()
    for result in counter.take_back():
        came = True
        yield result
    if not came:
        case = counter.first()
        lost.append((case, Lost(case.name, "died before it had begun a case")))


def _second_try(alone: Alone, work: Work, case: Case, lost: Lost, ledger: Ledger) -> Result:
    result = ledger.finished(case.name)
    if result is not None:
        return result
    LOGGER.warning("%s: its worker %s; the case is tried once more, alone", case.name, lost.reason)
    ledger.announce(case.name)
    outcome = alone(work, case)
    if isinstance(outcome, Lost):
        return ledger.finished(case.name) or _failed(case, outcome)
    return outcome


def _failed(case: Case, lost: Lost) -> Result:
    facts = f"the case was tried twice, the second time alone, and needs about {case.memory_bytes / 2**20:.0f} MiB"
    return Result(case.name, "failed", f"its worker {lost.reason}; {facts}")


class _Counter:
    """Hands out cases, and takes back those that nobody has worked on."""

    def __init__(self, cases: Iterable[Case], ledger: Ledger) -> None:
        self.ledger = ledger
        self.out: dict[str, Case] = {}
        self._rest = iter(cases)
        self._next: deque[Case] = deque()

    def __iter__(self) -> _Counter:
        return self

    def __next__(self) -> Case:
        case = self._next.popleft() if self._next else next(self._rest)
        self.out[case.name] = case
        self.ledger.announce(case.name)
        return case

    def has_more(self) -> bool:
        """Whether there is a case to hand out."""
        if not self._next:
            self._next.extend(islice(self._rest, 1))
        return bool(self._next)

    def first(self) -> Case:
        """Take out the case that would be handed out next."""
        return self._next.popleft()

    def take_back(self) -> Iterator[Result]:
        """Take back what is out; the results of those that were finished all the same."""
        for case in self.out.values():
            result = self.ledger.finished(case.name)
            if result is not None:
                yield result
            else:
                self._next.append(case)
        self.out.clear()
