"""A training set, its test set, and predictions on the way back: what freezes, what is refused, what is found again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from monai.transforms import Invertd

from monai_mriprep import Recipe, load_recipe, open_dataset, preprocess, restore
from monai_mriprep.dataset.recognise import recognise
from monai_mriprep.errors import MriprepError, OutputError
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.process import process_case
from monai_mriprep.run.prune import prune_output
from monai_mriprep.run.session import RunSummary
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.repair import repair_output
from tests.hostile import command
from tests.layouts import LAYOUTS, write_layout
from tests.oracles import itk_image, read
from tests.restore.files import geometry
from tests.runs import counts, done_records, errors_of, write_case, write_cases

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*mri_statistics:monai_mriprep.errors.MriprepWarning"),
    pytest.mark.filterwarnings("ignore:the images are stored in:monai_mriprep.errors.MriprepWarning"),
]

LINEAR = Recipe(order=1)
FROZEN = ("recipe", "target_spacing", "fingerprint")
TRAINING = (
    "20001_0001_t2w",
    "20002_0001_t1w",
    "20003_0001_t2w",
    "20004_0001_t2star",
    "20006_0001_dce",
    "20007_0001_mr",
)
TESTS = ("20001_0002_t2w", "20005_0001_t1w", "20008_0001_t2star")
WHOLE_CASES = {"tests_1": ((5, 9, 7), (2.0, 1.5, 1.25)), "case_1": ((6, 7, 11), (5.0, 0.8, 0.75))}
"""Shape and spacing of test images, unlike those of the training set; the second has the name of a training case."""


def described(output: Path) -> dict[str, Any]:
    """The part of run.json that a test set takes over."""
    facts = json.loads((output / "run.json").read_text())
    return {key: facts[key] for key in FROZEN}


def write_tests(folder: Path) -> Path:
    """Images alone: noise, oblique, turned."""
    folder.mkdir(parents=True)
    for seed, (name, (shape, spacing)) in enumerate(WHOLE_CASES.items()):
        voxels = np.random.default_rng(seed).integers(1, 900, shape, np.int16)
        voxels[:, :2] = 0
        image = itk_image(voxels, np.diag([*spacing, 1.0])[[2, 1, 0, 3]])
        image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1) if seed else (1, 0, 0, 0, 1, 0, 0, 0, 1))
        image.SetOrigin((1 / 3, -20.125, 7.7))
        SimpleITK.WriteImage(image, str(folder / f"{name}.mha"))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """``data``, ``images``, and what was made of them: ``out`` and ``tests``."""
    root = tmp_path_factory.mktemp("made")
    preprocess(write_cases(root / "data", 3), root / "out", LINEAR, workers=0)
    preprocess(write_tests(root / "images"), root / "tests", workers=0, like=root / "out")
    return root


@pytest.fixture
def place(made, tmp_path) -> Path:
    """A copy that a test may change; no file gets another time."""
    for name in ("data", "images", "out", "tests"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def run(place: Path, **options: Any) -> RunSummary:
    """The test set once more."""
    return preprocess(place / "images", place / "tests", workers=0, like=place / "out", **options)


def names(results) -> list[str]:
    return [result.case for result in results]


def write_predictions(output: Path, folder: Path) -> Path:
    """Of each case class numbers on its target grid."""
    folder.mkdir()
    for case, record in done_records(output).items():
        rng = np.random.default_rng(len(case))
        np.save(folder / f"{case}.npy", rng.integers(0, 3, record.target_grid.shape, np.uint8))
    return folder


def assert_restored(output: Path, folder: Path, restored: Path, sources: dict[str, Path]) -> None:
    """Each prediction comes back on exactly the grid of its source."""
    found = restore(output, folder, restored)
    assert (sorted(path.name for path in found.restored), found.refused) == (
        sorted(path.name for path in sources.values()),
        (),
    )
    for path in found.restored:
        source, volume = (SimpleITK.ReadImage(str(place)) for place in (sources[path.stem], path))
        assert geometry(volume) == geometry(source)
        assert set(np.unique(SimpleITK.GetArrayViewFromImage(volume))) <= {0, 1, 2}


# --- Scans ------------------------------------------------------------------------------------------------------------


def test_six_scans_and_a_test_set_of_three(scans, tmp_path):
    for name in (*TRAINING, *TESTS):
        is_training = name in TRAINING
        place = tmp_path / ("data/ImagesTr" if is_training else "images") / f"{name}.mha"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(scans / "mixed/ImagesTr" / place.name)
        if is_training:
            label = tmp_path / f"data/LabelsTr/{name.rpartition('_')[0]}_seg.mha"
            label.parent.mkdir(exist_ok=True)
            label.symlink_to(scans / "mixed/LabelsTr" / label.name)
    out, tests = tmp_path / "out", tmp_path / "tests"
    assert len(preprocess(tmp_path / "data", out, LINEAR, workers=0).done) == len(TRAINING)
    assert sorted(names(preprocess(tmp_path / "images", tests, workers=0, like=out).done)) == sorted(TESTS)

    assert described(tests) == described(out)
    assert described(out)["recipe"]["order"] == 1
    target = described(out)["target_spacing"]
    for case in TESTS:
        with np.load(tests / f"imagesTs/{case}.npz") as file:
            np.testing.assert_allclose(file["spacing"], target, atol=1e-3)
    sources = {case: scans / f"mixed/ImagesTr/{case}.mha" for case in TESTS}
    assert_restored(tests, write_predictions(tests, tmp_path / "predictions"), tmp_path / "restored", sources)
    assert verify_output(tests).findings == ()


# --- What a run makes -------------------------------------------------------------------------------------------------


def test_recipe_and_target_are_those_of_the_training_set_whatever_its_spacings(made):
    assert described(made / "tests") == described(made / "out")
    assert described(made / "tests")["target_spacing"] == [3.0, 1.0, 1.0]
    told = json.loads((made / "tests/run.json").read_text())
    assert (told["statistics"], told["like"]) == ("training", str((made / "out").resolve()))
    assert str(made / "out") in told["derivation"]


def test_it_holds_images_alone(made):
    entries = sorted(path.relative_to(made / "tests").as_posix() for path in (made / "tests").rglob("*.*"))
    volumes = [f"imagesTs/{case}.npz" for case in sorted(WHOLE_CASES)]
    assert [entry for entry in entries if entry.startswith("images")] == volumes
    assert not any((made / "tests" / name).exists() for name in ("imagesTr", "labelsTr", "mri_statistics.csv"))
    listed = json.loads((made / "tests/dataset.json").read_text())
    assert (listed["numTraining"], listed["training"]) == (0, [])
    assert (listed["numTest"], [case["case"] for case in listed["test"]]) == (2, sorted(WHOLE_CASES))
    _header, *rows = (made / "tests/manifest.csv").read_text().splitlines()
    assert len(rows) == 2
    assert all(set(record.outputs) == {"image"} for record in done_records(made / "tests").values())


def test_an_image_gets_the_bits_that_it_has_in_a_training_set(made, tmp_path):
    preprocess(made / "data/ImagesTr", tmp_path / "tests", workers=0, like=made / "out")
    for case in ("case_0", "case_1", "case_2"):
        files = (made / f"out/imagesTr/{case}.npz", tmp_path / f"tests/imagesTs/{case}.npz")
        one, other = (np.load(file)["arr_0"] for file in files)
        np.testing.assert_array_equal(one, other, strict=True)


def test_on_the_fly_and_back_is_the_same_as_from_the_folder(made, tmp_path):
    items, transforms, derivation = open_dataset(made / "images", like=made / "out")
    assert list(derivation.spacing) == described(made / "out")["target_spacing"]
    write_predictions(made / "tests", tmp_path / "predictions")
    restore(made / "tests", tmp_path / "predictions", tmp_path / "restored")
    assert len(items) == 2
    for item in items:
        case = Path(item["image"]).stem
        found = transforms(item)
        np.testing.assert_array_equal(found["image"], np.load(made / f"tests/imagesTs/{case}.npz")["arr_0"])
        prediction = found["image"].clone()
        prediction.copy_(found["image"].new_tensor(np.load(tmp_path / f"predictions/{case}.npy"))[None])
        back = Invertd("prediction", transforms, "image", nearest_interp=True)({**found, "prediction": prediction})
        restored, affine = read(tmp_path / f"restored/{case}.mha")
        np.testing.assert_array_equal(back["prediction"][0], restored)
        np.testing.assert_allclose(back["prediction"].affine, affine, atol=1e-9)


def test_the_image_of_a_training_case_may_be_in_the_test_set(place):
    """Its name is that of a training case, its scan another: only the test set's own record counts."""
    sources = {case: place / f"images/{case}.mha" for case in WHOLE_CASES}
    folder = write_predictions(place / "tests", place / "predictions")
    assert_restored(place / "tests", folder, place / "restored", sources)
    (folder / "tests_1.npy").rename(folder / "case_2.npy")  # a training case: no record of this folder is proposed
    with pytest.warns(Warning, match="no record has an image or label with the stem 'case_2'") as caught:
        found = restore(place / "tests", folder, place / "again")
    assert "did you mean" not in str(caught[0].message)
    assert [path.name for path in found.restored] == ["case_1.mha"]


@pytest.mark.parametrize("folder", ["imagesTs", "ImagesTs"])
def test_of_a_dataset_its_test_images_alone_are_taken(place, folder):
    (place / "images").rename(place / "data" / folder)
    summary = preprocess(place / "data", place / "others", workers=0, like=place / "out")
    assert sorted(names(summary.done)) == sorted(WHOLE_CASES)
    assert (summary.failed, summary.orphans) == ((), 0)


BESIDE_LABELS = [name for name in LAYOUTS if name not in ("ours", "nnU-Net", "numbered", "Decathlon")]
"""Layouts without a folder of test images: all images are taken."""


@pytest.mark.filterwarnings("ignore:.*are left out:monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("layout", BESIDE_LABELS)
def test_in_every_layout_images_are_found_beside_labels(tmp_path, layout):
    """As they were found with them: a training set as its own test set gives its own images."""
    root, out = write_layout(layout, tmp_path / "data"), tmp_path / "out"
    recipe = Recipe(target_spacing=(3.0, 1.2, 1.2), **recognise(root).proposed)
    preprocess(root, out, recipe, workers=0)
    summary = preprocess(root, tmp_path / "tests", workers=0, like=out)
    assert (len(summary.done), summary.failed) == (2, ())
    for case in names(summary.done):
        one, other = (np.load(folder / f"{case}.npz") for folder in (out / "imagesTr", tmp_path / "tests/imagesTs"))
        np.testing.assert_array_equal(one["arr_0"], other["arr_0"], strict=True)


KEYS = {
    "orientation": ["orientation=RAS"],
    "crop": ["crop=nonzero", "crop_margin=2"],
    "label_map": ["label_map={2: 1}"],
    "percentile": ["intensity=percentile"],
    "none": ["intensity=none", "order=3"],
    "native": ["normalization.foreground=native"],
    "pattern and target": ["target_spacing=[2.5, 0.9, 0.9]", "pattern='(?P<case>.*)'"],
    "nnunet": ["grid=nnunet", "boundary=mirror", "clip=true"],
}


@pytest.mark.filterwarnings("ignore:.*vanished:monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("settings", KEYS.values(), ids=KEYS)
def test_every_key_of_the_training_set_counts(made, tmp_path, settings):
    preprocess(made / "data", tmp_path / "out", load_recipe(None, settings), workers=0)
    assert run_like(made, tmp_path).failed == ()
    assert described(tmp_path / "tests") == described(tmp_path / "out")
    sources = {case: made / f"images/{case}.mha" for case in WHOLE_CASES}
    folder = write_predictions(tmp_path / "tests", tmp_path / "predictions")
    assert_restored(tmp_path / "tests", folder, tmp_path / "restored", sources)
    assert verify_output(tmp_path / "tests").findings == ()
    items, transforms, _ = open_dataset(made / "images", like=tmp_path / "out")
    for item in items:
        written = np.load(tmp_path / f"tests/imagesTs/{Path(item['image']).stem}.npz")["arr_0"]
        np.testing.assert_array_equal(transforms(item)["image"], written)


def run_like(made: Path, tmp_path: Path) -> RunSummary:
    return preprocess(made / "images", tmp_path / "tests", workers=0, like=tmp_path / "out")


@pytest.mark.parametrize("version", ["0_1_0", "0_4_0"])
def test_the_folder_of_an_earlier_version_is_a_training_set(made, tmp_path, version):
    released = Path(__file__).parent / f"folder_of_{version}/out"
    preprocess(made / "images", tmp_path / "tests", workers=0, like=released)
    told = json.loads((released / "run.json").read_text())
    found = described(tmp_path / "tests")
    assert (found["target_spacing"], found["fingerprint"]) == (told["target_spacing"], told["fingerprint"])


# --- Resume, and what changes -----------------------------------------------------------------------------------------


def test_a_finished_test_set_is_left_as_it_is(place):
    before = {path: path.stat().st_mtime_ns for path in (place / "tests").rglob("*.npz")}
    assert sorted(run(place).skipped) == sorted(WHOLE_CASES)
    assert {path: path.stat().st_mtime_ns for path in (place / "tests").rglob("*.npz")} == before


def test_a_changed_image_is_done_again(place):
    write_case(place / "other", "tests_1", seed=5)
    shutil.copy(place / "other/ImagesTr/tests_1.mha", place / "images")
    summary = run(place)
    assert (names(summary.done), summary.skipped) == (["tests_1"], ("case_1",))
    assert done_records(place / "tests")["tests_1"].source_grid.shape == (4, 8, 9)


def test_a_new_image_joins_and_one_that_left_is_retired_and_pruned(place):
    shutil.copy(place / "images/tests_1.mha", place / "images/tests_2.mha")
    assert names(run(place).done) == ["tests_2"]
    (place / "images/tests_1.mha").unlink()
    with pytest.warns(Warning, match="1 case of .* left the dataset: tests_1"):
        summary = run(place)
    assert (summary.retired, summary.done) == (("tests_1",), ())
    assert not (place / "tests/imagesTs/tests_1.npz").exists()
    report = verify_output(place / "tests")
    assert (report.findings, report.retired) == ((), 1)
    assert prune_output(place / "tests").cases == ("tests_1",)
    assert not any("tests_1" in path.name for path in (place / "tests").rglob("*"))


def test_a_training_set_that_was_done_anew_stops_its_test_set_until_that_is_redone(place):
    preprocess(place / "data", place / "out", Recipe(order=3, target_spacing=(3.0, 0.9, 0.9)), workers=0, redo=True)
    with pytest.raises(OutputError, match=r"changed: order: 1 -> 3; target spacing: .*training set.* --redo") as caught:
        run(place)
    assert "from the training set" in str(caught.value)
    assert sorted(names(run(place, redo=True).done)) == sorted(WHOLE_CASES)
    assert described(place / "tests") == described(place / "out")


def test_what_a_dead_run_has_left_of_a_case_of_one_role_is_finished(place):
    """A worker that died between the file and its record leaves an entry in the journal."""
    shutil.copy(place / "images/tests_1.mha", place / "images/tests_2.mha")
    plan = plan_run(place / "images", place / "tests", like=place / "out")
    (case,) = (case for case in plan.cases if case.name == "tests_2")
    assert process_case(plan.job, case).status == "done"
    assert "tests_2" not in done_records(place / "tests")
    assert sorted(run(place).skipped) == ["case_1", "tests_1", "tests_2"]
    assert verify_output(place / "tests").findings == ()


def test_a_dry_run_says_what_a_run_does(place):
    shutil.copy(place / "images/tests_1.mha", place / "images/tests_2.mha")
    status, text = command("run", place / "images", place / "tests", "--like", place / "out", "--dry-run", "--json")
    found = json.loads(text[text.index("{") :])
    assert status == 0
    assert found["target_spacing"] == [3.0, 1.0, 1.0]
    assert {case["case"]: case["action"] for case in found["cases"]} == {
        "tests_2": "run",
        "tests_1": "skip",
        "case_1": "skip",
    }
    assert not (place / "tests/imagesTs/tests_2.npz").exists()


# --- Verify, repair, split, check -------------------------------------------------------------------------------------


def test_a_flipped_byte_is_found_and_done_again(place):
    file = place / "tests/imagesTs/tests_1.npz"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    times = file.stat()
    file.write_bytes(raw)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert [finding.subject for finding in verify_output(place / "tests").problems] == ["imagesTs/tests_1.npz"]
    file.unlink()
    assert names(run(place).done) == ["tests_1"]


@pytest.mark.filterwarnings("ignore:.*run.json is missing:monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("lost", ["manifest.jsonl", "run.json", "both"])
def test_records_are_rebuilt_from_the_images_alone(place, lost):
    for name in ("manifest.jsonl", "run.json") if lost == "both" else (lost,):
        (place / "tests" / name).unlink()
    report = repair_output(place / "tests")
    assert report.problems == ()
    assert sorted(report.rebuilt) == ([] if lost == "run.json" else sorted(WHOLE_CASES))
    sources = {case: place / f"images/{case}.mha" for case in WHOLE_CASES}
    folder = write_predictions(place / "tests", place / "predictions")
    assert_restored(place / "tests", folder, place / "restored", sources)
    assert run(place).failed == ()
    assert verify_output(place / "tests").findings == ()


def test_a_test_set_has_no_folds(made):
    status, text = command("split", made / "tests")
    assert status == 2
    assert "lists no training case (that of a test set has none)" in text


def test_check_says_what_a_run_would_do(made, tmp_path):
    status, text = command("check", made / "images", "--like", made / "out", "--output-root", tmp_path / "tests")
    assert status == 1, text
    assert "2 of 2 cases can be preprocessed; 1 finding to review" in text, "the orientations"
    assert "target spacing (3, 1, 1) mm" in text
    assert f"that of {made / 'out'}" in text
    (tmp_path / "image").mkdir()
    shutil.copy(made / "images/tests_1.mha", tmp_path / "image")
    status, text = command("check", tmp_path / "image", "--like", made / "out", "--voxels")
    assert (status, "1 of 1 cases can be preprocessed" in text) == (0, True)
    assert not (tmp_path / "tests").exists()


# --- Failures ---------------------------------------------------------------------------------------------------------


def test_an_image_that_cannot_be_read_fails_by_name_and_the_others_are_done(place):
    (place / "images/broken.mha").write_bytes(b"no volume")
    status, text = command("run", place / "images", place / "new", "--like", place / "out", "--workers", 0)
    assert status == 1
    assert counts(text) == {"done": 2, "failed": 1}
    assert list(errors_of(place / "new")) == ["broken"]
    assert str(place / "images/broken.mha") in errors_of(place / "new")["broken"]
    status, text = command("check", place / "images", "--like", place / "out")
    assert status == 1
    assert "broken.mha" in text


OPTIONS = {
    "--set": ("--set", "order=3"),
    "--target": ("--target", "3,1,1"),
    "--channels": ("--channels", "t1,t2"),
    "--config": ("--config", "job.yaml"),
}
REFUSED_KEYS = {"--set": "order", "--target": "target_spacing", "--channels": "channels", "--config": "order"}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", ["run", "check"])
def test_what_changes_the_recipe_is_refused_beside_like(made, tmp_path, monkeypatch, name, option):
    """Though the value may be that of the default recipe: the training set's is another."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text("order: 3")
    places = (made / "images", "new") if name == "run" else (made / "images",)
    status, text = command(name, *places, "--like", made / "out", *OPTIONS[option])
    assert status == 2
    assert f"keeps recipe, target and channels of its training set; leave out {REFUSED_KEYS[option]} (" in text
    assert not Path("new").exists()


def test_a_file_may_say_where_to_and_how_much(place):
    file = place / "job.yaml"
    file.write_text(f"run: {{dataset: {place / 'images'}, output: {place / 'new'}, like: {place / 'out'}}}\n")
    assert command("run", "--config", file, "--set", "run.workers=0")[0] == 0
    assert described(place / "new") == described(place / "out")


@pytest.mark.parametrize("redo", [False, True])
def test_a_folder_is_of_one_set(place, redo):
    with pytest.raises(OutputError, match="the output folder of a test set; choose another one for a training set"):
        preprocess(place / "data", place / "tests", LINEAR, workers=0, redo=redo)
    shutil.copytree(place / "out", place / "other")
    with pytest.raises(OutputError, match="the output folder of a training set; choose another one for a test set"):
        preprocess(place / "images", place / "other", workers=0, like=place / "out", redo=redo)


EMPTY = {
    "an empty folder": "holds no volume",
    "no folder": "cannot list the folder",
    "a training set": "holds no folder ImagesTs or imagesTs; to take other images, name their own folder",
}


@pytest.mark.parametrize("what", EMPTY)
def test_a_place_without_images_is_refused(made, tmp_path, what):
    folder = made / "data" if what == "a training set" else tmp_path / "images"
    if what == "an empty folder":
        folder.mkdir()
    for call in (
        lambda: preprocess(folder, tmp_path / "new", workers=0, like=made / "out"),
        lambda: open_dataset(folder, like=made / "out"),
    ):
        with pytest.raises(MriprepError, match=EMPTY[what]):
            call()
    assert not (tmp_path / "new").exists()
