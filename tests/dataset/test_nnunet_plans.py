"""Plans of nnU-Net: what is read of them, and what they are held against."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.dataset.nnunet_plans import normalizes_inside, read_plans
from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.dataset.survey import survey_dataset
from monai_mriprep.dataset.target_rules import target_spacing
from monai_mriprep.errors import StatisticsError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.plan import plan_run

CHOSEN = {
    "data_identifier": "nnUNetPlans_3d_fullres",
    "spacing": [4, 1.5, 1.0],
    "normalization_schemes": ["ZScoreNormalization"],
    "use_mask_for_norm": [False],
}
PLANS = {
    "dataset_name": "Dataset001_A",
    "transpose_forward": [1, 0, 2],
    "transpose_backward": [1, 0, 2],
    "image_reader_writer": "SimpleITKIO",
    "configurations": {"2d": {"spacing": [1.5, 1.0]}, "3d_fullres": CHOSEN},
}


def written(folder: Path, chosen: dict | None = None, **changes) -> str:
    path = folder / "nnUNetPlans.json"
    facts = {**PLANS, "configurations": {"3d_fullres": {**CHOSEN, **(chosen or {})}}, **changes}
    path.write_text(json.dumps(facts), encoding="utf-8")
    return str(path)


def recipe_of(path: str, **keys) -> Recipe:
    return Recipe(**{"preset": "nnunet", "target_rule": path, **keys})


def test_the_spacing_is_that_before_the_transposition(tmp_path):
    plans = read_plans(written(tmp_path))
    assert (plans.spacing, plans.transposition) == ((1.5, 4.0, 1.0), (1, 0, 2))
    assert recipe_of(str(plans.path)).transposition(plans.spacing) == (1, 0, 2)
    plans.require_agreement(recipe_of(str(plans.path)))


def test_the_target_of_a_dataset_is_that_of_the_plans(dataset, tmp_path):
    choice = survey_dataset(dataset, recipe_of(written(tmp_path))).choice
    assert choice.spacing == (1.5, 4.0, 1.0)
    assert choice.text == f"target spacing (1.5, 4, 1) mm (z y x): that of 3d_fullres in {tmp_path}/nnUNetPlans.json"


CONTRADICTIONS = {
    "transposition": (
        {},
        {},
        {"transpose": "none"},
        "transpose_forward is [1, 0, 2], `transpose: none` is [0, 1, 2]; set ",
    ),
    "rule": ({"spacing": [1, 4, 1]}, {}, {}, "`transpose: coarsest_first` is [0, 1, 2]; set `transpose: [1, 0, 2]`"),
    "mask": (
        {"use_mask_for_norm": [True]},
        {},
        {},
        "use_mask_for_norm is true, `normalization.foreground` is crop; set `normalization: {foreground: filled}`",
    ),
    "no mask": (
        {},
        {},
        {"normalization": {"foreground": "filled"}},
        "use_mask_for_norm is false, `normalization.foreground` is filled; set `normalization: {foreground: crop}`",
    ),
    "reader": (
        {},
        {"image_reader_writer": "NibabelIOWithReorient"},
        {},
        "image_reader_writer is NibabelIOWithReorient, `orientation` is keep; set `orientation: RAS`",
    ),
    "channels": (
        {"normalization_schemes": ["ZScoreNormalization"] * 2, "use_mask_for_norm": [False] * 2},
        {},
        {},
        "they have 2 channels, the recipe 1",
    ),
}


@pytest.mark.parametrize(("chosen", "changes", "keys", "words"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_plans_that_contradict_the_recipe_are_refused(dataset, tmp_path, chosen, changes, keys, words):
    path = written(tmp_path, chosen, **changes)
    with pytest.raises(StatisticsError, match=f"^{re.escape(path)}: .*{re.escape(words)}"):
        survey_dataset(dataset, recipe_of(path, **keys)).choice  # noqa: B018, it is asked for


def test_a_foreground_of_ours_is_not_held_against_them(tmp_path):
    plans = read_plans(written(tmp_path, {"use_mask_for_norm": [True]}))
    plans.require_agreement(recipe_of(str(plans.path), normalization={"foreground": "native"}))


BEYOND = {
    "scheme": (
        {"normalization_schemes": ["CTNormalization"]},
        {},
        "normalization_schemes has 'CTNormalization', and only",
    ),
    "some masks": (
        {"normalization_schemes": ["ZScoreNormalization"] * 2, "use_mask_for_norm": [True, False]},
        {},
        "use_mask_for_norm is [true, false], and must be the same for each of 2 channels",
    ),
    "a scheme of two": (
        {"normalization_schemes": ["ZScoreNormalization", "CTNormalization"], "use_mask_for_norm": [True] * 2},
        {},
        "normalization_schemes has 'CTNormalization', and only",
    ),
    "too few masks": (
        {"normalization_schemes": ["ZScoreNormalization"] * 2, "use_mask_for_norm": [True]},
        {},
        "use_mask_for_norm is [true], and must be the same for each of 2 channels",
    ),
    "resampling": ({"resampling_fn_seg": "resample_torch"}, {}, "resampling_fn_seg is 'resample_torch', and only"),
    "order of the spline": (
        {"resampling_fn_data_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}},
        {},
        "resampling_fn_data_kwargs is {'is_seg': False, 'order': 1, 'order_z': 0, 'force_separate_z': None}, and only",
    ),
    "slices": (
        {"resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": True}},
        {},
        "'force_separate_z': True}, and only {",
    ),
    "preprocessor": ({"preprocessor_name": "Mine"}, {}, "preprocessor_name is 'Mine', and only 'DefaultPreprocessor'"),
    "a name that writes on": ({"normalization_schemes": ["\x1b[31m"]}, {}, r"has '\x1b[31m', and"),
    "no flags": ({"use_mask_for_norm": []}, {}, "use_mask_for_norm is [], and must be"),
    "reader": ({}, {"image_reader_writer": "Tiff3DIO"}, "image_reader_writer is 'Tiff3DIO', and only SimpleITKIO,"),
    "order": ({}, {"transpose_forward": [0, 0, 1]}, "transpose_forward: Value error, is no order of three axes"),
    "spacing": ({"spacing": [1, 2]}, {}, "configuration 3d_fullres: configurations.3d_fullres.spacing"),
    "negative": ({"spacing": [1, 2, -1]}, {}, "configurations.3d_fullres.spacing.2: Input should be greater than 0"),
    "2d": ({}, {"configurations": {"2d": {}}}, "configurations.3d_fullres: Field required"),
}


@pytest.mark.parametrize(("chosen", "changes", "words"), BEYOND.values(), ids=BEYOND)
def test_plans_that_are_none_or_beyond_us_are_refused(tmp_path, chosen, changes, words):
    path = written(tmp_path, chosen, **changes)
    with pytest.raises(StatisticsError, match=f"^{re.escape(path)}: .*{re.escape(words)}"):
        read_plans(path)


def test_the_readers_whose_axes_a_recipe_can_have(tmp_path):
    for reader, orientation in {"SimpleITKIO": "keep", "NibabelIO": "keep", "NibabelIOWithReorient": "RAS"}.items():
        path = written(tmp_path, image_reader_writer=reader)
        read_plans(path).require_agreement(recipe_of(path, orientation=orientation))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100000, b'{"transpose_forward": NaN}'], ids=len)
def test_rubbish_is_refused_by_name(tmp_path, content):
    path = tmp_path / "plans.json"
    path.write_bytes(content)
    with pytest.raises(StatisticsError, match=rf"^{path}: is no nnUNetPlans\.json"):
        read_plans(path)


def test_long_names_are_shortened(tmp_path):
    path = written(tmp_path, {"normalization_schemes": ["A" * 100000], "resampling_fn_seg": ["B"] * 100000})
    with pytest.raises(StatisticsError) as refused:
        read_plans(path)
    assert len(str(refused.value)) < 1000


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(StatisticsError, match=r"nowhere\.json: cannot be read \(No such file"):
        read_plans(tmp_path / "nowhere.json")


@pytest.mark.parametrize("name", ["abdomen_3918", "ms_brain_81"])
def test_the_mask_and_the_transposition_of_public_plans(shared_data, name):
    facts = json.loads((shared_data / "nnunet_plans" / f"{name}.json").read_text())
    (flag,) = set(facts["plan"]["3d_fullres"]["use_mask_for_norm"])
    assert normalizes_inside([facts["median_relative_size_after_cropping"]]) == flag
    statistics = SpacingStatistics.from_spacings(facts["spacings"])
    target = target_spacing(statistics, "nnunet", np.median(facts["shapes_after_crop"], axis=0).tolist())
    assert list(Recipe(preset="nnunet").transposition(target)) == facts["plan"]["transpose_forward"]
    np.testing.assert_allclose(target, facts["plan"]["original_median_spacing_after_transp"], atol=5e-10)


def test_the_mask_is_for_scans_of_which_less_than_three_quarters_are_left():
    assert not normalizes_inside([0.75, 0.1, 0.9])
    assert normalizes_inside([0.7499, 0.1, 0.9])


def test_a_run_says_that_its_target_is_that_of_plans(dataset, tmp_path):
    path = written(tmp_path)
    plan = plan_run(dataset, tmp_path / "out", recipe_of(path))
    assert (plan.job.target, plan.wanted.statistics) == ((1.5, 4.0, 1.0), "plans")
    given = plan_run(dataset, tmp_path / "out", recipe_of(path, target_spacing=(3, 1, 1)))
    assert (given.job.target, given.wanted.statistics) == ((3.0, 1.0, 1.0), "recipe")
