"""What keys of a recipe ask of each other: one by one. `test_model` has the messages of whole recipes."""

from __future__ import annotations

import pytest

from monai_mriprep.recipe import Normalization, Recipe
from monai_mriprep.recipe.agreement import (
    DEPENDENT,
    NEEDED,
    WITHOUT_EFFECT,
    require_agreement,
    require_effect,
)
from monai_mriprep.recipe.sections import ExplainedError
from monai_mriprep.types import SEPARATE_THRESHOLD


def test_dependent_keys_stand_behind_those_that_they_need():
    keys = list(Recipe.model_fields)
    assert all(keys.index(key) > keys.index(other) for key in DEPENDENT[1:5] for other in ("crop", "grid")[1:])
    assert all(keys.index(key) > keys.index("crop") for key in ("crop_margin", "label_outside", "normalization"))


@pytest.mark.parametrize("key", DEPENDENT)
def test_defaults_need_nothing(key):
    require_agreement(key, Recipe.model_fields[key].default, {"crop": "none", "grid": "nnunet_exact"})


def test_the_defaults_that_are_written_here_are_those_of_the_keys():
    assert Recipe().separate_threshold == SEPARATE_THRESHOLD
    for usual in WITHOUT_EFFECT.values():
        assert all(getattr(Normalization(), key) == value for key, value in usual.items())
    for (key, _), (*_, default) in NEEDED.items():
        assert Recipe.model_fields[key].default == default


def test_the_mask_is_that_of_a_crop():
    masked = Normalization(foreground="filled")
    require_effect(masked, {"crop": "nonzero_filled"})
    require_effect(Normalization(foreground="crop"), {"crop": "nonzero"})
    with pytest.raises(ExplainedError, match="is the mask of `crop: nonzero_filled`"):
        require_effect(masked, {"crop": "nonzero"})
