"""Scans read as nnU-Net's readers read them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")

from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

from monai_mriprep.errors import MriprepWarning
from monai_mriprep.nnunet import reading
from monai_mriprep.nnunet.reading import read_images, read_segmentation
from tests.nnunet.same import assert_same_properties

C, S = np.cos(0.3), np.sin(0.3)
AFFINE = np.array([[1.1 * C, -1.2 * S, 0, -30], [1.1 * S, 1.2 * C, 0, 7.25], [0, 0, 3.3, 1 / 3], [0, 0, 0, 1]])
SHAPE = (5, 8, 9)


@pytest.fixture
def uses(monkeypatch):
    """How often our own reader was asked for voxels and gave them."""
    given = []
    read = reading._read_voxels

    def counted(path):
        values = read(path)
        if values is not None:
            given.append(path)
        return values

    monkeypatch.setattr(reading, "_read_voxels", counted)
    return given


def assert_as(reader, paths):
    stock, ours = reader.read_images(paths), read_images(reader, paths)
    assert ours[0].dtype == np.float32
    assert ours[0].tobytes() == np.ascontiguousarray(stock[0]).tobytes()
    assert_same_properties(stock[1], ours[1])
    np.testing.assert_array_equal(read_segmentation(reader, paths[0]), reader.read_seg(paths[0])[0])


def values_of(dtype, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (1e5 * rng.normal(size=SHAPE)).astype(dtype)
    return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, SHAPE, dtype, endpoint=True)


def write_itk(path, values):
    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing((0.7, 1 / 3, 2.9999999942))
    image.SetOrigin((-31.5, 7.25, 1 / 3))
    image.SetDirection((C, -S, 0, S, C, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(path), path.suffix != ".mhd")
    return str(path)


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nii.gz", ".nii"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_as_simpleitk_reads(tmp_path, uses, ending, dtype):
    assert_as(SimpleITKIO(), [write_itk(tmp_path / f"a{ending}", values_of(dtype))])
    assert len(uses) == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("reader", [SimpleITKIO, NibabelIO])
def test_nifti_as_both_read_it(tmp_path, uses, dtype, reader):
    nibabel.save(nibabel.Nifti1Image(values_of(dtype).T, AFFINE), tmp_path / "a.nii.gz")
    assert_as(reader(), [str(tmp_path / "a.nii.gz")])
    assert len(uses) == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
def test_a_label_has_room_for_minus_one_beside_its_values(tmp_path, dtype):
    """nnU-Net marks with it what is outside; its readers give floats."""
    label = read_segmentation(SimpleITKIO(), write_itk(tmp_path / "a.mha", values_of(dtype)))
    assert label.dtype == (dtype if np.can_cast(dtype, np.int16) else np.float32)


def test_what_ours_has_read_nnunets_reader_does_not_read_again(tmp_path):
    class Unread(SimpleITKIO):
        def read_images(self, paths):
            raise AssertionError(paths)

        def read_seg(self, path):
            raise AssertionError(path)

    Unread.__name__ = "SimpleITKIO"
    path = write_itk(tmp_path / "a.mha", values_of(np.int16))
    assert read_images(Unread(), [path])[0].shape == (1, *SHAPE)
    assert read_segmentation(Unread(), path).shape == (1, *SHAPE)


def test_channels_are_stacked(tmp_path, uses):
    paths = [write_itk(tmp_path / f"a_{n}.mha", values_of(np.int16, n)) for n in range(3)]
    assert_as(SimpleITKIO(), paths)
    assert uses == [*paths, paths[0]]


def test_scaled_voxels_are_read_by_nnunets_reader(tmp_path, uses):
    image = nibabel.Nifti1Image(values_of(np.int16).T, AFFINE)
    image.header.set_slope_inter(0.1, 3)
    image.header.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.nii.gz")
    raw = nibabel.load(tmp_path / "a.nii.gz")
    assert raw.header["scl_slope"] != 1
    for reader in (SimpleITKIO(), NibabelIO()):
        assert_as(reader, [str(tmp_path / "a.nii.gz")])
    assert uses == []


def test_what_ours_refuse_is_read_by_nnunets_reader(tmp_path, uses):
    values = values_of(np.float32)
    values[1, 2, 3] = np.nan
    path = write_itk(tmp_path / "a.mha", values)
    with pytest.warns(MriprepWarning, match="nnU-Net's own reader takes it as it is"):
        assert_as(SimpleITKIO(), [path])
    assert uses == []


def test_a_file_that_ends_too_early_is_named(tmp_path, uses):
    whole = Path(write_itk(tmp_path / "a.nii.gz", values_of(np.int16)))
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(whole.read_bytes()[:-100])
    with pytest.warns(MriprepWarning, match="broken.nii.gz: the compressed voxels are damaged"):
        read_images(SimpleITKIO(), [str(broken)])
    assert uses == []


def test_a_file_that_turns_is_read_by_nnunets_reader(tmp_path, uses):
    nibabel.save(nibabel.Nifti1Image(values_of(np.int16).T, AFFINE[[1, 0, 2, 3]]), tmp_path / "a.nii.gz")
    assert_as(NibabelIOWithReorient(), [str(tmp_path / "a.nii.gz")])
    assert uses == []


@pytest.mark.parametrize("channels", [1, 2])
def test_several_volumes_in_a_file_are_nnunets_readers_and_a_single_one_is_not(tmp_path, uses, channels):
    series = np.stack([values_of(np.int16).T] * channels, axis=-1)
    image = nibabel.Nifti1Image(series, np.diag([1.1, 1.2, 3.3, 1]))
    nibabel.save(image, tmp_path / "a.nii.gz")
    stock = SimpleITKIO().read_images([str(tmp_path / "a.nii.gz")])
    ours = read_images(SimpleITKIO(), [str(tmp_path / "a.nii.gz")])
    np.testing.assert_array_equal(stock[0], ours[0])
    assert_same_properties(stock[1], ours[1])
    assert len(uses) == (channels == 1)


def test_a_file_with_another_axis_is_refused_in_nibabels_words(tmp_path):
    nibabel.save(nibabel.Nifti1Image(values_of(np.int16).T[..., None], AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(AssertionError, match="only 3d images are supported"):
        read_images(NibabelIO(), [str(tmp_path / "a.nii.gz")])


def test_channels_that_differ_are_refused_in_nnunets_words(tmp_path, capsys):
    paths = [write_itk(tmp_path / f"a_{n}.mha", values_of(np.int16)[: 5 - n]) for n in range(2)]
    with pytest.raises(RuntimeError):
        read_images(SimpleITKIO(), paths)
    assert "Not all input images have the same shape" in capsys.readouterr().out


@pytest.mark.parametrize("other", ["spacing", "origin", "no volume"])
def test_what_nnunets_reader_says_of_channels_that_do_not_belong_together_is_said(tmp_path, capsys, other):
    paths = [write_itk(tmp_path / f"a_{n}.mha", values_of(np.int16, n)) for n in range(2)]
    image = SimpleITK.ReadImage(paths[1])
    if other == "spacing":
        image.SetSpacing((0.7, 1 / 3, 3.5))
    elif other == "origin":
        image.SetOrigin((-31.5, 7.25, 9.0))
    SimpleITK.WriteImage(image[:, :, 0] if other == "no volume" else image, paths[1])
    said = []
    for read in (SimpleITKIO().read_images, lambda paths: read_images(SimpleITKIO(), paths)):
        if other == "origin":
            read(paths)
        else:
            with pytest.raises(RuntimeError):
                read(paths)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != ""


def test_a_damaged_file_is_refused_in_nnunets_words(tmp_path):
    path = tmp_path / "a.mha"
    write_itk(path, values_of(np.int16))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RuntimeError, match="SimpleITK"):
        read_images(SimpleITKIO(), [str(path)])
