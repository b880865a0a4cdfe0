"""A dataset under `orientation: RAS` is the dataset of files that ITK has turned, from the table to the last voxel."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep import Recipe, preprocess
from monai_mriprep.dataset.survey import STATISTICS_NAME
from monai_mriprep.errors import MriprepWarning
from monai_mriprep.formats.npz import read_npz

SCANS = (
    "mixed/ImagesTr/20001_0002_t2w.mha",  # oblique, coronal: slices run to the front
    "mixed/ImagesTr/20003_0001_t2w.mha",
    "traps/axis_codes/AIL.nii.gz",
    "traps/axis_codes/PIR.nii.gz",
    "traps/permuted_axes/ProstateX-0000_sag.mha",
    "traps/reversed_label/ProstateX-0000_t2w.mha",  # oblique, axial
)
FOLDERS = ("imagesTr", "labelsTr")


def write_pair(root: Path, name: str, image: SimpleITK.Image) -> None:
    """The scan, smaller where it is large; its bright voxels are the label."""
    bright = SimpleITK.Cast(image > 200, SimpleITK.sitkUInt8)
    for folder, volume in (("ImagesTr", image), ("LabelsTr", bright)):
        (root / folder).mkdir(exist_ok=True)
        SimpleITK.WriteImage(volume, str(root / folder / f"{name}.mha"))


@pytest.fixture(scope="module")
def finished(scans, tmp_path_factory) -> tuple[Path, Path]:
    """Outputs of the scans as they are, turned by the recipe; and of scans that ITK has turned before."""
    root = tmp_path_factory.mktemp("orientation")
    for name in ("stored", "turned"):
        (root / name).mkdir()
    for number, name in enumerate(SCANS):
        image = SimpleITK.Cast(SimpleITK.ReadImage(str(scans / name)), SimpleITK.sitkFloat32)
        image = image[: 2 * (image.GetWidth() // 3), image.GetHeight() // 3 :]  # unlike at its ends
        write_pair(root / "stored", f"{number}", image)
        write_pair(root / "turned", f"{number}", SimpleITK.DICOMOrient(image, "RAS"))
    coarse = {"normalization": {"foreground": "carried"}, "order": (3, 1, 3)}
    for name, recipe in (("stored", Recipe(orientation="RAS", **coarse)), ("turned", Recipe(**coarse))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MriprepWarning)  # there is no table, and so on
            summary = preprocess(root / name, root / f"{name}_out", recipe, workers=0)
        assert len(summary.done) == len(SCANS)
    return root / "stored_out", root / "turned_out"


def test_tables_are_equal(finished):
    ours, theirs = ((root / STATISTICS_NAME).read_text() for root in finished)
    assert ours == theirs


@pytest.mark.parametrize("number", range(len(SCANS)), ids=lambda number: Path(SCANS[number]).name)
def test_outputs_are_equal(finished, number):
    for folder in FOLDERS:
        ours, theirs = (read_npz(root / folder / f"{number}.npz") for root in finished)
        assert np.array_equal(ours.spacing, theirs.spacing)
        np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)
        np.testing.assert_allclose(ours.array, theirs.array, atol=1e-5 * np.ptp(theirs.array) * (folder == "imagesTr"))


def test_the_axes_run_to_superior_anterior_and_right(finished):
    for number in range(len(SCANS)):
        directions = read_npz(finished[0] / "imagesTr" / f"{number}.npz").affine[:3, :3]
        assert np.abs(directions).argmax(axis=0).tolist() == [2, 1, 0]
        assert (directions[[2, 1, 0], [0, 1, 2]] > 0).all()
