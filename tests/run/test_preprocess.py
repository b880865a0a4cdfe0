"""End to end: a dataset goes in, files come out that equal the oracle and load everywhere."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset
from monai.data.image_reader import NumpyReader
from monai.transforms.io.dictionary import LoadImaged

from monai_mriprep import LoadNpzd, Recipe, build_transforms, preprocess
from monai_mriprep.errors import ClusterError, MriprepWarning
from tests.oracles import SYNTHETIC, SYNTHETIC_TARGET, dictionary, reference, relative_error
from tests.runs import write_cases

MIXED = [
    *("20001_0001", "20001_0002", "20002_0001", "20003_0001", "20004_0001", "20005_0001", "20006_0001", "20007_0001")
]
ANISOTROPIC = ["20004_0001", "20005_0001", "20006_0001"]
LARGE = ("20001_0001", "20005_0001", "20007_0001")
"""`make stress` compares these; the oracle takes seconds for each."""
TARGETS = {"mixed": (1.0, 1.0, 1.0), "anisotropic": (2.98, 0.664062, 0.664062)}


REVIEW = {
    "mixed": ["20008_0001_t2star.mha", "in different orientations", "3.1 times the voxels"],
    "anisotropic": ["in different orientations", "2.2 times the voxels"],
}
"""What the warnings about the real datasets name: an image without a label, turned axes, and what the target costs."""


def run(dataset: Path, output: Path, workers: int = 0, recipe: Recipe | None = None):
    """Preprocess; warn of what needs review in the dataset, and of nothing else."""
    with pytest.warns(MriprepWarning) as caught:
        summary = preprocess(dataset, output, recipe, workers)
    messages = [str(w.message) for w in caught if issubclass(w.category, MriprepWarning)]
    expected = REVIEW.get(dataset.name, ["10003_0001_t2w.mha"])
    assert len(messages) == len(expected)
    assert all(text in message for text, message in zip(expected, messages, strict=True))
    return summary


def outputs(root: Path) -> dict[str, bytes]:
    """Everything in the two folders that consumers read."""
    folders = (root / "imagesTr", root / "labelsTr")
    return {f"{folder.name}/{path.name}": path.read_bytes() for folder in folders for path in folder.iterdir()}


def output_of(source: str, root: Path, folder: str) -> Path:
    return root / folder / Path(source).name.replace(".mha", ".npz")


@pytest.fixture(scope="module")
def finished(synthetic, tmp_path_factory) -> Path:
    """A run over the synthetic dataset, in this process."""
    root = tmp_path_factory.mktemp("finished") / "out"
    summary = run(synthetic, root)
    assert sorted(result.case.split("_t2w")[0] for result in summary.done) == sorted(SYNTHETIC)
    assert (summary.failed, summary.skipped) == ((), ())
    return root


@pytest.fixture(scope="module")
def real(scans, tmp_path_factory) -> dict[str, Path]:
    """Runs over the two real datasets, by two workers."""
    roots = {}
    for name, cases in (("mixed", MIXED), ("anisotropic", ANISOTROPIC)):
        roots[name] = tmp_path_factory.mktemp(name) / "out"
        summary = run(scans / name, roots[name], workers=2)
        assert (len(summary.done), summary.failed) == (len(cases), ())
    return roots


# --- Against the oracle -----------------------------------------------------------------------------------------------


def assert_equals_oracle(dataset: Path, root: Path, case: str, target: tuple[float, ...]) -> None:
    paths = dictionary(dataset, case)
    expected = reference(Path(paths["image"]), Path(paths["label"]), target)
    with np.load(output_of(paths["image"], root, "imagesTr"), allow_pickle=False) as file:
        image, spacing = file["arr_0"], file["spacing"]
    with np.load(output_of(paths["label"], root, "labelsTr"), allow_pickle=False) as file:
        label, label_spacing = file["arr_0"], file["spacing"]
    assert image.shape == label.shape == (1, *expected.image.shape)
    assert (image.dtype, label.dtype) == (np.float32, np.int8)
    assert spacing.tolist() == label_spacing.tolist() == list(target)
    assert relative_error(image[0], expected.image) < 1e-5
    assert np.array_equal(label[0], expected.label)
    inside = image[0][expected.foreground].astype(np.float64)
    assert (inside.mean(), inside.std()) == pytest.approx((0, 1), abs=1e-4)
    loaded = LoadNpzd("image")({"image": output_of(paths["image"], root, "imagesTr")})["image"]
    np.testing.assert_allclose(loaded.affine, expected.affine, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, marks=pytest.mark.stress if case in LARGE else ())
        for name, cases in (("mixed", MIXED), ("anisotropic", ANISOTROPIC))
        for case in cases
    ],
)
def test_real_case_equals_the_oracle(scans, real, name, case):
    assert_equals_oracle(scans / name, real[name], case, TARGETS[name])


@pytest.mark.parametrize("case", SYNTHETIC)
def test_synthetic_case_equals_the_oracle(synthetic, finished, case):
    assert_equals_oracle(synthetic, finished, case, SYNTHETIC_TARGET)


@pytest.mark.parametrize("name", TARGETS)
def test_real_run_writes_its_files_and_its_description(real, name):
    cases = {"mixed": MIXED, "anisotropic": ANISOTROPIC}[name]
    assert len(outputs(real[name])) == 2 * len(cases)
    description = json.loads((real[name] / "run.json").read_text(encoding="utf-8"))
    assert description["target_spacing"] == list(TARGETS[name])
    assert description["recipe"] == Recipe().as_dict()
    assert "median" in description["derivation"]


# --- The same bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_again_and_with_any_number_of_workers_the_files_have_the_same_bytes(synthetic, finished, tmp_path, workers):
    run(synthetic, tmp_path / "out", workers)
    assert outputs(tmp_path / "out") == outputs(finished)


@pytest.mark.parametrize("count", [1, 2])
def test_threads_do_not_change_a_byte(synthetic, finished, tmp_path, threads, count):
    threads(count)
    run(synthetic, tmp_path / "out")
    assert outputs(tmp_path / "out") == outputs(finished)


def assert_same_bits(dataset: Path, root: Path, case: str, target: tuple[float, ...]) -> None:
    """From the files, from `Compose` in this process, and from a `DataLoader` worker."""
    paths = dictionary(dataset, case)
    steps = build_transforms(target=target)
    here = steps(paths)
    (there,) = DataLoader(Dataset([paths], steps), batch_size=None, num_workers=1, collate_fn=_as_it_is)
    files = {
        "image": output_of(paths["image"], root, "imagesTr"),
        "label": output_of(paths["label"], root, "labelsTr"),
    }
    saved = build_transforms(source="npz")(files)
    for key in ("image", "label"):
        for other in (there, saved):
            assert here[key].dtype == other[key].dtype
            assert here[key].numpy().tobytes() == other[key].numpy().tobytes()
            assert torch.equal(here[key].affine, other[key].affine)


def _as_it_is(item: object) -> object:
    return item


@pytest.mark.parametrize("case", SYNTHETIC)
@pytest.mark.filterwarnings("ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning")
def test_run_compose_and_worker_give_the_same_bits(synthetic, finished, case):
    assert_same_bits(synthetic, finished, case, SYNTHETIC_TARGET)


@pytest.mark.parametrize(("name", "case"), [("anisotropic", case) for case in ANISOTROPIC] + [("mixed", "20001_0001")])
def test_run_compose_and_worker_give_the_same_bits_of_real_cases(scans, real, name, case):
    assert_same_bits(scans / name, real[name], case, TARGETS[name])


def test_real_files_have_the_same_bytes_without_workers(scans, real, tmp_path):
    run(scans / "anisotropic", tmp_path / "out", workers=0)
    assert outputs(tmp_path / "out") == outputs(real["anisotropic"])


# --- Readers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SYNTHETIC)
@pytest.mark.filterwarnings("ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning")
def test_outputs_load_with_numpy_monai_and_load_npzd(synthetic, finished, case):
    paths = dictionary(synthetic, case)
    tracked = build_transforms(target=SYNTHETIC_TARGET)(paths)
    files = {
        "image": output_of(paths["image"], finished, "imagesTr"),
        "label": output_of(paths["label"], finished, "labelsTr"),
    }
    monai = LoadImaged(["image", "label"], reader=NumpyReader(npz_keys="arr_0", channel_dim=0))(files)
    ours = LoadNpzd(["image", "label"])(files)
    for key, path in files.items():
        with np.load(path, allow_pickle=False) as file:
            assert sorted(file.files) == ["arr_0", "spacing"]
            array = file["arr_0"]
        assert np.array_equal(array, tracked[key].numpy())
        assert np.array_equal(monai[key].numpy(), array)
        assert np.array_equal(ours[key].numpy(), array)
        assert torch.equal(ours[key].affine, tracked[key].affine)


# --- The run itself ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_done_is_skipped(synthetic, tmp_path, workers):
    run(synthetic, tmp_path / "out", workers)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    summary = run(synthetic, tmp_path / "out", workers)
    assert (len(summary.skipped), summary.done) == (len(SYNTHETIC), ())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == stamps


def test_only_the_two_folders_hold_volumes_and_nothing_is_left_behind(finished):
    stems = {name for case in SYNTHETIC for name in (f"imagesTr/{case}_t2w.npz", f"labelsTr/{case}_seg.npz")}
    assert set(outputs(finished)) == stems
    assert {path.name for path in finished.iterdir()} >= {"imagesTr", "labelsTr", "run.json", "manifest.jsonl"}
    assert [path for path in finished.glob(".partial/*") if path.suffix == ".npz"] == []


@pytest.mark.parametrize("workers", [0, 2])
def test_one_bad_case_does_not_stop_the_others(synthetic, tmp_path, workers):
    for folder in ("ImagesTr", "LabelsTr"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for path in (synthetic / folder).iterdir():
            content = path.read_bytes()
            broken = path.name == "10001_0002_t2w.mha"
            (tmp_path / "data" / folder / path.name).write_bytes(content[: len(content) - 40 * broken])
    recipe = Recipe(target_spacing=SYNTHETIC_TARGET)
    summary = run(tmp_path / "data", tmp_path / "out", workers, recipe)
    assert [result.case for result in summary.failed] == ["10001_0002_t2w"]
    assert "10001_0002_t2w.mha" in summary.failed[0].error
    assert len(outputs(tmp_path / "out")) == 4


def test_a_negative_label_voxel_is_reported(synthetic, tmp_path):
    summary = run(synthetic, tmp_path / "out")
    for result in summary.done:
        assert any("negative label voxel" in message for message in result.warnings)


@pytest.mark.filterwarnings("ignore:.*mri_statistics")
def test_an_executor_works_on_the_cases(tmp_path):
    root = write_cases(tmp_path / "dataset", 2)
    summary = preprocess(root, tmp_path / "out", workers=1, executor=lambda: ThreadPoolExecutor(1))
    assert [result.case for result in summary.done] == ["case_0", "case_1"]
    preprocess(root, tmp_path / "here", workers=0)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "here")


def test_what_is_no_executor_and_no_client_is_refused(tmp_path):
    root = write_cases(tmp_path / "dataset", 1)
    with ThreadPoolExecutor(1) as made, pytest.raises(ClusterError, match=r"executor: .* give what makes one"):
        preprocess(root, tmp_path / "out", workers=1, executor=made)
    with pytest.raises(ClusterError, match=r"client: give a Client of dask"):
        preprocess(root, tmp_path / "out", client="tcp://127.0.0.1:8786")


@pytest.mark.parametrize("options", [{"workers": 0}, {"case_timeout": 5.0}])
def test_an_executor_has_workers_and_keeps_no_limit(tmp_path, options):
    root = write_cases(tmp_path / "dataset", 1)
    with pytest.raises(ClusterError, match="give workers, how many it has"):
        preprocess(root, tmp_path / "out", executor=lambda: ThreadPoolExecutor(1), **options)
