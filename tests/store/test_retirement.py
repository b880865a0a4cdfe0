"""Files of cases that leave: at every moment they have a name, in the end one, and they replace nothing."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from monai_mriprep.errors import DiskFullError, OutputError
from monai_mriprep.store import calls
from monai_mriprep.store.record_parts import OutputRecord
from monai_mriprep.store.retirement import remove_retired, retire_output, retired_files
from tests.store.faults import Crash, crash_at, note, refuse
from tests.store.pairs import commit, stage


@pytest.fixture
def output(store) -> OutputRecord:
    """An image that is in place."""
    files = stage(store)
    commit(store, files)
    (image,) = (file for file in files if file.move.folder == "imagesTr")
    facts = {"size": image.size, "mtime_ns": image.mtime_ns, "sha256": image.sha256, "crc32": image.crc32}
    return OutputRecord(path="imagesTr/a.npz", **facts)


def names(store) -> list[str]:
    """All of the image."""
    return sorted(str(path.relative_to(store.root.path)) for path in store.root.path.rglob("imagesTr/*"))


def test_the_new_name_is_on_the_disk_before_the_old_one_goes(store, output, monkeypatch):
    seen, unlink = note(monkeypatch), calls.unlink
    monkeypatch.setattr(calls, "unlink", lambda name, folder: seen.append(("remove", name)) or unlink(name, folder))
    assert retire_output(store, output) == "retired/imagesTr/a.npz"
    assert names(store) == ["retired/imagesTr/a.npz"]
    assert seen[-3:] == [("sync", "retired/imagesTr"), ("remove", "a.npz"), ("sync", "out/imagesTr")]
    assert "move" not in dict(seen)


def test_a_file_of_another_time_is_not_taken_for_one_that_was_moved(store, output):
    """Else `prune` would delete it with this case."""
    place = store.root.path / "retired" / "imagesTr" / "a.npz"
    place.parent.mkdir(parents=True)
    (store.root.path / output.path).rename(place)
    assert retire_output(store, output) == "retired/imagesTr/a.npz"
    os.utime(place, ns=(0, output.mtime_ns + 1))
    assert retire_output(store, output) is None


def test_what_is_no_file_is_neither_retired_nor_listed(store, output, tmp_path):
    (store.root.path / output.path).unlink()
    (store.root.path / output.path).symlink_to(tmp_path)
    assert retire_output(store, output) is None
    (store.root.path / "retired" / "imagesTr" / "b.npz").mkdir()
    assert retired_files(store) == ()
    remove_retired(store, ["retired/imagesTr/b.npz"])
    assert names(store) == ["imagesTr/a.npz", "retired/imagesTr/b.npz"]


def test_what_is_deleted_stays_so_after_a_power_cut(store, output, monkeypatch):
    retired = retire_output(store, output)
    seen = note(monkeypatch)
    remove_retired(store, [retired])
    assert (names(store), seen) == ([], [("sync", "retired/imagesTr")])


def test_a_crash_anywhere_leaves_the_file_and_the_next_run_finishes(store, output, monkeypatch):
    changes = 0
    while True:
        with monkeypatch.context() as patch:
            crash_at(patch, changes)
            with suppress(Crash):
                retire_output(store, output)
                break
        assert names(store) != []
        assert retire_output(store, output) == "retired/imagesTr/a.npz"
        assert names(store) == ["retired/imagesTr/a.npz"]
        (store.root.path / "retired/imagesTr/a.npz").rename(store.root.path / output.path)
        changes += 1
    assert changes >= 4, "a link, two syncs, and a name that goes"


def test_a_file_system_without_second_names(store, output, monkeypatch):
    refuse(monkeypatch, "link", lambda *_: True, errno.EPERM)
    assert retire_output(store, output) == "retired/imagesTr/a.npz"
    assert names(store) == ["retired/imagesTr/a.npz"]


def test_another_file_of_that_name_stays(store, output):
    (store.root.path / "retired" / "imagesTr").mkdir(parents=True)
    (store.root.path / "retired" / "imagesTr" / "a.npz").write_bytes(b"another")
    assert retire_output(store, output) == "retired/imagesTr/a.2.npz"
    assert (store.root.path / "retired" / "imagesTr" / "a.npz").read_bytes() == b"another"


@pytest.fixture
def root(store) -> Path:
    return store.root.path


def written(root: Path, text: str = "a") -> OutputRecord:
    """An output of this content, as it is recorded."""
    path = root / "imagesTr/a.npz"
    path.write_text(text)
    found = path.stat()
    return OutputRecord(path="imagesTr/a.npz", size=found.st_size, mtime_ns=found.st_mtime_ns, sha256="0", crc32=0)


def test_a_second_file_of_a_name_gets_a_number(store, root):
    places = [retire_output(store, written(root, text)) for text in ("one", "two", "three")]
    assert places == [f"retired/imagesTr/a{number}.npz" for number in ("", ".2", ".3")]
    assert [(root / place).read_text() for place in places] == ["one", "two", "three"]
    assert list((root / "imagesTr").iterdir()) == []
    assert sorted(retired_files(store)) == sorted(places)


def test_a_file_that_was_moved_before_a_crash_is_found(store, root):
    retire_output(store, written(root, "older"))
    second = written(root, "second")
    assert retire_output(store, second) == retire_output(store, second) == "retired/imagesTr/a.2.npz"


def test_a_file_that_is_nowhere_is_none(store, root):
    output = written(root)
    (root / "imagesTr/a.npz").unlink()
    assert retire_output(store, output) is None
    assert retired_files(store) == ()


@pytest.mark.parametrize("name", ["retired", "retired/imagesTr"])
@pytest.mark.parametrize("what", ["link", "file", "pipe"])
def test_what_stands_in_the_way_is_set_aside(store, root, tmp_path, name, what, caplog):
    outside, place = tmp_path / "outside", root / name
    outside.mkdir()
    place.parent.mkdir(exist_ok=True)
    {"link": lambda: place.symlink_to(outside), "file": place.touch, "pipe": lambda: os.mkfifo(place)}[what]()
    assert retired_files(store) == ()
    assert retire_output(store, written(root)) == "retired/imagesTr/a.npz"
    assert (root / "retired/imagesTr/a.npz").read_text() == "a"
    assert list(outside.iterdir()) == []
    assert "it is set aside as" in caplog.text


@pytest.mark.parametrize(("number", "expected"), [(errno.EIO, OutputError), (errno.ENOSPC, DiskFullError)])
def test_a_file_that_cannot_be_moved_stays_and_is_named(store, root, monkeypatch, number, expected):
    output = written(root)
    for call in ("link", "rename"):
        refuse(monkeypatch, call, lambda *_: True, number)
    with pytest.raises(expected, match=r"imagesTr/a\.npz: cannot be moved to .*retired"):
        retire_output(store, output)
    assert (root / "imagesTr/a.npz").read_text() == "a"


def test_only_volumes_of_retired_are_deleted(store, root):
    place = retire_output(store, written(root))
    written(root, "new")
    (root / "retired/imagesTr/notes.txt").touch()
    (root / "retired/other").mkdir()
    (root / "retired/other/a.npz").touch()
    remove_retired(store, [place, "imagesTr/a.npz", "retired/imagesTr/notes.txt", "retired/other/a.npz", "../x"])
    assert not (root / place).exists()
    assert (root / "imagesTr/a.npz").exists()
    assert (root / "retired/imagesTr/notes.txt").exists()
    assert (root / "retired/other/a.npz").exists()
    remove_retired(store, [place])


def test_what_cannot_be_deleted_is_an_error(store, root, monkeypatch):
    place = retire_output(store, written(root))
    refuse(monkeypatch, "unlink", lambda *_: True, errno.EIO)
    with pytest.raises(OutputError, match="retired: cannot be read or written"):
        remove_retired(store, [place])
