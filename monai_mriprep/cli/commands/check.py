"""`check`: what a run would find, need and make."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.options import (
    Channels,
    Config,
    DatasetRoot,
    Exclude,
    Json,
    Like,
    Settings,
    Target,
    Workers,
    configured,
    required,
)
from monai_mriprep.cli.show import ATTENTION, COULD_NOT_START, OK, report, say
from monai_mriprep.cli.terminal import width_of

__all__ = ["check"]


def check(
    dataset_root: DatasetRoot = None,
    config: Config = None,
    settings: Settings = None,
    target: Target = None,
    like: Like = None,
    channels: Channels = None,
    exclude: Exclude = None,
    voxels: Annotated[bool, typer.Option("--voxels", help="Read all voxels, too.")] = False,
    as_json: Json = False,
    output_root: Annotated[
        Path | None,
        typer.Option("--output-root", help="Where the run would write.", show_default="run.output, or here"),
    ] = None,
    workers: Workers = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show all cases, and what is found in each.")
    ] = False,
) -> int:
    """Say what a run would find, need and make, without running: pairs, headers, geometry, sizes, disk, memory, time.

    Exit status: 0 all well, 1 something needs attention, 2 not one case can be preprocessed.
    """
    from monai_mriprep.report.facts import check_json
    from monai_mriprep.report.outlook import check_text
    from monai_mriprep.run.check import check_dataset

    places = {"dataset": dataset_root, "output": output_root, "like": like, "exclude": exclude}
    recipe, job = configured(config, settings, target, channels, workers=workers, **places)
    dataset = required(job.dataset, "DATASET_ROOT", "dataset")
    found = check_dataset(dataset, recipe, voxels, job.workers, job.output, job.like, job.exclude)
    given = {
        "--config": [config],
        "--set": settings,
        "--target": [target],
        "--channels": [channels],
        "--like": [like],
        "--exclude": [exclude],
    }
    output = job.output or suggested_output(dataset, is_test=job.like is not None)
    command = run_command(dataset, output, given, found.options)
    report(check_text(found, width_of(sys.stdout), verbose), {**check_json(found), "command": command}, as_json)
    if not as_json and found.status != "impossible":
        say(f"run it with:  {command}")  # in one piece, to be pasted
    return {"ready": OK, "attention": ATTENTION, "impossible": COULD_NOT_START}[found.status]


def suggested_output(dataset: Path, is_test: bool) -> Path:
    """A folder here, or beside the dataset where that is around it. One dataset may hold a training and a test set."""
    whole = dataset.resolve()
    name = f"{whole.name}{'-test' if is_test else ''}-preprocessed"
    return whole.parent / name if Path.cwd().is_relative_to(whole) else Path(name)


def run_command(
    dataset: Path, output: str | Path, given: Mapping[str, Sequence[object] | None], needed: Sequence[str]
) -> str:
    """The command that runs a dataset, on one line, for a shell.

    Parameters
    ----------
    dataset
        The folder.
    output
        Where to.
    given
        Values of options that the user has given.
    needed
        Further words that the layout needs.
    """
    options = [word for option, values in given.items() for value in values or () if value for word in (option, value)]
    folders = (f"./{path}" if str(path).startswith("-") else path for path in (dataset, output))
    words = ("monai-mriprep", "run", *folders, *options, *needed)
    return shlex.join(map(str, words))
