"""The main job: a dataset goes in, training-ready files come out."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from monai_mriprep.errors import MriprepWarning
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Result
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.process import process_case
from monai_mriprep.run.session import RunSummary, Session, open_session
from monai_mriprep.run.workers import run_cases

__all__ = ["Observer", "execute", "preprocess"]

Observer = Callable[[Result, int, int], None]
"""Called after each case with its result, how many are finished, and how many there are."""


def preprocess(
    dataset_root: str | Path, output_root: str | Path, recipe: Recipe | None = None, workers: int | None = None
) -> RunSummary:
    """Preprocess a dataset; cases that were finished before are skipped.

    Parameters
    ----------
    dataset_root
        Holds ``ImagesTr``, ``LabelsTr`` and, if there is one, ``mri_statistics.csv``.
    output_root
        Receives ``imagesTr`` and ``labelsTr`` with one ``.npz`` each per pair, ``run.json`` and ``manifest.jsonl``.
    recipe
        The published one by default.
    workers
        Processes; by default one for each core that this process may use, 0 works in this process.

    Returns
    -------
    RunSummary
        A case that failed stands there with its error; it does not raise.

    Raises
    ------
    MriprepError
        If the run cannot start.

    Warns
    -----
    MriprepWarning
        For what a person should look at in the dataset as a whole, such as an image without a label.
    """
    plan = plan_run(dataset_root, output_root, recipe)
    for message in plan.warnings:
        warnings.warn(message, MriprepWarning, 2)
    with open_session(plan) as session:
        return execute(session, workers)


def execute(
    session: Session,
    workers: int | None = None,
    fail_fast: bool = False,
    observe: Observer = lambda result, finished, total: None,
) -> RunSummary:
    """Work on what a session has to do.

    Parameters
    ----------
    session
        From `monai_mriprep.run.session.open_session`.
    workers
        As in `preprocess`.
    fail_fast
        Stop after the first case that fails.
    observe
        Called after each case.
    """
    start = time.perf_counter()
    plan, todo = session.plan, session.todo
    results: list[Result] = []
    for result in run_cases(partial(process_case, plan.job), todo, default_workers() if workers is None else workers):
        session.record(result)
        results.append(result)
        observe(result, len(results), len(todo))
        if fail_fast and result.status == "failed":
            break
    done, failed = (tuple(r for r in results if r.status == status) for status in ("done", "failed"))
    seconds = time.perf_counter() - start
    return RunSummary(plan.job.output_root, done, failed, session.skipped, plan.warnings, seconds)


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
