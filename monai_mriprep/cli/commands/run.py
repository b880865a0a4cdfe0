"""`run`: a dataset becomes an output folder."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_mriprep.cli.clock import elapsed
from monai_mriprep.cli.options import (
    CaseTimeout,
    Channels,
    Config,
    DatasetRoot,
    Exclude,
    Json,
    Like,
    MaxMemory,
    Quiet,
    Report,
    RunOutput,
    Scheduler,
    Scratch,
    Settings,
    ShardOf,
    Target,
    Verbose,
    Virtual,
    Workers,
    configured,
    memory_size,
    required,
)
from monai_mriprep.cli.show import OK, report, say, summarize, warn
from monai_mriprep.cli.terminal import width_of

if TYPE_CHECKING:
    from monai_mriprep.cli.progress import LineHandler
    from monai_mriprep.recipe import RunSettings
    from monai_mriprep.remote.places import Places
    from monai_mriprep.run.engines import Engine
    from monai_mriprep.run.plan import RunPlan
    from monai_mriprep.run.session import RunSummary, Session

__all__ = ["run"]


def run(
    context: typer.Context,
    dataset_root: DatasetRoot = None,
    output_root: RunOutput = None,
    config: Config = None,
    settings: Settings = None,
    target: Target = None,
    like: Like = None,
    channels: Channels = None,
    exclude: Exclude = None,
    workers: Workers = None,
    redo: Annotated[
        bool,
        typer.Option("--redo", "--overwrite", help="Do all cases again, by this recipe; --overwrite is its old name."),
    ] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="Move files of cases that left the dataset, however many, to retired/.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Clear up after runs on other machines; they must have ended.")
    ] = False,
    shard: ShardOf = None,
    virtual: Virtual = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop after the first failed case.")] = False,
    max_memory: MaxMemory = None,
    case_timeout: CaseTimeout = None,
    scheduler: Scheduler = None,
    show: Report = None,
    scratch: Scratch = None,
    print_sbatch: Annotated[
        bool, typer.Option("--print-sbatch", help="Print a script for SLURM that runs --shard auto/N; run nothing.")
    ] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and why; write nothing.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Preprocess a dataset. Finished cases are skipped, so an interrupted run is resumed by the same command.

    Exit status: 0 all went well, 1 some cases failed or it was stopped, 2 nothing was started,
    130 interrupted, 143 terminated.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.remote.address import absolute
    from monai_mriprep.remote.at_hand import at_hand
    from monai_mriprep.report.facts import run_json
    from monai_mriprep.run.sbatch import first_of_array

    limits = {
        "workers": workers,
        "max_memory": memory_size(max_memory),
        "case_timeout": case_timeout,
        "report": show,
        "virtual": virtual,
    }
    places = {"dataset": dataset_root, "output": output_root, "like": like, "exclude": exclude}
    recipe, job = configured(config, settings, target, channels, **places, **limits)
    dataset, output = required(job.dataset, "DATASET_ROOT", "dataset"), required(job.output, "OUTPUT_ROOT", "output")
    count = _worker_count(scheduler, job)
    scans, results = dataset, output
    if scheduler is not None:  # whose workers may have been started in another folder
        scans, results = absolute(scans), absolute(results)
    with at_hand(scans, results, scratch) as here:
        part = first_of_array(shard) if print_sbatch else shard
        plan, may_leave = here.plan(
            recipe, redo, job.like, job.report is not False, job.exclude, part, bool(job.virtual)
        )
        if print_sbatch:
            return _say_script(context, plan, output, job.workers if scheduler is None else count)
        retire = retire or may_leave
        if dry:
            return _say_what_would_be_done(here, plan, retire, job, verbose, as_json)
        with log_lines(verbose, quiet) as lines, here.session(plan, retire, take_over) as session:
            summary = _worked_on(session, here, lines, scheduler, job, count, fail_fast)
        with log_lines(verbose, quiet):  # after the session, which has recorded all by now
            summary = here.finish(_reported(summary, here, plan))
    summary = replace(summary, seconds=elapsed())
    return summarize(summary, run_json(summary, plan) if as_json else None)


def _worker_count(scheduler: str | None, job: RunSettings) -> int:
    """How many cases are worked on at once, as far as that is known; limits that would not be kept are refused."""
    from monai_mriprep.machine import processors
    from monai_mriprep.run.schedulers import require_kept

    if scheduler is not None:
        return require_kept(scheduler, job.workers, job.max_memory, job.case_timeout)
    return processors() if job.workers is None else job.workers


def _say_script(context: typer.Context, plan: RunPlan, output: Path | str, workers: int | None) -> int:
    from monai_mriprep.cli.given import given_words
    from monai_mriprep.run.sbatch import DEFAULT_WORKERS, sbatch_script

    words = given_words(context, without=("shard", "print_sbatch", "dry"))
    words += [] if workers is not None else ["--workers", str(DEFAULT_WORKERS)]
    scratch = context.params["scratch"]
    of_merge = [
        *([] if plan.job.report else ["--no-report"]),
        *([] if scratch is None else ["--scratch", str(scratch)]),
    ]
    program = [sys.executable, "-m", "monai_mriprep"]
    count = DEFAULT_WORKERS if workers is None else workers
    say(sbatch_script(program, words, output, plan, count, of_merge), end="")
    return OK


def _say_what_would_be_done(
    here: Places, plan: RunPlan, retire: bool, job: RunSettings, verbose: bool, as_json: bool
) -> int:
    from monai_mriprep.report.facts import plain
    from monai_mriprep.report.outlook import dry_run_text
    from monai_mriprep.run.dry_run import dry_run

    found = here.foreseen(dry_run(plan, retire, job.workers, job.max_memory, here.elsewhere))
    warn(found.warnings, everything=verbose)
    report(dry_run_text(found, width_of(sys.stdout), verbose), plain(found), as_json)
    return OK


def _worked_on(
    session: Session,
    here: Places,
    lines: LineHandler,
    scheduler: str | None,
    job: RunSettings,
    count: int,
    fail_fast: bool,
) -> RunSummary:
    """Work on the cases, and show how that goes on; MONAI is loaded only if there are any."""
    from monai_mriprep.cli.progress import watched
    from monai_mriprep.run.estimates import case_seconds

    if not session.todo:
        return session.summary()
    work = {case.name: case_seconds(case) for case in session.todo}
    with watched(lines, work, count) as watch, ExitStack() as stack:
        with watch.doing("loading MONAI" if scheduler is None else "starting workers, which load MONAI"):
            from monai_mriprep.run.preprocess import execute

            where = stack.enter_context(_engine(session.plan, scheduler, job))
        return execute(session, here.engine(session, where, count), fail_fast, watch, here.through)


def _engine(plan: RunPlan, scheduler: str | None, job: RunSettings) -> AbstractContextManager[Engine]:
    """Where the cases are worked on, as long as the block lasts."""
    from monai_mriprep.run.engines import ThisMachine

    if scheduler is None:
        return nullcontext(ThisMachine.limited(job.workers, job.max_memory, job.case_timeout))
    from monai_mriprep.run.dask_cluster import on_cluster  # an extra

    return on_cluster(plan, scheduler, job.max_memory)


def _reported(summary: RunSummary, here: Places, plan: RunPlan) -> RunSummary:
    """The summary, with the report if one is wanted; that of shards `merge` writes."""
    from monai_mriprep.report.html.after_run import warn_of_older_report, with_report

    if plan.shard is not None:
        return summary
    if plan.job.report:
        return here.reported(summary, with_report)
    warn_of_older_report(summary)
    return summary
