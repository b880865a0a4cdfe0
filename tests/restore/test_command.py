"""Predictions back on the scanner's grid, as SimpleITK and nibabel see it, from the records alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.transforms.io.dictionary import SaveImaged

from monai_mriprep import LoadNpzd, load_recipe, preprocess, restore
from monai_mriprep.errors import DatasetError, DiskFullError, HeaderError, MriprepWarning, OutputError, RecordError
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.write import write_volume
from monai_mriprep.restore import command
from monai_mriprep.restore.arrays import restore_array
from monai_mriprep.restore.command import restore_each
from monai_mriprep.restore.matching import Way, match_predictions
from monai_mriprep.run.manifest import Manifest
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling
from tests.oracles import SCANS, affine_of, itk_image, phantom

FORMATS = {"10_mha": ".mha", "11_nifti": ".nii.gz", "12_nii": ".nii", "13_nrrd": ".nrrd", "14_mhd": ".mhd"}
SHAPE, SPACING = (9, 17, 15), (3.3333333333333335, 1.1, 0.7)


def geometry(image: SimpleITK.Image) -> tuple:
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def assert_geometry(found: Path, expected: tuple, tolerance: float) -> None:
    size, *numbers = geometry(SimpleITK.ReadImage(str(found)))
    assert size == expected[0]
    for values, wanted in zip(numbers, expected[1:], strict=True):
        np.testing.assert_allclose(values, wanted, rtol=0, atol=tolerance)


def dice(found: SimpleITK.Image, label: SimpleITK.Image) -> float:
    """Of the foregrounds, in the world: the label's grid, whatever its axes, asks the other at its own points."""
    moved = SimpleITK.Resample(found, label, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    a, b = (SimpleITK.GetArrayFromImage(image) > 0 for image in (moved, label))
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def lesion(image: SimpleITK.Image) -> SimpleITK.Image:
    """A label on an image's grid: an ellipsoid away from the centre."""
    axes = [np.linspace(-1, 1, n) for n in image.GetSize()[::-1]]
    radius = sum((a - 0.2) ** 2 for a in np.meshgrid(*axes, indexing="ij"))
    label = SimpleITK.GetImageFromArray((radius < 0.3).astype(np.int16))
    label.CopyInformation(image)
    return label


def write_pair(root: Path, name: str, suffix: str, image: SimpleITK.Image, label: SimpleITK.Image) -> None:
    for folder, volume in (("ImagesTr", image), ("LabelsTr", label)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(volume, str(root / folder / f"{name}_{folder[:3]}{suffix}"))


def recipe_of(target: tuple[float, ...], order: int = 0, **more: object):
    settings = {"target_spacing": list(target), "order": order, **more}
    return load_recipe(None, [f"{key}={json.dumps(value)}" for key, value in settings.items()])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict[str, tuple]]:
    """One oblique scan in each format, with digits that a float32 cannot hold, preprocessed; the sources are gone."""
    root = tmp_path_factory.mktemp("made")
    facts = {}
    for seed, (name, suffix) in enumerate(FORMATS.items()):
        image = itk_image(phantom(SHAPE, seed)[0], affine_of(SPACING, 17.0 + seed, (-11.1, 1 / 3, 70.7)))
        write_pair(root / "dataset", name, suffix, image, lesion(image))
        (path,) = (root / "dataset/ImagesTr").glob(f"{name}*[!w]")
        facts[name] = geometry(SimpleITK.ReadImage(str(path)))
    assert len(preprocess(root / "dataset", root / "out", recipe_of((2.5, 0.9, 0.7)), workers=0).done) == len(FORMATS)
    shutil.move(root / "dataset", root / "elsewhere")
    return root / "out", facts


@pytest.fixture
def predictions(tmp_path) -> Path:
    (tmp_path / "predictions").mkdir()
    return tmp_path / "predictions"


def label_of(out: Path, name: str) -> np.ndarray:
    with np.load(out / "labelsTr" / f"{name}_Lab.npz") as content:
        return content["arr_0"]


def voxels(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


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


def test_a_record_from_before_the_header_was_kept(made, predictions, tmp_path):
    out, facts = made
    shutil.copytree(out, tmp_path / "old")
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    kept = [{key: value for key, value in line.items() if key != "source_header"} for line in lines]
    (tmp_path / "old/manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    summary = restore(tmp_path / "old", out / "labelsTr/10_mha_Lab.npz", tmp_path / "back")
    assert_geometry(summary.restored[0], facts["10_mha"], 1e-12)


def test_the_last_finished_record_counts_whatever_came_after(made, predictions, tmp_path):
    out, facts = made
    shutil.copytree(out, tmp_path / "out")
    manifest = Manifest(tmp_path / "out/manifest.jsonl")
    manifest.append({"event": "failed", "case": "10_mha_Ima", "error": "disk"})
    manifest.append({"event": "started", "case": "10_mha_Ima"})
    summary = restore(tmp_path / "out", out / "labelsTr", tmp_path / "back")
    assert len(summary.restored) == len(facts)


# --- Forms of a prediction --------------------------------------------------------------------------------------------


def target_image(out: Path, array: np.ndarray) -> SimpleITK.Image:
    """An array of the first case's target grid, as SimpleITK holds it; channels last."""
    record = Manifest(out / "manifest.jsonl").done()["10_mha_Ima"]
    image = itk_image(np.zeros(array.shape[:3], np.uint8), np.array(record["target_grid"]["affine"]))
    result = SimpleITK.GetImageFromArray(array, isVector=array.ndim == 4)
    result.CopyInformation(image)
    return result


def one_hot(label: np.ndarray) -> np.ndarray:
    return np.stack([label != 1, label == 1]).astype(np.float32)


def save_by_monai(out: Path, folder: Path, suffix: str) -> None:
    data = LoadNpzd(["label"])({"label": str(out / "labelsTr/10_mha_Lab.npz")})
    saver = SaveImaged(
        "label",
        output_dir=folder,
        output_postfix="",
        output_ext=suffix,
        separate_folder=False,
        resample=False,
        print_log=False,
    )
    saver(data)


WRITERS = {
    "npz": lambda out, folder, label: np.savez_compressed(folder / "10_mha_Lab.npz", label),
    "nnunet npz": lambda out, folder, label: np.savez(folder / "10_mha_Ima.npz", probabilities=one_hot(label)),
    "npy": lambda out, folder, label: np.save(folder / "10_mha_Ima.npy", label.astype(np.int64)),
    "big-endian npy with channel": lambda out, folder, label: np.save(
        folder / "10_mha_Lab.npy", label[None].astype(">i4")
    ),
    "bool npy": lambda out, folder, label: np.save(folder / "10_mha_Lab.npy", label == 1),
    "float npy": lambda out, folder, label: np.save(folder / "10_mha_Lab.npy", label.astype(np.float16)),
    "one-hot npy": lambda out, folder, label: np.save(folder / "10_mha_Lab.npy", one_hot(label)),
    **{
        f"SimpleITK {suffix}": lambda out, folder, label, suffix=suffix: SimpleITK.WriteImage(
            target_image(out, label), str(folder / f"10_mha_Lab{suffix}")
        )
        for suffix in (".mha", ".mhd", ".nrrd", ".nii.gz")
    },
    "SimpleITK vector .mha": lambda out, folder, label: SimpleITK.WriteImage(
        target_image(out, np.moveaxis(one_hot(label), 0, -1)), str(folder / "10_mha_Lab.mha")
    ),
    "SimpleITK flipped": lambda out, folder, label: SimpleITK.WriteImage(
        SimpleITK.Flip(target_image(out, label), [True, False, True]), str(folder / "10_mha_Lab.mha")
    ),
    "SimpleITK permuted": lambda out, folder, label: SimpleITK.WriteImage(
        SimpleITK.PermuteAxes(target_image(out, label), [2, 0, 1]), str(folder / "10_mha_Lab.mha")
    ),
    "SimpleITK reoriented": lambda out, folder, label: SimpleITK.WriteImage(
        SimpleITK.DICOMOrient(target_image(out, label), "SLA"), str(folder / "10_mha_Lab.nii")
    ),
    "MONAI .nii.gz": lambda out, folder, label: save_by_monai(out, folder, ".nii.gz"),
    "MONAI .mha": lambda out, folder, label: save_by_monai(out, folder, ".mha"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_every_form_of_a_prediction_gives_the_same_label(made, predictions, tmp_path, write):
    out, facts = made
    write(out, predictions, label_of(out, "10_mha")[0])
    summary = restore(out, predictions, tmp_path / "back")
    assert_geometry(summary.restored[0], facts["10_mha"], 0)
    assert summary.restored[0].suffix == ".mha"
    np.testing.assert_array_equal(voxels(summary.restored[0]), voxels(out.parent / "elsewhere/LabelsTr/10_mha_Lab.mha"))


def test_channels_are_interpolated_then_compared(made, predictions, tmp_path):
    out, facts = made
    record = Manifest(out / "manifest.jsonl").done()["10_mha_Ima"]
    way = Way.of(record)
    floats = np.random.default_rng(0).random((3, *way.target.shape), np.float32)
    np.save(predictions / "10_mha_Ima.npy", floats)
    expected = apply_plan(torch.from_numpy(floats), plan_resampling(way.target, way.source, 1))
    (path,) = restore(out, predictions, tmp_path / "classes").restored
    np.testing.assert_array_equal(voxels(path), expected.argmax(0))
    assert voxels(path).dtype == np.uint8
    (path,) = restore(out, predictions, tmp_path / "floats", probabilities=True).restored
    np.testing.assert_array_equal(np.moveaxis(voxels(path), -1, 0), expected)
    assert_geometry(path, facts["10_mha"], 0)


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


GRIDS = Grid((4, 5, 6), np.diag([1.0, 1.0, 1.0, 1.0])), Grid((2, 5, 6), np.diag([2.0, 1.0, 1.0, 1.0]))


def test_one_channel_of_floats_is_a_probability_of_the_foreground():
    chance = np.linspace(0, 1, 120, dtype=np.float32).reshape(1, 4, 5, 6)
    np.testing.assert_array_equal(restore_array(chance, *GRIDS), (chance[0, ::2] >= 0.5).astype(np.uint8))
    np.testing.assert_array_equal(restore_array(chance, *GRIDS, probabilities=True), chance[0, ::2])
    certain = restore_array(np.round(chance), *GRIDS, probabilities=True)
    assert certain.dtype == np.float32, "what is asked for does not depend on the values"


def test_exactly_one_half_is_the_foreground():
    halves = np.resize(np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0))], np.float32), (1, 4, 5, 6))
    np.testing.assert_array_equal(restore_array(halves, *GRIDS), halves[0, ::2] == 0.5)


def test_of_equal_channels_the_first_wins():
    channels = np.zeros((4, 4, 5, 6), np.float32)
    channels[1:3, :, 1:] = 1
    channels[3, :, 2:] = 1
    found = restore_array(channels, *GRIDS)
    np.testing.assert_array_equal(found, channels[:, ::2].argmax(0))  # numpy's argmax is the first, too
    assert np.unique(found).tolist() == [0, 1]


@pytest.mark.parametrize(("count", "dtype"), [(2, "uint8"), (256, "uint8"), (257, "int16"), (400, "int16")])
def test_the_type_of_an_argmax_holds_its_last_class(count, dtype):
    channels = np.zeros((count, 2, 1, 1), np.float32)
    channels[-1] = 1
    found = restore_array(channels, *[Grid((2, 1, 1), np.eye(4))] * 2)
    assert found.dtype == dtype
    assert np.unique(found).tolist() == [count - 1]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 3], "uint8"), ([0, 300], "int16"), ([-1, 3], "int16"), ([0, 70000], "int32")],
)
@pytest.mark.parametrize("stored", ["int64", "float64"])
def test_class_numbers_keep_their_values(values, dtype, stored):
    array = np.resize(np.array(values, stored), (1, 4, 5, 6))
    found = restore_array(array, *GRIDS)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array[0, ::2])


# --- Refusals ---------------------------------------------------------------------------------------------------------


def write_bad(out: Path, folder: Path) -> dict[str, str]:
    """Predictions that cannot be restored, and what is said of each."""
    label = label_of(out, "10_mha")[0]
    np.save(folder / "stranger.npy", label)
    np.save(folder / "11_nifti_Lbb.npy", label)
    np.save(folder / "11_nifti_Lab.npy", label[1:])
    np.save(folder / "11_nifti_Ima.npy", label.T)
    np.save(folder / "12_nii_Lab.npy", np.full(label.shape, np.nan))
    np.save(folder / "12_nii_Ima.npy", np.array([{}]), allow_pickle=True)
    (folder / "13_nrrd_Lab.npz").write_bytes((out / "labelsTr/13_nrrd_Lab.npz").read_bytes()[:-300])
    np.savez(folder / "13_nrrd_Ima.npz", first=label, second=label)
    np.save(folder / "14_mhd_Lab.npy", label)
    SimpleITK.WriteImage(target_image(out, label), str(folder / "14_mhd_Lab.mha"))
    moved = target_image(out, label)
    moved.SetOrigin((0.0, 0.0, 0.0))
    SimpleITK.WriteImage(moved, str(folder / "14_mhd_Ima.nii.gz"))
    return {
        "stranger.npy": "no record has an image or label with the stem 'stranger'",
        "11_nifti_Lbb.npy": "did you mean 11_nifti_Lab?",
        "11_nifti_Lab.npy": str(tuple(label[1:].shape)),
        "11_nifti_Ima.npy": "seems to be x y z",
        "12_nii_Lab.npy": "not finite",
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
    assert "stranger.npy" in done.stderr
    assert "Traceback" not in done.stderr


def test_in_python_a_refusal_is_a_warning(made, predictions, tmp_path):
    out, _ = made
    np.save(predictions / "stranger.npy", label_of(out, "10_mha")[0])
    with pytest.warns(MriprepWarning, match=r"stranger\.npy"):
        assert restore(out, predictions, tmp_path / "back").restored == ()


def test_a_damaged_volume_is_refused_as_such(made, predictions, tmp_path):
    out, _ = made
    (predictions / "10_mha_Lab.mha").write_bytes(b"no header")
    (predictions / "11_nifti_Lab.nii.gz").write_bytes(b"no header")
    damaged, nifti = restore_each(out, predictions, tmp_path / "back").refused
    assert isinstance(damaged, HeaderError)
    assert "11_nifti_Lab.nii.gz" in str(nifti)


def test_a_stem_of_two_records_is_not_guessed():
    grid = GRIDS[0]
    ways = [
        Way(case, grid, grid, Frame.of_grid(grid), ".mha", frozenset(stems))
        for case, stems in (("a_0", ("a_0", "a")), ("a", ("a", "b")), ("c", ("c", "c")))
    ]
    found = match_predictions([Path("a.npz"), Path("a_0.npz"), Path("c.npy")], ways)
    assert [match.way and match.way.case for match in found] == [None, "a_0", "c"]
    assert "two cases, a_0 and a" in found[0].problem


@pytest.mark.parametrize("array", [np.full((1, 4, 5, 6), 2.5), np.full((1, 4, 5, 6), -0.5), np.ones((2, 4, 5, 6), int)])
def test_values_that_could_be_anything_are_refused(array):
    with pytest.raises(ValueError, match="class numbers"):
        restore_array(array, *GRIDS)


def test_nothing_to_do_is_an_error(made, predictions, tmp_path):
    out, _ = made
    with pytest.raises(DatasetError, match="holds no prediction"):
        restore(out, predictions, tmp_path / "back")
    with pytest.raises(DatasetError, match="cannot be listed"):
        restore(out, predictions / "nowhere", tmp_path / "back")
    with pytest.raises(RecordError, match="no finished case"):
        restore(tmp_path, predictions, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_record_that_is_not_whole_is_named():
    with pytest.raises(RecordError, match="case 10_x"):
        Way.of({"case": "10_x", "source_grid": {}})


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["predictions", "out", "out/imagesTr", "out/labelsTr/new", "data/LabelsTr"])
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


@pytest.mark.parametrize("suffix", [".mha", ".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_what_is_written_is_read_by_simpleitk(tmp_path, suffix, dtype):
    array = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(dtype)
    grid = Grid(array.shape, affine_of((2.0, 0.7, 0.8), 25.0, (1.0, -2.0, 3.0)))
    write_volume(tmp_path / f"v{suffix}", array, Frame.of_grid(grid))
    found = SimpleITK.ReadImage(str(tmp_path / f"v{suffix}"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(found), array)
    expected = geometry(itk_image(array, grid.affine))
    assert_geometry(tmp_path / f"v{suffix}", expected, 1e-5 if ".nii" in suffix else 1e-12)
