"""`check`: what a run would find, need and make."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    Virtual,
    Workers,
    configured,
    required,
)
from monai_mriprep.cli.show import ATTENTION, COULD_NOT_START, OK, fail, report, say
from monai_mriprep.cli.terminal import width_of
from monai_mriprep.errors import OutputError

if TYPE_CHECKING:
    from monai_mriprep.report.html.check_file import CheckReport
    from monai_mriprep.run.dataset_report import DatasetReport

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
    virtual: Virtual = None,
    workers: Workers = None,
    report_file: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write a page: charts, pictures, which cases deserve a look; reads all voxels.",
            show_default="none",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show all cases, and what is found in each.")
    ] = False,
) -> int:
    """Say what a run would find, need and make, without running: pairs, headers, geometry, sizes, disk, memory, time.

    Exit status: 0 all well, 1 something needs attention, 2 not one case can be preprocessed, or no report be written.
    """
    from monai_mriprep.report.facts import check_json
    from monai_mriprep.report.outlook import check_text
    from monai_mriprep.run.check import check_dataset

    places = {"dataset": dataset_root, "output": output_root, "like": like, "exclude": exclude}
    recipe, job = configured(config, settings, target, channels, workers=workers, virtual=virtual, **places)
    dataset = required(job.dataset, "DATASET_ROOT", "dataset")
    given = {
        "--config": [config],
        "--set": settings,
        "--target": [target],
        "--channels": [channels],
        "--like": [like],
        "--exclude": [exclude],
    }
    output = job.output or suggested_output(dataset, is_test=job.like is not None)
    with _report_at(report_file) as page:
        found = check_dataset(
            *(dataset, recipe, voxels or page is not None, job.workers, job.output, job.like, job.exclude),
            keep_picture=None if page is None else page.keep_picture,
            virtual=bool(job.virtual),
        )
        own = {None: [], True: ["--virtual"], False: ["--no-virtual"]}[virtual]
        command = run_command(dataset, output, given, (*found.options, *own))
        unwritten = _problem_of_writing(page, found, command)
    place = None if report_file is None or unwritten else str(report_file)
    facts = {**check_json(found), "command": command, "report": place}
    report(check_text(found, width_of(sys.stdout), verbose), facts, as_json)
    if not as_json:
        _say_places(command if found.status != "impossible" else None, place)
    if unwritten:
        return fail(unwritten)
    return {"ready": OK, "attention": ATTENTION, "impossible": COULD_NOT_START}[found.status]


@contextmanager
def _report_at(file: Path | None) -> Iterator[CheckReport | None]:
    """The report that is to be written, if any."""
    if file is None:
        yield None
        return
    from monai_mriprep.report.html.check_file import check_report

    with check_report(file) as page:
        yield page


def _problem_of_writing(page: CheckReport | None, found: DatasetReport, command: str) -> str:
    """Write the page, if any; returns why that failed: what was found is said in any case."""
    try:
        if page is not None:
            page.write(found, command)
    except OutputError as error:
        return str(error)
    return ""


def _say_places(command: str | None, place: str | None) -> None:
    """What to do next, each in one piece, to be pasted."""
    if command:
        say(f"run it with:  {command}")
    if place:
        say(f"report:  {place}")


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
