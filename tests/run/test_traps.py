"""Files, each wrong in one way: `check` and a run name the reason, and `resample_label` mends what it can."""

from __future__ import annotations

import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from monai_mriprep import Recipe, preprocess
from monai_mriprep.errors import MriprepWarning, StatisticsError
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.pictures.layout import lay_out
from monai_mriprep.pictures.place import view_of
from monai_mriprep.pictures.scan import Scan
from monai_mriprep.run.check import check_dataset
from monai_mriprep.volume.geometry import Grid
from tests.oracles import itk_image, reference, relative_error
from tests.runs import FOLDER_OF_0_1_0

TRAPS = {
    "reversed_label": (
        "ProstateX-0000_t2w.mha",
        "ProstateX-0000_annotation.nii.gz",
        "the label's y runs the other way",
    ),
    "stale_label": ("ProstateX-0000_0000.nii.gz", "ProstateX-0000.nii.gz", "image and label differ in spacing"),
    "four_d": ("example4d.nii.gz", "example4d.nii.gz", "4 dimensions (128 x 96 x 24 x 2 voxels)"),
}


@pytest.fixture
def trap(scans, tmp_path):
    """A dataset of links to one trap; the target spacing is set, so that the dataset has no other flaw."""

    def build(name: str) -> Path:
        image, label, _ = TRAPS[name]
        for folder, file in (("ImagesTr", image), ("LabelsTr", label)):
            (tmp_path / name / folder).mkdir(parents=True)
            (tmp_path / name / folder / file).symlink_to(scans / "traps" / name / file)
        return tmp_path / name

    return build


@pytest.mark.parametrize("name", TRAPS)
def test_the_reason_is_named_before_and_in_a_run(trap, tmp_path, name):
    dataset, recipe, reason = trap(name), Recipe(target_spacing=(3, 0.5, 0.5)), TRAPS[name][2]

    report = check_dataset(dataset, recipe)
    assert report.status == "impossible"
    assert report.fatal == ()
    assert reason in report.cases[0].problems[0]

    summary = preprocess(dataset, tmp_path / "out", recipe, workers=0)
    assert reason in summary.failed[0].error
    assert not list(tmp_path.glob("out/*Tr/*"))


def test_headers_that_say_nothing_are_fatal_without_a_target(trap, tmp_path):
    dataset = trap("four_d")
    assert TRAPS["four_d"][2] in check_dataset(dataset).fatal[0]
    with pytest.raises(StatisticsError, match=r"not one header of 1 paired image can be read.*4 dimensions"):
        preprocess(dataset, tmp_path / "out", workers=0)


def test_a_stale_label_on_the_image_is_seen_to_be_empty(trap, tmp_path):
    dataset, recipe = trap("stale_label"), Recipe(geometry="resample_label", target_spacing=(3, 0.5, 0.5))
    report = check_dataset(dataset, recipe, voxels=True)
    assert report.cases[0].problems == ()
    (suspect,) = report.suspects
    assert suspect.reason.startswith("100% of the label lies outside")
    (result,) = preprocess(dataset, tmp_path / "out", recipe, workers=0).done
    assert "vanished" in result.warnings[0]


def centre_and_mass(label: SimpleITK.Image) -> tuple[np.ndarray, float]:
    """World position and volume of class 1, in mm, by SimpleITK."""
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    shape.Execute(SimpleITK.Cast(label, SimpleITK.sitkUInt8))
    return np.array(shape.GetCentroid(1)), shape.GetPhysicalSize(1)


@pytest.mark.parametrize("target", [(3.0, 0.5, 0.5), (1.5, 0.7, 0.6)])
def test_a_reversed_label_is_put_right(trap, tmp_path, target):
    dataset = trap("reversed_label")
    recipe = Recipe(geometry="resample_label", target_spacing=target)
    assert check_dataset(dataset, recipe, voxels=True).status == "ready"
    (result,) = preprocess(dataset, tmp_path / "out", recipe, workers=0).done
    assert result.warnings == ()

    image, label = (read_npz(next(tmp_path.glob(f"out/{folder}/*.npz"))) for folder in ("imagesTr", "labelsTr"))
    np.testing.assert_array_equal(image.affine, label.affine)
    found = itk_image(label.array[0], label.affine)
    source = SimpleITK.ReadImage(str(dataset / "LabelsTr" / TRAPS["reversed_label"][1]))
    (centre, mass), (found_centre, found_mass) = centre_and_mass(source), centre_and_mass(found)
    np.testing.assert_allclose(
        found.TransformPhysicalPointToContinuousIndex(centre.tolist()),
        found.TransformPhysicalPointToContinuousIndex(found_centre.tolist()),
        atol=0.55,  # half a voxel, as ties round up, and what the lesion's own slices round to
    )
    assert found_mass == pytest.approx(mass, rel=0.05)


def test_a_reversed_label_is_where_simpleitk_puts_it(trap, tmp_path):
    dataset = trap("reversed_label")
    preprocess(dataset, tmp_path / "out", Recipe(geometry="resample_label", target_spacing=(3, 0.5, 0.5)), workers=0)
    scan, source = (SimpleITK.ReadImage(str(next((dataset / folder).iterdir()))) for folder in ("ImagesTr", "LabelsTr"))
    expected = SimpleITK.Resample(source, scan, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0)
    found = read_npz(next(tmp_path.glob("out/labelsTr/*.npz"))).array[0]
    np.testing.assert_array_equal(found, SimpleITK.GetArrayFromImage(expected))
    assert np.count_nonzero(found) == np.count_nonzero(SimpleITK.GetArrayFromImage(source)) == 512


@pytest.fixture
def in_metres(synthetic, tmp_path) -> Path:
    """The synthetic pairs, with headers that give metres for millimetres."""
    for folder in ("ImagesTr", "LabelsTr"):
        (tmp_path / "metres" / folder).mkdir(parents=True)
        for path in (synthetic / folder).glob("1000[12]*"):
            volume = SimpleITK.ReadImage(str(path))
            volume.SetSpacing([mm / 1000 for mm in volume.GetSpacing()])
            volume.SetOrigin([mm / 1000 for mm in volume.GetOrigin()])
            SimpleITK.WriteImage(volume, str(tmp_path / "metres" / folder / path.name))
    table = "median_spacing,10th_percentile_spacing\n[0.002 0.001 0.0009],[0.002 0.0009 0.0008]\n"
    (tmp_path / "metres" / "mri_statistics.csv").write_text(table, encoding="utf-8")
    return tmp_path / "metres"


def test_headers_in_metres_are_warned_of_and_resampled_right(in_metres, tmp_path):
    with pytest.warns(MriprepWarning, match=r"3 of 3 images.*10001_0001_t2w\.mha.*metres"):
        summary = preprocess(in_metres, tmp_path / "out", workers=0)

    assert not summary.failed
    for result in summary.done:
        assert sum("in metres" in warning for warning in result.warnings) == 2, "the image and the label"
        image, label = (next((in_metres / f).glob(f"{result.case[:10]}*")) for f in ("ImagesTr", "LabelsTr"))
        found = read_npz(tmp_path / "out" / "imagesTr" / f"{result.case}.npz")
        expected = reference(image, label, tuple(found.spacing))
        assert found.array.shape[1:] == expected.image.shape != SimpleITK.ReadImage(str(image)).GetSize()[::-1]
        np.testing.assert_allclose(np.linalg.norm(found.affine[:3, :3], axis=0), found.spacing, rtol=1e-9)
        assert relative_error(found.array[0], expected.image) < 2e-6


def test_check_says_so_too(in_metres):
    (warning,) = (text for text in check_dataset(in_metres).warnings if "metres" in text)

    assert "3 of 3 images" in warning
    assert "spacing (0.002, 0.0011, 0.0011) mm (z y x)" in warning
    assert "0.02 mm" in warning


def pixels_of(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(float)


@pytest.mark.parametrize("name", ["reversed_label", "stale_label"])
def test_a_report_shows_the_label_where_nibabel_puts_it(trap, name):
    dataset, kept = trap(name), {}
    (case,) = check_dataset(dataset, voxels=True, workers=1, keep_picture=kept.__setitem__).cases
    label = nibabel.load(case.label)
    voxels = np.asarray(label.dataobj)
    centre = (label.affine @ [*np.argwhere(voxels > 0).mean(axis=0), 1])[:3]
    grid = Grid(voxels.shape[::-1], label.affine[:, [2, 1, 0, 3]])
    axial = lay_out(view_of([Scan(np.ones(case.grid.shape), case.grid, voxels.T, grid)]), 1).panels[0]
    picture = pixels_of(kept[case.case])[axial.top : axial.top + axial.height, axial.left : axial.left + axial.width]
    outline = np.argwhere(np.abs(picture - (0xE6, 0x9F, 0)).sum(axis=2) < 150)[:, ::-1] + (axial.left, axial.top)
    assert len(outline) > 20
    assert np.allclose(outline.mean(axis=0), axial.pixel(centre), atol=4)


def test_a_report_shows_scans_of_any_axes_alike_and_none_of_four_dimensions(scans, tmp_path):
    files = [*(scans / "traps" / "axis_codes").iterdir(), *(scans / "traps" / "four_d").iterdir()]
    for file in files:
        (tmp_path / file.name).symlink_to(file)
    kept: dict[str, bytes] = {}
    check_dataset(tmp_path, voxels=True, workers=2, like=FOLDER_OF_0_1_0 / "out", keep_picture=kept.__setitem__)
    assert sorted(kept) == ["AIL", "LAS", "PIR", "RAS", "RSP"]
    ras, *others = (pixels_of(kept[name]) for name in ("RAS", "AIL", "LAS", "PIR", "RSP"))
    differences = [np.abs(other - ras).mean() for other in others]
    assert max(differences) < 10  # an even number of slices has two in the middle; upside down it is over 20
    assert min(np.abs(ras[::-1] - ras).mean(), np.abs(ras[:, ::-1] - ras).mean()) > 20
