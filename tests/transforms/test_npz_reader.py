"""Preprocessed files through MONAI's own loader: each voxel where `LoadNpzd` and the source have it."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, PersistentDataset, decollate_batch
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, SaveImaged, Spacingd

import monai_mriprep
from monai_mriprep.errors import NpzError
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.npz import NpzVolume, encode_npz
from monai_mriprep.formats.write import write_volume
from monai_mriprep.transforms import AnisotropyAwareSpacingd, LoadNpzd, LoadVolumed, NpzReader, SaveNpzd
from monai_mriprep.volume.geometry import Grid, reverse_axes
from tests.oracles import affine_of

AFFINE = affine_of((3, 1.1, 0.7), 23, (10, -20, 30))
GRID = Grid((4, 5, 6), AFFINE)
KEYS = ["image", "label"]


def array(seed=0, dtype=np.float32, channels=1):
    return np.random.default_rng(seed).normal(20, 9, (channels, *GRID.shape)).astype(dtype)


def write(path, values, affine=AFFINE, spacing=(3, 1.1, 0.7)):
    path.write_bytes(b"".join(encode_npz(NpzVolume(values, np.array(spacing), affine))))
    return str(path)


@pytest.fixture
def paths(tmp_path):
    return {"image": write(tmp_path / "a.npz", array()), "label": write(tmp_path / "b.npz", array(1, np.int8))}


def loaded(paths, keys=KEYS, **options):
    return LoadImaged(keys, reader=NpzReader(), **options)(paths)


def places(volume):
    """The value at each place of the world, for places that are rounded to micrometres."""
    index = np.argwhere(np.ones(volume.shape[1:], bool))
    world = index @ volume.affine[:3, :3].numpy().T + volume.affine[:3, 3].numpy()
    values = volume.numpy()[(slice(None), *index.T)].T
    order = np.lexsort(world.round(3).T)
    return world[order], values[order]


def assert_same_in_the_world(one, other):
    (place, value), (expected_place, expected) = places(one), places(other)
    np.testing.assert_allclose(place, expected_place, atol=1e-6)
    np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("first", [False, True])
def test_arrays_are_x_y_z_with_channels_first_and_keep_affine_and_spacing(paths, first):
    found = loaded(paths, ensure_channel_first=first)
    image = found["image"]
    assert image.shape == (1, 6, 5, 4)
    assert (image.dtype, found["label"].dtype) == (torch.float32, torch.float32)
    assert np.array_equal(image.numpy(), array().transpose(0, 3, 2, 1))
    np.testing.assert_array_equal(image.affine, reverse_axes(AFFINE))
    np.testing.assert_allclose(image.pixdim, (0.7, 1.1, 3), rtol=1e-12)
    assert image.meta["target_spacing"].tolist() == [3, 1.1, 0.7]
    assert image.meta["filename_or_obj"] == paths["image"]
    assert image.meta["spatial_shape"].tolist() == [6, 5, 4]
    ours = LoadNpzd(KEYS)(paths)
    for key in KEYS:
        assert_same_in_the_world(found[key], ours[key])


def test_image_only_false_hands_the_metadata_out(paths):
    found = loaded(paths, image_only=False, dtype=None)
    assert found["label"].dtype == torch.int8
    np.testing.assert_array_equal(found["image_meta_dict"]["affine"], reverse_axes(AFFINE))
    assert found["image_meta_dict"]["array_axes"] == "xyz"


@pytest.mark.parametrize("reader", [NpzReader, "monai_mriprep.NpzReader"], ids=["class", "name"])
def test_the_reader_may_be_a_class_or_named(paths, reader):
    assert torch.equal(LoadImaged(KEYS, reader=reader)(paths)["image"], loaded(paths)["image"])


def test_channels_are_those_of_the_file_or_of_several_files(tmp_path):
    whole = write(tmp_path / "whole.npz", array(channels=2))
    parts = [write(tmp_path / f"{i}.npz", array(channels=2)[i : i + 1]) for i in range(2)]
    for entry in (whole, parts):
        found = loaded({"image": entry}, "image", ensure_channel_first=True)["image"]
        assert np.array_equal(found.numpy(), array(channels=2).transpose(0, 3, 2, 1))
    apart = write(tmp_path / "apart.npz", array(), affine_of((3, 1.1, 0.7), 20))
    with pytest.raises(NpzError, match=r"apart\.npz: does not lie on the grid of .*whole\.npz"):
        loaded({"image": [whole, apart]}, "image")


def test_voxels_lie_where_nibabel_has_those_of_the_source(tmp_path):
    source = tmp_path / "scan.nii.gz"
    write_volume(source, array()[0], Frame.of_grid(GRID))
    data = SaveNpzd("image", tmp_path)(LoadVolumed("image")({"image": str(source)}))
    assert data["image"].shape == (1, 4, 5, 6)
    found = loaded({"image": str(tmp_path / "imagesTr/scan.npz")}, "image")["image"]
    image = nibabel.load(source)
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
    np.testing.assert_array_equal(found[0].numpy(), np.asarray(image.dataobj))
    assert_same_in_the_world(LoadImaged("image", ensure_channel_first=True)({"image": source})["image"], found)


def test_monais_transforms_find_the_axes(paths, tmp_path):
    chain = Compose([LoadImaged(KEYS, reader=NpzReader()), Orientationd(KEYS, axcodes="RAS", labels=None)])
    turned = chain(paths)["image"]
    assert nibabel.aff2axcodes(turned.affine.numpy()) == ("R", "A", "S")
    assert_same_in_the_world(turned, LoadNpzd("image")(paths)["image"])
    spaced = Spacingd(KEYS, pixdim=(1.4, 2.2, 3), mode="nearest")(loaded(paths))
    assert spaced["image"].shape == (1, 4, 3, 4)
    SaveImaged("image", output_dir=tmp_path, output_ext=".nii.gz", separate_folder=False, print_log=False)(
        loaded(paths)
    )
    saved = nibabel.load(tmp_path / "a_trans.nii.gz")
    np.testing.assert_allclose(saved.affine, reverse_axes(AFFINE), atol=1e-5)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), array()[0].T)


@pytest.mark.parametrize("axes", [None, "xyz"])
def test_our_transforms_know_the_axes(paths, axes):
    target = (2, 1.1, 1)
    found = AnisotropyAwareSpacingd(KEYS, target, array_axes=axes)(loaded(paths, dtype=None))
    ours = AnisotropyAwareSpacingd(KEYS, target)(LoadNpzd(KEYS)(paths))
    for key in KEYS:
        assert_same_in_the_world(found[key], ours[key])


def test_an_affine_that_is_not_stated_is_the_spacing(tmp_path):
    path = write(tmp_path / "a.npz", array(), None)
    found = loaded({"image": path}, "image")["image"]
    assert found.meta["affine_source"] == "spacing"
    assert_same_in_the_world(found, LoadNpzd("image")({"image": path})["image"])


@pytest.mark.parametrize("raw", [b"no archive", None], ids=["rubbish", "truncated"])
def test_a_damaged_file_is_named_with_the_reason(tmp_path, raw):
    path = tmp_path / "a.npz"
    write(path, array())
    path.write_bytes(path.read_bytes()[:-7] if raw is None else raw)
    with pytest.raises(NpzError, match=r"a\.npz: not a readable preprocessed volume"):
        loaded({"image": str(path)}, "image")


def test_another_file_is_left_to_the_other_readers(tmp_path, paths):
    write_volume(tmp_path / "scan.nii.gz", array()[0], Frame.of_grid(GRID))
    found = loaded({"image": tmp_path / "scan.nii.gz", "label": paths["label"]})
    assert (found["image"].shape, found["label"].shape) == ((6, 5, 4), (1, 6, 5, 4))


def test_only_npz_files_are_claimed():
    assert NpzReader().verify_suffix("a.npz")
    assert NpzReader().verify_suffix(["a.npz", "b.NPZ"])
    assert not NpzReader().verify_suffix(["a.npz", "b.nii"])


def test_caches_and_batches_keep_affine_and_spacing(paths, tmp_path):
    chain = Compose([LoadImaged(KEYS, reader=NpzReader()), EnsureChannelFirstd(KEYS)])
    expected = chain(paths)["image"]
    cached = PersistentDataset([paths], chain, cache_dir=tmp_path / "cache", track_meta=True, weights_only=True)
    for dataset in (CacheDataset([paths], chain, progress=False), cached, cached):
        (item,) = decollate_batch(next(iter(DataLoader(dataset))))
        assert torch.equal(item["image"].as_tensor(), expected.as_tensor())
        assert torch.equal(item["image"].affine, expected.affine)
        assert item["image"].meta["target_spacing"].tolist() == [3, 1.1, 0.7]


def test_workers_read_alike(paths):
    chain = LoadImaged(KEYS, reader=NpzReader())
    (batch,) = DataLoader(CacheDataset([paths], chain, cache_rate=0, progress=False), num_workers=1)
    assert torch.equal(batch["image"][0].as_tensor(), chain(paths)["image"].as_tensor())


def test_the_name_is_public():
    assert monai_mriprep.NpzReader is NpzReader
