"""The MONAI bundle in configs/bundle: it runs as users run it, and does what Python does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from monai.bundle.config_parser import ConfigParser

from monai_mriprep import SpacingStatistics, build_transforms, target_spacing
from monai_mriprep.demo.phantoms import make_demo_dataset
from monai_mriprep.errors import StatisticsError

pytestmark = pytest.mark.filterwarnings("ignore:.*parsing a config file can run arbitrary code")

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "bundle" / "configs" / "inference.yaml"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """An upright scan and an oblique one."""
    root = tmp_path_factory.mktemp("dataset")
    make_demo_dataset(root)
    for path in (root / "ImagesTr").iterdir():
        if path.name not in ("10000_0001_0000.mha", "10003_0001_0000.mha"):
            path.unlink()
    return root


def options(dataset: Path, folder: Path) -> dict[str, str]:
    return {
        "dataset_dir": str(dataset / "ImagesTr"),
        "statistics": str(dataset / "mri_statistics.csv"),
        "checkpoint": str(folder / "model.pt"),
        "output_dir": str(folder / "out"),
        "device": "cpu",
    }


@pytest.fixture
def parsed(dataset, tmp_path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(CONFIG)
    parser.update(options(dataset, tmp_path))
    return parser


def test_the_documented_commands_name_what_there_is(parsed):
    for text in (CONFIG.read_text(), (ROOT / "docs" / "training.md").read_text()):
        _, command = text.split("python -m monai.bundle run", 1)
        names = re.findall(r"--(\w+)", re.match(r"(?:.*\\\n)*.*", command)[0])
        assert names[0] == "config_file"
        assert set(names[1:]) == {"dataset_dir", "statistics", "checkpoint", "output_dir"} <= set(parsed.config)


def test_its_steps_are_those_of_the_default_recipe(parsed, dataset):
    target = target_spacing(SpacingStatistics.from_csv(dataset / "mri_statistics.csv"))
    expected = build_transforms(target=target, stage="inference")
    items = parsed.get_parsed_content("dataset")
    assert len(items) == 2
    for item in items:
        same = expected({"image": item["image"].meta["filename_or_obj"]})["image"]
        assert torch.equal(item["image"].as_tensor(), same.as_tensor())
        assert torch.equal(item["image"].affine, same.affine)


@pytest.fixture
def reversed_table(dataset, tmp_path) -> Path:
    """The same table with its numbers in x y z order."""
    table = SpacingStatistics.from_csv(dataset / "mri_statistics.csv")
    SpacingStatistics(table.median[::-1], table.p10[::-1]).to_csv(tmp_path / "reversed.csv")
    return tmp_path / "reversed.csv"


def test_a_reversed_table_is_refused(parsed, reversed_table):
    parsed.update({"statistics": str(reversed_table)})
    with pytest.raises(RuntimeError, match="Failed to evaluate") as refused:
        parsed.get_parsed_content("preprocessing")
    assert isinstance(refused.value.__cause__, StatisticsError)
    assert "the table is in x y z order" in str(refused.value.__cause__)


def test_or_read_as_the_axis_order_says(parsed, reversed_table, dataset):
    parsed.update({"statistics": str(reversed_table), "axis_order": "xyz"})
    target = target_spacing(SpacingStatistics.from_csv(dataset / "mri_statistics.csv"))
    spacing = parsed.get_parsed_content("dataset")[0]["image"].meta["target_spacing"]
    assert tuple(spacing.tolist()) == target


@pytest.mark.stress
def test_it_runs_and_saves_on_the_grid_of_the_scan(parsed, dataset, tmp_path, threads, monkeypatch):
    threads(1)  # as there: the last digits of a convolution depend on it, and so does a label at a tie
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.manual_seed(0)
    network = parsed.get_parsed_content("network_def")
    torch.save(network.state_dict(), tmp_path / "model.pt")
    overrides = [word for key, value in options(dataset, tmp_path).items() for word in (f"--{key}", value)]
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
