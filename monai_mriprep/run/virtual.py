"""When a run may write records alone: every step must make parts of volumes, and no volume may be there."""

from __future__ import annotations

from collections.abc import Iterator

from monai_mriprep.errors import OutputError, RecipeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Job
from monai_mriprep.steps import Step, makes_parts, steps_of
from monai_mriprep.store.store import AGAIN, Store, named_errors
from monai_mriprep.types import Spacing

__all__ = ["refuse_volumes", "refuse_wholes"]


def refuse_wholes(job: Job) -> None:
    """Refuse to let training take patches from the scans where a step needs a whole volume.

    Raises
    ------
    RecipeError
        With the steps, and the keys that lead to them.
    """
    wholes = _wholes(job.recipe, job.target) if job.virtual else ()
    if wholes:
        keys = ", ".join(_keys_of(job.recipe, job.target)) or "its keys"
        steps = ", ".join(step.name for step in wholes)
        msg = (
            f"--virtual: what the recipe says by {keys} ({steps}) needs whole volumes, so that training cannot take "
            "patches from the scans; set another value, or leave out --virtual"
        )
        raise RecipeError(msg)


def _wholes(recipe: Recipe, target: Spacing) -> list[Step]:
    return [step for step in steps_of(recipe, target) if not makes_parts(step)]


def _keys_of(recipe: Recipe, target: Spacing) -> Iterator[str]:
    """The keys whose value alone leads to such a step."""
    for key in Recipe.model_fields:
        if _wholes(Recipe().model_copy(update={key: getattr(recipe, key)}), target):
            yield key


def refuse_volumes(job: Job, store: Store) -> None:
    """Refuse to take a folder for a virtual one in which volumes are.

    Raises
    ------
    OutputError
        With the remedy; or if that cannot be seen.
    """
    with named_errors(store.root.path, "its volumes cannot be listed", AGAIN):
        are_there = job.virtual and (store.elsewhere or any(store.volumes()))
    if are_there:
        msg = (
            f"{store.root.path}: there are volumes, and --virtual makes none; choose another output folder for it, or "
            "go on without --virtual"
        )
        raise OutputError(msg)
