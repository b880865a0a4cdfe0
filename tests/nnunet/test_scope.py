"""Which configurations of nnU-Net's plans are computed here."""

from __future__ import annotations

import pytest

from monai_mriprep.nnunet.scope import RESAMPLER, STOCK_SETTINGS, why_stock_export, why_stock_preprocessing

PLANNED = {
    "preprocessor_name": "DefaultPreprocessor",
    **dict.fromkeys(STOCK_SETTINGS, "resample_data_or_seg_to_shape"),
    **{f"{key}_kwargs": dict(settings) for key, settings in STOCK_SETTINGS.items()},
}


def test_what_nnunet_plans_by_itself_is_ours():
    assert why_stock_preprocessing(PLANNED) is None
    assert why_stock_export(PLANNED) is None


def test_the_settings_are_those_that_nnunet_plans():
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    planner = object.__new__(ExperimentPlanner)
    function, data, same, label = planner.determine_resampling()
    export, scores = planner.determine_segmentation_softmax_export_fn()
    assert list(STOCK_SETTINGS.values()) == [data, label, scores]
    assert {function.__name__, same.__name__, export.__name__} == {RESAMPLER}


def test_another_preprocessor_stays():
    reason = why_stock_preprocessing({**PLANNED, "preprocessor_name": "Mine"})
    assert reason == "its preprocessor is Mine, not DefaultPreprocessor"
    assert why_stock_export({**PLANNED, "preprocessor_name": "Mine"}) is None


@pytest.mark.parametrize("key", STOCK_SETTINGS)
def test_another_resampling_stays(key):
    why = why_stock_export if key == "resampling_fn_probabilities" else why_stock_preprocessing
    other = why_stock_preprocessing if why is why_stock_export else why_stock_export
    changed = {**PLANNED, key: "resample_torch_fornnunet"}
    assert why(changed) == f"{key} is resample_torch_fornnunet, not resample_data_or_seg_to_shape"
    assert other(changed) is None
    changed = {**PLANNED, f"{key}_kwargs": {**STOCK_SETTINGS[key], "order_z": 1}}
    assert why(changed).startswith(f"{key}_kwargs is {{'is_seg': ")
    assert why({**PLANNED, f"{key}_kwargs": None}) is not None


def test_plans_of_an_old_nnunet_stay():
    assert why_stock_preprocessing({}) == "its preprocessor is None, not DefaultPreprocessor"
    assert why_stock_export({}) is not None
