"""Files that appear together: synced, then moved, by a run and by transforms in a MONAI loader alike."""

from __future__ import annotations

import errno
import hashlib
import os
import zipfile

import numpy as np
import pytest
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset
from monai.transforms.compose import Compose

from monai_mriprep import SaveNpzd, StemPaird, open_dataset, preprocess
from monai_mriprep.errors import DiskFullError, OutputError
from monai_mriprep.formats.npz import read_npz, stored_crc
from monai_mriprep.store import calls, staging
from monai_mriprep.store.staging import Move, being_written, is_undone, move_together, save_volumes, stage_files
from monai_mriprep.store.writers import Writer
from tests.runs import ROLE_FOLDERS, outputs, write_cases
from tests.store.faults import CHANGES, Crash, crash_at, fail_at, note, refuse
from tests.store.pairs import left_in, stage, volume

VOLUMES = {(folder, "a.npz"): volume() for folder in ROLE_FOLDERS.values()}


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.stress)])
def test_a_loader_with_two_workers_writes_the_arrays_of_a_run(synthetic, tmp_path, method):
    """The bytes differ by the comment: a run says there how a case was made."""
    preprocess(synthetic, tmp_path / "run", workers=0)
    items, transforms, _ = open_dataset(synthetic)
    images = [{"image": item["image"]} for item in items]
    save = SaveNpzd(["image", "label"], tmp_path / "loader")
    steps = Compose([StemPaird(synthetic / "LabelsTr"), *transforms.transforms, save])
    for _ in DataLoader(Dataset(images, steps), batch_size=1, num_workers=2, multiprocessing_context=method):
        pass
    assert len(checksums(tmp_path / "loader")) == 12
    assert checksums(tmp_path / "loader") == checksums(tmp_path / "run")
    assert list((tmp_path / "loader" / ".partial").iterdir()) == []


def checksums(output):
    """Of the arrays in every file."""
    found = {}
    for path in output.glob("*Tr/*.npz"):
        with zipfile.ZipFile(path) as archive:
            found |= {(path.parent.name, path.name, entry.filename): entry.CRC for entry in archive.infolist()}
    return found


def test_what_is_known_of_a_staged_file(store):
    label, image = stage_files(store, VOLUMES)
    assert (label.move.folder, image.move.folder) == ("labelsTr", "imagesTr"), "the image last"
    for file in (label, image):
        path = store.staging.path / file.move.staged
        content = path.read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert file.mtime_ns == path.stat().st_mtime_ns
        assert file.crc32 == stored_crc(path)
        np.testing.assert_array_equal(read_npz(path).array, volume().array)


@pytest.mark.parametrize(
    ("code", "error"), [(errno.EIO, OutputError), (errno.ENOSPC, DiskFullError)], ids=["EIO", "ENOSPC"]
)
def test_where_one_cannot_be_staged_none_is_left(store, monkeypatch, code, error):
    _ = store.staging
    named = rf"{store.root.path}: the files of a case cannot be written \({os.strerror(code)}"
    for number in range(steps_of_staging(store, monkeypatch)):
        with monkeypatch.context() as patch:
            fail_at(patch, number, code)
            with pytest.raises(error, match=named):
                stage_files(store, VOLUMES)
        assert left_in(store) == [], number


def test_a_temporary_file_that_cannot_be_removed_keeps_no_other(store, monkeypatch):
    moves = [file.move for file in stage_files(store, VOLUMES)]
    refuse(monkeypatch, "unlink", lambda name, _: name == moves[0].staged)
    with pytest.raises(OutputError, match="Input/output error"), being_written(store, moves):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert left_in(store) == [moves[0].staged]


def steps_of_staging(store, monkeypatch) -> int:
    """Both are opened, written in parts, and opened again for their checksum."""
    count = 0
    for name in CHANGES:
        real = getattr(calls, name)

        def counting(*arguments, real=real):
            nonlocal count
            count += 1
            return real(*arguments)

        monkeypatch.setattr(calls, name, counting)
    for file in stage_files(store, VOLUMES):
        store.staging.remove(file.move.staged)
    monkeypatch.undo()
    return count - len(VOLUMES)


# --- Moves ------------------------------------------------------------------------------------------------------------


def test_only_names_without_a_folder_are_moved(store):
    label, image = stage(store)
    for move in (Move("../x", "imagesTr", "a.npz"), Move(label.move.staged, "imagesTr", "../a.npz")):
        with pytest.raises(OutputError, match="not the bare name"):
            move_together(store, store.staging, [move])
    assert left_in(store) == sorted([label.move.staged, image.move.staged])


def test_moves_are_undone_once_all_files_wait_and_none_that_they_replace(store):
    moves = [file.move for file in stage(store)]
    assert is_undone(store.staging, moves)
    kept = moves[1].staged.removesuffix("npz") + "old"
    store.staging.create(kept, [b"the file before"])
    assert not is_undone(store.staging, moves), "it would be lost with the entry"
    store.staging.remove(kept)
    store.staging.remove(moves[0].staged)
    assert not is_undone(store.staging, moves), "it is still in place"


def test_a_file_that_is_replaced_comes_back_after_an_error(store, monkeypatch):
    """With and without second names, and whether or not the file can be moved back is told."""
    for links in (True, False):
        moves = [file.move for file in stage(store, 0.0)]
        move_together(store, store.staging, moves)
        before = outputs(store.root.path)
        moves = [file.move for file in stage(store, 1.0)]
        with monkeypatch.context() as patch:
            refuse(patch, "rename", lambda name, *_, last=moves[1].staged: name == last, errno.ENOSPC)
            refuse(patch, "link", lambda *_, links=links: not links, errno.EPERM)
            with pytest.raises(
                DiskFullError, match=r"imagesTr/a\.npz: the finished file cannot be put there \(No space"
            ):
                move_together(store, store.staging, moves)
        assert outputs(store.root.path) == before
        assert left_in(store) == sorted(move.staged for move in moves)
        for move in moves:
            store.staging.remove(move.staged)


# --- Outside of a run -------------------------------------------------------------------------------------------------

PLACED = [
    ("sync", "labelsTr/a.npz"),
    ("sync", "imagesTr/a.npz"),
    ("move", "labelsTr/a.npz"),
    ("move", "imagesTr/a.npz"),
    ("sync", "out/labelsTr"),
    ("sync", "out/imagesTr"),
]


def placed(seen: list[tuple[str, str]], *names: str) -> list[tuple[str, str]]:
    """What was synced and moved of the volumes, where temporary names stand for label and image in this order."""
    temporary = [name for kind, name in seen if kind == "sync" and name.endswith(".npz")]
    final = dict(zip(temporary, names, strict=True))
    kept = [(kind, final.get(name, name)) for kind, name in seen]
    return [(kind, name) for kind, name in kept if "sTr" in name]


def test_all_is_synced_then_moved_the_label_first_then_the_folders_are_synced(tmp_path, monkeypatch):
    seen = note(monkeypatch)
    save_volumes(tmp_path / "out", VOLUMES)
    assert placed(seen, "labelsTr/a.npz", "imagesTr/a.npz") == PLACED
    assert seen[0] == ("sync", f"{tmp_path.name}/out"), "its new folders survive a power cut, too"


def test_a_transform_that_saves_beside_a_run_of_its_process_has_a_folder_of_its_own(store, monkeypatch):
    """A run clears up in the folder of its process."""
    stage(store)
    before, folders = left_in(store), []
    monkeypatch.setattr(staging, "stage_files", lambda store, *_: folders.append(store.writer) or ())
    save_volumes(store.root.path, VOLUMES)
    assert folders != [store.writer]
    assert Writer.of(folders[0]) == Writer.of(store.writer)
    assert left_in(store) == before


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_transform_and_run_do_the_same(tmp_path, monkeypatch):
    root = write_cases(tmp_path / "data", 1)
    items, transforms, _ = open_dataset(root)
    saved = transforms(items[0])
    names = ("labelsTr/case_0.npz", "imagesTr/case_0.npz")
    seen = note(monkeypatch)
    SaveNpzd(["image", "label"], tmp_path / "saved" / "out")(saved)
    of_transform = placed(seen, *names)
    assert [(kind, name.replace("case_0", "a")) for kind, name in of_transform] == PLACED
    seen.clear()
    preprocess(root, tmp_path / "run" / "out", workers=0)
    of_run = [(kind, name) for kind, name in seen if ".probe" not in name]
    probes = [name for kind, name in of_run if kind == "sync" and name.endswith(".npz")][: len(ROLE_FOLDERS)]
    of_run = placed([(kind, name) for kind, name in of_run if name not in probes], *names)
    assert [item for item in of_run if item[1] in names] == of_transform[:4]
    assert sorted(of_run[-2:]) == sorted(of_transform[-2:]), "before the journal's entry goes"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_an_error_at_any_step_leaves_both_files_or_none(tmp_path, monkeypatch, code):
    number = 0
    while True:
        root = tmp_path / str(number)
        with monkeypatch.context() as patch:
            fail_at(patch, number, code)
            try:
                save_volumes(root, VOLUMES)
            except OutputError:
                pass
            else:
                if number > 25:
                    break
        files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
        assert len(files) in (0, 2), (number, files)
        assert all(path.parent.name in ROLE_FOLDERS.values() for path in files), number
        number += 1


def test_a_crash_leaves_temporary_files_at_most_among_the_temporary_ones(tmp_path, monkeypatch):
    for number in range(40):
        root = tmp_path / str(number)
        with monkeypatch.context() as patch:
            crash_at(patch, number)
            try:
                save_volumes(root, VOLUMES)
            except Crash:
                crashed = True
            else:
                crashed = False
        files = [path for path in root.rglob("*") if path.is_file() and ".partial" not in path.parts]
        assert all(path.name == "a.npz" for path in files)
        assert len(read_all(files)) == len(files)
    assert not crashed


def read_all(files):
    return [read_npz(path) for path in files]


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_a_file_that_cannot_be_placed_is_named_and_cleared_away(tmp_path, monkeypatch):
    items, transforms, _ = open_dataset(write_cases(tmp_path / "data", 1))
    saved = transforms(items[0])
    refuse(monkeypatch, "rename", lambda name, folder, new, *_: new == "case_0.npz", errno.EACCES)
    with pytest.raises(OutputError, match=r"labelsTr/case_0\.npz: the finished file cannot be put there"):
        SaveNpzd(["image", "label"], tmp_path / "out")(saved)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_no_space_for_a_move_is_told_apart(tmp_path, monkeypatch):
    refuse(monkeypatch, "rename", lambda *_: True, errno.ENOSPC)
    with pytest.raises(DiskFullError, match="No space left"):
        save_volumes(tmp_path / "out", VOLUMES)


@pytest.mark.parametrize("name", [".partial", "labelsTr"])
def test_no_link_is_followed(tmp_path, name):
    root, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / name).symlink_to(elsewhere)
    with pytest.raises(OutputError, match=rf"{name}: the folder cannot be opened \(it is a link\)"):
        save_volumes(root, VOLUMES)
    assert list(elsewhere.iterdir()) == []
