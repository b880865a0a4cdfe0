"""The MONAI bundle in configs/bundle: it runs as users run it, and does what Python does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from monai.bundle.config_parser import ConfigParser

from monai_mriprep import SpacingStatistics, build_transforms, target_spacing

pytestmark = pytest.mark.filterwarnings("ignore:.*parsing a config file can run arbitrary code")

CONFIG = Path(__file__).parents[1] / "configs" / "bundle" / "configs" / "inference.yaml"


def options(synthetic: Path, folder: Path) -> dict[str, str]:
    return {
        "dataset_dir": str(synthetic / "ImagesTr"),
        "statistics": str(synthetic / "mri_statistics.csv"),
        "checkpoint": str(folder / "model.pt"),
        "output_dir": str(folder / "out"),
        "device": "cpu",
    }


@pytest.fixture
def parsed(synthetic, tmp_path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(CONFIG)
    parser.update(options(synthetic, tmp_path))
    return parser


def test_its_steps_are_those_of_the_default_recipe(parsed, synthetic):
    target = target_spacing(SpacingStatistics.from_csv(synthetic / "mri_statistics.csv"))
    expected = build_transforms(target=target, stage="inference")
    dataset = parsed.get_parsed_content("dataset")
    assert len(dataset) == 4
    for item in dataset:
        same = expected({"image": item["image"].meta["filename_or_obj"]})["image"]
        assert torch.equal(item["image"].as_tensor(), same.as_tensor())
        assert torch.equal(item["image"].affine, same.affine)


def test_it_runs_and_saves_on_the_grid_of_the_scan(parsed, synthetic, tmp_path):
    torch.manual_seed(0)
    network = parsed.get_parsed_content("network_def")
    torch.save(network.state_dict(), tmp_path / "model.pt")
    overrides = [word for key, value in options(synthetic, tmp_path).items() for word in (f"--{key}", value)]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(CONFIG), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    predict, post = parsed.get_parsed_content("predict"), parsed.get_parsed_content("postprocessing")
    for item in parsed.get_parsed_content("dataset"):
        scan = Path(item["image"].meta["filename_or_obj"])
        saved = SimpleITK.ReadImage(str(tmp_path / "out" / f"{scan.stem}_pred.nii.gz"))
        on_scan = SimpleITK.Resample(saved, SimpleITK.ReadImage(str(scan)), interpolator=SimpleITK.sitkNearestNeighbor)
        with torch.no_grad():
            expected = post.transforms[2](post.transforms[1](post.transforms[0](predict(item))))["pred"]
        assert len(expected.unique()) > 1
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(on_scan), expected[0].numpy())
