"""The one place where we go into nnU-Net."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")

from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from monai_mriprep.nnunet.configuration import Configuration, configurations_are_ours, stays_stock
from monai_mriprep.nnunet.logits import LaterResampling
from monai_mriprep.nnunet.preprocessor import Preprocessor
from tests.test_docs import ROOT


def test_plans_hand_out_ours_and_then_nnunets_again(planned):
    said = []
    stock = PlansManager.get_configuration
    with configurations_are_ours(said.append):
        plans = PlansManager(planned.plans)
        one = plans.get_configuration("3d_fullres")
        assert one is plans.get_configuration("3d_fullres")
    assert said == []
    assert type(one) is Configuration
    assert one.preprocessor_class is Preprocessor
    assert type(one.resampling_fn_probabilities) is LaterResampling
    assert one.configuration == plans.plans["configurations"]["3d_fullres"]
    assert PlansManager.get_configuration is stock
    assert type(PlansManager(planned.plans).get_configuration("3d_fullres")) is ConfigurationManager


def test_nnunets_come_back_after_an_error_too():
    stock = PlansManager.get_configuration
    with pytest.raises(ZeroDivisionError), configurations_are_ours(print):
        _ = 1 / 0
    assert PlansManager.get_configuration is stock


def test_a_configuration_that_is_not_there_is_refused_in_nnunets_words(planned):
    with configurations_are_ours(print), pytest.raises(RuntimeError, match="3d_none not found in plans"):
        PlansManager(planned.plans).get_configuration("3d_none")


def test_each_part_that_stays_is_said_once(planned):
    plans, said = planned.plans, []
    changed = plans["configurations"]["3d_fullres"]
    changed["resampling_fn_seg"] = changed["resampling_fn_probabilities"] = "resample_torch_fornnunet"
    with configurations_are_ours(said.append):
        manager = PlansManager(plans)
        one, _ = (manager.get_configuration("3d_fullres") for _ in range(2))
        PlansManager(plans).get_configuration("3d_fullres")  # nnU-Net reads its plans more than once
    other = "resample_torch_fornnunet, not resample_data_or_seg_to_shape"
    assert said == [
        f"3d_fullres: the preprocessing is nnU-Net's own: resampling_fn_seg is {other}",
        f"3d_fullres: the export is nnU-Net's own: resampling_fn_probabilities is {other}",
    ]
    assert one.preprocessor_class is DefaultPreprocessor
    assert one.resampling_fn_probabilities.func.__name__ == "resample_torch_fornnunet"


def test_a_worker_finds_it_by_its_name_and_loads_neither_monai_nor_itk(planned, tmp_path):
    one = Configuration(planned.plans["configurations"]["3d_fullres"])
    (tmp_path / "one.pkl").write_bytes(pickle.dumps(one))
    code = (
        "import pickle, sys\n"
        f"one = pickle.load(open({str(tmp_path / 'one.pkl')!r}, 'rb'))\n"
        "print(one.preprocessor_class.__module__, {'monai', 'itk', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "monai_mriprep.nnunet.preprocessor set()"


def test_nothing_stays_of_what_nnunet_plans(planned):
    for configuration in planned.plans["configurations"].values():
        assert list(stays_stock(ConfigurationManager(configuration))) == []
