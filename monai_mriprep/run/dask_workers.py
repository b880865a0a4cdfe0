"""The workers of a Dask cluster as a mapper and as an engine.

The scheduler gets a few chunks of cases at a time, and is told to forget each at once when its results are here. So it
needs the same memory for any number of cases.
"""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker, as_completed

from monai_mriprep.errors import ClusterError, package_logger
from monai_mriprep.run.cases import Case
from monai_mriprep.run.cluster_worker import WITHDRAWAL_SECONDS, Demands, carry_out, made_ready, withdrawn
from monai_mriprep.run.dask_attendance import Attendance
from monai_mriprep.run.engines import Outcome, Work
from monai_mriprep.run.estimates import case_seconds
from monai_mriprep.run.mappers import Found, Item, Lost, Mapper
from monai_mriprep.run.memory import MAIN_BYTES
from monai_mriprep.run.under_way import UnderWay

__all__ = ["MEMORY", "DaskCluster", "chunk_size"]

LOGGER = package_logger()

MEMORY = "memory"
"""The resource of a worker, in bytes for its cases: what it has beside the program itself."""

CHUNKS_A_WORKER = 20
LARGEST_CHUNK = 16
WAITING = 2
"""Chunks a worker process has, the one that it works on included: the next one waits there."""


def chunk_size(total: int, workers: int) -> int:
    """How many cases are sent at once: each worker gets 20 chunks or more, so that all end at about the same time."""
    return max(1, min(LARGEST_CHUNK, total // (CHUNKS_A_WORKER * workers)))


@dataclass(frozen=True)
class DaskCluster:
    """The workers of a cluster as an engine. Each process works on one case at a time, whatever its threads.

    Parameters
    ----------
    client
        Connected to the cluster; it is not closed here.
    dataset_root, output_root
        What each worker must see, by the same paths; None demands nothing.
    patience
        Seconds without any worker after which the run ends; a cluster that others feed may get one later.
    """

    client: Client
    dataset_root: Path | None = None
    output_root: Path | None = None
    patience: float = math.inf
    run: str = field(default_factory=lambda: uuid4().hex)

    @cached_property
    def workers(self) -> dict[str, float]:
        """Bytes that a case may take in each worker process, by its address; as soon as there is one.

        It is what all of them declare as a resource, or else what their limits leave beside the program.
        """
        if self._is_declared:
            return {address: int(facts["resources"][MEMORY]) for address, facts in self._found.items()}
        return _left_by_limits(self._found)

    @cached_property
    def _is_declared(self) -> bool:
        return all(MEMORY in facts["resources"] for facts in self._found.values())

    @cached_property
    def _found(self) -> dict[str, Any]:
        """What the scheduler says of each worker."""
        while not (found := self._ask()):
            LOGGER.warning("no worker has joined %s yet; waiting for one", self.client.scheduler.address)
            self.client.wait_for_workers(1)
        return found

    def _ask(self) -> dict[str, Any]:
        return dict(self.client.scheduler_info(n_workers=-1)["workers"])

    def at_once(self, case: Case) -> int:
        """As many as there are worker processes that have the memory for it."""
        return sum(case.memory_bytes <= room for room in self.workers.values())

    def too_large(self, case: Case) -> str:
        """In MiB, with the remedy."""
        facts = f"{case.memory_bytes / 2**20:.0f} MiB, and no worker has more than {self._most / 2**20:.0f} MiB for it"
        advice = f"start workers with more memory (--memory-limit, --resources {MEMORY}=BYTES), or fewer of them"
        if case.is_upper_bound:
            return f"might not fit: the case needs at most {facts}; it is attempted by itself. If it fails, {advice}"
        return f"not attempted: the case needs about {facts}; {advice}"

    @property
    def _most(self) -> float:
        return max(self.workers.values())

    def mapper(self, at_once: int, total: int) -> Mapper:
        """Chunks of cases, of which the scheduler knows few at a time.

        Raises
        ------
        ClusterError
            If a worker does not fit the run.
        """
        demands = Demands.of(self.run, self.dataset_root, self.output_root)
        self._require_ready(demands)
        return self._mapper(demands, at_once, chunk_size(total, at_once))

    def alone(self, work: Work, case: Case) -> Outcome:
        """As one task of the cluster."""
        demands = Demands.of(self.run, self.dataset_root, self.output_root)
        (outcome,) = self._mapper(demands, 1, 1)(work, [case])
        return outcome

    def _require_ready(self, demands: Demands) -> None:
        """Load what a case needs in all workers at once, and ask whether they fit."""
        for address, found in self.client.run(made_ready, demands, on_error="return").items():
            if isinstance(found, OSError):
                continue  # it has just gone; the one that takes its place asks itself
            if isinstance(found, Exception):
                found = f"it cannot load monai-mriprep {demands.version} ({type(found).__name__}: {found})"
            if found is not None:
                msg = f"worker {address}: {found}"
                raise ClusterError(msg)

    def _mapper(self, demands: Demands, at_once: int, size: int) -> Mapper:
        def mapped(work: Callable[[Item], Found], cases: Iterable[Item]) -> Iterator[Found | Lost]:
            return _Tasks(self, demands, work, at_once).outcomes(iter(cases), size)

        return mapped

    def submit(self, demands: Demands, work: Callable[[Item], Found], chunk: Sequence[Item]) -> Future:
        """Send a chunk to a worker that has the memory for its cases."""
        needed = min(max((item.memory_bytes for item in chunk if isinstance(item, Case)), default=0), self._most)
        where = {"resources": {MEMORY: needed}} if self._is_declared else self._where(needed)
        return self.client.submit(
            pickle.loads,
            pickle.dumps(_Call(carry_out, demands, work, chunk)),
            key=f"mriprep-{uuid4()}",  # the scheduler keeps what stands before the number for ever
            **where,
        )

    def _where(self, needed: float) -> dict[str, Any]:
        """The workers whose limit leaves room, if not all have it; others, should those be gone before it begins."""
        if needed <= min(self.workers.values()):
            return {}
        fitting = [address for address, room in _left_by_limits(self._ask()).items() if needed <= room]
        return {"workers": fitting, "allow_other_workers": True} if fitting else {}


def _left_by_limits(found: dict[str, Any]) -> dict[str, float]:
    """What the limit of each worker leaves beside the program, in bytes."""
    return {address: (facts["memory_limit"] or math.inf) - MAIN_BYTES for address, facts in found.items()}


class _Call:
    """A call that is pickled, and made where it is unpickled: the scheduler, which unpickles tasks, sees bytes alone.

    So it needs neither this package nor the memory and time to load PyTorch.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


class _Tasks:
    """The chunks that the scheduler knows of."""

    def __init__(self, cluster: DaskCluster, demands: Demands, work: Callable[[Any], Any], at_once: int) -> None:
        self._cluster, self._demands, self._work, self._at_once = cluster, demands, work, at_once
        self._attendance = Attendance(cluster.client, len(cluster.workers), cluster.patience)
        self._chunks: dict[Future, Sequence[Any]] = {}
        self._again: deque[Sequence[Any]] = deque()

    def outcomes(self, cases: Iterator[Item], size: int) -> Iterator[Any]:
        """What becomes of each case; a chunk that is lost is handed out again first, one case at a time."""
        completed = as_completed(loop=self._cluster.client.loop)
        try:
            with UnderWay() as under_way:
                while self._fill(cases, size, completed, under_way):
                    future = self._next(completed, under_way)
                    for item in (chunk := self._chunks.pop(future)):
                        under_way.end(item)
                    results = self._results(future, chunk)
                    future.release()  # else it is done again when the worker dies that has its result
                    yield from results
        finally:
            self._give_up()

    def _fill(self, cases: Iterator[Item], size: int, completed: as_completed, under_way: UnderWay) -> bool:
        """Hand out chunks until the window is full; whether any are under way."""
        fresh = iter(lambda: list(islice(cases, size)), [])
        again = iter(lambda: self._again.popleft() if self._again else [], [])
        for chunk in islice(chain(again, fresh), max(0, self._window() - len(self._chunks))):
            future = self._cluster.submit(self._demands, self._work, chunk)
            self._chunks[future] = chunk
            completed.add(future)
            self._watch(chunk, under_way)
        return bool(self._chunks)

    def _next(self, completed: as_completed, under_way: UnderWay) -> Future:
        """The next chunk that has ended; an error where no worker is left that could end one."""
        while not completed.has_ready():
            with completed.thread_condition:
                completed.thread_condition.wait(0.1)
            self._attendance.require(sum(map(len, self._chunks.values())))
            for chunk in self._chunks.values() if self._attendance.is_empty else ():
                self._watch(chunk, under_way)  # nobody works on them, and they will begin anew
        return next(completed)

    def _window(self) -> int:
        """How many chunks the scheduler may know of; workers that have joined since the run began count."""
        self._attendance.ask()
        return WAITING * (self._at_once + self._attendance.joined)

    def _watch(self, chunk: Sequence[Item], under_way: UnderWay) -> None:
        """The cases of a chunk are begun one after the other."""
        begins = time.monotonic()
        for item in chunk:
            under_way.begin(item, since=begins)
            begins += case_seconds(item) if isinstance(item, Case) else 0.0

    def _results(self, future: Future, chunk: Sequence[Item]) -> Sequence[Any]:
        try:
            return future.result()  # type: ignore[no-any-return]
        except ClusterError:
            raise
        except Exception as error:
            if self._cluster.client.status != "running":
                msg = "the scheduler of the cluster is gone; when one is there, run the same command again"
                raise ClusterError(msg) from error
            return self._lost(chunk, error)

    def _lost(self, chunk: Sequence[Item], error: Exception) -> Sequence[Lost]:
        if len(chunk) == 1:
            return [Lost(chunk[0].name, _reason(error))]
        self._again.extend([item] for item in chunk)
        return []

    def _give_up(self) -> None:
        """Have the scheduler forget what is left, and the workers begin no more of it."""
        if self._chunks and self._cluster.client.status == "running":
            thread = threading.Thread(target=self._withdraw, daemon=True)
            thread.start()
            thread.join(2 * WITHDRAWAL_SECONDS)

    def _withdraw(self) -> None:
        with suppress(Exception):
            self._cluster.client.cancel(list(self._chunks), force=True)
            self._cluster.client.run(withdrawn, self._demands.run, on_error="ignore")


def _reason(error: Exception) -> str:
    if isinstance(error, KilledWorker):
        return f"at {error.last_worker.address} was lost, most often because memory ran out"
    return f"had no result ({type(error).__name__}: {error})"
