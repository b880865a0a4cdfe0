"""Arguments and options that several commands share, and how they are parsed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_mriprep.errors import RecipeError

if TYPE_CHECKING:
    from monai_mriprep.recipe import Recipe, RunSettings

__all__ = [
    "CaseTimeout",
    "Channels",
    "Config",
    "DatasetRoot",
    "Exclude",
    "Json",
    "Like",
    "MaxMemory",
    "OutputRoot",
    "Quiet",
    "Report",
    "RunOutput",
    "Scheduler",
    "Scratch",
    "Settings",
    "ShardOf",
    "Target",
    "Verbose",
    "Virtual",
    "Workers",
    "configured",
    "memory_size",
    "required",
]

DatasetRoot = Annotated[
    Path | None,
    typer.Argument(help="Folder with ImagesTr and LabelsTr.", show_default="run.dataset of the config"),
]
RunOutput = Annotated[
    Path | None,
    typer.Argument(help="Folder of the preprocessed dataset.", show_default="run.output of the config"),
]
OutputRoot = Annotated[Path, typer.Argument(help="Folder of the preprocessed dataset.", show_default=False)]
Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file: a recipe, and a section run.", show_default="built in")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the file; repeatable.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors beside the result.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say in detail what is done.")]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="Z,Y,X",
        help="Target spacing in mm, such as 3,0.8,0.8; short for --set target_spacing=[Z,Y,X].",
        show_default="by the statistics",
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(
        "--like",
        metavar="OUTPUT_ROOT",
        help="Output folder of the training set: its recipe and target for a test set, images alone.",
        show_default="a training set",
    ),
]
Exclude = Annotated[
    Path | None,
    typer.Option("--exclude", metavar="FILE", help="List of cases to leave out, one a line.", show_default="nobody"),
]
Channels = Annotated[
    str | None,
    typer.Option(
        "--channels",
        metavar="NAME,NAME,...",
        help="Several files make an image, ending in these names; short for --set channels=[...].",
        show_default="as the dataset declares",
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", "-w", min=0, help="Processes; 0 works in this one.", show_default="all cores")
]
Report = Annotated[
    bool | None,
    typer.Option(
        "--report/--no-report", help="Measure and draw each case, and write report.html.", show_default="report"
    ),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do the I-th of N parts of the cases, then `merge`; auto or auto/N in an array job.",
        show_default="all cases",
    ),
]
Scratch = Annotated[
    Path | None,
    typer.Option(
        "--scratch",
        metavar="FOLDER",
        help="For copies of objects, where a folder is given by its address, such as s3://bucket/scans.",
        show_default="that of temporary files",
    ),
]
Virtual = Annotated[
    bool | None,
    typer.Option(
        "--virtual/--no-virtual",
        help="Write records alone, no volumes: training takes patches from the scans.",
        show_default="no-virtual",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", metavar="SIZE", help="For all processes, such as 12G.", show_default="what there is"),
]
CaseTimeout = Annotated[
    float | None,
    typer.Option(
        "--case-timeout",
        metavar="SECONDS",
        min=0.1,
        help="End the process of a case after this time, try it once more, alone, and then let it fail.",
        show_default="no limit",
    ),
]

Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS|local:N",
        help="Work on a Dask cluster: a scheduler's address, or N workers of this machine.",
        show_default="none",
    ),
]


def configured(
    config: Path | None,
    settings: list[str] | None,
    target: str | None = None,
    channels: str | None = None,
    **given: str | float | Path | None,
) -> tuple[Recipe | None, RunSettings]:
    """The recipe and the run settings of the file; arguments of the command line override the settings.

    There is no recipe where ``like`` is given: it is that of the training set.
    """
    from monai_mriprep.recipe import load_config

    own = [] if target is None else [f"target_spacing={_spacing_in_yaml(target)}"]
    own += [] if channels is None else [f"channels={json.dumps(channels.split(','))}"]
    recipe, run = load_config(config, (*(settings or ()), *own))
    run = run.model_copy(update={key: value for key, value in given.items() if value is not None})
    if run.like is None:
        return recipe, run
    if keys := sorted(recipe.model_fields_set):
        msg = (
            f"--like {run.like}: a test set keeps recipe, target and channels of its training set; leave out "
            f"{', '.join(keys)} (--set, --target, --channels, or keys of the file of --config)"
        )
        raise RecipeError(msg)
    return None, run


def _spacing_in_yaml(target: str) -> str:
    """The value of ``--target`` as a list of plain decimals."""
    from decimal import Decimal  # 2 ms, which the command's help does not need

    try:
        z, y, x = (float(value) for value in target.split(","))
    except ValueError:
        z = y = x = math.nan
    if not all(0 < value < math.inf for value in (z, y, x)):
        msg = f"--target: {target!r} is no spacing; give three positive numbers in mm, z,y,x, such as 3,0.8,0.8"
        raise RecipeError(msg)
    return f"[{', '.join(f'{Decimal(repr(value)):f}' for value in (z, y, x))}]"


def required(place: str | Path | None, argument: str, key: str) -> Path:
    """A folder that must be given on the command line or in the file."""
    if place is None:
        msg = f"Missing argument {argument}: give it, or set run.{key} in the file of --config"
        raise RecipeError(msg)
    return Path(place)


def memory_size(text: str | None) -> int | None:
    """Bytes of ``--max-memory``."""
    from monai_mriprep.recipe.run_settings import parse_size

    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        msg = f"--max-memory: {text!r} {error}; it must be a size such as 12G or 900M"
        raise RecipeError(msg) from None
