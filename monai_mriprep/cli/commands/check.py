"""`check`: what a run would find, need and make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.options import Config, DatasetRoot, Settings, Target, Workers, configured, required
from monai_mriprep.cli.show import ATTENTION, COULD_NOT_START, OK, say

__all__ = ["check"]


def check(
    dataset_root: DatasetRoot = None,
    config: Config = None,
    settings: Settings = None,
    target: Target = None,
    voxels: Annotated[bool, typer.Option("--voxels", help="Read all voxels, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    output_root: Annotated[
        Path | None,
        typer.Option("--output-root", help="Where the run would write.", show_default="run.output, or here"),
    ] = None,
    workers: Workers = None,
) -> int:
    """Say what a run would find, need and make, without running: pairs, headers, geometry, sizes, disk, memory, time.

    Exit status: 0 all well, 1 something needs attention, 2 not one case can be preprocessed.
    """
    from monai_mriprep.report.text import check_json, check_text
    from monai_mriprep.run.check import check_dataset

    recipe, job = configured(config, settings, target, dataset=dataset_root, output=output_root, workers=workers)
    dataset = required(job.dataset, "DATASET_ROOT", "dataset")
    report = check_dataset(dataset, recipe, voxels, job.workers, job.output)
    say(json.dumps(check_json(report), indent=2) if as_json else "\n".join(check_text(report)))
    return {"ready": OK, "attention": ATTENTION, "impossible": COULD_NOT_START}[report.status]
