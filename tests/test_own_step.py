"""Two steps that only this file knows go everywhere that ours go: a run, training, both ways back, and planning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.post.dictionary import Invertd
from pydantic import Field

from monai_mriprep import OpenedDataset, Recipe, Step, open_dataset, preprocess, register_step, restore
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.run import children
from monai_mriprep.run.check import check_dataset
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.volume.geometry import Grid
from tests.oracles import SYNTHETIC, SYNTHETIC_TARGET, dictionary, nearest, new_affine, plan, read, spline, z_score
from tests.runs import done_records, write_case

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning"),
]

BORDER = 2


@register_step
class Border(Step):
    """Zeros around the scan, before it is resampled."""

    name = "border"
    voxels: Annotated[int, Field(ge=1)] = BORDER

    def grid(self, grid, params=None):
        n, affine = self.voxels, grid.affine.copy()
        affine[:3, 3] -= affine[:3, :3] @ (n, n, n)
        return Grid(tuple(size + 2 * n for size in grid.shape), affine)

    def apply(self, volume, role, grid, params):
        whole = volume.new_zeros((len(volume), *self.grid(grid).shape))
        n = self.voxels
        whole[:, n:-n, n:-n, n:-n] = volume
        return whole

    def invert(self, volume, role, grid, params):
        n = self.voxels
        return volume[:, n:-n, n:-n, n:-n].clone()


@register_step
class Mirror(Step):
    """One axis the other way, after the resampling."""

    name = "mirror"
    follows = "resampling"
    axis: Literal["z", "y", "x"] = "y"

    def grid(self, grid, params=None):
        axis, affine = "zyx".index(self.axis), grid.affine.copy()
        affine[:3, 3] += (grid.shape[axis] - 1) * affine[:3, axis]
        affine[:3, axis] *= -1
        return Grid(grid.shape, affine)

    def apply(self, volume, role, grid, params):
        return volume.flip("zyx".index(self.axis) + 1)

    def invert(self, volume, role, grid, params):
        return self.apply(volume, role, grid, params)


RECIPE = Recipe(steps=["border", {"step": "mirror", "axis": "y"}])


@dataclass(frozen=True)
class Run:
    """A dataset, what a run with two workers made of it, and the same opened for training."""

    root: Path
    output: Path
    opened: OpenedDataset

    def case(self, name: str) -> dict[str, torch.Tensor]:
        return self.opened.transforms(dictionary(self.root, name))

    def file(self, folder: str, name: str):
        (path,) = (self.output / folder).glob(f"{name}_*.npz")
        return read_npz(path)


@pytest.fixture(scope="module")
def run(synthetic, tmp_path_factory) -> Run:
    output = tmp_path_factory.mktemp("own_step") / "output"
    summary = preprocess(synthetic, output, RECIPE, workers=2)
    assert not summary.failed
    return Run(synthetic, output, open_dataset(synthetic, RECIPE))


@pytest.fixture(params=SYNTHETIC)
def name(request) -> str:
    return request.param


def moved(affine: np.ndarray, *columns: tuple[float, ...]) -> np.ndarray:
    """With another index: its first three rows, as columns of ``(scale, shift)`` along z, y, x."""
    index = np.eye(4)
    for axis, (scale, shift) in enumerate(columns):
        index[axis, axis], index[axis, 3] = scale, shift
    return affine @ index


def expected(root: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, label and affine by scipy and numpy."""
    (image, affine), (label, _) = (read(Path(path)) for path in dictionary(root, name).values())
    image, label = np.pad(image, BORDER), np.pad(label, BORDER)
    affine = moved(affine, *[(1, -BORDER)] * 3)
    axes = plan(image.shape, affine, SYNTHETIC_TARGET)
    scores = z_score(spline(image, axes, 3), nearest(image != 0, axes))
    affine = moved(new_affine(affine, axes), (1, 0), (-1, axes[1].n_out - 1), (1, 0))
    return scores[:, ::-1], np.maximum(nearest(label, axes), 0)[:, ::-1], affine


def test_the_files_of_a_run_are_what_scipy_says(run, name):
    image, label, affine = expected(run.root, name)
    stored = run.file("imagesTr", name)
    np.testing.assert_allclose(stored.array[0], image, atol=2e-6 * np.ptp(image))
    np.testing.assert_allclose(stored.affine, affine, atol=1e-9)
    stored = run.file("labelsTr", name)
    assert np.array_equal(stored.array[0], label)
    np.testing.assert_allclose(stored.affine, affine, atol=1e-9)


def test_the_record_holds_them_and_the_output_is_verified(run, name):
    (record,) = (record for case, record in done_records(run.output).items() if name in case)
    steps = [one.step for one in record.trace.steps]
    assert [step.name for step in steps] == [
        "border", "foreground", "resampling", "mirror", "normalization", "label_cast",
    ]  # fmt: skip
    assert steps[0] == Border()
    assert steps[3] == Mirror(axis="y")
    assert not verify_output(run.output).findings


def test_training_on_the_fly_has_the_same_bits(run, name):
    computed = run.case(name)
    for key, folder in (("image", "imagesTr"), ("label", "labelsTr")):
        stored = run.file(folder, name)
        assert computed[key].dtype == getattr(torch, stored.array.dtype.name)
        assert np.array_equal(computed[key].numpy(), stored.array)
        assert np.array_equal(computed[key].affine.numpy(), stored.affine)


def test_both_ways_back_give_the_scan_s_grid_and_the_same_voxels(run, name, tmp_path):
    volumes = run.case(name)
    shape, rng = tuple(volumes["image"].shape[1:]), np.random.default_rng(4)
    predictions = {
        "classes": rng.integers(0, 5, (1, *shape)).astype(np.uint8),
        "probability": rng.random((1, *shape), np.float32),
        "channels": rng.random((3, *shape), np.float32),
    }
    invert = Invertd(list(predictions), run.opened.transforms, orig_keys="image", nearest_interp=False)
    inverted = invert({**volumes, **{key: MetaTensor(torch.from_numpy(a)) for key, a in predictions.items()}})
    native, affine = read(Path(dictionary(run.root, name)["image"]))
    for key, array in predictions.items():
        assert tuple(inverted[key].shape) == (len(array), *native.shape)
        assert inverted[key].dtype == getattr(torch, array.dtype.name)
        np.testing.assert_allclose(inverted[key].affine, affine, atol=1e-12)
        restored, where = restored_by_files(run, name, array, tmp_path / key, probabilities=key == "probability")
        np.testing.assert_allclose(where, affine, atol=1e-12)
        again = inverted[key].numpy().argmax(0) if key == "channels" else inverted[key].numpy()[0]
        assert np.count_nonzero(restored != again) == 0


def restored_by_files(run: Run, name: str, prediction: np.ndarray, folder: Path, probabilities: bool):
    folder.mkdir()
    (stem,) = (path.stem for path in (run.output / "imagesTr").glob(f"{name}_*"))
    np.save(folder / f"{stem}.npy", prediction)
    summary = restore(run.output, folder, folder / "restored", probabilities=probabilities)
    (path,) = summary.restored
    return read(path)


def test_check_tells_the_size_beforehand(run, name):
    (case,) = (case for case in check_dataset(run.root, RECIPE).cases if name in case.case)
    (plain,) = (case for case in check_dataset(run.root).cases if name in case.case)
    assert case.target_shape == run.file("imagesTr", name).array.shape[1:]
    assert not case.is_upper_bound
    assert case.output_bytes > plain.output_bytes
    assert case.memory_bytes > plain.memory_bytes


def test_a_run_resumes_and_another_setting_is_another_recipe(run):
    again = preprocess(run.root, run.output, RECIPE, workers=0)
    assert (again.done, len(again.skipped)) == ((), len(SYNTHETIC))
    fingerprints = {Recipe(steps=steps).fingerprint() for steps in ([], ["mirror"], [{"step": "mirror", "axis": "z"}])}
    assert len(fingerprints) == 3


@pytest.mark.stress
def test_workers_that_inherit_nothing_find_them(synthetic, run, tmp_path, monkeypatch):
    """The recipe and its steps reach them by the names of their classes."""
    monkeypatch.setattr(children, "START_METHOD", "spawn")
    summary = preprocess(synthetic, tmp_path / "output", RECIPE, workers=1)
    assert len(summary.done) == len(SYNTHETIC)
    for path in (tmp_path / "output" / "imagesTr").iterdir():
        assert path.read_bytes() == (run.output / "imagesTr" / path.name).read_bytes()


@register_step
class EveryOther(Step):
    """Every other slice of what was resampled."""

    name = "every_other"
    follows = "resampling"

    def grid(self, grid, params=None):
        return Grid((-(-grid.shape[0] // 2), *grid.shape[1:]), grid.affine * (2, 1, 1, 1))

    def apply(self, volume, role, grid, params):
        return volume[:, ::2].clone()

    def invert(self, volume, role, grid, params):
        return volume.repeat_interleave(2, 1)[:, : grid.shape[0]]


def test_another_spacing_after_the_resampling_is_in_file_and_record_and_is_verified(tmp_path):
    write_case(tmp_path, "10_a", (7, 12, 13), (3.0, 1.0, 1.5))
    output = tmp_path / "output"
    preprocess(tmp_path, output, Recipe(target_spacing=(2.0, 1.2, 1.5), steps=["every_other"]), workers=0)
    record = done_records(output)["10_a"]
    file = read_npz(output / "imagesTr/10_a.npz")
    assert tuple(file.spacing) == record.spacing == record.target_grid.spacing == (4.0, 1.2, 1.5)
    assert np.linalg.norm(file.affine[:3, :3], axis=0) == pytest.approx(record.spacing)
    assert not verify_output(output).problems
