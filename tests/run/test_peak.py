"""The memory that a case really takes stays within its estimate; each is measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from monai_mriprep.recipe import Recipe
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.process import process_case
from tests.runs import job_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")

SHAPE = (30, 250, 400)
SPACING = (3.0, 1.0, 1.0)
NOISE_BYTES = 30 * 2**20
"""What is loaded and allocated once in a new worker, whatever the case; a part of `WORKER_BYTES`."""

FINE, COARSE = Recipe(target_spacing=(3.0, 0.8, 0.8)), Recipe(target_spacing=(3.0, 2.0, 2.0))
MATCHED = Recipe(target_spacing=SPACING, geometry="resample_label")
NNUNET = Recipe(preset="nnunet", target_spacing=(3.0, 0.8, 0.8))
MASKED = Recipe(
    preset="nnunet", target_spacing=(3.0, 2.0, 2.0), transpose=(2, 0, 1), normalization={"foreground": "filled"}
)
CASES: dict[str, tuple[Recipe, str, Callable[[np.ndarray], np.ndarray], tuple[int, int, int]]] = {
    "64-bit label": (FINE, "int16", np.int64, SHAPE),
    "64-bit image and label": (COARSE, "int32", np.int64, SHAPE),
    "label of fractions": (FINE, "int16", lambda label: label + 1e-5, SHAPE),
    "label much larger than its image": (MATCHED, "int16", np.int64, (60, 500, 800)),
    "thick slices": (MATCHED, "int16", np.uint8, (31, 250, 400)),
    "unsigned": (COARSE, "uint16", np.uint16, SHAPE),
    "as nnU-Net": (NNUNET, "int16", np.int16, SHAPE),
    "as nnU-Net, inside the mask": (MASKED, "int32", np.int64, SHAPE),
}


THREE = {"target_spacing": (3.0, 0.8, 0.8), "channels": ("a", "b", "c")}
STILL, SHIFTED = np.eye(4), np.diag([1, 1, 1.1, 1])
OBLIQUE = np.array([[0.98, -0.2, 0, 5], [0.2, 0.98, 0, 5], [0, 0, 1, 0], [0, 0, 0, 1]])
CHANNELS = {
    "three files": [("int16", STILL), ("uint8", STILL), ("int16", STILL)],
    "three files of two types": [("uint8", STILL), ("uint8", STILL), ("float32", STILL)],
    "a channel elsewhere": [("uint8", STILL), ("uint8", STILL), ("uint8", SHIFTED)],
    "a channel that is oblique": [("uint8", STILL), ("uint8", STILL), ("int16", OBLIQUE)],
}


def save(path: Path, array: np.ndarray, moved: np.ndarray = STILL) -> None:
    """NIfTI of the extent that `SHAPE` has, or somewhere else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spacing = [mm * n / m for mm, n, m in zip(SPACING, SHAPE, array.shape[-3:], strict=True)]
    affine = moved @ np.diag([*spacing[::-1], 1.0])
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.T), affine, dtype=array.dtype)
    nibabel.save(image, path)


def memory(key: str) -> int:
    """A figure of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def measure(sender, job, case) -> None:
    torch.set_num_threads(1)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the parent
    result = process_case(job, case)
    sender.send((result.status, result.error, memory("VmHWM") - before))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.stress] if "mask" in name else []) for name in CASES]
)
def test_the_peak_of_a_case_is_within_its_estimate(tmp_path, name):
    recipe, image, as_label, label_shape = CASES[name]
    rng = np.random.default_rng(0)
    save(tmp_path / "data/ImagesTr/a.nii", rng.integers(1, 900, SHAPE, np.int16).astype(image))
    save(tmp_path / "data/LabelsTr/a.nii", as_label(rng.integers(0, 3, label_shape, np.int16)))
    assert_within_estimate(tmp_path, recipe)


@pytest.mark.parametrize("name", CHANNELS)
def test_the_peak_of_several_channels_is_within_its_estimate(tmp_path, name):
    rng = np.random.default_rng(0)
    for number, (dtype, moved) in enumerate(CHANNELS[name]):
        path = tmp_path / f"data/ImagesTr/a_{number:04}.nii"
        save(path, rng.integers(1, 200, SHAPE, np.int16).astype(dtype), moved)
    save(tmp_path / "data/LabelsTr/a.nii", rng.integers(0, 3, SHAPE, np.uint8))
    assert_within_estimate(tmp_path, Recipe(**THREE, geometry="resample"))


@pytest.mark.parametrize("dtypes", [("uint8", "int16", "int32", "float32"), ("float64", "uint8", "uint8", "uint8")])
def test_the_peak_of_channels_whose_common_type_is_wide_is_within_its_estimate(tmp_path, dtypes):
    """To a coarser grid, so that what is read counts most."""
    for number, dtype in enumerate(dtypes):
        voxels = np.random.default_rng(number).integers(1, 200, SHAPE, np.int16)
        save(tmp_path / f"data/ImagesTr/a_{number:04}.nii", voxels.astype(dtype))
    save(tmp_path / "data/LabelsTr/a.nii", np.ones(SHAPE, np.uint8))
    assert_within_estimate(tmp_path, COARSE)


def test_the_peak_of_channels_in_one_file_is_within_its_estimate(tmp_path):
    rng = np.random.default_rng(0)
    save(tmp_path / "data/ImagesTr/a.nii", rng.integers(1, 900, (3, *SHAPE), np.int16))
    save(tmp_path / "data/LabelsTr/a.nii", rng.integers(0, 3, SHAPE, np.uint8))
    assert_within_estimate(tmp_path, Recipe(**THREE))


def assert_within_estimate(folder: Path, recipe: Recipe) -> None:
    plan = plan_run(folder / "data", folder / "out", recipe)
    (case,), job = plan.cases, plan.job
    job_of(job.output_root)  # makes the folders
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=measure, args=(sender, job, case))
    child.start()
    status, error, peak = receiver.recv()
    child.join()
    assert (status, error) == ("done", None)
    assert peak < case.memory_bytes + NOISE_BYTES
