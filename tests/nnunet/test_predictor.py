"""A predictor of nnU-Net with our code in it: its label maps, but for ties."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch

from monai_mriprep.errors import MriprepWarning, NnunetError
from monai_mriprep.nnunet import accelerate, predictor

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")

from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference import predict_from_raw_data
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from monai_mriprep.nnunet.configuration import Configuration
from tests.nnunet.test_logits import only_ties

TEST_CASES = ("case_3", "case_4")


def loaded(trained) -> nnUNetPredictor:
    """The network is that of nnU-Net's trainer; to look for another, nnU-Net imports more than is installed."""
    made = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    with patch.object(predict_from_raw_data, "recursive_find_trainer_class_by_name", lambda name: nnUNetTrainer):
        made.initialize_from_trained_model_folder(str(trained), ("all",))
    return made


@pytest.fixture(scope="module")
def both(trained):
    """A predictor as nnU-Net loads it, and one that is accelerated."""
    return loaded(trained), accelerate(loaded(trained))


def test_it_is_the_same_predictor_and_once_is_enough(trained):
    one = loaded(trained)
    assert accelerate(one) is one
    configuration = one.configuration_manager
    assert type(configuration) is Configuration
    assert accelerate(one).configuration_manager is configuration


@pytest.mark.parametrize("case", TEST_CASES)
def test_a_scan_in_memory_is_predicted_the_same_but_for_ties(planned, both, case):
    image, facts = SimpleITKIO().read_images(planned.files(case))
    stock, ours = (one.predict_single_npy_array(image, dict(facts)) for one in both)
    assert (stock.shape, stock.dtype) == (ours.shape, ours.dtype)
    assert np.count_nonzero(stock != ours) <= 1e-4 * stock.size


@pytest.mark.parametrize("case", TEST_CASES)
def test_the_same_logits_become_the_same_labels_but_for_ties(planned, both, case):
    """Of a network that nnU-Net has trained."""
    stock, ours = (one.configuration_manager for one in both)
    preprocessor = ours.preprocessor_class(verbose=False)
    data, _, facts = preprocessor.run_case(planned.files(case), None, both[1].plans_manager, ours, planned.dataset)
    logits = both[0].predict_logits_from_preprocessed_data(torch.from_numpy(data))
    assert logits.dtype == torch.float16
    shape = facts["shape_after_cropping_and_before_resampling"]
    resampled = [one.resampling_fn_probabilities(logits, shape, one.spacing, facts["spacing"]) for one in (stock, ours)]
    labels = [np.asarray(both[0].label_manager.convert_logits_to_segmentation(one)) for one in resampled]
    assert len(np.unique(labels[0])) > 1
    only_ties(*labels, resampled[0])


def test_files_one_after_the_other_are_predicted_the_same(planned, both, tmp_path):
    files = [planned.files(case) for case in TEST_CASES]
    for name, one in zip(("stock", "ours"), both, strict=True):
        (tmp_path / name).mkdir()
        one.predict_from_files_sequential(files, [str(tmp_path / name / case) for case in TEST_CASES])
    for case in TEST_CASES:
        stock, ours = (SimpleITKIO().read_seg(str(tmp_path / name / f"{case}.mha")) for name in ("stock", "ours"))
        assert np.count_nonzero(stock[0] != ours[0]) <= 1e-4 * stock[0].size
        assert stock[1] == ours[1]


def test_a_predictor_that_is_not_initialized_is_refused():
    with pytest.raises(
        NnunetError, match=r"nnUNetPredictor has no configuration; .*initialize_from_trained_model_folder"
    ):
        accelerate(nnUNetPredictor(device=torch.device("cpu")))
    with pytest.raises(NnunetError, match="str has no configuration"):
        accelerate("model")


def test_what_stays_nnunets_own_is_said_at_the_line_of_the_caller(trained):
    one = loaded(trained)
    one.configuration_manager.configuration["preprocessor_name"] = "Mine"
    with pytest.warns(MriprepWarning, match="the preprocessing is nnU-Net's own: its preprocessor is Mine") as caught:
        accelerate(one)
    assert caught[0].filename == __file__


def test_an_untested_version_is_left_as_it_is(trained, monkeypatch):
    monkeypatch.setattr(predictor, "untested", lambda: "nnunetv2 9.9 is installed")
    one = loaded(trained)
    before = one.configuration_manager
    with pytest.warns(MriprepWarning, match=r"nnunetv2 9\.9 is installed; the predictor is left as it is") as caught:
        assert accelerate(one) is one
    assert one.configuration_manager is before
    assert caught[0].filename == __file__
