"""An image of several channels: from files that hold one each, or from one with a fourth dimension."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from scipy import ndimage

from monai_mriprep import Recipe
from monai_mriprep.errors import GeometryError, HeaderError, MriprepWarning, ResamplingError, VoxelError
from monai_mriprep.formats.read import read_header
from monai_mriprep.steps import steps_of
from monai_mriprep.transforms import ApplyStepsd, LoadVolumed
from monai_mriprep.transforms.tensors import grid_of
from monai_mriprep.types import IMAGE
from monai_mriprep.volume.geometry import Grid, reverse_axes
from tests.oracles import affine_of, itk_image

AFFINE = affine_of((3, 1.1, 0.7), 23, (10, -20, 30))
SHAPE = (9, 14, 15)
TARGET = (2.5, 0.9, 0.9)


def scan(dtype=np.int16, seed=0, shape=SHAPE):
    """Smooth, with an empty border, in whole numbers up to a thousand."""
    rng = np.random.default_rng(seed)
    array = ndimage.gaussian_filter(rng.normal(300, 900, shape), 1).clip(0, 1000)
    array[:, :2] = 0
    return array.round().astype(dtype)


def write(path: Path, array, affine=AFFINE) -> str:
    SimpleITK.WriteImage(itk_image(array, affine), str(path))
    return str(path)


def load(*paths, **options):
    return LoadVolumed("image", **options)({"image": paths[0] if len(paths) == 1 else list(paths)})["image"]


def preprocessed(volume, **keys):
    return ApplyStepsd({"image": IMAGE}, steps_of(Recipe(**keys), TARGET))({"image": volume})["image"]


def four_d(path: Path, arrays) -> str:
    nibabel.save(nibabel.Nifti1Image(np.stack(arrays).T, reverse_axes(AFFINE)), path)
    return str(path)


def test_a_list_of_files_becomes_channels(tmp_path):
    paths = [write(tmp_path / f"{i}.mha", scan(seed=i)) for i in range(3)]
    volume = load(*paths)
    assert volume.shape == (3, *SHAPE)
    assert volume.dtype == torch.int16
    assert volume.meta["filename_or_obj"] == paths[0]
    assert grid_of(volume) == read_header(paths[0]).grid
    for channel, path in zip(volume, paths, strict=True):
        alone = load(path)
        assert torch.equal(channel.as_tensor(), alone[0].as_tensor())
        assert torch.equal(volume.meta["file_direction"], alone.meta["file_direction"])
    assert torch.equal(LoadVolumed("image")({"image": tuple(paths)})["image"].as_tensor(), volume.as_tensor())
    assert torch.equal(load(*reversed(paths)).as_tensor(), volume.as_tensor().flip(0))


def test_a_list_of_one_is_its_file(tmp_path):
    path = write(tmp_path / "a.mha", scan())
    one, listed = (LoadVolumed("image")({"image": entry})["image"] for entry in (path, [path]))
    assert torch.equal(one.as_tensor(), listed.as_tensor())
    assert one.meta["filename_or_obj"] == listed.meta["filename_or_obj"] == path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_with_a_fourth_dimension_becomes_channels(tmp_path, suffix):
    arrays = [scan(seed=i) for i in range(3)]
    path = four_d(tmp_path / f"four{suffix}", arrays)
    volume = load(path, channels=3)
    assert np.array_equal(volume.numpy(), np.stack(arrays))
    assert volume.meta["filename_or_obj"] == path
    assert grid_of(volume) == read_header(path, 3).grid


TYPES = {
    "int16 int8": (np.int16, np.int8, torch.int16),
    "uint8 int8": (np.uint8, np.int8, torch.int16),
    "uint16 int16": (np.uint16, np.int16, torch.int32),
    "int16 float32": (np.int16, np.float32, torch.float32),
    "int32 float32": (np.int32, np.float32, torch.float64),
    "uint32 float32": (np.uint32, np.float32, torch.float64),
    "float64 int16": (np.float64, np.int16, torch.float64),
}


@pytest.mark.parametrize(("one", "other", "common"), TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("foreground", ["carried", "native"])
def test_each_channel_has_the_bits_that_it_has_alone(tmp_path, one, other, common, foreground):
    info = np.iinfo(one) if np.dtype(one).kind in "iu" else np.finfo(np.float32)
    extreme = scan(one)
    if one in (np.uint16, np.uint32, np.int32):
        extreme[3, 4, 5] = info.max
    paths = [write(tmp_path / "a.nrrd", extreme), write(tmp_path / "b.nrrd", scan(other, 1))]
    together = load(*paths)
    assert together.dtype == common
    results = [preprocessed(load(path), normalization={"foreground": foreground}) for path in paths]
    made = preprocessed(together, normalization={"foreground": foreground})
    for number, (path, alone) in enumerate(zip(paths, results, strict=True)):
        assert np.array_equal(together[number].numpy(), load(path)[0].numpy())
        assert np.array_equal(made[number].numpy(), alone[0].numpy())
        assert made.meta["foreground_mean"][number] == alone.meta["foreground_mean"]


def test_each_channel_of_one_file_has_the_bits_that_it_has_alone(tmp_path):
    arrays = [scan(seed=i) for i in range(2)]
    made = preprocessed(load(four_d(tmp_path / "four.nii", arrays), channels=2))
    for channel, array in zip(made, arrays, strict=True):
        nibabel.save(nibabel.Nifti1Image(array.T, reverse_axes(AFFINE)), tmp_path / "one.nii")
        assert np.array_equal(channel.numpy(), preprocessed(load(str(tmp_path / "one.nii")))[0].numpy())


@pytest.mark.filterwarnings("error")
def test_headers_that_differ_by_noise_are_one_grid(tmp_path):
    moved = AFFINE.copy()
    moved[:3, 3] += 1e-6
    paths = write(tmp_path / "a.mha", scan()), write(tmp_path / "b.mha", scan(seed=1), moved)
    volume = load(*paths)
    assert grid_of(volume) == read_header(paths[0]).grid
    assert np.array_equal(volume[1].numpy(), scan(seed=1))


def test_another_grid_is_refused_by_the_channels_file(tmp_path):
    paths = write(tmp_path / "a.mha", scan()), write(tmp_path / "b.mha", scan(seed=1), affine_of((3, 1.1, 0.7), 20))
    for policy in ("strict", "resample_label"):
        with pytest.raises(GeometryError) as caught:
            load(*paths, geometry=policy)
        for fact in (*paths, "channel 0 and channel 1 differ in direction", "`geometry: resample` puts a channel"):
            assert fact in str(caught.value)


OTHERS = {
    "coarser": Grid((6, 11, 10), affine_of((4.3, 1.6, 1.1), 23, (10, -20, 30))),
    "reversed": Grid((9, 14, 15), AFFINE @ np.array([[1, 0, 0, 0], [0, -1, 0, 13], [0, 0, -1, 14.2], [0, 0, 0, 1]])),
    "oblique": Grid((9, 16, 18), affine_of((3.2, 1.0, 0.8), 15, (9, -22, 29))),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_channel_on_another_grid_is_put_on_the_first(tmp_path, other, dtype):
    array = scan(dtype, 1, other.shape)
    array[array > 0] -= 400  # some are negative
    paths = write(tmp_path / "a.mha", scan()), write(tmp_path / "b.mha", array, other.affine)
    volume = load(*paths, geometry="resample")
    first, second = (read_header(path).grid for path in paths)
    assert volume.dtype == torch.float32
    assert grid_of(volume) == first
    assert np.array_equal(volume[0].numpy(), scan().astype(np.float32))
    to_second = np.linalg.inv(second.affine) @ first.affine
    expected = ndimage.affine_transform(
        array.astype(np.float64), to_second[:3, :3], to_second[:3, 3], SHAPE, order=3, mode="nearest"
    )
    places = (to_second[:3, :3] @ np.indices(SHAPE).reshape(3, -1) + to_second[:3, 3:]).reshape(3, *SHAPE)
    inside = np.logical_and.reduce([(p >= 0) & (p <= n - 1) for p, n in zip(places, other.shape, strict=True)])
    nearest = np.floor(places + 0.5 + 1e-4).astype(int)
    covered = np.logical_and.reduce([(k >= 0) & (k < n) for k, n in zip(nearest, other.shape, strict=True)])
    foreground = covered & (ndimage.map_coordinates(array, nearest, order=0, mode="nearest") != 0)
    assert 0.2 < foreground.mean() < 0.95
    assert np.abs(volume[1].numpy() - expected)[inside & foreground].max() < 2e-6 * np.ptp(array)
    assert not volume[1].numpy()[~foreground].any()
    assert volume[1].numpy()[inside & foreground].all()


def test_air_of_a_channel_that_was_moved_is_no_foreground(tmp_path):
    """A spline alone leaves hardly a voxel at 0."""
    head = np.zeros((20, 40, 40), np.int16)
    head[5:15, 10:30, 10:30] = scan(np.int16, 1, (10, 20, 20)) + 50
    other = affine_of((2.9, 1.2, 0.8), 15, (9, -22, 29))
    paths = write(tmp_path / "a.mha", head), write(tmp_path / "b.mha", head, other)
    made, alone = preprocessed(load(*paths, geometry="resample")), preprocessed(load(paths[1]))
    first, second = (np.prod(read_header(path).grid.spacing) for path in paths)
    moved, own = np.count_nonzero(load(*paths, geometry="resample")[1]) * first, np.count_nonzero(head) * second
    assert moved == pytest.approx(own, rel=0.05), "the same volume of tissue"
    for name in ("foreground_mean", "foreground_std"):
        assert made.meta[name][1] == pytest.approx(alone.meta[name], rel=0.1)


def test_a_channel_beside_the_first_is_refused(tmp_path):
    paths = write(tmp_path / "a.mha", scan()), write(tmp_path / "b.mha", scan(), affine_of((3, 1, 1), 0, (900, 0, 0)))
    with pytest.raises(GeometryError, match=r"b\.mha: channel 1 lies beside channel 0, .*a\.mha"):
        load(*paths, geometry="resample")


def test_whole_numbers_that_no_shared_type_holds_are_refused(tmp_path):
    large = scan(np.int64)
    large[1, 2, 3] = 2**53 + 1
    paths = write(tmp_path / "a.nrrd", large), write(tmp_path / "b.nrrd", scan(np.float32))
    with pytest.raises(VoxelError, match=r"a\.nrrd: the value 9007199254740993 is not held exactly"):
        load(*paths)
    large[1, 2, 3] = -(2**53) - 1
    with pytest.raises(VoxelError, match=r"a\.nrrd: the value 9007199254740993 is not held exactly"):
        load(write(tmp_path / "a.nrrd", large), paths[1])
    large[1, 2, 3] = -(2**53)
    volume = load(write(tmp_path / "a.nrrd", large), paths[1])
    assert volume[0, 1, 2, 3] == -(2**53)


def test_a_number_that_no_signed_type_holds_is_refused(tmp_path):
    large = scan(np.uint64)
    large[1, 2, 3] = 2**63
    paths = write(tmp_path / "a.nrrd", scan(np.uint64)), write(tmp_path / "b.nrrd", large)
    assert load(paths[0]).dtype == torch.int64
    with pytest.raises(VoxelError, match=r"b\.nrrd: the value 9223372036854775808 is over that of a 64-bit signed"):
        load(*paths)


def test_counts_that_do_not_fit_are_refused(tmp_path):
    paths = [write(tmp_path / f"{i}.mha", scan(seed=i)) for i in range(3)]
    four = four_d(tmp_path / "four.nii", [scan(), scan()])
    assert load(*paths, channels=3).shape[0] == 3
    with pytest.raises(HeaderError, match=r"0\.mha: its image has 3 files, and 2 channels are expected"):
        load(*paths, channels=2)
    with pytest.raises(HeaderError, match="its image has 0 files"):
        LoadVolumed("image")({"image": []})
    with pytest.raises(HeaderError, match=r"four\.nii: 4 dimensions .* 3 3-D volumes"):
        load(four, channels=3)
    for entry in (four, [paths[0], four]):
        with pytest.raises(HeaderError, match=r"four\.nii: 4 dimensions .* one 3-D volume is expected"):
            LoadVolumed("image")({"image": entry})
    with pytest.raises(ResamplingError, match="channels must be 1 or more, not 0"):
        LoadVolumed("image", channels=0)
    with pytest.raises(ResamplingError, match="strict, resample_label or resample, not 'moved'"):
        LoadVolumed("image", geometry="moved")


def test_a_label_is_one_file_of_one_channel(tmp_path):
    paths = [write(tmp_path / f"{i}.mha", scan(np.uint8, i)) for i in range(2)]
    four = four_d(tmp_path / "four.nii", [scan(np.uint8)] * 2)
    reader = LoadVolumed(["image", "label"], labels="label", channels=2)
    data = reader({"image": four, "label": paths[0]})
    assert (data["image"].shape[0], data["label"].shape[0]) == (2, 1)
    with pytest.raises(HeaderError, match=r"0\.mha: a label is one file, not 2"):
        reader({"image": four, "label": paths})
    with pytest.raises(HeaderError, match=r"four\.nii: 4 dimensions .* one 3-D volume"):
        reader({"image": four, "label": four})


def test_a_doubtful_spacing_is_named_once(tmp_path):
    fine = affine_of((0.003, 0.001, 0.001))
    paths = [write(tmp_path / f"{i}.mha", scan(seed=i), fine) for i in range(2)]
    with pytest.warns(MriprepWarning, match=r"0\.mha: its spacing") as caught:
        load(*paths)
    assert len(caught) == 1
