"""The training example: what it feeds the network. That it learns, tests/stress/test_training.py asserts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from monai.bundle.config_parser import ConfigParser
from monai.data.utils import list_data_collate

from monai_mriprep.demo.phantoms import make_demo_dataset

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "train_unet.py"
BUNDLE = ROOT / "configs" / "bundle" / "configs" / "inference.yaml"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_unet", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_both_modes_give_the_same_batches_bit_for_bit(example, tmp_path):
    make_demo_dataset(tmp_path / "training")
    offline, on_the_fly = (example.training_set(mode, tmp_path / "training") for mode in ("offline", "on-the-fly"))
    assert len(offline) == len(on_the_fly) == 6
    for first in (0, 2, 4):
        batches = [list_data_collate([data[first], data[first + 1]]) for data in (offline, on_the_fly)]
        assert example.digest(batches[0]) == example.digest(batches[1])
        for key in example.KEYS:
            assert batches[0][key].shape == (2, 1, *example.PATCH)
            assert torch.equal(batches[0][key].as_tensor(), batches[1][key].as_tensor())
            assert torch.equal(batches[0][key].affine, batches[1][key].affine)
    assert batches[0]["label"].any()


def test_dice(example):
    found = torch.tensor([[[[0, 1, 1, 2]]]])
    assert example.dice(found, torch.tensor([[[[0, 1, 2, 2]]]])) == pytest.approx([2 / 3, 2 / 3, 1.0])


@pytest.mark.filterwarnings("ignore:.*parsing a config file can run arbitrary code")
def test_the_bundle_takes_its_weights(example):
    parser = ConfigParser()
    parser.read_config(BUNDLE)
    parser.get_parsed_content("network_def").load_state_dict(example.make_network().state_dict())
