"""nnU-Net's commands and ours, run to their end; and what a quick training needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.nnunet.raw import Planned
from tests.test_docs import ROOT

__all__ = ["CONFIGURATION", "OURS", "preprocess_by_both", "run", "script", "write_trainer"]

OURS = (sys.executable, "-m", "monai_mriprep", "nnunet")
CONFIGURATION = "nnUNetPlans_3d_fullres"

TRAINER = """
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class TinyTrainer(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 12, 2
"""
TIMM = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return object
"""
"""To find a trainer from outside, nnU-Net imports all of its own, some of which need timm, and that torchvision, which
does not load beside every torch. None of them is used here."""


def run(planned: Planned, *words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """A command to its end, with nnU-Net's folders; what it wrote."""
    variables = {
        **os.environ,
        **planned.environment,
        "PYTHONPATH": f"{planned.folder / 'stand_ins'}{os.pathsep}{ROOT}",
        "nnUNet_extTrainer": str(planned.folder / "trainers"),
        "nnUNet_compile": "f",
        "nnUNet_n_proc_DA": "0",
        "nnUNet_def_n_proc": "1",
    }
    done = subprocess.run(
        [*map(str, words)], env=variables, capture_output=True, text=True, check=False, cwd=planned.folder
    )
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def script(name: str) -> Path:
    """One of nnU-Net's own commands."""
    return Path(sys.executable).with_name(name)


def preprocess_by_both(planned: Planned) -> dict[str, Path]:
    """The folders that nnU-Net's command and ours have written; the second is where nnU-Net trains."""
    words = ("preprocess", "-d", 1, "-c", "3d_fullres", "-np", 1, "--no_pbar")
    folder = planned.done / CONFIGURATION
    run(planned, script("nnUNetv2_preprocess"), *words[1:])
    stock = shutil.move(folder, planned.folder / "stock")
    done = run(planned, *OURS, *words)
    assert "nnunet:" not in done.stderr  # nothing stays nnU-Net's own
    return {"stock": Path(stock), "ours": folder}


def write_trainer(planned: Planned) -> None:
    """What `run` lets nnU-Net find as ``TinyTrainer``."""
    (planned.folder / "trainers").mkdir()
    (planned.folder / "trainers" / "tiny_trainer.py").write_text(TRAINER)
    for module in ("__init__", "layers", "models/__init__", "models/eva"):
        stand_in = planned.folder / "stand_ins" / "timm" / f"{module}.py"
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(TIMM)
