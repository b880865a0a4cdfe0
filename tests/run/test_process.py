"""One case, from its files to its files and its record."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep.formats import comment
from monai_mriprep.formats.npz import encode_npz, read_npz
from monai_mriprep.formats.read import read_header
from monai_mriprep.recipe import Recipe
from monai_mriprep.run import process
from monai_mriprep.run.decide import decide
from monai_mriprep.run.process import process_case
from monai_mriprep.steps.crop import NonZeroCrop
from monai_mriprep.store import staging
from monai_mriprep.store.store import open_store
from monai_mriprep.store.writers import another_name
from monai_mriprep.transforms.files import npz_volume
from tests.oracles import affine_of, itk_image
from tests.runs import (
    FOLDER_OF_0_1_0,
    append_record,
    broken,
    case_from,
    case_of,
    events,
    image_of,
    job_of,
    left_over,
    outputs,
    record_of,
    write_case,
)


@pytest.fixture
def oblique(tmp_path) -> tuple[Path, Path]:
    """Image and label with an empty border, turned in space, written by SimpleITK."""
    image = np.zeros((6, 11, 13), np.int16)
    image[1:5, 2:9, 3:12] = np.random.default_rng(0).integers(1, 900, (4, 7, 9))
    paths = tmp_path / "a.nii.gz", tmp_path / "b.mha"
    for path, array in zip(paths, (image, (image > 500).astype(np.uint8)), strict=True):
        SimpleITK.WriteImage(itk_image(array, affine_of((3.0, 0.9, 0.8), 20.0, (4.0, -3.0, 1 / 3))), str(path))
    return paths


def test_a_worker_that_outlives_its_run_writes_nothing(tmp_path):
    write_case(tmp_path / "dataset", "a")
    job, writer = job_of(tmp_path / "out"), another_name()
    with open_store(job.output_root, writer) as store:
        assert store.staging.names() == []
        store.leave()  # as who takes over the folder does
    shown = tmp_path / "out/.report/a.webp"
    shown.parent.mkdir()
    shown.write_bytes(b"of the run that goes on")
    result = process_case(replace(job, writer=writer), case_of(tmp_path / "dataset", "a"))
    assert result.status == "failed"
    assert "has ended, or another one has taken its place" in result.error
    assert (outputs(job.output_root), left_over(job.output_root)) == ({}, [])
    assert shown.read_bytes() == b"of the run that goes on"


RECIPES = {
    "default": Recipe(),
    "turned": Recipe(orientation="RAS"),
    "cropped": Recipe(crop="nonzero", crop_margin=1.0),
    "turned and cropped": Recipe(orientation="LPI", crop="nonzero"),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_record_tells_the_way_from_the_scan_to_the_files(tmp_path, oblique, recipe):
    job = replace(job_of(tmp_path / "out", (2.0, 1.1, 0.7)), recipe=recipe)
    result = process_case(job, case_from("a", *oblique))
    assert result.error is None
    record = record_of({**result.record(), "time": 0.0})
    assert record.recorded_trace == json.loads(json.dumps(record.recorded_trace))
    source, target = read_header(oblique[0]).grid, read_npz(job.output_root / record.outputs["image"].path)
    assert record.trace.source == record.source_grid == source
    assert record.trace.target == record.target_grid
    np.testing.assert_array_equal(record.trace.target.affine, target.affine)
    assert (1, *record.trace.target.shape) == target.array.shape
    moments = record.trace.params("normalization")
    assert (*record.foreground.mean, *record.foreground.std) == (*moments["mean"], *moments["std"])


def test_a_label_that_a_crop_has_cut_away_is_not_said_to_have_vanished_by_resampling(tmp_path):
    image, label = np.zeros((6, 8, 9), np.int16), np.zeros((6, 8, 9), np.uint8)
    image[2:4, 2:6, 3:7], label[2:4, 2:6, 3:7], label[0, 0, 0] = 500, 1, 2
    paths = tmp_path / "a.mha", tmp_path / "b.mha"
    for path, array in zip(paths, (image, label), strict=True):
        SimpleITK.WriteImage(itk_image(array, np.eye(4)), str(path))
    job = replace(job_of(tmp_path / "out", (1.0, 1.0, 1.0)), recipe=Recipe(crop="nonzero"))
    warned = process_case(job, case_from("a", *paths)).warnings
    assert [one for one in warned if "label 2 (1 voxel)" in one and "vanished in preprocessing" in one]
    assert not [one for one in warned if "resampling" in one]


MAPS = {
    "merged": ({1: 1, 2: 1}, {"0": 28, "1": 36}),
    "dropped": ({2: 0}, {"0": 32, "1": 32}),
    "renumbered": ({2: 300}, {"0": 28, "1": 32, "300": 4}),
}


def write_two_labels(folder: Path) -> tuple[Path, Path]:
    """An image without zeros, and a label of 32 voxels of 1 and 4 of 2."""
    label = np.zeros((4, 4, 4), np.uint8)
    label[:2], label[3, 1] = 1, 2
    paths = folder / "a.mha", folder / "b.mha"
    for path, array in zip(paths, (5 + np.indices(label.shape)[0].astype(np.uint8), label), strict=True):
        SimpleITK.WriteImage(itk_image(array, np.eye(4)), str(path))
    return paths


@pytest.mark.parametrize("name", MAPS)
def test_the_record_counts_the_labels_of_the_file_and_of_the_map_and_none_of_them_has_vanished(tmp_path, name):
    label_map, after = MAPS[name]
    job = replace(job_of(tmp_path / "out", (1.0, 1.0, 1.0)), recipe=Recipe(label_map=label_map))
    result = process_case(job, case_from("a", *write_two_labels(tmp_path)))
    assert result.facts["labels"] == {"before": {"0": 28, "1": 32, "2": 4}, "after": after}
    assert not result.warnings


def test_a_label_that_is_lost_after_the_map_has_vanished_under_its_new_number(tmp_path):
    job = replace(job_of(tmp_path / "out", (1.0, 4.0, 1.0)), recipe=Recipe(label_map={2: 300}))
    (warned,) = process_case(job, case_from("a", *write_two_labels(tmp_path))).warnings
    assert "b.mha: vanished in preprocessing: label 300 (4 voxels)" in warned


def test_a_merge_that_the_map_does_not_name_fails_the_case(tmp_path):
    job = replace(job_of(tmp_path / "out", (1.0, 1.0, 1.0)), recipe=Recipe(label_map={2: 1}))
    result = process_case(job, case_from("a", *write_two_labels(tmp_path)))
    assert result.error.startswith(f"{tmp_path / 'b.mha'}: label 1 occurs, which the label_map does not name")


def test_the_record_holds_the_trace_where_monai_is_told_to_keep_no_history(tmp_path, oblique, monkeypatch):
    monkeypatch.setenv("MONAI_TRACE_TRANSFORM", "0")
    job = job_of(tmp_path / "out", (2.0, 1.1, 0.7))
    result = process_case(job, case_from("a", *oblique))
    assert result.error is None
    assert record_of({**result.record(), "time": 0.0}).recorded_trace is not None


def test_the_line_has_the_keys_of_version_0_1_0_and_those_that_came_later(tmp_path):
    write_case(tmp_path / "dataset", "a")
    job, case = job_of(tmp_path / "out"), case_of(tmp_path / "dataset", "a")
    append_record(job.output_root, process_case(job, case).record())
    old = next(line for line in events(FOLDER_OF_0_1_0 / "out") if line["event"] == "done")
    (new,) = [line for line in events(job.output_root) if line["event"] == "done"]
    assert [key for key in new if key not in ("trace", "measures", "classes")] == list(old)
    assert {role: list(file) for role, file in new["outputs"].items()} == {
        role: list(file) for role, file in old["outputs"].items()
    }


def test_the_record_says_how_long_each_step_took(tmp_path):
    write_case(tmp_path / "dataset", "a")
    job = replace(job_of(tmp_path / "out"), recipe=Recipe(crop="nonzero"))
    seconds = process_case(job, case_of(tmp_path / "dataset", "a")).record()["seconds"]
    steps = ["crop", "foreground", "resampling", "normalization", "label_cast"]
    assert list(seconds) == ["load", "count", "look", "MatchGeometryd", *steps, "write", "hash"]


@pytest.mark.parametrize("method", ["grid", "plan", "apply"])
def test_a_step_that_breaks_is_named_with_the_error_as_it_is(tmp_path, monkeypatch, method):
    write_case(tmp_path / "dataset", "a")
    job = replace(job_of(tmp_path / "out"), recipe=Recipe(crop="nonzero"))
    monkeypatch.setattr(NonZeroCrop, method, broken)
    result = process_case(job, case_of(tmp_path / "dataset", "a"))
    assert result.error == "unexpected RuntimeError: no luck (in the stage 'crop')"
    assert "in broken\n" in result.record()["traceback"]


@pytest.mark.parametrize(
    ("problem", "has_traceback"),
    [(MemoryError("no room"), False), (RuntimeError("DefaultCPUAllocator: can't allocate memory: no room"), True)],
    ids=["numpy", "torch"],
)
def test_a_lack_of_memory_is_told_with_what_the_case_needs(tmp_path, monkeypatch, problem, has_traceback):
    write_case(tmp_path / "dataset", "a")
    case = replace(case_of(tmp_path / "dataset", "a"), memory_bytes=5 * 2**20)

    def full(*_):
        raise problem

    monkeypatch.setattr(process, "_transform", full)
    result = process_case(job_of(tmp_path / "out"), case)
    assert result.error.startswith("out of memory (the case needs about 5 MiB): ")
    assert result.error.endswith("no room")
    assert ("traceback" in result.record()) == has_traceback


def test_what_breaks_outside_the_stages_names_none(tmp_path, monkeypatch):
    write_case(tmp_path / "dataset", "a")
    monkeypatch.setattr(process, "_warn_of_labels", broken)
    result = process_case(job_of(tmp_path / "out"), case_of(tmp_path / "dataset", "a"))
    assert result.error == "unexpected RuntimeError: no luck"


def test_a_source_that_changes_while_it_is_read_is_redone(tmp_path, monkeypatch):
    write_case(tmp_path / "dataset", "a")
    job, case = job_of(tmp_path / "out"), case_of(tmp_path / "dataset", "a")

    def changed(image):
        os.utime(image_of(case), ns=(1, 1))
        return npz_volume(image)

    monkeypatch.setattr(process, "npz_volume", changed)
    record = record_of({**process_case(job, case).record(), "time": 0.0})
    with open_store(job.output_root) as store:
        assert decide(job, case, record, store).reason == f"source image changed: {image_of(case)}"


def test_a_case_that_fails_while_it_is_written_leaves_nothing_behind(tmp_path, monkeypatch):
    write_case(tmp_path / "dataset", "a")
    job, case = job_of(tmp_path / "out"), case_of(tmp_path / "dataset", "a")

    def encode(volume, threads):
        if volume.array.dtype != np.float32:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return encode_npz(volume, threads)

    monkeypatch.setattr(staging, "encode_npz", encode)
    assert process_case(job, case).stops_run
    assert [path for path in (job.output_root / ".partial").rglob("*") if path.is_file()] == []


def test_both_files_say_how_they_were_made_and_nothing_of_when_and_where(tmp_path, oblique):
    for place in ("one", "two"):
        folder = tmp_path / place
        folder.mkdir()
        moved = [shutil.copy(path, folder) for path in oblique]
        job = replace(job_of(folder / "out"), redo=3)
        record = process_case(job, case_from("a", *map(Path, moved))).record()
    files = [folder / "out" / name for folder in (tmp_path / "one", tmp_path / "two") for name in TWO_FILES]
    assert [path.read_bytes() for path in files[:2]] == [path.read_bytes() for path in files[2:]]
    assert str(tmp_path).encode() not in files[0].read_bytes()
    for path, role in zip(files, ("image", "label"), strict=False):
        facts = read_npz(path).facts
        assert facts == {
            "case": "a",
            "role": role,
            "fingerprint": job.fingerprint,
            "redo": 3,
            "sources": {"image": "a.nii.gz", "label": "b.mha"},
            "outputs": {"image": "a.npz", "label": "a.npz"},
            "source_header": json.loads(json.dumps(record["source_header"])),
            "foreground": record["foreground"],
            "trace": record["trace"],
            "labels_before": record["labels"]["before"],
            "labels_after": record["labels"]["after"],
            **({"classes": record["classes"]} if role == "label" else {}),
        }


def test_the_record_tells_voxels_of_each_class_of_the_written_label(tmp_path, oblique):
    job = job_of(tmp_path / "out", (2.0, 1.1, 0.7))
    record = record_of({**process_case(job, case_from("a", *oblique)).record(), "time": 0.0})
    assert record.classes.voxels == record.labels.after
    assert record.classes.is_of(read_npz(job.output_root / TWO_FILES[1]).array[0])


TWO_FILES = ("imagesTr/a.npz", "labelsTr/a.npz")


def test_channels_are_told_in_their_order_and_the_first_gives_the_header(tmp_path, oblique):
    """The grid of the second differs by less than the tolerance."""
    first, label = oblique
    second = tmp_path / "0.nii.gz"
    moved = affine_of((3.0, 0.9, 0.8), 20.0, (4.0, -3.0, 1 / 3 + 1e-3))
    SimpleITK.WriteImage(itk_image(np.full((6, 11, 13), 7, np.int16), moved), str(second))
    case = case_from("a", first, label)
    case = replace(case, sources={"image": (first, second), "label": (label,)})
    job = replace(job_of(tmp_path / "out"), recipe=Recipe(channels=("b", "a")))
    record = record_of({**process_case(job, case).record(), "time": 0.0})
    assert [Path(file.path).name for file in record.sources["image"]] == ["a.nii.gz", "0.nii.gz"]
    assert record.foreground.mean[1] == pytest.approx(7)
    assert record.source_grid == read_header(first).grid != read_header(second).grid
    facts = read_npz(job.output_root / record.outputs["image"].path).facts
    assert facts["sources"] == {"image": ["a.nii.gz", "0.nii.gz"], "label": "b.mha"}


def test_a_trace_that_does_not_fit_into_a_comment_is_a_warning(tmp_path, oblique, monkeypatch):
    monkeypatch.setattr(comment, "LARGEST", 900)
    job = job_of(tmp_path / "out")
    result = process_case(job, case_from("a", *oblique))
    assert result.error is None
    assert any("does not fit into the comments of its files" in warning for warning in result.warnings)
    assert record_of({**result.record(), "time": 0.0}).recorded_trace is not None
    facts = read_npz(job.output_root / TWO_FILES[0]).facts
    assert "case" in facts
    assert not {"trace", "labels_before", "labels_after", "classes"} & facts.keys()
