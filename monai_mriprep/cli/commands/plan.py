"""`plan`: the list of cases, written down for shards."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from monai_mriprep.cli.given import given_words
from monai_mriprep.cli.options import (
    Channels,
    Config,
    DatasetRoot,
    Exclude,
    Json,
    Like,
    RunOutput,
    Scratch,
    Settings,
    Target,
    Verbose,
    Virtual,
    configured,
    required,
)
from monai_mriprep.cli.show import OK, report, say, warn

__all__ = ["plan"]


def plan(
    context: typer.Context,
    dataset_root: DatasetRoot = None,
    output_root: RunOutput = None,
    config: Config = None,
    settings: Settings = None,
    target: Target = None,
    like: Like = None,
    channels: Channels = None,
    exclude: Exclude = None,
    redo: Annotated[bool, typer.Option("--redo", help="Begin anew: all cases are done again, by this recipe.")] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="Cases may leave the dataset, however many: the first shard retires them.")
    ] = False,
    virtual: Virtual = None,
    scratch: Scratch = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Look at a dataset once, for all the machines that then work on it: write the list of cases and the target.

    Exit status: 0 the list is written, 2 a run would not start; then nothing was written.
    """
    from monai_mriprep.remote.at_hand import at_hand
    from monai_mriprep.report.facts import plain
    from monai_mriprep.report.plan_text import plan_text

    places = {"dataset": dataset_root, "output": output_root, "like": like, "exclude": exclude}
    recipe, job = configured(config, settings, target, channels, **places, virtual=virtual)
    dataset, output = required(job.dataset, "DATASET_ROOT", "dataset"), required(job.output, "OUTPUT_ROOT", "output")
    with at_hand(dataset, output, scratch, apart=True) as here:
        decided, _ = here.plan(recipe, redo, job.like, exclude=job.exclude, virtual=bool(job.virtual))
        found = here.plan_cases(decided, retire)
    warn(found.warnings, everything=verbose)
    report(plan_text(found), plain(found), as_json)
    if not as_json:
        words = given_words(context, without=("redo", "retire", "as_json", "verbose"))
        say(f"next, in each of N jobs:  {shlex.join(['monai-mriprep', 'run', *words, '--shard', 'I/N'])}")
    return OK
