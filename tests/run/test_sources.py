"""Whole runs on sources of every kind, and the way back; what is not read is named."""

import json
import os
import shutil

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep import open_dataset, preprocess, restore
from monai_mriprep.dataset.folders import list_volumes
from monai_mriprep.errors import MriprepWarning
from monai_mriprep.formats.read import read_header
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from tests.formats.dicom_series import ROTATION, SPACING, write_series

pytestmark = pytest.mark.filterwarnings("ignore:the images are stored in:monai_mriprep.errors.MriprepWarning")

SHAPE = (5, 6, 7)
RECIPE = Recipe(target_spacing=(2.0, 1.0, 1.0))


def image_of(case):
    array = np.random.default_rng(case).integers(1, 200, SHAPE).astype(np.int16)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    image.SetOrigin((-12.5, 30.25, 7.125))
    image.SetDirection(ROTATION.ravel().tolist())
    return image


def write_list(path, image):
    SimpleITK.WriteImage(image, str(path.with_suffix(".mhd")))
    text = path.with_suffix(".mhd").read_text().partition("ElementDataFile")[0]
    names = [f"{path.name}-{z}.bin" for z in range(SHAPE[0])]
    path.with_suffix(".raw").unlink()
    path.with_suffix(".mhd").write_text(text + "\n".join(["ElementDataFile = LIST", *names]) + "\n")
    for name, plane in zip(names, SimpleITK.GetArrayFromImage(image), strict=True):
        (path.parent / name).write_bytes(plane.tobytes())


def write_nibabel(path, image, kind):
    affine = np.eye(4)
    affine[:3, :3] = ROTATION * SPACING
    affine[:3, 3] = (-12.5, 30.25, 7.125)
    affine = np.diag([-1.0, -1, 1, 1]) @ affine
    nibabel.save(kind(SimpleITK.GetArrayFromImage(image).T, affine), path)


WRITERS = {
    "dicom": (lambda path, image: write_series(path, SimpleITK.GetArrayFromImage(image)), "itk", ".mha"),
    "list": (write_list, "itk", ".mha"),
    "nhdr": (lambda path, image: SimpleITK.WriteImage(image, f"{path}.nhdr", True), "built-in", ".nrrd"),
    "pair": (lambda path, image: write_nibabel(f"{path}.hdr", image, nibabel.Nifti1Pair), "built-in", ".nii"),
    "analyze": (lambda path, image: write_nibabel(f"{path}.hdr", image, nibabel.AnalyzeImage), "itk", ".nii"),
    "mgz": (lambda path, image: write_nibabel(f"{path}.mgz", image, nibabel.MGHImage), "nibabel", ".nii.gz"),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A case of each kind, whose label lies on the grid that the image's header states."""
    root = tmp_path_factory.mktemp("kinds") / "dataset"
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True)
    for number, (name, (write, *_)) in enumerate(WRITERS.items()):
        write(root / "ImagesTr" / name, image_of(number))
        (path,) = (path for path in list_volumes(root / "ImagesTr") if path.name.startswith(name))
        frame = read_header(path).frame
        label = SimpleITK.GetImageFromArray((np.arange(210) % 3).reshape(SHAPE).astype(np.uint8))
        label.SetSpacing(frame.spacing[::-1])
        label.SetOrigin((np.diag([-1, -1, 1]) @ frame.origin).tolist())
        label.SetDirection((np.diag([-1, -1, 1]) @ np.array(frame.direction))[:, ::-1].ravel().tolist())
        SimpleITK.WriteImage(label, str(root / "LabelsTr" / f"{name}.mha"))
    return root


@pytest.fixture(scope="module")
def output(dataset, tmp_path_factory):
    root = tmp_path_factory.mktemp("kinds-out")
    report = preprocess(dataset, root, RECIPE, workers=2)
    assert sorted(result.case for result in report.done) == sorted(WRITERS), report
    return root


def records(output):
    lines = map(json.loads, (output / "manifest.jsonl").read_text().splitlines())
    return {line["case"]: line for line in lines if line["event"] == "done"}


def test_the_record_names_the_reader_of_each_source(output):
    for name, record in records(output).items():
        assert record["sources"]["image"]["reader"] == WRITERS[name][1], name
        assert record["sources"]["label"]["reader"] == "built-in"
    assert len(records(output)["dicom"]["sources"]["image"]["data"]) == SHAPE[0]
    assert len(records(output)["list"]["sources"]["image"]["data"]) == SHAPE[0]


def test_workers_give_what_a_single_process_gives(dataset, output, tmp_path):
    preprocess(dataset, tmp_path, RECIPE, workers=0)

    for path in sorted(output.glob("*Tr/*.npz")):
        assert path.read_bytes() == (tmp_path / path.relative_to(output)).read_bytes(), path.name


def test_predictions_go_back_onto_the_grid_of_any_source(dataset, output, tmp_path):
    summary = restore(output, output / "labelsTr", tmp_path / "restored")

    assert not summary.refused
    restored = {path.name.partition(".")[0]: path for path in summary.restored}
    for name, (_, _, suffix) in WRITERS.items():
        assert restored[name].name == name + suffix
        header = read_header(restored[name])
        source = next(path for path in list_volumes(dataset / "ImagesTr") if path.name.startswith(name))
        grid = read_header(source).grid
        assert header.grid.shape == grid.shape
        np.testing.assert_allclose(header.grid.affine, grid.affine, atol=0 if name == "list" else 1e-5)


def test_a_restored_dicom_case_has_the_geometry_to_the_last_digit(dataset, output, tmp_path):
    (path,) = restore(output, output / "labelsTr/dicom.npz", tmp_path / "restored").restored
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(dataset / "ImagesTr/dicom")))
    series, image = reader.Execute(), SimpleITK.ReadImage(str(path))

    assert path.name == "dicom.mha"
    assert image.GetSize() == series.GetSize()
    np.testing.assert_allclose(image.GetSpacing(), series.GetSpacing(), rtol=1e-12)
    np.testing.assert_allclose(image.GetOrigin(), series.GetOrigin(), rtol=1e-12)
    np.testing.assert_allclose(image.GetDirection(), series.GetDirection(), atol=1e-12)


@pytest.mark.parametrize("name", ["ImagesTr/dicom/003.dcm", "ImagesTr/list-2.bin", "ImagesTr/nhdr.raw.gz"])
def test_a_slice_that_changes_is_seen(dataset, output, tmp_path, name):
    copied, out = shutil.copytree(dataset, tmp_path / "dataset"), shutil.copytree(output, tmp_path / "out")
    skipped = preprocess(copied, out, RECIPE, workers=0).skipped
    assert len(skipped) == len(WRITERS)
    os.utime(copied / name, ns=(1, 1))

    report = preprocess(copied, out, RECIPE, workers=0)

    assert [result.case for result in report.done] == [name.split("/")[1].split(".")[0].split("-")[0]]


def test_two_series_in_one_folder_fail_their_case_alone(dataset, output, tmp_path):
    copied, out = shutil.copytree(dataset, tmp_path / "dataset"), shutil.copytree(output, tmp_path / "out")
    shutil.rmtree(copied / "ImagesTr/dicom")
    array = SimpleITK.GetArrayFromImage(image_of(0))
    write_series(copied / "ImagesTr/dicom", array, uids=["1.2.3"] * 3 + ["1.2.4"] * 2)

    report = preprocess(copied, out, RECIPE, workers=0)

    (failed,) = report.failed
    assert "it holds 2: 1.2.3 (3 files), 1.2.4 (2 files)" in failed.error
    assert len(report.skipped) == len(WRITERS) - 1


STRAY = ["a.png", "b.npy", "c.nii.bz2", "stray.raw", "notes/inside.txt"]


@pytest.fixture
def strewn(dataset, tmp_path):
    copied = shutil.copytree(dataset, tmp_path / "dataset")
    for name in (*STRAY, ".hidden.png"):
        (copied / "ImagesTr" / name).parent.mkdir(exist_ok=True)
        (copied / "ImagesTr" / name).write_bytes(b"x")
    return copied


def test_what_nobody_reads_is_named_in_run_check_and_open_dataset(strewn, tmp_path):
    named = "not read: a.png, b.npy, c.nii.bz2, notes, stray.raw; volumes end in"

    with pytest.warns(MriprepWarning, match=named):
        preprocess(strewn, tmp_path / "out", RECIPE, workers=0)
    report = check_dataset(strewn, RECIPE)
    assert sum(named in warning for warning in report.warnings) == 1
    with pytest.warns(MriprepWarning, match=named):
        open_dataset(strewn, RECIPE)
