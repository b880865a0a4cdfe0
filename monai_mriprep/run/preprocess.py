"""A whole run: from a dataset to files that are ready for training."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from multiprocessing import current_process
from pathlib import Path

from monai_mriprep.errors import DiskFullError, MriprepWarning, package_logger
from monai_mriprep.machine import processors
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.alone import one_by_one
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.estimates import shown_bytes
from monai_mriprep.run.loader_workers import loader_workers
from monai_mriprep.run.lost_cases import without_losses
from monai_mriprep.run.mappers import Mapper, serial
from monai_mriprep.run.memory import available_memory, fits, in_batches, too_large
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.process import process_case
from monai_mriprep.run.session import RunSummary, Session, open_session

__all__ = ["Observer", "execute", "preprocess"]

LOGGER = package_logger()

Observer = Callable[[Result, int, int], None]
"""Called after each case with its result, how many are finished, and how many there are. An error of its own is
dropped: what a run does must not depend on who watches it."""


def preprocess(
    dataset_root: str | Path,
    output_root: str | Path,
    recipe: Recipe | None = None,
    workers: int | None = None,
    case_timeout: float | None = None,
    *,
    redo: bool = False,
    retire: bool = False,
    take_over: bool = False,
    like: str | Path | None = None,
    report: bool = True,
    exclude: str | Path | None = None,
) -> RunSummary:
    """Preprocess a dataset; cases that were finished before are skipped.

    Parameters
    ----------
    dataset_root
        A dataset: ``ImagesTr``, ``LabelsTr`` and, if there is one, ``mri_statistics.csv``; or another layout of
        ``docs/datasets.md``.
    output_root
        Receives ``imagesTr`` and ``labelsTr`` with one ``.npz`` each per pair, ``run.json`` and ``manifest.jsonl``.
    recipe
        The default one if it is not given.
    workers
        Processes; by default one for each core that this process may use, 0 works in this process. In a daemonic
        process, which may have no children, the cases are worked on in it, with a warning.
    case_timeout
        Seconds after which the process of a case is killed. The case is tried once more, alone, and then fails. With
        ``workers=0`` each case gets a process of its own, one after the other. None is no limit.
    redo
        Do all cases again, by this recipe and the target that it gives. Without it a folder with finished cases keeps
        its recipe and target.
    retire
        Let cases leave the dataset, however many and whatever else has changed: their files go to ``retired/``.
    take_over
        Finish and clear away what runs on other machines have left; they must have ended.
    like
        The output folder of a training set: `dataset_root` holds the images of its test set, which get its recipe and
        target spacing, and go to ``imagesTs``.
    report
        Measure and draw each case while its voxels are in memory, so that ``monai-mriprep report OUTPUT_ROOT`` shows
        before and after.
    exclude
        A list of cases that are left out, one a line; see `monai_mriprep.dataset.exclusions.read_exclusions`. What is
        finished of them goes to ``retired/``.

    Returns
    -------
    RunSummary
        What was done. A case that failed is listed there with its error; it does not raise.

    Raises
    ------
    MriprepError
        If the run cannot start, as where its output folder keeps another recipe or target, or cases have left the
        dataset and nobody has confirmed it.

    Warns
    -----
    MriprepWarning
        For what needs review in the dataset as a whole, such as an image without a label. These warnings are logged,
        too. Warnings of single cases are only logged.
    """
    plan = plan_run(dataset_root, output_root, recipe, redo, like, report, exclude)
    with open_session(plan, retire, take_over) as session:
        for message in session.warnings:
            warnings.warn(message, MriprepWarning, 2)
        summary = execute(session, workers, case_timeout=case_timeout)
    for message in summary.warnings[len(session.warnings) :]:
        warnings.warn(message, MriprepWarning, 2)
    return summary


def execute(
    session: Session,
    workers: int | None = None,
    fail_fast: bool = False,
    max_memory: int | None = None,
    observe: Observer = lambda result, finished, total: None,
    case_timeout: float | None = None,
    mappers: Callable[[int], Mapper] | None = None,
) -> RunSummary:
    """Process the unfinished cases of a session. Each case is logged, with its warnings.

    Parameters
    ----------
    session
        From `monai_mriprep.run.session.open_session`.
    workers
        As in `preprocess`.
    fail_fast
        Stop after the first case that fails.
    max_memory
        Bytes that all processes together may use; by default what the machine, its cgroup or ulimit allow. It limits
        how many cases run at once. A case that needs more than that fails without being attempted; one of which only
        an upper bound is known is attempted by itself.
    observe
        Called after each case.
    case_timeout
        As in `preprocess`.
    mappers
        Given a number of cases that fit into the memory at once, makes the mapper that works on them; by default
        `monai_mriprep.run.loader_workers.loader_workers`. A mapper of another kind need not keep `case_timeout`.
    """
    start, total = time.perf_counter(), len(session.todo)
    workers = processors() if workers is None else workers
    memory = available_memory() if max_memory is None else max_memory
    mappers = mappers or _default_mappers(workers, case_timeout)
    results: list[Result] = []
    stopped: str | None = None
    doubts = _doubts(session.todo, memory)
    # Closed, which ends the workers, before the lock is freed.
    with closing(_results(session, mappers, workers, memory, case_timeout)) as outcomes:
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


def _results(
    session: Session, mappers: Callable[[int], Mapper], workers: int, memory: int, case_timeout: float | None
) -> Generator[Result, None, None]:
    """Process the cases in batches of which as many as the mapper takes fit into the memory."""
    work = partial(process_case, session.plan.job)
    for fitting, cases in in_batches(session.todo, max(1, workers), memory):
        LOGGER.debug("%d cases, %d at once in %s of memory", len(cases), fitting, shown_bytes(memory))
        if fitting == 0:
            yield from (Result(case.name, "failed", too_large(case, memory)) for case in cases)
        else:
            mapper = mappers(min(fitting, len(cases)))
            yield from without_losses(mapper, work, cases, session, case_timeout)


def _default_mappers(workers: int, case_timeout: float | None) -> Callable[[int], Mapper]:
    """Given a number of cases at once, the mapper that this process can have."""
    if current_process().daemon:  # it may have no children
        if workers or case_timeout:
            limit = ", and case_timeout is not kept" if case_timeout else ""
            LOGGER.warning("in a daemonic process cases are worked on in it, one after the other%s", limit)
        return lambda _: serial
    if workers == 0:
        return lambda _: serial if case_timeout is None else one_by_one(case_timeout)
    return lambda count: loader_workers(count, case_timeout)


def _doubts(cases: Iterable[Case], memory: int) -> dict[str, str]:
    """A warning for each case that is attempted though it might not fit into the memory."""
    return {case.name: too_large(case, memory) for case in cases if case.is_upper_bound and not fits(case, memory)}


def _warned(doubts: Mapping[str, str], result: Result) -> Result:
    """The result, with the warning of its case."""
    doubt = doubts.get(result.case)
    return result if doubt is None else replace(result, warnings=(f"{result.case}: {doubt}", *result.warnings))
