"""From a recipe to its list of steps: the one place that knows their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, TypeVar

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.extensions import register
from monai_mriprep.steps.base import Step
from monai_mriprep.steps.crop import FilledCrop, NonZeroCrop
from monai_mriprep.steps.exact_normalization import ExactNormalization
from monai_mriprep.steps.foreground import ForegroundMask
from monai_mriprep.steps.half_pixel_resampling import HalfPixelResampling
from monai_mriprep.steps.intensities import Intensities, Over
from monai_mriprep.steps.label_cast import LabelCast, OutsideLabelCast
from monai_mriprep.steps.label_numbers import LabelNumbers
from monai_mriprep.steps.label_outside import LabelOutside
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.steps.percentile_range import PercentileRange
from monai_mriprep.steps.resampling import ItkResampling, Resampling
from monai_mriprep.steps.transposition import Transposition
from monai_mriprep.steps.unscaled import Unscaled
from monai_mriprep.types import Foreground, IntensityRule, Spacing

__all__ = ["native_steps", "register_step", "steps_of"]


OneStep = TypeVar("OneStep", bound=Step)


def register_step(step: type[OneStep]) -> type[OneStep]:
    """Make a step known under its name, so that recipes, records and `restore` find it.

    It serves as a decorator. The same class may be registered again, as when a module is loaded anew. For the commands,
    name the class in your package's entry points, in the group ``monai_mriprep.steps``, under the same name.

    Raises
    ------
    RecipeError
        If the class is no step, has no name or one that is taken, follows a step that is not known, or has a setting
        called ``step`` or ``params``.
    """
    if not (isinstance(step, type) and issubclass(step, Step)):
        msg = f"{step!r} cannot be registered as a step: it is no subclass of Step"
        raise RecipeError(msg)
    return register(step)


OURS: tuple[type[Step], ...] = (
    LabelNumbers,
    Orientation,
    Transposition,
    NonZeroCrop,
    FilledCrop,
    LabelOutside,
    ForegroundMask,
    Resampling,
    ItkResampling,
    HalfPixelResampling,
    Normalization,
    ExactNormalization,
    PercentileRange,
    Unscaled,
    LabelCast,
    OutsideLabelCast,
)
"""What keys of the recipe switch on."""

for _step in OURS:
    register_step(_step)


def steps_of(recipe: Recipe, target: Spacing) -> tuple[Step, ...]:
    """What a recipe does to every case, in order.

    Parameters
    ----------
    recipe
        Its keys decide the steps of ours; its ``steps`` are put where they say.
    target
        Spacing in mm, z y x, of the axes as ``orientation`` leaves them.

    Raises
    ------
    RecipeError
        If one of its ``steps`` is registered, but is no `Step`; or is one of ours, which would be done twice.
    """
    steps: list[Step] = []
    extras = [*_from_outside(recipe)]
    for place, ours in (*_before_resampling(recipe, target), *_resampled_and_scaled(recipe, target)):
        steps += ours
        steps += [extra for extra in extras if extra.follows == place]
    return tuple(steps)


def native_steps(recipe: Recipe) -> tuple[Step, ...]:
    """Those before the resampling: spacings, and all that is derived from them, are those of the grid they leave.

    The transposition is none of them, so that a target is in z y x whatever order it leads to.
    """
    steps = steps_of(recipe.model_copy(update={"transpose": "none"}), target=(1.0, 1.0, 1.0))  # any: not resampled
    return tuple(takewhile(lambda step: not isinstance(step, Resampling), steps))


def _from_outside(recipe: Recipe) -> Iterator[Step]:
    for extra in recipe.steps:
        if not isinstance(extra, Step):
            msg = f"{extra.name!r} of the recipe's steps is registered, but {type(extra).__qualname__} is no Step"
            raise RecipeError(msg)
        if type(extra) in OURS:
            msg = (
                f"{extra.name!r} among the recipe's steps is one of ours, and would be done beside what the recipe's "
                "own keys ask for; set those, and name in `steps` only what comes from outside"
            )
            raise RecipeError(msg)
        yield extra


Placed = tuple[str, Sequence[Step]]
"""The name of a place, and the steps of ours there; steps from outside come after those that `PLACES` names."""


def _before_resampling(recipe: Recipe, target: Spacing) -> Iterator[Placed]:
    yield "label_numbers", [LabelNumbers(new=recipe.label_map)] if recipe.label_map else []
    yield "orientation", [] if recipe.orientation == "keep" else [Orientation(codes=recipe.orientation)]
    order = recipe.transposition(target)
    yield "transposition", [] if order == (0, 1, 2) else [Transposition(order=order)]
    crops = {"nonzero": NonZeroCrop, "nonzero_filled": FilledCrop}
    yield "crop", [] if recipe.crop == "none" else [crops[recipe.crop](margin=recipe.crop_margin)]
    yield "label_outside", [LabelOutside()] if recipe.label_outside else []


def _resampled_and_scaled(recipe: Recipe, target: Spacing) -> tuple[Placed, ...]:
    """Where the foreground comes from decides what goes first, and what surrounds the resampling."""
    mask: Placed = ("foreground", [ForegroundMask()])
    resampling = _resampling(recipe, target)
    resampled: Placed = ("resampling", [resampling])
    as_itk: Placed = ("resampling", [ItkResampling(target=resampling.target)])
    over_mask, over_nonzero = _scaled(recipe, "foreground"), _scaled(recipe, "nonzero")
    orders: dict[Foreground, tuple[Placed, ...]] = {
        "carried": (mask, resampled, over_mask),
        "resampled": (resampled, over_nonzero),
        "resampled_positive": (as_itk, over_mask) if _is_itk(recipe) else (resampled, _scaled(recipe, "positive")),
        "native": (over_nonzero, resampled),
        "crop": (("normalization", [ExactNormalization(over="all")]), resampled),
        "filled": (("normalization", [ExactNormalization(over="foreground")]), resampled),
    }
    cast = OutsideLabelCast() if recipe.label_outside else LabelCast()
    return (*orders[recipe.normalization.foreground], ("label_cast", [cast]))


def _resampling(recipe: Recipe, target: Spacing) -> Resampling:
    """With the target and the orders of the axes as the transposition leaves them."""
    axes = recipe.transposition(target)
    orders = tuple(recipe.orders[axis] for axis in axes) if isinstance(recipe.order, tuple) else recipe.order
    settings: dict[str, Any] = {"target": [target[axis] for axis in axes], "order": orders, "clip": recipe.clip}
    if recipe.grid != "nnunet_exact":
        return Resampling(**settings, rule=recipe.grid, boundary=recipe.boundary)
    separate, threshold = recipe.separate_axis, recipe.separate_threshold
    return HalfPixelResampling(**settings, separate=separate, threshold=threshold, label=recipe.label)


def _scaled(recipe: Recipe, over: Over) -> Placed:
    steps: dict[IntensityRule, Intensities] = {
        "zscore": Normalization(over=over, epsilon=recipe.normalization.epsilon),
        "percentile": PercentileRange(over=over),
        "none": Unscaled(over=over),
    }
    return "normalization", [steps[recipe.intensity]]


def _is_itk(recipe: Recipe) -> bool:
    """Whether all is as ITK's B-spline does it, so that its rounding errors can be repeated, too."""
    return (recipe.grid, recipe.boundary, recipe.order, recipe.clip) == ("itk", "mirror", 3, False)
