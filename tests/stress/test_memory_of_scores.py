"""The memory that the scores of many classes take beyond themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from monai_mriprep import preprocess
from monai_mriprep.steps import backward
from tests.nursery import PROJECT
from tests.restore.files import recipe_of
from tests.runs import done_records
from tests.stress.conftest import count

pytestmark = [pytest.mark.stress, pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")]

MIB = 1 << 20
N_CLASSES = 20
SCAN, COARSER = (200, 320, 320), 1.6
"""20 million voxels of 1 mm, of which 4.9 million are left at 1.6 mm: 375 MiB of scores."""


HIGH_WATER = """
def high_water():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])
"""
"""The most resident bytes of the process so far; ``ru_maxrss`` counts what its parent had when it was started."""


def told_by(code: str, *arguments: object) -> Any:
    """What code in a process of its own prints last, as JSON."""
    command = [sys.executable, "-c", HIGH_WATER + code, *map(str, arguments)]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# --- The way back of files --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    """A scan that was turned, cropped and resampled."""
    root = tmp_path_factory.mktemp("scores")
    scan = np.pad(np.ones([n - 4 for n in SCAN], np.uint8), 2)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir()
        nibabel.save(nibabel.Nifti1Image(scan.T, np.eye(4), dtype=np.uint8), root / folder / "big.nii")
    recipe = recipe_of((COARSER,) * 3, 1, crop="nonzero", orientation="LPS")
    assert not preprocess(root, root / "out", recipe, workers=0, report=False).failed
    return root / "out"


RESTORE = """
import sys
from monai_mriprep import restore
(path,) = restore(*sys.argv[1:]).restored
print(high_water())
"""


def restored_with(output: Path, folder: Path) -> tuple[int, np.ndarray]:
    """The most memory of `restore`, and the voxels that it wrote, z y x."""
    peak = told_by(RESTORE, output, folder, folder / "back")
    return peak, np.asarray(nibabel.load(folder / "back/big.nii").dataobj).T


def write_npz(path: Path, scores: np.ndarray) -> None:
    np.savez(path.with_suffix(".npz"), probabilities=scores)


@pytest.mark.parametrize(("dtype", "write"), [(np.float32, np.save), (np.float16, write_npz)], ids=["npy", "npz"])
def test_scores_of_20_classes_are_restored_in_48_mib_more_than_a_label(output, tmp_path, dtype, write):
    trace = done_records(output)["big"].trace
    for folder in ("label", "scores"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "label/big.npy", np.ones(trace.target.shape, np.uint8))
    scores = np.random.default_rng(0).random((N_CLASSES, *trace.target.shape), np.float32).astype(dtype)
    write(tmp_path / "scores/big.npy", scores)
    of_label, _ = restored_with(output, tmp_path / "label")
    of_scores, found = restored_with(output, tmp_path / "scores")
    sys.stdout.write(f"{scores.dtype}: {(of_scores - of_label - scores.nbytes) / MIB:.0f} MiB beyond the scores\n")
    assert of_scores - of_label - scores.nbytes <= 48 * MIB
    np.testing.assert_array_equal(found, highest_after_the_whole_way(trace, scores))


def highest_after_the_whole_way(trace, scores: np.ndarray) -> np.ndarray:
    """Of the channels, one after the other."""
    highest = np.full(trace.source.shape, -np.inf, np.float32)
    classes = np.zeros(trace.source.shape, np.uint8)
    for number, channel in enumerate(scores):
        values = backward(trace, torch.from_numpy(channel[None].astype(np.float32)))[0][0].numpy()
        classes[values > highest] = number
        np.maximum(highest, values, out=highest)
    return classes


# --- Many classes, a large scan ---------------------------------------------------------------------------------------

LARGE = """
import json, sys
import torch
from monai_mriprep.volume.argmax import resample_argmax
from monai_mriprep.volume.resample import plan_half_pixel

slices = int(sys.argv[1])
before, after = (slices // 3, 160, 160), (slices, 512, 512)
logits = torch.empty(118, *before, dtype=torch.float16)
for channel in logits:
    channel.copy_(torch.randn(before))
start = high_water()
labels = resample_argmax(logits, plan_half_pixel(before, after, 1), round_to=torch.float16)
print(json.dumps([high_water() - start - labels.nbytes, len(labels.unique())]))
"""


@pytest.mark.timeout(1800)
def test_118_classes_of_a_large_scan_take_96_mib_beyond_scores_and_label_map():
    """From 200 x 160 x 160 voxels to 600 x 512 x 512 in the full campaign, else a tenth of that."""
    beyond, n_classes = told_by(LARGE, count(64, 600))
    sys.stdout.write(f"118 classes: {beyond / MIB:.0f} MiB beyond scores and label map\n")
    assert n_classes == 118
    assert beyond <= 96 * MIB
