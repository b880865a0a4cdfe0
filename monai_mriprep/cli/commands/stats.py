"""`stats`: the table of spacing statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.options import Channels, Config, DatasetRoot, Json, Quiet, Settings, configured, required
from monai_mriprep.cli.show import OK, report, warn
from monai_mriprep.errors import counted, package_logger

__all__ = ["stats"]


def stats(
    dataset_root: DatasetRoot = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the table to this file.")] = None,
    config: Config = None,
    settings: Settings = None,
    channels: Channels = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compute the table of spacing statistics from the headers of the paired images."""
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.dataset.survey import survey_dataset
    from monai_mriprep.dataset.target_rules import derive_target
    from monai_mriprep.recipe import given_or_default
    from monai_mriprep.report.facts import stats_json

    recipe, job = configured(config, settings, channels=channels, dataset=dataset_root)
    recipe = given_or_default(recipe)
    survey = survey_dataset(required(job.dataset, "DATASET_ROOT", "dataset"), recipe)
    orphans = tuple(orphan.reason for orphan in survey.orphans)
    warn(orphans, everything=False)
    if survey.unreadable:  # a table of the rest would pass for one of all
        raise survey.unreadable[0]
    statistics = survey.statistics
    derived = derive_target(statistics, recipe.named_rule or "nnunet", survey.median_size)
    with log_lines(quiet=quiet):
        package_logger().info("%s; %s", counted(len(survey.outlines), "paired image"), derived.text)
    doubts = (*survey.doubts, *derived.warnings)
    warn(doubts)
    if output is not None:
        statistics.to_csv(output)
    text = statistics.as_csv().rstrip() if output is None else str(output)
    report([text], stats_json(statistics, derived, len(survey.outlines), (*orphans, *doubts)), as_json)
    return OK
