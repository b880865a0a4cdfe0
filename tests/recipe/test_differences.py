"""Which keys tell two recipes apart."""

from __future__ import annotations

import pytest

from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.differences import changed_keys

OLDEST = {"order": 3, "grid": "monai", "normalization": {"foreground": "carried"}}
"""Some keys as version 0.1.0 wrote them."""


def test_each_key_that_changes_voxels_is_named_with_both_values():
    now = Recipe(order=(3, 3, 1), normalization={"foreground": "native"}, crop="nonzero").as_dict()
    assert changed_keys(Recipe(grid="nnunet").as_dict(), now) == (
        "crop: 'none' -> 'nonzero'",
        "grid: 'nnunet' -> 'monai'",
        "order: 3 -> [3, 3, 1]",
        "normalization.foreground: 'carried' -> 'native'",
    )


@pytest.mark.parametrize(
    "now",
    [
        {},
        {"order": (3, 3, 3)},
        {"pattern": "(?P<case>.*)", "target_rule": "nnunet", "target_spacing": (1.0, 1.0, 1.0)},
    ],
)
def test_what_gives_the_same_voxels_is_no_difference(now):
    assert changed_keys(OLDEST, Recipe(**now).as_dict()) == ()


def test_a_younger_key_was_as_its_default():
    assert changed_keys(OLDEST, Recipe(normalization={"epsilon": 1e-6}).as_dict()) == (
        "normalization.epsilon: 0.0 -> 1e-06",
    )


def test_a_mapping_that_is_a_value_is_one_key():
    before = Recipe(label_map={3: 1}).as_dict()
    assert changed_keys(before, Recipe(label_map={3: 2}).as_dict()) == ("label_map: {'3': 1} -> {'3': 2}",)
    assert changed_keys(OLDEST, Recipe(label_map={3: 2}).as_dict()) == ("label_map: {} -> {'3': 2}",)


@pytest.mark.parametrize("edited", [{"normalization": 5}, {"unheard": {"of": 1}}, {"order": None}])
def test_a_recipe_that_somebody_has_edited_can_be_compared(edited):
    assert isinstance(changed_keys(edited, Recipe().as_dict()), tuple)
    assert isinstance(changed_keys(Recipe().as_dict(), edited), tuple)
