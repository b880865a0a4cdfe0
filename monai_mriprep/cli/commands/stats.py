"""`stats`: the table of spacing statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.options import Config, DatasetRoot, Settings, configured, required
from monai_mriprep.cli.show import OK, log, say, warn

__all__ = ["stats"]


def stats(
    dataset_root: DatasetRoot = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the table to this file.")] = None,
    config: Config = None,
    settings: Settings = None,
) -> int:
    """Compute the table of spacing statistics from the headers of the paired images."""
    from monai_mriprep.dataset.survey import survey_dataset
    from monai_mriprep.dataset.target_rules import derive_target

    recipe, job = configured(config, settings, dataset=dataset_root)
    survey = survey_dataset(required(job.dataset, "DATASET_ROOT", "dataset"), recipe)
    warn(orphan.reason for orphan in survey.orphans)
    if survey.unreadable:  # a table of the rest would pass for one of all
        raise survey.unreadable[0]
    statistics = survey.statistics
    derived = derive_target(statistics, recipe.target_rule, survey.median_size)
    log(f"{len(survey.pairing)} paired images; {derived.text}")
    warn((*survey.doubts, *derived.warnings))
    if output is None:
        say(statistics.as_csv(), end="")
    else:
        statistics.to_csv(output)
        say(output)
    return OK
