"""Images of several channels from end to end: in every layout, by every way, the same bits.

Each channel is what a run makes of its file alone, and no channel changes another.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor
from monai.transforms import Invertd

from monai_mriprep import Recipe, build_transforms, load_recipe, open_dataset, preprocess, restore
from monai_mriprep.errors import DatasetError, OutputError
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.session import RunSummary
from monai_mriprep.transforms import LoadVolumed
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.repair import repair_output
from tests.hostile import command
from tests.oracles import affine_of, read
from tests.restore.files import assert_geometry, geometry
from tests.runs import counts, done_records, errors_of, outputs

CASES = ("10000_0001", "10000_0002")
BRATS = ("t1", "t1ce", "t2", "flair")
HIGHEST = (900, 30, 12000, 255)
"""Of the intensities of each channel: none would survive the moments or the limits of another."""
GRIDS = {"10000_0001": ((6, 10, 12), (3.0, 1.1, 1.0)), "10000_0002": ((8, 9, 11), (2.5, 0.9, 1.2))}
TARGET = {"target_spacing": (2.8, 1.3, 0.8)}


# --- Datasets ---------------------------------------------------------------------------------------------------------


def affine(case: str) -> np.ndarray:
    return affine_of(GRIDS[case][1], 12, (10, -20, 30.25))


def channel(case: str, number: int) -> np.ndarray:
    """Noise, 0 where there is air: more of it in each channel."""
    rng = np.random.default_rng([CASES.index(case), number])
    voxels = rng.integers(1, HIGHEST[number] + 1, GRIDS[case][0]).astype(np.int16)
    voxels[:, : 1 + number] = 0
    return voxels


def label(case: str) -> np.ndarray:
    voxels = np.zeros(GRIDS[case][0], np.uint8)
    voxels[2:5, 3:8, 2:9] = 1
    voxels[3:, 5:, 5:] = 2
    return voxels


def save(path: Path, array: np.ndarray, place: np.ndarray) -> None:
    """NIfTI, with channels along a fourth dimension if there are any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.T, place[:, [2, 1, 0, 3]]), path)


def declare(root: Path, **facts: Any) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "a": 1, "b": 2}, **facts}))


def write_images(layout: str, folder: Path, count: int, cases: Sequence[str] = CASES) -> None:
    """The images of a layout: a file a channel, named by numbers or names, or one of all."""
    for case in cases:
        arrays = [channel(case, number) for number in range(count)]
        if layout in ("4-D", "Decathlon"):
            save(folder / f"{case}.nii.gz", np.stack(arrays), affine(case))
            continue
        for number, array in enumerate(arrays):
            name = f"{case}/{case}_{BRATS[number]}" if layout == "BraTS" else f"{case}_{number:04}"
            save(folder / f"{name}.nii.gz", array, affine(case))


def write_dataset(layout: str, root: Path, count: int) -> tuple[Path, dict[str, Any]]:
    """A dataset of two cases, and the keys of the recipe that it needs."""
    write_images(layout, root if layout == "BraTS" else root / "imagesTr", count)
    for case in CASES:
        place = f"{case}/{case}_seg.nii.gz" if layout == "BraTS" else f"labelsTr/{case}.nii.gz"
        save(root / place, label(case), affine(case))
    names = {str(number): name for number, name in enumerate(BRATS[:count])}
    if layout == "nnU-Net":
        declare(root, channel_names=names, file_ending=".nii.gz")
    if layout == "Decathlon":
        declare(root, modality=names)
    return root, {"channels": BRATS[:count]} if layout in ("BraTS", "4-D") else {}


KEYS: dict[str, dict[str, Any]] = {
    "default": {},
    "native": {"normalization": {"foreground": "native"}},
    "resampled": {"normalization": {"foreground": "resampled"}},
    "percentile": {"intensity": "percentile"},
    "none": {"intensity": "none"},
    "clip": {"clip": True, "grid": "nnunet", "boundary": "mirror"},
    "orders": {"order": (0, 1, 3), "grid": "itk"},
    "turned": {"orientation": "RAS"},
}


def volumes(output: Path) -> dict[str, np.ndarray]:
    """The arrays of a folder by the names of their files."""
    found = sorted(output.glob("*/*.npz"))
    return {path.relative_to(output).as_posix(): np.load(path)["arr_0"] for path in found}


def assert_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], name, strict=True)


def alone(root: Path, count: int, **keys: Any) -> list[dict[str, np.ndarray]]:
    """What runs make of each channel alone."""
    found = []
    for number in range(count):
        for case in CASES:
            save(root / f"{number}/ImagesTr/{case}.nii.gz", channel(case, number), affine(case))
            save(root / f"{number}/LabelsTr/{case}.nii.gz", label(case), affine(case))
        assert not preprocess(root / str(number), root / f"out_{number}", Recipe(**TARGET, **keys), workers=0).failed
        found.append(volumes(root / f"out_{number}"))
    return found


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> list[dict[str, np.ndarray]]:
    """What the default recipe makes of each channel alone."""
    return alone(tmp_path_factory.mktemp("alone"), len(BRATS))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """``data`` in the layout of BraTS, two channels, and what was made of it, ``out``."""
    root = tmp_path_factory.mktemp("made")
    _, keys = write_dataset("BraTS", root / "data", 2)
    preprocess(root / "data", root / "out", Recipe(**TARGET, **keys), workers=0)
    return root


@pytest.fixture
def place(made, tmp_path) -> Path:
    """A copy that a test may change; no file gets another time."""
    for name in ("data", "out"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


TWO = Recipe(**TARGET, channels=("t1", "t1ce"))


def run(place: Path, recipe: Recipe = TWO, **options: Any) -> RunSummary:
    """The dataset of ``place`` once more."""
    return preprocess(place / "data", place / "out", recipe, workers=0, **options)


def names(results) -> list[str]:
    return sorted(result.case for result in results)


# --- One result by every way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "count"), [("nnU-Net", 2), ("nnU-Net", 4), ("BraTS", 4), ("4-D", 2), ("Decathlon", 4), ("numbered", 2)]
)
def test_each_channel_is_what_its_file_gives_alone_by_every_way(tmp_path, reference, layout, count):
    root, keys = write_dataset(layout, tmp_path / "data", count)
    recipe, out = Recipe(**TARGET, **keys), tmp_path / "out"
    assert names(preprocess(root, out, recipe, workers=0).done) == list(CASES)
    found = volumes(out)
    for name, array in found.items():
        expected = [channel[name] for channel in reference[: count if name.startswith("images") else 1]]
        np.testing.assert_array_equal(array, np.concatenate(expected), name, strict=True)
    assert preprocess(root, out, recipe, workers=0).skipped
    assert verify_output(out).findings == ()

    on_the_fly(root, recipe, out)
    write_images(layout, tmp_path / "tests", count)
    assert names(preprocess(tmp_path / "tests", tmp_path / "out_of_tests", workers=0, like=out).done) == list(CASES)
    tests = {name.replace("Tr", "Ts"): array for name, array in found.items() if name.startswith("images")}
    assert_equal(volumes(tmp_path / "out_of_tests"), tests)
    assert verify_output(tmp_path / "out_of_tests").findings == ()
    told = [json.loads((folder / "dataset.json").read_text()) for folder in (out, tmp_path / "out_of_tests")]
    numbers = [f"{number:04}" for number in range(count)] if layout == "numbered" else BRATS[:count]
    assert [facts["channel_names"] for facts in told] == [dict(zip("0123", numbers, strict=False))] * 2


def on_the_fly(root: Path, recipe: Recipe, out: Path) -> None:
    """The same bits without a run, and a prediction back on the grid of the scan as `restore` takes it there."""
    items, transforms, _ = open_dataset(root, recipe)
    assert len(items) == len(CASES)
    predictions, expected = out.with_name("predictions"), volumes(out)
    predictions.mkdir(exist_ok=True)
    for case, item in zip(CASES, items, strict=True):
        found = transforms(item)
        np.testing.assert_array_equal(found["image"], expected[f"imagesTr/{case}.npz"], strict=True)
        np.testing.assert_array_equal(found["label"], expected[f"labelsTr/{case}.npz"], strict=True)
        np.save(predictions / f"{case}.npy", found["label"].numpy())
        restored = restore(out, predictions / f"{case}.npy", out.with_name("restored")).restored
        back = Invertd("prediction", transforms, "image", nearest_interp=True)({**found, "prediction": found["label"]})
        array, place = read(restored[0])
        np.testing.assert_array_equal(back["prediction"][0], array)
        np.testing.assert_allclose(back["prediction"].affine, affine(case), atol=1e-5)
        np.testing.assert_allclose(place, affine(case), atol=1e-5)


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.stress)])
def test_workers_make_the_same_files(place, workers):
    preprocess(place / "data", place / "by_workers", TWO, workers=workers)
    assert outputs(place / "by_workers") == outputs(place / "out")


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_no_channel_changes_another_whatever_the_recipe(tmp_path, keys):
    """Moments, limits and percentiles are those of the channel."""
    root, channels = write_dataset("BraTS", tmp_path / "data", 2)
    recipe, out = Recipe(**TARGET, **channels, **keys), tmp_path / "out"
    assert not preprocess(root, out, recipe, workers=0).failed
    found, expected = volumes(out), alone(tmp_path, 2, **keys)
    for case in CASES:
        name = f"imagesTr/{case}.npz"
        np.testing.assert_array_equal(found[name], np.concatenate([of_one[name] for of_one in expected]), strict=True)
    on_the_fly(root, recipe, out)
    assert verify_output(out).findings == ()


def test_a_crop_keeps_what_is_not_zero_in_any_channel(tmp_path):
    """Their union: the second channel begins where the first is empty, and ends before it."""
    root, channels = write_dataset("BraTS", tmp_path / "data", 2)
    case, voxels = CASES[0], np.zeros((2, *GRIDS[CASES[0]][0]), np.int16)
    voxels[0, 1:4, 2:6, 3:7] = 5
    voxels[1, 2:5, 4:9, 1:5] = 7
    for name, array in zip(BRATS, voxels, strict=False):
        save(root / f"{case}/{case}_{name}.nii.gz", array, affine(case))
    recipe = Recipe(target_spacing=GRIDS[case][1], **channels, crop="nonzero", intensity="none")
    preprocess(root, tmp_path / "out", recipe, workers=0)
    found = np.load(tmp_path / f"out/imagesTr/{case}.npz")["arr_0"]
    np.testing.assert_array_equal(found, voxels[:, 1:5, 2:9, 1:7])
    np.save(tmp_path / f"{case}.npy", found[0].astype(np.uint8))
    restore(tmp_path / "out", tmp_path / f"{case}.npy", tmp_path / "restored")
    back, _ = read(tmp_path / f"restored/{case}.nii.gz")
    np.testing.assert_array_equal(back, voxels[0])


@pytest.mark.parametrize("keys", [{}, {"orientation": "LPI", "crop": "nonzero", "crop_margin": 2.0}])
def test_restore_and_invertd_take_a_prediction_to_the_same_voxels(tmp_path, keys):
    root, channels = write_dataset("BraTS", tmp_path / "data", 4)
    recipe = Recipe(**TARGET, **channels, **keys)
    preprocess(root, tmp_path / "out", recipe, workers=0)
    items, transforms, _ = open_dataset(root, recipe)
    (tmp_path / "predictions").mkdir()
    expected = {}
    for case, item in zip(CASES, items, strict=True):
        found = transforms(item)
        logits = np.random.default_rng(1).normal(size=(3, *found["image"].shape[1:])).astype(np.float32)
        prediction = MetaTensor(torch.from_numpy(logits), meta=found["image"].meta)
        prediction.applied_operations = found["image"].applied_operations
        back = Invertd("prediction", transforms, "image", nearest_interp=False)({**found, "prediction": prediction})
        expected[case] = back["prediction"].numpy().argmax(0)
        np.save(tmp_path / f"predictions/{case}.npy", logits)
    assert restore(tmp_path / "out", tmp_path / "predictions", tmp_path / "restored").refused == ()
    for case in CASES:
        path, source = tmp_path / f"restored/{case}.nii.gz", root / f"{case}/{case}_t1.nii.gz"
        np.testing.assert_array_equal(read(path)[0], expected[case])
        assert_geometry(path, geometry(SimpleITK.ReadImage(str(source))), 1e-6)


# --- Grids ------------------------------------------------------------------------------------------------------------


def move_a_channel(place: Path) -> Path:
    """Put the second channel of the first case on a coarser, shifted grid."""
    case = CASES[0]
    path = place / f"data/{case}/{case}_t1ce.nii.gz"
    elsewhere = affine(case) @ np.array([[1.5, 0, 0, -0.2], [0, 1, 0, 0.5], [0, 0, 2, 0], [0, 0, 0, 1]])
    save(path, np.random.default_rng(3).integers(1, 900, (5, 10, 7)).astype(np.int16), elsewhere)
    return path


def test_a_channel_on_another_grid_fails_by_name(place):
    path = move_a_channel(place)
    summary = run(place)
    assert (names(summary.failed), summary.skipped) == ([CASES[0]], (CASES[1],))
    error = errors_of(place / "out")[CASES[0]]
    assert str(path) in error
    assert "channel 1" in error
    assert "geometry: resample" in error
    status, text = command("check", place / "data", "--channels", "t1,t1ce", "--target", "2.8,1.3,0.8")
    assert status == 1
    assert f"channels lie on another grid than the first channel in 1 case: {CASES[0]}; `geometry: resample`" in text


def test_a_channel_on_another_grid_is_put_on_that_of_the_first(place):
    """As its file would be, were it put there before."""
    path = move_a_channel(place)
    first = path.with_name(path.name.replace("t1ce", "t1"))
    recipe = Recipe(**TARGET, channels=("t1", "t1ce"), geometry="resample")
    preprocess(place / "data", place / "moved", recipe, workers=0)
    on_the_fly(place / "data", recipe, place / "moved")
    both = LoadVolumed("image", channels=2, geometry="resample")({"image": [str(first), str(path)]})["image"]
    save(path, both[1].numpy(), affine(CASES[0]))
    preprocess(place / "data", place / "put", TWO, workers=0)
    assert_equal(volumes(place / "moved"), volumes(place / "put"))


def test_a_channel_that_does_not_meet_the_first_fails_by_name(place):
    path = move_a_channel(place)
    far = affine(CASES[0])
    far[:3, 3] += 1000
    save(path, channel(CASES[0], 1), far)
    recipe = Recipe(**TARGET, channels=("t1", "t1ce"), geometry="resample")
    assert names(preprocess(place / "data", place / "moved", recipe, workers=0).failed) == [CASES[0]]
    assert f"{path}: channel 1 lies beside channel 0" in errors_of(place / "moved")[CASES[0]]


# --- Values -----------------------------------------------------------------------------------------------------------

TYPES = {
    "int32 and float32": (("int32", 2_000_000_000), ("float32", 10)),
    "uint32 and int16": (("uint32", 4_000_000_000), ("int16", 30)),
    "uint8 and float64": (("uint8", 255), ("float64", 3)),
    "uint16 and uint8": (("uint16", 65000), ("uint8", 9)),
}


@pytest.mark.parametrize("kinds", TYPES.values(), ids=TYPES)
def test_the_number_type_of_a_channel_does_not_change_another(tmp_path, kinds):
    case, rng = CASES[0], np.random.default_rng(0)
    save(tmp_path / f"both/{case}/{case}_seg.nii", label(case), affine(case))
    expected = []
    for name, (dtype, high) in zip(BRATS, kinds, strict=False):
        voxels = rng.integers(1, high, GRIDS[case][0]) * (1.001 if dtype.startswith("float") else 1)
        save(tmp_path / f"{name}/ImagesTr/{case}.nii", voxels.astype(dtype), affine(case))
        save(tmp_path / f"{name}/LabelsTr/{case}.nii", label(case), affine(case))
        shutil.copy(tmp_path / f"{name}/ImagesTr/{case}.nii", tmp_path / f"both/{case}/{case}_{name}.nii")
        preprocess(tmp_path / name, tmp_path / f"out_{name}", Recipe(**TARGET), workers=0)
        expected.append(volumes(tmp_path / f"out_{name}")[f"imagesTr/{case}.npz"])
    preprocess(tmp_path / "both", tmp_path / "out", TWO, workers=0)
    found = volumes(tmp_path / "out")[f"imagesTr/{case}.npz"]
    np.testing.assert_array_equal(found, np.concatenate(expected), strict=True)


def test_an_empty_channel_is_kept_with_a_warning_and_one_that_is_not_finite_fails_by_name(place):
    empty, broken = (place / f"data/{case}/{case}_t1ce.nii.gz" for case in CASES)
    save(empty, np.zeros(GRIDS[CASES[0]][0], np.int16), affine(CASES[0]))
    voxels = channel(CASES[1], 1).astype(np.float32)
    voxels[2, 3, 4] = np.nan
    save(broken, voxels, affine(CASES[1]))
    summary = run(place)
    ((done,), (failed,)) = summary.done, summary.failed
    assert "the foreground of channel 1 is empty" in done.warnings[0]
    assert f"{broken}: 1 of" in failed.error
    assert not np.load(place / f"out/imagesTr/{CASES[0]}.npz")["arr_0"][1].any()


def test_channels_of_preprocessed_files_go_back_the_same_way(made, tmp_path):
    transforms = build_transforms(source="npz")
    for case in CASES:
        paths = {"image": f"imagesTr/{case}.npz", "label": f"labelsTr/{case}.npz"}
        found = transforms({role: str(made / "out" / path) for role, path in paths.items()})
        assert found["image"].shape[0] == 2
        back = Invertd("prediction", transforms, "image", nearest_interp=True)({**found, "prediction": found["label"]})
        np.save(tmp_path / f"{case}.npy", found["label"].numpy())
        (restored,) = restore(made / "out", tmp_path / f"{case}.npy", tmp_path / "restored").restored
        np.testing.assert_array_equal(back["prediction"][0], read(restored)[0])


@pytest.mark.parametrize(("trained", "tested"), [("BraTS", "4-D"), ("4-D", "numbered")])
def test_a_test_set_may_be_laid_out_otherwise(tmp_path, trained, tested):
    root, keys = write_dataset(trained, tmp_path / "data", 2)
    preprocess(root, tmp_path / "out", Recipe(**TARGET, **keys), workers=0)
    write_images(tested, tmp_path / "images", 2)
    preprocess(tmp_path / "images", tmp_path / "tests", workers=0, like=tmp_path / "out")
    found, expected = volumes(tmp_path / "tests"), volumes(tmp_path / "out")
    assert list(found) == [f"imagesTs/{case}.npz" for case in CASES]
    for case in CASES:
        np.testing.assert_array_equal(found[f"imagesTs/{case}.npz"], expected[f"imagesTr/{case}.npz"], strict=True)


# --- What is missing or changed ---------------------------------------------------------------------------------------


def test_a_missing_channel_fails_by_name_until_it_is_there(place):
    path = place / f"data/{CASES[1]}/{CASES[1]}_t1ce.nii.gz"
    path.rename(place / "away.nii.gz")
    arguments = (place / "data", place / "new", "--channels", "t1,t1ce", "--target", "2.8,1.3,0.8")
    status, text = command("run", *arguments, "-w", 0)
    assert (status, counts(text)) == (1, {"done": 1, "failed": 1})
    assert str(path) in errors_of(place / "new")[CASES[1]]
    (place / "away.nii.gz").rename(path)
    status, text = command("run", *arguments, "-w", 0)
    assert (status, counts(text)) == (0, {"done": 1, "already done": 1})
    assert_equal(volumes(place / "new"), volumes(place / "out"))


@pytest.mark.parametrize("layout", ["BraTS", "numbered"])
def test_unequal_counts_that_nothing_declares_start_no_run(tmp_path, layout):
    root, _ = write_dataset(layout, tmp_path / "data", 2)
    images = sorted((root / CASES[1] if layout == "BraTS" else root / "imagesTr").glob(f"{CASES[1]}_*"))
    next(path for path in images if "t1ce" in path.name or "0001.nii" in path.name[len(CASES[1]) :]).unlink()
    status, text = command("run", root, tmp_path / "out", "--target", "2.8,1.3,0.8")
    assert status == 2
    assert "nothing declares the channels" in text
    assert "--channels " in text
    assert not (tmp_path / "out").exists()


def touch_alike(root: Path) -> None:
    """Give all files one time, as an archive does that keeps seconds; uncompressed, they have one size, too."""
    for path in root.rglob("*.nii*"):
        os.utime(path, ns=(10**18, 10**18))


def test_channels_in_another_order_are_not_taken_for_done(tmp_path):
    """Though the files of all channels are of one size and time."""
    root = tmp_path / "data"
    for case in CASES:
        for number, name in enumerate(BRATS[:2]):
            save(root / f"{case}/{case}_{name}.nii", channel(case, number), affine(case))
        save(root / f"{case}/{case}_seg.nii", label(case), affine(case))
    touch_alike(root)
    assert len(run(tmp_path).done) == 2
    turned = Recipe(**TARGET, channels=("t1ce", "t1"))
    with pytest.raises(OutputError, match=r"changed: channels: \['t1', 't1ce'\] -> \['t1ce', 't1'\].*--redo"):
        run(tmp_path, turned)
    before = volumes(tmp_path / "out")
    assert names(run(tmp_path, turned, redo=True).done) == list(CASES)
    for name, array in volumes(tmp_path / "out").items():
        np.testing.assert_array_equal(array, before[name][::-1])


def test_a_changed_source_of_any_channel_is_done_again(place):
    save(place / f"data/{CASES[1]}/{CASES[1]}_t1ce.nii.gz", channel(CASES[1], 2), affine(CASES[1]))
    summary = run(place)
    assert (names(summary.done), summary.skipped) == ([CASES[1]], (CASES[0],))


def test_another_number_of_channels_stops_the_run(place):
    with pytest.raises(OutputError, match="changed: channels"):
        run(place, Recipe(**TARGET, channels=("t1",)))


# --- What is recorded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["manifest.jsonl", "a line"])
def test_records_of_channels_are_rebuilt(place, lost):
    manifest = place / "out/manifest.jsonl"
    if lost == "a line":
        manifest.write_bytes(manifest.read_bytes().replace(b'"t1ce.nii', b'"t9ce.nii').replace(b"ce.nii", b"cx.nii"))
    else:
        manifest.unlink()
    assert sorted(repair_output(place / "out").rebuilt) == list(CASES)
    before = {case: record.foreground for case, record in done_records(place / "out").items()}
    np.save(place / f"{CASES[0]}.npy", np.zeros(done_records(place / "out")[CASES[0]].target_grid.shape, np.uint8))
    assert len(restore(place / "out", place / f"{CASES[0]}.npy", place / "restored").restored) == 1
    assert names(run(place).done) == list(CASES), "a rebuilt record does not know whether its sources changed"
    assert {case: record.foreground for case, record in done_records(place / "out").items()} == before
    assert verify_output(place / "out").findings == ()


def test_the_table_lists_sources_and_moments_of_each_channel(place):
    with (place / "out/manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == list(CASES)
    for row in rows:
        files = [Path(path).name for path in row["source_image"].split("; ")]
        assert files == [f"{row['case']}_t1.nii.gz", f"{row['case']}_t1ce.nii.gz"]
        found = done_records(place / "out")[row["case"]].foreground
        for name in ("mean", "std", "voxels"):
            assert tuple(map(float, row[f"foreground_{name}"].split())) == getattr(found, name)
        assert found.mean[0] > 300 > 30 > found.mean[1]


def test_predictions_are_named_by_the_case_or_any_of_its_files(place):
    shape = done_records(place / "out")[CASES[0]].target_grid.shape
    (place / "predictions").mkdir()
    for name in (CASES[0], f"{CASES[0]}_t1ce", f"{CASES[0]}_seg"):
        np.save(place / f"predictions/{name}.npy", np.zeros(shape, np.uint8))
    assert len(restore(place / "out", place / "predictions", place / "restored").restored) == 3


def test_check_reads_all_channels(place):
    arguments = ("check", place / "data", "--channels", "t1,t1ce", "--target", "2.8,1.3,0.8")
    for more in ((), ("--voxels",)):
        status, text = command(*arguments, *more)
        assert (status, "2 of 2 cases can be preprocessed" in text) == (0, True), text
    path = place / f"data/{CASES[0]}/{CASES[0]}_t1ce.nii.gz"
    path.write_bytes(path.read_bytes()[:-50])
    status, text = command(*arguments, "--voxels")
    assert (status, str(path) in text) == (1, True)


@pytest.mark.parametrize("layout", ["BraTS", "4-D"])
def test_check_names_the_channel_that_is_empty(tmp_path, layout):
    root, keys = write_dataset(layout, tmp_path / "data", 3)
    arrays = [channel(CASES[0], number) * (number != 1) for number in range(3)]
    if layout == "4-D":
        save(root / f"imagesTr/{CASES[0]}.nii.gz", np.stack(arrays), affine(CASES[0]))
    else:
        save(root / f"{CASES[0]}/{CASES[0]}_t1ce.nii.gz", arrays[1], affine(CASES[0]))
    report = check_dataset(root, Recipe(**TARGET, **keys), voxels=True)
    assert [case.warnings for case in report.cases] == [
        ("channel 1: the image is 0 everywhere: it has no foreground, and is left as it is",),
        (),
    ]


@pytest.mark.parametrize("layout", ["4-D", "Decathlon"])
def test_check_reads_channels_of_one_file(tmp_path, layout):
    root, keys = write_dataset(layout, tmp_path / "data", 2)
    options = ["--channels", ",".join(keys["channels"])] if keys else []
    for more in ([], ["--voxels"]):
        status, text = command("check", root, *options, *more)
        assert "2 of 2 cases can be preprocessed" in text
        assert status == 0, text


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["BraTS", "4-D"])
def test_a_label_of_several_volumes_fails_by_name(tmp_path, layout):
    root, keys = write_dataset(layout, tmp_path / "data", 2)
    path = root / (f"{CASES[0]}/{CASES[0]}_seg.nii.gz" if layout == "BraTS" else f"labelsTr/{CASES[0]}.nii.gz")
    save(path, np.stack([label(CASES[0])] * 2), affine(CASES[0]))
    summary = preprocess(root, tmp_path / "out", Recipe(**TARGET, **keys), workers=0)
    assert (names(summary.failed), names(summary.done)) == ([CASES[0]], [CASES[1]])
    assert f"{path}: 4 dimensions" in errors_of(tmp_path / "out")[CASES[0]]


@pytest.mark.parametrize("count", [2, 4])
def test_a_file_of_another_number_of_channels_fails_by_name(tmp_path, count):
    root, _ = write_dataset("4-D", tmp_path / "data", count)
    summary = preprocess(root, tmp_path / "out", Recipe(**TARGET, channels=BRATS[:3]), workers=0)
    assert names(summary.failed) == list(CASES)
    assert str(root / f"imagesTr/{CASES[0]}.nii.gz") in errors_of(tmp_path / "out")[CASES[0]]


def test_a_test_set_that_lacks_a_channel_everywhere_is_refused(place):
    write_images("numbered", place / "tests", 1)
    with pytest.raises(DatasetError, match="not one image is of the channel t1ce"):
        preprocess(place / "tests", place / "new", workers=0, like=place / "out")


def test_channels_of_the_command_line_are_those_of_the_recipe(made, tmp_path):
    recipe = load_recipe(None, ["target_spacing=[2.8, 1.3, 0.8]", "channels=[t1, t1ce]"])
    assert recipe == TWO
    status, _ = command(
        "run", made / "data", tmp_path / "out", "-w", 0, "--channels", "t1,t1ce", "--target", "2.8,1.3,0.8"
    )
    assert status == 0
    assert outputs(tmp_path / "out") == outputs(made / "out")
