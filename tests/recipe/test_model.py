"""The recipe as frozen values: defaults, what is accepted, the fingerprint."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys

import pytest

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Normalization, Recipe, load_recipe
from monai_mriprep.recipe.extensions import NamedSettings, register


def test_defaults():
    assert load_recipe().as_dict() == {
        "preset": "default",
        "pattern": None,
        "channels": None,
        "statistics": None,
        "statistics_row": None,
        "axis_order": None,
        "target_rule": "published",
        "target_spacing": None,
        "geometry": "strict",
        "orientation": "keep",
        "transpose": "none",
        "crop": "none",
        "crop_margin": 0.0,
        "grid": "monai",
        "boundary": "nearest",
        "order": 3,
        "separate_axis": "none",
        "separate_threshold": 3.0,
        "clip": False,
        "label": "nearest",
        "intensity": "zscore",
        "normalization": {"foreground": "carried", "epsilon": 0.0},
        "label_map": {},
        "label_outside": 0,
        "steps": [],
    }


@pytest.mark.parametrize(("model", "key"), [(m, k) for m in (Recipe, Normalization) for k in m.model_fields])
def test_every_key_is_described_and_classified(model, key):
    info = model.model_fields[key]
    assert "Allowed: " in info.description
    assert info.json_schema_extra["voxels"] in (True, False)


def test_integers_become_floats_and_lists_become_tuples():
    spacing = Recipe(target_spacing=[3, 1, 1]).target_spacing
    assert spacing == (3.0, 1.0, 1.0)
    assert [type(value) for value in spacing] == [float] * 3


@pytest.mark.parametrize(("order", "orders"), [(1, (1, 1, 1)), ((0, 3, 3), (0, 3, 3))])
def test_orders(order, orders):
    assert Recipe(order=order).orders == orders


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Recipe(order=7), "recipe: order: must be an integer 0 to 3"),
        (lambda: Recipe(gird="monai"), "'gird' is not a key of the recipe; did you mean grid"),
        (lambda: Recipe(normalization={"foreground": "x"}), "normalization.foreground: must be"),
        (lambda: Recipe.model_validate(3), "must be a mapping"),
        (lambda: Recipe.model_validate({1: 2}), "'1' is not a key"),
    ],
)
def test_python_gets_the_same_error(make, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        make()


def test_frozen():
    recipe = Recipe()
    with pytest.raises(ValueError, match="frozen"):
        recipe.order = 1
    with pytest.raises(ValueError, match="frozen"):
        recipe.normalization.foreground = "native"


OTHER = {
    "preset": "default",
    "pattern": "(?P<case>a)",
    "statistics": "table.csv",
    "statistics_row": 1,
    "axis_order": "xyz",
    "target_rule": "nnunet",
    "target_spacing": (3.0, 1.0, 1.0),
    "geometry": "resample_label",
    "orientation": "RAS",
    "transpose": (1, 0, 2),
    "crop": "nonzero_filled",
    "crop_margin": 2.5,
    "channels": ("t1", "flair"),
    "grid": "nnunet_exact",
    "boundary": "mirror",
    "order": (0, 3, 3),
    "separate_axis": "auto",
    "separate_threshold": 2.5,
    "clip": "slice",
    "label": "linear",
    "intensity": "percentile",
    "normalization": {"foreground": "native"},
    "label_map": {2: 1, 49: 2, -1: 3},
    "label_outside": -1,
    "steps": ({"step": "doubling", "times": 3},),
}


@register
class Doubling(NamedSettings):
    """Stands for a step: a recipe only needs its name and its settings."""

    name = "doubling"
    times: int = 2


EXACT = {"grid": "nnunet_exact"}
BESIDE = {
    "crop_margin": {"crop": "nonzero"},
    "separate_axis": EXACT,
    "separate_threshold": {**EXACT, "separate_axis": "auto"},
    "label": EXACT,
    "label_outside": {"crop": "nonzero_filled"},
}
"""What a key is refused without."""


@pytest.mark.parametrize("without", [("boundary", "order"), ("grid", "separate_axis", "separate_threshold", "label")])
def test_round_trips(without):
    others = {key: value for key, value in OTHER.items() if key not in without}
    recipe = Recipe(**others)
    assert Recipe.model_validate(json.loads(json.dumps(recipe.as_dict()))) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert hash(recipe) == hash(Recipe(**others))


def test_repr_states_order_and_unit():
    text = repr(Recipe(target_spacing=(3, 1, 1)))
    assert "target_spacing=(3.0, 1.0, 1.0)" in text
    assert text.endswith("# triples in z, y, x; spacing in mm")
    assert eval(text) == Recipe(target_spacing=(3, 1, 1))


@pytest.mark.parametrize("key", Recipe.model_fields)
def test_fingerprint_covers_what_decides_the_voxels(key):
    beside = BESIDE.get(key, {})
    changed = Recipe(**{**beside, key: OTHER[key]}).fingerprint() != Recipe(**beside).fingerprint()
    about_files = {"preset", "pattern", "statistics", "statistics_row", "axis_order", "target_rule", "target_spacing"}
    assert changed == (key not in about_files)


@pytest.mark.parametrize("crop", [{}, {"crop": "none"}])
def test_a_margin_without_a_crop_is_refused_for_it_would_do_nothing(crop):
    with pytest.raises(RecipeError, match=r"crop_margin: 5\.0 has no effect without a crop; add `crop: nonzero`, or "):
        Recipe(crop_margin=5.0, **crop)
    assert Recipe(crop_margin=0.0, **crop) == Recipe()


@pytest.mark.parametrize(
    ("intensity", "section"),
    [("percentile", {"epsilon": 0.5}), ("none", {"epsilon": 0.5}), ("none", {"foreground": "native"})],
)
def test_what_has_no_effect_under_an_intensity_is_refused(intensity, section):
    ((key, value),) = section.items()
    usual = getattr(Normalization(), key)
    words = f"normalization: {key} {value} has no effect under `intensity: {intensity}`; set it to {usual}, its default"
    with pytest.raises(RecipeError, match=re.escape(words)):
        Recipe(intensity=intensity, normalization=section)
    assert Recipe(intensity=intensity, normalization={key: usual}).intensity == intensity


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"separate_axis": "auto"},
            "auto needs `grid: nnunet_exact`; set that, too, or `separate_axis: none`",
        ),
        ({"label": "linear", "grid": "nnunet"}, "label: linear needs `grid: nnunet_exact`"),
        ({"label_outside": -1, "crop": "nonzero"}, "label_outside: -1 needs `crop: nonzero_filled`"),
        ({"separate_threshold": 2.0, **EXACT}, "separate_threshold: 2.0 has no effect; add `separate_axis: auto`"),
        ({"boundary": "mirror", **EXACT}, "boundary: `grid: nnunet_exact` repeats the edge; set boundary to"),
        ({"order": [0, 3, 3], **EXACT}, "order: `grid: nnunet_exact` has one order; `separate_axis: auto` is"),
        ({"normalization": {"foreground": "filled"}}, "normalization: foreground filled is the mask of `crop: nonz"),
        ({"normalization": {"foreground": "crop", "epsilon": 1e-6}}, "epsilon 1e-06 has no effect under `foreground"),
        ({"normalization": {"foreground": "crop"}, "intensity": "percentile"}, "foreground crop is of z-scores; set"),
        ({"transpose": [0, 1, 1]}, "transpose: [0, 1, 1] is no order of three axes; it must be none, coarsest_first"),
        ({"transpose": "finest_first"}, "transpose: must be none, coarsest_first, or the numbers"),
        ({"target_rule": "nnUnet"}, "target_rule: 'nnUnet' is neither a rule nor the path of a .json file; it must"),
        ({"label_outside": -2}, "label_outside: must be 0 or -1; not -2"),
        ({"clip": "slices"}, "clip: must be true, false or slice; not 'slices'"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
def test_what_lacks_what_it_needs_is_refused(keys, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        Recipe(**keys)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), [1, 2, 0]])
def test_an_order_of_axes(order):
    assert Recipe(transpose=order).transpose == tuple(order)


@pytest.mark.parametrize(
    ("target", "order"),
    [((3, 1, 1), (0, 1, 2)), ((1, 3, 1), (1, 0, 2)), ((1, 2, 3), (2, 0, 1)), ((1, 3, 3), (1, 0, 2))],
)
def test_the_coarsest_axis_goes_first(target, order):
    assert Recipe(transpose="coarsest_first").transposition(target) == order
    assert Recipe().transposition(target) == (0, 1, 2)
    assert Recipe(transpose=(2, 1, 0)).transposition(target) == (2, 1, 0)


def test_a_target_rule_may_be_a_plan(monkeypatch):
    monkeypatch.setenv("HOME", "/home/of/somebody")
    assert Recipe(target_rule="~/nnUNetPlans.json").target_rule == "/home/of/somebody/nnUNetPlans.json"
    assert Recipe(target_rule="plans.json").dataset_keys() == ("target_rule",)
    rules = ("published", "nnunet", "plans.json")
    assert [Recipe(target_rule=rule).named_rule for rule in rules] == ["published", "nnunet", None]


def test_channels_are_names_in_order():
    assert Recipe(channels=["T2*", "t1-ce"]).channels == ("T2*", "t1-ce")
    assert [Recipe(channels=names).channel_count for names in (None, ["t1"], ["t1", "t2"])] == [1, 1, 2]
    assert Recipe(channels=["t1", "t2"]).fingerprint() != Recipe(channels=["t2", "t1"]).fingerprint()


@pytest.mark.parametrize("names", [[], ["t1", "t1"], ["t1,t2"], ["t1 t2"], ["a/t1"], [""], "t1", [1]], ids=str)
def test_what_is_no_list_of_channels_is_refused(names):
    with pytest.raises(RecipeError, match=r"channels: .*must be a list of different names"):
        Recipe(channels=names)


@pytest.mark.parametrize(
    "given", [{7: 0, 2: 1}, {"2": 1, "7": 0}, {2: 1, "7": 0}, ((2, 1), (7, 0)), [[7, 0], [2, 1]]], ids=str
)
def test_a_label_map_is_sorted_pairs_and_written_as_a_mapping(given):
    recipe = Recipe(label_map=given)
    assert recipe.label_map == ((2, 1), (7, 0))
    assert recipe.as_dict()["label_map"] == {"2": 1, "7": 0}
    assert recipe.fingerprint() == Recipe(label_map={2: 1, 7: 0}).fingerprint() != Recipe().fingerprint()


@pytest.mark.parametrize("off", [None, {}, (), []])
def test_an_empty_label_map_is_none(off):
    assert Recipe(label_map=off) == Recipe()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (5, "label_map: must be a mapping of whole numbers"),
        ("text", "label_map: must be a mapping of whole numbers"),
        ([1, 2], "has the entry 1: None, where both must be whole numbers; it must be"),
        ({"a": 1}, "has the entry 'a': 1, where both must be whole numbers"),
        ({"2:1": None}, "where both must be whole numbers; write a blank after the colon"),
        ({1: 2.0}, "has the entry 1: 2.0"),
        ({1: True}, "has the entry 1: True"),
        ({1.0: 2}, "has the entry 1.0: 2"),
        ({"01": 2}, "has the entry '01': 2"),
        ({1: -1}, "makes -1 of 1, where a label is from 0 to 32767"),
        ({1: 32768}, "makes 32768 of 1"),
        ({0: 3}, "makes 3 of 0, which is the background, and all that lies outside a label"),
        ({"1": 2, 1: 3}, "names 1 twice"),
        ({2**70: 1}, f"names {2**70}, which no label holds"),
        ({-(2**63): 1}, f"names {-(2**63)}, which no label holds"),
    ],
)
def test_what_is_no_label_map_is_refused(given, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        Recipe(label_map=given)


def test_the_background_may_be_named_where_it_stays():
    assert Recipe(label_map={0: 0, 5: 1}).label_map == ((0, 0), (5, 1))


def test_percentiles_can_be_taken_over_any_foreground():
    assert Recipe(intensity="percentile", normalization={"foreground": "native"}).intensity == "percentile"


def test_under_the_preset_of_the_authors_its_epsilon_is_to_be_set_back():
    with pytest.raises(RecipeError, match=r"epsilon 1e-06 has no effect .* set it to 0\.0, its"):
        Recipe(preset="panther2025", intensity="percentile")
    assert Recipe(preset="panther2025", intensity="percentile", normalization={"epsilon": 0.0}).grid == "itk"


def test_a_younger_key_enters_the_fingerprint_where_it_differs_from_its_default():
    assert Recipe(normalization={"epsilon": 0.0}).fingerprint() == Recipe().fingerprint()
    assert Recipe(normalization={"epsilon": 1e-6}).fingerprint() != Recipe().fingerprint()


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PIL"])
def test_orientations(codes):
    assert Recipe(orientation=codes).orientation == codes


@pytest.mark.parametrize("codes", ["ras", "RAX", "RLS", "RA", "RASS", ""])
def test_what_is_no_orientation_is_refused(codes):
    with pytest.raises(RecipeError, match="is no orientation; it must be keep, or three letters"):
        Recipe(orientation=codes)


def test_a_default_recipe_has_the_fingerprint_of_version_0_1_0():
    assert Recipe(order=(3, 3, 3)).fingerprint() == Recipe().fingerprint()
    assert Recipe().fingerprint() == "8779050f388240d86512fbb5d9a5ecdcd7f7ec6b843508dcfbff591f1ed2cc5e"


def test_import_is_light():
    code = "import sys, monai_mriprep.recipe; print({'torch', 'monai', 'numpy', 'itk'} & set(sys.modules) or 'light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"
