"""A dataset under `orientation: RAS` is the dataset of files that ITK has turned, from the table to the last voxel.

And one head that was stored in five orders of axes becomes five times the same arrays, and goes back five ways.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep import Recipe, preprocess, restore
from monai_mriprep.dataset.target_choice import STATISTICS_NAME
from monai_mriprep.errors import MriprepWarning
from monai_mriprep.formats.npz import read_npz
from tests.oracles import affine_of

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


# --- One head in five orders of axes ----------------------------------------------------------------------------------

CODES = ("AIL", "LAS", "PIR", "RAS", "RSP")
FINER = (1.5, 1.25, 1.4)
"""Finer than either head on every axis. So the new voxel nearest to a stored one is nearer to it than to its
neighbours, and nearest neighbour there and back changes no voxel of a label."""


def real_heads(request: pytest.FixtureRequest) -> dict[str, nibabel.Nifti1Image]:
    folder = request.getfixturevalue("shared_data") / "traps/axis_codes"
    return {codes: nibabel.load(folder / f"{codes}.nii.gz") for codes in CODES}


def oblique_heads(_: pytest.FixtureRequest) -> dict[str, nibabel.Nifti1Image]:
    """A blob that no turn maps onto itself, 17 degrees off the world's axes."""
    affine = affine_of((3.1, 1.7, 2.2), 17, (-20, 31, 8))[:, [2, 1, 0, 3]]
    x, y, z = np.indices((15, 22, 11)) / np.reshape((15, 22, 11), (3, 1, 1, 1))
    head = nibabel.Nifti1Image((900 * np.exp(-(x**2) - 3 * (y - 0.4) ** 2 - (z - 0.7) ** 4)).astype(np.int16), affine)
    stored = nibabel.io_orientation(affine)
    turns = {c: nibabel.orientations.ornt_transform(stored, nibabel.orientations.axcodes2ornt(c)) for c in CODES}
    return {codes: head.as_reoriented(turn) for codes, turn in turns.items()}


@pytest.fixture(scope="module", params=[real_heads, oblique_heads], ids=["real", "oblique phantom"])
def five(request, tmp_path_factory) -> Path:
    """A folder with the dataset `data`, its output `out`, and its labels, taken for predictions, in `back`."""
    root = tmp_path_factory.mktemp("five")
    for folder in ("ImagesTr", "LabelsTr"):
        (root / "data" / folder).mkdir(parents=True)
    for codes, head in request.param(request).items():
        assert "".join(nibabel.aff2axcodes(head.affine)) == codes
        nibabel.save(head, root / "data/ImagesTr" / f"head_{codes}.nii.gz")
        voxels = np.asarray(head.dataobj)
        label = sum((voxels > share * voxels.max()).astype(np.uint8) for share in (0.3, 0.6))
        nibabel.save(nibabel.Nifti1Image(label, head.affine), root / "data/LabelsTr" / f"head_{codes}.nii.gz")
    summary = preprocess(root / "data", root / "out", Recipe(orientation="RAS", target_spacing=FINER), workers=0)
    assert len(summary.done) == len(CODES)
    restore(root / "out", root / "out/labelsTr", root / "back")
    return root


@pytest.mark.parametrize("codes", [codes for codes in CODES if codes != "RAS"])
def test_the_five_become_one(five, codes):
    for folder in FOLDERS:
        ours, theirs = (read_npz(five / "out" / folder / f"head_{one}.npz") for one in (codes, "RAS"))
        np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-5)
        np.testing.assert_allclose(ours.array, theirs.array, atol=2e-6 * np.ptp(theirs.array) * (folder == "imagesTr"))


@pytest.mark.parametrize("codes", CODES)
def test_each_label_comes_back_onto_its_own_grid_voxel_by_voxel(five, codes):
    label, back = (nibabel.load(five / place / f"head_{codes}.nii.gz") for place in ("data/LabelsTr", "back"))
    assert "".join(nibabel.aff2axcodes(back.affine)) == codes
    np.testing.assert_allclose(back.affine, label.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(label.dataobj))
    assert len(np.unique(label.dataobj)) == 3
