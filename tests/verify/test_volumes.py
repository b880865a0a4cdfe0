"""A volume beside its record: every difference is named, at the functions themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.formats import blocks
from monai_mriprep.formats.blocks import Blocks
from monai_mriprep.formats.npz import NpzVolume, read_npz
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.types import IMAGE, LABEL
from monai_mriprep.verify.volumes import differences, file_problems, trace_problems
from tests.runs import done_line, record_of, write_cases

CASE = "case_0"

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    root = tmp_path_factory.mktemp("volumes")
    preprocess(write_cases(root / "data", 1), root / "out", workers=0)
    with open_store(root / "out") as opened:
        yield opened


@pytest.fixture(scope="module")
def record(store) -> Done:
    return read_index(store.root).done(CASE)


def volume(store: Store, record: Done, role=IMAGE) -> NpzVolume:
    return read_npz(Path(store.root.path, record.outputs[role.name].path))


def test_what_a_run_has_written_has_no_problem(store, record):
    assert [*file_problems(store, IMAGE, record), *file_problems(store, LABEL, record), *trace_problems(record)] == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda v: {"array": v.array[:, 1:]}, "has the shape"),
        (lambda v: {"array": np.concatenate([v.array, v.array])}, "has the shape"),
        (lambda v: {"array": v.array.astype(np.float64)}, "holds float64; float32 is expected"),
        (lambda v: {"array": np.full_like(v.array, np.nan)}, "not finite"),
        (lambda v: {"spacing": v.spacing + 1}, "has the spacing"),
        (lambda v: {"affine": None}, "has an affine that is not the recorded one"),
        (lambda v: {"affine": v.affine + 1}, "has an affine that is not the recorded one"),
    ],
    ids=["shape", "channels", "type", "nan", "spacing", "no affine", "affine"],
)
def test_a_difference_of_an_image(store, record, change, problem):
    found = volume(store, record)
    (said,) = differences(replace(found, **change(found)), IMAGE, record)
    assert problem in said


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda array: array.astype(np.int32), "holds int32; int8 or int16 is expected"),
        (lambda array: np.roll(array, 1) * 0, "voxels); "),
        (lambda array: np.roll(array, 1), "does not have the recorded voxels of its classes"),
    ],
    ids=["type", "values", "places"],
)
def test_a_difference_of_a_label(store, record, change, problem):
    found = volume(store, record, LABEL)
    (said,) = differences(replace(found, array=change(found.array)), LABEL, record)
    assert problem in said


def test_a_file_of_another_case_is_not_the_recorded_one(store, record):
    other = record.outputs["label"].model_copy(update={"sha256": "0" * 64})
    changed = record.model_copy(update={"outputs": {**record.outputs, "label": other}})
    (said,) = file_problems(store, LABEL, changed)
    assert said.startswith("is damaged or was changed: its SHA-256 is not the recorded one; remove it")


def at(record: Done, **changes: object) -> Done:
    """The record with another output as its label."""
    other = record.outputs["label"].model_copy(update=changes)
    return record.model_copy(update={"outputs": {**record.outputs, "label": other}})


def test_what_is_missing_no_file_or_of_another_size_is_told_in_words(store, record):
    (store.root.path / "labelsTr" / "folder.npz").mkdir()
    size = record.outputs["label"].size
    for changed, problem in (
        (at(record, path="labelsTr/missing.npz"), "is missing; `run` makes it again"),
        (at(record, path="labelsTr/folder.npz"), "is a folder; remove it, and `run` makes it again"),
        (at(record, size=size - 1), f"has {size} bytes, {size - 1} were written; remove it, and `run` makes it again"),
    ):
        assert [*file_problems(store, LABEL, changed)] == [problem]
    (store.root.path / "labelsTr" / "folder.npz").rmdir()


@pytest.mark.parametrize("error", [OSError("torn"), MemoryError("full")], ids=["disk", "memory"])
def test_what_cannot_be_read_is_told_in_words(store, record, monkeypatch, error):
    def read(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(Folder, "read", read)
    assert [*file_problems(store, LABEL, record)] == [f"cannot be read: {error!r}"]


def test_an_index_that_is_not_that_of_the_voxels_is_damage(tmp_path, monkeypatch):
    """As if the writer were wrong: the bytes are those that are recorded."""
    right = Blocks.to_json
    for name, value in {"WHOLE": 0, "BLOCK": 1}.items():
        monkeypatch.setattr(blocks, name, value)
    monkeypatch.setattr(Blocks, "to_json", lambda self: right(replace(self, crcs=self.crcs[::-1])))
    preprocess(write_cases(tmp_path / "data", 1), tmp_path / "out", workers=0)
    with open_store(tmp_path / "out") as store:
        (said,) = file_problems(store, IMAGE, read_index(store.root).done(CASE))
    assert "the index in the comment is not that of arr_0.npy" in said


def test_the_labels_after_preprocessing_are_compared(store, record):
    labels = record.labels.model_copy(update={"before": {0: 1}})
    assert [*differences(volume(store, record, LABEL), LABEL, record.model_copy(update={"labels": labels}))] == []


def test_a_trace_and_a_frame_that_lead_nowhere_are_told():
    assert [*trace_problems(record_of(done_line(spacing=[1.5, 1.0, 1.0])))] != []
    header = {"spacing": [9.0, 1.0, 1.0], "origin": [0.0] * 3, "direction": np.eye(3).tolist()}
    assert [*trace_problems(record_of(done_line(source_header=header)))] != []


def test_an_index_of_classes_that_no_label_has_is_told_once(store, record):
    changed = record.model_copy(update={"recorded_classes": {"1": [1, ""]}})
    changed.__dict__.pop("classes", None)  # which was read from the record before
    (said,) = trace_problems(changed)
    assert "the index of its classes" in said
    assert [*differences(volume(store, record, LABEL), LABEL, changed)] == []
