"""The output folder of a training set, as its test set sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from monai_mriprep.errors import MriprepError, RecipeError, RecordError
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.fingerprint import fingerprint_of
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.layout import RUN
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.types import Spacing
from monai_mriprep.volume.axes import axis_codes

__all__ = ["Training", "training_of"]


@dataclass(frozen=True)
class Training:
    """What a test set keeps of its training set.

    Parameters
    ----------
    root
        The output folder of the training set.
    recipe, target
        What its volumes are made by; the target in mm, z y x.
    axes
        How its images are stored, such as ``LPS``, and how many so; empty if its records do not tell.
    """

    root: Path
    recipe: Recipe
    target: Spacing
    axes: Mapping[str, int] = field(default_factory=dict)


def training_of(like: str | Path | None, recipe: Recipe | None) -> Training | None:
    """What a test set is to be like; None for a training set.

    Parameters
    ----------
    like
        The output folder of the training set.
    recipe
        Beside `like` none is allowed.

    Raises
    ------
    RecipeError
        If there are both.
    RecordError
        If the folder does not say its recipe and target, they are not those of its volumes, or cannot be used here.
    OutputError
        If it cannot be opened.
    """
    if like is None:
        return None
    if recipe is not None:
        msg = f"a test set keeps the recipe of its training set, {like}: leave out the recipe, or leave out `like`"
        raise RecipeError(msg)
    root = Path(like)
    with open_store(root) as store:
        description = read_description(store)
        axes = _axes(store)
    if description is None:
        msg = f"{root}: no {RUN} there, so its recipe is not known; give the output folder of the training set's run"
        raise RecordError(msg)
    return _told(root, description, axes)


def _axes(store: Store) -> Mapping[str, int]:
    try:
        return Counter(axis_codes(record.source_grid) for record in read_index(store.root).all_done())
    except RecordError:  # of a newer version, perhaps; recipe and target do not depend on it
        return {}


def _told(root: Path, description: RunDescription, axes: Mapping[str, int]) -> Training:
    """What ``run.json`` says, if it is what all volumes of the folder are made by."""
    try:
        recipe = Recipe.model_validate(description.recipe)
    except MriprepError as error:
        msg = f"{root / RUN}: its recipe cannot be used here ({error})"
        raise RecordError(msg) from error
    if fingerprint_of(recipe, description.target_spacing) != description.fingerprint:
        msg = (
            f"{root / RUN}: does not fit its fingerprint: it was changed, or another version has made the volumes; "
            "do all cases of the training set again (run --redo), or write it anew (remove it, and run again)"
        )
        raise RecordError(msg)
    if not description.redo.complete:
        msg = f"{root / RUN}: a run with --redo has not come to its end: run it again, then its test set"
        raise RecordError(msg)
    return Training(root, recipe, description.target_spacing, axes)
