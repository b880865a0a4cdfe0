"""A whole run: from a dataset to files that are ready for training."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from monai_mriprep.errors import ClusterError, DiskFullError, package_logger
from monai_mriprep.machine import processors
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.engines import Engine, ThisMachine, Work
from monai_mriprep.run.executor_workers import Executors
from monai_mriprep.run.lost_cases import Ledger, without_losses
from monai_mriprep.run.memory import in_batches
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.run.process import process_case
from monai_mriprep.run.session import RunSummary, Session

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Observer", "Through", "engine_of", "execute", "worked_on"]

LOGGER = package_logger()

Observer = Callable[[Result, int, int], None]
"""Called after each case with its result, how many are finished, and how many there are. An error of its own is
dropped: what a run does must not depend on who watches it."""

Through = Callable[[Iterable[Result]], Generator[Result, None, None]]
"""What results go through before they are recorded; it may hold some back, and yields each, or another of its case.

A case that is done has an entry in the journal. Who makes a failed one of it removes that, else the session records it.
"""


def _as_they_are(results: Iterable[Result]) -> Generator[Result, None, None]:
    yield from results


def engine_of(
    plan: RunPlan,
    workers: int | None,
    case_timeout: float | None,
    executor: Callable[[], Executor] | None,
    client: Client | None,
) -> Engine:
    """Where the cases of a run are worked on, by the arguments of `monai_mriprep.preprocess`.

    Raises
    ------
    ClusterError
        If `executor` or `client` cannot be used, or comes with another or with limits that would not be kept.
    """
    if client is not None:
        return _of_client(plan, client, (workers, case_timeout, executor))
    if executor is None:
        return ThisMachine.limited(workers, timeout=case_timeout)
    if not callable(executor):
        msg = f"executor: {executor!r} is none; give what makes one, such as lambda: ProcessPoolExecutor(4)"
        raise ClusterError(msg)
    workers = processors() if workers is None else workers
    if workers < 1 or case_timeout is not None:
        msg = "executor: give workers, how many it has, at least 1; and no case_timeout, which it would not keep"
        raise ClusterError(msg)
    return Executors(executor, workers)


def _of_client(plan: RunPlan, client: Client, others: tuple[object, ...]) -> Engine:
    if getattr(client, "asynchronous", True) or any(other is not None for other in others):
        msg = (
            "client: give a Client of dask that is not asynchronous, and no workers, case_timeout or executor beside it"
        )
        raise ClusterError(msg)
    from monai_mriprep.run.dask_workers import DaskCluster  # an extra

    return DaskCluster(client, plan.dataset_root, plan.job.output_root)


def execute(
    session: Session,
    engine: Engine,
    fail_fast: bool = False,
    observe: Observer = lambda result, finished, total: None,
    through: Through = _as_they_are,
) -> RunSummary:
    """Process the unfinished cases of a session. Each case is logged, with its warnings.

    Parameters
    ----------
    session
        From `monai_mriprep.run.session.open_session`.
    engine
        Where the cases are worked on. A case that is too large for it fails without being attempted; one of which only
        an upper bound is known is attempted by itself.
    fail_fast
        Stop after the first case that fails.
    observe
        Called after each case.
    through
        What results go through before they are recorded, such as an upload of their files.
    """
    start, total = time.perf_counter(), len(session.todo)
    results: list[Result] = []
    stopped: str | None = None
    doubts = _doubts(session.todo, engine)
    work = partial(process_case, session.plan.job)
    # Closed, which ends the workers, before the lock is freed.
    with closing(worked_on(work, session.todo, engine, session)) as worked, closing(through(worked)) as outcomes:
        try:
            for result in map(partial(_warned, doubts), outcomes):
                session.record(result)
                results.append(replace(result, facts={}))
                _log(result, len(results), total)
                with suppress(Exception):
                    observe(result, len(results), total)
                stopped = result.error if result.stops_run else None
                if stopped or (fail_fast and result.status == "failed"):
                    break
        except DiskFullError as error:
            stopped = str(error)
    done, failed = (tuple(r for r in results if r.status == status) for status in ("done", "failed"))
    seconds = time.perf_counter() - start
    afterthoughts = session.afterthoughts()
    for message in afterthoughts:
        LOGGER.warning("%s", message)
    return session.summary(done, failed, seconds, stopped, afterthoughts)


def _log(result: Result, finished: int, total: int) -> None:
    """Log the outcome of a case. Only the main process logs; a worker's warnings come with its result.

    The records have an attribute ``case``, its name.
    """
    of_case = {"case": result.case}
    for message in result.warnings:
        LOGGER.warning("%s", message, extra=of_case)
    place = f"[{finished}/{total}] {result.case}"
    if result.error:
        LOGGER.error("%s: FAILED: %s", place, result.error, extra=of_case)
    else:
        shape = " x ".join(map(str, result.facts["target_grid"]["shape"]))
        seconds = result.facts["seconds"]
        LOGGER.info("%s: %s in %.2f s", place, shape, sum(seconds.values()), extra=of_case)
        stages = ", ".join(f"{stage} {taken:.2f} s" for stage, taken in seconds.items())
        LOGGER.debug("%s: %s; memory at most %.0f MiB", place, stages, result.facts["peak_mib"], extra=of_case)


def worked_on(work: Work, cases: Sequence[Case], engine: Engine, ledger: Ledger) -> Generator[Result, None, None]:
    """Carry some work out on cases, in batches of which as many as the mapper takes fit into the memory.

    Parameters
    ----------
    work, cases
        What is done, and with which cases, the largest first.
    engine
        Where.
    ledger
        As of `monai_mriprep.run.lost_cases.without_losses`.
    """
    for at_once, batch in in_batches(cases, engine.at_once):
        LOGGER.debug("%d cases, %d at once", len(batch), at_once)
        if at_once == 0:
            yield from (Result(case.name, "failed", engine.too_large(case)) for case in batch)
        else:
            mapper = engine.mapper(at_once, len(batch))
            yield from without_losses(mapper, work, batch, ledger, engine.alone)


def _doubts(cases: Iterable[Case], engine: Engine) -> dict[str, str]:
    """A warning for each case that is attempted though it might not fit into the memory."""
    return {case.name: engine.too_large(case) for case in cases if case.is_upper_bound and not engine.at_once(case)}


def _warned(doubts: Mapping[str, str], result: Result) -> Result:
    """The result, with the warning of its case."""
    doubt = doubts.get(result.case)
    return result if doubt is None else replace(result, warnings=(f"{result.case}: {doubt}", *result.warnings))
