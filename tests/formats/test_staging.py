"""Files that appear together: synced, then moved, by a run and by transforms in a MONAI loader alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset
from monai.transforms.compose import Compose

from monai_mriprep import SaveNpzd, StemPaird, open_dataset, preprocess
from monai_mriprep.errors import DiskFullError, OutputError
from monai_mriprep.formats import staging
from monai_mriprep.formats.npz import NpzVolume, WrittenFile
from monai_mriprep.formats.staging import place_files, stage_files
from tests.runs import outputs, write_cases


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_loader_with_two_workers_writes_the_files_of_a_run(synthetic, tmp_path, method):
    preprocess(synthetic, tmp_path / "run", workers=0)
    items, transforms, _ = open_dataset(synthetic)
    images = [{"image": item["image"]} for item in items]
    save = SaveNpzd(["image", "label"], tmp_path / "loader")
    steps = Compose([StemPaird(synthetic / "LabelsTr"), *transforms.transforms, save])
    for _ in DataLoader(Dataset(images, steps), batch_size=1, num_workers=2, multiprocessing_context=method):
        pass
    assert len(outputs(tmp_path / "loader")) == 6
    assert outputs(tmp_path / "loader") == outputs(tmp_path / "run")
    assert list((tmp_path / "loader" / ".partial").iterdir()) == []


VOLUME = NpzVolume(np.ones((1, 2, 3, 4), np.float32), np.ones(3), np.eye(4))


@pytest.fixture
def calls(monkeypatch) -> list[tuple[str, str]]:
    """What is synced and moved, in order, by the place in the output folder."""
    seen = []
    sync, sync_folder, replace = WrittenFile.sync, staging.sync_folder, Path.replace

    def note_sync(file):
        seen.append(("sync", f"{file.final.parent.name}/{file.final.name}"))
        sync(file)

    def note_folder(folder):
        seen.append(("sync", folder.name))
        sync_folder(folder)

    def note_move(path, target):
        seen.append(("move", f"{target.parent.name}/{target.name}"))
        return replace(path, target)

    monkeypatch.setattr(WrittenFile, "sync", note_sync)
    monkeypatch.setattr(staging, "sync_folder", note_folder)
    monkeypatch.setattr(Path, "replace", note_move)
    return seen


PLACED = [
    ("sync", "labelsTr/a.npz"),
    ("sync", "imagesTr/a.npz"),
    ("move", "labelsTr/a.npz"),
    ("move", "imagesTr/a.npz"),
    ("sync", "labelsTr"),
    ("sync", "imagesTr"),
]


def test_all_is_synced_then_moved_the_label_first_then_the_folders_are_synced(tmp_path, calls):
    volumes = {tmp_path / folder / "a.npz": VOLUME for folder in ("imagesTr", "labelsTr")}
    place_files(stage_files(volumes, tmp_path / ".partial"))
    assert calls == PLACED


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_transform_and_run_do_the_same(tmp_path, calls):
    root = write_cases(tmp_path / "data", 1)
    items, transforms, _ = open_dataset(root)
    saved = transforms(items[0])
    calls.clear()
    SaveNpzd(["image", "label"], tmp_path / "saved")(saved)
    of_transform = [(kind, name.replace("case_0", "a")) for kind, name in calls]
    assert of_transform == PLACED
    calls.clear()
    preprocess(root, tmp_path / "run", workers=0)
    npz = [(kind, name.replace("case_0", "a")) for kind, name in calls if (kind, name.replace("case_0", "a")) in PLACED]
    assert npz == PLACED


@pytest.mark.parametrize("number", [1, 2])
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, number):
    """At whichever of the two files it is noticed."""
    count = iter(range(9))

    def full(descriptor):
        if next(count) == number - 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    volumes = {tmp_path / folder / "a.npz": VOLUME for folder in ("imagesTr", "labelsTr")}
    with pytest.raises(OSError, match="No space left"):
        place_files(stage_files(volumes, tmp_path / ".partial"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_a_file_that_cannot_be_placed_is_named_and_cleared_away(tmp_path):
    items, transforms, _ = open_dataset(write_cases(tmp_path / "data", 1))
    in_the_way = tmp_path / "out" / "labelsTr" / "case_0.npz"
    in_the_way.mkdir(parents=True)
    with pytest.raises(OutputError, match=r"case_0\.npz: the finished file cannot be put there"):
        SaveNpzd(["image", "label"], tmp_path / "out")(transforms(items[0]))
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_no_space_for_a_move_is_told_apart(tmp_path, monkeypatch):
    files = stage_files({tmp_path / "imagesTr" / "a.npz": VOLUME}, tmp_path / ".partial")

    def full(path, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFullError, match="No space left"):
        place_files(files)
