"""Work for the tests of mappers: it leaves a file for each try of a case, and has a fault for some cases."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from monai_mriprep.run.cases import Case, Result


def cases(count: int) -> list[Case]:
    return [Case(str(index), {}, {}, 7 * 2**20) for index in range(count)]


def nothing() -> None:
    pass


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(3)


def hang() -> None:
    threading.Event().wait()


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(frozen=True)
class Work:
    """Called with a case; the fault strikes the faulty ones, the first time or always."""

    folder: Path
    fault: Callable[[], None] = nothing
    faulty: tuple[str, ...] = ()
    once: bool = False

    def __call__(self, case: Case) -> Result:
        number = self.tries(case.name)
        (self.folder / f"{case.name}.try.{number}").touch()
        if case.name in self.faulty and not (self.once and number):
            self.fault()
        return Result(case.name, "done", facts={"pid": os.getpid()})

    def tries(self, name: str) -> int:
        return len(list(self.folder.glob(f"{name}.try.*")))


@dataclass
class Ledger:
    """What was announced; and the results of cases that a worker has finished and not reported."""

    unreported: dict[str, Result] = field(default_factory=dict)
    announced: list[str] = field(default_factory=list)

    def announce(self, case: str) -> None:
        self.announced.append(case)

    def finished(self, case: str) -> Result | None:
        assert not multiprocessing.active_children(), "nobody may work on it any more"
        return self.unreported.get(case)


def counted(many: list[Case], drawn: list[str]) -> Iterator[Case]:
    """The cases, with a list of those that were taken."""
    for case in many:
        drawn.append(case.name)
        yield case
