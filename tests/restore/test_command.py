"""Predictions back on the scanner's grid, as SimpleITK and nibabel see it, from the records alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep import preprocess, restore
from monai_mriprep.errors import DatasetError, DiskFullError, HeaderError, MriprepWarning, OutputError, RecordError
from monai_mriprep.restore import command
from monai_mriprep.restore.command import restore_each
from tests.oracles import SCANS, affine_of, itk_image, phantom
from tests.restore.files import (
    FORMATS,
    SHAPE,
    assert_geometry,
    dice,
    geometry,
    label_of,
    lesion,
    one_hot,
    recipe_of,
    target_image,
    voxels,
    write_pair,
)
from tests.runs import append_record, done_records

# --- Geometry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_in_another_process_without_the_sources_from_a_moved_folder(made, tmp_path, name):
    out, facts = made
    shutil.copytree(out, tmp_path / "moved")
    if name == "10_mha":  # one process for all formats
        command = [sys.executable, "-m", "monai_mriprep", "restore", "moved", "moved/labelsTr", "back"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "5 restored: back" in done.stdout
    else:
        restore(tmp_path / "moved", tmp_path / "moved/labelsTr", tmp_path / "back")
    suffix = FORMATS[name].replace(".mhd", ".mha")
    path = tmp_path / "back" / f"{name}_Lab{suffix}"
    assert_geometry(path, facts[name], {".mha": 0, ".nrrd": 1e-12}.get(suffix, 1e-5))
    original = out.parent / "elsewhere/LabelsTr" / f"{name}_Lab{FORMATS[name]}"
    np.testing.assert_array_equal(voxels(path), voxels(original))  # the target is finer: nothing is lost


@pytest.mark.filterwarnings("ignore:the images are stored in different orientations")
def test_every_scan_has_its_geometry_back(scans, tmp_path):
    facts = {}
    for scan in SCANS:
        name = Path(scan).name.split(".")[0]
        suffix = Path(scan).name[len(name) :]
        (tmp_path / "data/ImagesTr").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/LabelsTr").mkdir(parents=True, exist_ok=True)
        shutil.copy(scans / scan, tmp_path / "data/ImagesTr" / f"{name}{suffix}")
        image = SimpleITK.ReadImage(str(scans / scan))
        SimpleITK.WriteImage(lesion(image), str(tmp_path / "data/LabelsTr" / f"{name}{suffix}"))
        facts[name] = suffix, geometry(image)
    done = preprocess(tmp_path / "data", tmp_path / "out", recipe_of((4.0, 3.0, 2.5)), workers=0)
    assert [result.error for result in done.failed] == []
    summary = restore(tmp_path / "out", tmp_path / "out/labelsTr", tmp_path / "back")
    assert len(summary.restored) == len(facts) == len(SCANS)
    for name, (suffix, expected) in facts.items():
        assert_geometry(tmp_path / "back" / f"{name}{suffix}", expected, 0 if suffix == ".mha" else 1e-5)


@pytest.mark.parametrize(
    ("scan", "target"),
    [
        ("traps/permuted_axes/ProstateX-0000_sag.mha", (2.0, 0.5, 0.5)),
        ("mixed/ImagesTr/20001_0001_t2w.mha", (2.2, 1.0, 1.125)),
    ],
    ids=["permuted", "oblique"],
)
def test_a_lesion_lies_where_it_lay(scans, tmp_path, scan, target):
    image = SimpleITK.ReadImage(str(scans / scan))
    assert all(t <= s + 1e-3 for t, s in zip(target, image.GetSpacing()[::-1], strict=True))
    label = lesion(image)
    write_pair(tmp_path / "data", "1", ".mha", image, label)
    preprocess(tmp_path / "data", tmp_path / "out", recipe_of(target), workers=0)
    restore(tmp_path / "out", tmp_path / "out/labelsTr", tmp_path / "back")
    assert dice(SimpleITK.ReadImage(str(tmp_path / "back/1_Lab.mha")), label) >= 0.97


def test_a_label_whose_axes_ran_the_other_way_lies_where_it_lay(scans, tmp_path):
    """It was put on the image's grid; restored, it has the image's grid."""
    folder = scans / "traps/reversed_label"
    image, label = (
        SimpleITK.ReadImage(str(path)) for path in sorted(folder.iterdir(), key=lambda p: p.suffix != ".mha")
    )
    write_pair(tmp_path / "data", "1", ".mha", image, label)
    recipe = recipe_of((2.0, 0.45, 0.45), geometry="resample_label")
    assert preprocess(tmp_path / "data", tmp_path / "out", recipe, workers=0).done
    restore(tmp_path / "out", tmp_path / "out/labelsTr", tmp_path / "back")
    back = SimpleITK.ReadImage(str(tmp_path / "back/1_Lab.mha"))
    assert geometry(back) == geometry(image)
    assert dice(back, label) >= 0.97


@pytest.mark.parametrize("suffix", [".mha", ".nii.gz", ".nrrd"])
def test_orientation_and_crop_are_undone(tmp_path, suffix):
    """The target is finer than the scan, so nothing is lost."""
    array = np.pad(phantom(SHAPE)[0], ((2, 3), (0, 4), (5, 1)))
    affine = affine_of((2.5, 1.1, 0.7), 17.0, (-11.1, 1 / 3, 70.7))[:, [1, 2, 0, 3]] * [-1, 1, 1, 1]
    image, label = itk_image(array, affine), itk_image((array > 500).astype(np.int16), affine)
    write_pair(tmp_path / "data", "1", suffix, image, label)
    recipe = recipe_of((0.65, 0.65, 0.65), orientation="LAS", crop="nonzero", crop_margin=1.0)
    assert preprocess(tmp_path / "data", tmp_path / "out", recipe, workers=0).done
    with np.load(tmp_path / "out/labelsTr/1_Lab.npz") as content:
        prediction = content["arr_0"]
    record = done_records(tmp_path / "out")["1_Ima"]
    (tmp_path / "volumes").mkdir()
    stored = itk_image(prediction[0], record.target_grid.affine)
    SimpleITK.WriteImage(SimpleITK.DICOMOrient(stored, "SPR"), str(tmp_path / "volumes/1_Ima.mha"))
    for predictions in ("out/labelsTr", "volumes"):
        (path,) = restore(tmp_path / "out", tmp_path / predictions, tmp_path / "back" / predictions).restored
        source = SimpleITK.ReadImage(str(tmp_path / f"data/ImagesTr/1_Ima{suffix}"))
        assert_geometry(path, geometry(source), {".mha": 0, ".nrrd": 1e-12}.get(suffix, 1e-5))
        np.testing.assert_array_equal(voxels(path), SimpleITK.GetArrayFromImage(label))


def test_the_last_finished_record_counts_whatever_came_after(made, predictions, tmp_path):
    out, facts = made
    shutil.copytree(out, tmp_path / "out")
    append_record(tmp_path / "out", {"event": "failed", "case": "10_mha_Ima", "error": "disk"})
    append_record(tmp_path / "out", {"event": "started", "case": "10_mha_Ima"})
    summary = restore(tmp_path / "out", out / "labelsTr", tmp_path / "back")
    assert len(summary.restored) == len(facts)


# --- Forms of a prediction --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["11_nifti", "13_nrrd"])
def test_kept_probabilities_in_other_formats(made, predictions, tmp_path, name):
    out, facts = made
    np.save(predictions / f"{name}_Lab.npy", one_hot(label_of(out, name)[0]))
    (path,) = restore(out, predictions, tmp_path / "floats", probabilities=True).restored
    if name == "11_nifti":
        image = nibabel.load(path)
        assert image.shape == (*SHAPE[::-1], 2)
        np.testing.assert_allclose(np.asarray(image.dataobj).sum(-1), 1, atol=1e-6)
    else:
        assert_geometry(path, facts[name], 1e-12)
        np.testing.assert_allclose(voxels(path).sum(-1), 1, atol=1e-6)


# --- Refusals ---------------------------------------------------------------------------------------------------------


def write_bad(out: Path, folder: Path) -> dict[str, str]:
    """Predictions that cannot be restored, and what is said of each."""
    label = label_of(out, "10_mha")[0]
    np.save(folder / "stranger.npy", label)
    np.save(folder / "11_nifti_Lab_pred.npy", label)
    np.save(folder / "11_nifti_Lab.npy", label[1:])
    np.save(folder / "11_nifti_Ima.npy", label.T)
    np.save(folder / "12_nii_Lab.npy", np.full(label.shape, np.nan))
    np.save(folder / "12_nii_Ima.npy", np.array([{}]), allow_pickle=True)
    (folder / "13_nrrd_Lab.npz").write_bytes((out / "labelsTr/13_nrrd_Lab.npz").read_bytes()[:200])
    np.savez(folder / "13_nrrd_Ima.npz", first=label, second=label)
    np.save(folder / "14_mhd_Lab.npy", label)
    SimpleITK.WriteImage(target_image(out, label), str(folder / "14_mhd_Lab.mha"))
    moved = target_image(out, label)
    moved.SetOrigin((0.0, 0.0, 0.0))
    SimpleITK.WriteImage(moved, str(folder / "14_mhd_Ima.nii.gz"))
    return {
        "stranger.npy": "no record has an image or label with the stem 'stranger'",
        "11_nifti_Lab_pred.npy": "did you mean 11_nifti_Lab?",
        "11_nifti_Lab.npy": str(tuple(label[1:].shape)),
        "11_nifti_Ima.npy": "seems to be x y z",
        "12_nii_Lab.npy": "not finite (nan or infinite): put numbers in their place",
        "12_nii_Ima.npy": "not a readable array",
        "13_nrrd_Lab.npz": "not a readable array",
        "13_nrrd_Ima.npz": "first, second",
        "14_mhd_Lab.npy": "14_mhd_Lab.mha and 14_mhd_Lab.npy would become one file",
        "14_mhd_Lab.mha": "keep one of them",
        "14_mhd_Ima.nii.gz": "its direction is not the recorded one",
    }


def test_what_does_not_fit_is_refused_by_name_and_the_rest_is_restored(made, predictions, tmp_path):
    out, _ = made
    expected = write_bad(out, predictions)
    np.save(predictions / "10_mha_Lab.npy", label_of(out, "10_mha")[0])
    (predictions / "dataset.json").write_text("{}")
    (predictions / ".hidden.npy").write_text("")
    summary = restore_each(out, predictions, tmp_path / "back")
    assert [path.name for path in summary.restored] == ["10_mha_Lab.mha"]
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["10_mha_Lab.mha"]
    assert len(summary.refused) == len(expected)
    assert all(isinstance(problem, RecordError) for problem in summary.refused)
    for name, text in expected.items():
        assert any(str(predictions / name) in str(problem) and text in str(problem) for problem in summary.refused), (
            name
        )


def test_the_command_says_so_and_exits_with_1(made, predictions, tmp_path):
    out, _ = made
    np.save(predictions / "10_mha_Lab.npy", label_of(out, "10_mha")[0])
    np.save(predictions / "stranger.npy", label_of(out, "10_mha")[0])
    command = [sys.executable, "-m", "monai_mriprep", "restore", out, predictions, tmp_path / "back"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 restored, 1 REFUSED" in done.stdout
    assert ("stranger.npy" in done.stdout, "stranger.npy" in done.stderr) == (True, False)  # said once
    assert "Traceback" not in done.stderr


def test_in_python_a_refusal_is_a_warning_and_logged_as_an_error(made, predictions, tmp_path, caplog):
    out, _ = made
    np.save(predictions / "stranger.npy", label_of(out, "10_mha")[0])
    with pytest.warns(MriprepWarning, match=r"stranger\.npy"):
        assert restore(out, predictions, tmp_path / "back").restored == ()
    assert [record.levelname for record in caplog.records if "stranger.npy" in record.getMessage()] == ["ERROR"]


def test_values_that_could_be_anything_are_refused_in_plain_words(made, predictions, tmp_path):
    out, _ = made
    path = predictions / "10_mha_Lab.npy"
    np.save(path, label_of(out, "10_mha")[0] + 0.25)
    (problem,) = restore_each(out, predictions, tmp_path / "back").refused
    assert str(problem).startswith(f"{path}: values from ")


def test_a_damaged_volume_is_refused_as_such(made, predictions, tmp_path):
    out, _ = made
    (predictions / "10_mha_Lab.mha").write_bytes(b"no header")
    (predictions / "11_nifti_Lab.nii.gz").write_bytes(b"no header")
    damaged, nifti = restore_each(out, predictions, tmp_path / "back").refused
    assert isinstance(damaged, HeaderError)
    assert "11_nifti_Lab.nii.gz" in str(nifti)


def test_nothing_to_do_is_an_error(made, predictions, tmp_path):
    out, _ = made
    with pytest.raises(DatasetError, match="holds no prediction"):
        restore(out, predictions, tmp_path / "back")
    with pytest.raises(DatasetError, match="cannot be listed"):
        restore(out, predictions / "nowhere", tmp_path / "back")
    with pytest.raises(RecordError, match="no finished case"):
        restore(tmp_path, predictions, tmp_path / "back")
    assert not (tmp_path / "back").exists()


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["predictions", "out", "out/imagesTr", "out/labelsTr/new", "out/.partial", "data/LabelsTr"]
)
def test_the_result_may_not_go_among_the_input(tmp_path, synthetic, place):
    shutil.copytree(synthetic, tmp_path / "data")
    (tmp_path / "data/ImagesTr/10003_0001_t2w.mha").unlink()
    recipe = recipe_of((4.0, 4.0, 4.0))
    preprocess(tmp_path / "data", tmp_path / "out", recipe, workers=0)
    shutil.copytree(tmp_path / "out/labelsTr", tmp_path / "predictions")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="choose another"):
        restore(tmp_path / "out", tmp_path / "predictions", tmp_path / place)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_appears_whole_or_not_at_all(made, tmp_path, monkeypatch):
    out, _ = made
    (old,) = restore(out, out / "labelsTr/10_mha_Lab.npz", tmp_path / "back").restored
    before = old.read_bytes()

    def full(path, array, frame):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command, "write_volume", full)
    with pytest.raises(DiskFullError, match=r"10_mha_Lab\.mha"):
        restore(out, out / "labelsTr/10_mha_Lab.npz", tmp_path / "back")
    assert old.read_bytes() == before
    assert list((tmp_path / "back").iterdir()) == [old]
