"""nnU-Net v2's own preprocessing of the same cases to the same target spacing.

``prepare`` (not timed) lays out the raw dataset, extracts the fingerprint, plans, and puts our target spacing into the
plan. ``preprocess`` (timed) is nnU-Net's command of that name.

usage: python -m benchmarks.peers.nnunet_preprocess prepare|preprocess DATASET FOLDER WORKERS
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

DATASET_ID = 1
NAME = f"Dataset{DATASET_ID:03d}_Bench"
PLANS = "nnUNetPlans"


def set_folders(folder: Path) -> None:
    """nnU-Net takes its folders from the environment, once, when it is imported."""
    for variable, name in (("nnUNet_raw", "raw"), ("nnUNet_preprocessed", "done"), ("nnUNet_results", "results")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(folder / name)


def prepare(dataset: Path, folder: Path, workers: int) -> None:
    raw = folder / "raw" / NAME
    for part in ("images", "labels"):
        shutil.copytree(dataset / f"{part.title()}Tr", raw / f"{part}Tr")
    description = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "organ": 1, "lesion": 2},
        "numTraining": len(list((raw / "imagesTr").iterdir())),
        "file_ending": ".mha",
    }
    (raw / "dataset.json").write_text(json.dumps(description))

    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments

    extract_fingerprints([DATASET_ID], num_processes=workers, show_progress_bar=False)
    plan_experiments([DATASET_ID])
    force_target(dataset, folder / "done" / NAME / f"{PLANS}.json")


def force_target(dataset: Path, plans: Path) -> None:
    from benchmarks.peers.common import read_target

    content = json.loads(plans.read_text())
    content["configurations"]["3d_fullres"]["spacing"] = read_target(dataset).tolist()
    plans.write_text(json.dumps(content))


def preprocess(workers: int) -> None:
    from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess as nnunet_preprocess

    nnunet_preprocess(
        [DATASET_ID], PLANS, configurations=("3d_fullres",), num_processes=(workers,), show_progress_bar=False
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("prepare", "preprocess"))
    parser.add_argument("dataset", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("workers", type=int)
    options = parser.parse_args()
    set_folders(options.folder.resolve())
    if options.step == "prepare":
        prepare(options.dataset, options.folder.resolve(), options.workers)
    else:
        preprocess(options.workers)


if __name__ == "__main__":
    main()
