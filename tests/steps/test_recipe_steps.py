"""Which steps a recipe makes of a case, and in which order."""

from __future__ import annotations

import pytest

from monai_mriprep import register_step
from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.extensions import PLACES, NamedSettings, register
from monai_mriprep.steps import Step, final_grid, native_steps, steps_of
from monai_mriprep.steps.crop import FilledCrop, NonZeroCrop
from monai_mriprep.steps.exact_normalization import ExactNormalization
from monai_mriprep.steps.foreground import ForegroundMask
from monai_mriprep.steps.half_pixel_resampling import HalfPixelResampling
from monai_mriprep.steps.label_cast import LabelCast, OutsideLabelCast
from monai_mriprep.steps.label_numbers import LabelNumbers
from monai_mriprep.steps.label_outside import LabelOutside
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.steps.percentile_range import PercentileRange
from monai_mriprep.steps.recipe_steps import OURS
from monai_mriprep.steps.resampling import ItkResampling, Resampling
from monai_mriprep.steps.transposition import Transposition
from monai_mriprep.steps.unscaled import Unscaled
from tests.steps.cases import GRIDS

TARGET = (3.0, 1.0, 0.8)
RESAMPLED = Resampling(target=TARGET)


def normalized(foreground: str, **keys: object) -> Recipe:
    return Recipe(normalization={"foreground": foreground}, **keys)


ORDERS = {
    "carried": (ForegroundMask(), RESAMPLED, Normalization(over="foreground"), LabelCast()),
    "resampled": (RESAMPLED, Normalization(over="nonzero"), LabelCast()),
    "resampled_positive": (RESAMPLED, Normalization(over="positive"), LabelCast()),
    "native": (Normalization(over="nonzero"), RESAMPLED, LabelCast()),
}


@pytest.mark.parametrize("foreground", ORDERS)
def test_where_the_foreground_comes_from_decides_the_order(foreground):
    assert steps_of(normalized(foreground), TARGET) == ORDERS[foreground]


@pytest.mark.parametrize("foreground", [*ORDERS, "as itk"])
def test_percentiles_take_the_place_of_z_scores(foreground):
    keys = {"preset": "panther2025"} if foreground == "as itk" else {}
    section = {"epsilon": 0.0} if keys else {"foreground": foreground}
    scores, percentiles = (
        steps_of(Recipe(**keys, intensity=intensity, normalization=section), TARGET)
        for intensity in ("zscore", "percentile")
    )
    replaced = (PercentileRange(over=s.over) if isinstance(s, Normalization) else s for s in scores)
    assert percentiles == tuple(replaced)


def test_without_a_scaling_the_foreground_is_measured_all_the_same():
    expected = (ForegroundMask(), RESAMPLED, Unscaled(over="foreground"), LabelCast())
    assert steps_of(Recipe(intensity="none"), TARGET) == expected


def test_the_default_recipe_is_the_carried_one():
    assert steps_of(Recipe(), TARGET) == ORDERS["carried"]
    assert native_steps(Recipe()) == (ForegroundMask(),)


def test_the_preset_of_the_authors_asks_itk_for_the_mask():
    found = steps_of(Recipe(preset="panther2025"), TARGET)
    assert found == (ItkResampling(target=TARGET), Normalization(over="foreground", epsilon=1e-6), LabelCast())
    assert native_steps(Recipe(preset="panther2025")) == ()


@pytest.mark.parametrize("changed", [{"boundary": "nearest"}, {"order": 1}, {"clip": True}, {"grid": "monai"}], ids=str)
def test_where_the_preset_is_changed_the_image_itself_is_asked(changed):
    resampling, scores, _ = steps_of(Recipe(preset="panther2025", **changed), TARGET)
    assert type(resampling) is Resampling
    assert scores == Normalization(over="positive", epsilon=1e-6)


@pytest.mark.parametrize(("foreground", "over"), [("crop", "all"), ("filled", "foreground")])
def test_the_preset_of_nnunet_turns_crops_scales_and_resamples(foreground, over):
    recipe = Recipe(preset="nnunet", normalization={"foreground": foreground})
    resampling = HalfPixelResampling(target=(4.0, 3.0, 2.0), separate="auto", clip="slice", label="linear")
    assert steps_of(recipe, (3.0, 4.0, 2.0)) == (
        Transposition(order=(1, 0, 2)),
        FilledCrop(),
        LabelOutside(),
        ExactNormalization(over=over),
        resampling,
        OutsideLabelCast(),
    )
    assert native_steps(recipe) == (FilledCrop(), LabelOutside(), ExactNormalization(over=over))


def test_a_transposition_turns_target_and_orders_too():
    resampling = steps_of(Recipe(transpose=(2, 0, 1), order=(0, 1, 3)), (3.0, 2.0, 1.0))[2]
    assert resampling == Resampling(target=(1.0, 3.0, 2.0), order=(3, 0, 1))
    assert Transposition(order=(2, 0, 1)) not in native_steps(Recipe(transpose=(2, 0, 1)))


def test_every_key_reaches_its_step():
    recipe = Recipe(
        label_map={3: 1},
        orientation="LPS",
        crop="nonzero",
        crop_margin=2.5,
        grid="nnunet",
        order=(0, 3, 3),
        boundary="mirror",
        clip=True,
        normalization={"epsilon": 0.5, "foreground": "resampled"},
    )
    resampling = Resampling(target=TARGET, rule="nnunet", order=(0, 3, 3), boundary="mirror", clip=True)
    before = (LabelNumbers(new=((3, 1),)), Orientation(codes="LPS"), NonZeroCrop(margin=2.5))
    assert steps_of(recipe, TARGET) == (*before, resampling, Normalization(epsilon=0.5), LabelCast())
    assert native_steps(recipe) == before


@pytest.mark.parametrize("foreground", ORDERS)
def test_what_is_before_the_resampling_leaves_the_grid_whose_spacing_counts(foreground):
    recipe, grid = normalized(foreground, orientation="ASL"), GRIDS["permuted"]
    native = final_grid(native_steps(recipe), grid)
    assert native == Orientation(codes="ASL").grid(grid)
    assert final_grid(steps_of(recipe, native.spacing), grid).shape == native.shape


# --- Steps from outside -----------------------------------------------------------------------------------------------


class Marker(Step):
    """Does nothing, at a place."""

    number: int = 0


def at(place: str) -> type[Marker]:
    return register_step(type(f"After_{place}", (Marker,), {"name": f"after_{place}", "follows": place}))


MARKERS = {place: at(place) for place in PLACES}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("foreground", ORDERS)
@pytest.mark.parametrize("with_ours", [True, False])
def test_a_step_comes_after_the_one_that_it_follows_even_where_that_is_left_out(place, foreground, with_ours):
    ours = {"orientation": "RAS", "crop": "nonzero"} if with_ours else {}
    plain = steps_of(normalized(foreground, **ours), TARGET)
    found = steps_of(normalized(foreground, **ours, steps=[f"after_{place}"]), TARGET)
    where = found.index(MARKERS[place]())
    assert found[:where] + found[where + 1 :] == plain
    before = {step.name for step in found[:where]}
    earlier = {step.name for step in plain if step.name in PLACES[: PLACES.index(place) + 1]}
    if foreground != "native":
        assert before - {"foreground"} == earlier
    assert place not in {step.name for step in found[where:]}


def test_the_mask_is_taken_after_what_follows_the_crop():
    """So that the mask marks what the step has left in the image."""
    names = [step.name for step in steps_of(Recipe(steps=["after_crop", "after_orientation"]), TARGET)]
    assert names[:3] == ["after_orientation", "after_crop", "foreground"]


def test_several_at_one_place_keep_the_order_of_the_recipe():
    steps = [{"step": "after_crop", "number": number} for number in (3, 1, 2)]
    assert [step.number for step in native_steps(Recipe(steps=steps))[:3]] == [3, 1, 2]


@pytest.mark.parametrize(("place", "native"), [("crop", True), ("orientation", True), ("resampling", False)])
def test_what_comes_before_the_resampling_is_planned_with(place, native):
    assert (MARKERS[place]() in native_steps(Recipe(steps=[f"after_{place}"]))) == native


class NoStep(NamedSettings):
    name = "no_step"


def test_what_is_registered_and_is_no_step_is_not_passed_over():
    register(NoStep)
    with pytest.raises(RecipeError, match="'no_step' of the recipe's steps is registered, but NoStep is no Step"):
        steps_of(Recipe(steps=["no_step"]), TARGET)


@pytest.mark.parametrize("ours", OURS, ids=lambda step: step.name)
def test_one_of_ours_among_them_would_be_done_twice(ours):
    settings = {"target": [1, 1, 1], "codes": "RAS", "new": {"1": 2}}
    settings |= {"order": [1, 0, 2]} if ours is Transposition else {}
    given = {key: settings[key] for key in ours.model_fields.keys() & settings.keys()}
    recipe = Recipe(steps=[{"step": ours.name, **given}])
    for list_of in (native_steps, lambda recipe: steps_of(recipe, TARGET)):
        with pytest.raises(RecipeError, match=f"'{ours.name}' among the recipe's steps is one of ours, .* done beside"):
            list_of(recipe)


def test_one_that_is_made_of_ours_is_from_outside():
    @register_step
    class SecondCrop(NonZeroCrop):
        name = "second_crop"
        follows = "resampling"

    assert SecondCrop(margin=2.0) in steps_of(Recipe(steps=[{"step": "second_crop", "margin": 2}]), TARGET)


@pytest.mark.parametrize("step", [NoStep, object, "flip", Marker(), None])
def test_what_is_no_step_cannot_be_registered(step):
    with pytest.raises(RecipeError, match="cannot be registered as a step: it is no subclass of Step"):
        register_step(step)


def test_one_of_ours_keeps_its_name():
    class Crop(NonZeroCrop):
        """Another one under the inherited name."""

    with pytest.raises(RecipeError, match=r"'crop' is registered already, monai_mriprep\.steps\.crop\.NonZeroCrop"):
        register_step(Crop)


def test_it_serves_as_a_decorator():
    assert register_step(NonZeroCrop) is NonZeroCrop
