"""Patches from real scans: beside the volumes of a run, beside MONAI on the patch's own grid, in spawned workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import SpatialPad, SpatialResample
from monai.utils import set_determinism

from monai_mriprep import LoadNpzd, LoadVolumed, Recipe, VirtualDataset, preprocess
from tests.runs import write_cases

PATCH = (128, 128, 128)
KEYS = ("image", "label")
EXPECTED = "ignore:.*(stored in different orientations|no label was found|negative label|vanished):"

pytestmark = [
    pytest.mark.stress,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(f"{EXPECTED}monai_mriprep.errors.MriprepWarning"),
]


@pytest.mark.parametrize("grid", ["monai", "nnunet"])
@pytest.mark.parametrize("coarser", [False, True])
def test_patches_are_the_crops_of_the_volumes_that_a_run_writes(scans, tmp_path, grid, coarser):
    target = (4.5, 1.7, 1.7) if coarser else (2.0, 0.9, 0.9)
    preprocess(scans / "mixed", tmp_path, Recipe(target_spacing=target, grid=grid), report=False)
    dataset = VirtualDataset(tmp_path, PATCH)
    random = np.random.RandomState(0)
    assert len(dataset) == 8
    for index, case in enumerate(dataset.cases):
        paths = {"image": f"imagesTr/{case}.npz", "label": next((tmp_path / "labelsTr").glob(f"{case[:10]}*"))}
        whole = {key: volume.as_tensor() for key, volume in LoadNpzd(KEYS)(placed(paths, tmp_path)).items()}
        for _ in range(3):
            start = [int(random.randint(max(n - 128, 0) + 1)) for n in dataset.grid(index).shape]
            found = dataset.patch(index, start)
            for key in KEYS:
                z, y, x = (slice(begin, begin + 128) for begin in start)
                expected = SpatialPad(PATCH)(whole[key][:, z, y, x])
                spread = float(whole["image"].max() - whole["image"].min())
                difference = (found[key].as_tensor().double() - expected.double()).abs().max()
                assert found[key].dtype == whole[key].dtype
                assert float(difference) <= (2e-6 * spread if key == "image" else 0), (case, key, start)


def placed(paths: dict[str, str | Path], root: Path) -> dict[str, Path]:
    return {key: root / path for key, path in paths.items()}


@pytest.mark.parametrize(("scale", "flip"), [(1.0, ()), (0.8, (0, 2)), (1.3, (1,))])
def test_on_the_grid_of_the_patch_monai_finds_the_same(scans, tmp_path, scale, flip):
    """Its cubic spline, of the whole scan, at the voxels that the patch's affine tells."""
    recipe = Recipe(target_spacing=(2.5, 1.0, 1.0), intensity="none")
    preprocess(scans / "mixed", tmp_path, recipe, virtual=True, report=False)
    dataset = VirtualDataset(tmp_path, (11, 40, 40))
    for index in (0, 1, 5):
        shape = dataset.grid(index).shape
        start = [max(n - size, 0) // 2 for n, size in zip(shape, (11, 40, 40), strict=True)]
        patch = dataset.patch(index, start, scale=scale, flip=flip)["image"]
        scan = LoadVolumed("image")({"image": patch.meta["filename_or_obj"]})["image"].float()
        resample = SpatialResample(mode=3, padding_mode="nearest", dtype=np.float64)
        by_monai = resample(scan, dst_affine=patch.affine, spatial_size=patch.shape[1:])
        difference = (patch.as_tensor() - by_monai.as_tensor()).abs().max()
        assert float(difference) <= 2e-6 * float(scan.max() - scan.min())


def test_spawned_workers_share_the_scans_and_draw_the_same_again(tmp_path):
    root = write_cases(tmp_path / "dataset", 3, shape=(9, 20, 18))
    preprocess(root, tmp_path / "output", Recipe(target_spacing=(2.0, 0.9, 1.1)), virtual=True, report=False)

    def drawn(context: str) -> list[torch.Tensor]:
        set_determinism(7)
        dataset = VirtualDataset(tmp_path / "output", (4, 8, 8), ratios=[1, 1, 1], flip_prob=0.5)
        loader = DataLoader(dataset, batch_size=1, num_workers=2, multiprocessing_context=context)
        return [batch["image"].as_tensor() for batch in loader]

    try:
        spawned, forked = drawn("spawn"), drawn("fork")
    finally:
        set_determinism(None)
    assert all(torch.equal(one, other) for one, other in zip(spawned, forked, strict=True))
