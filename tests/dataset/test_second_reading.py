"""`check --voxels` reads one file of each kind with ITK, too."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep.dataset import second_reading
from monai_mriprep.dataset.second_reading import read_again
from monai_mriprep.formats import itk_reader, voxels
from monai_mriprep.formats.header import Body
from monai_mriprep.formats.read import read_header
from monai_mriprep.report.facts import check_json
from monai_mriprep.report.outlook import check_text
from monai_mriprep.run.check import check_dataset
from tests.formats.test_variants import GROUPS
from tests.runs import write_cases

ROOM = 1 << 30


@pytest.fixture
def root(tmp_path):
    """Three cases; the image of the second is NIfTI."""
    root = write_cases(tmp_path / "dataset", 3)
    image = next(root.glob("ImagesTr/case_1*"))
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(image)), str(image.with_suffix(".nii.gz")))
    image.unlink()
    return root


def test_one_file_of_each_kind_is_compared(root):
    report = check_dataset(root, voxels=True)

    assert report.second_reading.compared == report.second_reading.kinds == 2
    assert not report.second_reading.problems
    assert "2 of 2 kinds, no difference" in "\n".join(check_text(report))
    assert check_json(report)["second_reading"]["compared"] == 2
    assert check_dataset(root).second_reading is None


def test_a_decoder_that_goes_wrong_is_caught(root, monkeypatch):
    honest = voxels._native_byte_order
    monkeypatch.setattr(voxels, "_native_byte_order", lambda array: np.roll(honest(array), 1, axis=2))

    report = check_dataset(root, voxels=True)

    problems = [problem for case in report.cases for problem in case.problems]
    assert len(problems) == 2
    assert all("ITK reads other values in" in problem for problem in problems)
    assert report.status == "attention"


def test_a_header_that_is_misread_is_caught(root, monkeypatch):
    (image, *_) = sorted((root / "ImagesTr").iterdir())
    header = read_header(image)
    read = itk_reader.read_image

    def shifted(path, dtype, channels):
        array, grid = read(path, dtype, channels)
        affine = grid.affine.copy()
        affine[0, 3] += 1
        return array, type(grid)(grid.shape, affine)

    monkeypatch.setattr(second_reading.itk_reader, "read_image", shifted)

    (problem,) = read_again([header], ROOM).problems.values()
    assert "ITK reads another origin" in problem


def test_the_smallest_file_that_fits_is_taken(root, monkeypatch):
    read = []
    monkeypatch.setattr(
        second_reading.itk_reader,
        "read_image",
        lambda path, *kind, real=itk_reader.read_image: read.append(path) or real(path, *kind),
    )
    big, small = root / "ImagesTr/big.mha", root / "ImagesTr/small.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((9, 9, 9), np.float64)), str(big))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((2, 2, 2), np.float64)), str(small))

    read_again(map(read_header, (big, small)), ROOM)
    assert read == [small]
    assert read_again([read_header(big)], 8).kinds == 0


def test_nifti_that_itk_places_elsewhere_is_a_warning(root):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), "i2"), None)
    nibabel.save(image, root / "ImagesTr/a.nii")

    again = read_again([read_header(root / "ImagesTr/a.nii")], ROOM)

    assert not again.problems
    assert "as in nibabel and MONAI" in again.warnings[root / "ImagesTr/a.nii"]


def test_what_itk_cannot_read_is_said(root):
    nibabel.save(nibabel.Nifti2Image(np.zeros((3, 4, 5), "i2"), np.eye(4)), root / "ImagesTr/a.nii")

    again = read_again([read_header(root / "ImagesTr/a.nii")], ROOM)

    assert (again.kinds, again.compared) == (1, 0)
    assert "a.nii: ITK cannot read it" in again.unread[0]


def test_every_variant_agrees_the_second_time(tmp_path):
    """The comparison itself, on all that the variants write and ITK places as we do."""
    paths = []
    for name in ("SimpleITK", "big-endian MetaImage", "nibabel, scaled"):
        for number, (suffix, write, _) in enumerate(GROUPS[name]):
            paths.append(tmp_path / f"{name}{number}{suffix}")
            write(paths[-1])
    headers = [read_header(path) for path in paths]
    assert all(isinstance(header.body, Body) for header in headers)

    again = read_again(headers, ROOM)

    assert not again.unread
    assert not again.problems
    assert not again.warnings
    assert again.compared == again.kinds >= 300


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha"])
def test_channels_of_one_file_are_compared(tmp_path, suffix):
    array = np.random.default_rng(0).integers(-900, 900, (2, 4, 5, 6), np.int16)
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(volume) for volume in array])
    SimpleITK.WriteImage(image, str(tmp_path / f"four{suffix}"), useCompression=True)
    found = read_again([read_header(tmp_path / f"four{suffix}", channels=2)], ROOM)
    assert (found.compared, dict(found.problems), found.unread) == (1, {}, ())


def test_channels_of_one_file_that_are_misread_are_caught(tmp_path, monkeypatch):
    nibabel.save(nibabel.Nifti1Image(np.arange(240, dtype=np.int16).reshape(6, 5, 4, 2), np.eye(4)), tmp_path / "a.nii")
    honest = voxels._native_byte_order
    monkeypatch.setattr(voxels, "_native_byte_order", lambda array: honest(array)[::-1])
    (problem,) = read_again([read_header(tmp_path / "a.nii", channels=2)], ROOM).problems.values()
    assert "ITK reads other values in 240 of 240 voxels, at (0, 0, 0, 0)" in problem
