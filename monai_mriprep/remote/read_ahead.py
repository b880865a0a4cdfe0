"""Files of the next cases are fetched by threads while others are worked on, and removed after use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from monai_mriprep.errors import RemoteError
from monai_mriprep.run.cases import Case

__all__ = ["ReadAhead"]

THREADS = 8


class ReadAhead:
    """Fetches cases in the order of a list, some of them ahead of the one that is asked for.

    Nothing is fetched before the first case is asked for: workers are forked by then, which must not happen in the
    middle of another thread's work. In a second use of a mapper it does; workers touch no connection, though.

    Parameters
    ----------
    cases
        In the order in which they will most likely be asked for.
    fetch, drop
        Bring the files of a case here, and remove them.
    ahead
        How many cases may lie here, or be on their way, that nobody has asked for.
    """

    def __init__(
        self, cases: Sequence[Case], fetch: Callable[[Case], None], drop: Callable[[Case], None], ahead: int
    ) -> None:
        self._cases, self._fetch, self._drop, self._ahead = cases, fetch, drop, max(1, ahead)
        self._places = {case.name: place for place, case in enumerate(cases)}
        self._fetched: dict[str, Future[None]] = {}
        self._threads = ThreadPoolExecutor(THREADS, "read-ahead")

    def at_hand(self, cases: Iterable[Case]) -> Iterator[Case]:
        """The same cases, each when its files are here, or with its `problem` if they cannot be had."""
        for case in cases:
            place = self._places[case.name]
            for one in self._cases[place : place + 1 + self._ahead]:
                if one.name not in self._fetched:
                    self._fetched[one.name] = self._threads.submit(self._fetch, one)
            problem = _problem(self._fetched[case.name])
            yield case if problem is None else replace(case, problem=problem)

    def finish(self, name: str) -> None:
        """Remove the files of a case; nobody works on it any more."""
        self._drop(self._cases[self._places[name]])

    def close(self) -> None:
        """Wait for what is on its way, and fetch nothing more."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _problem(fetched: Future[None]) -> str | None:
    try:
        fetched.result()
    except RemoteError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: its object cannot be written there ({error.strerror}); free space for --scratch"
    return None
