"""The sources of an output folder as nnU-Net's raw data: by nnU-Net's rules, voxel by voxel, and safe to resume."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep import Recipe, preprocess
from monai_mriprep.errors import DatasetError, DiskFullError, MriprepWarning, OutputError, RecordError
from monai_mriprep.export import nnunet_folder
from monai_mriprep.export.nnunet_folder import LEDGER
from monai_mriprep.export.nnunet_raw import export_nnunet
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.run.prune import prune_output
from tests.oracles import affine_of, itk_image
from tests.runs import append_record, done_line
from tests.test_docs import ROOT

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*mri_statistics:monai_mriprep.errors.MriprepWarning"),
    pytest.mark.filterwarnings("ignore:the images are stored in:monai_mriprep.errors.MriprepWarning"),
]

RECIPE = Recipe(target_spacing=(3.0, 1.0, 1.0))
SHAPE = (5, 9, 8)
LABELS = {"10_01": (0, 2, 49), "10_02": (0, 7), "11_01": (0, 2)}
NUMBERS = {2: 1, 7: 2, 49: 3}
SUFFIXES = {"10_01": ".mha", "10_02": ".nii.gz", "11_01": ".nrrd"}
DTYPES = {"10_01": np.int16, "10_02": np.float32, "11_01": np.uint16}


def write_dataset(root: Path) -> Path:
    """Three pairs in as many formats and number types, oblique, labelled with gaps; the noise of headers in one."""
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True)
    for number, (case, values) in enumerate(LABELS.items()):
        rng = np.random.default_rng(number)
        image = rng.integers(1, 900, SHAPE).astype(DTYPES[case])
        label = rng.choice(values, SHAPE).astype(np.int16)
        affine = affine_of((3.3, 1.1, 0.9), 12 * number, (-31, 7, 1 / 3))
        noisy = affine.copy()
        noisy[:3, 3] += 1e-4
        for folder, name, array, where in (("ImagesTr", "_t2", image, affine), ("LabelsTr", "", label, noisy)):
            path = root / folder / f"{case}{name}{SUFFIXES[case]}"
            SimpleITK.WriteImage(itk_image(array, where), str(path))
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    """A dataset and its output."""
    root = tmp_path_factory.mktemp("export")
    summary = preprocess(write_dataset(root / "data"), root / "out", RECIPE, workers=0)
    assert len(summary.done) == 3
    return root / "data", root / "out"


@pytest.fixture
def copied(tmp_path) -> tuple[Path, Path]:
    """The same, for a test that changes them."""
    summary = preprocess(write_dataset(tmp_path / "data"), tmp_path / "out", RECIPE, workers=0)
    assert len(summary.done) == 3
    return tmp_path / "data", tmp_path / "out"


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nnUNet_raw") / "Dataset101_Test"
    summary = export_nnunet(finished[1], folder)
    assert summary.exported == ("10_01_t2", "10_02_t2", "11_01_t2")
    assert (summary.kept, summary.removed, summary.refused, summary.notes) == ((), (), (), ())
    assert summary.labels == NUMBERS
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", LEDGER)
    }


# --- What is in it ----------------------------------------------------------------------------------------------------


def test_files_have_the_names_that_nnunet_looks_for(exported):
    names = ["10_01_t2", "10_02_t2", "11_01_t2"]
    assert [path.name for path in sorted((exported / "imagesTr").iterdir())] == [f"{n}_0000.nii.gz" for n in names]
    assert [path.name for path in sorted((exported / "labelsTr").iterdir())] == [f"{n}.nii.gz" for n in names]
    assert list((exported / "imagesTs").iterdir()) == []
    assert not (exported / ".partial").exists()


@pytest.mark.parametrize("case", LABELS)
def test_voxels_are_those_of_the_source_and_so_is_their_place(finished, exported, case):
    source = SimpleITK.ReadImage(str(finished[0] / "ImagesTr" / f"{case}_t2{SUFFIXES[case]}"))
    copy = nibabel.load(exported / "imagesTr" / f"{case}_t2_0000.nii.gz")
    assert copy.get_data_dtype() == DTYPES[case]
    np.testing.assert_array_equal(np.asarray(copy.dataobj), SimpleITK.GetArrayFromImage(source).T)
    again = SimpleITK.ReadImage(str(exported / "imagesTr" / f"{case}_t2_0000.nii.gz"))
    for part in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(again, part)(), getattr(source, part)(), atol=2e-6)
    np.testing.assert_allclose(copy.get_qform(), copy.get_sform(), atol=1e-5)


def test_the_affine_of_a_nifti_source_is_kept_bit_for_bit(finished, exported):
    source, copy = (
        nibabel.load(path)
        for path in (finished[0] / "ImagesTr/10_02_t2.nii.gz", exported / "imagesTr/10_02_t2_0000.nii.gz")
    )
    np.testing.assert_array_equal(copy.affine, source.affine)


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_numbered_without_gaps_on_the_very_grid_of_the_image(finished, exported, case):
    source = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(finished[0] / "LabelsTr" / f"{case}{SUFFIXES[case]}")))
    label = nibabel.load(exported / "labelsTr" / f"{case}_t2.nii.gz")
    image = nibabel.load(exported / "imagesTr" / f"{case}_t2_0000.nii.gz")
    assert label.get_data_dtype() == np.uint8
    expected = np.vectorize({0: 0, **NUMBERS}.get)(source)
    np.testing.assert_array_equal(np.asarray(label.dataobj), expected.T)
    np.testing.assert_array_equal(label.affine, image.affine)


def test_the_description_is_as_nnunet_wants_it(exported):
    facts = json.loads((exported / "dataset.json").read_text())
    assert facts["channel_names"] == {"0": "MRI"}
    assert facts["labels"] == {"background": 0, "label_2": 1, "label_7": 2, "label_49": 3}
    assert (facts["numTraining"], facts["file_ending"]) == (3, ".nii.gz")
    assert facts["training"][0] == {"image": "imagesTr/10_01_t2_0000.nii.gz", "label": "labelsTr/10_01_t2.nii.gz"}
    assert facts["monai_mriprep"]["labels"] == {"2": 1, "7": 2, "49": 3}
    assert facts["monai_mriprep"]["cases"]["10_01_t2"] == "10_01_t2"


def test_nnunets_own_rules_are_kept(exported):
    """Those of `verify_dataset_integrity` (2.8.1), checked without it."""
    facts = json.loads((exported / "dataset.json").read_text())
    ending, values = facts["file_ending"], sorted(facts["labels"].values())
    images = [path.name for path in (exported / "imagesTr").iterdir() if path.name.endswith(ending)]
    names = {re.sub(rf"_\d{{4}}{re.escape(ending)}$", "", name) for name in images}
    assert len(names) == facts["numTraining"]
    assert values == [*range(len(values))]
    for name in names:
        label = SimpleITK.ReadImage(str(exported / "labelsTr" / f"{name}{ending}"))
        assert set(np.unique(SimpleITK.GetArrayFromImage(label))) <= set(values)
        for channel in range(len(facts["channel_names"])):
            image = SimpleITK.ReadImage(str(exported / "imagesTr" / f"{name}_{channel:04d}{ending}"))
            assert image.GetSize() == label.GetSize()
            assert np.isfinite(SimpleITK.GetArrayFromImage(image)).all()
            assert (image.GetSpacing(), image.GetOrigin(), image.GetDirection()) == (
                label.GetSpacing(),
                label.GetOrigin(),
                label.GetDirection(),
            )


NNUNET = Path(os.environ.get("MRIPREP_NNUNET", ROOT / ".venv-nnunet/bin/python"))
"""A Python that has nnU-Net; `make stress` makes one."""


@pytest.mark.stress
@pytest.mark.skipif(not NNUNET.exists(), reason=f"no nnU-Net: MRIPREP_NNUNET names no Python that has it, nor {NNUNET}")
def test_nnunet_accepts_it(exported, two_channels, tmp_path):
    check = tmp_path / "check.py"
    check.write_text(
        "import sys\n"
        "from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity\n"
        "if __name__ == '__main__':\n"
        "    verify_dataset_integrity(sys.argv[1], 1)\n"
    )
    for folder in (exported, two_channels):
        done = subprocess.run([NNUNET, check, folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "verify_dataset_integrity Done" in done.stdout
        assert "Warning" not in done.stdout


@pytest.mark.filterwarnings("ignore")
def test_monai_analyses_it(exported, two_channels, tmp_path):
    from monai.apps.auto3dseg.data_analyzer import DataAnalyzer

    for folder, channels, labels in ((exported, 1, 4), (two_channels, 2, 3)):
        analyzer = DataAnalyzer(
            str(folder / "dataset.json"), str(folder), str(tmp_path / "stats.yaml"), device="cpu", worker=0
        )
        summary = analyzer.get_all_case_stats()["stats_summary"]
        assert summary["image_stats"]["channels"]["max"] == channels
        assert summary["label_stats"]["labels"] == [*range(labels)]


def test_monai_reads_the_list_of_cases(exported):
    from monai.data.decathlon_datalist import load_decathlon_datalist

    items = load_decathlon_datalist(exported / "dataset.json", data_list_key="training")
    assert len(items) == 3
    assert all(Path(path).is_file() for item in items for path in item.values())


# --- Channels and test sets -------------------------------------------------------------------------------------------


def write_channels(root: Path) -> Path:
    """nnU-Net's own layout, with two channels of unlike number types."""
    rng = np.random.default_rng(2)
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for case in ("a", "b"):
        for channel, dtype in enumerate((np.int16, np.float32)):
            image = nibabel.Nifti1Image(rng.integers(1, 99, SHAPE[::-1]).astype(dtype), np.diag([1, 1, 3, 1.0]))
            nibabel.save(image, root / "imagesTr" / f"{case}_{channel:04d}.nii.gz")
        label = nibabel.Nifti1Image(rng.choice([0, 1, 4], SHAPE[::-1]).astype(np.uint8), np.diag([1, 1, 3, 1.0]))
        nibabel.save(label, root / "labelsTr" / f"{case}.nii.gz")
    declared = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "x": 1, "y": 4}}
    (root / "dataset.json").write_text(json.dumps({**declared, "numTraining": 2, "file_ending": ".nii.gz"}))
    return root


@pytest.fixture(scope="module")
def two_channels(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("channels")
    preprocess(write_channels(root / "data"), root / "out", RECIPE, workers=0)
    export_nnunet(root / "out", root / "Dataset102_Channels")
    return root / "Dataset102_Channels"


def test_each_channel_is_a_file_in_its_own_number_type(two_channels):
    for case in ("a", "b"):
        for channel in range(2):
            name = f"imagesTr/{case}_{channel:04d}.nii.gz"
            source, copy = (nibabel.load(folder / name) for folder in (two_channels.parent / "data", two_channels))
            assert copy.get_data_dtype() == source.get_data_dtype()
            np.testing.assert_array_equal(np.asarray(copy.dataobj), np.asarray(source.dataobj))
            np.testing.assert_array_equal(copy.affine, source.affine)
    facts = json.loads((two_channels / "dataset.json").read_text())
    assert facts["channel_names"] == {"0": "T1", "1": "FLAIR"}
    assert facts["training"][0]["image"] == ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz"]


def test_the_channels_of_one_file_become_files(tmp_path):
    data = write_channels(tmp_path / "data")
    (data / "dataset.json").unlink()
    volumes = {}
    for case in ("a", "b"):
        parts = [data / "imagesTr" / f"{case}_{channel:04d}.nii.gz" for channel in range(2)]
        volumes[case] = np.stack([np.asarray(nibabel.load(path).dataobj, np.float32) for path in parts], axis=-1)
        for path in parts:
            path.unlink()
        nibabel.save(nibabel.Nifti1Image(volumes[case], np.diag([1, 1, 3, 1.0])), data / "imagesTr" / f"{case}.nii.gz")
    recipe = Recipe(target_spacing=(3.0, 1.0, 1.0), channels=("T1", "FLAIR"))
    assert len(preprocess(data, tmp_path / "out", recipe, workers=0).done) == 2
    export_nnunet(tmp_path / "out", tmp_path / "Dataset103_One")
    for case, voxels in volumes.items():
        for channel in range(2):
            copy = nibabel.load(tmp_path / "Dataset103_One/imagesTr" / f"{case}_{channel:04d}.nii.gz")
            np.testing.assert_array_equal(np.asarray(copy.dataobj), voxels[..., channel])


def test_a_test_set_goes_beside_its_training_set(copied, tmp_path):
    data, out = copied
    (tmp_path / "images").mkdir()
    shutil.copyfile(data / "ImagesTr/10_01_t2.mha", tmp_path / "images/20_01_t2.mha")
    preprocess(tmp_path / "images", tmp_path / "test_out", like=out, workers=0)
    folder = tmp_path / "Dataset104_Both"
    export_nnunet(out, folder)
    summary = export_nnunet(tmp_path / "test_out", folder)
    assert (summary.exported, summary.removed, summary.labels) == (("20_01_t2",), (), NUMBERS)
    facts = json.loads((folder / "dataset.json").read_text())
    assert (facts["numTraining"], facts["test"]) == (3, [{"image": "imagesTs/20_01_t2_0000.nii.gz"}])
    assert facts["labels"]["label_49"] == 3
    source, copy = (
        SimpleITK.ReadImage(str(path))
        for path in (data / "ImagesTr/10_01_t2.mha", folder / "imagesTs/20_01_t2_0000.nii.gz")
    )
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(copy), SimpleITK.GetArrayFromImage(source))
    assert len(export_nnunet(out, folder).kept) == 3


@pytest.fixture
def both_sets(copied, tmp_path) -> tuple[Path, Path, Path]:
    """The output of a training set and of its test set, and the folder that both were exported to."""
    data, out = copied
    (tmp_path / "images").mkdir()
    shutil.copyfile(data / "ImagesTr/10_01_t2.mha", tmp_path / "images/20_01_t2.mha")
    preprocess(tmp_path / "images", tmp_path / "test_out", like=out, workers=0)
    for output in (out, tmp_path / "test_out"):
        export_nnunet(output, tmp_path / "Dataset104_Both")
    return out, tmp_path / "test_out", tmp_path / "Dataset104_Both"


def test_labels_of_two_numberings_are_never_described_as_one(both_sets, monkeypatch):
    """A new class numbers the labels anew, and the export is killed amid them; the test set is exported before it."""
    out, test_out, folder = both_sets
    data = out.parent / "data"
    shutil.copyfile(data / "ImagesTr/11_01_t2.nrrd", data / "ImagesTr/09_01_t2.nrrd")
    label = SimpleITK.ReadImage(str(data / "LabelsTr/11_01.nrrd"))
    SimpleITK.WriteImage(label // 2 * 5, str(data / "LabelsTr/09_01.nrrd"))
    assert [done.case for done in preprocess(data, out, RECIPE, workers=0).done] == ["09_01_t2"]

    written = []

    def killed(path, *arguments):
        if len(written) == 2:  # the new case is there, and no old label is numbered anew
            raise KeyboardInterrupt
        written.append(path)
        write_volume(path, *arguments)

    write_volume = nnunet_folder.write_volume
    monkeypatch.setattr(nnunet_folder, "write_volume", killed)
    with pytest.raises(KeyboardInterrupt):
        export_nnunet(out, folder)
    monkeypatch.undo()
    with pytest.raises(OutputError, match=f"the export of {out} there was broken off, or its files have changed"):
        export_nnunet(test_out, folder)
    assert not (folder / "dataset.json").exists()
    export_nnunet(out, folder)
    assert json.loads((folder / "dataset.json").read_text())["labels"]["label_49"] == 4


def test_a_list_never_names_a_file_of_the_other_set_that_is_gone(both_sets):
    out, test_out, folder = both_sets
    whole = files_of(folder)
    (folder / "labelsTr/10_02_t2.nii.gz").unlink()
    (folder / "imagesTs/20_01_t2_0000.nii.gz").unlink()
    with pytest.raises(OutputError, match=f"the export of {out} there was broken off, or its files have changed"):
        export_nnunet(test_out, folder)
    assert not (folder / "dataset.json").exists()
    export_nnunet(out, folder)
    assert files_of(folder) == whole


# --- Again ------------------------------------------------------------------------------------------------------------


def test_the_same_call_writes_nothing_twice(finished, tmp_path):
    folder = tmp_path / "Dataset001_A"
    export_nnunet(finished[1], folder)
    before = {name: (folder / name).stat() for name in files_of(folder) if name != "dataset.json"}
    summary = export_nnunet(finished[1], folder)
    assert (summary.exported, len(summary.kept)) == ((), 3)
    assert {name: (folder / name).stat() for name in before} == before


def test_a_killed_export_is_resumed_to_the_same_bytes(finished, exported, tmp_path, monkeypatch):
    folder = tmp_path / "Dataset001_A"
    written = []

    def killed(path, *arguments):
        nnunet_folder_write(path, *arguments)
        written.append(path)
        if len(written) == 4:  # of the second case the label is in place, its image half written
            os.truncate(path, 20)
            raise KeyboardInterrupt

    nnunet_folder_write = nnunet_folder.write_volume
    monkeypatch.setattr(nnunet_folder, "write_volume", killed)
    with pytest.raises(KeyboardInterrupt):
        export_nnunet(finished[1], folder)
    assert not (folder / "dataset.json").exists()
    monkeypatch.undo()
    summary = export_nnunet(finished[1], folder)
    assert (summary.kept, summary.exported) == (("10_01_t2",), ("10_02_t2", "11_01_t2"))
    assert files_of(folder) == files_of(exported)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: os.truncate(path, 99)])
def test_a_file_that_is_not_as_it_was_is_written_again(finished, exported, tmp_path, damage):
    folder = tmp_path / "Dataset001_A"
    export_nnunet(finished[1], folder)
    damage(folder / "labelsTr/10_02_t2.nii.gz")
    assert export_nnunet(finished[1], folder).exported == ("10_02_t2",)
    assert files_of(folder) == files_of(exported)


def test_a_new_class_numbers_all_labels_anew(copied, tmp_path):
    data, out = copied
    folder = tmp_path / "Dataset001_A"
    export_nnunet(out, folder)
    label = np.full(SHAPE, 5, np.int16)
    label[0] = 0
    for where, name, array in (("ImagesTr", "12_01_t2.mha", label + 1), ("LabelsTr", "12_01.mha", label)):
        write_metaimage(data / where / name, array, (3.0, 1.0, 1.0))
    preprocess(data, out, RECIPE, workers=0)
    summary = export_nnunet(out, folder)
    assert summary.labels == {2: 1, 5: 2, 7: 3, 49: 4}
    assert (summary.exported, summary.kept) == (("10_01_t2", "10_02_t2", "12_01_t2"), ("11_01_t2",))  # 2 is 1 as before
    assert len(np.unique(nibabel.load(folder / "labelsTr/10_01_t2.nii.gz").dataobj)) == 3
    assert int(np.asarray(nibabel.load(folder / "labelsTr/10_01_t2.nii.gz").dataobj).max()) == 4


def test_a_case_that_was_withdrawn_leaves_the_export(copied, tmp_path):
    data, out = copied
    folder = tmp_path / "Dataset001_A"
    export_nnunet(out, folder)
    (data / "ImagesTr/10_02_t2.nii.gz").unlink()
    (data / "LabelsTr/10_02.nii.gz").unlink()
    with pytest.warns(MriprepWarning, match="left the dataset: 10_02_t2"):
        preprocess(data, out, RECIPE, workers=0)
    prune_output(out)
    summary = export_nnunet(out, folder)
    assert (summary.removed, summary.labels) == (("10_02_t2",), {2: 1, 49: 2})
    assert not [name for name in files_of(folder) if "10_02" in name]
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 2


# --- What is refused --------------------------------------------------------------------------------------------------

CHANGES = {
    "gone": (lambda path: path.unlink(), "cannot be found"),
    "another time": (lambda path: os.utime(path, ns=(5, 5)), "has changed since it was preprocessed"),
    "another size": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "has changed since"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("source", ["ImagesTr/10_01_t2.mha", "LabelsTr/10_01.mha"])
def test_a_source_that_is_not_the_one_that_was_preprocessed_is_refused_by_name(copied, tmp_path, source, change):
    data, out = copied
    CHANGES[change][0](data / source)
    summary = export_nnunet(out, tmp_path / "Dataset001_A")
    ((refused),) = summary.refused
    assert (refused.case, len(summary.exported)) == ("10_01_t2", 2)
    assert str(data / source) in refused.problem
    assert CHANGES[change][1] in refused.problem
    assert summary.labels == {2: 1, 7: 2}
    assert not [name for name in files_of(tmp_path / "Dataset001_A") if "10_01" in name]
    assert json.loads((tmp_path / "Dataset001_A/dataset.json").read_text())["numTraining"] == 2


def test_what_was_exported_before_its_source_went_is_kept(copied, tmp_path):
    data, out = copied
    export_nnunet(out, tmp_path / "Dataset001_A")
    shutil.rmtree(data)
    summary = export_nnunet(out, tmp_path / "Dataset001_A")
    assert (len(summary.kept), summary.refused) == (3, ())


def test_voxels_that_cannot_be_read_leave_nothing_of_their_case(copied, tmp_path):
    data, out = copied
    path = data / "ImagesTr/10_02_t2.nii.gz"
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-30:-20] = bytes(10)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    summary = export_nnunet(out, tmp_path / "Dataset001_A")
    assert [refused.case for refused in summary.refused] == ["10_02_t2"]
    assert str(path) in summary.refused[0].problem
    assert not [name for name in files_of(tmp_path / "Dataset001_A") if "10_02" in name]


@pytest.mark.parametrize("name", ["notes.txt", "imagesTr/a_0000.nii.gz"])
def test_a_folder_of_somebody_else_is_not_written_over(finished, tmp_path, name):
    path = tmp_path / "Dataset001_A" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(OutputError, match="and no export has made it; choose an empty or a new folder"):
        export_nnunet(finished[1], tmp_path / "Dataset001_A")
    assert list(files_of(tmp_path / "Dataset001_A")) == [name]


def test_a_file_beside_the_exported_ones_is_named(finished, tmp_path):
    folder = tmp_path / "Dataset001_A"
    export_nnunet(finished[1], folder)
    (folder / "imagesTr/mine_0000.nii.gz").write_text("mine")
    with pytest.raises(OutputError, match=r"imagesTr/mine_0000\.nii\.gz was not exported to it"):
        export_nnunet(finished[1], folder)


def test_a_second_training_set_is_not_mixed_in(finished, tmp_path):
    export_nnunet(finished[1], tmp_path / "Dataset001_A")
    shutil.copytree(finished[1], tmp_path / "other")
    with pytest.raises(OutputError, match=rf"it holds the export of {finished[1]} \(1 channel\); choose"):
        export_nnunet(tmp_path / "other", tmp_path / "Dataset001_A")


def test_the_export_does_not_land_among_sources_or_outputs(finished):
    data, out = finished
    for folder in (out, out / "imagesTr", out / "Dataset001_A", data / "ImagesTr/Dataset001_A", data / "Dataset001_A"):
        with pytest.raises(OutputError, match="would lie among preprocessed files or sources"):
            export_nnunet(out, folder)
    assert not (out / "Dataset001_A").exists()
    assert not (data / "Dataset001_A").exists()


def test_a_test_set_of_other_channels_is_not_mixed_in(finished, tmp_path):
    data = write_channels(tmp_path / "data")
    preprocess(data, tmp_path / "out", RECIPE, workers=0)
    images = data / "imagesTr"
    preprocess(images, tmp_path / "test", like=tmp_path / "out", workers=0)
    export_nnunet(finished[1], tmp_path / "Dataset001_A")
    before = files_of(tmp_path / "Dataset001_A")
    with pytest.raises(OutputError, match=r"it holds the export of .* \(1 channel\); choose another folder"):
        export_nnunet(tmp_path / "test", tmp_path / "Dataset001_A")
    assert files_of(tmp_path / "Dataset001_A") == before


def test_a_full_disk_keeps_nothing_half_written(finished, exported, tmp_path, monkeypatch):
    def full(path, *_):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(nnunet_folder, "write_volume", full)
    with pytest.raises(DiskFullError, match="No space left"):
        export_nnunet(finished[1], tmp_path / "Dataset001_A")
    monkeypatch.undo()
    assert files_of(tmp_path / "Dataset001_A") == {}
    export_nnunet(finished[1], tmp_path / "Dataset001_A")
    assert files_of(tmp_path / "Dataset001_A") == files_of(exported)


def test_a_folder_without_finished_cases_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(RecordError, match="no finished case is recorded there"):
        export_nnunet(tmp_path / "out", tmp_path / "Dataset001_A")
    assert not (tmp_path / "Dataset001_A").exists()


def test_two_cases_of_one_name_are_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.partial").mkdir()
    for name in ("a", "a_0000"):
        append_record(tmp_path / "out", done_line(name))
    with pytest.raises(DatasetError, match="'a' and 'a_0000' would both be 'a' for nnU-Net"):
        export_nnunet(tmp_path / "out", tmp_path / "Dataset001_A")


def test_a_name_that_nnunet_does_not_find_is_said(finished, tmp_path):
    (note,) = export_nnunet(finished[1], tmp_path / "liver").notes
    assert "such as Dataset101_Liver" in note


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"background": 0, "x": 1, "y": 4}, None),
        ({"background": 0, "all": [1, 4], "y": 4}, "declares regions (all), which are plain classes here"),
        ({"background": 0, "x": 1, "ignore": 4}, "declares the label 4 as one to ignore, which are plain"),
    ],
    ids=["classes", "regions", "ignore"],
)
def test_what_a_dataset_declares_beside_classes_is_said(tmp_path, labels, words):
    data = write_channels(tmp_path / "data")
    declared = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**declared, "labels": labels, "regions_class_order": [1, 2]}))
    preprocess(data, tmp_path / "out", RECIPE, workers=0)
    notes = export_nnunet(tmp_path / "out", tmp_path / "Dataset105_Declared").notes
    assert [words in note for note in notes] == ([True] if words else [])
