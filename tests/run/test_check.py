"""What `check` knows before a run, with and without the voxels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.cohort.case import Suspect
from monai_mriprep.dataset.voxel_summary import count_values, summarize_label
from monai_mriprep.errors import DatasetError, MriprepError
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.plan import plan_run
from monai_mriprep.steps import Step, register_step
from tests.layouts import write_layout

SHAPE, SPACING = (4, 8, 9), (3.0, 1.0, 1.0)


def write_pair(root: Path, case: str, image: np.ndarray | None = None, label: np.ndarray | None = None, **geometry):
    rng = np.random.default_rng(sum(map(ord, case)))
    image = rng.integers(1, 99, SHAPE, np.int16) if image is None else image
    label = rng.integers(0, 3, SHAPE, np.int16) if label is None else label
    for folder, name, array, where in (
        ("ImagesTr", f"{case}_0000", image, {}),
        ("LabelsTr", case, label, geometry),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        write_metaimage(root / folder / f"{name}.mha", array, **{"spacing": SPACING, **where})


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for case in ("10000_0001", "10001_0001"):
        write_pair(tmp_path / "dataset", case)
    (tmp_path / "dataset/mri_statistics.csv").write_text(
        "median_spacing,10th_percentile_spacing\n[3 1 1],[1.5 1 1]\n", encoding="utf-8"
    )
    return tmp_path / "dataset"


def test_all_is_well(dataset):
    report = check_dataset(dataset, voxels=True)
    assert report.status == "ready"
    assert [case.case for case in report.cases] == ["10000_0001_0000", "10001_0001_0000"]
    assert report.target_spacing == (1.5, 1, 1)
    assert [count.cases for count in report.classes] == [2, 2, 2]
    assert sum(count.voxels for count in report.classes) == 2 * np.prod(SHAPE)


def test_predictions_are_those_of_the_run(dataset, tmp_path):
    report = check_dataset(dataset, output_root=tmp_path / "out")
    planned = {case.name: case for case in plan_run(dataset, tmp_path / "out").cases}
    for case in report.cases:
        assert case.target_shape == (7, 8, 9)
        assert case.memory_bytes == planned[case.case].memory_bytes > 0
        assert np.prod(case.target_shape) == planned[case.case].output_voxels
    assert report.needs.output_bytes == sum(case.output_bytes for case in report.cases)
    assert not (tmp_path / "out").exists()


@register_step
class EveryOtherRow(Step):
    """A step from outside, which changes the grid: every other row, y."""

    name = "check_every_other_row"

    def grid(self, grid, params=None):
        affine = grid.affine.copy()
        affine[:3, 1] *= 2
        return type(grid)((grid.shape[0], (grid.shape[1] + 1) // 2, grid.shape[2]), affine)


def test_a_step_from_outside_is_in_the_estimate(dataset):
    """The same as of files that were made so before, but for the memory of the volumes as stored."""
    (dataset / "mri_statistics.csv").unlink()
    ours = check_dataset(dataset, Recipe(steps=["check_every_other_row"]))
    for folder in ("ImagesTr", "LabelsTr"):
        for path in (dataset / folder).iterdir():
            write_metaimage(path, np.ones((4, 4, 9), np.int16), (3.0, 2.0, 1.0))
    theirs = check_dataset(dataset)
    assert ours.target_spacing == theirs.target_spacing == (3, 2, 1)
    for one, other in zip(ours.cases, theirs.cases, strict=True):
        assert one.target_shape == other.target_shape == (4, 4, 9)
        assert (one.native_grid, one.output_bytes) == (other.native_grid, other.output_bytes)
        assert one.grid.shape == SHAPE
        assert one.memory_bytes > other.memory_bytes


def problems_of(root: Path, recipe: Recipe | None = None, case: int = -1) -> str:
    return " | ".join(check_dataset(root, recipe, voxels=True).cases[case].problems)


BAD_LABELS = {
    "fractional": (np.full(SHAPE, 0.5, np.float32), "the label has 288 fractional voxels"),
    "too large": (np.full(SHAPE, 40000, np.int32), "largest value is 40000, over 32767"),
    "absurd": (np.full(SHAPE, 1e30, np.float32), "over 32767"),
    "not finite": (np.full(SHAPE, np.nan, np.float32), "288 of 288 voxels are not finite"),
}


@pytest.mark.parametrize(("label", "problem"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_labels_that_would_fail(dataset, label, problem):
    write_pair(dataset, "10002_0001", label=label)
    assert problem in problems_of(dataset)
    assert check_dataset(dataset).status == "ready", "headers alone cannot know"
    assert check_dataset(dataset, voxels=True).status == "attention"


ODD = {
    "negative": ({"label": np.full(SHAPE, -3, np.int16)}, "288 negative label voxels (down to -3) will become 0"),
    "intensities": ({"label": np.arange(288, dtype=np.int16).reshape(SHAPE)}, "288 different values"),
    "constant": ({"image": np.full(SHAPE, 7, np.int16)}, "288 non-zero voxels of the image have one value"),
    "black": ({"image": np.zeros(SHAPE, np.int16)}, "0 everywhere"),
}


@pytest.mark.parametrize(("arrays", "warning"), ODD.values(), ids=ODD)
def test_voxels_to_look_at(dataset, arrays, warning):
    write_pair(dataset, "10002_0001", **arrays)
    report = check_dataset(dataset, voxels=True)
    assert report.status == "attention"
    assert len(report.ready) == 3
    assert warning in " | ".join(report.cases[-1].warnings)


def test_geometry_is_checked_without_voxels(dataset):
    write_pair(dataset, "10002_0001", spacing=(3.0, 1.0, 2.0))
    (problem,) = check_dataset(dataset).cases[-1].problems
    assert "differ in spacing" in problem
    assert check_dataset(dataset, Recipe(geometry="resample_label")).status == "ready"


@pytest.mark.parametrize(("origin", "share"), [((0, 0, 50.0), "100%"), ((0, 0, 8.0), "72%")])
def test_a_label_elsewhere_is_a_suspect_and_nothing_is_said_twice(dataset, origin, share):
    write_pair(dataset, "10002_0001", origin=origin)
    report = check_dataset(dataset, Recipe(geometry="resample_label"), voxels=True)
    reason = f"{share} of the label lies outside of the body, in air or beyond the scan"
    assert report.suspects == (Suspect("10002_0001_0000", "label_outside", reason),)
    assert report.cases[-1].warnings == ()
    assert report.status == "attention"


def test_a_label_that_is_cut_off_a_little(dataset):
    write_pair(dataset, "10002_0001", origin=(0, 2.1, 0))
    report = check_dataset(dataset, Recipe(geometry="resample_label"), voxels=True)
    assert report.suspects == ()
    assert report.cases[-1].warnings == ("what the label marks reaches beyond the image, which cuts it off",)


def test_an_empty_label_is_a_suspect_unless_many_are_empty(dataset):
    write_pair(dataset, "10002_0001", label=np.zeros(SHAPE, np.int16))
    report = check_dataset(dataset, voxels=True)
    assert report.suspects == (Suspect("10002_0001_0000", "label_empty", "the label holds no class, only background"),)
    for number in range(3, 7):
        write_pair(dataset, f"1000{number}_0001", label=np.zeros(SHAPE, np.int16))
    report = check_dataset(dataset, voxels=True)
    assert "label_empty" not in {suspect.kind for suspect in report.suspects}
    (warning,) = report.warnings
    assert warning.startswith("5 of 7 labels hold no class, only background: 10002_0001_0000, ")


def test_a_case_that_cannot_be_read_is_a_suspect(dataset):
    (dataset / "LabelsTr/10001_0001.mha").write_bytes(b"")
    report = check_dataset(dataset, voxels=True)
    (suspect,) = report.suspects
    assert (suspect.case, suspect.kind) == ("10001_0001_0000", "failed")
    assert suspect.reason == report.cases[1].problems[0]
    assert check_dataset(dataset).suspects == ()


def test_unreadable_files_are_named_and_the_rest_is_judged(dataset):
    (dataset / "ImagesTr/10002_0001_0000.mha").write_bytes(b"")
    write_pair(dataset, "10003_0001")
    (dataset / "LabelsTr/10002_0001.mha").symlink_to("10002_0001.mha")
    damaged = dataset / "ImagesTr/10003_0001_0000.mha"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    report = check_dataset(dataset, voxels=True)
    empty, truncated = (" | ".join(case.problems) for case in report.cases[-2:])
    assert "10002_0001_0000.mha: the file is empty" in empty
    assert "LabelsTr/10002_0001.mha" in empty
    assert "10003_0001_0000.mha" in truncated
    assert len(report.ready) == 2


def test_orphans_and_copies(dataset):
    scan = np.random.default_rng(7).integers(1, 99, SHAPE, np.int16)
    write_pair(dataset, "10000_0001", image=scan)
    write_pair(dataset, "10002_0001", image=scan)
    (dataset / "LabelsTr/10001_0001.mha").unlink()
    report = check_dataset(dataset, voxels=True)
    assert [orphan.path.name for orphan in report.orphans] == ["10001_0001_0000.mha"]
    assert report.warnings == ()
    assert [(suspect.case, suspect.kind) for suspect in report.suspects] == [
        ("10000_0001_0000", "duplicate"),
        ("10002_0001_0000", "duplicate"),
    ]
    assert "has the same voxels as that of 10002_0001_0000; keep them out" in report.suspects[0].reason


def test_pairs_that_sort_apart(dataset, tmp_path):
    """As many loaders do it; ``_`` comes behind digits, ``.`` before them."""
    write_pair(dataset, "7")
    write_pair(dataset, "70")
    (warning,) = check_dataset(dataset).warnings
    assert "70_0000.npz stands beside the label 7.npz" in warning
    assert warning in plan_run(dataset, tmp_path / "out").warnings


def test_a_table_of_other_scans(dataset, tmp_path):
    (dataset / "mri_statistics.csv").write_text("median_spacing,10th_percentile_spacing\n[5 2 2],[5 2 2]\n")
    report = check_dataset(dataset)
    assert "is it the table of this dataset, and" in report.warnings[0]
    assert report.status == "attention"
    turned = plan_run(dataset, tmp_path / "out", Recipe(orientation="RAS"))
    assert report.warnings[0] in turned.warnings  # likely a table of the axes as stored
    assert report.warnings[0] not in plan_run(dataset, tmp_path / "out").warnings  # may be that of the training data
    said = Recipe(orientation="RAS", axis_order="zyx")
    assert report.warnings[0] not in (
        *check_dataset(dataset, said).warnings,
        *plan_run(dataset, tmp_path, said).warnings,
    )


def test_a_table_of_the_axes_as_stored_under_another_orientation(scans):
    """In `mixed` some scans' slices do not run along z, and turning them moves the median from 3.15 to 2.55 mm."""
    assert not any("is it the table" in warning for warning in check_dataset(scans / "mixed").warnings)
    (warning,) = (w for w in check_dataset(scans / "mixed", Recipe(orientation="RAS")).warnings if "is it the" in w)
    assert "(3.15, 1, 1) mm is not that of the paired images, (2.55, 1, 1) mm" in warning


def test_too_little_memory_or_disk(dataset, monkeypatch):
    monkeypatch.setattr("monai_mriprep.run.check.available_memory", lambda: 2**20)
    monkeypatch.setattr("monai_mriprep.run.check.free_bytes", lambda folder: 100)
    report = check_dataset(dataset, voxels=True)
    assert report.status == "impossible"
    assert "not attempted: the case needs about" in report.cases[0].problems[0]


def test_what_might_not_suffice_is_a_warning(dataset, monkeypatch):
    """All of a scan is an upper bound of what a crop leaves of it."""
    monkeypatch.setattr("monai_mriprep.run.check.available_memory", lambda: 2**20)
    monkeypatch.setattr("monai_mriprep.run.check.free_bytes", lambda folder: 100)
    report = check_dataset(dataset, Recipe(crop="nonzero"))
    assert report.status == "attention"
    assert [case.problems for case in report.cases] == [(), ()]
    for case in report.cases:
        assert case.target_shape == (7, 8, 9)
        assert "might not fit: the case needs at most" in case.warnings[0]
    assert "the output needs at most" in report.warnings[-1]


def make_ambiguous(root: Path) -> None:
    write_pair(root, "10000_0001_t2")
    write_pair(root, "10000_0001_t1")
    (root / "LabelsTr/10000_0001_t1.mha").unlink()
    (root / "LabelsTr/10000_0001_t2.mha").rename(root / "LabelsTr/10000_0001_seg.mha")
    (root / "LabelsTr/10000_0001.mha").unlink()
    (root / "ImagesTr/10000_0001_0000.mha").unlink()


def empty(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.unlink()


def break_images(root: Path) -> None:
    (root / "mri_statistics.csv").unlink()
    for path in (root / "ImagesTr").iterdir():
        path.write_bytes(b"")


def rename_labels(root: Path) -> None:
    for number, path in enumerate(sorted((root / "LabelsTr").iterdir())):
        path.rename(path.with_name(f"other_{number}.mha"))


FATAL = {
    "ambiguous": (make_ambiguous, "is claimed by 2 images"),
    "no labels": (lambda root: empty(root / "LabelsTr"), "there is no volume (.nii.gz, "),
    "no volumes": (lambda root: (empty(root / "ImagesTr"), empty(root / "LabelsTr")), "LabelsTr"),
    "other names": (rename_labels, "such as 'other_0.mha' and '10000_0001_0000.mha'"),
    "no header": (break_images, "not one header of 2 paired images can be read"),
    "no folder": (lambda root: (root / "LabelsTr").rename(root / "labels"), "no folder LabelsTr"),
    "bad table": (lambda root: (root / "mri_statistics.csv").write_text("median_spacing\n"), "10th_percentile_spacing"),
}


def test_an_address_is_refused_and_not_said_to_be_no_dataset_for_a_run():
    with pytest.raises(DatasetError, match=r"s3://bucket/scans: a folder is needed here"):
        check_dataset("s3://bucket/scans")


@pytest.mark.parametrize(("break_it", "reason"), FATAL.values(), ids=FATAL)
def test_a_run_would_not_start_and_says_the_same(dataset, tmp_path, break_it, reason):
    break_it(dataset)
    report = check_dataset(dataset)
    assert report.status == "impossible"
    with pytest.raises(MriprepError) as refused:
        plan_run(dataset, tmp_path / "out")
    assert report.fatal == (str(refused.value),)
    assert reason in report.fatal[0]


def test_output_among_the_input(dataset):
    assert "choose another output folder" in check_dataset(dataset, output_root=dataset / "ImagesTr").fatal[0]


def test_an_output_that_cannot_be_written(dataset, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (fatal,) = check_dataset(dataset, output_root=tmp_path / "file/out").fatal
    assert fatal.startswith(f"{tmp_path}/file/out: the output cannot be written, for {tmp_path}/file takes no files")
    assert check_dataset(dataset, output_root=tmp_path / "new/out").fatal == ()
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    (fatal,) = check_dataset(dataset, output_root=tmp_path / "new/out").fatal
    assert "its permissions forbid it" in fatal


def test_an_output_below_a_folder_that_may_not_be_searched(dataset, tmp_path, monkeypatch):
    closed, stat, access = tmp_path / "closed", os.stat, os.access
    closed.mkdir()

    def denied(path, *args, **kwargs):
        if isinstance(path, Path) and closed in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **kwargs)

    monkeypatch.setattr("os.stat", denied)
    monkeypatch.setattr("os.access", lambda path, mode: path != closed and access(path, mode))
    (fatal,) = check_dataset(dataset, output_root=closed / "in/out").fatal
    assert f"{closed} takes no files" in fatal


def test_counting_equals_numpy():
    voxels = np.random.default_rng(0).integers(-5, 300, (3, 7, 5)).astype(np.float32) + 4e-4
    values, counts = np.unique(np.rint(voxels), return_counts=True)
    assert count_values(voxels) == dict(zip(values.astype(int).tolist(), counts.tolist(), strict=True))


def test_the_box_of_a_label():
    label = np.zeros(SHAPE, np.uint8)
    label[1:3, 4, 2:7] = 3
    assert summarize_label(label).box == ((1, 4, 2), (2, 4, 6))


# --- New numbers of labels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label_map", "problem"),
    [
        ({}, "the label's largest value is 40000, over 32767"),
        ({40000: 2}, None),
        ({40000: 1}, "label 1 occurs, which the label_map does not name, and 1 is the new number of 40000"),
        ({40000: 1, 1: 1}, None),
    ],
    ids=str,
)
def test_labels_are_judged_by_their_new_numbers_as_in_a_run(tmp_path, label_map, problem):
    label = np.zeros(SHAPE, np.int32)
    label[1, 2:5], label[2] = 1, 40000
    write_pair(tmp_path, "10000_0001", label=label)
    recipe = Recipe(label_map=label_map, target_spacing=SPACING)
    (case,) = check_dataset(tmp_path, recipe, voxels=True).cases
    assert [text[: len(problem or "")] for text in case.problems] == ([problem] if problem else [])
    assert len(preprocess(tmp_path, tmp_path / "out", recipe, workers=0).failed) == len(case.problems)


# --- Orientation ------------------------------------------------------------------------------------------------------

CODES = ("AIL", "LAS", "PIR", "RAS", "RSP")


@pytest.fixture(scope="module")
def heads(scans, tmp_path_factory) -> Path:
    """One head in five orders of axes, each with a label."""
    root = tmp_path_factory.mktemp("heads")
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir()
        for codes in CODES:
            shutil.copyfile(scans / "traps/axis_codes" / f"{codes}.nii.gz", root / folder / f"head_{codes}.nii.gz")
    return root


def mixed(warnings: Iterable[str]) -> list[str]:
    return [warning for warning in warnings if "stored in different orientations" in warning]


def test_the_axes_of_each_file_are_told_and_that_they_are_mixed(heads):
    report = check_dataset(heads)
    assert {case.case: case.axes for case in report.cases} == {f"head_{codes}": codes for codes in CODES}
    (warning,) = mixed(report.warnings)
    assert "(1 AIL, 1 LAS, 1 PIR, 1 RAS, 1 RSP; " in warning
    turned = check_dataset(heads, Recipe(orientation="RAS"))
    assert [case.axes for case in turned.cases] == list(CODES)
    assert not mixed(turned.warnings)


def test_a_run_says_once_that_the_axes_are_mixed(heads, tmp_path):
    assert mixed(plan_run(heads, tmp_path / "out").warnings) == mixed(check_dataset(heads).warnings)


def test_channels_of_one_file_are_read_as_the_recipe_names_them(tmp_path):
    for case in ("10000_0001", "10001_0001"):
        write_pair(tmp_path, case)
        path = tmp_path / "ImagesTr" / f"{case}_0000.mha"
        channels = np.random.default_rng(0).integers(1, 99, (2, *SHAPE), np.int16)
        path.unlink()
        nibabel.save(nibabel.Nifti1Image(channels.T, np.diag([-1.0, -1, 3, 1])), path.with_name(f"{case}.nii.gz"))
    report = check_dataset(tmp_path, Recipe(channels=("t1", "t2"), target_spacing=(3, 1, 1)), voxels=True)
    assert [(case.problems, case.warnings) for case in report.cases] == [((), ())] * 2
    assert report.second_reading.compared == report.second_reading.kinds == 2
    assert "--channels NAME,NAME" in str(check_dataset(tmp_path).cases[0].problems or check_dataset(tmp_path).fatal)


# --- Channels on grids of their own -----------------------------------------------------------------------------------


def write_folder(root: Path, coarse: Iterable[str], label_is_coarse: bool = False) -> None:
    """One case in a folder, with three channels and a label."""
    rng, folder = np.random.default_rng(0), root / "a"
    folder.mkdir(parents=True)
    for name in ("adc", "flair", "t2", "seg"):
        is_coarse = name in coarse or (name == "seg" and label_is_coarse)
        shape, spacing = ((4, 4, 5), (3.0, 2.0, 2.0)) if is_coarse else (SHAPE, SPACING)
        write_metaimage(folder / f"{name}.mha", rng.integers(0, 3, shape, np.int16), spacing)


@pytest.mark.parametrize(
    ("coarse", "label_is_coarse", "channels", "warned"),
    [
        ((), False, "t2,flair,adc", []),
        (("adc", "flair"), False, "t2,flair,adc", ["channels"]),
        (("adc", "t2"), False, "flair,t2,adc", ["channels"]),
        (("adc", "flair"), True, "flair,t2,adc", ["channels"]),
        (("adc",), True, "adc,t2,flair", ["channels"]),
    ],
    ids=["one grid", "first", "second", "coarse second", "coarse third"],
)
def test_the_channel_on_whose_grid_the_labels_lie_comes_first(tmp_path, coarse, label_is_coarse, channels, warned):
    write_folder(tmp_path / "data", coarse, label_is_coarse)
    report = check_dataset(tmp_path / "data")
    resample = ["--set", "geometry=resample"] if warned else []
    assert list(report.options) == ["--channels", channels, *resample]
    assert [warning.split()[0] for warning in report.warnings] == warned
    assert report.status == ("attention" if warned else "ready")


def test_labels_on_a_grid_of_no_channel_are_told(tmp_path):
    write_folder(tmp_path / "data", ["adc"])
    label = np.ones((5, 4, 5), np.int16)
    write_metaimage(tmp_path / "data/a/seg.mha", label, (2.4, 2.0, 2.0))
    warnings = check_dataset(tmp_path / "data").warnings
    assert [warning.split(" grid")[0] for warning in warnings] == ["channels lie on another", "labels lie on another"]


def test_channels_that_the_user_names_are_taken_as_they_are(tmp_path):
    write_folder(tmp_path / "data", [])
    report = check_dataset(tmp_path / "data", Recipe(channels=("adc", "t2")))
    assert report.options == ()
    (case,) = report.cases
    assert [path.stem for path in (case.image, *case.channels)] == ["adc", "t2"]


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_for_a_test_set_nothing_is_proposed_that_its_training_set_has_not(tmp_path):
    write_folder(tmp_path / "data", [])
    preprocess(tmp_path / "data", tmp_path / "out", Recipe(channels=("t2", "adc")), workers=0)
    write_folder(tmp_path / "test", ["adc"])
    report = check_dataset(tmp_path / "test", like=tmp_path / "out")
    assert report.options == ()
    (problem,) = report.cases[0].problems
    assert "channel 0 and channel 1 differ in size" in problem


def test_of_a_layout_that_proposes_to_resample_what_lies_elsewhere_is_told_too(tmp_path):
    report = check_dataset(write_layout("PI-CAI", tmp_path))
    assert list(report.options) == ["--channels", "t2w,adc,hbv", "--set", "geometry=resample"]
    (warning,) = (warning for warning in report.warnings if "another grid" in warning)
    assert warning.startswith("channels lie on another grid than the first channel in 2 cases")
    for label in tmp_path.glob("picai_labels/csPCa*/human_expert/resampled/*"):
        nibabel.save(nibabel.Nifti1Image(np.ones((5, 5, 5), np.int16), np.diag([-2.0, -2, 3, 1])), label)
    warnings = check_dataset(tmp_path).warnings
    assert any(warning.startswith("labels lie on another grid than the first channel") for warning in warnings)
