"""Presets: their keys, and the user's keys over them."""

from __future__ import annotations

import json
import pickle

import pytest

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Normalization, Recipe, load_recipe, model, presets


@pytest.fixture
def half_pixel(monkeypatch):
    """A preset that sets a key and a key of a section."""
    preset = {"grid": "nnunet", "clip": True, "normalization": {"foreground": "native"}}
    monkeypatch.setattr(presets, "PRESETS", {"default": {}, "half_pixel": preset})
    monkeypatch.setattr(model, "PRESETS", presets.PRESETS)
    return preset


def test_a_preset_sets_keys_and_the_users_keys_win(half_pixel, write):
    expected = {"preset": "half_pixel", "clip": False, "grid": "nnunet", "normalization": {"foreground": "carried"}}
    text = "preset: half_pixel\nclip: false\nnormalization: {foreground: carried}"
    assert Recipe(preset="half_pixel").as_dict() == Recipe(**half_pixel).as_dict() | {"preset": "half_pixel"}
    assert load_recipe(write(text)).as_dict() == Recipe(**expected).as_dict()
    assert load_recipe(write(text)) == Recipe(**expected)


@pytest.mark.parametrize("order", [1, -1])
def test_a_preset_and_keys_may_be_set_in_any_order(half_pixel, order):
    settings = ["preset=half_pixel", "clip=false", "normalization.foreground=resampled"]
    recipe = load_recipe(overrides=settings[::order])
    assert (recipe.grid, recipe.clip, recipe.normalization.foreground) == ("nnunet", False, "resampled")


def test_a_preset_fills_a_section_made_in_python(half_pixel):
    assert Recipe(preset="half_pixel", normalization=Normalization()).normalization.foreground == "native"
    given = Normalization(foreground="carried")  # its default, but set
    assert Recipe(preset="half_pixel", normalization=given).normalization.foreground == "carried"


@pytest.mark.parametrize("changed", [{}, {"clip": False}, {"normalization": {"foreground": "carried"}}])
def test_a_recipe_under_a_preset_round_trips(half_pixel, changed):
    recipe = Recipe(preset="half_pixel", **changed)
    assert Recipe.model_validate(json.loads(json.dumps(recipe.as_dict()))) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_the_fingerprint_is_that_of_the_keys_whoever_set_them(half_pixel):
    assert Recipe(preset="half_pixel").fingerprint() == Recipe(**half_pixel).fingerprint()
    assert Recipe(preset="half_pixel").fingerprint() != Recipe().fingerprint()
    reverted = Recipe(preset="half_pixel", grid="monai", clip=False, normalization={"foreground": "carried"})
    assert reverted.fingerprint() == Recipe().fingerprint()


def test_what_is_wrong_beside_a_preset_is_said_of_the_users_key(half_pixel, write):
    with pytest.raises(RecipeError, match=r"line 2: normalization: must be a section .* not 'native'"):
        load_recipe(write("preset: half_pixel\nnormalization: native"))


def test_panther2025_sets_these_keys():
    changed = {
        "preset": "panther2025",
        "grid": "itk",
        "boundary": "mirror",
        "normalization": {"foreground": "resampled_positive", "epsilon": 1e-6},
    }
    assert Recipe(preset="panther2025").as_dict() == Recipe().as_dict() | changed
    assert load_recipe(overrides=["normalization.epsilon=0.0", "preset=panther2025"]).normalization == Normalization(
        foreground="resampled_positive", epsilon=0.0
    )


def test_nnunet_sets_these_keys():
    changed = {
        "preset": "nnunet",
        "target_rule": "nnunet",
        "transpose": "coarsest_first",
        "crop": "nonzero_filled",
        "grid": "nnunet_exact",
        "separate_axis": "auto",
        "clip": "slice",
        "label": "linear",
        "normalization": {"foreground": "crop", "epsilon": 0.0},
        "label_outside": -1,
    }
    assert Recipe(preset="nnunet").as_dict() == Recipe().as_dict() | changed
    assert (
        load_recipe(overrides=["preset=nnunet", "normalization.foreground=filled", "label_outside=0"]).label == "linear"
    )


def test_presets_are_frozen():
    sections = [presets.PRESETS[name]["normalization"] for name in ("panther2025", "nnunet")]
    for mapping in (presets.PRESETS, *presets.PRESETS.values(), *sections):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["grid"] = "monai"
