"""From a recipe to the transforms that carry it out: the same object offline and in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from monai.transforms.compose import Compose
from monai.transforms.utility.dictionary import DeleteItemsd

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.transforms import (
    AnisotropyAwareSpacingd,
    CastLabeld,
    LoadNpzd,
    LoadVolumed,
    MatchGeometryd,
    NonZeroMaskd,
    NormalizeNonZerod,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from monai.transforms.transform import Transform

__all__ = ["Source", "Stage", "build_transforms"]

Stage = Literal["training", "inference"]
Source = Literal["volumes", "npz"]


def build_transforms(
    recipe: Recipe | None = None,
    target: Sequence[float] | None = None,
    stage: Stage = "training",
    source: Source = "volumes",
    then: Sequence[Callable[[Any], Any]] = (),
) -> Compose:
    """The whole recipe as one `Compose`.

    It takes ``{"image": path, "label": path}`` (``stage="inference"``: the image alone) and returns MetaTensors of
    shape ``(1, D, H, W)``: a float32 image and an int8 or int16 label. It is deterministic, so its results may be
    cached. Both sources give the same bits.

    Parameters
    ----------
    recipe
        The published recipe by default.
    target
        Spacing in mm, z y x; by default the recipe's ``target_spacing``. `target_spacing` makes it from statistics.
    stage
        ``training`` for image and label, ``inference`` for the image alone.
    source
        ``volumes`` preprocesses files such as ``.mha`` on the fly; ``npz`` reads what a run has written.
    then
        Your own transforms, such as random crops, to follow in the same `Compose`. Do not put this one into another
        without ``.flatten()``: MONAI takes a nested `Compose` for a random transform, so `CacheDataset` and
        `PersistentDataset` would keep paths, and preprocess anew in every epoch.

    Raises
    ------
    RecipeError
        If volumes are to be resampled and there is no target, or a name is not known.
    """
    recipe = recipe or Recipe()
    keys = {"training": ["image", "label"], "inference": ["image"]}.get(stage)
    if keys is None or source not in ("volumes", "npz"):
        msg = f"stage must be training or inference, and source volumes or npz, not {stage!r} and {source!r}"
        raise RecipeError(msg)
    if source == "npz":
        return Compose([LoadNpzd(keys), *then])
    target = recipe.target_spacing if target is None else target
    if target is None:
        msg = "no target spacing: pass target=(z, y, x) in mm, for example target_spacing(statistics)"
        raise RecipeError(msg)
    return Compose([*_preprocessing(recipe, list(target), keys), *then])


def _preprocessing(recipe: Recipe, target: list[float], keys: list[str]) -> list[Transform]:
    """The steps in the recipe's order; where the foreground comes from decides what surrounds the resampling."""
    has_label = "label" in keys
    load = [LoadVolumed(keys)]
    match = [MatchGeometryd(geometry=recipe.geometry)] if has_label else []
    cast = [CastLabeld(["label"])] if has_label else []
    if recipe.normalization.foreground == "native":
        return [*load, *match, NormalizeNonZerod(["image"]), _spacing(recipe, target, keys), *cast]
    if recipe.normalization.foreground == "resampled":
        return [*load, *match, _spacing(recipe, target, keys), NormalizeNonZerod(["image"]), *cast]
    carried = [_spacing(recipe, target, [*keys, "foreground"]), NormalizeNonZerod(["image"], mask_key="foreground")]
    return [*load, *match, NonZeroMaskd(), *carried, DeleteItemsd(["foreground"]), *cast]


def _spacing(recipe: Recipe, target: list[float], keys: list[str]) -> AnisotropyAwareSpacingd:
    order = [recipe.order, *(0 for _ in keys[1:])]
    return AnisotropyAwareSpacingd(
        keys, target=target, order=order, grid=recipe.grid, boundary=recipe.boundary, clip=recipe.clip
    )
