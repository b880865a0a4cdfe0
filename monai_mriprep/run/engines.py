"""Engines: where the cases of a run are worked on, how many at once, and how a lost one is tried by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import current_process
from typing import Protocol

from monai_mriprep.errors import package_logger
from monai_mriprep.machine import processors
from monai_mriprep.run.alone import alone, one_by_one
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.estimates import shown_bytes
from monai_mriprep.run.loader_workers import loader_workers
from monai_mriprep.run.mappers import Lost, Mapper, serial
from monai_mriprep.run.memory import available_memory, how_many_fit, too_large

__all__ = ["Engine", "Outcome", "ThisMachine", "Work"]

LOGGER = package_logger()

Work = Callable[[Case], Result]
"""What is done with a case; it can be pickled, and must not raise an `Exception`."""

Outcome = Result | Lost


class Engine(Protocol):
    """Processes, here or elsewhere, that work on cases."""

    def at_once(self, case: Case) -> int:
        """How many cases of this size may run at once; 0 where the memory is too small for one."""

    def too_large(self, case: Case) -> str:
        """Say why a case of which none may run is not attempted or, where its size is an upper bound, might fail."""

    def mapper(self, at_once: int, total: int) -> Mapper:
        """What works on `total` cases, `at_once` of them at a time; at least 1 each."""

    def alone(self, work: Work, case: Case) -> Outcome:
        """Work on a case by itself. Nothing else of the run is under way."""


@dataclass(frozen=True)
class ThisMachine:
    """Processes of this machine: MONAI's DataLoader workers or, without workers, this process.

    Parameters
    ----------
    workers
        Processes at once; 0 works in this process or, if there is a limit, in one process after the other.
    memory
        Bytes that all processes together may use.
    timeout
        Seconds for a case; None is no limit.
    """

    workers: int
    memory: int
    timeout: float | None = None

    @classmethod
    def limited(
        cls, workers: int | None = None, memory: int | None = None, timeout: float | None = None
    ) -> ThisMachine:
        """By default a worker for each processor, and the memory that the machine, its cgroup or ulimit allow."""
        workers = processors() if workers is None else workers
        memory = available_memory() if memory is None else memory
        LOGGER.debug("%d workers at most, in %s of memory", workers, shown_bytes(memory))
        return cls(workers, memory, timeout)

    def at_once(self, case: Case) -> int:
        """As many as there are workers, or as fit into the memory."""
        return min(max(1, self.workers), how_many_fit(case, self.memory))

    def too_large(self, case: Case) -> str:
        """In MiB, with the remedy."""
        return too_large(case, self.memory)

    def mapper(self, at_once: int, total: int) -> Mapper:
        """What this process can have."""
        if current_process().daemon:  # it may have no children
            if self.workers or self.timeout:
                limit = ", and case_timeout is not kept" if self.timeout else ""
                LOGGER.warning("in a daemonic process cases are worked on in it, one after the other%s", limit)
            return serial
        if self.workers == 0:
            return serial if self.timeout is None else one_by_one(self.timeout)
        return loader_workers(min(at_once, total), self.timeout)

    def alone(self, work: Work, case: Case) -> Outcome:
        """In a process of its own."""
        return alone(work, case, self.timeout)
