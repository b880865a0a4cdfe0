"""Datasets that nnU-Net has planned, made once for all tests of this room."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nnunet.programs import preprocess_by_both, run, script, write_trainer
from tests.nnunet.raw import CAMPAIGN, NAME, Planned, plan, write_raw
from tests.test_docs import ROOT

IGNORED = (
    "ignore:.*distutils.*:DeprecationWarning",
    "ignore:.*torch.jit.*:DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::ResourceWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of nnU-Net and what it imports are its own."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for ignored in IGNORED:
                item.add_marker(pytest.mark.filterwarnings(ignored))


@pytest.fixture(scope="session")
def planned(tmp_path_factory) -> Planned:
    """Three cases, and two of a test set, one channel, MetaImage."""
    folder = tmp_path_factory.mktemp("nnunet")
    write_raw(folder)
    return plan(folder)


@pytest.fixture(scope="session")
def regions(planned, tmp_path_factory) -> Planned:
    """NIfTI with two channels, regions and an ignore label; planned like the other."""
    folder = tmp_path_factory.mktemp("regions")
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    raw = write_raw(folder, ".nii.gz", channels=2, labels=labels)
    plans = planned.plans
    plans["image_reader_writer"] = "NibabelIO"
    per_channel = plans["foreground_intensity_properties_per_channel"]
    per_channel["1"] = per_channel["0"]
    for configuration in plans["configurations"].values():
        configuration["normalization_schemes"] = ["ZScoreNormalization"] * 2
        configuration["use_mask_for_norm"] = [True, False]
    (folder / "done" / NAME).mkdir(parents=True)
    (folder / "done" / NAME / "nnUNetPlans.json").write_text(json.dumps(plans))
    shutil.copy(raw / "dataset.json", folder / "done" / NAME)
    return Planned(folder)


@pytest.fixture(scope="session")
def preprocessed(planned) -> dict[str, Path]:
    """The folders that nnU-Net's command and ours have written; the second is where nnU-Net trains."""
    return preprocess_by_both(planned)


@pytest.fixture(scope="session")
def trained(planned, preprocessed) -> Path:
    """The folder of a model that nnU-Net has trained and validated on our files."""
    write_trainer(planned)
    run(planned, script("nnUNetv2_train"), 1, "3d_fullres", "all", "-tr", "TinyTrainer", "-device", "cpu")
    (model,) = (planned.folder / "results").glob("*/TinyTrainer__*")
    return model


def _raw_of_pairs(root: Path, folder: Path, count: int | None, highest: int) -> None:
    """Pairs of a dataset in the project's layout, as nnU-Net's raw data."""
    raw = folder / "raw" / NAME
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True)
    labels = sorted((root / "LabelsTr").iterdir())[:count]
    for label in labels:
        case = label.name.removesuffix(".mha").removesuffix("_seg")
        (image,) = (path for path in (root / "ImagesTr").iterdir() if path.name.startswith(f"{case}_"))
        shutil.copy(image, raw / "imagesTr" / f"{case}_0000.mha")
        shutil.copy(label, raw / "labelsTr" / f"{case}.mha")
    names = {"background": 0, **{f"class_{number}": number for number in range(1, highest + 1)}}
    facts = {"channel_names": {"0": "MR"}, "labels": names, "numTraining": len(labels), "file_ending": ".mha"}
    (raw / "dataset.json").write_text(json.dumps(facts))


@pytest.fixture(scope="session", params=["mixed", "anisotropic", "synthetic"])
def shared(request, shared_data, tmp_path_factory) -> Planned:
    """The real scans, and large synthetic ones, planned by nnU-Net."""
    folder = tmp_path_factory.mktemp(request.param)
    root, count = shared_data / request.param, None
    if request.param == "synthetic":
        root = folder / "made"
        make, size = shared_data.parent / "bench" / "make_dataset.py", ("12", "1") if CAMPAIGN else ("3", "0.5")
        subprocess.run([sys.executable, make, root, "--cases", size[0], "--scale", size[1]], check=True, cwd=ROOT)
    _raw_of_pairs(root, folder, count, highest=49 if request.param == "mixed" else 2)
    return plan(folder)
