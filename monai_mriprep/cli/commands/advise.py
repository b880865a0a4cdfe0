"""`advise`: which target spacings keep what of the labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_mriprep.cli.options import (
    Channels,
    Config,
    DatasetRoot,
    Exclude,
    Json,
    Quiet,
    Settings,
    Target,
    Workers,
    configured,
    required,
)
from monai_mriprep.cli.show import ATTENTION, OK, report, say, warn
from monai_mriprep.cli.signals import begins_anew
from monai_mriprep.cli.terminal import width_of
from monai_mriprep.errors import RecipeError

if TYPE_CHECKING:
    from monai_mriprep.advice.model import Advice
    from monai_mriprep.recipe import Recipe, RunSettings

__all__ = ["advise"]


@begins_anew()
def advise(
    dataset_root: DatasetRoot = None,
    config: Config = None,
    settings: Settings = None,
    target: Target = None,
    channels: Channels = None,
    exclude: Exclude = None,
    spacings: Annotated[
        int | None, typer.Option("--spacings", metavar="N", min=1, help="Compare so many.", show_default="20")
    ] = None,
    output_root: Annotated[
        Path | None,
        typer.Option(
            "--output-root", help="Write advice.json into this folder of a run, for its report.", show_default="none"
        ),
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a page, with a chart.", show_default="none")
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Say what target spacings keep of the labels: the best Dice that a network can reach there, and lesions lost.

    Each label is resampled to each of about 20 spacings and back. No voxels of images are read, and nothing is trained.

    Exit status: 0 all cases were compared, 1 some could not be, which are named, 2 nothing was.
    """
    from monai_mriprep.report.advice_text import advice_text

    places = {"dataset": dataset_root, "exclude": exclude}
    recipe, job = configured(config, settings, target, channels, workers=workers, **places)
    dataset = required(job.dataset, "DATASET_ROOT", "dataset")
    if job.like is not None:
        msg = f"run.like = {job.like}: a test set has no labels to compare spacings by; give its training set"
        raise RecipeError(msg)
    if report_file is not None:
        from monai_mriprep.report.html.advice_page import require_advice_place

        require_advice_place(report_file)
    found = _compared(dataset, recipe, spacings, job, output_root, quiet)
    warn(found.warnings, everything=False)
    if report_file is not None:
        from monai_mriprep.report.html.advice_page import write_advice_page

        write_advice_page(report_file, found)
    written = {"output_root": output_root, "report": report_file}
    facts = {**found.model_dump(mode="json"), **{name: path and str(path) for name, path in written.items()}}
    report(advice_text(found, width_of(sys.stdout)), facts, as_json)
    if not as_json:
        _say_places(output_root, report_file)
    return ATTENTION if found.failed else OK


def _say_places(output_root: Path | None, report_file: Path | None) -> None:
    """What was written, each in one piece."""
    if output_root is not None:
        from monai_mriprep.store.layout import ADVICE

        say(f"advice:  {output_root / ADVICE}")
    if report_file is not None:
        say(f"report:  {report_file}")


def _compared(
    dataset: Path, recipe: Recipe | None, spacings: int | None, job: RunSettings, output: Path | None, quiet: bool
) -> Advice:
    """What was found; on a terminal a bar shows how far it is."""
    from monai_mriprep.cli.progress import log_lines, watched

    with log_lines(quiet=quiet) as lines, watched(lines) as watch:
        with watch.doing("loading torch"):
            from monai_mriprep.advice.advise import COMPARED
            from monai_mriprep.advice.advise import advise as compare
        count = COMPARED if spacings is None else spacings
        return compare(dataset, recipe, count, job.workers, job.exclude, output, watch)
