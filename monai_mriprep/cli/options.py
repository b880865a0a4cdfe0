"""Arguments and options that several commands share, and what is made of their text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_mriprep.errors import RecipeError

if TYPE_CHECKING:
    from monai_mriprep.recipe import Recipe

__all__ = ["Config", "DatasetRoot", "MaxMemory", "OutputRoot", "Settings", "Workers", "parse_size", "recipe_of"]

DatasetRoot = Annotated[Path, typer.Argument(help="Folder with ImagesTr and LabelsTr.", show_default=False)]
OutputRoot = Annotated[Path, typer.Argument(help="Folder of the preprocessed dataset.", show_default=False)]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Recipe, a YAML file.", show_default="built in")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the recipe; repeatable.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", "-w", min=0, help="Processes; 0 works in this one.", show_default="all cores")
]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", metavar="SIZE", help="For all processes, such as 12G.", show_default="what there is"),
]


def recipe_of(config: Path | None, settings: list[str] | None) -> Recipe:
    """The recipe of the file, or the built-in one, with single keys changed."""
    from monai_mriprep.recipe import load_recipe

    return load_recipe(config, settings or ())


def parse_size(size: str | None) -> int | None:
    """Parse ``12G``, ``900M`` or a number of bytes; 1K is 1024."""
    if size is None:
        return None
    number, unit = size.strip().upper().removesuffix("IB").removesuffix("B"), 1
    if number[-1:] in "KMGT" and number:
        number, unit = number[:-1], 1024 ** (1 + "KMGT".index(number[-1]))
    try:
        value = int(float(number) * unit)
    except (ValueError, OverflowError):
        value = 0
    if value <= 0:
        msg = f"--max-memory {size}: expected a size such as 12G or 900M"
        raise RecipeError(msg)
    return value
