"""Patches that no run has written, beside the volumes that one writes, MONAI's padding and scipy's positions."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import RandFlip, SpatialPad
from monai.utils import set_determinism
from scipy import ndimage

from monai_mriprep import LoadNpzd, Recipe, VirtualDataset, preprocess
from monai_mriprep.errors import MriprepWarning, RecordError, ResamplingError
from tests.oracles import read
from tests.patches.conftest import TARGET
from tests.runs import write_cases

KEYS = ("image", "label")
RECIPES = {
    "default": {},
    "half-pixel": {"grid": "nnunet"},
    "turned and cropped": {"orientation": "LPS", "crop": "nonzero", "label_map": {1: 2, 2: 1}},
    "as panther2025": {"preset": "panther2025"},
    "normalised first": {"normalization": {"foreground": "native"}, "order": (0, 3, 3)},
    "percentiles, linear": {"intensity": "percentile", "order": 1},
}
QUICK = ("default", "turned and cropped")


@pytest.fixture
def dataset(virtual) -> VirtualDataset:
    return VirtualDataset(virtual, (5, 9, 11))


@pytest.mark.parametrize(
    "recipe", [*QUICK, *(pytest.param(name, marks=pytest.mark.stress) for name in RECIPES if name not in QUICK)]
)
def test_a_patch_is_the_crop_of_the_volume_that_a_run_writes_padded_as_by_monai(scanned, tmp_path, recipe):
    preprocess(scanned, tmp_path, Recipe(target_spacing=TARGET, **RECIPES[recipe]), report=False)
    size = (6, 11, 60)  # longer than the last axis
    dataset = VirtualDataset(tmp_path, size)
    assert dataset.cases == ("case_1", "case_2")
    for index, case in enumerate(dataset.cases):
        paths = {
            key: tmp_path / folder / f"{case}.npz" for key, folder in zip(KEYS, ("imagesTr", "labelsTr"), strict=True)
        }
        whole = LoadNpzd(KEYS)(paths)
        last = [n - length for n, length in zip(whole["image"].shape[1:], size, strict=True)]
        for start in ((0, 0, 0), (last[0], 3, 0), (2, last[1], 0)):
            found = dataset.patch(index, start)
            assert found["case"] == case
            for key in KEYS:
                crop = whole[key][:, start[0] : start[0] + 6, start[1] : start[1] + 11]
                tolerance = 0 if key == "label" else 2e-6 * float(whole[key].max() - whole[key].min())
                assert_same(found[key], SpatialPad(size)(crop), tolerance)
                begin = [*start[:2], -((60 - whole[key].shape[3]) // 2)]
                assert found[key].meta["patch_start"].tolist() == begin
                origin = whole[key].affine.numpy() @ [*begin, 1]
                assert np.allclose(found[key].affine[:, 3], origin, rtol=0, atol=1e-9)
                assert np.array_equal(found[key].affine[:, :3], whole[key].affine[:, :3])
                assert found[key].meta["spacing"].tolist() == pytest.approx(whole[key].pixdim.tolist())


def assert_same(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert float((found.double() - expected.double()).abs().max()) <= tolerance


def centres(volume: torch.Tensor) -> np.ndarray:
    """Where its voxels lie by its affine, RAS+ mm, ``(D, H, W, 3)``."""
    affine = volume.affine.numpy()
    return np.moveaxis(np.indices(volume.shape[1:]), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize("spacing", [None, (3.0, 0.7, 1.4)])
@pytest.mark.parametrize(("scale", "flip"), [(1.0, (0, 2)), (1.25, ()), (0.8, (1,))])
def test_whatever_spacing_scale_and_flip_the_values_are_those_of_the_scan_where_the_affine_says(
    virtual, scanned, spacing, scale, flip
):
    dataset = VirtualDataset(virtual, (5, 9, 11), spacing)
    patch = dataset.patch(1, (3, 7, 4), scale=scale, flip=flip)
    image, affine = read(scanned / "ImagesTr" / "case_2.mha")
    voxels = (centres(patch["image"]) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    by_scipy = ndimage.map_coordinates(image.astype(float), np.moveaxis(voxels, -1, 0), order=3, mode="nearest")
    moments = dataset._cases[1].trace.params("normalization")
    expected = (by_scipy - moments["mean"][0]) / moments["std"][0]
    assert np.abs(patch["image"][0].numpy() - expected).max() < 2e-6 * np.ptp(expected) + 1e-6
    label, _ = read(scanned / "LabelsTr" / "case_2.mha")
    nearest = np.floor(voxels + 0.5 + 1e-4).astype(int).clip(0, np.subtract(label.shape, 1))
    assert np.array_equal(patch["label"][0].numpy(), label[tuple(np.moveaxis(nearest, -1, 0))])
    assert patch["image"].meta["spacing"].tolist() == pytest.approx(np.multiply(spacing or TARGET, scale))
    middle = centres(patch["image"])[2, 4, 5]
    unscaled = centres(dataset.patch(1, (3, 7, 4))["image"])[2, 4, 5]
    assert middle == pytest.approx(unscaled)


def test_what_is_scaled_beyond_the_volume_is_0(dataset):
    patch = dataset.patch(0, (0, 0, 0), scale=2.0)  # begins 2, 4 and 5 voxels before the grid
    is_padded = patch["image"][0] == 0
    assert is_padded[:1].all()
    assert is_padded[:, :2].all()
    assert is_padded[:, :, :2].all()
    assert not is_padded[1:, 2:, 3:].any()
    assert patch["label"].dtype == torch.int8


def test_random_patches_have_the_arguments_that_were_drawn(virtual):
    dataset = VirtualDataset(virtual, (5, 9, 11), scale=(0.9, 1.2), flip_prob=0.5).set_random_state(3)
    item = dataset[1]
    again = VirtualDataset(virtual, (5, 9, 11), scale=(0.9, 1.2), flip_prob=0.5).set_random_state(3)
    start, scale, flip = again.randomize(1)
    expected = again.patch(1, start, scale=scale, flip=flip)
    assert torch.equal(item["image"], expected["image"])
    assert 0.9 <= scale <= 1.2


def test_determinism_and_workers(virtual):
    """A worker of torch's own loader, which hands on no seeds, draws other patches, too."""

    def drawn(loader_class) -> list[list[int]]:
        set_determinism(5)
        dataset = VirtualDataset(virtual, (3, 4, 5), then=RandomSign())
        loader = loader_class(dataset, batch_size=None, sampler=[0, 1] * 4, num_workers=2, collate_fn=unchanged)
        return [[*item["image"].meta["patch_start"].tolist(), item["sign"]] for item in loader]

    try:
        ours, again = drawn(DataLoader), drawn(DataLoader)
        plain = drawn(torch.utils.data.DataLoader)
        assert ours == again
        assert plain == drawn(torch.utils.data.DataLoader)
    finally:
        set_determinism(None)
    for starts in (ours, plain):
        assert len({tuple(start) for start in starts}) > 5
        assert {start[-1] for start in starts} == {False, True}


def test_without_workers_the_seed_decides_as_well_and_that_of_then(virtual):
    def drawn(seed: int | None) -> list[list[int]]:
        dataset = VirtualDataset(virtual, (1, 1, 1), then=RandomSign())
        items = [(dataset if seed is None or k else dataset.set_random_state(seed))[0] for k in range(9)]
        return [[*item["image"].meta["patch_start"].tolist(), item["sign"]] for item in items]

    try:
        set_determinism(5)
        assert drawn(None) == drawn(None)
    finally:
        set_determinism(None)
    assert drawn(3) == drawn(3)


def unchanged(item):
    return item


class RandomSign(RandFlip):
    def __call__(self, item):
        return {**item, "sign": bool(self.R.rand() < 0.5)}


def test_the_middle_is_a_voxel_of_a_class_as_often_as_the_ratios_say(virtual):
    dataset = VirtualDataset(virtual, (1, 1, 1), ratios=[0, 1, 0, 3]).set_random_state(0)
    found = [int(dataset[0]["label"]) for _ in range(100)]
    assert set(found) == {1, 3}
    assert found.count(3) == pytest.approx(75, abs=12)
    finer = VirtualDataset(virtual, (1, 1, 1), np.divide(TARGET, 3), ratios=[0, 0, 1]).set_random_state(0)
    assert np.mean([int(finer[1]["label"]) == 2 for _ in range(30)]) > 0.8


def test_classes_that_are_missing_are_told_once(virtual):
    with pytest.warns(MriprepWarning, match="2 of 2 cases, case_1 first, lack a class of 4: their other classes share"):
        dataset = VirtualDataset(virtual, (1, 1, 1), ratios=[0, 1, 0, 0, 9])
    assert int(dataset[0]["label"]) == 1
    with pytest.warns(MriprepWarning) as caught:
        nowhere = VirtualDataset(virtual, (1, 1, 1), ratios=[0, 0, 0, 0, 9])
    assert [str(warning.message) for warning in caught] == [
        f"{name}: no voxel of a class that has a ratio; its patches lie anywhere" for name in nowhere.cases
    ]
    assert nowhere[0]["image"].shape == (1, 1, 1, 1)


def test_a_copy_maps_the_same_scans(virtual, tmp_path):
    dataset = VirtualDataset(virtual, (5, 9, 11), cache=tmp_path)
    assert not list(tmp_path.iterdir()), "the file has no name"
    scans = sum(np.prod(shape) * 3 for shape in ((12, 30, 26), (14, 25, 28)))
    size = os.fstat(dataset._natives._file.fileno()).st_size
    assert scans <= size < scans + 1000  # 16 bits a voxel of images, 8 of labels
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy.patch(1, (1, 2, 3))["image"], dataset.patch(1, (1, 2, 3))["image"])


def test_a_moved_dataset_is_found_and_a_changed_one_refused(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 1), tmp_path / "output"
    preprocess(root, output, Recipe(target_spacing=TARGET), virtual=True, report=False)
    before = VirtualDataset(output, (2, 3, 4)).patch(0, (1, 2, 3))["image"]
    moved = root.rename(tmp_path / "moved")
    with pytest.raises(RecordError, match=r"case_0.mha, a source of case_0, cannot be read .*dataset_root="):
        VirtualDataset(output, (2, 3, 4))
    scan = moved / "ImagesTr" / "case_0.mha"
    os.utime(scan, ns=(1, 1))  # as a copy may have it
    assert torch.equal(VirtualDataset(output, (2, 3, 4), dataset_root=moved).patch(0, (1, 2, 3))["image"], before)
    content = bytearray(scan.read_bytes())
    content[-1] ^= 1
    scan.write_bytes(content)
    with pytest.raises(RecordError, match="holds something else than when it was preprocessed; put back"):
        VirtualDataset(output, (2, 3, 4), dataset_root=moved)
    scan.write_bytes(content[:-1])
    with pytest.raises(RecordError, match=r"has \d+ bytes, where \d+ are recorded"):
        VirtualDataset(output, (2, 3, 4), dataset_root=moved)


def test_a_test_set_has_images_alone(scanned, virtual, tmp_path):
    preprocess(scanned / "ImagesTr", tmp_path, like=virtual, virtual=True, report=False)
    dataset = VirtualDataset(tmp_path, (2, 3, 4))
    assert dataset[0].keys() == {"image", "case"}
    with pytest.raises(ResamplingError, match="case_1: its record does not tell where the classes are"):
        VirtualDataset(tmp_path, (2, 3, 4), ratios=[1, 1])


def test_a_recipe_that_needs_whole_volumes_is_refused(scanned, tmp_path):
    preprocess(scanned, tmp_path, Recipe(target_spacing=TARGET, clip=True), report=False)
    with pytest.raises(ResamplingError, match="the step 'resampling' makes no parts of a volume"):
        VirtualDataset(tmp_path, (2, 3, 4))


def test_a_folder_without_finished_cases_is_refused(virtual, tmp_path):
    with pytest.raises(RecordError, match=r"run.json is missing: the output folder of a run is expected"):
        VirtualDataset(tmp_path, (2, 3, 4))
    (tmp_path / "run.json").write_bytes((virtual / "run.json").read_bytes())
    with pytest.raises(RecordError, match="no case is finished there"):
        VirtualDataset(tmp_path, (2, 3, 4))


@pytest.mark.parametrize(
    ("start", "arguments", "problem"),
    [
        ((12, 0, 0), {}, "a patch of 5 voxels begins at 0 to"),
        ((-1, 0, 0), {}, "not at -1"),
        ((0, 0), {}, "three whole numbers"),
        ((0, 1.5, 0), {}, "three whole numbers"),
        ((0, 0, 0), {"flip": [3]}, "axes 0 to 2"),
        ((0, 0, 0), {"scale": 0}, "a positive scale"),
        ((0, 0, 0), {"spacing": (1, 1)}, "three positive spacings"),
    ],
)
def test_patches_that_are_none_are_refused(dataset, start, arguments, problem):
    with pytest.raises(ResamplingError, match=problem):
        dataset.patch(0, start, **arguments)


@pytest.mark.parametrize("patch", [(2, 3), (2, 2.5, 3), 4])
def test_a_patch_of_other_than_three_whole_numbers_is_refused(virtual, patch):
    with pytest.raises(ResamplingError, match="patch must be three whole numbers"):
        VirtualDataset(virtual, patch)


def test_cases_are_counted_as_in_a_list(dataset):
    assert len(dataset) == 2
    assert dataset.patch(-1, (0, 0, 0))["case"] == "case_2"
    assert dataset.grid(0).shape == (16, 23, 32)
    assert dataset.grid(0, (3.0, 1.0, 1.1)).shape == (12, 30, 26)
    with pytest.raises(IndexError):
        dataset.patch(2, (0, 0, 0))
