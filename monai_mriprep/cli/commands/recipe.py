"""`recipe`: a recipe as YAML."""

from __future__ import annotations

from typing import Annotated

import typer

from monai_mriprep.cli.show import OK, say

__all__ = ["recipe"]


def recipe(
    preset: Annotated[str, typer.Option("--preset", help="A preset: panther2025 or nnunet.")] = "default",
) -> int:
    """Print a recipe as YAML, every key with its meaning, to start a file of your own from."""
    from monai_mriprep.recipe import Recipe, commented_yaml

    say(commented_yaml(Recipe(preset=preset)), end="")
    return OK
