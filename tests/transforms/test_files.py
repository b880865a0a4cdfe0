"""Pairing, loading and saving as transforms."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data.image_reader import NumpyReader
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import CenterSpatialCropd
from monai.transforms.io.dictionary import LoadImaged
from monai.transforms.spatial.dictionary import Resized, Spacingd, Zoomd

from monai_mriprep.errors import DatasetError, MriprepError, NpzError, PairingError, UnpairedError
from monai_mriprep.store import calls
from monai_mriprep.transforms import AnisotropyAwareSpacingd, LoadNpzd, LoadVolumed, SaveNpzd, StemPaird
from tests.oracles import SYNTHETIC, affine_of, dictionary, itk_image, read

AFFINE = affine_of((3, 1.1, 0.7), 23, (10, -20, 30))
TYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64]


@pytest.mark.parametrize("case", SYNTHETIC)
def test_stem_paird_finds_the_label(synthetic, case):
    paths = dictionary(synthetic, case)
    found = StemPaird(synthetic / "LabelsTr")({"image": paths["image"], "other": 1})
    assert found == {**paths, "other": 1}


def test_stem_paird_names_an_orphan(synthetic):
    orphan = str(synthetic / "ImagesTr" / "10003_0001_t2w.mha")
    with pytest.raises(UnpairedError, match="10003_0001_t2w"):
        StemPaird(synthetic / "LabelsTr")({"image": orphan})


def test_stem_paird_names_a_missing_folder(synthetic, tmp_path):
    with pytest.raises(DatasetError, match="labels"):
        StemPaird(tmp_path / "labels")({"image": str(synthetic / "ImagesTr" / "10003_0001_t2w.mha")})


def test_stem_paird_takes_keys_and_a_pattern(synthetic):
    paths = dictionary(synthetic, "10002_0001")
    pair = StemPaird(synthetic / "LabelsTr", "scan", "truth", pattern=r"(?P<case>\d+_\d+)_")
    assert pair({"scan": paths["image"]}) == {"scan": paths["image"], "truth": paths["label"]}


@pytest.mark.parametrize(("pattern", "match"), [("(", "not a regular expression"), ("[0-9]+", "no group named case")])
def test_stem_paird_refuses_a_bad_pattern_when_it_is_made(tmp_path, pattern, match):
    with pytest.raises(PairingError, match=match):
        StemPaird(tmp_path, pattern=pattern)


@pytest.mark.parametrize("folder", ["labels", "images"])
def test_stem_paird_sees_what_has_changed_in_a_folder(tmp_path, folder):
    """Listing thousands of files for each case would be slow, so pairs are kept, but only until a folder changes."""
    for number, name in enumerate(("images/1_2_t2.mha", "labels/1_3_seg.mha")):
        path = tmp_path / name
        path.parent.mkdir()
        path.touch()
        os.utime(path.parent, ns=(number, number))
    pair, image, label = StemPaird(tmp_path / "labels"), tmp_path / "images/1_2_t2.mha", tmp_path / "labels/1_2_seg.mha"
    with pytest.raises(UnpairedError):
        pair({"image": str(image)})
    if folder == "labels":
        label.touch()
        os.utime(tmp_path / "labels", ns=(9, 9))
    else:
        image, label = tmp_path / "images/1_3_t2.mha", tmp_path / "labels/1_3_seg.mha"
        image.touch()
        os.utime(tmp_path / "images", ns=(9, 9))
    assert pair({"image": str(image)})["label"] == str(label)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", TYPES)
def test_voxels_and_affine_are_those_of_other_readers(tmp_path, suffix, dtype):
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    array = np.random.default_rng(0).normal(50, 20, (3, 4, 5)).astype(dtype)
    array[0, 0, :2] = info.min, info.max
    path = tmp_path / f"volume{suffix}"
    SimpleITK.WriteImage(itk_image(array, AFFINE), str(path))
    volume = LoadVolumed("image")({"image": str(path)})["image"]
    expected, affine = read(path)
    assert volume.shape == (1, 3, 4, 5)
    assert np.array_equal(volume[0].numpy(), array)
    assert np.array_equal(expected, array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=2e-6)
    assert (volume.affine.dtype, volume.meta["filename_or_obj"]) == (torch.float64, str(path))
    wider = {np.uint16: np.int32, np.uint32: np.int64}
    assert volume.numpy().dtype == wider.get(dtype, dtype)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint32, np.float32, np.float64])
def test_a_key_that_is_named_as_a_label_is_held_in_16_bits(tmp_path, dtype):
    array = np.random.default_rng(0).integers(0, 300, (3, 4, 5)).astype(dtype)
    SimpleITK.WriteImage(itk_image(array, AFFINE), str(tmp_path / "a.nrrd"))
    data = {"image": tmp_path / "a.nrrd", "label": tmp_path / "a.nrrd"}
    loaded = LoadVolumed(["image", "label"], labels="label")(data)
    assert loaded["label"].dtype == torch.int16
    assert loaded["image"].dtype != torch.int16
    assert np.array_equal(loaded["label"][0].numpy(), array)


def test_scaled_nifti_equals_nibabel(tmp_path):
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([1.0, 2, 3, 1]))
    image.header.set_slope_inter(0.37, -11.5)
    nibabel.save(image, tmp_path / "scaled.nii.gz")
    volume = LoadVolumed("image")({"image": tmp_path / "scaled.nii.gz"})["image"]
    expected = nibabel.load(tmp_path / "scaled.nii.gz").get_fdata().T
    np.testing.assert_allclose(volume[0].numpy(), expected, rtol=1e-6)
    assert volume.dtype == torch.float32


# --- npz --------------------------------------------------------------------------------------------------------------


def volume_of(name: str, dtype: torch.dtype = torch.float32, **meta: object) -> MetaTensor:
    values = torch.from_numpy(np.random.default_rng(1).normal(0, 40, (1, 4, 5, 6))).to(dtype)
    return MetaTensor(values, affine=torch.tensor(AFFINE), meta={"filename_or_obj": name, "array_axes": "zyx", **meta})


@pytest.fixture
def saved(tmp_path) -> dict:
    """What `SaveNpzd` was given, and the paths that it wrote."""
    target = torch.tensor([3, 1.1, 0.7001], dtype=torch.float64)
    data = {
        "image": volume_of("/data/ImagesTr/1_2_t2w.nii.gz", target_spacing=target),
        "label": volume_of("/data/LabelsTr/1_2_seg.mha", torch.int8),
    }
    result = SaveNpzd(["image", "label"], tmp_path)(data)
    assert result == data
    paths = {"image": str(tmp_path / "imagesTr" / "1_2_t2w.npz"), "label": str(tmp_path / "labelsTr" / "1_2_seg.npz")}
    return {"data": data, "paths": paths, "root": tmp_path}


def test_save_writes_two_files_and_nothing_else(saved):
    files = {str(path) for path in saved["root"].rglob("*") if path.is_file()}
    assert files == set(saved["paths"].values())


def test_no_file_is_moved_before_all_are_on_the_disk(tmp_path, monkeypatch):
    """What stands in its place must outlast a power cut, and a pair must not be torn by one."""
    synced, moved, fsync, rename = set(), {}, os.fsync, calls.rename

    def note_sync(descriptor):
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def note_move(name, folder, new_name, new_folder):
        moved[calls.status(name, folder).st_ino] = set(synced)
        rename(name, folder, new_name, new_folder)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(calls, "rename", note_move)
    SaveNpzd(["image", "label"], tmp_path)({"image": volume_of("a_1.mha"), "label": volume_of("a_2.mha", torch.int8)})
    assert len(moved) == 2
    for before in moved.values():
        assert moved.keys() <= before


def test_what_was_saved_keeps_its_name_when_it_is_saved_again(saved, tmp_path):
    again = tmp_path / "again"
    SaveNpzd(["image", "label"], again)(LoadNpzd(["image", "label"])(saved["paths"]))
    for path in saved["paths"].values():
        assert (again / Path(path).relative_to(saved["root"])).read_bytes() == Path(path).read_bytes()


LATER = [
    Spacingd("image", pixdim=(1.5, 1.5, 1.5)),
    Zoomd("image", zoom=0.5, keep_size=False),
    Resized("image", spatial_size=(4, 4, 4)),
]


@pytest.mark.parametrize("later", LATER, ids=lambda transform: type(transform).__name__)
@pytest.mark.parametrize("first", ["resampled", "loaded"])
def test_the_spacing_that_is_saved_is_that_of_what_was_resampled_since(tmp_path, first, later):
    """MONAI's transforms keep metadata that they do not know, here the target of an earlier resampling."""
    item = AnisotropyAwareSpacingd("image", target=(2, 1, 1))({"image": volume_of("scan.mha")})
    if first == "loaded":
        SaveNpzd("image", tmp_path)(item)
        item = LoadNpzd("image")({"image": str(tmp_path / "imagesTr" / "scan.npz")})
    item = later(item)
    SaveNpzd("image", tmp_path / "later")(item)
    with np.load(tmp_path / "later" / "imagesTr" / "scan.npz") as saved:
        np.testing.assert_allclose(saved["spacing"], np.linalg.norm(item["image"].affine[:3, :3], axis=0), rtol=1e-6)
        assert abs(saved["spacing"] - (2, 1, 1)).max() > 0.1


def test_a_cropped_volume_keeps_the_target_that_its_files_promise(tmp_path):
    """nnU-Net's grid has a spacing near the target; the file says the target, after a crop, too."""
    chain = Compose(
        [AnisotropyAwareSpacingd("image", target=(2, 1, 1), grid="nnunet"), CenterSpatialCropd("image", (2, 3, 3))]
    )
    SaveNpzd("image", tmp_path)(chain({"image": volume_of("scan.mha")}))
    with np.load(tmp_path / "imagesTr" / "scan.npz") as saved:
        assert saved["spacing"].tolist() == [2, 1, 1]


def test_what_is_saved_loads_everywhere(saved):
    ours = LoadNpzd(["image", "label"])(saved["paths"])
    theirs = LoadImaged(["image", "label"], reader=NumpyReader(npz_keys="arr_0", channel_dim=0))(saved["paths"])
    for key, expected in saved["data"].items():
        with np.load(saved["paths"][key], allow_pickle=False) as plain:
            assert np.array_equal(plain["arr_0"], expected.numpy())
            assert plain["arr_0"].dtype == expected.numpy().dtype
        assert torch.equal(ours[key].as_tensor(), expected.as_tensor())
        assert ours[key].dtype == expected.dtype
        assert torch.equal(ours[key].affine, expected.affine)
        assert ours[key].meta["affine_source"] == "file"
        assert np.array_equal(theirs[key].numpy(), expected.numpy())
        assert theirs[key].shape == expected.shape
    with np.load(saved["paths"]["image"]) as plain:
        assert plain["spacing"].tolist() == [3, 1.1, 0.7001]
    with np.load(saved["paths"]["label"]) as plain:
        np.testing.assert_allclose(plain["spacing"], [3, 1.1, 0.7])


def test_without_an_affine_the_spacing_stands_in(tmp_path):
    np.savez(tmp_path / "a.npz", np.ones((1, 2, 3, 4), np.float32), spacing=np.array([3, 2, 0.5]))
    volume = LoadNpzd("image")({"image": tmp_path / "a.npz"})["image"]
    assert torch.equal(volume.affine, torch.diag(torch.tensor([3, 2, 0.5, 1], dtype=torch.float64)))
    assert volume.meta["affine_source"] == "spacing"
    volume += 1  # a tensor of its own


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(NpzError, match=r"a\.npz"):
        LoadNpzd("image")({"image": tmp_path / "a.npz"})


def test_a_volume_without_a_file_name_is_not_saved(tmp_path):
    volume = MetaTensor(torch.zeros(1, 2, 2, 2), affine=torch.eye(4))
    with pytest.raises(MriprepError, match="no file name"):
        SaveNpzd(["image"], tmp_path)({"image": volume})
    assert list(tmp_path.rglob("*.npz")) == []


def test_if_one_cannot_be_saved_none_is(tmp_path):
    nameless = MetaTensor(torch.zeros(1, 2, 2, 2), affine=torch.eye(4))
    with pytest.raises(MriprepError):
        SaveNpzd(["image", "label"], tmp_path)({"image": volume_of("a.mha"), "label": nameless})
    assert list(tmp_path.glob("imagesTr/*")) == []
